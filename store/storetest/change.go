package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-go/larder/store"
)

var changing = []test{
	{"Update replaces the head alone", "a 304 changes metadata, never the body or its Size", update},
	{"Update leaves the other variants alone", "it is about the record with this Key and ID", updateOthers},
	{"Update of what is gone changes nothing", "it returns ErrNotFound and never resurrects", updateGone},
	{"Update beside Delete never resurrects", "whichever comes first, a deleted record stays deleted", updateBesideDelete},
	{"Delete removes the named ids", "the other records of the key stay, and other keys", deleteIDs},
	{"Delete without ids removes all of the key", "and nothing of other keys", deleteAll},
	{"Delete of what is absent is no error", "what is not there is gone already", deleteAbsent},
	{"what was deleted can be stored again", "a key is not used up", storeAgain},
	{"a cancelled call returns and harms nothing", "the caller is never worse off than without a cache", cancelledCalls},
}

func (t *check) delete(s store.Store, key store.Key, ids ...store.ID) {
	if err := s.Delete(t.ctx, key, ids...); err != nil {
		t.fatalf("Delete of %s: %v", short(key), err)
	}
}

func (t *check) update(s store.Store, r *store.Record) {
	if err := s.Update(t.ctx, r); err != nil {
		t.fatalf("Update: %v", err)
	}
}

func update(t *check) {
	s := t.store()
	for _, size := range []int{0, 100, 200_000} {
		key := store.Key(fmt.Sprint("key", size))
		t.put(s, t.record(key), size)
		for round, spoil := range []func(u *store.Record){ // neither Body nor Size is the Update's business
			func(u *store.Record) { u.Body, u.Size = []byte("no body"), 7 },
			func(u *store.Record) { u.Size++ },
			func(u *store.Record) { u.Body = bytes.Repeat([]byte("x"), len(u.Body)) },
			func(u *store.Record) { u.Body = u.Body[:len(u.Body)/2] },
		} {
			u := t.one(s, key).Clone()
			u.Status, u.URL = 210+round, fmt.Sprint("https://example.com/", round)
			u.Header = http.Header{"Round": {fmt.Sprint(round)}}
			u.Requested, u.Received = base.Add(time.Second), base.Add(time.Minute)
			u.FreshUntil, u.KeepUntil = base.Add(time.Hour), base.Add(24*time.Hour)
			u.Tags = []string{fmt.Sprint("tag", round)}
			said := u.Clone()
			spoil(u)
			spoilt := u.Clone()
			t.update(s, u)
			if u.Size != spoilt.Size || !bytes.Equal(u.Body, spoilt.Body) {
				t.errorf("Update changed the record that it was given")
			}
			got := t.one(s, key)
			t.sameHead(got, said)
			t.wantBody(s, got, size)
		}
	}
}

func updateOthers(t *check) {
	s := t.store()
	a, b, c := t.put(s, t.record("key"), 10), t.put(s, t.record("key"), 100_000), t.put(s, t.record("key"), 10)
	u := b.Clone()
	u.Status = 299
	t.update(s, u)
	t.wantIDs(s, "key", c, b, a)
	for i, want := range []*store.Record{c, u, a} {
		t.sameHead(t.lookup(s, "key")[i], want)
	}
}

func updateGone(t *check) {
	s := t.store()
	never := t.record("key")
	deleted := t.put(s, t.record("key"), 10)
	t.delete(s, "key", deleted.ID)
	superseded := t.put(s, t.record("key"), 100_000)
	stays := t.put(s, t.record("key"), 10, superseded.ID)
	misplaced := stays.Clone()
	misplaced.Key = "elsewhere"
	cleared := t.put(s, t.record("cleared"), 10)
	t.delete(s, "cleared")
	for what, r := range map[string]*store.Record{
		"never stored": never, "deleted": deleted, "superseded": superseded, "of another key": misplaced, "whose key was deleted": cleared,
	} {
		u := r.Clone()
		u.Status, u.Body = 299, []byte("resurrected")
		u.Size = int64(len(u.Body))
		if err := s.Update(t.ctx, u); !errors.Is(err, store.ErrNotFound) {
			t.errorf("Update of a record %s: %v, want ErrNotFound", what, err)
		}
	}
	t.wantIDs(s, "key", stays)
	t.wantIDs(s, "elsewhere")
	t.wantIDs(s, "cleared")
	t.sameHead(t.one(s, "key"), stays)
	t.wantCount(s, "at the end", 1)
}

