package storetest

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-go/larder/store"
)

var writing = []test{
	{"a record comes back as it was stored", "every field of the head is needed to use the response again", roundTrip},
	{"odd header values come back", "header values are bytes of the origin's choosing", oddHeaders},
	{"a head of 100 KB comes back", "an origin may send a long header", longHead},
	{"a head of 17 MiB comes back or is refused", "what is stored can be read; ErrTooLarge stores nothing and harms nothing", tooLongHead},
	{"a record with nothing but a key comes back", "no field but Key and ID is bound to be set", bareRecord},
	{"bodies of every size come back", "a body is bytes, of any number, whatever the hint said of it", bodySizes},
	{"a body written byte by byte comes back", "Write appends, whatever the size of the pieces", tinyWrites},
	{"nothing is visible before Commit", "a response is visible whole or not at all", invisible},
	{"Close without Commit discards", "what was not committed is discarded", discard},
	{"Close may be called twice", "Close may be called at any time, and again", closeTwice},
	{"Close ends the write", "after Close nothing can become visible", afterClose},
	{"ReadAt reads back what is written", "readers of a download in progress read behind its writer", readAt},
	{"ReadAt works beside Write", "ReadAt may be called by any number of goroutines during a Write", readBeside},
	{"Commit with another Size fails", "r.Size is the number of bytes written, an error otherwise; a failed Commit changes nothing", wrongSize},
	{"Commit removes the superseded alone", "superseded records go with the Commit, others of the key stay", supersede},
	{"Commit ignores absent superseded ids", "somebody else may have removed them first", supersedeAbsent},
	{"Commit takes every field from its own record", "every field but Key and ID may have changed since Create", commitChanged},
	{"Commit stores the bytes written, not Body", "the body is what was written, whatever Record.Body holds", commitBody},
	{"several writes to one key at once", "writers of one key do not know of each other", writersOfOneKey},
	{"a body too large is refused whole", "ErrTooLarge stores nothing and harms nothing", tooLarge},
	{"an absurd hint is survived", "a hint may turn out wrong; an origin's Content-Length must not cost memory", absurdHint},
	{"a cancelled write stores all or nothing", "ctx covers the whole write, through Commit", cancelledWrite},
}

func roundTrip(t *check) {
	s := t.store()
	r := t.record("full")
	r.Head = store.Head{
		Method: "POST", URL: "https://example.com/a/b?q=1&q=2",
		Status: 206, Proto: "HTTP/2.0",
		Header:       http.Header{"Content-Type": {"text/plain"}, "Vary": {"Accept", "Accept-Language"}, "Etag": {`W/"x"`}},
		Trailer:      http.Header{"Digest": {"sha-256=x"}},
		Selecting:    http.Header{"Accept": {"text/html", "*/*"}, "Accept-Language": nil},
		Uncompressed: true,
		Length:       -1,
		TLS: &store.Connection{Version: 0x304, CipherSuite: 0x1301, ServerName: "example.com", Protocol: "h2",
			Certificates: [][]byte{{0, 1, 2, 255}, bytes.Repeat([]byte{7}, 2000)}},
		Requested: base.Add(-123456789 * time.Nanosecond), Received: base.Add(987654321 * time.Nanosecond),
		TTL: math.MaxInt64, StaleWhileRevalidate: time.Second, StaleIfError: time.Hour,
	}
	r.FreshUntil = base.Add(time.Hour + time.Nanosecond).In(time.FixedZone("far", -11*60*60))
	r.KeepUntil = time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)
	r.Tags = []string{"b", "a", "a b,c"}
	t.put(s, r, 10)
	got := t.one(s, r.Key)
	t.sameHead(got, r)
	t.wantBody(s, got, 10)
}

func oddHeaders(t *check) {
	s := t.store()
	r := t.record("odd")
	r.Header = http.Header{
		"Empty":          {""},
		"Empties":        {"", "", "x", ""},
		"None":           {},
		"Bytes":          {"\x00\x01\xff\xfe", "caf\xe9", "naïve ☃", "a\r\nb"},
		"lower-case":     {"kept as it is"},
		"$weird/name.%":  {"$.%/"},
		"Long":           {strings.Repeat("x", 9000)},
		"Quoted":         {`"a, b"; c="\"d\""`, `{"json": [1]}`, `<xml/>`, `'; DROP TABLE records; --`},
		"Cache-Control":  {"max-age=1, max-age=2"},
		"Content-Length": {"999"},
	}
	t.put(s, r, 10)
	t.sameHead(t.one(s, r.Key), r)
}

