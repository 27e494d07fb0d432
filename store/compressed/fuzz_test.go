package compressed

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/larder-go/larder/store"
)

// FuzzIndex decodes whatever the inner store may hold in place of an index.
func FuzzIndex(f *testing.F) {
	x := index{size: frameSize + 7}
	x.add(100_000)
	x.add(17)
	f.Add(x.encode(), int64(100_017))
	f.Add(x.encode(), int64(100_016))
	f.Add(indexFor(1<<62, 1, 1), int64(2))
	f.Add("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01", int64(1))
	f.Add("", int64(0))
	f.Fuzz(func(t *testing.T, s string, size int64) {
		x, err := decodeIndex(s, size)
		if err != nil {
			if x != nil || !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("%v, %v", x, err)
			}
			return
		}
		n := int64(len(x.ends))
		if n > int64(len(s)) || n != frameCount(x.size) || x.ends[n-1] != size {
			t.Fatalf("%d frames for %d bytes that are packed in %d", n, x.size, size)
		}
		for i := range n {
			if x.packed(i) < 1 || x.packed(i) > maxPacked || x.plain(i) < 1 || x.plain(i) > frameSize {
				t.Errorf("frame %d: %d bytes packed in %d", i, x.plain(i), x.packed(i))
			}
		}
		if again, err := decodeIndex(x.encode(), size); err != nil || again.encode() != x.encode() {
			t.Errorf("encoded and decoded again: %v", err)
		}
	})
}

// FuzzBody reads whatever the inner store may hold as an index and a body, from anywhere.
func FuzzBody(f *testing.F) {
	c := newCoder()
	frame, rest := c.pack(nil, make([]byte, frameSize)), c.pack(nil, document(2000))
	f.Add(indexFor(2000, uint64(len(rest))), rest, int64(0))
	f.Add(indexFor(frameSize+2000, uint64(len(frame)), uint64(len(rest))), bytes.Join([][]byte{frame, rest}, nil), int64(frameSize-1))
	f.Add(indexFor(2000, 1), []byte{0}, int64(3))
	f.Add(indexFor(2000, uint64(len(frame))), frame, int64(1999))
	f.Fuzz(func(t *testing.T, s string, body []byte, off int64) {
		x, err := decodeIndex(s, int64(len(body)))
		if err != nil || off < 0 {
			t.Skip("not what comes as far as a reader")
		}
		r := &reader{coder: c, in: nopCloser{bytes.NewReader(body)}, index: x, held: -1, damaged: func(err error) error { return err }}
		defer r.Close()
		if _, err := r.Seek(off, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, r)
		if want := max(x.size-off, 0); err == nil && n != want || n > want || err != nil && !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%d bytes at %d of %d, %v", n, off, x.size, err)
		}
	})
}
