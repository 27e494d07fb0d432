package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/larder-go/larder/config"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/disk"
	"github.com/larder-go/larder/store/dynamodb"
	"github.com/larder-go/larder/store/memory"
	"github.com/larder-go/larder/store/mongodb"
	"github.com/larder-go/larder/store/redis"
	"github.com/larder-go/larder/store/sqlite"
)

// Only this file knows every store.

const storeEnv = "LARDER_STORE"

// location is the value of --store.
type location struct{ config.Location }

// databases are the kinds of store that a URL names, which their packages read.
var databases = map[string]func(ctx context.Context, url string) (store.Store, error){
	"redis":    func(ctx context.Context, url string) (store.Store, error) { return redis.Open(ctx, url, nil) },
	"mongodb":  func(ctx context.Context, url string) (store.Store, error) { return mongodb.Open(ctx, url, nil) },
	"dynamodb": func(ctx context.Context, url string) (store.Store, error) { return dynamodb.Open(ctx, url, nil) },
}

// locate reads the value of --store; empty, it is the user's own cache.
func locate(spec string) (location, error) {
	if spec != "" {
		return parseLocation(spec)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return location{}, fmt.Errorf("there is no cache folder for this user, so give --store: %w", err)
	}
	return location{config.Location{Kind: "sqlite", Path: filepath.Join(dir, "larder", "cache.sqlite")}}, nil
}

func parseLocation(spec string) (location, error) {
	at, err := config.ParseLocation(spec)
	if err == nil && !at.Known() {
		err = fmt.Errorf("store %q: there is no kind of store %q, want %s", at, at.Kind, config.Forms)
	}
	return location{at}, err
}

// open opens the store. Unless create is set, it makes no file: a missing store is taken for an empty one, and a damaged
// one is an error.
func (at location) open(ctx context.Context, create bool, warn func(string)) (store.Store, error) {
	empty := &memory.Store{MaxBytes: at.MaxBytes}
	if at.Kind == "memory" {
		return empty, nil
	}
	if open := databases[at.Kind]; open != nil {
		return open(ctx, at.Path)
	}
	root := at.Path
	if at.Kind == "disk" {
		root = filepath.Join(at.Path, "v1") // a folder without it is no store
	}
	if _, err := os.Stat(root); !create && errors.Is(err, fs.ErrNotExist) {
		warn(fmt.Sprintf("there is no store at %s yet", at))
		return empty, nil
	}
	if at.Kind == "disk" {
		return disk.Open(at.Path, &disk.Options{MaxBytes: at.MaxBytes})
	}
	db, err := sqlite.Open(at.Path, &sqlite.Options{
		MaxBytes:    at.MaxBytes,
		FailDamaged: at.FailDamaged || !create,
		OnRebuild: func(aside string, cause error) {
			warn(fmt.Sprintf("the store was damaged (%v); it is now %s, and a new one takes its place", cause, aside))
		},
	})
	if errors.Is(err, store.ErrCorrupt) {
		next := "the next larder get sets it aside and begins anew"
		if at.FailDamaged {
			next = "without damaged=fail larder get would set it aside and begin anew"
		}
		err = fmt.Errorf("%w; nothing was changed, %s", err, next)
	}
	return db, err
}

// closeOf returns the Close of s, which may have none.
func closeOf(s store.Store) func() error {
	if c, ok := s.(io.Closer); ok {
		return c.Close
	}
	return func() error { return nil }
}
