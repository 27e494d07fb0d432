package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/larder-go/larder/store"
)

var reading = []test{
	{"Lookup of an absent key finds nothing", "none is not an error", lookupAbsent},
	{"Lookup returns every variant, newest first", "a URL may have several responses, told apart by Vary", variants},
	{"Lookup orders by ID, not by time of storing", "the newest ID comes first", newestFirst},
	{"a record that was found never changes", "once committed a record is never changed, it is shared and read-only", immutable},
	{"Open works for every committed record", "also when the body is inside the record, or empty; Key, ID and Size are all it needs", openEvery},
	{"the body can be sought", "Range requests are served by Seek", seek},
	{"readers of one body are independent", "each reader has a place of its own", independentReaders},
	{"Open of an absent record fails with ErrNotFound", "the error wraps ErrNotFound when the body is gone", openAbsent},
	{"a reader outlives its record", "a reader opened in time reads the whole body or fails with ErrNotFound or ErrCorrupt", outlive},
	{"a record that is gone yields its own bytes or none", "a body is never taken for another's", openGone},
}

var naming = []test{
	{"odd keys are kept apart", "keys hold any byte and are compared whole", oddKeys},
}

func contextWithCancel(t *check, cancelled bool) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.ctx)
	if cancelled {
		cancel()
	}
	return ctx, cancel
}

func lookupAbsent(t *check) {
	s := t.store()
	t.wantIDs(s, "absent")
	t.put(s, t.record("present"), 10)
	t.wantIDs(s, "absent")
	t.wantIDs(s, "presen")
	t.wantIDs(s, "present ")
}

func variants(t *check) {
	s := t.store()
	var want []*store.Record
	for i := range 8 {
		r := t.record("key")
		r.Selecting = map[string][]string{"Accept-Language": {fmt.Sprint("l", i)}}
		want = slices.Insert(want, 0, t.put(s, r, i*30_000))
	}
	t.wantIDs(s, "key", want...)
	for i, r := range t.lookup(s, "key") {
		t.sameHead(r, want[i])
		t.wantBody(s, r, (7-i)*30_000)
	}
}

func newestFirst(t *check) {
	s := t.store()
	r := []*store.Record{t.record("key"), t.record("key"), t.record("key"), t.record("key"), t.record("key")}
	for _, i := range []int{2, 4, 0, 3, 1} {
		t.put(s, r[i], 10)
	}
	t.wantIDs(s, "key", r[4], r[3], r[2], r[1], r[0])
	t.update(s, r[1])
	t.wantIDs(s, "key", r[4], r[3], r[2], r[1], r[0])
}

func immutable(t *check) {
	s := t.store()
	for _, size := range []int{100, 200_000} {
		key := store.Key(fmt.Sprint("key", size))
		r := t.put(s, t.record(key), size)
		before := t.lookup(s, key)
		u := r.Clone()
		u.Status, u.Header = 299, map[string][]string{"Etag": {"changed"}}
		t.update(s, u)
		t.put(s, t.record(key), size)
		if len(before) != 1 || before[0].Status != 200 || before[0].Header.Get("Etag") != etag(r.ID) {
			t.errorf("a record that was found before an Update shows it")
		}
		t.wantBody(s, before[0], size)
	}
}

func openEvery(t *check) {
	s := t.store()
	for _, size := range sizes {
		if !t.fits(size) {
			continue
		}
		key := store.Key(fmt.Sprint("key", size))
		t.put(s, t.record(key), size)
		r := t.one(s, key)
		t.wantBody(s, r, size)
		t.wantBody(s, &store.Record{Key: r.Key, ID: r.ID, Size: r.Size}, size)
		held := &store.Record{Key: r.Key, ID: r.ID, Size: r.Size, Body: bodyOf(r.Key, r.ID, size)} // as of a store in front
		t.wantBody(s, held, size)
	}
}

