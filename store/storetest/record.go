package storetest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-go/larder/store"
)

// base is the time around which the kit's records were received. It is a whole second, so that no store need round it,
// and it is now, so that no store has a reason to expire records by itself.
var base = time.Now().Truncate(time.Second)

// record makes a plain record of key, a millisecond newer than the one made before.
func (t *check) record(key store.Key) *store.Record {
	t.mu.Lock()
	t.serial++
	at := base.Add(time.Duration(t.serial) * time.Millisecond)
	t.mu.Unlock()
	r := &store.Record{Key: key, ID: store.NewID(at)}
	r.Method, r.URL = "GET", "https://example.com/thing"
	r.Status, r.Proto = 200, "HTTP/1.1"
	r.Header = http.Header{"Content-Type": {"text/plain"}, "Etag": {etag(r.ID)}}
	r.Requested, r.Received = base, base
	return r
}

func etag(id store.ID) string { return `"` + id.String() + `"` }

// bodyOf makes the body of one record: bytes that no other record has.
func bodyOf(key store.Key, id store.ID, size int) []byte {
	b := make([]byte, size)
	rand.NewChaCha8(sha256.Sum256(append(id[:], key...))).Read(b)
	return b
}

// create begins to write r with the given hint.
func (t *check) create(s store.Store, r *store.Record, hint int64) store.Writer {
	r.Size = hint
	w, err := s.Create(t.ctx, r)
	if err != nil {
		t.fatalf("Create with Size %d: %v", hint, err)
	}
	return w
}

const piece = 32 << 10 // what io.Copy passes on at a time

func (t *check) write(w store.Writer, body []byte) {
	buf := make([]byte, piece)
	for len(body) > 0 {
		n := copy(buf, body)
		if m, err := w.Write(buf[:n]); m != n || err != nil {
			t.fatalf("Write of %d bytes: %d, %v", n, m, err)
		}
		clear(buf) // Write keeps nothing of its argument
		body = body[n:]
	}
}

func (t *check) commit(w store.Writer, r *store.Record, size int, superseded ...store.ID) {
	r.Size = int64(size)
	if err := w.Commit(r, superseded...); err != nil {
		t.fatalf("Commit of %d bytes: %v", size, err)
	}
}

func (t *check) close(c io.Closer) {
	if err := c.Close(); err != nil {
		t.fatalf("Close: %v", err)
	}
}

// put stores r with a body of size bytes made by bodyOf.
func (t *check) put(s store.Store, r *store.Record, size int, superseded ...store.ID) *store.Record {
	w := t.create(s, r, int64(size))
	defer w.Close()
	t.write(w, bodyOf(r.Key, r.ID, size))
	t.commit(w, r, size, superseded...)
	t.close(w)
	return r
}

// several calls do with 0, 1 and so on to n-1, a few at once, but begins none when that has taken enough. It returns
// how many calls it made. It ends the case if a call does.
func (t *check) several(n int, do func(i int)) int {
	var all sync.WaitGroup
	var begun, done atomic.Int64
	end := time.Now().Add(enough)
	for range 8 {
		all.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					t.errorf("panic: %v\n%s", p, debug.Stack())
				}
			}()
			for time.Now().Before(end) {
				i := begun.Add(1) - 1
				if i >= int64(n) {
					return
				}
				do(int(i))
				done.Add(1)
			}
		})
	}
	all.Wait()
	if done.Load() < min(begun.Load(), int64(n)) {
		runtime.Goexit()
	}
	return int(done.Load())
}

func (t *check) lookup(s store.Store, key store.Key) []*store.Record {
	found, err := s.Lookup(t.ctx, key)
	if err != nil {
		t.fatalf("Lookup: %v", err)
	}
	return found
}

// one returns the only record of key.
func (t *check) one(s store.Store, key store.Key) *store.Record {
	found := t.lookup(s, key)
	if len(found) != 1 {
		t.fatalf("Lookup of %s: %d records, want 1", short(key), len(found))
	}
	return found[0]
}

// wantIDs fails unless key has exactly these records, in this order.
func (t *check) wantIDs(s store.Store, key store.Key, want ...*store.Record) {
	found := t.lookup(s, key)
	same := func(a, b *store.Record) bool { return a.Key == b.Key && a.ID == b.ID }
	if !slices.EqualFunc(found, want, same) {
		t.errorf("Lookup of %s: %v, want %v", short(key), ids(found), ids(want))
	}
}

func ids(rr []*store.Record) []string {
	var s []string
	for _, r := range rr {
		s = append(s, r.ID.String())
	}
	return s
}

