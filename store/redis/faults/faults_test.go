package faults

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/redis"
)

var sizes = []int{0, 1000, 40_000, 3_000_000}

func TestSlowNetwork(t *testing.T) {
	onEachClient(t, func(t *testing.T, p *proxy, s *redis.Store) {
		u := newUser(t, s)
		p.add("slow", "latency", "downstream", `"latency":150,"jitter":20`)
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				path := fmt.Sprintf("/%d/%d", max(1, sizes[i%len(sizes)]), i)
				if first, second := u.get(path), u.get(path); first != larder.Miss || second != larder.Hit {
					t.Errorf("%s was answered by a %v and a %v, want a miss and a hit", path, first, second)
				}
			})
		}
		all.Wait()
	})
}

func TestConnectionsThatBreak(t *testing.T) {
	onEachClient(t, func(t *testing.T, p *proxy, s *redis.Store) {
		u := newUser(t, s)
		hits := 0
		for round := range 8 {
			cut := fmt.Sprint("cut", round) // each connection after so many bytes
			mend := p.add(cut, "limit_data", "downstream", fmt.Sprintf(`"bytes":%d`, 900_000+round*123_457))
			var all sync.WaitGroup
			var mu sync.Mutex
			for i := range 8 {
				all.Go(func() {
					outcome := u.get(fmt.Sprintf("/%d/%d", sizes[i%len(sizes)], i))
					mu.Lock()
					defer mu.Unlock()
					if outcome == larder.Hit {
						hits++
					}
				})
			}
			all.Wait()
			mend()
		}
		if hits < 16 {
			t.Errorf("%d of 64 requests were hits; the cache hardly works", hits)
		}
	})
}

func TestServerStopsAndComesBack(t *testing.T) {
	onEachClient(t, func(t *testing.T, p *proxy, s *redis.Store) {
		u := newUser(t, s)
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
	})
}

func TestServerThatDoesNotAnswer(t *testing.T) {
	onEachClient(t, func(t *testing.T, p *proxy, s *redis.Store) {
		u := newUser(t, s)
		u.cache.StoreTimeout = 500 * time.Millisecond
		u.get("/1000/a")
		mend := p.add("hole", "timeout", "downstream", `"timeout":0`)
		began := time.Now()
		for i := range 30 {
			from := time.Now()
			u.get("/1000/a")
			u.get("/300000/b")
			if took := time.Since(from); took > 100*time.Millisecond && from.Sub(began) > 3*time.Second {
				t.Errorf("two requests without a server took %v the %d. time", took, i+1)
			}
		}
		mend()
		u.eventually("the cache is back", func() bool { return u.get("/1000/a") == larder.Hit })
	})
}

// What is kept near may be old for as long as it takes to notice that the server is not heard any more.
func TestNearRecordsAreForgottenWhenTheConnectionHangs(t *testing.T) {
	p := newProxy(t)
	o := &redis.Options{Prefix: prefix(t)}
	direct, err := redis.Open(context.Background(), os.Getenv("REDIS_URL"), o)
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
	u := newUser(t, near)
	u.get("/1000/a")
	var r *store.Record
	for r = range direct.Find(context.Background(), store.Query{URL: u.origin.URL + "/1000/a"}) {
	}
	if r == nil {
		t.Fatal("nothing was stored")
	}
	has := func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		found, err := near.Lookup(ctx, r.Key)
		return err == nil && len(found) > 0
	}
	if !has() {
		t.Fatal("it cannot be looked up")
	}
	defer p.add("hole", "timeout", "downstream", `"timeout":0`)()
	if err := direct.Delete(context.Background(), r.Key); err != nil {
		t.Fatal(err)
	}
	if !has() {
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
