package sealed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/disk"
	"github.com/larder-go/larder/store/memory"
)

var ctx = context.Background()

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// testKey returns a key of its own for each n.
func testKey(n byte) Key {
	k, err := KeyFromBytes(bytes.Repeat([]byte{n}, keySize))
	if err != nil {
		panic(err)
	}
	return k
}

func seal(t testing.TB, inner store.Store, keys ...Key) *Store {
	t.Helper()
	s, err := New(inner, keys...)
	must(t, err)
	return s
}

func openDisk(t testing.TB) *disk.Store {
	t.Helper()
	s, err := disk.Open(t.TempDir(), nil)
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// onEach runs a test on stores that keep bodies beside the head, and in places of their own.
func onEach(t *testing.T, run func(t *testing.T, inner store.Store)) {
	t.Run("memory", func(t *testing.T) { run(t, new(memory.Store)) })
	t.Run("disk", func(t *testing.T) { run(t, openDisk(t)) })
}

var serial atomic.Int64

// record makes a record a millisecond newer than the one before.
func record(key store.Key) *store.Record {
	now := time.Now().Truncate(time.Hour).Add(time.Duration(serial.Add(1)) * time.Millisecond)
	r := &store.Record{Key: key, ID: store.NewID(now), FreshUntil: now.Add(time.Hour), KeepUntil: now.Add(2 * time.Hour), Tags: []string{"secret tag"}}
	r.Head = store.Head{
		Method: "GET", URL: "https://secret.example.com/" + string(key), Status: 200, Proto: "HTTP/1.1", Length: -1,
		Header:    http.Header{"Content-Type": {"text/secret"}, "Etag": {`"` + r.ID.String() + `"`}, "X-Secret-Name": {"secret value"}},
		Trailer:   http.Header{"Secret-Trailer": {"secret trailer value"}},
		Selecting: http.Header{"Secret-Field": {"secret field value"}},
		Requested: now, Received: now,
	}
	return r
}

// bodyOf makes a body that no other record has.
func bodyOf(id store.ID, size int) []byte {
	b := make([]byte, size)
	seed := [32]byte{}
	copy(seed[:], id[:])
	rand.NewChaCha8(seed).Read(b)
	return b
}

func put(t testing.TB, s store.Store, r *store.Record, body []byte, superseded ...store.ID) *store.Record {
	t.Helper()
	r.Size = int64(len(body))
	w, err := s.Create(ctx, r)
	must(t, err)
	defer w.Close()
	_, err = w.Write(body)
	must(t, err)
	must(t, w.Commit(r, superseded...))
	return r
}

// keep stores a new record of key with a body of its own.
func keep(t testing.TB, s store.Store, key store.Key, size int, superseded ...store.ID) *store.Record {
	t.Helper()
	r := record(key)
	return put(t, s, r, bodyOf(r.ID, size), superseded...)
}

// same reports whether two records say the same, their bodies aside.
func same(a, b *store.Record) bool {
	x, err1 := store.DecodeHead(store.AppendHead(nil, a))
	y, err2 := store.DecodeHead(store.AppendHead(nil, b))
	return err1 == nil && err2 == nil && reflect.DeepEqual(x, y)
}

// verify reads all of key, and fails if anything of it is not as it was stored, by the function bodyOf. It returns the
// ids of what is whole, and whether damage was reported.
func verify(t testing.TB, s store.Store, key store.Key, stored map[store.ID]*store.Record) (whole []store.ID, damaged bool) {
	t.Helper()
	found, err := s.Lookup(ctx, key)
	if err != nil && !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("Lookup of %s: %v", key, err)
	}
	damaged = err != nil
	for _, r := range found {
		want := stored[r.ID]
		if want == nil || want.Key != key || !same(r, want) {
			t.Errorf("Lookup of %s: %+v, which was not stored there", key, r)
			continue
		}
		wantBody := bodyOf(r.ID, int(r.Size))
		if r.Body != nil && !bytes.Equal(r.Body, wantBody) {
			t.Errorf("Lookup of %s: a body that was not stored there", key)
		}
		got, err := readAll(s, r)
		switch {
		case !bytes.HasPrefix(wantBody, got):
			t.Errorf("body of %s: %d bytes, which were not stored there", key, len(got))
		case errors.Is(err, store.ErrCorrupt):
			damaged = true
		case err != nil:
			t.Errorf("body of %s: %v", key, err)
		case len(got) != len(wantBody):
			t.Errorf("body of %s: %d bytes of %d without an error", key, len(got), len(wantBody))
		default:
			whole = append(whole, r.ID)
		}
	}
	return whole, damaged
}

func readAll(s store.Store, r *store.Record) ([]byte, error) {
	b, err := s.Open(ctx, r)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return io.ReadAll(b)
}

// stolen is a record as somebody sees it who can read the inner store.
type stolen struct {
	*store.Record
	body []byte
}

func steal(t testing.TB, inner store.Store, id store.ID) stolen {
	t.Helper()
	s, err := stealFrom(inner, id)
	must(t, err)
	return s
}

func stealFrom(inner store.Store, id store.ID) (s stolen, err error) {
	finder, _ := store.As[store.Finder](inner)
	for r, err := range finder.Find(ctx, store.Query{ID: id}) {
		if err != nil {
			return s, err
		}
		s.Record = r.Clone()
		s.Header = maps.Clone(r.Header)
	}
	if s.Record == nil {
		return s, fmt.Errorf("record %v: %w", id, store.ErrNotFound)
	}
	s.body, err = readAll(inner, s.Record)
	return s, err
}

// forge puts a record of one's own making into the inner store, as somebody may who can write to it.
func forge(inner store.Store, s stolen) error {
	r := s.Clone()
	r.Size = int64(len(s.body))
	if err := inner.Delete(ctx, r.Key, r.ID); err != nil {
		return err
	}
	w, err := inner.Create(ctx, r)
	if err != nil {
		return err
	}
	defer w.Close()
	if _, err := w.Write(s.body); err != nil {
		return err
	}
	return w.Commit(r)
}

// flipped returns a copy of b with one byte changed.
func flipped[B ~string | ~[]byte](b B, at int) B {
	c := []byte(b)
	c = bytes.Clone(c)
	c[at] ^= 0x10
	return B(c)
}
