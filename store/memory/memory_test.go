package memory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/storetest"
)

var (
	_ store.Store   = (*Store)(nil)
	_ store.Finder  = (*Store)(nil)
	_ store.Sweeper = (*Store)(nil)
	_ store.Sizer   = (*Store)(nil)
	_ store.Local   = (*Store)(nil)
)

func kit() storetest.Kit {
	return storetest.Kit{
		Open:        func(string) (store.Store, error) { return new(Store), nil },
		OpenLimited: func(_ string, limit int64) (store.Store, error) { return &Store{MaxBytes: limit}, nil },
		MaxBody:     defaultMaxBytes / 2,
	}
}

func TestContract(t *testing.T) { storetest.Run(t, kit()) }

func BenchmarkStore(b *testing.B) { storetest.Benchmark(b, kit()) }

var (
	ctx   = context.Background()
	noon  = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	zeros = make([]byte, 8<<20)
)

func record(key string, at time.Time) *store.Record {
	r := &store.Record{Key: store.Key(key), ID: store.NewID(at)}
	r.Method, r.URL, r.Status = "GET", "https://example.com/"+key, 200
	r.Header = http.Header{"Content-Type": {"text/plain"}}
	return r
}

// put stores a body of size bytes, announced as hint, in pieces.
func put(s *Store, r *store.Record, hint int64, size, piece int, superseded ...store.ID) error {
	r.Size = hint
	w, err := s.Create(ctx, r)
	if err != nil {
		return err
	}
	defer w.Close()
	for left := size; left > 0; left -= piece {
		if _, err := w.Write(zeros[:min(left, piece)]); err != nil {
			return err
		}
	}
	r.Size = int64(size)
	return w.Commit(r, superseded...)
}

func mustPut(t *testing.T, s *Store, r *store.Record, size int) {
	t.Helper()
	if err := put(s, r, int64(size), size, 32<<10); err != nil {
		t.Fatal(err)
	}
}

func has(s *Store, key string) bool {
	found, _ := s.Lookup(ctx, store.Key(key))
	return len(found) > 0
}

func TestNegativeMaxBytesIsNoLimit(t *testing.T) {
	s := &Store{MaxBytes: -1}
	const size = defaultMaxBytes/2 + 1 // too large for one with the default
	for i := range 2 {
		for _, hint := range []int64{size, 1 << 60} {
			if err := put(s, record(fmt.Sprint(i, hint), noon), hint, size, 1<<20); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n, bytes, err := s.Size(ctx); n != 4 || bytes < 4*size || err != nil {
		t.Errorf("%d records, %d bytes, %v", n, bytes, err)
	}
}

func TestNeverExceedsMaxBytes(t *testing.T) {
	s := &Store{MaxBytes: 1 << 20}
	check := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.used > s.MaxBytes {
			t.Errorf("%d bytes in use of %d", s.used, s.MaxBytes)
		}
	}
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 1))
			for i := range 300 {
				r := record(fmt.Sprint(rnd.IntN(40)), noon.Add(time.Duration(i)*time.Second))
				r.Tags = []string{strings.Repeat("t", rnd.IntN(5000))}
				size := rnd.IntN(200_000) >> rnd.IntN(12)
				hint := []int64{-1, int64(size), 600_000, int64(size) * 2, 5}[rnd.IntN(5)]
				if err := put(s, r, hint, size, 1+rnd.IntN(30_000)); err != nil && !errors.Is(err, store.ErrTooLarge) {
					t.Error(err)
				}
				check()
				for range 2 {
					r = r.Clone()
					r.Tags = []string{strings.Repeat("t", rnd.IntN(50_000))}
					if err := s.Update(ctx, r); err != nil && !errors.Is(err, store.ErrNotFound) {
						t.Error(err)
					}
					check()
				}
				has(s, fmt.Sprint(rnd.IntN(40)))
				if i%10 == 0 {
					s.Delete(ctx, r.Key)
				}
			}
		})
	}
	all.Wait()

	s.mu.Lock()
	defer s.mu.Unlock()
	var bytes int64
	entries, records := 0, 0
	tagged := map[string]map[store.Key]struct{}{}
	for i := range s.shards {
		for _, e := range s.shards[i].entries {
			entries++
			for j, k := range e.kept {
				held := headBytes(e.records[j])
				if k.body == nil {
					held += int64(cap(e.records[j].Body))
				}
				for _, segment := range k.body {
					held += int64(cap(segment))
				}
				if held != k.bytes {
					t.Errorf("a record of %d bytes counts as %d", held, k.bytes)
				}
				bytes += held
				records++
				for _, tag := range e.records[j].Tags {
					if tagged[tag] == nil {
						tagged[tag] = map[store.Key]struct{}{}
					}
					tagged[tag][e.key] = struct{}{}
				}
			}
		}
	}
	if bytes != s.used || bytes != s.policy.bytes() || records != s.records {
		t.Errorf("%d bytes in %d records, want the %d in %d that are held; %d are queued", s.used, s.records, bytes, records, s.policy.bytes())
	}
	if n := s.policy.small.len + s.policy.main.len; n != entries {
		t.Errorf("%d entries are queued, want %d", n, entries)
	}
	if !reflect.DeepEqual(s.tagged, tagged) {
		t.Errorf("%d tags are known, want the %d of what is stored", len(s.tagged), len(tagged))
	}
}

