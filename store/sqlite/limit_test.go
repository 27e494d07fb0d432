package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
)

func TestLimitHoldsUnderManyTimesAsMuch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ size, times int }{
		{1000, 5}, {30_000, 10}, {200_000, 30},
	} {
		t.Run(fmt.Sprint(c.size, " bytes each"), func(t *testing.T) {
			const limit = 1 << 20
			path := temp(t)
			s := mustOpen(t, path, &Options{MaxBytes: limit})
			most := int64(0)
			var last *store.Record
			for i := range c.times * limit / (c.size + 1000) {
				last = newRecord(fmt.Sprint("key", i), time.Now())
				if err := put(s, last, bodyOf(last.ID, c.size)); err != nil {
					t.Fatal(err)
				}
				if info, err := os.Stat(path); err == nil {
					most = max(most, info.Size())
				}
			}
			if most > limit {
				t.Errorf("the file had %d bytes at the most, with a limit of %d", most, limit)
			}
			if _, err := s.Sweep(ctx, time.Now()); err != nil {
				t.Fatal(err)
			}
			if used, _, err := s.writer.used(); used > limit || err != nil {
				t.Errorf("%d bytes are in use after Sweep, %v; the limit is %d", used, err, limit)
			}
			if n, bytes, err := s.Size(ctx); n == 0 || bytes < limit/3 || err != nil {
				t.Errorf("only %d records of %d bytes are left, %v", n, bytes, err)
			}
			if found, err := s.Lookup(ctx, last.Key); len(found) != 1 || err != nil {
				t.Errorf("the last record: %d found, %v", len(found), err)
			}
		})
	}
}

