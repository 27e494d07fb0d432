package chunked_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/larder/internal/maptable"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
)

func TestARefusedUpdateLeavesNothing(t *testing.T) {
	table := keeper{new(maptable.Table)}
	s := chunked.New(table, nil)
	defer s.Close()
	r, body := record("a", 300_000)
	r.KeepUntil = time.Now().Add(time.Hour)
	put(t, s, r, body)
	rows := table.Len("")
	piece, _ := table.Row(chunked.BodyGroup("a", r.ID), "00000000")
	u := r.Clone()
	u.KeepUntil = time.Time{}
	u.Tags = []string{"new"}
	u.Header = http.Header{"Long": {strings.Repeat("l", 17<<20)}}
	if err := s.Update(t.Context(), u); !errors.Is(err, store.ErrTooLarge) {
		t.Fatalf("a head of 17 MiB: %v, want ErrTooLarge", err)
	}
	equal(t, "rows", table.Len(""), rows)
	now, _ := table.Row(chunked.BodyGroup("a", r.ID), "00000000")
	equal(t, "expiry of a piece", now.Expires, piece.Expires)
}

func TestATableThatFailsStoresNothing(t *testing.T) {
	broken := errors.New("the server is gone")
	for _, at := range []string{"Put i", "Put b", "Put r"} {
		table := &watched{Table: new(maptable.Table)}
		s := chunked.New(table, nil)
		for _, size := range []int{10, 3 << 20} {
			if at == "Put b" && size == 10 {
				continue
			}
			table.first(func(method, group, _ string) error {
				if method+" "+group[:1] == at {
					return broken
				}
				return nil
			})
			r, body := record("a", size)
			w, err := s.Create(t.Context(), r)
			if err == nil {
				if _, err = w.Write(body); err == nil {
					err = w.Commit(r)
				}
				if again := w.Commit(r); again == nil {
					t.Errorf("%s fails with %d bytes: a second Commit succeeds", at, size)
				}
				w.Close()
			}
			if !errors.Is(err, broken) {
				t.Errorf("%s fails with %d bytes: %v, want it told", at, size, err)
			}
			if found, err := s.Lookup(t.Context(), "a"); len(found) > 0 || err != nil {
				t.Errorf("%s fails with %d bytes: %d records, %v", at, size, len(found), err)
			}
		}
		table.first(nil)
		s.Delete(t.Context(), "a")
		s.Close()
		equal(t, at+" fails: rows left", table.Len(""), 0)
	}
}

// Of many calls that fail for one reason, the error says that once.
func TestAFaultOfManyCallsIsToldOnce(t *testing.T) {
	table := &watched{Table: new(maptable.Table)}
	s := chunked.New(table, nil)
	defer s.Close()
	r, body := record("a", 10)
	for i := range 100 {
		r.Tags = append(r.Tags, fmt.Sprint("tag", i))
	}
	put(t, s, r, body)
	table.first(func(_, group, _ string) error {
		if strings.HasPrefix(group, "i/") {
			return errors.New("the server is gone")
		}
		return nil
	})
	told := func(what string, err error) {
		equal(t, what+": times that the fault is told", strings.Count(fmt.Sprint(err), "the server is gone"), 1)
	}
	told("Update", s.Update(t.Context(), r))
	var fault error
	for _, err := range s.Find(t.Context(), store.Query{Tag: "tag1"}) {
		fault = err
	}
	told("Find", fault)
}

func TestWhatCannotBeRemovedCanBeFound(t *testing.T) {
	broken := errors.New("no rows are removed today")
	for _, size := range []int{10, 1 << 20} {
		synctest.Test(t, func(t *testing.T) {
			table := &watched{Table: new(maptable.Table)}
			s := chunked.New(table, nil)
			defer s.Close()
			old, body := record("a", size)
			put(t, s, old, body)
			table.first(func(method, group, _ string) error {
				if method == "Delete" && group[:1] == "r" {
					return broken
				}
				return nil
			})
			r, body := record("a", size)
			put(t, s, r, body, old.ID)

			unclear, body := record("a", size) // its Commit fails, but the record is there
			lost := &lossy{table}
			w, err := chunked.New(lost, nil).Create(t.Context(), unclear)
			if err != nil {
				t.Fatal(err)
			}
			w.Write(body)
			if err := w.Commit(unclear); !errors.Is(err, errLost) {
				t.Errorf("Commit: %v, want %v", err, errLost)
			}
			w.Close()

			time.Sleep(2 * time.Minute)
			found := find(t, s, store.Query{URL: r.URL})
			equal(t, "records found by their URL", len(found), 3)
			for _, r := range found {
				b, err := s.Open(t.Context(), r)
				if err != nil {
					t.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, b); n != int64(size) || err != nil {
					t.Errorf("read %d bytes, %v", n, err)
				}
				b.Close()
			}
		})
	}
}

// lossy is a table that puts records, but whose word of that is lost on the way.
type lossy struct{ *watched }

var errLost = errors.New("the connection was lost")

func (l *lossy) Put(ctx context.Context, r chunked.Row, when chunked.When) error {
	err := l.watched.Put(ctx, r, when)
	if err == nil && r.Group[:2] == "r/" {
		err = errLost
	}
	return err
}

// late is a table that does not show what was just written, as one that reads from a replica.
type late struct{ *maptable.Table }

func (late) Get(context.Context, string, ...string) ([]chunked.Row, error) { return nil, nil }

