package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
)

// TestTheLimitIsHeldAtEveryMoment stores a hundred times as much as may be kept, one record for each URL, by several
// goroutines and two stores on one directory, and stops them again and again to add up the files.
func TestTheLimitIsHeldAtEveryMoment(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		limit int64
		sizes []int64
	}{
		{"small records", 256 << 10, []int64{0, 1 << 10, 5 << 10}},
		{"records of all sizes", 2 << 20, []int64{1 << 10, 20 << 10, 40 << 10, 200 << 10}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			var stores [2]*Store
			for i := range stores {
				stores[i] = openAt(t, dir, c.limit)
			}
			var written, refused, stored, n atomic.Int64
			most := int64(0)
			look := func() {
				changes.Lock()
				defer changes.Unlock()
				took := taken(t, dir)
				if total, _ := stores[0].usage.total(); took > c.limit || took > total {
					t.Errorf("the files take %d bytes, the ledger says %d, the limit is %d", took, total, c.limit)
				}
				most = max(most, took)
			}
			var all sync.WaitGroup
			for range 16 {
				all.Go(func() {
					for written.Load() < 100*c.limit {
						i := int(n.Add(1))
						s, size := stores[i%2], c.sizes[i/2%len(c.sizes)]
						r := recordOf(fmt.Sprint("https://example.com/", i), size)
						err := write(s, r, i%3 == 0)
						if err == nil && i%5 == 0 {
							if err = s.Update(context.Background(), r.Clone()); errors.Is(err, store.ErrNotFound) {
								err = nil
							}
						}
						switch {
						case errors.Is(err, store.ErrTooLarge):
							refused.Add(1)
						case err != nil:
							t.Error(err)
							return
						default:
							stored.Add(1)
						}
						written.Add(int64(size) + 8192)
						if i%10 == 0 {
							look()
						}
					}
				})
			}
			all.Wait()
			t.Logf("%d stored, %d refused; at most %d of %d bytes", stored.Load(), refused.Load(), most, c.limit)
			if most < c.limit*3/4 || refused.Load() > stored.Load()/10 {
				t.Errorf("little is kept, or much refused")
			}
			if total, _ := stores[1].usage.total(); total != taken(t, dir) {
				t.Errorf("the ledger says %d bytes in the end, the files take %d", total, taken(t, dir))
			}
		})
	}
}