func longHead(t *check) {
	s := t.store()
	r := t.record("long")
	for range 100 {
		r.Header.Add("Link", strings.Repeat("l", 1000))
	}
	r.URL = "https://example.com/" + strings.Repeat("u", 4000)
	t.put(s, r, 10)
	t.sameHead(t.one(s, r.Key), r)
}

func tooLongHead(t *check) {
	s := t.store()
	for _, size := range []int{100, 200_000} {
		old := t.put(s, t.record("key"), size)
		long := http.Header{"Long": {strings.Repeat("l", 17<<20)}}
		want := old
		r := t.record("key")
		r.Header = long
		w := t.create(s, r, int64(size))
		t.write(w, bodyOf(r.Key, r.ID, size))
		r.Size = int64(size)
		switch err := w.Commit(r, old.ID); {
		case err == nil:
			want = r
		case !errors.Is(err, store.ErrTooLarge):
			t.errorf("Commit: %v, want ErrTooLarge or none", err)
		}
		t.close(w)
		u := want.Clone()
		u.Header = long
		switch err := s.Update(t.ctx, u); {
		case err == nil:
			want = u
		case !errors.Is(err, store.ErrTooLarge):
			t.errorf("Update: %v, want ErrTooLarge or none", err)
		}
		got := t.one(s, "key")
		t.sameHead(got, want)
		t.wantBody(s, got, size)
		t.delete(s, "key")
	}
}

func bareRecord(t *check) {
	s := t.store()
	r := &store.Record{Key: "bare", ID: store.NewID(base)}
	t.put(s, r, 0)
	t.sameHead(t.one(s, r.Key), r)
}

var sizes = []int{0, 1, 100, 1000, 4096, 10_000, 32_768, 32_769, 65_535, 65_536, 65_537, 1 << 20, 3<<20 + 12_345}

func (t *check) fits(size int) bool { return t.kit.MaxBody == 0 || int64(size) <= t.kit.MaxBody }

func bodySizes(t *check) {
	s := t.store()
	for _, size := range sizes {
		if !t.fits(size) {
			continue
		}
		for _, hint := range []int64{int64(size), -1, 0, int64(size) / 2, int64(size) + 1000} {
			if !t.fits(int(hint)) {
				continue
			}
			r := t.record("sizes")
			w := t.create(s, r, hint)
			t.write(w, bodyOf(r.Key, r.ID, size))
			t.commit(w, r, size)
			t.close(w)
			got := t.one(s, r.Key)
			t.sameHead(got, r)
			t.wantBody(s, got, size)
			t.delete(s, r.Key)
		}
	}
}

func tinyWrites(t *check) {
	s := t.store()
	r := t.record("tiny")
	const size = 70_001
	body := bodyOf(r.Key, r.ID, size)
	w := t.create(s, r, -1)
	defer w.Close()
	var one [1]byte
	for i, b := range body {
		one[0] = b
		if n, err := w.Write(one[:]); n != 1 || err != nil {
			t.fatalf("Write of byte %d: %d, %v", i, n, err)
		}
		if i%10_000 == 0 {
			if n, err := w.Write(nil); n != 0 || err != nil {
				t.fatalf("Write of nothing: %d, %v", n, err)
			}
		}
	}
	t.commit(w, r, size)
	t.wantBody(s, t.one(s, r.Key), size)
}

func invisible(t *check) {
	s := t.store()
	old := t.put(s, t.record("key"), 100)
	for _, size := range []int{0, 10, 200_000} {
		r := t.record("key")
		w := t.create(s, r, -1)
		t.wantIDs(s, "key", old)
		t.write(w, bodyOf(r.Key, r.ID, size))
		t.wantIDs(s, "key", old)
		if f, ok := store.As[store.Finder](s); ok {
			for found := range f.Find(t.ctx, store.Query{ID: r.ID}) {
				t.errorf("Find sees %v before Commit", found.ID)
			}
		}
		t.wantCount(s, "before Commit", 1)
		if err := s.Update(t.ctx, r); !errors.Is(err, store.ErrNotFound) {
			t.errorf("Update before Commit: %v, want ErrNotFound", err)
		}
		t.wantIDs(s, "key", old)
		t.close(w)
	}
}

