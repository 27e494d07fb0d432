package chunked_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/larder/internal/maptable"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
)

// watched is a table whose calls are counted, and fail or are held up where the test wants.
type watched struct {
	*maptable.Table

	mu     sync.Mutex
	calls  map[string]int // by method and first byte of the group
	before func(method, group, item string) error
	now    int // Gets under way
	most   int
}

func (w *watched) call(method, group, item string) error {
	w.mu.Lock()
	if w.calls == nil {
		w.calls = make(map[string]int)
	}
	w.calls[method+" "+group[:1]]++
	before := w.before
	w.mu.Unlock()
	if before != nil {
		return before(method, group, item)
	}
	return nil
}

// first sets what each call does first.
func (w *watched) first(do func(method, group, item string) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.before = do
}

func (w *watched) count(call string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls[call]
}

func (w *watched) Put(ctx context.Context, r chunked.Row, when chunked.When) error {
	if err := w.call("Put", r.Group, r.Item); err != nil {
		return err
	}
	return w.Table.Put(ctx, r, when)
}

func (w *watched) Get(ctx context.Context, group string, items ...string) ([]chunked.Row, error) {
	w.mu.Lock()
	w.now++
	w.most = max(w.most, w.now)
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.now--
		w.mu.Unlock()
	}()
	if err := w.call("Get", group, strings.Join(items, " ")); err != nil {
		return nil, err
	}
	return w.Table.Get(ctx, group, items...)
}

func (w *watched) Delete(ctx context.Context, group string, items ...string) error {
	if err := w.call("Delete", group, strings.Join(items, " ")); err != nil {
		return err
	}
	return w.Table.Delete(ctx, group, items...)
}

// record makes a record of key with a body of size bytes to store.
func record(key string, size int) (*store.Record, []byte) {
	r := &store.Record{Key: store.Key(key), ID: store.NewID(time.Now()), Size: int64(size)}
	r.Method, r.URL, r.Status, r.Received = "GET", "https://example.com/"+key, 200, time.Now()
	return r, bytes.Repeat([]byte(key+"\n"), size)[:size]
}

func put(t *testing.T, s *chunked.Store, r *store.Record, body []byte, superseded ...store.ID) {
	t.Helper()
	w, err := s.Create(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(r, superseded...); err != nil {
		t.Fatal(err)
	}
}

func find(t *testing.T, s *chunked.Store, q store.Query) []*store.Record {
	t.Helper()
	var found []*store.Record
	for r, err := range s.Find(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, r)
	}
	return found
}

func equal[V comparable](t *testing.T, what string, got, want V) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestASmallHitIsOneCall(t *testing.T) {
	table := &watched{Table: new(maptable.Table)}
	s := chunked.New(table, nil)
	defer s.Close()
	for range 3 { // variants
		r, body := record("a", 1000)
		put(t, s, r, body)
	}
	found, err := s.Lookup(t.Context(), "a")
	if err != nil || len(found) != 3 || len(found[0].Body) != 1000 {
		t.Fatalf("Lookup: %d records, %v", len(found), err)
	}
	equal(t, "Gets", table.count("Get r"), 1)
	equal(t, "Gets of pieces", table.count("Get b"), 0)
}

func TestBodiesOfAFullChunk(t *testing.T) {
	for _, chunk := range []int{chunked.InlineMax, 2 * chunked.InlineMax} {
		for _, size := range []int{chunk - 1, chunk, chunk + 1, 2 * chunk} {
			s := chunked.New(new(maptable.Table), &chunked.Options{Chunk: chunk})
			r, want := record("a", size)
			put(t, s, r, want)
			found, err := s.Lookup(t.Context(), "a")
			if len(found) != 1 || err != nil {
				t.Fatalf("%d bytes in chunks of %d: %d records, %v", size, chunk, len(found), err)
			}
			b, err := s.Open(t.Context(), found[0])
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(b); !bytes.Equal(got, want) || err != nil {
				t.Errorf("%d bytes in chunks of %d: read %d, %v", size, chunk, len(got), err)
			}
			b.Close()
			s.Close()
		}
	}
}

func TestPiecesAreReadAheadAndSeveralAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &watched{Table: new(maptable.Table)}
		table.first(func(string, string, string) error { time.Sleep(time.Second); return nil }) // the way to a database
		s := chunked.New(table, &chunked.Options{Chunk: 64 << 10, Parallel: 4})
		defer s.Close()
		r, want := record("a", 2<<20) // 32 pieces

		began := time.Now()
		put(t, s, r, want)
		if took := time.Since(began); took > 12*time.Second {
			t.Errorf("32 pieces were put in %v, want 4 at once", took)
		}
		table.most = 0
		began = time.Now()
		b, err := s.Open(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(b)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("read %d bytes, %v", len(got), err)
		}
		if took := time.Since(began); took > 12*time.Second {
			t.Errorf("32 pieces were read in %v, want 5 at once", took)
		}
		if table.most > 5 {
			t.Errorf("%d pieces were read at once, want 5 at most: the one that is wanted and 4 ahead", table.most)
		}
		before := table.count("Get b")
		b.Seek(1<<20, io.SeekStart)
		if _, err := io.ReadFull(b, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		b.Close()
		equal(t, "Gets for a few bytes in the middle", table.count("Get b")-before, 1)
	})
}

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
			if left := table.Len("b/"); size > chunked.InlineMax && left == 0 {
				t.Error("no body outlives its record")
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

func TestPiecesAreKeptLongerThanTheirRecord(t *testing.T) {
	table := new(maptable.Table)
	s := chunked.New(table, nil)
	defer s.Close()
	r, body := record("a", 100_000)
	ends := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	r.KeepUntil = ends
	put(t, s, r, body)
	expires := func(group, item string) time.Time {
		row, ok := table.Row(group, item)
		if !ok {
			t.Fatalf("no row %s in %s", item, group)
		}
		return row.Expires
	}
	record := func() time.Time { return expires(chunked.RecordGroup("a"), r.ID.String()) }
	piece := expires(chunked.BodyGroup("a", r.ID), "00000000")
	equal(t, "expiry of a piece", piece, ends.Add(30*24*time.Hour))
	equal(t, "expiry of the record", record(), ends)
	for _, c := range []struct{ until, want time.Time }{
		{ends.Add(24 * time.Hour), ends.Add(24 * time.Hour)},
		{ends.Add(40 * 24 * time.Hour), piece}, // a record without its body is of no use
		{time.Time{}, piece},
		{ends, ends},
	} {
		u := r.Clone()
		u.KeepUntil = c.until
		if err := s.Update(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		if !record().Equal(c.want) {
			t.Errorf("KeepUntil %v: the record expires %v, want %v", c.until, record(), c.want)
		}
		found, err := s.Lookup(t.Context(), "a")
		if err != nil || len(found) != 1 || !found[0].KeepUntil.Equal(c.until) {
			t.Errorf("KeepUntil %v: found %v, %v", c.until, found[0].KeepUntil, err)
		}
	}
	equal(t, "expiry of a piece after Updates", expires(chunked.BodyGroup("a", r.ID), "00000000"), piece)
}

// keeper is a table that can make a group last longer.
type keeper struct{ *maptable.Table }

func (k keeper) Keep(ctx context.Context, group string, expires time.Time) error {
	rows, err := k.Get(ctx, group)
	for _, r := range rows {
		old, _ := k.Row(group, r.Item)
		if old.Expires.IsZero() || !expires.IsZero() && expires.Before(old.Expires) {
			continue
		}
		old.Expires = expires
		if err := k.Put(ctx, old, chunked.Always); err != nil {
			return err
		}
	}
	return err
}

func TestPiecesMoveWithTheirRecordWhereTheTableCanKeepThem(t *testing.T) {
	table := keeper{new(maptable.Table)}
	s := chunked.New(table, nil)
	defer s.Close()
	r, body := record("a", 300_000)
	ends := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	r.KeepUntil = ends
	put(t, s, r, body)
	for _, c := range []struct {
		name                        string
		until, wantRecord, wantBody time.Time
	}{
		{"as it was", ends, ends, ends.Add(time.Hour)},
		{"later", ends.AddDate(1, 0, 0), ends.AddDate(1, 0, 0), ends.AddDate(1, 0, 0).Add(time.Hour)},
		{"earlier again", ends, ends, ends.AddDate(1, 0, 0).Add(time.Hour)},
		{"for ever", time.Time{}, time.Time{}, time.Time{}},
		{"no more for ever", ends, ends, time.Time{}},
	} {
		u := r.Clone()
		u.KeepUntil = c.until
		if err := s.Update(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		row, ok := table.Row(chunked.RecordGroup("a"), r.ID.String())
		equal(t, c.name+": the record is there", ok, true)
		equal(t, c.name+": its expiry", row.Expires, c.wantRecord)
		for _, item := range []string{"00000000", "00000001", "w"} {
			row, ok := table.Row(chunked.BodyGroup("a", r.ID), item)
			equal(t, c.name+": "+item+" is there", ok, true)
			equal(t, c.name+": the expiry of "+item, row.Expires, c.wantBody)
		}
	}
}

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

func TestForeverStaysForever(t *testing.T) {
	table := new(maptable.Table)
	s := chunked.New(table, nil)
	defer s.Close()
	r, body := record("a", 100_000)
	put(t, s, r, body)
	if err := s.Update(t.Context(), r.Clone()); err != nil {
		t.Fatal(err)
	}
	if err := table.Expire(t.Context(), time.Now().AddDate(1000, 0, 0)); err != nil {
		t.Fatal(err)
	}
	b, err := s.Open(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if n, err := io.Copy(io.Discard, b); n != 100_000 || err != nil {
		t.Errorf("read %d bytes, %v", n, err)
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

func TestFindGoesByTheIndex(t *testing.T) {
	table := &watched{Table: new(maptable.Table)}
	s := chunked.New(table, nil)
	for i := range 200 {
		r, body := record(fmt.Sprint("key", i), 10)
		r.Tags = []string{fmt.Sprint("tag", i%20), "all"}
		put(t, s, r, body)
	}
	for what, c := range map[string]struct {
		q     store.Query
		found int
	}{
		"URL":          {store.Query{URL: "https://example.com/key7"}, 1},
		"tag":          {store.Query{Tag: "tag3"}, 10},
		"key":          {store.Query{Key: "key7"}, 1},
		"absent tag":   {store.Query{Tag: "tag"}, 0},
		"tag and host": {store.Query{Tag: "tag3", Host: "example.com"}, 10},
	} {
		before := table.count("Get r")
		equal(t, "found by "+what, len(find(t, s, c.q)), c.found)
		equal(t, "records read by "+what, table.count("Get r")-before, max(c.found, 0))
	}
	for i := range 200 {
		if err := s.Delete(t.Context(), store.Key(fmt.Sprint("key", i))); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	equal(t, "rows after all was deleted", table.Len(""), 0)
}

// evicting is a table whose database drops what has not expired, or is asked whether it does.
type evicting struct {
	*watched
	evicts bool
	err    error
}

func (e evicting) Evicts(context.Context, string) (bool, error) { return e.evicts, e.err }

func TestFindDoesNotGoByAnIndexThatMayHaveLostSomething(t *testing.T) {
	for _, evicts := range []bool{false, true} {
		table := &watched{Table: new(maptable.Table)}
		s := chunked.New(evicting{table, evicts, nil}, nil)
		defer s.Close()
		for i := range 10 {
			r, body := record(fmt.Sprint("key", i), 10)
			r.Tags = []string{fmt.Sprint("tag", i%2)}
			put(t, s, r, body)
		}
		want := map[bool]int{false: 0, true: 1}[evicts]
		for what, q := range map[string]store.Query{"URL": {URL: "https://example.com/key7"}, "tag": {Tag: "tag1", Limit: 1}} {
			equal(t, "found by "+what, len(find(t, s, q)), 1)
			for group := range table.Groups(t.Context(), "i/"+strings.ToLower(what[:1])) {
				table.Table.Delete(t.Context(), group)
			}
			equal(t, fmt.Sprintf("found by %s when the index is lost, evicts %v", what, evicts), len(find(t, s, q)), want)
		}
	}
	fault := errors.New("down")
	s := chunked.New(evicting{&watched{Table: new(maptable.Table)}, false, fault}, nil)
	defer s.Close()
	for _, err := range s.Find(t.Context(), store.Query{URL: "https://example.com/"}) {
		if !errors.Is(err, fault) {
			t.Errorf("Find ends with %v, want %v", err, fault)
		}
		return
	}
	t.Error("Find tells of no fault")
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

func TestReadBackTakesBoundedMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &watched{Table: new(maptable.Table)}
		s := chunked.New(table, &chunked.Options{Chunk: 32 << 10, Parallel: 2})
		defer s.Close()
		r, body := record("a", 4<<20)
		w, err := s.Create(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if _, err := w.Write(body); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // until all is put
		p := make([]byte, 1000)
		for off := 0; off < len(body); off += 50_000 {
			n, err := w.ReadAt(p, int64(off))
			if !bytes.Equal(p[:n], body[off:off+n]) || err != nil && off+n < len(body) {
				t.Fatalf("ReadAt %d: %d bytes, %v", off, n, err)
			}
			if held := chunked.Held(w); held > 4 {
				t.Fatalf("%d pieces are held, want 4 at most", held)
			}
		}
		before := table.count("Get b")
		for off := range 30 { // within a piece: one Get for all
			w.ReadAt(p, int64(off*1000))
		}
		equal(t, "Gets for one piece", table.count("Get b")-before, 1)
	})
}

// A checksum is no proof of who wrote a piece: one of another length is damage, and brings nobody down.
func TestReadBackOfAForgedPieceIsDamage(t *testing.T) {
	for _, length := range []int{1, 500, 40 << 10} {
		synctest.Test(t, func(t *testing.T) {
			table := new(maptable.Table)
			s := chunked.New(table, &chunked.Options{Chunk: 32 << 10, Parallel: 1})
			defer s.Close()
			r, body := record("a", 1<<20)
			w, err := s.Create(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			if _, err := w.Write(body); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // until all is put
			forged := make([]byte, length)
			forged = binary.BigEndian.AppendUint32(forged, store.Checksum(store.Checksum(0, r.ID[:]), forged))
			if err := table.Change(chunked.BodyGroup(r.Key, r.ID), "00000000", func([]byte) []byte { return forged }); err != nil {
				t.Fatal(err)
			}
			if n, err := w.ReadAt(make([]byte, 100), 500); n > 0 || !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("a piece of %d bytes: %d bytes and %v, want store.ErrCorrupt", length, n, err)
			}
		})
	}
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
