package storetest

import (
	"fmt"
	"time"

	"github.com/larder-go/larder/store"
)

var sweeping = []test{
	{"Sweep removes what has ended", "KeepUntil is the end of any use", sweepEnded},
	{"Sweep leaves what has no end", "a zero KeepUntil means no such time", sweepEndless},
	{"Sweep goes by the KeepUntil of the last Update", "a 304 lengthens a record's life, or shortens it", sweepUpdated},
	{"Sweep spares a write in progress", "it may be called at any time", sweepBesideWrite},
}

var limiting = []test{
	{"Size counts records and bytes", "it is what the user sees of a store, and what a limit is held against", sizeCounts},
	{"a limited store stays within its limit", "every store is bounded; what it still has is whole", staysWithin},
}

// sweep fails unless Sweep removes as many records as wanted. Remains of writes do not count.
func (t *check) sweep(s store.Sweeper, when string, now time.Time, want int) {
	if n, err := s.Sweep(t.ctx, now); n != want || err != nil {
		t.errorf("Sweep %s: %d removed, %v; want %d", when, n, err, want)
	}
}

// wantCount fails if s counts other than n records.
func (t *check) wantCount(s store.Store, when string, n int) {
	z, ok := store.As[store.Sizer](s)
	if !ok {
		return
	}
	if got, _, err := z.Size(t.ctx); got != n || err != nil {
		t.errorf("Size %s: %d records, %v; want %d", when, got, err, n)
	}
}

func sweepEnded(t *check) {
	s := t.store()
	w := want[store.Sweeper](t, s, "Sweeper")
	var kept, all []*store.Record
	for i := range 12 {
		r := t.record(store.Key(fmt.Sprint("key", i/2)))
		r.KeepUntil = base.Add(time.Duration(i+1) * time.Hour)
		t.put(s, r, i*20_000)
		all = append(all, r)
		if i >= 5 {
			kept = append(kept, r)
		}
	}
	t.sweep(w, "before any has ended", base, 0)
	t.sweep(w, "after 6 hours", base.Add(6*time.Hour), 5) // the KeepUntil of the sixth is not before this time, but equal
	t.wantIDs(s, "key0")
	t.wantIDs(s, "key1")
	t.wantIDs(s, "key2", all[5])
	t.wantIDs(s, "key3", all[7], all[6])
	for i, r := range all {
		if i >= 5 {
			t.wantBody(s, r, i*20_000)
		}
	}
	if f, ok := store.As[store.Finder](s); ok {
		t.wantFound(f, "nothing, after Sweep", store.Query{}, kept...)
	}
	t.sweep(w, "after 6 hours, again", base.Add(6*time.Hour), 0)
	t.sweep(w, "after 24 hours", base.Add(24*time.Hour), 7)
	t.wantCount(s, "after Sweep of all", 0)
}

func sweepEndless(t *check) {
	s := t.store()
	w := want[store.Sweeper](t, s, "Sweeper")
	r := t.record("key")
	r.FreshUntil = base.Add(time.Minute) // stale is not ended
	t.put(s, r, 100_000)
	t.sweep(w, "in 100 years", base.Add(100*365*24*time.Hour), 0)
	t.wantIDs(s, "key", r)
	t.wantBody(s, t.one(s, "key"), 100_000)
}

func sweepUpdated(t *check) {
	s := t.store()
	w := want[store.Sweeper](t, s, "Sweeper")
	longer, shorter, endless := t.record("longer"), t.record("shorter"), t.record("endless")
	longer.KeepUntil, shorter.KeepUntil, endless.KeepUntil = base.Add(time.Hour), base.Add(9*time.Hour), base.Add(time.Hour)
	for r, until := range map[*store.Record]time.Time{longer: base.Add(9 * time.Hour), shorter: base.Add(time.Hour), endless: {}} {
		u := t.put(s, r, 10).Clone()
		u.KeepUntil = until
		t.update(s, u)
	}
	t.sweep(w, "after Update", base.Add(5*time.Hour), 1)
	t.wantIDs(s, "longer", longer)
	t.wantIDs(s, "shorter")
	t.wantIDs(s, "endless", endless)
}