func updateBesideDelete(t *check) {
	s := t.store()
	other := s
	if t.kit.Shared {
		other = t.store()
	}
	for round := range 20 {
		r := t.put(s, t.record("key"), 100+round%2*100_000)
		var deleted atomic.Bool
		var all sync.WaitGroup
		for i := range 3 {
			all.Go(func() {
				u := r.Clone()
				u.Status = 210 + i
				for { // until it meets the Delete, so that none of them is early
					late := deleted.Load()
					err := s.Update(t.ctx, u)
					if errors.Is(err, store.ErrNotFound) {
						return
					}
					if err != nil || late {
						t.errorf("Update, begun after Delete: %v: %v, want ErrNotFound", late, err)
						return
					}
				}
			})
		}
		all.Go(func() {
			defer deleted.Store(true)
			t.delete(other, "key", r.ID)
		})
		all.Wait()
		t.wantIDs(s, "key")
	}
}

func deleteIDs(t *check) {
	s := t.store()
	a, b, c, d := t.put(s, t.record("key"), 10), t.put(s, t.record("key"), 200_000), t.put(s, t.record("key"), 10), t.put(s, t.record("key"), 200_000)
	other := t.put(s, t.record("other"), 10)
	t.delete(s, "key", b.ID)
	t.wantIDs(s, "key", d, c, a)
	t.delete(s, "key", a.ID, c.ID)
	t.wantIDs(s, "key", d)
	t.wantBody(s, t.one(s, "key"), 200_000)
	t.delete(s, "key", other.ID)
	t.wantIDs(s, "other", other)
	t.delete(s, "key", d.ID)
	t.wantIDs(s, "key")
}

func deleteAll(t *check) {
	s := t.store()
	for i := range 5 {
		t.put(s, t.record("key"), i*50_000)
	}
	other := t.put(s, t.record("key2"), 10)
	t.delete(s, "key")
	t.wantIDs(s, "key")
	t.wantIDs(s, "key2", other)
	t.wantBody(s, t.one(s, "key2"), 10)
}

func deleteAbsent(t *check) {
	s := t.store()
	t.delete(s, "absent")
	t.delete(s, "absent", store.NewID(base))
	r := t.put(s, t.record("key"), 10)
	t.delete(s, "key", store.NewID(base), store.ID{})
	t.wantIDs(s, "key", r)
	t.delete(s, "key", store.NewID(base), r.ID, r.ID)
	t.delete(s, "key", r.ID)
	t.delete(s, "key")
	t.wantIDs(s, "key")
}

func storeAgain(t *check) {
	s := t.store()
	for i := range 4 {
		r := t.put(s, t.record("key"), i*70_000)
		t.wantIDs(s, "key", r)
		t.wantBody(s, t.one(s, "key"), i*70_000)
		t.delete(s, "key")
		t.wantIDs(s, "key")
	}
}

func cancelledCalls(t *check) {
	s := t.store()
	const size = 200_000
	ctx, _ := contextWithCancel(t, true)
	for i := range 2 * 4 { // reads first: a cancelled call must not spoil what the store keeps open
		r := t.put(s, t.record(store.Key(fmt.Sprint("key", i))), size)
		switch i % 4 {
		case 0:
			found, err := s.Lookup(ctx, r.Key)
			if err == nil && len(found) != 1 {
				t.errorf("cancelled Lookup: no record and no error")
			}
			if errors.Is(err, store.ErrCorrupt) {
				t.errorf("cancelled Lookup: %v; the record is not damaged", err)
			}
		case 1:
			b, err := s.Open(ctx, r)
			if err == nil {
				t.close(b)
			} else if gone(err) {
				t.errorf("cancelled Open: %v; the body is there", err)
			}
		case 2:
			u := r.Clone()
			u.Status = 299
			err := s.Update(ctx, u)
			if errors.Is(err, store.ErrNotFound) {
				t.errorf("cancelled Update: %v; the record is there", err)
			}
			if got := t.one(s, r.Key); err == nil && got.Status != 299 {
				t.errorf("cancelled Update changed nothing and returned no error")
			}
		case 3:
			if err := s.Delete(ctx, r.Key); err == nil {
				t.wantIDs(s, r.Key)
				continue
			}
		}
		t.wantIDs(s, r.Key, r)
		t.wantBody(s, t.one(s, r.Key), size)
	}
	if f, ok := store.As[store.Finder](s); ok {
		for r, err := range f.Find(ctx, store.Query{}) {
			if r == nil && err == nil {
				t.errorf("cancelled Find yields neither a record nor an error")
			}
		}
	}
	if w, ok := store.As[store.Sweeper](s); ok {
		w.Sweep(ctx, base.Add(-time.Hour)) // may fail, or find nothing to do
	}
	r := t.put(s, t.record("after"), size)
	t.wantIDs(s, "after", r)
}