func seek(t *check) {
	s := t.store()
	for _, size := range []int{1000, 200_001} {
		key := store.Key(fmt.Sprint("key", size))
		want := bodyOf(key, t.put(s, t.record(key), size).ID, size)
		b := t.open(s, t.one(s, key))
		defer b.Close()
		for _, c := range []struct {
			off      int64
			whence   int
			at, read int
		}{
			{0, io.SeekEnd, size, 0},
			{0, io.SeekStart, 0, 10},
			{5, io.SeekCurrent, 15, 5},
			{-20, io.SeekCurrent, 0, 1},
			{-7, io.SeekEnd, size - 7, 7},
			{int64(size) / 2, io.SeekStart, size / 2, size - size/2},
			{-int64(size), io.SeekEnd, 0, size},
			{3, io.SeekStart, 3, 300},
			{0, io.SeekCurrent, 303, 3},
		} {
			if at, err := b.Seek(c.off, c.whence); at != int64(c.at) || err != nil {
				t.fatalf("%d bytes: Seek(%d, %d): %d, %v; want %d", size, c.off, c.whence, at, err, c.at)
			}
			got := make([]byte, c.read)
			if n, err := io.ReadFull(b, got); err != nil {
				t.fatalf("%d bytes: read %d at %d: %d, %v", size, c.read, c.at, n, err)
			}
			t.sameBytes(fmt.Sprintf("%d bytes: %d at %d", size, c.read, c.at), got, want[c.at:c.at+c.read])
		}
		for _, past := range []int64{0, 10, 1 << 40} {
			if at, err := b.Seek(past, io.SeekEnd); at != int64(size)+past || err != nil {
				t.errorf("%d bytes: Seek(%d, SeekEnd): %d, %v", size, past, at, err)
			}
			if n, err := b.Read(make([]byte, 10)); n != 0 || err != io.EOF {
				t.errorf("%d bytes: Read %d past the end: %d, %v; want io.EOF", size, past, n, err)
			}
		}
		if _, err := b.Seek(7, io.SeekStart); err != nil {
			t.errorf("Seek: %v", err)
		}
		if _, err := b.Seek(-8, io.SeekCurrent); err == nil {
			t.errorf("%d bytes: Seek before the start: no error", size)
		}
		got := make([]byte, 3)
		if _, err := io.ReadFull(b, got); err != nil {
			t.errorf("read after a failed Seek: %v", err)
		}
		t.sameBytes("after a failed Seek", got, want[7:10])
	}
}

func independentReaders(t *check) {
	s := t.store()
	const size = 300_000
	r := t.put(s, t.record("key"), size)
	want := bodyOf("key", r.ID, size)
	a, b := t.open(s, r), t.open(s, r)
	defer b.Close()
	p, q := make([]byte, 1000), make([]byte, 1000)
	for at := 0; at < 100_000; at += 1000 {
		if _, err := io.ReadFull(a, p); err != nil {
			t.fatalf("read: %v", err)
		}
		if _, err := b.Seek(int64(size-at-1000), io.SeekStart); err != nil {
			t.fatalf("Seek: %v", err)
		}
		if _, err := io.ReadFull(b, q); err != nil {
			t.fatalf("read: %v", err)
		}
		t.sameBytes("first reader", p, want[at:at+1000])
		t.sameBytes("second reader", q, want[size-at-1000:size-at])
	}
	t.close(a)
	if _, err := b.Seek(0, io.SeekStart); err != nil {
		t.errorf("Seek after the other reader's Close: %v", err)
	}
	got, err := io.ReadAll(b)
	if err != nil {
		t.errorf("read after the other reader's Close: %v", err)
	}
	t.sameBytes("after the other reader's Close", got, want)
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() { t.wantBody(s, r, size) })
	}
	readers.Wait()
}

func openAbsent(t *check) {
	s := t.store()
	t.put(s, t.record("key"), 100_000)
	for _, key := range []store.Key{"key", "absent"} {
		r := t.record(key)
		r.Size = 100_000
		b, err := s.Open(t.ctx, r)
		if err == nil {
			_, err = b.Read(make([]byte, 10))
			b.Close()
			t.errorf("Open of a record never stored: no error, then Read: %v", err)
			continue
		}
		if !errors.Is(err, store.ErrNotFound) {
			t.errorf("Open of a record never stored: %v, want ErrNotFound", err)
		}
	}
}

