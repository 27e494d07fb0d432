package behaviour

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

// leases are tests of processes that share a store, each of which is a cache here.
var leases = []test{
	{name: "LeaseTime is nothing to a store without leases", run: func(t *T) {
		u, _ := t.distant() // which hides what else the store can do
		u.cache.LeaseTime = time.Minute
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		u.get("/a").want(larder.Miss, "/a 1")
		u.get("/a").want(larder.Hit, "/a 1")
	}},
	{name: "two processes that want the same at once are one request", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		ps := t.processes(2)
		g := t.origin.hold("/a")
		p := t.start(100, func(i int) answer { return ps[i%2].try("GET", "/a") })
		t.settle()
		g.open()
		t.wantAll(p.done(), "/a 1")
		t.wantHits("/a", 1)
	}},
	{name: "so are two that want what is stale", run: func(t *T) {
		t.origin.tagged("/a", `"1"`, "one", "Cache-Control", "max-age=60")
		t.get("/a")
		t.clock.advance(time.Hour)
		ps := t.processes(2)
		g := t.origin.hold("/a")
		p := t.start(10, func(i int) answer { return ps[i%2].try("GET", "/a") })
		t.settle()
		g.open()
		t.wantAll(p.done(), "one")
		t.wantHits("/a", 2)
	}},
	{name: "the next request does not wait for a lease that has been used", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		for i, u := range t.processes(2) {
			began := time.Now()
			u.get("/a", mode(larder.PreferStored)).want([]larder.Outcome{larder.Miss, larder.Hit}[i], "/a 1")
			equal(t, "time", time.Since(began), 0)
			t.settle()
		}
		t.clock.advance(time.Hour)
		u := t.processes(1)[0]
		began := time.Now()
		u.get("/a").want(larder.Miss, "/a 2")
		equal(t, "time", time.Since(began), 0)
	}},
	{name: "who has waited for long enough asks the origin himself", run: func(t *T) {
		t.takeLease("/a", time.Hour)
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		u := t.processes(1)[0]
		u.cache.LeaseWait = 3 * time.Second
		began := time.Now()
		u.get("/a").want(larder.Miss, "/a 1")
		equal(t, "time", time.Since(began), 3*time.Second)
	}},
	{name: "a process that is gone is waited for until its lease ends", run: func(t *T) {
		t.takeLease("/a", 2*time.Second)
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		u := t.processes(1)[0]
		u.cache.LeaseWait = time.Minute
		began := time.Now()
		u.get("/a").want(larder.Miss, "/a 1")
		if took := time.Since(began); took < 2*time.Second || took > 2500*time.Millisecond {
			t.Errorf("waited %v for a lease of 2 s", took)
		}
	}},
	{name: "a lease is renewed as long as its holder is at work", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		ps := t.processes(2)
		g := t.origin.hold("/a")
		for _, u := range ps {
			u.cache.LeaseTime, u.cache.LeaseWait = time.Second, time.Hour
		}
		p := t.start(2, func(i int) answer { return ps[i].try("GET", "/a") })
		time.Sleep(30 * time.Second) // in the bubble's time
		t.wantHits("/a", 1)
		g.open()
		t.wantAll(p.done(), "/a 1")
		t.wantHits("/a", 1)
	}},
	{name: "what may not be stored is waited for once", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "no-store")
		ps := t.processes(2)
		for _, u := range ps {
			u.get("/a")
		}
		g := t.origin.hold("/a")
		p := t.start(10, func(i int) answer { return ps[i%2].try("GET", "/a") })
		t.settle()
		t.wantHits("/a", 12)
		g.open()
		for _, a := range p.done() {
			a.wantStatus(larder.Miss, 200)
		}
	}},
	{name: "an origin that fails is no reason to keep the lease", run: func(t *T) {
		down := t.down()
		down.cache.LeaseTime = time.Hour
		if a := down.try("GET", "/a"); a.err == nil {
			t.Errorf("got %v %d", a.Outcome, a.status)
		}
		t.settle()
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		u := t.processes(1)[0]
		began := time.Now()
		u.get("/a").wantStatus(larder.Miss, 200)
		equal(t, "time", time.Since(began), 0)
	}},
	{name: "Close gives leases back, and does not wait for who lets a body lie", run: func(t *T) {
		u := t.processes(1)[0]
		t.origin.page("/a", large, "Cache-Control", "max-age=60")
		a := u.send("GET", "/a") // and not read
		for range 2 {
			began := time.Now()
			if err := u.cache.Close(t.Context()); err != nil {
				t.Errorf("Close: %v", err)
			}
			equal(t, "time", time.Since(began), 0)
		}
		t.takeLease("/a", time.Hour)
		a.resp.Body.Close()
		t.origin.numbered("/b", "Cache-Control", "max-age=60")
		u.get("/b").want(larder.Miss, "/b 1") // with a lease again
	}},
	{name: "who has waited for another goes by what is stored then", run: func(t *T) {
		t.takeLease("/a", 2*time.Second)
		t.origin.tagged("/a", `"1"`, "one", "Cache-Control", "no-cache")
		u := t.processes(1)[0]
		p := t.start(1, func(int) answer { return u.try("GET", "/a") })
		time.Sleep(time.Second) // in the bubble's time
		t.get("/a").want(larder.Miss, "one")
		p.done()[0].want(larder.Revalidated, "one")
		t.wantStored(1)
	}},
	{name: "a caller who leaves waits for no lease", run: func(t *T) {
		t.takeLease("/a", time.Hour)
		u := t.processes(1)[0]
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if a := u.try("GET", "/a", under(ctx)); !errors.Is(a.err, context.DeadlineExceeded) {
			t.Errorf("got %v %d, error %v", a.Outcome, a.status, a.err)
		}
		t.settle()
		t.wantHits("/a", 0)
	}},
	{name: "a store whose leases fail, or cannot be given back, costs nothing", run: func(t *T) {
		for given, what := range map[bool]string{false: "fail", true: "cannot be given back"} {
			u, f := t.distant()
			failing := &faultyLeases{f, with(errBroken), given, 0}
			u.cache.Store, u.cache.LeaseTime = failing, time.Minute
			for i := range 10 { // it is not left alone for that
				path := fmt.Sprint("/", given, i)
				t.origin.numbered(path, "Cache-Control", "max-age=60")
				u.get(path).want(larder.Miss, path+" 1")
				u.get(path).want(larder.Hit, path+" 1")
			}
			t.settle()
			equal(t, "leases that "+what, failing.n, 10)
			u.wantFailures("lease", errBroken)
		}
		equal(t, "failures told of", len(t.journal.of(larder.StoreFailed)), 20)
	}},
	{name: "a store whose leases hang costs StoreTimeout once", run: func(t *T) {
		u, f := t.distant()
		u.cache.Store, u.cache.LeaseTime = &faultyLeases{f, hang, false, 0}, time.Minute
		for i, want := range []time.Duration{2 * time.Second, 0} {
			path := fmt.Sprint("/", i)
			t.origin.numbered(path, "Cache-Control", "max-age=60")
			began := time.Now()
			u.get(path).want(larder.Miss, path+" 1")
			equal(t, "time", time.Since(began), want)
		}
	}},
}