// TestABodyOfUnknownLengthIsEnteredBeforeItIsWritten looks after every Write whether the ledger has the file, and no
// more.
func TestABodyOfUnknownLengthIsEnteredBeforeItIsWritten(t *testing.T) {
	const limit = 4 << 20
	for _, end := range []string{"committed", "given up", "too large", "swept"} {
		t.Run(end, func(t *testing.T) {
			dir := t.TempDir()
			s := openAt(t, dir, limit)
			for i := range 100 {
				put(t, s, store.Key(fmt.Sprint(i)))
			}
			agree := func() int64 {
				t.Helper()
				total, _ := s.usage.total()
				if took := taken(t, dir); took != total || took > limit {
					t.Fatalf("the ledger says %d bytes, the files take %d, the limit is %d", total, took, limit)
				}
				return total
			}
			before := agree()
			r := recordOf("body", -1)
			w, err := s.Create(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			chunk, size, steps := make([]byte, 10_000), int64(0), map[int64]bool{}
			for size < 3<<19 || end == "too large" {
				n, err := w.Write(chunk)
				size += int64(n)
				total := agree()
				steps[total] = true
				if err != nil && end == "too large" && errors.Is(err, store.ErrTooLarge) && size > limit*2/5 {
					break
				} else if err != nil {
					t.Fatalf("after %d bytes: %v", size, err)
				}
				if ahead := total - before - size; end != "too large" && ahead > size/4+4*blockSize {
					t.Fatalf("%d bytes are reserved beyond %d", ahead, size)
				}
			}
			if len(steps) > 30 {
				t.Errorf("the ledger was written to %d times for %d bytes", len(steps), size)
			}
			want := before
			switch end {
			case "committed":
				r.Size = size
				if err := w.Commit(r); err != nil {
					t.Fatal(err)
				}
				want += cost(fileSize(size)) + 2*4096
			case "too large": // all else has stayed
			case "swept":
				body := filepath.Join(w.(*writer).place.fan.Name(), w.(*writer).place.body(r.ID))
				if err := os.Chtimes(body, time.Time{}, time.Now().Add(-2*grace)); err != nil {
					t.Fatal(err)
				}
				if _, err := s.Sweep(t.Context(), time.Now()); err != nil {
					t.Fatal(err)
				}
				for err == nil { // it is told sooner or later, and takes nothing meanwhile
					_, err = w.Write(chunk)
					agree()
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if total := agree(); total != want {
				t.Errorf("%d bytes in the end, want %d", total, want)
			}
		})
	}
}

// TestWhatIsBeingWrittenIsNotEvicted, so that nothing else can be stored beside it, and can be again when it is given
// up.
func TestWhatIsBeingWrittenIsNotEvicted(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir, 1<<20)
	r := recordOf("large", 1000<<10)
	w, err := s.Create(t.Context(), r)
	if err == nil {
		_, err = w.Write(make([]byte, 999<<10))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := write(s, recordOf("other", 100<<10), false); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("stored beside it: %v", err)
	}
	put(t, s, "small")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := write(s, recordOf("other", 100<<10), false); err != nil {
		t.Error(err)
	}
	if total, records := s.usage.total(); records != 2 || total != taken(t, dir) {
		t.Errorf("%d records of %d bytes, want 2 of %d", records, total, taken(t, dir))
	}
}

// TestABodyThatCannotFitEvictsNothing, whether alone or beside one that is being written.
func TestABodyThatCannotFitEvictsNothing(t *testing.T) {
	const limit = 1 << 20
	for _, c := range []struct {
		name             string
		beside, of, size int64 // beside: bytes, of as many that are to come in all
	}{
		{"with its checksums and its head", 0, 0, limit - 2*folderCost},
		{"as no file could", 0, 0, math.MaxInt64 - 1<<20},
		{"beside what has come of another", 500_000, 500_000, 600_000},
		{"beside what was reserved for another", 250_000, 450_000, 600_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			s := openAt(t, dir, limit)
			r := recordOf("beside", c.of)
			beside, err := s.Create(t.Context(), r)
			if err == nil {
				_, err = beside.Write(make([]byte, c.beside))
			}
			if err != nil {
				t.Fatal(err)
			}
			for i := range 40 {
				put(t, s, store.Key(fmt.Sprint(i)))
			}
			if err := write(s, recordOf("large", c.size), false); !errors.Is(err, store.ErrTooLarge) {
				t.Errorf("%d bytes: %v", c.size, err)
			}
			if total, records := s.usage.total(); records != 40 || total != taken(t, dir) {
				t.Errorf("%d records of %d bytes are left, want 40 of %d", records, total, taken(t, dir))
			}
			if c.beside == c.of {
				err = beside.Commit(r) // so that it can go, though it may be read back
				defer beside.Close()
			} else {
				err = beside.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := write(s, recordOf("large", c.size), false); (err == nil) != (c.beside > 0) {
				t.Errorf("%d bytes after that: %v", c.size, err)
			}
		})
	}
}

func TestThereMayBeNoLimit(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir, -1)
	for i := range 6 {
		r := recordOf(fmt.Sprint(i), 1<<20)
		if err := write(s, r, i%2 == 0); err != nil {
			t.Fatal(err)
		}
		if err := s.Update(t.Context(), r.Clone()); err != nil {
			t.Error(err)
		}
	}
	if n, err := s.Sweep(t.Context(), time.Now()); n != 0 || err != nil {
		t.Errorf("Sweep: %d, %v", n, err)
	}
	if total, records := s.usage.total(); records != 6 || total != taken(t, dir) {
		t.Errorf("%d records of %d bytes, want 6 of %d", records, total, taken(t, dir))
	}
}

func TestAnUpdateThatCannotFitEvictsNothing(t *testing.T) {
	const limit = 1 << 20
	dir := t.TempDir()
	s := openAt(t, dir, limit)
	for i := range 100 {
		put(t, s, store.Key(fmt.Sprint(i)))
	}
	u := put(t, s, "key").Clone()
	u.Header = http.Header{"Long": {strings.Repeat("l", limit)}}
	if err := s.Update(t.Context(), u); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("Update: %v", err)
	}
	if total, records := s.usage.total(); records != 101 || total != taken(t, dir) {
		t.Errorf("%d records of %d bytes are left, want 101 of %d", records, total, taken(t, dir))
	}
}

