package sealed

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/larder-go/larder/internal/seek"
	"github.com/larder-go/larder/store"
)

// buffer has room for a segment, plain or sealed, and a prefix before it.
type buffer [prefixSize + sealedSegm]byte

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// reader reads a sealed body. No byte is handed out before its segment is opened.
type reader struct {
	in       io.ReadSeekCloser // nil: closed
	key      *key
	name     store.Key
	id       store.ID
	size     int64 // of the plain body
	off      int64
	segments segments // empty until the prefix is read
	next     int64    // the segment before which in stands; -1: elsewhere
	buf      *buffer  // nil until needed
	held     int64    // the segment that is in buf, opened; -1: none
	damaged  func(error) error
}

func (r *reader) Read(p []byte) (int, error) {
	switch {
	case r.in == nil:
		return 0, fmt.Errorf("sealed: read the body of %v: %w", r.id, os.ErrClosed)
	case r.off >= r.size:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	n, within := r.off/segmentSize, int(r.off%segmentSize)
	length := segmentLength(n, r.size)
	if n != r.held && within == 0 && len(p) >= length { // into p, without a copy
		if err := r.load(p[:0], n); err != nil {
			return 0, err
		}
		r.off += int64(length)
		return length, nil
	}
	if n != r.held {
		if err := r.load(nil, n); err != nil {
			return 0, err
		}
		r.held = n
	}
	k := copy(p, r.buf[within:length])
	r.off += int64(k)
	return k, nil
}

// load reads segment n and opens it to dst, or to buf if dst is nil.
func (r *reader) load(dst []byte, n int64) error {
	err := r.open(dst, n)
	if err == nil {
		r.next = n + 1
		return nil
	}
	r.next = -1
	err = fmt.Errorf("sealed: read the body of %v: %w", r.id, err)
	if errors.Is(err, store.ErrCorrupt) {
		err = r.damaged(err)
	}
	return err
}

func (r *reader) open(dst []byte, n int64) (err error) {
	if r.buf == nil {
		r.buf = buffers.Get().(*buffer)
	}
	r.held = -1
	if r.segments.AEAD == nil {
		prefix := r.buf[:prefixSize]
		if err := r.fill(prefix); err != nil {
			return err
		}
		r.segments = r.key.segments(body, prefix, r.name, r.id)
		r.next = 0
	}
	if r.next != n {
		if _, err := r.in.Seek(segmentAt(n), io.SeekStart); err != nil {
			return err
		}
	}
	sealed := r.buf[:segmentLength(n, r.size)+overhead]
	if err := r.fill(sealed); err != nil {
		return err
	}
	if dst == nil {
		dst = r.buf[:0]
	}
	_, err = r.segments.open(dst, sealed, n, n == segmentCount(r.size)-1)
	return err
}

// fill fills p. If the body ends before, it is damaged.
func (r *reader) fill(p []byte) error {
	_, err := io.ReadFull(r.in, p)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = fmt.Errorf("it is cut: %w", store.ErrCorrupt)
	}
	return err
}

func (r *reader) Seek(offset int64, whence int) (int64, error) {
	to, err := seek.To(r.off, r.size, offset, whence)
	if err != nil {
		return 0, fmt.Errorf("sealed: the body of %v: %w", r.id, err)
	}
	r.off = to
	return to, nil
}

func (r *reader) Close() error {
	if r.in == nil {
		return nil
	}
	if r.buf != nil {
		buffers.Put(r.buf)
		r.buf = nil
	}
	err := r.in.Close()
	r.in = nil
	return err
}
