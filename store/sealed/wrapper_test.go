package sealed

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/internal/damage"
	"github.com/larder-go/larder/internal/maptable"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
	"github.com/larder-go/larder/store/disk"
	"github.com/larder-go/larder/store/memory"
	"github.com/larder-go/larder/store/storetest"
)

// plain is a store with the five methods and no more.
type plain struct{ store.Store }

func TestIsNoMoreThanTheInnerStore(t *testing.T) {
	s := seal(t, plain{new(memory.Store)}, testKey(1))
	if _, ok := store.As[store.Local](s); ok {
		t.Error("it is store.Local around a store that is not")
	}
	c := &larder.Cache{Store: s}
	if _, _, err := c.Size(ctx); !errors.Is(err, larder.ErrUnsupported) {
		t.Errorf("Cache.Size: %v", err)
	}
	for _, err := range c.Entries(ctx, store.Query{}) {
		if !errors.Is(err, larder.ErrUnsupported) {
			t.Errorf("Cache.Entries: %v", err)
		}
	}
	if n, err := c.Sweep(ctx); n != 0 || err != nil {
		t.Errorf("Cache.Sweep: %d, %v", n, err)
	}
	// A caller that does not use store.As gets an error.
	if _, _, err := s.Size(ctx); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Size: %v", err)
	}
	if _, err := s.Sweep(ctx, time.Now()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Sweep: %v", err)
	}
	var last error
	for _, err := range s.Find(ctx, store.Query{}) {
		last = err
	}
	if !errors.Is(last, errors.ErrUnsupported) {
		t.Errorf("Find: %v", last)
	}
	if _, err := s.Lease(ctx, "key", store.NewID(time.Now()), time.Minute); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Lease: %v", err)
	}
	if err := s.Release(ctx, "key", store.NewID(time.Now())); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Release: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestContractAroundAPlainStore(t *testing.T) {
	storetest.Run(t, storetest.Kit{Open: func(string) (store.Store, error) {
		return New(plain{new(memory.Store)}, testKey(1))
	}})
}

func TestCloseClosesTheInnerStore(t *testing.T) {
	inner, err := disk.Open(t.TempDir(), nil)
	must(t, err)
	s := seal(t, inner, testKey(1))
	r := keep(t, s, "key", 100_000)
	must(t, s.Close())
	if _, err := inner.Lookup(ctx, "key"); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the inner store after Close: %v", err)
	}
	if _, err := s.Open(ctx, r); errors.Is(err, store.ErrNotFound) || err == nil {
		t.Errorf("Open after Close: %v; the body is not gone", err)
	}
}

// Others may use the inner store, too: what they derive from its records is not taken for ours.
func TestDerivedByAnother(t *testing.T) {
	inner := new(memory.Store)
	s := seal(t, inner, testKey(1))
	r := keep(t, s, "key", 100)
	for _, in := range must1(inner.Lookup(ctx, testKey(1).name("key"))) {
		in.Derived(func(*store.Record) any { return io.EOF })
	}
	wantFound(t, "a record from which another has derived", s, "key", r)
}

func must1[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}

func TestABodyThatCannotBeReadIsThereStill(t *testing.T) {
	inner := new(memory.Store)
	r := keep(t, seal(t, inner, testKey(1)), "key", 100_000)
	b, err := seal(t, damage.Unreadable{Store: inner}, testKey(1)).Open(ctx, r)
	must(t, err)
	defer b.Close()
	if got, err := io.ReadAll(b); len(got) > 0 || !errors.Is(err, io.ErrClosedPipe) || errors.Is(err, store.ErrCorrupt) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	wantFound(t, "a record whose body could not be read", seal(t, inner, testKey(1)), "key", r)
}

func TestLeasesAreOnDigests(t *testing.T) {
	inner := chunked.New(new(maptable.Table), nil)
	s := seal(t, inner, testKey(1), testKey(2))
	t.Cleanup(func() { s.Close() })
	a, b := store.NewID(time.Now()), store.NewID(time.Now())
	for _, c := range []struct {
		what string
		l    store.Leaser
		key  store.Key
		id   store.ID
		want bool
	}{
		{"the first", s, "key", a, true},
		{"another's", s, "key", b, false},
		{"another's with the keys in another order", seal(t, inner, testKey(2), testKey(1)), "key", b, false},
		{"another's by digest", inner, testKey(1).name("key"), b, false},
		{"that of the key itself", inner, "key", b, true},
	} {
		if held, err := c.l.Lease(ctx, c.key, c.id, time.Minute); held != c.want || err != nil {
			t.Errorf("lease: %s: %v, %v; want %v", c.what, held, err, c.want)
		}
	}
	must(t, s.Release(ctx, "key", a))
	if held, err := s.Lease(ctx, "key", b, time.Minute); !held || err != nil {
		t.Errorf("lease after Release: %v, %v", held, err)
	}
}

// In a table the pieces of a body are put before the head, and so expire by the KeepUntil that Create was given.
func TestALongBodyExpiresWithItsRecord(t *testing.T) {
	table := new(maptable.Table)
	s := seal(t, chunked.New(table, nil), testKey(1))
	r := record("key")
	put(t, s, r, bodyOf(r.ID, 100<<10))
	must(t, table.Expire(ctx, r.KeepUntil.AddDate(1, 0, 0)))
	if n := table.Len(""); n > 0 {
		t.Errorf("%d rows never expire", n)
	}
}

// alone returns its records beside an error, as tiered.Store does while its back fails.
type alone struct{ store.Store }

func (s alone) Lookup(ctx context.Context, key store.Key) ([]*store.Record, error) {
	found, _ := s.Store.Lookup(ctx, key)
	return found, io.ErrClosedPipe
}

func TestWhatComesBesideAnErrorIsPassedOn(t *testing.T) {
	s := seal(t, alone{new(memory.Store)}, testKey(1), testKey(2))
	r := keep(t, s, "key", 100)
	if found, err := s.Lookup(ctx, "key"); !errors.Is(err, io.ErrClosedPipe) || len(found) != 1 || found[0].ID != r.ID {
		t.Errorf("Lookup: %d records, %v; want the one, and the error", len(found), err)
	}
}
