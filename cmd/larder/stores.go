package main

import (
	"context"
	"errors"
	"fmt"
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

// This file is the only one that knows every store.

const storeEnv = "LARDER_STORE"

// location says where a store is, as --store gives it.
type location struct{ config.Location }

// closer is a store that somebody has to close.
type closer interface {
	store.Store
	Close() error
}

// databases opens the stores that a URL names. The drivers read the URL.
var databases = map[string]func(ctx context.Context, url string) (closer, error){
	"redis":    func(ctx context.Context, url string) (closer, error) { return redis.Open(ctx, url, nil) },
	"mongodb":  func(ctx context.Context, url string) (closer, error) { return mongodb.Open(ctx, url, nil) },
	"dynamodb": func(ctx context.Context, url string) (closer, error) { return dynamodb.Open(ctx, url, nil) },
}

// locate reads a location. If that is empty it returns the user's own cache.
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

// open opens the store. Unless create is set it makes no file: a missing store is like an empty one, and a damaged one
// is an error.
func (at location) open(ctx context.Context, create bool, warn func(string)) (s store.Store, closeStore func() error, err error) {
	if at.Kind == "memory" {
		return emptyStore(at)
	}
	if open := databases[at.Kind]; open != nil {
		db, err := open(ctx, at.Path)
		if err != nil {
			return nil, nil, err
		}
		return db, db.Close, nil
	}
	begins := at.Path
	if at.Kind == "disk" {
		begins = filepath.Join(at.Path, "v1") // which all of it is in; a folder without that is somebody else's
	}
	if _, err := os.Stat(begins); !create && errors.Is(err, fs.ErrNotExist) {
		warn(fmt.Sprintf("there is no store at %s yet", at))
		return emptyStore(at)
	}
	if at.Kind == "disk" {
		d, err := disk.Open(at.Path, &disk.Options{MaxBytes: at.MaxBytes})
		if err != nil {
			return nil, nil, err
		}
		return d, d.Close, nil
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
	if err != nil {
		return nil, nil, err
	}
	return db, db.Close, nil
}

func emptyStore(at location) (store.Store, func() error, error) {
	return &memory.Store{MaxBytes: at.MaxBytes}, func() error { return nil }, nil
}