func discard(t *check) {
	s := t.store()
	old := t.put(s, t.record("key"), 100)
	for _, size := range []int{0, 10, 1000, 200_000} {
		r := t.record("key")
		w := t.create(s, r, int64(size))
		t.write(w, bodyOf(r.Key, r.ID, size))
		t.close(w)
		t.wantIDs(s, "key", old)
		if b, err := s.Open(t.ctx, r); err == nil && size > 0 {
			got, err := io.ReadAll(b)
			b.Close()
			if err == nil {
				t.errorf("Open of a discarded record reads %d bytes", len(got))
			}
		}
	}
	t.wantBody(s, t.one(s, "key"), 100)
}

func closeTwice(t *check) {
	s := t.store()
	for _, committed := range []bool{false, true} {
		r := t.record("key")
		w := t.create(s, r, -1)
		t.write(w, bodyOf(r.Key, r.ID, 100_000))
		if committed {
			t.commit(w, r, 100_000)
		}
		t.close(w)
		t.close(w)
		if !committed {
			t.wantIDs(s, "key")
			continue
		}
		t.wantBody(s, t.one(s, "key"), 100_000)
	}
}

func afterClose(t *check) {
	s := t.store()
	r := t.record("key")
	w := t.create(s, r, 10)
	t.write(w, bodyOf(r.Key, r.ID, 10))
	t.close(w)
	if _, err := w.Write([]byte("x")); err == nil {
		t.errorf("Write after Close: no error")
	}
	if _, err := w.ReadAt(make([]byte, 1), 0); err == nil || err == io.EOF {
		t.errorf("ReadAt after Close: %v; want an error that is not the end of the body", err)
	}
	r.Size = 10
	if err := w.Commit(r); err == nil {
		t.errorf("Commit after Close: no error")
	}
	t.wantIDs(s, "key")
}

func readAt(t *check) {
	s := t.store()
	r := t.record("key")
	const size = 3*64<<10 + 777
	body := bodyOf(r.Key, r.ID, size)
	w := t.create(s, r, -1)
	defer w.Close()
	written := 0
	probe := func(when string) {
		for _, c := range []struct{ off, n int }{
			{0, 1}, {0, written}, {written / 2, 100}, {written / 3, written}, {max(0, written-1), 1}, {max(0, written-1), 2},
			{written, 1}, {written, 70_000}, {written + 1, 1}, {written + 100_000, 10}, {65_535, 2}, {65_536, 65_537},
		} {
			p := make([]byte, c.n)
			n, err := w.ReadAt(p, int64(c.off))
			want := body[min(c.off, written):min(c.off+c.n, written)]
			if !bytes.Equal(p[:n], want) {
				t.errorf("%s, %d written: ReadAt(%d bytes, %d): %d bytes (%v), want %d, or they are wrong ones", when, written, c.n, c.off, n, err, len(want))
			}
			if n < c.n && err != io.EOF {
				t.errorf("%s, %d written: ReadAt(%d bytes, %d): %d, %v; want io.EOF", when, written, c.n, c.off, n, err)
			}
			if n == c.n && err != nil && err != io.EOF {
				t.errorf("%s, %d written: ReadAt(%d bytes, %d): %v", when, written, c.n, c.off, err)
			}
		}
	}
	probe("before Write")
	for _, n := range []int{1, 999, 32 << 10, 64 << 10, 1, size - 1 - 999 - 96<<10 - 1} {
		t.write(w, body[written:written+n])
		written += n
		probe("while writing")
	}
	if n, err := w.ReadAt(make([]byte, 1), -1); n != 0 || err == nil {
		t.errorf("ReadAt(1 byte, -1): %d, %v; want an error", n, err)
	}
	t.commit(w, r, size)
	probe("after Commit")
	t.delete(s, "key")
	probe("after Commit and Delete")
}

