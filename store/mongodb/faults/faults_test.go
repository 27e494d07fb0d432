package faults

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/larder-go/larder"
)

var rounds = flag.Int("rounds", 8, "how often TestConnectionsThatBreak asks for everything")

var sizes = []int{0, 1000, 40_000, 3_000_000}

// patient lets calls wait for the only connection that MONGODB_URI may allow.
func patient() *options.ClientOptions {
	return options.Client().SetServerSelectionTimeout(20 * time.Second)
}

func TestSlowNetwork(t *testing.T) {
	u, p := newUser(t, patient())
	u.cache.StoreTimeout = 20 * time.Second // the server may be slow as well
	p.add("slow", "latency", "downstream", `"attributes":{"latency":150,"jitter":20}`)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			path := fmt.Sprintf("/%d/%d", max(1, sizes[i%len(sizes)]), i) // that of nothing ends before it is stored
			if first, second := u.get(path), u.get(path); first != larder.Miss || second != larder.Hit {
				t.Errorf("%s was answered by a %v and a %v, want a miss and a hit", path, first, second)
			}
		})
	}
	all.Wait()
}

// TestConnectionsThatBreak lets a third of the connections break after some bytes, wherever that is in an answer.
func TestConnectionsThatBreak(t *testing.T) {
	u, p := newUser(t, patient())
	u.cache.StoreTimeout = 20 * time.Second
	var hits atomic.Int32
	for round := range *rounds {
		bytes := 100 + (round*20_011*round)%2_000_000
		remove := p.add(fmt.Sprint("cut", round), "limit_data", "downstream", fmt.Sprintf(`"toxicity":0.33,"attributes":{"bytes":%d}`, bytes))
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				if u.get(fmt.Sprintf("/%d/%d", sizes[i%len(sizes)], i)) == larder.Hit {
					hits.Add(1)
				}
			})
		}
		all.Wait()
		remove()
	}
	t.Logf("%d of %d requests were hits", hits.Load(), 8**rounds)
	if n := int(hits.Load()); n < 4**rounds {
		t.Errorf("%d of %d requests were hits; the cache hardly works", n, 8**rounds)
	}
}

func TestServerStopsAndComesBack(t *testing.T) {
	u, p := newUser(t)
	u.get("/1000/a")
	p.Stop()
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
	if first > 3*time.Second || later > time.Second/4 {
		t.Errorf("without a server a request took up to %v, and %v when a second had passed", first, later)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	back := u.eventually("the cache is back", func() bool { return u.get("/1000/a") == larder.Hit })
	t.Logf("without a server a request took %v at most, %v when a second had passed; the cache was back after %v", first, later, back)
}

// Nobody waits for a server that is known to be away.
func TestServerThatCannotBeReached(t *testing.T) {
	u, p := newUser(t)
	lookup := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_, err := u.store.Lookup(ctx, "key")
		return err
	}
	if err := lookup(); err != nil {
		t.Fatal(err)
	}
	p.Stop()
	u.eventually("it is noticed", func() bool {
		err := lookup()
		return err != nil && strings.Contains(err.Error(), p.Listen) && strings.Contains(err.Error(), "no server can be reached: dial tcp")
	})
	from := time.Now()
	for range 100 {
		if lookup() == nil {
			t.Fatal("a lookup without a server")
		}
	}
	if took := time.Since(from); took > time.Second {
		t.Errorf("100 lookups without a server took %v", took)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Logf("back after %v", u.eventually("the store works", func() bool { return lookup() == nil }))
}

func TestServerThatDoesNotAnswer(t *testing.T) {
	u, p := newUser(t)
	u.get("/1000/a")
	remove := p.add("hole", "timeout", "downstream", `"attributes":{"timeout":0}`)
	from := time.Now()
	u.get("/1000/a")
	if took := time.Since(from); took > 3*time.Second { // StoreTimeout is 2
		t.Errorf("the first request without an answer took %v", took)
	}
	for i := range 30 {
		from := time.Now()
		u.get("/1000/a")
		u.get("/300000/b")
		if took := time.Since(from); took > time.Second {
			t.Errorf("two requests without an answer took %v the %d. time", took, i+2)
		}
	}
	remove()
	u.eventually("the cache is back", func() bool { return u.get("/1000/a") == larder.Hit })
}
