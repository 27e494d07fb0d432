package chunked_test

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/larder/internal/maptable"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
)

func TestBodyOutlivesItsRecordForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := new(maptable.Table)
		s := chunked.New(table, nil)
		defer s.Close()
		for what, remove := range map[string]func(*store.Record){
			"superseded": func(old *store.Record) {
				r, body := record(string(old.Key), 10)
				put(t, s, r, body, old.ID)
			},
			"deleted": func(old *store.Record) { s.Delete(t.Context(), old.Key) },
		} {
			r, want := record(what, 1<<20)
			put(t, s, r, want)
			b, err := s.Open(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(want))
			io.ReadFull(b, got[:10])
			remove(r)
			time.Sleep(50 * time.Second)
			if _, err := io.ReadFull(b, got[10:]); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s, and read on: %v", what, err)
			}
			b.Close()
			time.Sleep(11 * time.Second)
			synctest.Wait()
			equal(t, what+": pieces left", table.Len("b/"), 0)
		}
	})
}

func TestCloseRemovesWhatWasToBeRemovedLater(t *testing.T) {
	table := new(maptable.Table)
	s := chunked.New(table, nil)
	r, body := record("a", 1<<20)
	put(t, s, r, body)
	if err := s.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	equal(t, "rows left", table.Len(""), 0)
}

func TestHoweverManyAreRemovedNothingIsLeft(t *testing.T) {
	for _, size := range []int{10, chunked.InlineMax + 1} {
		synctest.Test(t, func(t *testing.T) {
			table := &watched{Table: new(maptable.Table)}
			s := chunked.New(table, nil)
			chunked.Bound(s, 40, 80)
			defer s.Close()
			const many = 500
			for i := range many {
				r, body := record(fmt.Sprint(i), size)
				put(t, s, r, body)
			}
			table.first(func(method, _, _ string) error { // removing is slower than whoever wants it
				if method == "Delete" {
					time.Sleep(time.Millisecond)
				}
				return nil
			})
			var all sync.WaitGroup
			for first := range 100 {
				all.Go(func() {
					for i := first; i < many; i += 100 {
						if err := s.Delete(t.Context(), store.Key(fmt.Sprint(i))); err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			time.Sleep(30 * time.Second)
			// A body has a piece and a sign of life.
			if left := table.Len("b/") / 2; left > 80 || size > chunked.InlineMax && left == 0 {
				t.Errorf("%d bodies outlive their record, want some, and 80 at most", left)
			}
			time.Sleep(2 * time.Minute)
			equal(t, fmt.Sprintf("rows left of bodies of %d bytes", size), table.Len(""), 0)
		})
	}
}

func TestReplacingSmallBodiesLeavesLargeOnesToTheirReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := chunked.New(new(maptable.Table), nil)
		chunked.Bound(s, 40, 80)
		defer s.Close()
		r, want := record("large", 1<<20)
		put(t, s, r, want)
		b, err := s.Open(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		s.Delete(t.Context(), r.Key)
		small, body := record("small", 10)
		put(t, s, small, body)
		for range 200 {
			next, body := record("small", 10)
			put(t, s, next, body, small.ID)
			small = next
		}
		if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, want) {
			t.Errorf("read %d bytes, %v", len(got), err)
		}
	})
}

func TestWhatIsReplacedLeavesNothing(t *testing.T) {
	table := new(maptable.Table)
	s := chunked.New(table, nil)
	var old []store.ID
	for range 20 {
		r, body := record("a", 100_000)
		r.Tags = []string{"t"}
		put(t, s, r, body, old...)
		old = []store.ID{r.ID}
	}
	s.Close()
	equal(t, "records", table.Len("r/"), 1)
	equal(t, "rows of bodies", table.Len("b/"), 2)
	equal(t, "entries in indexes", table.Len("i/"), 2)
}
