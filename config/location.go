package config

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/larder-go/larder/internal/units"
)

// Forms lists the forms of a Location, for errors and help.
const Forms = "sqlite:PATH, disk:DIR, memory:, redis://HOST, mongodb://HOST/DATABASE or dynamodb://TABLE"

// Location says where a store is.
type Location struct {
	Kind     string // sqlite, disk, memory, redis, mongodb or dynamodb, or a name of the program's own
	Path     string // of sqlite and disk, without ~; for databases and kinds of the program's own, all that was given
	MaxBytes int64  // of sqlite, disk and memory; 0: the store's default; negative: no limit
	// FailDamaged makes a damaged file of sqlite an error. False: it is set aside, and a new one begun.
	FailDamaged bool
}

var (
	files     = []string{"sqlite", "disk", "memory"} // the kinds whose options are read here
	databases = []string{"redis", "mongodb", "dynamodb"}
)

// ParseLocation reads sqlite:PATH, disk:DIR or memory:, with the options ?max-bytes=SIZE and, for sqlite, damaged=fail
// or damaged=rebuild; a URL that begins with redis://, rediss://, redis+cluster://, redis+sentinel://, mongodb://,
// mongodb+srv:// or dynamodb://; or KIND:ANYTHING with a kind of the program's own. Its errors hold no password.
func ParseLocation(s string) (Location, error) {
	at, err := parseLocation(s)
	if err != nil {
		return Location{}, fmt.Errorf("store %q: %w", withoutPassword(s), err)
	}
	return at, nil
}

func parseLocation(s string) (Location, error) {
	fault := func(format string, a ...any) (Location, error) { return Location{}, fmt.Errorf(format, a...) }
	rest, options, _ := strings.Cut(s, "?")
	scheme, path, found := strings.Cut(rest, ":")
	kind := kindOf(scheme)
	switch isURL := strings.HasPrefix(path, "//"); {
	case !found || scheme == "":
		return fault("it names no kind of store, want %s", Forms)
	case slices.Contains(databases, kind) && !isURL:
		return fault("want it to begin with %s://", scheme)
	case !slices.Contains(files, kind):
		return Location{Kind: kind, Path: s}, nil
	case kind == "memory" && path != "":
		return fault("memory: takes no path")
	case kind != "memory" && path == "":
		return fault("no path, want %s", Forms)
	}
	at := Location{Kind: kind}
	var err error
	if at.Path, err = withHome(path); err != nil {
		return fault("%v", err)
	}
	values, err := url.ParseQuery(options)
	if err != nil {
		return fault("%v", err)
	}
	for name, value := range values {
		last := value[len(value)-1]
		switch {
		case name == "max-bytes":
			if at.MaxBytes, err = units.Size(last); err != nil {
				return fault("max-bytes: %v", err)
			}
		case name == "damaged" && kind == "sqlite":
			if last != "fail" && last != "rebuild" {
				return fault("damaged is %q, want fail or rebuild", last)
			}
			at.FailDamaged = last == "fail"
		default:
			return fault("unknown option %q, want max-bytes=SIZE or, for sqlite, damaged=fail or damaged=rebuild", name)
		}
	}
	return at, nil
}

// kindOf returns the kind of store that the scheme of a URL names: redis for rediss and redis+cluster.
func kindOf(scheme string) string {
	kind, _, _ := strings.Cut(scheme, "+")
	if kind == "rediss" {
		return "redis"
	}
	return kind
}

// Known reports whether larder has a store of this kind.
func (at Location) Known() bool {
	return slices.Contains(files, at.Kind) || slices.Contains(databases, at.Kind)
}

// String returns what ParseLocation was given, without user and password; for sqlite, disk and memory without options.
func (at Location) String() string {
	if slices.Contains(files, at.Kind) {
		return at.Kind + ":" + at.Path
	}
	return withoutPassword(at.Path)
}

// withoutPassword takes the user and the password out of a URL, and the values of options that are secret.
func withoutPassword(s string) string {
	before, rest, found := strings.Cut(s, "://")
	if !found {
		if scheme, rest, _ := strings.Cut(s, ":"); slices.Contains(databases, kindOf(scheme)) { // the // was forgotten
			return scheme + ":" + rest[strings.LastIndexByte(rest, '@')+1:]
		}
		return s
	}
	rest = rest[strings.LastIndexByte(rest, '@')+1:] // a password may hold characters that should be escaped
	address, query, found := strings.Cut(rest, "?")
	if !found {
		return before + "://" + rest
	}
	options := strings.Split(query, "&")
	for i, o := range options {
		if name, _, _ := strings.Cut(o, "="); secret(name) {
			options[i] = name + "=REDACTED"
		}
	}
	return before + "://" + address + "?" + strings.Join(options, "&")
}

// secret reports whether an option of a URL may hold a secret, such as MongoDB's tlsCertificateKeyFilePassword, or its
// authMechanismProperties, which may have a session token.
func secret(option string) bool {
	option = strings.ToLower(option)
	return slices.ContainsFunc([]string{"password", "passwd", "secret", "token", "properties"}, func(word string) bool {
		return strings.Contains(option, word)
	})
}

// withHome puts the user's home in place of ~ at the beginning of a path.
func withHome(path string) (string, error) {
	if path != "~" && !strings.HasPrefix(path, "~/") {
		return path, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("~: %w", err)
	}
	return filepath.Join(home, path[1:]), nil
}
