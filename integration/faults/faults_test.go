// Package faults tests what users of a cache see when the network to its store's server is slow, breaks or is gone. It
// is a module of its own for the sake of its proxy's dependencies.
package faults

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/redis"
)

var rounds = flag.Int("rounds", 8, "how often TestConnectionsThatBreak asks for everything")

var sizes = []int{0, 1000, 40_000, 3_000_000}

// longTimeout is for tests in which the network is to blame, and not a test server that is slow as well.
const longTimeout = 20 * time.Second

func TestSlowNetwork(t *testing.T) {
	onEachStore(t, true, func(u *user) {
		u.cache.StoreTimeout = longTimeout
		u.proxy.add("slow", "latency", `"attributes":{"latency":150,"jitter":20}`)
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				path := fmt.Sprintf("/%d/%d", max(1, sizes[i%len(sizes)]), i) // that of nothing ends before it is stored
				if first, second := u.get(path), u.get(path); first != larder.Miss || second != larder.Hit {
					u.Errorf("%s was answered by a %v and a %v, want a miss and a hit", path, first, second)
				}
			})
		}
		all.Wait()
	})
}

// TestConnectionsThatBreak lets a third of the connections break after some bytes, wherever that is in an answer.
func TestConnectionsThatBreak(t *testing.T) {
	onEachStore(t, true, func(u *user) {
		u.cache.StoreTimeout = longTimeout
		var hits atomic.Int32
		for round := range *rounds {
			stop := u.proxy.cut("downstream", int64(100+(round*20_011*round)%2_000_000), 0.33)
			var all sync.WaitGroup
			for i := range 8 {
				all.Go(func() {
					if u.get(fmt.Sprintf("/%d/%d", sizes[i%len(sizes)], i)) == larder.Hit {
						hits.Add(1)
					}
				})
			}
			all.Wait()
			stop()
			u.eventually("the store is used again", func() bool { return u.get("/1000/again") == larder.Hit })
		}
		u.Logf("%d of %d requests were hits", hits.Load(), 8**rounds)
		if n := int(hits.Load()); n < 2**rounds {
			u.Errorf("%d of %d requests were hits; the cache hardly works", n, 8**rounds)
		}
	})
}

func TestServerStopsAndComesBack(t *testing.T) {
	onEachStore(t, false, func(u *user) {
		u.get("/1000/a")
		u.proxy.Stop()
		var first, later time.Duration // the slowest request within a second, and after it
		for stopped := time.Now(); time.Since(stopped) < 3*time.Second; {
			for _, path := range []string{"/1000/a", "/300000/b"} {
				from := time.Now()
				u.get(path)
				if took := time.Since(from); from.Sub(stopped) < time.Second {
					first = max(first, took)
				} else {
					later = max(later, took)
				}
			}
		}
		if first > 3*time.Second || later > time.Second/2 {
			u.Errorf("without a server a request took up to %v, and %v when a second had passed", first, later)
		}
		if err := u.proxy.Start(); err != nil {
			u.Fatal(err)
		}
		back := u.eventually("the cache is back", func() bool { return u.get("/1000/a") == larder.Hit })
		u.Logf("without a server a request took %v at most, %v when a second had passed; the cache was back after %v", first, later, back)
	})
}

// Nobody waits for a server that is known to be away.
func TestServerThatCannotBeReached(t *testing.T) {
	onEachStore(t, false, func(u *user) {
		lookup := func() error {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			_, err := u.store.Lookup(ctx, "key")
			return err
		}
		if err := lookup(); err != nil {
			u.Fatal(err)
		}
		u.proxy.Stop()
		u.eventually("it is noticed", func() bool {
			err := lookup()
			return err != nil && strings.Contains(err.Error(), u.proxy.Listen)
		})
		from := time.Now()
		for range 20 {
			if lookup() == nil {
				u.Fatal("a lookup without a server")
			}
		}
		if took := time.Since(from); took > 4*time.Second {
			u.Errorf("20 lookups without a server took %v", took)
		}
		if err := u.proxy.Start(); err != nil {
			u.Fatal(err)
		}
		u.Logf("back after %v", u.eventually("the store works", func() bool { return lookup() == nil }))
	})
}

func TestServerThatDoesNotAnswer(t *testing.T) {
	onEachStore(t, false, func(u *user) {
		u.get("/1000/a")
		remove := u.proxy.add("hole", "timeout", `"attributes":{"timeout":0}`)
		from := time.Now()
		u.get("/1000/a")
		if took := time.Since(from); took > 3*time.Second { // StoreTimeout is 2
			u.Errorf("the first request without an answer took %v", took)
		}
		for i := range 30 {
			from := time.Now()
			u.get("/1000/a")
			u.get("/300000/b")
			if took := time.Since(from); took > time.Second {
				u.Errorf("two requests without an answer took %v the %d. time", took, i+2)
			}
		}
		remove()
		u.eventually("the cache is back", func() bool { return u.get("/1000/a") == larder.Hit })
	})
}

// What is kept near may be old for as long as it takes to notice that the server is not heard any more.
func TestNearRecordsAreForgottenWhenTheConnectionHangs(t *testing.T) {
	server := os.Getenv("REDIS_URL")
	if server == "" {
		t.Skip("REDIS_URL names no server, so it is not tested")
	}
	p := newProxy(t, host(t, server))
	o := &redis.Options{Prefix: "larder-test-" + strings.ToLower(rand.Text())}
	t.Cleanup(func() { empty(t, server, o.Prefix) })
	direct, err := redis.Open(context.Background(), server, o)
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close()
	o.Near = 1 << 20
	near, err := redis.Open(context.Background(), "redis://"+p.Listen, o)
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	u := newUser(t, p, near)
	var r *store.Record
	has := func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		found, err := near.Lookup(ctx, r.Key)
		return err == nil && len(found) > 0
	}
	removed := func(path string) (kept bool, heal func()) {
		u.get(path)
		r = nil
		for r = range direct.Find(context.Background(), store.Query{URL: u.origin.URL + path}) {
		}
		if r == nil {
			t.Fatal("nothing was stored")
		}
		if !has() {
			t.Fatal("it cannot be looked up")
		}
		heal = p.add("hole", "timeout", `"attributes":{"timeout":0}`)
		if err := direct.Delete(context.Background(), r.Key); err != nil {
			t.Fatal(err)
		}
		return has(), heal
	}
	kept, heal := removed("/1000/0")
	for i := 1; !kept && i < 5; i++ { // the message that it was stored may have come behind the look, and made it forgotten
		heal()
		kept, heal = removed(fmt.Sprint("/1000/", i))
	}
	defer heal()
	if !kept {
		t.Error("it is not kept near, so the test shows nothing")
	}
	from := time.Now()
	u.eventually("the record is forgotten", func() bool { return !has() })
	if took := time.Since(from); took > 11*time.Second { // 10, and a second for a busy machine
		t.Errorf("a record that is gone was served for %v", took)
	} else {
		t.Logf("a record that is gone was served for %v", took)
	}
}
