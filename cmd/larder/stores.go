package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/larder-go/larder/internal/units"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/disk"
	"github.com/larder-go/larder/store/dynamodb"
	"github.com/larder-go/larder/store/memory"
	"github.com/larder-go/larder/store/mongodb"
	"github.com/larder-go/larder/store/redis"
	"github.com/larder-go/larder/store/sqlite"
)

// This file is the only one that knows every store.

const (
	storeEnv   = "LARDER_STORE"
	storeForms = "sqlite:PATH, disk:DIR, memory:, redis://HOST, mongodb://HOST/DATABASE or dynamodb://TABLE"
)

var storeSchemes = []string{"sqlite", "disk", "memory"}

// location says where a store is: the value of --store, read.
type location struct {
	scheme   string
	path     string // without ~; of a database, the whole URL
	maxBytes int64  // 0: the store's default; negative: no limit
	fail     bool   // sqlite: a damaged file is an error, and not set aside
}

// closer is a store that somebody has to close.
type closer interface {
	store.Store
	Close() error
}

// databases opens those that are named by a URL, which is the drivers' to read.
var databases = map[string]func(ctx context.Context, url string) (closer, error){
	"redis":    func(ctx context.Context, url string) (closer, error) { return redis.Open(ctx, url, nil) },
	"mongodb":  func(ctx context.Context, url string) (closer, error) { return mongodb.Open(ctx, url, nil) },
	"dynamodb": func(ctx context.Context, url string) (closer, error) { return dynamodb.Open(ctx, url, nil) },
}

// database returns the kind of database that the scheme of a URL names: "redis" for rediss and redis+cluster.
func database(scheme string) string {
	kind, _, _ := strings.Cut(scheme, "+")
	if kind == "rediss" {
		kind = "redis"
	}
	if databases[kind] == nil {
		return ""
	}
	return kind
}

// withoutPassword takes the user and the password out of the URL of a database.
func withoutPassword(url string) string {
	before, rest, found := strings.Cut(url, "://")
	if !found {
		return url
	}
	return before + "://" + rest[strings.LastIndexByte(rest, '@')+1:] // a password may hold what should be escaped
}

// locate reads the first of specs that is set; none: the user's own cache.
func locate(specs ...string) (location, error) {
	i := slices.IndexFunc(specs, func(s string) bool { return s != "" })
	if i < 0 {
		dir, err := os.UserCacheDir()
		if err != nil {
			return location{}, fmt.Errorf("there is no cache folder for this user, so give --store: %w", err)
		}
		return location{scheme: "sqlite", path: filepath.Join(dir, "larder", "cache.sqlite")}, nil
	}
	return parseLocation(specs[i])
}

func parseLocation(spec string) (location, error) {
	fault := func(format string, a ...any) (location, error) {
		return location{}, fmt.Errorf("store %q: %s", withoutPassword(spec), fmt.Sprintf(format, a...))
	}
	if scheme, _, found := strings.Cut(spec, "://"); found && database(scheme) != "" {
		return location{scheme: scheme, path: spec}, nil
	}
	rest, options, _ := strings.Cut(spec, "?")
	scheme, path, found := strings.Cut(rest, ":")
	at := location{scheme: scheme, path: path}
	switch {
	case !found:
		return fault("it names no kind of store, want %s", storeForms)
	case database(scheme) != "":
		return fault("want it to begin with %s://", scheme)
	case !slices.Contains(storeSchemes, scheme):
		return fault("there is no kind of store %q, want %s", scheme, storeForms)
	case scheme == "memory" && path != "":
		return fault("memory: takes no path")
	case scheme != "memory" && path == "":
		return fault("no path, want %s", storeForms)
	}
	if path == "~" || strings.HasPrefix(path, "~/") {
		home, err := os.UserHomeDir()
		if err != nil {
			return fault("~: %v", err)
		}
		at.path = filepath.Join(home, path[1:])
	}
	values, err := url.ParseQuery(options)
	if err != nil {
		return fault("%v", err)
	}
	for name, value := range values {
		last := value[len(value)-1]
		switch {
		case name == "max-bytes":
			if at.maxBytes, err = units.Size(last); err != nil {
				return fault("max-bytes: %v", err)
			}
		case name == "damaged" && scheme == "sqlite":
			if last != "fail" && last != "rebuild" {
				return fault("damaged is %q, want fail or rebuild", last)
			}
			at.fail = last == "fail"
		default:
			return fault("unknown option %q, want max-bytes=SIZE or, for sqlite, damaged=fail or damaged=rebuild", name)
		}
	}
	return at, nil
}