func readBeside(t *check) {
	s := t.store()
	r := t.record("key")
	const size = 1<<20 - 3
	body := bodyOf(r.Key, r.ID, size)
	w := t.create(s, r, -1)
	var written atomic.Int64
	var readers sync.WaitGroup
	done := make(chan struct{})
	for i := range 4 {
		readers.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 0))
			p := make([]byte, 100_000)
			for round := 0; ; round++ {
				select {
				case <-done:
					if round >= 20 { // also beside each other
						return
					}
				default:
				}
				have := written.Load()
				off := rnd.Int64N(have + 1)
				want := body[off:min(off+int64(len(p)), have)]
				n, err := w.ReadAt(p[:len(want)], off)
				if n != len(want) || err != nil && err != io.EOF {
					t.fatalf("ReadAt(%d bytes, %d) with %d written: %d, %v", len(want), off, have, n, err)
				}
				if !bytes.Equal(p[:n], want) {
					t.fatalf("ReadAt(%d bytes, %d) with %d written: wrong bytes", n, off, have)
				}
				runtime.Gosched() // else each has 10 ms before the writer, where there is one processor
			}
		})
	}
	for b := body; len(b) > 0; {
		n := min(len(b), 7777)
		t.write(w, b[:n])
		written.Add(int64(n))
		b = b[n:]
	}
	t.commit(w, r, size)
	close(done)
	readers.Wait()
	t.close(w)
	t.wantBody(s, t.one(s, "key"), size)
}

func wrongSize(t *check) {
	s := t.store()
	old := t.put(s, t.record("key"), 100)
	for _, size := range []int{0, 10, 200_000} {
		for _, said := range []int64{int64(size) - 1, int64(size) + 1, -1} {
			r := t.record("key")
			w := t.create(s, r, int64(size))
			t.write(w, bodyOf(r.Key, r.ID, size))
			r.Size = said
			if err := w.Commit(r, old.ID); err == nil {
				t.errorf("Commit with Size %d of %d bytes: no error", said, size)
			}
			t.wantIDs(s, "key", old)
			t.close(w)
			t.wantIDs(s, "key", old)
		}
	}
	t.wantBody(s, t.one(s, "key"), 100)
}

func supersede(t *check) {
	s := t.store()
	for _, size := range []int{100, 200_000} {
		key := store.Key([]string{"small", "large"}[min(size/1000, 1)])
		other := t.put(s, t.record("other"+key), size)
		a, b, c := t.put(s, t.record(key), size), t.put(s, t.record(key), size), t.put(s, t.record(key), size)
		d := t.put(s, t.record(key), size, b.ID)
		t.wantIDs(s, key, d, c, a)
		e := t.put(s, t.record(key), size, a.ID, d.ID)
		t.wantIDs(s, key, e, c)
		for _, r := range t.lookup(s, key) {
			t.wantBody(s, r, size)
		}
		f := t.put(s, t.record(key), size, other.ID) // of another key: none of this one
		t.wantIDs(s, key, f, e, c)
		t.wantIDs(s, "other"+key, other)
	}
}

func supersedeAbsent(t *check) {
	s := t.store()
	a := t.put(s, t.record("key"), 10)
	b := t.put(s, t.record("key"), 10, store.NewID(base), a.ID, a.ID, store.ID{})
	t.wantIDs(s, "key", b)
	c := t.put(s, t.record("key"), 10, a.ID)
	t.wantIDs(s, "key", c, b)
}

func commitChanged(t *check) {
	s := t.store()
	r := t.record("key")
	w := t.create(s, r, -1)
	defer w.Close()
	t.write(w, bodyOf(r.Key, r.ID, 100_000))
	r = r.Clone()
	r.Method, r.URL, r.Status = "HEAD", "https://example.org/", 203
	r.Header, r.Trailer = http.Header{"New": {"1"}}, http.Header{"Late": {"1"}}
	r.FreshUntil, r.Tags = base.Add(time.Hour), []string{"late"}
	t.commit(w, r, 100_000)
	t.sameHead(t.one(s, "key"), r)
}

