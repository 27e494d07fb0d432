package compressed

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/larder-go/larder/internal/seek"
	"github.com/larder-go/larder/store"
)

// reader reads a packed body, frame by frame.
type reader struct {
	in      io.ReadSeekCloser // nil: closed
	coder   coder
	id      store.ID
	index   *index
	off     int64
	next    int64   // the frame before which in stands; -1: elsewhere
	buf     *buffer // nil until needed
	held    int64   // the frame that is in buf, unpacked; -1: none
	damaged func(error) error
}

func (r *reader) Read(p []byte) (int, error) {
	switch {
	case r.in == nil:
		return 0, fmt.Errorf("compressed: read the body of %v: %w", r.id, os.ErrClosed)
	case r.off >= r.index.size:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	n := r.off / frameSize
	if n != r.held {
		if err := r.load(n); err != nil {
			err = fmt.Errorf("compressed: read the body of %v: %w", r.id, err)
			if errors.Is(err, store.ErrCorrupt) {
				err = r.damaged(err)
			}
			return 0, err
		}
	}
	k := copy(p, r.buf[r.off%frameSize:r.index.plain(n)])
	r.off += int64(k)
	return k, nil
}

// load reads frame n and unpacks it to buf.
func (r *reader) load(n int64) error {
	if r.buf == nil {
		r.buf = buffers.Get().(*buffer)
	}
	at := r.next
	r.held, r.next = -1, -1
	if at != n {
		if _, err := r.in.Seek(r.index.start(n), io.SeekStart); err != nil {
			return err
		}
	}
	frame := buffers.Get().(*buffer)
	defer buffers.Put(frame)
	packed := frame[:r.index.packed(n)]
	_, err := io.ReadFull(r.in, packed)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = fmt.Errorf("it is cut: %w", store.ErrCorrupt)
	}
	if err == nil {
		err = r.coder.unpack(r.buf[:r.index.plain(n)], packed)
	}
	if err != nil {
		return err
	}
	r.next, r.held = n+1, n
	return nil
}

func (r *reader) Seek(offset int64, whence int) (int64, error) {
	to, err := seek.To(r.off, r.index.size, offset, whence)
	if err != nil {
		return 0, fmt.Errorf("compressed: the body of %v: %w", r.id, err)
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