// String returns what the user gave, without a password.
func (at location) String() string {
	if database(at.scheme) != "" {
		return withoutPassword(at.path)
	}
	return at.scheme + ":" + at.path
}

// open opens the store. Unless create is set it makes no file: a store that is not there is as an empty one, and a damaged one an error.
func (at location) open(ctx context.Context, create bool, warn func(string)) (s store.Store, closeStore func() error, err error) {
	if at.scheme == "memory" {
		return emptyStore(at)
	}
	if kind := database(at.scheme); kind != "" {
		db, err := databases[kind](ctx, at.path)
		if err != nil {
			return nil, nil, err
		}
		return db, db.Close, nil
	}
	if _, err := os.Stat(at.path); !create && errors.Is(err, fs.ErrNotExist) {
		warn(fmt.Sprintf("there is no store at %s yet", at))
		return emptyStore(at)
	}
	if at.scheme == "disk" {
		d, err := disk.Open(at.path, &disk.Options{MaxBytes: at.maxBytes})
		if err != nil {
			return nil, nil, err
		}
		return d, d.Close, nil
	}
	db, err := sqlite.Open(at.path, &sqlite.Options{
		MaxBytes:    at.maxBytes,
		FailDamaged: at.fail || !create,
		OnRebuild: func(aside string, cause error) {
			warn(fmt.Sprintf("the store was damaged (%v); it is now %s, and a new one takes its place", cause, aside))
		},
	})
	if errors.Is(err, store.ErrCorrupt) {
		next := "the next larder get sets it aside and begins anew"
		if at.fail {
			next = "without damaged=fail larder get would set it aside and begin anew"
		}
		err = fmt.Errorf("%w; nothing was changed, %s", err, next)
	}
	if err != nil {
		return nil, nil, err
	}
	return db, db.Close, nil
}

func emptyStore(at location) (store.Store, func() error, error) {
	return &memory.Store{MaxBytes: at.maxBytes}, func() error { return nil }, nil
}

// completeStore completes the scheme, the path and the options.
func completeStore(_ *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	const directive = cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
	var all []string
	scheme, path, found := strings.Cut(word, ":")
	switch before, options, hasOptions := strings.Cut(word, "?"); {
	case !found:
		all = []string{"sqlite:", "disk:", "memory:", "redis://", "rediss://", "redis+cluster://", "redis+sentinel://",
			"mongodb://", "mongodb+srv://", "dynamodb://"}
	case hasOptions:
		if i := strings.LastIndexByte(options, '&'); i >= 0 {
			before += "?" + options[:i] // before, too, is what stands already
		}
		sep := word[len(before):][:1]
		all = []string{before + sep + "max-bytes=", before + sep + "max-bytes=512MiB", before + sep + "max-bytes=2GiB", before + sep + "max-bytes=none"}
		if scheme == "sqlite" {
			all = append(all, before+sep+"damaged=fail", before+sep+"damaged=rebuild")
		}
	case scheme == "sqlite" || scheme == "disk":
		all = completePath(scheme+":", path, scheme == "disk")
	}
	return slices.DeleteFunc(all, func(s string) bool { return !strings.HasPrefix(s, word) }), directive
}

// completePath returns the files and folders, or folders alone, whose path begins with path, each after scheme.
func completePath(scheme, path string, foldersOnly bool) []string {
	dir, _ := filepath.Split(path)
	at := dir
	if home, err := os.UserHomeDir(); err == nil && strings.HasPrefix(dir, "~/") {
		at = home + dir[1:]
	}
	entries, err := os.ReadDir(cmp.Or(at, "."))
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		name := scheme + dir + e.Name()
		if info, err := os.Stat(filepath.Join(at, e.Name())); err == nil && info.IsDir() {
			out = append(out, name+"/")
		} else if !foldersOnly {
			out = append(out, name)
		}
	}
	return out
}
