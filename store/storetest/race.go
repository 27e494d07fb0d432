package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/larder-go/larder/store"
)

var racing = []test{
	{"a reader finds the old record or the new", "what is superseded goes with the Commit or after it, never before", oldOrNew},
	{"sixteen goroutines do everything at once", "methods are safe for concurrent use, and no body is another's", everythingAtOnce},
	{"two handles do everything at once", "the same, by several processes", twoHandlesAtOnce},
}

func oldOrNew(t *check) {
	s := t.store()
	old := t.put(s, t.record("key"), 1000)
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				found := t.lookup(s, "key")
				if len(found) == 0 {
					t.fatalf("Lookup finds nothing while one record takes another's place")
				}
				t.verify(s, found[0])
			}
		})
	}
	for i := range often(100) {
		old = t.put(s, t.record("key"), 1000+i%2*100_000, old.ID)
	}
	close(done)
	readers.Wait()
	t.wantIDs(s, "key", old)
}

// verify fails if the head or body of r is that of another record. A body that is gone is no failure.
func (t *check) verify(s store.Store, r *store.Record) {
	if got := r.Header.Get("Etag"); got != etag(r.ID) {
		t.errorf("record %v has the head of %s", r.ID, got)
	}
	body, err := t.readAll(s, r)
	switch {
	case err != nil && !gone(err):
		t.errorf("read the body: %v", err)
	case err == nil && !bytes.Equal(body, bodyOf(r.Key, r.ID, int(r.Size))):
		t.errorf("record %v of %s: the body of %d bytes (Size %d) is not its own", r.ID, short(r.Key), len(body), r.Size)
	}
}

func everythingAtOnce(t *check) {
	s := t.store()
	t.mix(s, s)
}

func twoHandlesAtOnce(t *check) {
	if !t.kit.Shared {
		t.skip("the kit says that the store is not shared")
	}
	t.mix(t.store(), t.store())
}

// mix lets goroutines do all that a store can, on few keys, half of them through a and half through b. Then it looks at
// what is left.
func (t *check) mix(a, b store.Store) {
	const goroutines, rounds, keys = 16, 40, 8
	key := func(i int) store.Key { return store.Key(fmt.Sprint("key\x00", i)) }
	var all sync.WaitGroup
	for g := range goroutines {
		s := []store.Store{a, b}[g%2]
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 0))
			for range often(rounds) {
				t.step(s, key(rnd.IntN(keys)), rnd)
			}
		})
	}
	all.Wait()
	total := 0
	for i := range keys {
		found := t.lookup(a, key(i))
		total += len(found)
		t.wantIDs(b, key(i), found...)
		for _, r := range found {
			t.verify(a, r)
			t.wantBody(b, r, int(r.Size))
		}
	}
	t.wantCount(b, "at the end", total)
	if f, ok := store.As[store.Finder](b); ok {
		if n := len(t.find(f, store.Query{})); n != total {
			t.errorf("Find: %d records, want the %d that are found by key", n, total)
		}
	}
}

// step looks key up, does something at random, and then verifies what it had found.
func (t *check) step(s store.Store, key store.Key, rnd *rand.Rand) {
	found := t.lookup(s, key)
	if !slices.IsSortedFunc(found, func(a, b *store.Record) int { return b.ID.Compare(a.ID) }) {
		t.errorf("Lookup: not newest first: %v", ids(found))
	}
	for _, r := range found {
		if r.Key != key {
			t.errorf("Lookup of %s finds a record of %s", short(key), short(r.Key))
		}
	}
	t.act(s, key, found, rnd)
	for _, r := range found {
		t.verify(s, r)
	}
}

// act does one of the things that a store can do with key, under which found was found.
func (t *check) act(s store.Store, key store.Key, found []*store.Record, rnd *rand.Rand) {
	switch rnd.IntN(8) {
	case 0, 1, 2: // store, in place of all that was there
		var old []store.ID
		for _, r := range found {
			old = append(old, r.ID)
		}
		t.put(s, t.record(key), []int{0, 10, 5000, 70_000, 250_000}[rnd.IntN(5)], old...)
	case 3: // write, but do not commit
		r := t.record(key)
		w := t.create(s, r, -1)
		t.write(w, bodyOf(key, r.ID, rnd.IntN(100_000)))
		t.close(w)
	case 4:
		for _, r := range found {
			u := r.Clone()
			u.Status = 200 + rnd.IntN(100)
			if err := s.Update(t.ctx, u); err != nil && !errors.Is(err, store.ErrNotFound) {
				t.errorf("Update: %v", err)
			}
		}
	case 5:
		if len(found) > 0 {
			t.delete(s, key, found[len(found)-1].ID)
		}
	case 6:
		if rnd.IntN(4) == 0 {
			t.delete(s, key)
		}
		if w, ok := store.As[store.Sweeper](s); ok {
			if _, err := w.Sweep(t.ctx, base.Add(-time.Hour)); err != nil {
				t.errorf("Sweep: %v", err)
			}
		}
	case 7:
		if f, ok := store.As[store.Finder](s); ok {
			for r, err := range f.Find(t.ctx, store.Query{Key: key}) {
				if err != nil {
					t.errorf("Find: %v", err)
				} else if r.Key != key || r.Header.Get("Etag") != etag(r.ID) {
					t.errorf("Find of %s yields a record of %s, or another's head", short(key), short(r.Key))
				}
			}
		}
	}
}
