package chunked_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/larder/internal/maptable"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
)

func TestSweepSparesWhatIsReadStill(t *testing.T) {
	for what, end := range map[string]func(t *testing.T, s *chunked.Store, old *store.Record){
		"superseded": func(t *testing.T, s *chunked.Store, old *store.Record) {
			r, body := record("a", 10)
			put(t, s, r, body, old.ID)
		},
		"deleted": func(t *testing.T, s *chunked.Store, old *store.Record) { s.Delete(t.Context(), "a") },
		"ended":   func(*testing.T, *chunked.Store, *store.Record) {},
	} {
		synctest.Test(t, func(t *testing.T) {
			table := new(maptable.Table)
			s, other := chunked.New(table, nil), chunked.New(table, nil)
			defer s.Close()
			defer other.Close()
			r, want := record("a", 3<<20)
			r.KeepUntil = time.Now().Add(2 * time.Hour)
			put(t, s, r, want)
			time.Sleep(3 * time.Hour)
			b, err := s.Open(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			end(t, s, r)
			synctest.Wait()
			for _, sweeper := range []*chunked.Store{s, other} {
				if _, err := sweeper.Sweep(t.Context(), time.Now()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Second)
			}
			if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: read %d bytes, %v", what, len(got), err)
			}
			time.Sleep(time.Minute)
			equal(t, what+": rows of bodies", table.Len("b/"), 0)
		})
	}
}

func TestSweepRemovesWhatInterruptedWritesLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := new(maptable.Table)
		dead := chunked.New(table, nil) // a process that is killed: nobody closes what it has begun
		r, body := record("a", 3<<20)
		w, err := dead.Create(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(body)
		synctest.Wait()
		s := chunked.New(table, nil)
		defer s.Close()
		sweep := func() {
			t.Helper()
			if n, err := s.Sweep(t.Context(), time.Now()); n != 0 || err != nil {
				t.Errorf("Sweep: %d, %v; want 0, for only records count", n, err)
			}
		}
		kept, keptBody := record("b", 1<<20)
		put(t, s, kept, keptBody)
		rows := table.Len("")
		sweep()
		equal(t, "rows after an early Sweep", table.Len(""), rows)
		time.Sleep(61 * time.Minute)
		sweep()
		equal(t, "rows of bodies", table.Len("b/"), 5) // four pieces and a sign of life
		equal(t, "entries in indexes", table.Len("i/"), 1)

		r.Size = int64(len(body)) // the dead are late
		if err := w.Commit(r); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Commit of what Sweep has taken for remains: %v, want ErrNotFound", err)
		}
		if found, err := s.Lookup(t.Context(), "a"); len(found) > 0 || err != nil {
			t.Errorf("Lookup: %d records, %v", len(found), err)
		}
		w.Close()
		dead.Close()
	})
}

// TestSweepTellsOfWhatFails, and spares what it cannot look up.
func TestSweepTellsOfWhatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &watched{Table: new(maptable.Table)}
		s := chunked.New(table, nil)
		defer s.Close()
		kept, body := record("kept", 3<<20)
		put(t, s, kept, body)
		rows := table.Len("")
		ended, body := record("ended", 3<<20)
		ended.KeepUntil = time.Now().Add(time.Hour)
		put(t, s, ended, body)
		orphan, body := record("orphan", 3<<20)
		w := write(t, s, orphan, body)
		if held, err := s.Lease(t.Context(), "kept", store.ID{1}, time.Hour); !held || err != nil {
			t.Fatal(held, err)
		}
		time.Sleep(2 * time.Hour)
		broken := errors.New("the server is gone")
		for _, at := range []string{"Get r", "Get b", "Delete b", "Delete r", "Get i", "Delete i"} {
			table.first(func(method, group, _ string) error {
				if method+" "+group[:1] == at {
					return broken
				}
				return nil
			})
			if _, err := s.Sweep(t.Context(), time.Now()); !errors.Is(err, broken) {
				t.Errorf("%s fails: Sweep: %v, want it told", at, err)
			}
			synctest.Wait()
			equal(t, at+" fails: rows of the body that is kept", table.Len(chunked.BodyGroup("kept", kept.ID)), 13)
		}
		table.first(nil)
		if _, err := s.Sweep(t.Context(), time.Now()); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Minute)
		equal(t, "rows in the end", table.Len(""), rows)
		w.Close()
	})
}

func TestSweepRemovesWhatIsDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := new(maptable.Table)
		s := chunked.New(table, nil)
		defer s.Close()
		r, body := record("a", 1<<20)
		put(t, s, r, body)
		if err := table.Change(chunked.RecordGroup("a"), r.ID.String(), func(b []byte) []byte { return b[1:] }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		if n, err := s.Sweep(t.Context(), time.Now()); n != 1 || err != nil {
			t.Errorf("Sweep: %d, %v; want 1", n, err)
		}
		synctest.Wait()
		equal(t, "rows after that", table.Len(""), 0)
	})
}

func TestAWriteThatSweepTookForRemainsIsNotCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := chunked.New(new(maptable.Table), nil)
		defer s.Close()
		r, body := record("a", 3<<20)
		w, err := s.Create(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		w.Write(body[:2<<20])
		time.Sleep(61 * time.Minute) // nobody reads on
		if _, err := s.Sweep(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		if _, err = w.Write(body[2<<20:]); err == nil {
			err = w.Commit(r)
		}
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Commit without the pieces that Sweep removed: %v, want ErrNotFound", err)
		}
	})
}

func TestASlowWriteIsNoRemains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := new(maptable.Table)
		s := chunked.New(table, nil)
		defer s.Close()
		r, body := record("a", 5<<20)
		r.Tags = []string{"slow"}
		w, err := s.Create(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		for len(body) > 0 { // a chunk every half an hour
			w.Write(body[:256<<10])
			body = body[256<<10:]
			time.Sleep(30 * time.Minute)
			if _, err := s.Sweep(t.Context(), time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Commit(r); err != nil {
			t.Fatal(err)
		}
		found := find(t, s, store.Query{Tag: "slow"})
		if len(found) != 1 {
			t.Fatalf("found %d by its tag, want 1", len(found))
		}
		b, err := s.Open(t.Context(), found[0])
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if n, err := io.Copy(io.Discard, b); n != 5<<20 || err != nil {
			t.Errorf("read %d bytes, %v", n, err)
		}
	})
}