func TestTheLimitIsNeverExceeded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		limit   int64
		writers int
		sizes   []int
	}{
		{"small bodies", 128 << 10, 8, []int{3000}},
		{"bodies of a chunk", 512 << 10, 8, []int{30_000}},
		{"bodies of all sizes", 1 << 20, 6, []int{1000, 100_000, 100_000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if err := overfill(temp(t), c.limit, c.writers, c.sizes...); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("in two processes", func(t *testing.T) {
		t.Parallel()
		runTwo(t, "overfill", temp(t))
	})
}

// overfill stores 100 times the limit in a new record each, and looks at the file after each.
func overfill(path string, limit int64, writers int, sizes ...int) error {
	s, err := Open(path, &Options{MaxBytes: limit})
	if err != nil {
		return err
	}
	look, err := s.connect()
	if err != nil {
		return err
	}
	var looking sync.Mutex
	var used, file int64 // at the most
	watch := func() error {
		looking.Lock()
		defer looking.Unlock()
		now, _, err := look.used()
		if err != nil {
			return err
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		used, file = max(used, now), max(file, info.Size())
		return nil
	}
	errs := make(chan error, writers)
	for g := range writers {
		go func() {
			for i, left := g, 100*limit/int64(writers); left > 0; i++ {
				r := newRecord(fmt.Sprint("key", os.Getpid(), "-", g, "-", i), time.Now())
				size := sizes[i%len(sizes)]
				if err := errors.Join(put(s, r, bodyOf(r.ID, size)), watch()); err != nil {
					errs <- err
					return
				}
				left -= int64(size)
			}
			errs <- nil
		}()
	}
	for range writers {
		err = errors.Join(err, <-errs)
	}
	if used > limit || file > limit {
		err = errors.Join(err, fmt.Errorf("%d bytes were in use at the most, and the file had %d; the limit is %d", used, file, limit))
	}
	if n, bytes, e := s.Size(ctx); bytes < limit/3 {
		err = errors.Join(err, e, fmt.Errorf("only %d records of %d bytes are left", n, bytes))
	}
	return errors.Join(err, look.close(), s.Close())
}

// sizeOf returns how many bytes of the file are in use, and how many it has.
func sizeOf(t *testing.T, s *Store) (used, file int64) {
	t.Helper()
	s.mu.Lock() // for the background may be at work
	defer s.mu.Unlock()
	used, file, err := s.writer.used()
	if err != nil {
		t.Fatal(err)
	}
	return used, file
}

func TestALimitBelowTheEmptyTablesIsNoFault(t *testing.T) {
	_, empty := sizeOf(t, mustOpen(t, temp(t), nil))
	for _, limit := range []int64{1, empty, empty + 2*pageSize, 2 * empty} {
		s := mustOpen(t, temp(t), &Options{MaxBytes: limit})
		for i, size := range []int{0, 1000, 10_000, 20_000, 100_000, 1_000_000} {
			r := newRecord(fmt.Sprint("key", i), time.Now())
			if err := put(s, r, bodyOf(r.ID, size)); err != nil && !errors.Is(err, store.ErrTooLarge) {
				t.Errorf("%d bytes with a limit of %d: %v", size, limit, err)
			}
			if _, file := sizeOf(t, s); file > max(limit, empty) {
				t.Errorf("the file has %d bytes with a limit of %d; %d when it is empty", file, limit, empty)
			}
		}
	}
}

func TestALowerLimitIsReachedByAndBy(t *testing.T) {
	path := temp(t)
	s := mustOpen(t, path, nil)
	for i := range 200 {
		mustPut(t, s, fmt.Sprint("key", i), make([]byte, 100_000))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	const limit = 4 << 20
	s = mustOpen(t, path, &Options{MaxBytes: limit})
	for i := 0; ; i++ {
		if _, file := sizeOf(t, s); file <= limit {
			break
		}
		if i == 500 {
			t.Fatal("after 500 writes the file is as large as before")
		}
		mustPut(t, s, fmt.Sprint("more", i), make([]byte, 10_000))
	}
	if n, _, err := s.Size(ctx); n < 20 || err != nil {
		t.Errorf("only %d records are left, %v", n, err)
	}
}

// Who writes makes room for that, and leaves the rest to the background and to later writes.
func TestNoWriteWaitsForALowerLimit(t *testing.T) {
	for _, size := range []int{1000, 10_000} {
		path := temp(t)
		s := mustOpen(t, path, nil)
		count := 4 << 20 / size
		for i := range count {
			mustPut(t, s, fmt.Sprint("key", i), make([]byte, size))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = mustOpen(t, path, &Options{MaxBytes: 1 << 20})
		s.evicting.Store(true) // so that the background does nothing
		mustPut(t, s, "more", make([]byte, size))
		if n, _, err := s.Size(ctx); n < count/2 || err != nil {
			t.Errorf("bodies of %d bytes: %d of %d records are left after one more, %v", size, n, count, err)
		}
	}
}

// Without a reserve no room could ever be made again.
func TestRoomIsMadeWhereThatTakesRoom(t *testing.T) {
	s := mustOpen(t, temp(t), nil)
	mustPut(t, s, "key", make([]byte, 500_000))
	before, _ := sizeOf(t, s)
	for i := 0; ; i++ { // until the page of those that are loose is full
		if _, err := s.writer.exec("SAVEPOINT one"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.writer.exec(`INSERT INTO loose (id, writing, since) VALUES (?, 1, 0)`, []byte(fmt.Sprintf("%016d", i))); err != nil {
			t.Fatal(err)
		}
		used, _, err := s.writer.used()
		if err != nil {
			t.Fatal(err)
		}
		if used > before {
			break
		}
		if _, err := s.writer.exec("RELEASE one"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.writer.exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	used, file := sizeOf(t, s)
	if used != file {
		t.Fatalf("%d of %d bytes are in use, want all", used, file)
	}
	s.limit = file + file/15
	if err := s.bound(s.writer, s.full()); err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, "more", make([]byte, 100_000))
	if _, file := sizeOf(t, s); file > s.limit {
		t.Errorf("the file has %d bytes, the limit is %d", file, s.limit)
	}
}

// What is deleted while somebody reads it stays for him.
func TestBodiesBeingReadKeepTheLimit(t *testing.T) {
	const limit = 4 << 20
	s := mustOpen(t, temp(t), &Options{MaxBytes: limit})
	var readers []io.Closer
	var err error
	for i := 0; err == nil && i < 1000; i++ {
		r := newRecord(fmt.Sprint("key", i), time.Now())
		if err = put(s, r, bodyOf(r.ID, 20_000)); err == nil {
			b, err := s.Open(ctx, r)
			if errors.Is(err, store.ErrNotFound) { // gone already, in the background
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			readers = append(readers, b)
		}
		if _, file := sizeOf(t, s); file > limit {
			t.Fatalf("the file has %d bytes, the limit is %d", file, limit)
		}
	}
	if !errors.Is(err, store.ErrTooLarge) || len(readers) < 150 {
		t.Errorf("beside %d bodies that are being read: %v, want ErrTooLarge", len(readers), err)
	}
	for _, b := range readers {
		b.Close()
	}
	for i := range 300 {
		mustPut(t, s, fmt.Sprint("more", i), make([]byte, 20_000))
	}
	if _, file := sizeOf(t, s); file > limit {
		t.Errorf("the file has %d bytes, the limit is %d", file, limit)
	}
}

// A full disk is none that is full by the limit: nothing goes.
func TestAFullDiskRemovesNothing(t *testing.T) {
	s := mustOpen(t, temp(t), &Options{MaxBytes: 8 << 20})
	mustPut(t, s, "key", make([]byte, 100_000))
	if err := s.bound(s.writer, 1); err != nil { // SQLite says the same
		t.Fatal(err)
	}
	if err := put(s, newRecord("more", time.Now()), make([]byte, 100_000)); resultCode(err) != codeFull || errors.Is(err, store.ErrTooLarge) {
		t.Errorf("storing: %v", err)
	}
	if n, _, err := s.Size(ctx); n != 1 || err != nil {
		t.Errorf("%d records are left, %v", n, err)
	}
}

func TestBodiesBeingWrittenKeepTheLimit(t *testing.T) {
	const limit = 4 << 20
	s := mustOpen(t, temp(t), &Options{MaxBytes: limit})
	mustPut(t, s, "key", make([]byte, 1000))
	writing := make(map[store.ID]store.Writer)
	for i := range 8 {
		r := newRecord(fmt.Sprint("key", i), time.Now())
		r.Size = -1
		w, err := s.Create(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		writing[r.ID] = w
	}
	for range 3 << 20 / chunkSize {
		for id, w := range writing {
			if _, err := w.Write(make([]byte, chunkSize)); errors.Is(err, store.ErrTooLarge) {
				delete(writing, id)
			} else if err != nil {
				t.Fatal(err)
			}
		}
		s.mu.Lock() // for the background may be at work
		used, _, err := s.writer.used()
		s.mu.Unlock()
		if used > limit || err != nil {
			t.Fatalf("%d bytes are in use, %v; the limit is %d", used, err, limit)
		}
	}
	if len(writing) == 8 {
		t.Error("nobody was told that there is no room")
	}
}

func TestLooseChunksGoSeveralAtOnceAndBeforeAllElse(t *testing.T) {
	s := mustOpen(t, temp(t), &Options{MaxBytes: 1 << 20})
	mustPut(t, s, "stays", make([]byte, 20_000))
	for i := range 40 {
		r := mustPut(t, s, "key", make([]byte, 20_000))
		if i == 0 {
			body, err := s.Open(ctx, r)
			if err != nil {
				t.Fatal(err)
			}
			defer body.Close()
		}
		if err := s.Delete(ctx, r.Key, r.ID); err != nil {
			t.Fatal(err)
		}
	}
	s.mu.Lock() // for the background may be at work
	defer s.mu.Unlock()
	s.limit /= 8
	used, _, err := s.writer.used()
	if err != nil {
		t.Fatal(err)
	}
	if removed, progress, err := s.evictSome(s.writer, used, s.low()); removed != 0 || !progress || err != nil {
		t.Errorf("%d records removed, progress %v, %v", removed, progress, err)
	}
	loose, err := s.writer.ids(`SELECT id FROM loose`)
	if len(loose) > 5 || !slices.ContainsFunc(loose, s.inUse.has) || err != nil {
		t.Errorf("%d loose ids are left, %v; want a few, with the one that is being read", len(loose), err)
	}
	if n, _, err := s.Size(ctx); n != 1 || err != nil {
		t.Errorf("%d records are left, %v; want 1", n, err)
	}
}

func TestLooseChunksGoAFewMiBAtOnce(t *testing.T) {
	s := mustOpen(t, temp(t), nil)
	for i := range 5 {
		r := mustPut(t, s, fmt.Sprint("key", i), make([]byte, (chunksAtOnce-1)*chunkSize))
		if err := s.Delete(ctx, r.Key); err != nil {
			t.Fatal(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = 1 << 20
	before, _, err := s.writer.used()
	if err != nil {
		t.Fatal(err)
	}
	if _, progress, err := s.evictSome(s.writer, before, s.low()); !progress || err != nil {
		t.Errorf("progress %v, %v", progress, err)
	}
	if used, _, err := s.writer.used(); before-used > 2*chunksAtOnce*chunkSize || err != nil {
		t.Errorf("%d bytes went at once, %v", before-used, err)
	}
}

// Else the write would wait a second time, by itself.
func TestAWriteWaitsForAnotherProcessOnce(t *testing.T) {
	path := temp(t)
	s, other := mustOpen(t, path, nil), mustOpen(t, path, nil)
	r := mustPut(t, s, "key", make([]byte, 2*chunkSize))
	if err := s.Delete(ctx, r.Key); err != nil {
		t.Fatal(err)
	}
	if _, err := other.writer.exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.writer.pragmas("busy_timeout = 1"); err != nil {
		t.Fatal(err)
	}
	s.limit, s.unchecked = chunkSize, chunkSize
	if err := s.keepLimit(s.writer, 0); resultCode(err) != codeBusy {
		t.Errorf("making room while the file is locked: %v", err)
	}
	if _, err := other.writer.exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
}

// Two readers, of whom each ends when the other has begun, so that at no moment nobody reads.
func TestTheLogBeginsAnewUnderReadersThatNeverCease(t *testing.T) {
	s := mustOpen(t, temp(t), nil)
	turns, stop := [2]chan bool{make(chan bool, 1), make(chan bool, 1)}, make(chan bool)
	turns[0] <- true
	var readers sync.WaitGroup
	for i := range turns {
		c, err := s.connect()
		if err != nil {
			t.Fatal(err)
		}
		readers.Go(func() {
			defer c.close()
			for {
				select {
				case <-turns[i]:
				case <-stop:
					return
				}
				c.exec("COMMIT") // fails the first time
				c.exec("BEGIN")
				var n int
				if err := c.row(`SELECT count(*) FROM leases`, nil, []any{&n}); err != nil {
					t.Error(err)
				}
				turns[1-i] <- true
			}
		})
	}
	mustPut(t, s, "key", make([]byte, 2<<20))
	var busy, frames, done int
	for range 100 { // a wait may be in vain, for a lock that the readers hand to each other
		s.writer.restartLog(100 * time.Millisecond)
		mustPut(t, s, "key", make([]byte, 10))
		if err := s.writer.row("PRAGMA wal_checkpoint(PASSIVE)", nil, []any{&busy, &frames, &done}); err != nil {
			t.Fatal(err)
		}
		if frames <= 50 {
			break
		}
	}
	if frames > 50 {
		t.Errorf("the log has %d pages, want those of the last write", frames)
	}
	close(stop)
	readers.Wait()
}

func TestBodyBeyondTheLimitIsRefused(t *testing.T) {
	s := mustOpen(t, temp(t), &Options{MaxBytes: 1 << 20})
	r := newRecord("key", time.Now())
	r.Size = 2 << 20
	if w, err := s.Create(ctx, r); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("Create: %v, %v; want ErrTooLarge", w, err)
	}
	r.Size = -1
	w, err := s.Create(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(struct{ io.Writer }{w}, bytes.NewReader(make([]byte, 2<<20)))
	if n > 1<<20 || !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("%d bytes written, %v; want ErrTooLarge", n, err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if got := ask(t, s.path(t), "SELECT count(*) FROM chunks"); got != "0" {
		t.Errorf("%s chunks are left", got)
	}
}

func TestVacuumGivesSpaceBack(t *testing.T) {
	path := temp(t)
	s := mustOpen(t, path, nil)
	for i := range 20 {
		mustPut(t, s, fmt.Sprint("key", i), make([]byte, 1<<20))
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.Sweep(ctx, time.Now().Add(24*time.Hour)); n != 20 || err != nil {
		t.Fatalf("Sweep: %d removed, %v; want 20", n, err)
	}
	after, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if after.Size() > before.Size()/4 {
		t.Errorf("the file had %d bytes, and has %d", before.Size(), after.Size())
	}
	if got := ask(t, path, "SELECT (SELECT count(*) FROM chunks) + (SELECT count(*) FROM loose)"); got != "0" {
		t.Errorf("%s rows are left", got)
	}
}

func TestAnEndlessBodyLeavesOthers(t *testing.T) {
	const limit = 4 << 20
	s := mustOpen(t, temp(t), &Options{MaxBytes: limit})
	for i := range 20 {
		mustPut(t, s, fmt.Sprint("key", i), make([]byte, 50_000))
	}
	r := newRecord("endless", time.Now())
	r.Size = -1
	w, err := s.Create(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for range 100 {
		if _, err = w.Write(make([]byte, chunkSize)); err != nil {
			break
		}
	}
	if !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("Write: %v", err)
	}
	if n, _, err := s.Size(ctx); n != 20 || err != nil {
		t.Errorf("%d of 20 records are left; %v", n, err)
	}
}

// What would be driven out again as soon as it is stored must not drive out all else before.
func TestABodyOfNearlyTheLimitIsStoredOrLeavesOthers(t *testing.T) {
	for _, part := range []int64{87, 93, 96, 99} {
		s := mustOpen(t, temp(t), &Options{MaxBytes: 8 << 20})
		for i := range 20 {
			mustPut(t, s, fmt.Sprint("key", i), make([]byte, 50_000))
		}
		r := newRecord("long", time.Now())
		size := s.full() * part / 100
		r.Size = size
		w, err := s.Create(ctx, r)
		if err == nil {
			if _, err = w.Write(make([]byte, size)); err == nil {
				err = w.Commit(r)
			}
			w.Close()
		}
		if err != nil && !errors.Is(err, store.ErrTooLarge) {
			t.Fatal(err)
		}
		if _, err := s.Sweep(ctx, time.Now()); err != nil {
			t.Fatal(err)
		}
		if n, _, err := s.Size(ctx); n == 0 || err != nil {
			t.Errorf("after a body of %d%% of the limit no record is left, %v", part, err)
		}
	}
}
