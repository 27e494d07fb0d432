package goredis_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	driver "github.com/redis/go-redis/v9"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/redis"
	"github.com/larder-go/larder/store/redis/goredis"
	"github.com/larder-go/larder/store/storetest"
)

// env returns a variable by which tests find a server, and skips the test if it is not set.
func env(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Skipf("%s is not set: nothing was tested on this server", name)
	}
	return value
}

func contract(t *testing.T, c driver.UniversalClient) {
	t.Cleanup(func() { c.Close() })
	root := "larder:test-" + strings.ToLower(rand.Text())
	var prefixes sync.Map
	t.Cleanup(func() {
		prefixes.Range(func(prefix, _ any) bool { empty(t, c, prefix.(string)); return true })
	})
	key := func(dir, kind string, r *store.Record, rest string) string {
		return fmt.Sprintf("%s%s:%s:{%x}%s", root, dir, kind, r.Key.Digest(), rest)
	}
	change := func(key, field string) error {
		b, err := c.HGet(context.Background(), key, field).Bytes()
		if err != nil {
			return err
		}
		b[len(b)/2] ^= 1
		return c.HSet(context.Background(), key, field, b).Err()
	}
	storetest.Run(t, storetest.Kit{
		Open: func(dir string) (store.Store, error) {
			prefixes.Store(root+dir, nil)
			return goredis.New(c, &redis.Options{Prefix: root + dir, MaxBody: -1})
		},
		Persistent: true,
		Shared:     true,
		DamageHead: func(dir string, r *store.Record) error { return change(key(dir, "r", r, ""), r.ID.String()) },
		DamageBody: func(dir string, r *store.Record) error {
			return change(key(dir, "b", r, ":"+r.ID.String()), "00000000")
		},
	})
}

// empty removes what a store has left.
func empty(t *testing.T, c driver.UniversalClient, prefix string) {
	ctx := context.Background()
	remove := func(ctx context.Context, c *driver.Client) error {
		keys := c.Scan(ctx, 0, prefix+":*", 1000).Iterator()
		for keys.Next(ctx) {
			if err := c.Unlink(ctx, keys.Val()).Err(); err != nil {
				return err
			}
		}
		return keys.Err()
	}
	var err error
	switch c := c.(type) {
	case *driver.ClusterClient:
		err = c.ForEachMaster(ctx, remove)
	case *driver.Client:
		err = remove(ctx, c)
	}
	if err != nil {
		t.Errorf("clean up %s: %v", prefix, err)
	}
}

func TestContractOnOneServer(t *testing.T) {
	for _, protocol := range []int{2, 3} {
		t.Run(fmt.Sprint("RESP", protocol), func(t *testing.T) {
			opts, err := driver.ParseURL(env(t, "REDIS_URL"))
			if err != nil {
				t.Fatal(err)
			}
			opts.Protocol, opts.ContextTimeoutEnabled = protocol, true
			contract(t, driver.NewClient(opts))
		})
	}
}

func TestContractOnACluster(t *testing.T) {
	contract(t, driver.NewClusterClient(&driver.ClusterOptions{
		Addrs: strings.Split(env(t, "REDIS_CLUSTER"), ","), ContextTimeoutEnabled: true,
	}))
}

func TestContractBehindSentinels(t *testing.T) {
	contract(t, driver.NewFailoverClient(&driver.FailoverOptions{
		SentinelAddrs: strings.Split(env(t, "REDIS_SENTINEL"), ","), MasterName: env(t, "REDIS_SENTINEL_MASTER"), ContextTimeoutEnabled: true,
	}))
}

func TestErrorsSayWhereTheServerIs(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	sentinels := &driver.FailoverOptions{MasterName: "main", SentinelAddrs: []string{"127.0.0.1:1"}, SentinelPassword: "s3cr3t", ContextTimeoutEnabled: true}
	for _, c := range []struct {
		client driver.UniversalClient
		want   string
	}{
		{driver.NewClient(&driver.Options{Addr: "127.0.0.1:1", ContextTimeoutEnabled: true}), "redis at 127.0.0.1:1: "},
		{driver.NewClusterClient(&driver.ClusterOptions{Addrs: []string{"a:1", "b:2"}, ContextTimeoutEnabled: true}), "redis at a:1,b:2: "},
		{driver.NewFailoverClient(sentinels), "redis at a master found by Sentinels: "},
		{driver.NewFailoverClusterClient(sentinels), "redis at several servers: "},
		{driver.NewRing(&driver.RingOptions{Addrs: map[string]string{"a": "127.0.0.1:1"}, ContextTimeoutEnabled: true}), "redis at several servers: "},
	} {
		s, err := goredis.New(c.client, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Lookup(ctx, "key"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
		s.Close()
		c.client.Close()
	}
}