func sweepBesideWrite(t *check) {
	s := t.store()
	w := want[store.Sweeper](t, s, "Sweeper")
	const size = 300_000
	r := t.record("key")
	body := bodyOf(r.Key, r.ID, size)
	wr := t.create(s, r, -1)
	defer wr.Close()
	for _, part := range [][]byte{body[:size/2], body[size/2:]} {
		t.sweep(w, "while writing", time.Now(), 0)
		t.write(wr, part)
	}
	w.Sweep(t.ctx, time.Now())
	t.commit(wr, r, size)
	w.Sweep(t.ctx, time.Now())
	t.wantIDs(s, "key", r)
	t.wantBody(s, t.one(s, "key"), size)
}

func sizeCounts(t *check) {
	s := t.store()
	z := want[store.Sizer](t, s, "Sizer")
	size := func(what string, records int) int64 {
		n, bytes, err := z.Size(t.ctx)
		if n != records || err != nil {
			t.errorf("Size %s: %d records, %v; want %d", what, n, err, records)
		}
		if bytes < 0 {
			t.errorf("Size %s: %d bytes", what, bytes)
		}
		return bytes
	}
	grown := func(what string, before, after, body int64) {
		if after < before+body {
			t.errorf("Size %s: %d bytes more, want at least the %d of the body", what, after-before, body)
		}
	}
	empty := size("of an empty store", 0)
	a := t.put(s, t.record("a"), 100)
	one := size("after one record", 1)
	grown("after one record", empty, one, 100)
	b := t.put(s, t.record("b"), 1<<20)
	two := size("after two records", 2)
	grown("after a record of 1 MiB", one, two, 1<<20)
	c := t.put(s, t.record("b"), 1<<19, b.ID)
	after := size("after a smaller one in place of the larger", 2)
	grown("after a smaller one in place of the larger, counted backwards", after, two, 1<<19)
	u := c.Clone()
	u.Status = 299
	t.update(s, u)
	grown("after an Update", one, size("after an Update", 2), 1<<19)
	t.delete(s, "b")
	grown("after Delete, counted backwards", size("after Delete", 1), after, 1<<19)
	t.delete(s, "a", a.ID)
	if bytes := size("after Delete of all", 0); bytes >= after {
		t.errorf("Size after Delete of all: %d bytes, not less than %d before", bytes, after)
	}
}

// limit is what a limited store may hold.
const limit = 1 << 20

func (t *check) limited() store.Store {
	if t.kit.OpenLimited == nil {
		t.skip("the kit has no OpenLimited")
	}
	s, err := t.kit.OpenLimited(t.dir, limit)
	if err != nil {
		t.fatalf("open a limited store: %v", err)
	}
	t.closeLater(s)
	return s
}

// within fails if s holds more than its limit, after a Sweep.
func (t *check) within(s store.Store) {
	if w, ok := store.As[store.Sweeper](s); ok {
		if _, err := w.Sweep(t.ctx, base); err != nil {
			t.errorf("Sweep: %v", err)
		}
	}
	if z, ok := store.As[store.Sizer](s); ok {
		if n, bytes, err := z.Size(t.ctx); bytes > limit || err != nil {
			t.errorf("Size: %d bytes in %d records, %v; want no more than %d", bytes, n, err, limit)
		}
	}
}

func staysWithin(t *check) {
	s := t.limited()
	const n, size = 200, 20_000
	bodies := 0
	var last *store.Record
	for i := range n {
		last = t.put(s, t.record(store.Key(fmt.Sprint("key", i))), size+i)
		if i%20 == 0 {
			t.within(s)
		}
	}
	t.within(s)
	t.wantIDs(s, last.Key, last)
	for i := range n {
		for _, r := range t.lookup(s, store.Key(fmt.Sprint("key", i))) {
			bodies += size + i
			t.wantBody(s, r, size+i)
		}
	}
	if bodies > limit || bodies == 0 {
		t.errorf("%d bytes of bodies are left, want some and no more than %d", bodies, limit)
	}
}
