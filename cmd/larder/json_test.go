package main_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// names adds the names of v's fields to all, those of objects inside after their own and a dot; of header fields and
// reasons only their object's.
func names(all map[string]bool, prefix string, v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			names(all, prefix, e)
		}
	case map[string]any:
		for name, e := range v {
			all[prefix+name] = true
			if !strings.HasSuffix(name, "header") && name != "trailer" && name != "not_stored" {
				names(all, prefix+name+".", e)
			}
		}
	}
}

// TestJSON shows that --json of each command is one object a line, with the names that docs/command.md promises. A name
// may be added here; none may go or change.
func TestJSON(t *testing.T) {
	t.Parallel()
	u, first, _ := filled(t)
	url := first.URL + "/response-headers?Vary=Accept-Language&Cache-Control=max-age%3D60"
	u.ok("get", "-H", "Accept-Language: de", url)

	const entry = "id key method url status proto size age fresh requested received fresh_until keep_until header"
	inside := func(object, names string) string {
		return object + " " + object + "." + strings.ReplaceAll(names, " ", " "+object+".")
	}
	const spans = "time requests hits saved_bytes"
	answered := inside("answered", "requests hit_ratio hits stale revalidated misses bypassed refused saved_bytes origin_bytes store_seconds origin_seconds")
	for _, test := range []struct {
		args string // URL stands for one that is stored
		want string
	}{
		{"get URL", "method url status outcome reason section age ttl stored id duration"},
		{"get --ttl 1h --force-refresh URL", "method url status outcome reason section age ttl stored forwarded id duration"},
		{"get --bypass URL", "method url status outcome reason ttl stored forwarded duration"},
		{"get " + first.URL + "/uuid", "method url status outcome reason section ttl stored not_stored forwarded duration"},
		{"ls", entry + " set_ttl tags request_header"},
		{"ls --tag colours", entry + " tags"},
		{"show URL", entry + " request_header set_ttl"},
		{"why URL", "method url key rule action reason section age lifetime selected others advice steps steps.question steps.answer steps.section steps.settles " + inside("stored", entry+" request_header set_ttl")},
		{"why --ttl never URL", "method url rule action reason lifetime stored others advice steps steps.question steps.answer steps.section steps.settles"},
		{"why --offline " + first.URL + "/none", "method url key rule action reason section lifetime stored others advice steps steps.question steps.answer steps.section steps.settles"},
		{"stats", "store responses fresh stale body_bytes bytes " + answered + " " + inside("hours", spans) + " " + inside("days", spans) + " " +
			inside("hosts", "host responses fresh stale body_bytes "+answered+" "+inside("days", spans))},
		{"export -o all.har", "exported bytes damaged gone seconds"},
		{"import all.har", "entries imported bytes present seconds not_stored"},
		{"sweep", "removed"},
		{"purge --stale --dry-run", "removed dry_run"},
		{"purge --stale", "removed"},
		{"rm URL", "removed"},
	} {
		args := strings.Fields(strings.ReplaceAll(test.args, "URL", "-H Accept-Language:de "+url))
		r := u.run(append(args, "--json")...)
		lines := r.out
		if args[0] == "get" {
			lines = r.err
		}
		got := make(map[string]bool)
		for line := range strings.Lines(lines) {
			var v map[string]any
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				t.Errorf("%s: %v in %s", test.args, err, line)
			}
			names(got, "", v)
		}
		want := make(map[string]bool)
		for name := range strings.FieldsSeq(test.want) {
			want[name] = true
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s --json has the names %v, want %v", test.args, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		}
		reference := read(t, "../../docs/command.md") + read(t, "../../docs/command-move.md")
		for name := range got {
			short := name[strings.LastIndexByte(name, '.')+1:]
			if !strings.Contains(reference, fmt.Sprintf("| `%s` |", short)) {
				t.Errorf("docs/command.md says nothing of %s, which %s --json tells", short, args[0])
			}
		}
	}
}
