// Package integration tests larder with real servers, large bodies and several processes, on every store.
package integration

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/disk"
	"github.com/larder-go/larder/store/dynamodb"
	"github.com/larder-go/larder/store/mongodb"
	"github.com/larder-go/larder/store/redis"
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

// openStore opens the store of a kind, with as much room as it needs, below dir: in a database dir is but a name.
func openStore(kind, dir string) (closer, error) {
	space := spaceOf(dir)
	ctx := context.Background()
	switch kind {
	case "disk":
		return disk.Open(filepath.Join(dir, "cache"), &disk.Options{MaxBytes: -1})
	case "sqlite":
		return sqlite.Open(filepath.Join(dir, "cache.db"), &sqlite.Options{MaxBytes: -1})
	case "redis":
		return redis.Open(ctx, os.Getenv("REDIS_URL"), &redis.Options{Prefix: space, MaxBody: -1})
	case "mongodb":
		u, err := url.Parse(os.Getenv("MONGODB_URI"))
		if err != nil {
			return nil, err
		}
		u.Path = space
		patient := options.Client().SetServerSelectionTimeout(20 * time.Second) // for the only connection that the URI may allow
		return mongodb.Open(ctx, u.String(), &mongodb.Options{Client: patient, Chunk: 64 << 10})
	case "dynamodb":
		return dynamodb.Open(ctx, "dynamodb://"+space, &dynamodb.Options{Endpoint: os.Getenv("DYNAMODB_ENDPOINT"), Create: true})
	}
	return nil, fmt.Errorf("there is no store %q", kind)
}

// spaceOf returns the name of what is kept below dir in a database.
func spaceOf(dir string) string { return fmt.Sprintf("test%x", sha256.Sum256([]byte(dir)))[:16] }

// servers are the stores that need one, and the variable that says where it is.
var servers = map[string]string{"redis": "REDIS_URL", "mongodb": "MONGODB_URI", "dynamodb": "DYNAMODB_ENDPOINT"}

// needServer skips the test if the store's server is not there. What was stored in it under dir is removed in the end.
func needServer(t *testing.T, kind, dir string) {
	env := servers[kind]
	if env == "" {
		return
	}
	if os.Getenv(env) == "" {
		t.Skipf("%s names no server, so %s is not tested", env, kind)
	}
	t.Cleanup(func() {
		s, err := openStore(kind, dir)
		if err == nil {
			_, err = (&larder.Cache{Store: s}).Purge(context.Background(), store.Query{})
			err = errors.Join(err, s.Close())
		}
		if err != nil {
			t.Errorf("remove what was stored: %v", err)
		}
	})
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
