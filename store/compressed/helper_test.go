package compressed

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/disk"
)

var ctx = context.Background()

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func openDisk(t testing.TB) *disk.Store {
	t.Helper()
	s, err := disk.Open(t.TempDir(), nil)
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// document returns JSON like that of an API, size bytes of it.
func document(size int) []byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, `{"id":%d,"name":"user %d","email":"user.%x@example.com","score":%.3f,"active":%v,"tags":["alpha","beta","tag-%d"]},`+"\n",
			i, rnd.IntN(1e6), rnd.Uint32(), rnd.Float64(), i%3 == 0, rnd.IntN(50))
	}
	return b.Bytes()[:size]
}

func noise(size int) []byte {
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

var serial atomic.Int64

func record(contentType string) *store.Record {
	n := serial.Add(1)
	now := time.Now().Truncate(time.Hour).Add(time.Duration(n) * time.Millisecond)
	r := &store.Record{Key: store.Key(fmt.Sprint("key", n)), ID: store.NewID(now), FreshUntil: now.Add(time.Hour), Tags: []string{"red"}}
	r.Head = store.Head{Method: "GET", URL: fmt.Sprint("https://example.com/", n), Status: 200, Proto: "HTTP/1.1", Length: -1,
		Header: http.Header{"Content-Type": {contentType}, "Etag": {`"1"`}}, Requested: now, Received: now}
	return r
}

// put stores r with body, in pieces, announced as hint.
func put(t testing.TB, s store.Store, r *store.Record, body []byte, hint int64) *store.Record {
	t.Helper()
	r.Size = hint
	w, err := s.Create(ctx, r)
	must(t, err)
	defer w.Close()
	for p := body; len(p) > 0; p = p[min(len(p), 32<<10):] {
		_, err := w.Write(p[:min(len(p), 32<<10)])
		must(t, err)
	}
	r.Size = int64(len(body))
	must(t, w.Commit(r))
	return r
}

// only returns the only record of a key.
func only(t testing.TB, s store.Store, key store.Key) *store.Record {
	t.Helper()
	found, err := s.Lookup(ctx, key)
	if len(found) != 1 || err != nil {
		t.Fatalf("Lookup of %s: %d records, %v", key, len(found), err)
	}
	return found[0]
}

func readAll(s store.Store, r *store.Record) ([]byte, error) {
	b, err := s.Open(ctx, r)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return io.ReadAll(b)
}

// wantWhole fails unless s has r as it was stored, with this body.
func wantWhole(t testing.TB, s store.Store, r *store.Record, body []byte) {
	t.Helper()
	got := only(t, s, r.Key)
	if !same(got, r) {
		t.Errorf("another record: %+v, want %+v", got, r)
	}
	if got.Body != nil && !bytes.Equal(got.Body, body) {
		t.Errorf("another body of %d bytes in the record", len(got.Body))
	}
	if b, err := readAll(s, got); err != nil || !bytes.Equal(b, body) {
		t.Errorf("another body of %d bytes, %v", len(b), err)
	}
}

// same reports whether two records say the same, their bodies aside.
func same(a, b *store.Record) bool {
	x, err1 := store.DecodeHead(store.AppendHead(nil, a))
	y, err2 := store.DecodeHead(store.AppendHead(nil, b))
	return err1 == nil && err2 == nil && reflect.DeepEqual(x, y)
}

// forge puts a record of one's own making into the inner store, as damage or an attacker might.
func forge(t testing.TB, inner store.Store, r *store.Record, body []byte) {
	t.Helper()
	must(t, inner.Delete(ctx, r.Key, r.ID))
	put(t, inner, r.Clone(), body, int64(len(body)))
}