// processes returns n caches with leases on the test's store; the test ends here where that gives none.
func (t *T) processes(n int) []*T {
	if _, ok := store.As[store.Leaser](t.store); !ok {
		t.Skip("the store is no store.Leaser")
	}
	var us []*T
	for range n {
		c := t.newCache()
		c.LeaseTime = 10 * time.Second
		us = append(us, t.through(c))
	}
	return us
}

// takeLease takes, as another process, the lease that a GET of path needs.
func (t *T) takeLease(path string, ttl time.Duration) {
	t.Helper()
	t.processes(0)
	e, err := t.cache.Explain(t.Context(), t.request("GET", path))
	if err != nil {
		t.Fatal(err)
	}
	leaser, _ := store.As[store.Leaser](t.store)
	held, err := leaser.Lease(t.Context(), e.Key+"\x00GET\x00", store.NewID(t.clock.Now()), ttl)
	if !held || err != nil {
		t.Fatalf("Lease: %v, %v", held, err)
	}
}

// faultyLeases is a store that can do all but give leases, or take them back.
type faultyLeases struct {
	*faults
	fault func(context.Context) error
	given bool
	n     int
}

func (f *faultyLeases) Lease(ctx context.Context, _ store.Key, _ store.ID, _ time.Duration) (bool, error) {
	f.n++
	if f.given {
		return true, nil
	}
	return false, f.fault(ctx)
}

func (f *faultyLeases) Release(ctx context.Context, _ store.Key, _ store.ID) error {
	return f.fault(ctx)
}
