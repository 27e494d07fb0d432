package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-go/larder/store"
)

var leasing = []test{
	{"a lease has one holder", "others wait for who holds it, or ask the origin as well", leaseOnce},
	{"a lease is for one key", "a lease changes nothing for other keys, nor for records", leaseByKey},
	{"Release ends one's own lease alone", "a holder who is late must not end the lease of the next", leaseReleased},
	{"a lease ends by itself, and not before", "its holder may be gone; while it lives it renews", leaseEnds},
	{"a lease of the far future is held by nobody", "a process whose clock was ahead left it, and every request would wait for it", leaseFuture},
	{"of many at once one gets the lease", "many come at the same moment when something popular turns stale", leaseRace},
}

const longLease = time.Minute

// lease fails unless holder gets the lease, or does not, as wanted.
func (t *check) lease(l store.Leaser, what string, key store.Key, holder store.ID, ttl time.Duration, want bool) {
	held, err := l.Lease(t.ctx, key, holder, ttl)
	if err != nil {
		t.fatalf("Lease %s: %v", what, err)
	}
	if held != want {
		t.errorf("Lease %s: %v, want %v", what, held, want)
	}
}

func (t *check) release(l store.Leaser, key store.Key, holder store.ID) {
	if err := l.Release(t.ctx, key, holder); err != nil {
		t.fatalf("Release: %v", err)
	}
}

func leaseOnce(t *check) {
	l := want[store.Leaser](t, t.store(), "Leaser")
	a, b := store.NewID(base), store.NewID(base)
	t.lease(l, "that is free", "key", a, longLease, true)
	t.lease(l, "that another holds", "key", b, longLease, false)
	t.lease(l, "that one holds oneself", "key", a, longLease, true)
	t.lease(l, "that another holds and has renewed", "key", b, longLease, false)
	if t.kit.Shared {
		t.lease(want[store.Leaser](t, t.store(), "Leaser"), "that the other handle gave", "key", b, longLease, false)
	}
}

func leaseByKey(t *check) {
	s := t.store()
	l := want[store.Leaser](t, s, "Leaser")
	a, b := store.NewID(base), store.NewID(base)
	r := t.put(s, t.record("key"), 10)
	t.lease(l, "of a key that is stored", "key", a, longLease, true)
	t.lease(l, "of another key", "key2", b, longLease, true)
	t.wantIDs(s, "key", r)
	t.wantIDs(s, "key2")
	t.delete(s, "key")
	t.lease(l, "whose records were deleted", "key", b, longLease, false)
	if f, ok := store.As[store.Finder](s); ok {
		t.wantFound(f, "nothing, beside leases", store.Query{})
	}
	t.wantCount(s, "beside leases", 0)
	if w, ok := store.As[store.Sweeper](s); ok {
		t.sweep(w, "beside leases", base, 0)
		t.lease(l, "that is held, after Sweep", "key", b, longLease, false)
	}
}

func leaseReleased(t *check) {
	l := want[store.Leaser](t, t.store(), "Leaser")
	a, b := store.NewID(base), store.NewID(base)
	t.release(l, "key", a) // releasing what nobody holds is not an error
	t.lease(l, "that is free", "key", a, longLease, true)
	t.release(l, "key", b)
	t.lease(l, "that a stranger released", "key", b, longLease, false)
	t.release(l, "key", a)
	t.lease(l, "that was released", "key", b, longLease, true)
	t.release(l, "key", a)
	t.lease(l, "that its last holder released once more", "key", a, longLease, false)
}

func leaseEnds(t *check) {
	l := want[store.Leaser](t, t.store(), "Leaser")
	const ttl = 2 * time.Second
	a, b := store.NewID(base), store.NewID(base)
	t.lease(l, "that is free", "key", a, time.Second/4, true)
	renewed := time.Now()
	t.lease(l, "to renew it", "key", a, ttl, true)
	for {
		held, err := l.Lease(t.ctx, "key", b, longLease)
		if err != nil {
			t.fatalf("Lease: %v", err)
		}
		passed := time.Since(renewed)
		if held && passed < ttl*3/4 { // clocks and their units differ a little
			t.fatalf("a lease of %v ended after %v", ttl, passed)
		}
		if held {
			break
		}
		if passed > 10*ttl {
			t.fatalf("a lease of %v is held after %v", ttl, passed)
		}
	}
	t.lease(l, "that ended and another took", "key", a, longLease, false)
}

func leaseFuture(t *check) {
	s := t.store()
	l := want[store.Leaser](t, s, "Leaser")
	dead, a, b := store.NewID(base), store.NewID(base), store.NewID(base)
	const far = 365 * 24 * time.Hour
	t.lease(l, "that is free, for a year", "key", dead, far, true)
	t.lease(l, "that another is to hold for a year", "key", a, longLease, true)
	t.lease(l, "that was taken over", "key", b, longLease, false)
	t.lease(l, "that its holder wants for a year", "key", a, far, true)
	t.lease(l, "that another is to hold for a year, for as long", "key", b, far, false)
	if w, ok := store.As[store.Sweeper](s); ok {
		t.sweep(w, "beside leases", base, 0)
	}
	t.lease(l, "that was for a year, after Sweep", "key", b, longLease, true)
}

func leaseRace(t *check) {
	s := t.store()
	handles := []store.Leaser{want[store.Leaser](t, s, "Leaser")}
	if t.kit.Shared {
		handles = append(handles, want[store.Leaser](t, t.store(), "Leaser"))
	}
	for round := range 10 {
		key := store.Key(fmt.Sprint("key", round))
		var all sync.WaitGroup
		var holders atomic.Int32
		for i := range 16 {
			all.Go(func() {
				held, err := handles[i%len(handles)].Lease(t.ctx, key, store.NewID(base), longLease)
				if err != nil {
					t.errorf("Lease: %v", err)
				}
				if held {
					holders.Add(1)
				}
			})
		}
		all.Wait()
		if n := holders.Load(); n != 1 {
			t.errorf("%d of 16 hold the lease of %s, want 1", n, key)
		}
	}
}