// TestWhatAKilledProcessReservedIsFreed, as what it had removed and not counted down.
func TestWhatAKilledProcessReservedIsFreed(t *testing.T) {
	for _, by := range []string{"Sweep", "a store that needs the room"} {
		t.Run(by, func(t *testing.T) {
			const limit = 1 << 20
			dir := t.TempDir()
			killed := openAt(t, dir, limit)
			put(t, killed, "kept")
			if ok, err := killed.usage.reserve(limit-8192, 3, limit); !ok || err != nil {
				t.Fatal(ok, err)
			}
			s := openAt(t, dir, limit)
			room := func() error {
				if by == "Sweep" {
					if _, err := s.Sweep(t.Context(), time.Now()); err != nil {
						t.Fatal(err)
					}
				}
				return write(s, recordOf("new", limit/2), false)
			}
			// It may be at it still.
			if err := room(); !errors.Is(err, store.ErrTooLarge) {
				t.Errorf("stored where another process has reserved the room: %v", err)
			}
			s.usage.others = time.Now().Add(-time.Minute)
			if by != "Sweep" { // it does not count for each of many who find no room
				if err := room(); !errors.Is(err, store.ErrTooLarge) {
					t.Errorf("counted again at once: %v", err)
				}
				s.counted = time.Now().Add(-time.Minute)
			}
			if err := room(); err != nil {
				t.Error(err)
			}
			if total, _ := s.usage.total(); total != taken(t, dir) {
				t.Errorf("the ledger says %d bytes, the files take %d", total, taken(t, dir))
			}
			if len(seenBy(t, s, "kept")) != 1 {
				t.Error("a record was evicted for what there was no room for, or was without that")
			}
		})
	}
}

// TestWhatKilledProcessesLeftGoesWhenRoomIsMade, an hour later, though nobody calls Sweep.
func TestWhatKilledProcessesLeftGoesWhenRoomIsMade(t *testing.T) {
	const limit = 4 << 20
	dir := t.TempDir()
	s := openAt(t, dir, limit)
	leave := func(key string, age time.Duration) (body string) {
		r := recordOf(key, 1<<20)
		w, err := s.Create(t.Context(), r)
		if err == nil {
			_, err = w.Write(make([]byte, r.Size))
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { w.(*writer).file.Close() }) // and no more, as when it is killed
		body = filepath.Join(w.(*writer).place.fan.Name(), w.(*writer).place.body(r.ID))
		if err := os.Chtimes(body, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
		return body
	}
	old, young := leave("old", grace+time.Minute), leave("young", grace-time.Minute)
	for i := range 2 * limit / 8192 {
		put(t, s, store.Key(fmt.Sprint(i)))
	}
	if _, err := os.Lstat(old); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old one is there still: %v", err)
	}
	if _, err := os.Lstat(young); err != nil {
		t.Errorf("the young one: %v", err)
	}
	if total, _ := s.usage.total(); total != taken(t, dir) || total < limit*7/8 {
		t.Errorf("the ledger says %d bytes, the files take %d", total, taken(t, dir))
	}
}

