package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/larder-go/larder/store"
)

var surviving = []test{
	{"records survive closing and opening", "the cache is persistent", survives},
	{"what was not committed does not survive", "a write that was cut off is discarded, also by the next process", cutOff},
	{"a second handle sees what the first does", "several processes may use the same data", secondHandle},
	{"Sweep of one handle spares the writes of another", "Sweep may be called by several processes at once", secondSweep},
	{"a damaged head is left out, reported and removed", "damage is a miss with a reason; readable records are returned beside it", damagedHead},
	{"a damaged body is never read as whole", "stored bytes that are not what was written are ErrCorrupt", damagedBody},
}

func survives(t *check) {
	if !t.kit.Persistent {
		t.skip("the kit says that the store is not persistent")
	}
	s := t.store()
	var want []*store.Record
	for _, size := range sizes {
		if t.fits(size) {
			want = append(want, t.put(s, t.record(store.Key(fmt.Sprint("key", size))), size))
		}
	}
	updated := t.put(s, t.record("updated"), 10).Clone()
	updated.Status = 299
	t.update(s, updated)
	old := t.put(s, t.record("superseded"), 100_000)
	want = append(want, updated, t.put(s, t.record("superseded"), 100_000, old.ID))
	t.put(s, t.record("deleted"), 100_000)
	t.delete(s, "deleted")
	for range 2 {
		s = t.reopen(s)
		for _, r := range want {
			t.wantIDs(s, r.Key, r)
			t.sameHead(t.one(s, r.Key), r)
			t.wantBody(s, t.one(s, r.Key), int(r.Size))
		}
		t.wantIDs(s, "deleted")
		if f, ok := store.As[store.Finder](s); ok {
			t.wantFound(f, "nothing, after opening anew", store.Query{}, want...)
		}
		t.wantCount(s, "after opening anew", len(want))
	}
}

func cutOff(t *check) {
	if !t.kit.Persistent {
		t.skip("the kit says that the store is not persistent")
	}
	s := t.store()
	old := t.put(s, t.record("key"), 100)
	for _, size := range []int{0, 10, 300_000} {
		r := t.record("key")
		w := t.create(s, r, -1)
		t.write(w, bodyOf(r.Key, r.ID, size))
		if t.kit.Shared { // as a process sees it that starts when this one was killed
			t.wantIDs(t.store(), "key", old)
		}
		t.close(w)
	}
	s = t.reopen(s)
	t.wantIDs(s, "key", old)
	t.wantBody(s, t.one(s, "key"), 100)
	if w, ok := store.As[store.Sweeper](s); ok {
		t.sweep(w, "after a write cut off", base, 0)
	}
	t.wantBody(s, t.one(s, "key"), 100)
}

func secondHandle(t *check) {
	if !t.kit.Shared {
		t.skip("the kit says that the store is not shared")
	}
	a, b := t.store(), t.store()
	for _, size := range []int{0, 100, 200_000} {
		key := store.Key(fmt.Sprint("key", size))
		r := t.put(a, t.record(key), size)
		t.wantIDs(b, key, r)
		t.wantBody(b, t.one(b, key), size)
		u := r.Clone()
		u.Status = 299
		t.update(b, u)
		t.sameHead(t.one(a, key), u)
		r2 := t.put(b, t.record(key), size, r.ID)
		t.wantIDs(a, key, r2)
		t.wantBody(a, t.one(a, key), size)
		if err := a.Update(t.ctx, u); !errors.Is(err, store.ErrNotFound) {
			t.errorf("Update of what the other handle superseded: %v, want ErrNotFound", err)
		}
		t.delete(a, key)
		t.wantIDs(b, key)
	}
}

func secondSweep(t *check) {
	if !t.kit.Shared {
		t.skip("the kit says that the store is not shared")
	}
	a, b := t.store(), t.store()
	sb := want[store.Sweeper](t, b, "Sweeper")
	const size = 300_000
	r := t.record("key")
	w := t.create(a, r, -1)
	defer w.Close()
	body := bodyOf(r.Key, r.ID, size)
	for _, part := range [][]byte{body[:1000], body[1000:]} {
		t.write(w, part)
		t.sweep(sb, "beside the write of the other handle", base, 0)
	}
	t.commit(w, r, size)
	t.wantBody(b, t.one(b, "key"), size)
}

