package redis

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/redis/rueidis"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/storetest"
)

// kit returns what storetest needs of stores that open opens, below a prefix each.
func kit(t *testing.T, url string, open func(*Options) (store.Store, error)) storetest.Kit {
	behind := raw(t, url)
	root := newPrefix(t, url)
	var prefixes sync.Map
	t.Cleanup(func() {
		prefixes.Range(func(_, prefix any) bool { empty(t, url, prefix.(string)); return true })
	})
	prefix := func(dir string) string {
		p := root + filepath.ToSlash(dir)
		prefixes.Store(p, p)
		return p
	}
	change := func(dir, group, item string) error {
		key := (&table{prefix: prefix(dir) + ":"}).key(group)
		b, _ := do(t, behind, "HGET", key, item).([]byte)
		if len(b) == 0 {
			return fmt.Errorf("there is no %s %s", key, item)
		}
		b[len(b)/2] ^= 1
		do(t, behind, "HSET", key, item, string(b))
		return nil
	}
	return storetest.Kit{
		Open:       func(dir string) (store.Store, error) { return open(&Options{Prefix: prefix(dir), MaxBody: -1}) },
		Persistent: true,
		Shared:     true,
		DamageHead: func(dir string, r *store.Record) error {
			return change(dir, fmt.Sprintf("r/%x", r.Key.Digest()), r.ID.String())
		},
		DamageBody: func(dir string, r *store.Record) error {
			return change(dir, fmt.Sprintf("b/%x/%s", r.Key.Digest(), r.ID), "00000000")
		},
	}
}

func TestContract(t *testing.T) {
	onEachSite(t, func(t *testing.T, url string) {
		storetest.Run(t, kit(t, url, func(o *Options) (store.Store, error) { return Open(context.Background(), url, o) }))
	})
}

// TestContractWithTheUsersClient has a limit as well.
func TestContractWithTheUsersClient(t *testing.T) {
	url := env(t, "REDIS_URL")
	c, err := rueidis.NewClient(rueidis.MustParseURL(url))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	k := kit(t, url, func(o *Options) (store.Store, error) {
		o.MaxBody = 1 << 20
		return New(c, o)
	})
	k.MaxBody = 1 << 20
	storetest.Run(t, k)
}