func TestBodiesBeingWrittenCount(t *testing.T) {
	s := &Store{MaxBytes: 1 << 20}
	mustPut(t, s, record("kept", noon), 300_000)
	a, b, c := record("a", noon), record("b", noon), record("c", noon)
	var writers []store.Writer
	for _, r := range []*store.Record{a, b, c} {
		r.Size = 400_000
		w, err := s.Create(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		writers = append(writers, w)
	}
	for i, w := range writers {
		n, err := w.Write(zeros[:400_000])
		switch {
		case i < 2 && err != nil:
			t.Fatal(err)
		case i == 2 && !errors.Is(err, store.ErrTooLarge):
			t.Errorf("a third body of 400 KB beside two of them in 1 MiB: %v, want ErrTooLarge", err)
		case i == 2:
			if c.Size = int64(n); w.Commit(c) == nil {
				t.Errorf("%d bytes of the third are committed", n)
			}
		}
	}
	if has(s, "kept") {
		t.Error("nothing was evicted to make room for the bodies that are being written")
	}
	for _, w := range writers {
		w.Close()
		w.Close() // which frees nothing a second time
	}
	mustPut(t, s, record("after", noon), 500_000)
	if s.used != s.policy.bytes() {
		t.Errorf("%d bytes in use, %d stored: discarded bodies still count", s.used, s.policy.bytes())
	}
}

func TestCommitThatFailedEndsTheWrite(t *testing.T) {
	s := &Store{MaxBytes: 10_000}
	r := record("key", time.Now())
	r.Size = 2000 // of which 1900 come
	w, err := s.Create(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	body := make([]byte, 1900)
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	r.Size = int64(len(body))
	long := r.Clone()
	long.URL = strings.Repeat("u", 10_000)
	if err := w.Commit(long); !errors.Is(err, store.ErrTooLarge) {
		t.Fatalf("a head without room: %v, want ErrTooLarge", err)
	}
	if err := w.Commit(r); err == nil {
		found, _ := s.Lookup(t.Context(), "key")
		t.Errorf("Commit after one that failed: no error, and %d of %d bytes", len(found[0].Body), r.Size)
	}
	if _, err := w.Write(body); err == nil {
		t.Error("Write after a Commit that failed: no error")
	}
}

func TestLargestBody(t *testing.T) {
	s := &Store{MaxBytes: 1 << 20}
	for _, c := range []struct {
		hint int64
		size int
		fits bool
	}{
		{1 << 19, 1 << 19, true}, {-1, 1 << 19, true}, {1<<19 + 1, 1<<19 + 1, false}, {-1, 1<<19 + 1, false}, {1 << 40, 10, false}, {1<<19 + 1, 10, false},
	} {
		err := put(s, record("key", noon), c.hint, c.size, 32<<10)
		if c.fits && err != nil || !c.fits && !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("%d bytes, announced as %d, in a store of 1 MiB: %v", c.size, c.hint, err)
		}
	}
}

func TestScanDoesNotPushOutWhatIsInUse(t *testing.T) {
	s := &Store{MaxBytes: 1 << 20}
	for i := range 100 {
		mustPut(t, s, record(fmt.Sprint("hot", i), noon), 5000)
	}
	for i := range 2000 {
		if i%20 == 0 {
			for j := range 100 {
				has(s, fmt.Sprint("hot", j))
			}
		}
		mustPut(t, s, record(fmt.Sprint("scan", i), noon), 5000)
	}
	left := 0
	for i := range 100 {
		if has(s, fmt.Sprint("hot", i)) {
			left++
		}
	}
	if left < 95 {
		t.Errorf("after a scan of ten times the capacity %d of 100 hot records are left", left)
	}
}

func TestEndedRecordsGoFirst(t *testing.T) {
	for _, main := range []bool{false, true} {
		s := &Store{MaxBytes: 1 << 20}
		use := func(kind string, times int) {
			for i := range 40 * times {
				has(s, fmt.Sprint(kind, i%40))
			}
		}
		for i := range 40 {
			r := record(fmt.Sprint("ended", i), noon)
			r.KeepUntil = noon.Add(time.Minute)
			mustPut(t, s, r, 10_000)
			mustPut(t, s, record(fmt.Sprint("endless", i), noon), 10_000)
		}
		if main { // let them be used, and pass through the small queue
			use("ended", 1)
			use("endless", 1)
			for i := range 40 {
				mustPut(t, s, record(fmt.Sprint("other", i), noon), 10_000)
			}
			if n := s.policy.main.len; n < 60 {
				t.Fatalf("%d entries in the main queue, so the test shows nothing", n)
			}
		}
		use("ended", 3)
		use("endless", 1)
		for i := range 50 {
			mustPut(t, s, record(fmt.Sprint("new", i), noon.Add(time.Hour)), 10_000)
			has(s, fmt.Sprint("new", i))
		}
		ended, endless := 0, 0
		for i := range 40 {
			if has(s, fmt.Sprint("ended", i)) {
				ended++
			}
			if has(s, fmt.Sprint("endless", i)) {
				endless++
			}
		}
		if ended > 10 || endless < 30 {
			t.Errorf("in the main queue %v: %d of 40 ended records are left, and %d of 40 others that were used less", main, ended, endless)
		}
	}
}

func TestNoMoreGhostsThanEntries(t *testing.T) {
	s := &Store{MaxBytes: 1 << 20}
	for i := range 5000 {
		mustPut(t, s, record(fmt.Sprint(i%1000), noon), 10_000)
		g, entries := &s.policy.ghosts, s.policy.small.len+s.policy.main.len
		if len(g.added) > entries+1 || len(g.order) > entries+1 {
			t.Fatalf("%d ghosts in %d turns beside %d entries", len(g.added), len(g.order), entries)
		}
	}
}

func TestEndedVariantsMakeWay(t *testing.T) {
	s := new(Store)
	for i := range 100 {
		r := record("key", noon.Add(time.Duration(i)*time.Hour))
		r.KeepUntil = r.ID.Time().Add(90 * time.Minute)
		mustPut(t, s, r, 10)
	}
	if found, _ := s.Lookup(ctx, "key"); len(found) != 2 {
		t.Errorf("%d variants, want the 2 that had not ended when the last one came", len(found))
	}
}

func TestARecordIsThereOnce(t *testing.T) {
	s := new(Store)
	r := record("key", noon)
	for range 2 { // as a tier in front is given it twice
		mustPut(t, s, r, 10)
	}
	if found, _ := s.Lookup(ctx, "key"); len(found) != 1 {
		t.Errorf("%d records, want 1", len(found))
	}
}

func TestWhatComesBackSoonIsKept(t *testing.T) {
	s := &Store{MaxBytes: 1 << 20}
	for i := range 90 {
		mustPut(t, s, record(fmt.Sprint("old", i), noon), 10_000)
		has(s, fmt.Sprint("old", i))
	}
	mustPut(t, s, record("back", noon), 10_000)
	for i := range 30 {
		mustPut(t, s, record(fmt.Sprint("x", i), noon), 10_000)
	}
	if has(s, "back") {
		t.Fatal("the record was not evicted, so the test shows nothing")
	}
	mustPut(t, s, record("back", noon), 10_000)
	for i := range 30 {
		mustPut(t, s, record(fmt.Sprint("y", i), noon), 10_000)
	}
	if !has(s, "back") {
		t.Error("a record that came back soon after its eviction was evicted like a new one")
	}
}

// allocated returns the bytes that do allocates.
func allocated(do func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

func TestAllocatesLittleMoreThanTheBody(t *testing.T) {
	for _, c := range []struct {
		name        string
		hint        int64
		size, piece int
		most        int64
	}{
		{"1 MB of known length", 1 << 20, 1 << 20, 32 << 10, 13 << 20 / 10},
		{"1 MB of unknown length", -1, 1 << 20, 32 << 10, 13 << 20 / 10},
		{"1 MB of unknown length in small pieces", -1, 1 << 20, 700, 13 << 20 / 10},
		{"8 MB of known length", 8 << 20, 8 << 20, 32 << 10, 8 * 13 << 20 / 10},
		{"8 MB of unknown length", -1, 8 << 20, 32 << 10, 8 * 13 << 20 / 10},
		{"1 KB of known length", 1 << 10, 1 << 10, 32 << 10, 5 << 10},
		{"1 KB of unknown length", -1, 1 << 10, 32 << 10, 5 << 10},
		{"1 KB announced as 30 MB", 30 << 20, 1 << 10, 32 << 10, 12 << 20 / 10},
	} {
		s := new(Store)
		mustPut(t, s, record("first", noon), 10) // and the maps are made
		r := record("key", noon)
		var err error
		got := allocated(func() { err = put(s, r, c.hint, c.size, c.piece) })
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got > c.most {
			t.Errorf("%s: %d bytes allocated, want at most %d", c.name, got, c.most)
		}
		if _, held, _ := s.Size(ctx); held > int64(c.size)*9/8+4000 {
			t.Errorf("%s: %d bytes held", c.name, held)
		}
	}
}

func TestHitDoesNotAllocate(t *testing.T) {
	s := new(Store)
	r := record("key", noon)
	mustPut(t, s, r, 1000)
	if n := testing.AllocsPerRun(100, func() { s.Lookup(ctx, "key") }); n != 0 {
		t.Errorf("Lookup: %v allocations", n)
	}
}

func TestSmallBodiesTravelInTheRecord(t *testing.T) {
	for _, c := range []struct {
		hint        int64
		size, piece int
		inside      bool
	}{
		{1000, 1000, 100, true}, {-1, 1000, 100, true}, {-1, inline, 1000, true}, {100, inline, 1000, true},
		{1 << 20, 1 << 20, 1000, true}, {-1, inline + 1, 1000, false}, {2 << 20, 2 << 20, 32 << 10, false},
	} {
		s := new(Store)
		if err := put(s, record("key", noon), c.hint, c.size, c.piece); err != nil {
			t.Fatal(err)
		}
		found, _ := s.Lookup(ctx, "key")
		if r := found[0]; (r.Body != nil) != c.inside || r.Body != nil && len(r.Body) != c.size {
			t.Errorf("%d bytes, announced as %d, in pieces of %d: %d bytes in the record", c.size, c.hint, c.piece, len(r.Body))
		}
	}
}

func TestEstimateIsHonest(t *testing.T) {
	const n = 5000
	var s Store
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	for i := range n {
		r := record(fmt.Sprintf("https://example.com/a/path/of/usual/length/%d", i), noon)
		r.Proto, r.Selecting = "HTTP/2.0", http.Header{}
		for _, name := range []string{"Date", "Content-Type", "Content-Length", "Cache-Control", "Etag", "Last-Modified", "Server", "Vary", "X-Request-Id"} {
			r.Header[name] = []string{fmt.Sprintf("a value of %s, %d", name, i)}
		}
		mustPut(t, &s, r, 500)
	}
	taken := heap() - before
	records, counted, _ := s.Size(ctx)
	runtime.KeepAlive(&s)
	if records != n {
		t.Fatalf("%d records, want %d", records, n)
	}
	if ratio := float64(counted) / float64(taken); ratio < 0.85 || ratio > 1.25 {
		t.Errorf("%d bytes counted a record, %d taken: %.2f", counted/n, taken/n, ratio)
	}
}

func TestReadAtServesAWriteInProgress(t *testing.T) {
	s := new(Store)
	r := record("key", noon)
	r.Size = -1
	w, err := s.Create(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	io.WriteString(w, "larder")
	p := make([]byte, 10)
	if n, err := w.ReadAt(p, 3); string(p[:n]) != "der" || err != io.EOF {
		t.Errorf("ReadAt: %q, %v", p[:n], err)
	}
}