// ending are the ways in which a record goes.
var ending = map[string]func(*check, store.Store, *store.Record){
	"Delete of the id":    func(t *check, s store.Store, r *store.Record) { t.delete(s, r.Key, r.ID) },
	"Delete of the key":   func(t *check, s store.Store, r *store.Record) { t.delete(s, r.Key) },
	"a Commit instead":    func(t *check, s store.Store, r *store.Record) { t.put(s, t.record(r.Key), int(r.Size), r.ID) },
	"a Commit of nothing": func(t *check, s store.Store, r *store.Record) { t.put(s, t.record(r.Key), 0, r.ID) },
	"Sweep": func(t *check, s store.Store, r *store.Record) {
		if w, ok := store.As[store.Sweeper](s); ok {
			if _, err := w.Sweep(t.ctx, base.Add(2*time.Hour)); err != nil {
				t.errorf("Sweep: %v", err)
			}
		}
	},
}

func outlive(t *check) {
	s := t.store()
	const size = 400_000
	for how, end := range ending {
		for _, read := range []int{0, 1, size / 2} {
			key := store.Key(fmt.Sprint(how, read))
			r := t.record(key)
			r.KeepUntil = base.Add(time.Hour)
			t.put(s, r, size)
			want := bodyOf(key, r.ID, size)
			b := t.open(s, t.one(s, key))
			got := make([]byte, read)
			if _, err := io.ReadFull(b, got); err != nil {
				t.fatalf("read: %v", err)
			}
			end(t, s, r)
			for range 3 { // might take the place of the old bytes
				t.put(s, t.record(key), size)
			}
			rest, err := io.ReadAll(b)
			got = append(got, rest...)
			switch {
			case err == nil:
				t.sameBytes("a reader that outlived "+how, got, want)
			case !gone(err):
				t.errorf("a reader that outlived %s: %v, want ErrNotFound or ErrCorrupt", how, err)
			case len(got) <= size:
				t.sameBytes("a reader that outlived "+how+" until it failed", got, want[:len(got)])
			}
			t.close(b)
			t.delete(s, key)
		}
	}
}

func openGone(t *check) {
	s := t.store()
	const size = 200_000
	for how, end := range ending {
		r := t.record(store.Key(how))
		r.KeepUntil = base.Add(time.Hour)
		t.put(s, r, size)
		found := t.one(s, r.Key)
		end(t, s, r)
		t.put(s, t.record(r.Key), size)
		got, err := t.readAll(s, found)
		if err == nil {
			t.sameBytes("a record found before "+how, got, bodyOf(r.Key, r.ID, size))
		} else if !gone(err) {
			t.errorf("a record found before %s: %v, want ErrNotFound or ErrCorrupt", how, err)
		}
	}
}

func oddKeys(t *check) {
	s := t.store()
	long := strings.Repeat("k", 10<<10)
	keys := []store.Key{
		"a", "a/", "a/b", "a/b/c", "ab", "A", "a ", " a", "a.", ".", "..", "../a", "/", "//", "/a", `a\b`, "a%2Fb",
		"\x00", "a\x00", "a\x00b", "\x00a", "\n", "a\nb", "a\r\nb", "\xff", "\xff\xfe", "\xc3\x28", "é", "e\u0301", "☃",
		"*", "?", "a*", "a%", "a_", "'", "';--", "{a}", "a:b", "a:b:c", "a,b", "$a", "a.b", "CON", "nul", "-a", "~",
		store.Key(long), store.Key(long + "1"), store.Key(long + "2"), store.Key(long[1:]), store.Key("\x00" + long),
	}
	stored := make([]*store.Record, len(keys))
	for i, key := range keys {
		stored[i] = t.put(s, t.record(key), 100+i)
	}
	for i, key := range keys {
		t.wantIDs(s, key, stored[i])
	}
	for i, key := range keys {
		if i%2 == 0 {
			t.delete(s, key)
		}
	}
	for i, key := range keys {
		if i%2 == 0 {
			t.wantIDs(s, key)
			continue
		}
		t.wantIDs(s, key, stored[i])
		t.wantBody(s, stored[i], 100+i)
	}
}
