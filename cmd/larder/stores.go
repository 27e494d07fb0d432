package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/disk"
	"github.com/larder-go/larder/store/memory"
	"github.com/larder-go/larder/store/sqlite"
)

// This file is the only one that knows every store.

const (
	storeEnv   = "LARDER_STORE"
	storeForms = "sqlite:PATH, disk:DIR or memory:, each with ?max-bytes=SIZE"
)

var storeSchemes = []string{"sqlite", "disk", "memory"}

// location says where a store is: the value of --store, read.
type location struct {
	scheme   string
	path     string // without ~
	maxBytes int64  // 0: the store's default; negative: no limit
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
		return location{}, fmt.Errorf("store %q: %s", spec, fmt.Sprintf(format, a...))
	}
	rest, options, _ := strings.Cut(spec, "?")
	scheme, path, found := strings.Cut(rest, ":")
	at := location{scheme: scheme, path: path}
	switch {
	case !found || !slices.Contains(storeSchemes, scheme):
		return fault("want %s", storeForms)
	case scheme == "memory" && path != "":
		return fault("memory: takes no path")
	case scheme != "memory" && path == "":
		return fault("no path; want %s", storeForms)
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
		if name != "max-bytes" {
			return fault("unknown option %q, want max-bytes", name)
		}
		if at.maxBytes, err = parseBytes(value[len(value)-1]); err != nil {
			return fault("max-bytes: %v", err)
		}
	}
	return at, nil
}

func (at location) String() string { return at.scheme + ":" + at.path }

// open opens the store. Unless create is set it makes nothing: a store that is not there is as an empty one, and a damaged one an error.
func (at location) open(create bool, warn func(string)) (s store.Store, closeStore func() error, err error) {
	if at.scheme == "memory" {
		return emptyStore(at)
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
		FailDamaged: !create,
		OnRebuild: func(aside string, cause error) {
			warn(fmt.Sprintf("the store was damaged (%v); it is now %s, and a new one takes its place", cause, aside))
		},
	})
	if errors.Is(err, store.ErrCorrupt) {
		err = fmt.Errorf("%w; nothing was changed, the next larder get sets it aside and begins anew", err)
	}
	if err != nil {
		return nil, nil, err
	}
	return db, db.Close, nil
}

func emptyStore(at location) (store.Store, func() error, error) {
	return &memory.Store{MaxBytes: at.maxBytes}, func() error { return nil }, nil
}

// completeStore completes the scheme, and leaves paths to the shell.
func completeStore(_ *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var out []cobra.Completion
	for _, scheme := range storeSchemes {
		if strings.HasPrefix(scheme+":", word) {
			out = append(out, scheme+":")
		}
	}
	return out, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
}
