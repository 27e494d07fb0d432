// Package behaviour holds what must be true of a larder.Cache on every store. [Run] runs it on one.
//
// Each test is a sentence about what a caller sees. It has an origin of its own, a store, a clock that stands still
// unless it is advanced, and a cache between them. Tests run inside a testing/synctest bubble, over an HTTP server on
// in-memory connections, so that "everybody waits now" can be said exactly; those marked network run on loopback
// sockets and real time.
package behaviour

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

// Run runs every test on a new store from open each. open sees to it that the store is closed when its test is done;
// files of the store belong below a t.TempDir().
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, s := range subjects {
		t.Run(s.name, func(t *testing.T) {
			for _, x := range s.tests {
				t.Run(x.name, func(t *testing.T) {
					if x.network {
						x.run(newT(t, open, true))
						return
					}
					synctest.Test(t, func(t *testing.T) { x.run(newT(t, open, false)) })
				})
			}
		})
	}
}

type subject struct {
	name  string
	tests []test
}

type test struct {
	name    string
	run     func(*T)
	network bool // on sockets and in real time
}

var subjects = []subject{
	{"lifetime", lifetimes},
	{"rules", rules},
	{"modes", modes},
	{"admin", admin},
	{"redirects", redirects},
	{"request bodies", requestBodies},
	{"variants", variants},
	{"new representations", newRepresentations},
	{"queries", queries},
	{"cache groups", cacheGroups},
	{"variations", variations},
	{"flights", flights},
	{"leases", leases},
	{"streaming", streaming},
	{"connection", connection},
	{"parts", parts},
	{"partial", partial},
	{"partialCrowd", partialCrowd},
	{"isolation", isolation},
	{"stale", stale},
	{"trouble", trouble},
	{"users", users},
	{"accounts", accounts},
	{"standard", standard},
	{"fields", fieldTests},
	{"conformance", conformance},
	{"parity", parity},
	{"stress", stress},
	{"coherence", coherence},
}

// T is one test and what it works with. The cache is not in use yet: its fields may be set.
type T struct {
	*testing.T
	open    func(*testing.T) store.Store
	store   store.Store
	origin  *origin
	clock   *clock
	cache   *larder.Cache
	journal *journal
}

func newT(t *testing.T, open func(*testing.T) store.Store, network bool) *T {
	x := &T{T: t, open: open, store: open(t), clock: &clock{now: time.Now().Truncate(time.Second)}, journal: new(journal)}
	x.origin = newOrigin(t, x.clock, network)
	x.cache = x.newCache()
	x.cache.Observe = x.journal.note
	return x
}

// newCache returns one more cache on the same store and origin.
func (t *T) newCache() *larder.Cache {
	c := &larder.Cache{Base: t.origin.transport, Store: t.store, Now: t.clock.Now}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			t.Errorf("background work goes on after a minute: %v", err)
		}
		t.origin.transport.CloseIdleConnections()
	})
	return c
}

// through returns t with another cache.
func (t *T) through(c *larder.Cache) *T {
	other := *t
	other.cache = c
	return &other
}

// clock is a clock that is set by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// journal keeps the events of a cache.
type journal struct {
	mu     sync.Mutex
	events []larder.Event
}

func (j *journal) note(e larder.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, e)
}

// of returns the events of one kind so far.
func (j *journal) of(kind larder.EventKind) []larder.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []larder.Event
	for _, e := range j.events {
		if e.Kind == kind {
			out = append(out, e)
		}
	}
	return out
}

// records returns what is stored.
func (t *T) records() []*store.Record {
	t.Helper()
	var out []*store.Record
	for r, err := range t.cache.Entries(t.Context(), store.Query{}) {
		if err != nil {
			t.Fatalf("list the store: %v", err)
		}
		out = append(out, r)
	}
	return out
}

// wantStored checks how many responses are stored.
func (t *T) wantStored(n int) {
	t.Helper()
	if got := len(t.records()); got != n {
		t.Errorf("%d responses are stored, want %d", got, n)
	}
}

// wantHits checks how often the origin was asked for a path.
func (t *T) wantHits(path string, n int) {
	t.Helper()
	if got := t.origin.hits(path); got != n {
		t.Errorf("the origin was asked for %s %d times, want %d", path, got, n)
	}
}

// rule makes r the only rule.
func (t *T) rule(r larder.Rule) { t.cache.Rules = []larder.Rule{r} }

func equal[V comparable](t *T, what string, got, want V) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// fail is a RoundTripper for an origin that cannot be reached.
type fail struct{ err error }

func (f fail) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

// settle returns when everything that is under way waits for something; it works inside a bubble only.
func (t *T) settle() {
	t.Helper()
	synctest.Wait()
}

// transport is a RoundTripper made of a function.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
