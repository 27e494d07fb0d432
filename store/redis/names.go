package redis

import "strings"

// isIndex reports whether a group is a sorted set; the others are hashes.
func isIndex(group string) bool { return strings.HasPrefix(group, "i") }

func isLease(group string) bool { return strings.HasPrefix(group, "l/") }

// key returns the name of a group in the database. In a Cluster, the part in braces decides which server has it.
func (t *table) key(group string) string {
	kind, rest, _ := strings.Cut(group, "/")
	if isIndex(group) {
		return t.prefix + kind + ":" + strings.ReplaceAll(rest, "/", ":")
	}
	tag, _, _ := strings.Cut(rest, "/")
	return t.prefix + kind + ":{" + tag + "}" + strings.ReplaceAll(rest[len(tag):], "/", ":")
}

var ungroup = strings.NewReplacer("{", "", "}", "", ":", "/")

// group is the inverse of key. Keys of a store whose prefix begins with this one's are not ours: they have their braces
// elsewhere, or as indexes more parts.
func (t *table) group(key string) (group string, ours bool) {
	rest, ours := strings.CutPrefix(key, t.prefix)
	group = ungroup.Replace(rest)
	if isIndex(group) {
		parts := strings.Count(group, "/") + 1
		ours = ours && (strings.HasPrefix(group, "i/u/") && parts == 3 || strings.HasPrefix(group, "i/t/") && parts == 4)
	}
	return group, ours && t.key(group) == key
}

var unglob = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

// pattern returns a pattern that matches the keys of the groups with this prefix, and perhaps others.
func (t *table) pattern(prefix string) string {
	kind, rest, whole := strings.Cut(prefix, "/")
	switch {
	case !whole:
		return unglob.Replace(t.prefix+kind) + "*"
	case isIndex(prefix) || strings.Contains(rest, "/"):
		return unglob.Replace(t.key(prefix)) + "*"
	}
	return unglob.Replace(t.prefix+kind+":{"+rest) + "*"
}
