package sealed

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
)

func ids(found []*store.Record) (ids []store.ID) {
	for _, r := range found {
		ids = append(ids, r.ID)
	}
	return ids
}

// wantFound fails unless key has these records, in this order, whole.
func wantFound(t *testing.T, what string, s *Store, key store.Key, want ...*store.Record) {
	t.Helper()
	found, err := s.Lookup(ctx, key)
	if !slices.Equal(ids(found), ids(want)) || err != nil {
		t.Errorf("%s: %v, %v; want %v", what, ids(found), err, ids(want))
		return
	}
	for i, r := range found {
		if got, err := readAll(s, r); err != nil || !same(r, want[i]) || !bytes.Equal(got, bodyOf(r.ID, int(r.Size))) {
			t.Errorf("%s: record %v: another head, or body: %d bytes, %v", what, r.ID, len(got), err)
		}
	}
}

func TestRotation(t *testing.T) {
	onEach(t, func(t *testing.T, inner store.Store) {
		before, both, after := seal(t, inner, testKey(1)), seal(t, inner, testKey(2), testKey(1)), seal(t, inner, testKey(2))
		const size = 50_000
		a := keep(t, before, "key", size)
		b := keep(t, both, "key", size)
		c := keep(t, before, "key", size)
		d := keep(t, both, "key", size)
		wantFound(t, "with both keys", both, "key", d, c, b, a)
		wantFound(t, "with the old key", before, "key", c, a)
		wantFound(t, "with the new key", after, "key", d, b)

		u := a.Clone()
		u.Status, u.Size = 203, 1
		must(t, both.Update(ctx, u))
		u.Size = size
		wantFound(t, "updated with both keys, read with the old one it was stored with", before, "key", c, u)

		e := keep(t, both, "key", size, u.ID, b.ID)
		wantFound(t, "superseded, with both keys", both, "key", e, d, c)
		wantFound(t, "superseded, with the old key", before, "key", c)

		must(t, both.Delete(ctx, "key", c.ID, d.ID))
		wantFound(t, "deleted, with both keys", both, "key", e)
		keep(t, before, "key", size)
		must(t, both.Delete(ctx, "key"))
		wantFound(t, "all deleted, with the old key", before, "key")
		wantFound(t, "all deleted, with both keys", both, "key")
	})
}

// replacing is a store in which one record takes another's place during the first Lookup.
type replacing struct {
	store.Store
	replace func()
}

func (s *replacing) Lookup(ctx context.Context, key store.Key) ([]*store.Record, error) {
	found, err := s.Store.Lookup(ctx, key)
	if replace := s.replace; replace != nil {
		s.replace = nil
		replace()
	}
	return found, err
}

func TestWhatTheOldKeySealedOrWhatTakesItsPlaceIsFound(t *testing.T) {
	onEach(t, func(t *testing.T, inner store.Store) {
		before := seal(t, inner, testKey(1))
		in := &replacing{Store: inner}
		both := seal(t, in, testKey(2), testKey(1))
		old := keep(t, before, "key", 100)
		in.replace = func() { keep(t, both, "key", 100, old.ID) }
		if found, err := both.Lookup(ctx, "key"); len(found) == 0 || err != nil {
			t.Errorf("while it is replaced: %d records, %v", len(found), err)
		}
	})
}

// A store that lacks the key finds nothing, and leaves everything as it is.
func TestRecordsOfAnotherKeyAreLeftAlone(t *testing.T) {
	onEach(t, func(t *testing.T, inner store.Store) {
		owner, other := seal(t, inner, testKey(1)), seal(t, inner, testKey(2))
		r := keep(t, owner, "key", 50_000)
		plain := keep(t, inner, "key", 50_000) // by a Cache on the inner store itself
		wantFound(t, "with another key", other, "key")
		if b, err := other.Open(ctx, r); err == nil {
			b.Close()
			t.Error("Open with another key succeeds")
		}
		must(t, other.Delete(ctx, "key"))
		for _, q := range []store.Query{{}, {ID: r.ID}, {ID: plain.ID}, {Key: "key"}, {URL: r.URL}, {Tag: r.Tags[0]}, {Host: "secret.example.com"}} {
			for r, err := range other.Find(ctx, q) {
				t.Errorf("Find %+v with another key: %v, %v", q, r, err)
			}
		}
		if n, _, err := other.Size(ctx); n != 2 || err != nil {
			t.Errorf("Size: %d, %v; want 2, whatever their keys", n, err)
		}
		wantFound(t, "afterwards, with its key", owner, "key", r)
		if n, err := other.Sweep(ctx, r.KeepUntil.Add(time.Hour)); n != 2 || err != nil {
			t.Errorf("Sweep: %d, %v; want 2, whatever their keys", n, err)
		}
	})
}

func TestFindWithTwoKeys(t *testing.T) {
	onEach(t, func(t *testing.T, inner store.Store) {
		before, both := seal(t, inner, testKey(1)), seal(t, inner, testKey(2), testKey(1))
		a, b := keep(t, before, "a", 10), keep(t, both, "a", 10)
		c, d := keep(t, before, "b", 10), keep(t, both, "b", 10)
		for _, x := range []struct {
			q    store.Query
			want []*store.Record
		}{
			{store.Query{}, []*store.Record{a, b, c, d}},
			{store.Query{Key: "a"}, []*store.Record{a, b}},
			{store.Query{URL: c.URL}, []*store.Record{c, d}},
			{store.Query{Tag: "secret tag"}, []*store.Record{a, b, c, d}},
			{store.Query{Tag: "secret tag", Key: "b", ID: c.ID}, []*store.Record{c}},
			{store.Query{Prefix: "https://secret.example.com/a"}, []*store.Record{a, b}},
			{store.Query{Host: "secret.example.com", Before: b.Received}, []*store.Record{a}},
			{store.Query{Filter: func(r *store.Record) bool { return r.Key == "b" }}, []*store.Record{c, d}},
			{store.Query{Tag: "secret"}, nil},
		} {
			for _, limit := range []int{0, 1, 3} {
				x.q.Limit = limit
				var got []store.ID
				for r, err := range both.Find(ctx, x.q) {
					must(t, err)
					if !slices.Contains(ids(x.want), r.ID) || slices.Contains(got, r.ID) {
						t.Errorf("Find %+v: yields %v of %s, or yields it twice", x.q, r.ID, r.Key)
					}
					got = append(got, r.ID)
				}
				if want := len(x.want); len(got) != want && (limit == 0 || len(got) != min(want, limit)) {
					t.Errorf("Find %+v: %d records, want %d", x.q, len(got), want)
				}
			}
		}
	})
}
