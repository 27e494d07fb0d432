package sealed

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/memory"
)

// FuzzHead opens whatever the inner store may hold in place of a head.
func FuzzHead(f *testing.F) {
	inner := new(memory.Store)
	s := seal(f, inner, testKey(1))
	r := keep(f, s, "key", 100)
	good := steal(f, inner, r.ID)
	head := []byte(good.Header[headField][0])
	f.Add(head, good.Size)
	f.Add(head[:prefixSize], good.Size)
	f.Add(head[:prefixSize+overhead], int64(0))
	f.Add(head, good.Size+1)
	f.Fuzz(func(t *testing.T, b []byte, size int64) {
		in := good.Clone()
		in.Header, in.Size = http.Header{headField: {string(b)}}, size
		switch got, err := s.keys[0].open(in); {
		case err == nil && bytes.Equal(b, head) && size == good.Size && same(got, r):
		case err != nil && errors.Is(err, store.ErrCorrupt) && (!bytes.Equal(b, head) || size != good.Size):
		default:
			t.Errorf("%d bytes, size %d: %v, %v", len(b), size, got, err)
		}
	})
}

// FuzzBody reads whatever the inner store may hold in place of a body, from anywhere.
func FuzzBody(f *testing.F) {
	const size = segmentSize + 1000
	inner := new(memory.Store)
	s := seal(f, inner, testKey(1))
	r := keep(f, s, "key", size)
	good, want := steal(f, inner, r.ID), bodyOf(r.ID, size)
	f.Add(good.body, int64(size), int64(0))
	f.Add(good.body, int64(size), int64(segmentSize-1))
	f.Add(good.body, int64(size-1), int64(segmentSize))
	f.Add(good.body[:segmentAt(1)], int64(segmentSize), int64(5))
	f.Add([]byte{}, int64(1), int64(0))
	f.Fuzz(func(t *testing.T, b []byte, size, off int64) {
		if size < 0 || size > 1<<62 || off < 0 {
			t.Skip("not what a head says")
		}
		in := &store.Record{Key: good.Key, ID: r.ID, Size: int64(len(b)), Body: b}
		if got, err := s.keys[0].openBody(in, size); size > 0 && !bytes.Equal(got, want) && !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("a body of %d bytes in these %d, beside its head: %d bytes, %v", size, len(b), len(got), err)
		}
		body := &reader{in: nopCloser{bytes.NewReader(b)}, key: s.keys[0], name: good.Key, id: r.ID, size: size, next: -1, held: -1,
			damaged: func(err error) error { return err }}
		defer body.Close()
		if _, err := body.Seek(off, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(body)
		if !bytes.HasPrefix(want[min(off, int64(len(want))):], got) {
			t.Errorf("%d bytes at %d that were not sealed", len(got), off)
		}
		whole := bytes.Equal(b, good.body) && size == int64(len(want))
		if err != nil && (whole || !errors.Is(err, store.ErrCorrupt)) || err == nil && off < size && size != int64(len(want)) {
			t.Errorf("a body of %d bytes, said to be sealed in these %d: %d bytes at %d, %v", size, len(b), len(got), off, err)
		}
	})
}

type nopCloser struct{ *bytes.Reader }

func (nopCloser) Close() error { return nil }