func TestDeleteRemovesWhatALateReadDoesNotShow(t *testing.T) {
	table := new(maptable.Table)
	s := chunked.New(late{table}, nil)
	defer s.Close()
	for _, ids := range []int{0, 1} {
		r, body := record("a", 10)
		put(t, s, r, body)
		if err := s.Delete(t.Context(), "a", []store.ID{r.ID}[:ids]...); err != nil {
			t.Fatal(err)
		}
		equal(t, "records left", table.Len("r/"), 0)
	}
}

// TestABodyThatCannotBeReadIsThereStill, whatever of it cannot be read.
func TestABodyThatCannotBeReadIsThereStill(t *testing.T) {
	table := &watched{Table: new(maptable.Table)}
	s := chunked.New(table, nil)
	defer s.Close()
	r, want := record("a", 1<<20)
	put(t, s, r, want)
	broken := errors.New("the server is gone")
	read := func() ([]byte, error) {
		b, err := s.Open(t.Context(), r)
		if err != nil {
			return nil, err
		}
		defer b.Close()
		return io.ReadAll(b)
	}
	for _, piece := range []string{"00000000", "00000002"} {
		table.first(func(_, _, item string) error {
			if item == piece {
				return broken
			}
			return nil
		})
		if got, err := read(); !errors.Is(err, broken) || errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrNotFound) {
			t.Errorf("piece %s: read %d bytes, %v; want %v", piece, len(got), err, broken)
		}
		table.first(nil)
		if got, err := read(); !bytes.Equal(got, want) || err != nil {
			t.Errorf("piece %s: read %d bytes after that, %v", piece, len(got), err)
		}
	}
}

func TestALeaseThatCannotBeAskedForIsTold(t *testing.T) {
	table := &watched{Table: new(maptable.Table)}
	s := chunked.New(table, nil)
	defer s.Close()
	if held, err := s.Lease(t.Context(), "a", store.ID{1}, time.Minute); !held || err != nil {
		t.Fatal(held, err)
	}
	broken := errors.New("the server is gone")
	for _, at := range []string{"Put l", "Get l", "Delete l"} {
		table.first(func(method, group, _ string) error {
			if method+" "+group[:1] == at {
				return broken
			}
			return nil
		})
		if held, err := s.Lease(t.Context(), "a", store.ID{2}, time.Minute); held || at != "Delete l" && !errors.Is(err, broken) {
			t.Errorf("%s fails: Lease: %v, %v", at, held, err)
		}
		if err := s.Release(t.Context(), "a", store.ID{1}); at != "Put l" && !errors.Is(err, broken) {
			t.Errorf("%s fails: Release: %v", at, err)
		}
		table.first(nil)
		if held, err := s.Lease(t.Context(), "a", store.ID{1}, time.Minute); !held || err != nil {
			t.Errorf("%s failed: the holder renews it: %v, %v", at, held, err)
		}
	}
}

func TestWhatIsNoLeaseHasNoHolder(t *testing.T) {
	table := new(maptable.Table)
	s := chunked.New(table, nil)
	defer s.Close()
	for _, value := range []string{"", "short", strings.Repeat("long", 10)} {
		row := chunked.Row{Group: "l" + chunked.RecordGroup("a")[1:], Item: "l", Value: []byte(value), Expires: time.Now().Add(time.Hour)}
		if err := table.Put(t.Context(), row, chunked.Always); err != nil {
			t.Fatal(err)
		}
		if err := s.Release(t.Context(), "a", store.ID{}); err != nil {
			t.Error(err)
		}
		if held, err := s.Lease(t.Context(), "a", store.ID{1}, time.Minute); !held || err != nil {
			t.Errorf("%q in the place of a lease: %v, %v", value, held, err)
		}
	}
}

func TestLeaseThatEndsWhileItIsAskedForIsFree(t *testing.T) {
	for what, next := range map[string]store.ID{"its holder": {1}, "another": {2}} {
		table := &watched{Table: new(maptable.Table)}
		s := chunked.New(table, nil)
		defer s.Close()
		lease := func(holder store.ID) bool {
			held, err := s.Lease(t.Context(), "a", holder, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			return held
		}
		if !lease(store.ID{1}) {
			t.Fatal("a lease that is free is not given")
		}
		table.first(func(method, group, _ string) error { // between the first look at it and the second
			if method == "Get" {
				return table.Table.Delete(t.Context(), group)
			}
			return nil
		})
		if !lease(next) {
			t.Errorf("a lease that has just ended is not given to %s, though nobody holds it", what)
		}
	}
}

// TestManyTagsOverALongLine has a Cache's time for one call suffice where each call of the table takes 150 ms.
func TestManyTagsOverALongLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &watched{Table: new(maptable.Table)}
		table.first(func(string, string, string) error {
			time.Sleep(150 * time.Millisecond)
			return nil
		})
		s := chunked.New(table, nil)
		defer s.Close()
		r, body := record("a", 10)
		for i := range 128 { // as many as a response may be in cache groups
			r.Tags = append(r.Tags, fmt.Sprint("tag", i))
		}
		within := func(what string, do func() error) {
			t.Helper()
			from := time.Now()
			if err := do(); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(from); took > 2*time.Second {
				t.Errorf("%s takes %v", what, took)
			}
		}
		w := write(t, s, r, body)
		within("Commit", func() error { return w.Commit(r) })
		w.Close()
		within("Update", func() error { return s.Update(t.Context(), r.Clone()) })
		within("Find", func() error {
			equal(t, "records found by a tag", len(find(t, s, store.Query{Tag: r.Tags[0]})), 1)
			return nil
		})
	})
}
