// Package integration tests larder with real servers, large bodies and several processes, on the stores that have files.
package integration

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/disk"
	"github.com/larder-go/larder/store/sqlite"
)

// opener opens a new store that is closed when the test is done.
type opener func(t *testing.T) store.Store

func openSQLite(t *testing.T) store.Store {
	s, err := openStore("sqlite", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, s)
	return s
}

func openDisk(t *testing.T) store.Store {
	s, err := openStore("disk", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, s)
	return s
}

// closer is a store that this module opens.
type closer interface {
	store.Store
	Close() error
}

// openStore opens the store of a kind below dir, with as much room as it needs.
func openStore(kind, dir string) (closer, error) {
	if kind == "disk" {
		return disk.Open(filepath.Join(dir, "cache"), &disk.Options{MaxBytes: -1})
	}
	return sqlite.Open(filepath.Join(dir, "cache.db"), &sqlite.Options{MaxBytes: -1})
}

func closeAtEnd(t *testing.T, s closer) {
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
}

func onEachStore(t *testing.T, run func(t *testing.T, open opener)) {
	t.Run("SQLite", func(t *testing.T) { run(t, openSQLite) })
	t.Run("disk", func(t *testing.T) { run(t, openDisk) })
}

// newCache returns a cache on s whose background work ends with the test.
func newCache(t *testing.T, s store.Store) *larder.Cache {
	c := &larder.Cache{Store: s}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			t.Errorf("background work goes on: %v", err)
		}
	})
	return c
}