func short(key store.Key) string { return fmt.Sprintf("%.40q", string(key)) }

// open opens the body of r, which must be there.
func (t *check) open(s store.Store, r *store.Record) io.ReadSeekCloser {
	b, err := s.Open(t.ctx, r)
	if err != nil {
		t.fatalf("Open: %v", err)
	}
	return b
}

// readAll reads the body of r as larder does: from the record if it is there, else through Open.
func (t *check) readAll(s store.Store, r *store.Record) ([]byte, error) {
	if r.Body != nil || r.Size == 0 {
		return r.Body, nil
	}
	b, err := s.Open(t.ctx, r)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return io.ReadAll(b)
}

// wantBody fails unless r, as found, has the whole body made by bodyOf: through Open, and in the record if it has one
// there.
func (t *check) wantBody(s store.Store, r *store.Record, size int) {
	want := bodyOf(r.Key, r.ID, size)
	if r.Size != int64(size) {
		t.errorf("record of %d bytes has Size %d", size, r.Size)
	}
	if r.Body != nil {
		t.sameBytes("Record.Body", r.Body, want)
	}
	b := t.open(s, r)
	defer b.Close()
	got, err := io.ReadAll(b)
	if err != nil {
		t.errorf("read the body of %d bytes: %d bytes, then %v", size, len(got), err)
		return
	}
	t.sameBytes("the body", got, want)
}

func (t *check) sameBytes(what string, got, want []byte) {
	if bytes.Equal(got, want) {
		return
	}
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	t.errorf("%s: %d bytes, want %d; the first difference is at %d", what, len(got), len(want), i)
}

// gone reports whether err says that a body is not there any more.
func gone(err error) bool {
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt)
}

// sameHead fails unless got says the same as want, body and derived values aside.
func (t *check) sameHead(got, want *store.Record) {
	differ := func(field string, got, want any) {
		t.errorf("%s: %.200s, want %.200s", field, fmt.Sprint(got), fmt.Sprint(want))
	}
	eq(differ, "Key", got.Key, want.Key)
	eq(differ, "ID", got.ID, want.ID)
	eq(differ, "Method", got.Method, want.Method)
	eq(differ, "URL", got.URL, want.URL)
	eq(differ, "Status", got.Status, want.Status)
	eq(differ, "Proto", got.Proto, want.Proto)
	eq(differ, "Uncompressed", got.Uncompressed, want.Uncompressed)
	eq(differ, "Length", got.Length, want.Length)
	eq(differ, "TTL", got.TTL, want.TTL)
	eq(differ, "StaleWhileRevalidate", got.StaleWhileRevalidate, want.StaleWhileRevalidate)
	eq(differ, "StaleIfError", got.StaleIfError, want.StaleIfError)
	eq(differ, "Size", got.Size, want.Size)
	for _, f := range []struct {
		name      string
		got, want time.Time
	}{
		{"Requested", got.Requested, want.Requested}, {"Received", got.Received, want.Received},
		{"FreshUntil", got.FreshUntil, want.FreshUntil}, {"KeepUntil", got.KeepUntil, want.KeepUntil},
	} {
		if !f.got.Equal(f.want) {
			differ(f.name, f.got, f.want)
		}
	}
	for _, f := range []struct {
		name      string
		got, want http.Header
	}{
		{"Header", got.Header, want.Header}, {"Trailer", got.Trailer, want.Trailer}, {"Selecting", got.Selecting, want.Selecting},
	} {
		if !maps.EqualFunc(f.got, f.want, slices.Equal) {
			differ(f.name, f.got, f.want)
		}
	}
	if !slices.Equal(got.Tags, want.Tags) {
		differ("Tags", got.Tags, want.Tags)
	}
	g, w := got.TLS, want.TLS
	switch {
	case (g == nil) != (w == nil):
		differ("TLS", g, w)
	case g != nil:
		eq(differ, "TLS.Version", g.Version, w.Version)
		eq(differ, "TLS.CipherSuite", g.CipherSuite, w.CipherSuite)
		eq(differ, "TLS.ServerName", g.ServerName, w.ServerName)
		eq(differ, "TLS.Protocol", g.Protocol, w.Protocol)
		if !slices.EqualFunc(g.Certificates, w.Certificates, bytes.Equal) {
			differ("TLS.Certificates", g.Certificates, w.Certificates)
		}
	}
}

func eq[V comparable](differ func(string, any, any), field string, got, want V) {
	if got != want {
		differ(field, got, want)
	}
}
