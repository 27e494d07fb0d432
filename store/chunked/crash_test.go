package chunked_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/larder/internal/maptable"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
)

// What may go wrong at a call that changes something.
const (
	dies    = "the process dies at"
	fails   = "fails at"
	unclear = "is done, but fails, at" // as when the answer is lost
)

// failing is a table at which the nth call that changes something goes wrong.
type failing struct {
	*maptable.Table
	how string

	mu sync.Mutex
	n  int    // calls to go
	at string // what call it was
}

var errGone = errors.New("nobody answers")

// change counts a call, and does it unless it is to fail.
func (f *failing) change(what string, do func() error) error {
	f.mu.Lock()
	f.n--
	n := f.n
	if n == 0 {
		f.at = what
	}
	f.mu.Unlock()
	switch {
	case n == 0 && f.how == unclear:
		do()
		return errGone
	case n == 0, n < 0 && f.how == dies:
		return errGone
	}
	return do()
}

func (f *failing) Put(ctx context.Context, r chunked.Row, when chunked.When) error {
	return f.change("Put "+r.Group[:1], func() error { return f.Table.Put(ctx, r, when) })
}

func (f *failing) Delete(ctx context.Context, group string, items ...string) error {
	return f.change("Delete "+group[:1], func() error { return f.Table.Delete(ctx, group, items...) })
}

func (f *failing) Get(ctx context.Context, group string, items ...string) ([]chunked.Row, error) {
	f.mu.Lock()
	dead := f.n <= 0 && f.how == dies
	f.mu.Unlock()
	if dead {
		return nil, errGone
	}
	return f.Table.Get(ctx, group, items...)
}

// TestWhateverCallFailsNothingIsHalf goes through every call of each operation. Whichever fails, and however, what is
// there can be read and found, and Sweep removes the rest.
func TestWhateverCallFailsNothingIsHalf(t *testing.T) {
	tagged := func(r *store.Record, keep time.Duration, tags ...string) *store.Record {
		r.KeepUntil, r.Tags = time.Now().Add(keep), tags
		return r
	}
	commit := func(s *chunked.Store, r *store.Record, body []byte, superseded ...store.ID) {
		if w, err := s.Create(context.Background(), r); err == nil {
			defer w.Close()
			if _, err := w.Write(body); err == nil {
				w.Commit(r, superseded...)
			}
		}
	}
	for what, do := range map[string]func(s *chunked.Store, old *store.Record){
		"Commit": func(s *chunked.Store, old *store.Record) {
			r, body := record("a", int(old.Size))
			commit(s, tagged(r, 48*time.Hour, "one", "two"), body, old.ID)
		},
		"Update for longer": func(s *chunked.Store, old *store.Record) {
			s.Update(context.Background(), tagged(old.Clone(), 72*time.Hour, "one", "three"))
		},
		"Update for less": func(s *chunked.Store, old *store.Record) {
			s.Update(context.Background(), tagged(old.Clone(), 3*time.Hour, "one", "three"))
		},
		"Delete": func(s *chunked.Store, old *store.Record) { s.Delete(context.Background(), "a") },
		"Sweep":  func(s *chunked.Store, old *store.Record) { s.Sweep(context.Background(), time.Now().Add(50*time.Hour)) },
	} {
		for _, how := range []string{dies, fails, unclear} {
			for _, size := range []int{1000, 700_000} {
				for n := 1; ; n++ {
					var at string
					synctest.Test(t, func(t *testing.T) {
						table := new(maptable.Table)
						first := chunked.New(table, nil)
						old, body := record("a", size)
						put(t, first, tagged(old, 48*time.Hour, "one", "two"), body)
						first.Close()
						time.Sleep(time.Hour)

						f := &failing{Table: table, how: how, n: n}
						s := chunked.New(f, nil)
						do(s, old)
						time.Sleep(2 * time.Minute)
						s.Close()
						at = f.at
						wantWhole(t, table, body)

						time.Sleep(10 * time.Hour) // what is updated for less has ended
						again := chunked.New(table, nil)
						again.Sweep(t.Context(), time.Now())
						again.Close()
						wantWhole(t, table, body)
						wantNoRemains(t, table)
						if t.Failed() {
							t.Logf("%s of %d bytes %s call %d: %s", what, size, how, n, at)
						}
					})
					if at == "" {
						break
					}
				}
			}
		}
	}
}

// wantWhole checks that each record can be read, and found by its URL and tags as long as it is there.
func wantWhole(t *testing.T, table *maptable.Table, body []byte) {
	t.Helper()
	s := chunked.New(table, nil)
	defer s.Close()
	found, err := s.Lookup(t.Context(), "a")
	if err != nil {
		t.Error(err)
	}
	for _, r := range found {
		b, err := s.Open(t.Context(), r)
		if err != nil {
			t.Errorf("Open: %v", err)
			continue
		}
		if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, body) {
			t.Errorf("read %d bytes, %v", len(got), err)
		}
		b.Close()
	}
	for _, r := range found {
		for _, q := range []store.Query{{URL: r.URL}, {Tag: r.Tags[0]}, {Tag: r.Tags[1]}} {
			q.ID = r.ID
			if n := len(find(t, s, q)); n != 1 {
				t.Errorf("%d records by URL %q and tag %q, want 1", n, q.URL, q.Tag)
			}
		}
	}
}

// wantNoRemains checks that there is nothing but records and their bodies.
func wantNoRemains(t *testing.T, table *maptable.Table) {
	t.Helper()
	s := chunked.New(table, nil)
	defer s.Close()
	found, err := s.Lookup(t.Context(), "a")
	if err != nil {
		t.Error(err)
	}
	pieces := 0
	for _, r := range found {
		if r.Size > chunked.InlineMax {
			pieces += 3 + 1 // and the writer's sign of life
		}
	}
	equal(t, "rows of records", table.Len("r/"), len(found))
	equal(t, "rows of bodies", table.Len("b/"), pieces)
}