// TestABodyThatDoesNotGrowMakesRoom after some minutes, for the process may have been killed.
func TestABodyThatDoesNotGrowMakesRoom(t *testing.T) {
	for age, want := range map[time.Duration]error{pressed - time.Minute: store.ErrTooLarge, pressed + time.Minute: nil} {
		dir := t.TempDir()
		s := openAt(t, dir, 1<<20)
		put(t, s, "kept")
		r := recordOf("large", 900<<10)
		w, err := s.Create(t.Context(), r)
		if err == nil {
			_, err = w.Write(make([]byte, r.Size))
		}
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		body := filepath.Join(w.(*writer).place.fan.Name(), w.(*writer).place.body(r.ID))
		if err := os.Chtimes(body, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
		if err := write(s, recordOf("other", 500<<10), false); !errors.Is(err, want) {
			t.Errorf("stored beside a body that was written to %v ago: %v, want %v", age, err, want)
		}
		if err := w.Commit(r); (err == nil) == (want == nil) {
			t.Errorf("what came to be %v later: %v", age, err)
		}
		if total, records := s.usage.total(); records != 2 || total != taken(t, dir) {
			t.Errorf("%d records of %d bytes, want 2 of %d", records, total, taken(t, dir))
		}
	}
}

// TestASmallRecordFindsTheRoomOfALargeOne that goes for it, and is not refused because that was so much.
func TestASmallRecordFindsTheRoomOfALargeOne(t *testing.T) {
	const limit = 1 << 20
	s := openAt(t, t.TempDir(), limit)
	if err := write(s, recordOf("large", 900<<10), false); err != nil {
		t.Fatal(err)
	}
	for i := range limit / 8192 {
		put(t, s, store.Key(fmt.Sprint(i)))
	}
	if len(seenBy(t, s, "large")) != 0 {
		t.Error("nothing had to make room")
	}
}

// TestALedgerThatWasTooHighIsNoLowerLimit, as when a process with a higher one was killed.
func TestALedgerThatWasTooHighIsNoLowerLimit(t *testing.T) {
	const limit = 1 << 20
	dir := t.TempDir()
	s := openAt(t, dir, limit)
	for i := range 9 {
		if err := write(s, recordOf(fmt.Sprint(i), 100<<10), false); err != nil {
			t.Fatal(err)
		}
	}
	s.usage.add(900<<10, 0)
	w, err := s.Create(t.Context(), recordOf("new", 300<<10))
	if err == nil {
		defer w.Close()
		_, err = w.Write(make([]byte, 100<<10))
	}
	if err != nil {
		t.Fatal(err)
	}
	if total, _ := s.usage.total(); total > limit || total != taken(t, dir) {
		t.Errorf("the ledger says %d bytes, the files take %d, the limit is %d", total, taken(t, dir), limit)
	}
}

// TestALowerLimitIsComeDownTo by writes, each of which does only so much.
func TestALowerLimitIsComeDownTo(t *testing.T) {
	const limit = 1 << 20
	dir := t.TempDir()
	before := openAt(t, dir, 8*limit)
	for i := range 8 * limit / 8192 {
		put(t, before, store.Key(fmt.Sprint(i)))
	}
	s := openAt(t, dir, limit)
	for before, _ := s.usage.total(); before > limit; {
		put(t, s, "new")
		total, _ := s.usage.total()
		if removed := before - total; total > limit && removed < limit/2 || removed > limit {
			t.Fatalf("%d bytes were removed by one write, %d are left", removed, total)
		}
		before = total
	}
	if total, _ := s.usage.total(); total < limit/2 || total != taken(t, dir) {
		t.Errorf("%d bytes are left, %d in files", total, taken(t, dir))
	}
}

func openAt(t *testing.T, dir string, limit int64) *Store {
	t.Helper()
	s, err := Open(dir, &Options{MaxBytes: limit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func recordOf(url string, size int64) *store.Record {
	r := record(store.Key(url))
	r.URL, r.Size = url, size
	return r
}

// write stores a record, at first without saying how long it will be if unknown is set.
func write(s *Store, r *store.Record, unknown bool) error {
	size := r.Size
	if unknown {
		r.Size = -1
	}
	w, err := s.Create(context.Background(), r)
	if err != nil {
		return err
	}
	defer w.Close()
	for left := size; left > 0; left -= 10_000 {
		if _, err := w.Write(make([]byte, min(left, 10_000))); err != nil {
			return err
		}
	}
	r.Size = size
	return w.Commit(r)
}

// taken adds up what the files of records take, and those of writes under way, as the documentation says.
func taken(t *testing.T, dir string) (sum int64) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(dir, version), func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && strings.Contains(filepath.Base(path), "-") {
			return nil // a fan that was being made, by its first name
		}
		if err != nil {
			return err
		}
		name := e.Name()
		switch {
		case e.IsDir() && name == indexDir:
			return fs.SkipDir
		case e.IsDir() || strings.HasPrefix(name, usagePrefix):
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		sum += cost(info.Size())
		if strings.HasSuffix(name, headSuffix) && !strings.Contains(name, "-") { // not of an update
			sum += folderCost
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return sum
}
