package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/disk"
	"github.com/larder-go/larder/store/memory"
	"github.com/larder-go/larder/store/sealed"
	"github.com/larder-go/larder/store/tiered"
)

// Drivers are the stores that a program wants besides memory and disk, and its compression.
type Drivers struct {
	// Open has the function that opens a store, by the Kind of its Location. A store that is an io.Closer is closed in
	// the end. A kind may be one of the program's own; a function for memory or disk replaces larder's.
	Open map[string]func(ctx context.Context, at Location) (store.Store, error)
	// Compress puts compression around a store, as compressed.New does; nil: compression in a file is an error.
	Compress func(store.Store) store.Store
}

// Location returns where the store is; memory if the file does not say. An error is a *Fault.
func (c *Config) Location() (Location, error) {
	s := &c.Store
	given, err := s.Location.Expand()
	if err != nil {
		return Location{}, c.fault("store.location", "%v", err)
	}
	at := Location{Kind: "memory"}
	if s.Location != "" || c.given("store.location") {
		if at, err = parseLocation(given); err != nil {
			return Location{}, c.fault("store.location", "%q: %v", withoutPassword(string(s.Location)), err)
		}
	}
	if at.Kind == "sqlite" || at.Kind == "disk" {
		if at.Path, err = c.path(at.Path); err != nil {
			return Location{}, c.fault("store.location", "%v", err)
		}
	}
	switch {
	case s.MaxBytes == 0:
	case at.MaxBytes != 0:
		return Location{}, c.fault("store.max-bytes", "the location has a max-bytes, too, want one of them")
	case !slices.Contains(files, at.Kind):
		return Location{}, c.fault("store.max-bytes", "the limit is for %s, not for %s", strings.Join(files, ", "), at.Kind)
	default:
		at.MaxBytes = int64(s.MaxBytes)
	}
	return at, nil
}

// OpenStore opens the store with encryption, compression and front as the file says. closeStore closes it. d may be
// nil.
func (c *Config) OpenStore(ctx context.Context, d *Drivers) (s store.Store, closeStore func() error, err error) {
	at, err := c.Location()
	if err != nil {
		return nil, nil, err
	}
	if d == nil {
		d = new(Drivers)
	}
	bare, err := c.openAt(ctx, at, d)
	if err != nil {
		return nil, nil, err
	}
	closeStore = func() error {
		if closer, ok := bare.(io.Closer); ok {
			return closer.Close()
		}
		return nil
	}
	if s, err = c.wrap(bare, d); err != nil {
		closeStore()
		return nil, nil, err
	}
	if f := c.Store.Front; f != nil {
		s, err = tiered.New(&memory.Store{MaxBytes: int64(f.MaxBytes)}, s, f.options())
	}
	return s, closeStore, err
}

func (c *Config) openAt(ctx context.Context, at Location, d *Drivers) (store.Store, error) {
	open := d.Open[at.Kind]
	switch {
	case open != nil:
	case at.Kind == "memory":
		return &memory.Store{MaxBytes: at.MaxBytes}, nil
	case at.Kind == "disk":
		open = func(_ context.Context, at Location) (store.Store, error) {
			return disk.Open(at.Path, &disk.Options{MaxBytes: at.MaxBytes})
		}
	case at.Known():
		return nil, c.fault("store.location", "this program has no driver for %s: want one in config.Drivers", at.Kind)
	default:
		return nil, c.fault("store.location", "there is no kind of store %q, want %s", at.Kind, Forms)
	}
	s, err := open(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("the store %s cannot be used: %w", at, err)
	}
	return s, nil
}

// wrap puts the encryption and compression that the file wants around a store: compression outside, since what is
// encrypted does not shrink.
func (c *Config) wrap(s store.Store, d *Drivers) (store.Store, error) {
	var keys []sealed.Key
	for i, file := range c.Store.EncryptKeyFiles {
		key, err := c.key(file)
		if err != nil {
			return nil, c.fault(fmt.Sprintf("store.encrypt-key-files[%d]", i), "%v", err)
		}
		keys = append(keys, key)
	}
	if len(keys) > 0 {
		around, err := sealed.New(s, keys...)
		if err != nil {
			return nil, c.fault("store.encrypt-key-files", "%v", err)
		}
		s = around
	}
	if c.Store.Compress {
		if d.Compress == nil {
			return nil, c.fault("store.compress", "this program cannot compress: want config.Drivers.Compress")
		}
		s = d.Compress(s)
	}
	return s, nil
}

func (c *Config) key(file Text) (sealed.Key, error) {
	path, err := c.expandPath(file)
	if err != nil {
		return sealed.Key{}, err
	}
	return sealed.KeyFromFile(path)
}

// expandPath returns the path that t names.
func (c *Config) expandPath(t Text) (string, error) {
	path, err := t.Expand()
	if err != nil {
		return "", err
	}
	return c.path(path)
}

// path returns the place of a file named in c: relative paths start at the folder of c's own file, ~ at the user's
// home.
func (c *Config) path(p string) (string, error) {
	p, err := withHome(p)
	if err != nil || filepath.IsAbs(p) {
		return p, err
	}
	return filepath.Join(filepath.Dir(c.file), p), nil
}

func (f *Front) options() *tiered.Options {
	return &tiered.Options{Lifetime: time.Duration(f.Lifetime), Alone: time.Duration(f.Alone), MaxBody: int64(f.MaxBody)}
}

// OpenCache returns a cache with the file's store, settings and rules, over http.DefaultTransport. The cache may be
// changed before it is used. end waits for its work in the background until ctx ends, and closes the store. d may be
// nil.
func (c *Config) OpenCache(ctx context.Context, d *Drivers) (cache *larder.Cache, end func(ctx context.Context) error, err error) {
	s, closeStore, err := c.OpenStore(ctx, d)
	if err != nil {
		return nil, nil, err
	}
	cache = &larder.Cache{Store: s}
	c.Apply(cache)
	return cache, func(ctx context.Context) error { return errors.Join(cache.Close(ctx), closeStore()) }, nil
}