func damagedHead(t *check) {
	if t.kit.DamageHead == nil {
		t.skip("the kit has no DamageHead")
	}
	s := t.store()
	t.put(s, t.record("other"), 10)
	for _, size := range []int{10, 200_000} {
		key := store.Key(fmt.Sprint("key", size))
		good := t.put(s, t.record(key), size)
		bad := t.put(s, t.record(key), size)
		if err := t.kit.DamageHead(t.dir, bad); err != nil {
			t.fatalf("DamageHead: %v", err)
		}
		inspect := store.Inspect(t.ctx)
		for range 2 { // the second time shows that it was left
			if z, ok := store.As[store.Sizer](s); ok {
				if _, _, err := z.Size(inspect); err != nil {
					t.errorf("Size with a damaged record: %v", err)
				}
			}
			if found, err := s.Lookup(inspect, key); !errors.Is(err, store.ErrCorrupt) || len(found) != 1 {
				t.errorf("Lookup of a damaged record under Inspect: %v, %v; want the good one beside ErrCorrupt", ids(found), err)
			}
			if f, ok := store.As[store.Finder](s); ok {
				t.wantFindCorrupt(inspect, f, bad.ID)
			}
		}
		if f, ok := store.As[store.Finder](s); ok {
			t.wantFindCorrupt(t.ctx, f, bad.ID)
		}
		found, err := s.Lookup(t.ctx, key)
		_, lists := store.As[store.Finder](s)
		if removed := lists && err == nil; !removed && !errors.Is(err, store.ErrCorrupt) { // removed by Find, which may do so
			t.errorf("Lookup of a damaged record: %v, want ErrCorrupt", err)
		}
		if len(found) != 1 || found[0].ID != good.ID {
			t.errorf("Lookup of a damaged record beside a good one: %v, want %v", ids(found), good.ID)
		}
		t.wantIDs(s, key, good) // without an error: it was removed
		t.wantBody(s, good, size)

		bad = t.put(s, t.record(key), size)
		if err := t.kit.DamageHead(t.dir, bad); err != nil {
			t.fatalf("DamageHead: %v", err)
		}
		if found, err = s.Lookup(t.ctx, key); !errors.Is(err, store.ErrCorrupt) || len(found) != 1 {
			t.errorf("Lookup of a damaged record: %v, %v; want the good one beside ErrCorrupt", ids(found), err)
		}
		t.wantIDs(s, key, good)
	}
}

// wantFindCorrupt fails unless Find reports one damaged record and lists all others.
func (t *check) wantFindCorrupt(ctx context.Context, f store.Finder, bad store.ID) {
	good, damaged := 0, 0
	for r, err := range f.Find(ctx, store.Query{}) {
		switch {
		case errors.Is(err, store.ErrCorrupt):
			damaged++
		case err != nil:
			t.errorf("Find: %v", err)
		case r.ID == bad:
			t.errorf("Find yields the damaged record")
		default:
			good++
		}
	}
	if damaged != 1 || good < 2 {
		t.errorf("Find: %d damaged, %d good; want 1, and all others", damaged, good)
	}
}

func damagedBody(t *check) {
	if t.kit.DamageBody == nil {
		t.skip("the kit has no DamageBody")
	}
	s := t.store()
	const size = 100 << 10
	r := t.put(s, t.record("key"), size)
	if err := t.kit.DamageBody(t.dir, r); err != nil {
		t.fatalf("DamageBody: %v", err)
	}
	inspect := store.Inspect(t.ctx)
	for range 2 { // the second time shows that it was left
		found, err := s.Lookup(inspect, "key")
		if err == nil && len(found) == 1 {
			err = t.drain(inspect, s, found[0])
		}
		if !gone(err) {
			t.errorf("reading a damaged body under Inspect: %d records, %v; want ErrCorrupt", len(found), err)
		}
	}
	found, err := s.Lookup(t.ctx, "key")
	if err != nil || len(found) == 0 {
		if !errors.Is(err, store.ErrCorrupt) {
			t.errorf("Lookup: %v, want the record or ErrCorrupt", err)
		}
		return
	}
	if found[0].Body != nil {
		t.errorf("Lookup returns a damaged body inside the record")
	}
	if err := t.drain(t.ctx, s, found[0]); !gone(err) {
		t.errorf("reading a damaged body: %v, want ErrCorrupt", err)
	}
}

// drain reads a body to its end.
func (t *check) drain(ctx context.Context, s store.Store, r *store.Record) error {
	b, err := s.Open(ctx, r)
	if err != nil {
		return err
	}
	defer b.Close()
	_, err = io.Copy(io.Discard, b)
	return err
}
