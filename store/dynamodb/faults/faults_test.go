package faults

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/larder"
)

var sizes = []int{0, 1000, 40_000, 3_000_000}

func TestSlowNetwork(t *testing.T) {
	u, p := newUser(t)
	u.cache.StoreTimeout = 10 * time.Second // the server may be slow as well
	p.add("slow", "latency", "downstream", `"attributes":{"latency":150,"jitter":20}`)
	var all sync.WaitGroup
	for i := range 16 {
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
	u, p := newUser(t)
	u.cache.StoreTimeout = 10 * time.Second
	var hits atomic.Int32
	for round := range 8 {
		remove := p.add(fmt.Sprint("cut", round), "limit_data", "downstream", fmt.Sprintf(`"toxicity":0.33,"attributes":{"bytes":%d}`, 100+round*round*20_011))
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
	if n := hits.Load(); n < 48 { // all but the first of each, as a rule
		t.Errorf("%d of 64 requests were hits; the cache hardly works", n)
	}
}

func TestServerStopsAndComesBack(t *testing.T) {
	u, p := newUser(t)
	u.get("/1000/a")
	p.Stop()
	for i := range 20 {
		from := time.Now()
		u.get("/1000/a")
		u.get("/300000/b")
		if took := time.Since(from); took > time.Second {
			t.Errorf("two requests without a server took %v the %d. time", took, i+1)
		}
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	u.eventually("the cache is back", func() bool { return u.get("/1000/a") == larder.Hit })
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