func commitBody(t *check) {
	s := t.store()
	for _, size := range []int{0, 10, 200_000} {
		r := t.record("key")
		w := t.create(s, r, int64(size))
		t.write(w, bodyOf(r.Key, r.ID, size))
		r.Body = []byte("not this one")
		t.commit(w, r, size)
		t.close(w)
		t.wantBody(s, t.lookup(s, "key")[0], size)
	}
}

func writersOfOneKey(t *check) {
	s := t.store()
	a, b, c := t.record("key"), t.record("key"), t.record("key")
	wa, wb, wc := t.create(s, a, -1), t.create(s, b, -1), t.create(s, c, -1)
	const size = 150_000
	bodies := [][]byte{bodyOf("key", a.ID, size), bodyOf("key", b.ID, size), bodyOf("key", c.ID, size)}
	for at := 0; at < size; at += 10_000 {
		for i, w := range []store.Writer{wa, wb, wc} {
			t.write(w, bodies[i][at:at+10_000])
		}
	}
	t.commit(wc, c, size)
	t.close(wb)
	t.commit(wa, a, size)
	t.close(wa)
	t.close(wc)
	t.wantIDs(s, "key", c, a)
	for _, r := range t.lookup(s, "key") {
		t.wantBody(s, r, size)
	}
}

func tooLarge(t *check) {
	if t.kit.MaxBody == 0 {
		t.skip("the kit names no MaxBody")
	}
	s := t.store()
	old := t.put(s, t.record("key"), 100)
	size := int(t.kit.MaxBody) + 1
	for _, hint := range []int64{int64(size), -1, 10} {
		r := t.record("key")
		r.Size = hint
		w, err := s.Create(t.ctx, r)
		if err == nil {
			var n int
			n, err = w.Write(bodyOf(r.Key, r.ID, size))
			r.Size = int64(n)
			if commit := w.Commit(r, old.ID); err == nil {
				err = commit
			} else if commit == nil {
				t.errorf("Commit after a failed Write: no error; it can only be closed")
			}
			t.close(w)
		}
		if !errors.Is(err, store.ErrTooLarge) {
			t.errorf("%d bytes with Size %d: %v, want ErrTooLarge", size, hint, err)
		}
		t.wantIDs(s, "key", old)
	}
	t.wantBody(s, t.one(s, "key"), 100)
	if size > 40<<20 {
		return // the store need not have room
	}
	most := t.put(s, t.record("key"), size-1)
	t.wantIDs(s, "key", most, old)
	t.wantBody(s, most, size-1)
}

func absurdHint(t *check) {
	s := t.store()
	for _, hint := range []int64{1 << 30, 1 << 50, math.MaxInt64} {
		r := t.record("key")
		r.Size = hint
		w, err := s.Create(t.ctx, r)
		if errors.Is(err, store.ErrTooLarge) {
			continue
		}
		if err != nil {
			t.fatalf("Create with Size %d: %v, want ErrTooLarge or none", hint, err)
		}
		t.write(w, bodyOf(r.Key, r.ID, 3))
		t.commit(w, r, 3)
		t.close(w)
		t.wantBody(s, t.lookup(s, "key")[0], 3)
	}
}

func cancelledWrite(t *check) {
	s := t.store()
	for i, size := range []int{10, 200_000} {
		for _, when := range []string{"before Create", "before Write", "before Commit"} {
			key := store.Key(when + string(rune('0'+i)))
			old := t.put(s, t.record(key), 100)
			r := t.record(key)
			err := func() error {
				ctx, cancel := contextWithCancel(t, when == "before Create")
				defer cancel()
				r.Size = -1
				w, err := s.Create(ctx, r)
				if err != nil {
					return err
				}
				defer t.close(w)
				if when == "before Write" {
					cancel()
				}
				if _, err := w.Write(bodyOf(r.Key, r.ID, size)); err != nil {
					return err
				}
				cancel()
				r.Size = int64(size)
				return w.Commit(r, old.ID)
			}()
			if err != nil {
				t.wantIDs(s, key, old)
				t.wantBody(s, t.one(s, key), 100)
				continue
			}
			t.wantIDs(s, key, r)
			t.wantBody(s, t.one(s, key), size)
		}
	}
}
