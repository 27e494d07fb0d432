package compressed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"github.com/larder-go/larder/store"
)

// Create is described at store.Store. If the body may be packed, the inner store is told that its length is not known.
func (s *Store) Create(ctx context.Context, r *store.Record) (store.Writer, error) {
	w := &writer{coder: s.coder, key: r.Key, id: r.ID, plain: !packable(r.Header) || r.Size >= 0 && r.Size < minSize, backN: -1}
	if !w.plain {
		if r.Size >= 0 && r.Size < frameSize/2 {
			w.buf = make([]byte, 0, r.Size)
		} else {
			w.pooled = buffers.Get().(*buffer)
			w.buf = w.pooled[:0]
		}
		r = r.Clone()
		r.Size = -1
	}
	var err error
	if w.in, err = s.Store.Create(ctx, r); err != nil {
		w.release()
		return nil, fmt.Errorf("compressed: create %v: %w", w.id, err)
	}
	return w, nil
}

type writer struct {
	coder coder
	key   store.Key
	id    store.ID
	in    store.Writer

	mu     sync.RWMutex // ReadAt reads, the others write
	plain  bool         // the body is not packed: everything passes through
	ends   index        // of the frames that are written and not in buf; its size is not set
	buf    []byte       // the plain bytes that follow these, a frame at most
	pooled *buffer      // what buf is cut from; nil: buf was allocated
	done   bool         // committed; ReadAt goes on until Close
	closed bool
	err    error

	back    sync.Mutex
	backBuf *buffer // the frame that was read back last, unpacked; nil: none was
	backN   int64
}

// release gives back the frame under way.
func (w *writer) release() {
	if w.pooled != nil {
		buffers.Put(w.pooled)
	}
	w.pooled, w.buf = nil, nil
}

func (w *writer) writable() error {
	if w.closed || w.done {
		return os.ErrClosed
	}
	return w.err
}

// Write writes a full frame only when another byte follows it: the last one is for Commit.
func (w *writer) Write(p []byte) (int, error) {
	n, err := w.fill(p)
	if err == nil && n < len(p) {
		var k int
		k, err = w.in.Write(p[n:])
		n += k
	}
	if err != nil {
		return n, fmt.Errorf("compressed: write %v: %w", w.id, err)
	}
	return n, nil
}

// fill takes all of p into frames. If it finds that the body is not to be packed, it takes only what comes before.
func (w *writer) fill(p []byte) (n int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for err = w.writable(); err == nil && !w.plain && n < len(p); {
		if len(w.buf) == frameSize {
			packed, err := w.flush()
			if err != nil {
				w.err = err
				return n, err
			}
			if w.plain {
				break
			}
			w.ends.add(packed)
			w.buf = w.buf[:0]
		}
		k := min(frameSize-len(w.buf), len(p)-n)
		w.buf = append(w.buf, p[n:n+k]...)
		n += k
	}
	return n, err
}

// flush packs buf into a frame, writes it, and returns its length; buf stays. But if this is the first frame, and
// packing does not save a sixteenth, flush writes buf as it is and gives it back: the body is plain from then on.
func (w *writer) flush() (packed int, err error) {
	frame := buffers.Get().(*buffer)
	defer buffers.Put(frame)
	first := len(w.ends.ends) == 0
	if !first || len(w.buf) >= minSize {
		out := w.coder.pack(frame[:0], w.buf)
		if !first || len(out) <= len(w.buf)-len(w.buf)/16 {
			_, err := w.in.Write(out)
			return len(out), err
		}
	}
	if _, err := w.in.Write(w.buf); err != nil {
		return 0, err
	}
	w.plain = true
	w.release()
	return 0, nil
}

func (w *writer) ReadAt(p []byte, off int64) (n int, err error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	switch {
	case w.closed:
		return 0, fmt.Errorf("compressed: read back %v: %w", w.id, os.ErrClosed)
	case off < 0:
		return 0, fmt.Errorf("compressed: read back %v: position %d is before its start", w.id, off)
	case w.plain:
		return w.in.ReadAt(p, off)
	}
	for n < len(p) && off < w.size() {
		k := 0
		if frame := off / frameSize; frame < int64(len(w.ends.ends)) {
			if k, err = w.readBack(p[n:], frame, off%frameSize); err != nil {
				return n, fmt.Errorf("compressed: read back %v: %w", w.id, err)
			}
		} else {
			k = copy(p[n:], w.buf[off%frameSize:])
		}
		n += k
		off += int64(k)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// readBack copies to p from frame n, which is written. The frame stays unpacked for the next read.
func (w *writer) readBack(p []byte, n, within int64) (int, error) {
	w.back.Lock()
	defer w.back.Unlock()
	if w.backBuf == nil {
		w.backBuf = buffers.Get().(*buffer)
	}
	if w.backN != n {
		w.backN = -1
		frame := buffers.Get().(*buffer)
		defer buffers.Put(frame)
		packed := frame[:w.ends.packed(n)]
		k, err := w.in.ReadAt(packed, w.ends.start(n))
		if k < len(packed) && err != io.EOF {
			return 0, err
		}
		if err := w.coder.unpack(w.backBuf[:frameSize], packed[:k]); err != nil {
			return 0, err
		}
		w.backN = n
	}
	return copy(p, w.backBuf[within:frameSize]), nil
}

// size is the length of a body that is packed.
func (w *writer) size() int64 { return int64(len(w.ends.ends))*frameSize + int64(len(w.buf)) }

func (w *writer) Commit(r *store.Record, superseded ...store.ID) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.commit(r, superseded); err != nil {
		if !w.done {
			w.err = err
		}
		return fmt.Errorf("compressed: commit %v: %w", w.id, err)
	}
	return nil
}

func (w *writer) commit(r *store.Record, superseded []store.ID) error {
	switch err := w.writable(); {
	case err != nil:
		return err
	case r.Key != w.key || r.ID != w.id:
		return errors.New("not the record that was created")
	case !w.plain && r.Size != w.size():
		return fmt.Errorf("the record says %d bytes, %d were written", r.Size, w.size())
	}
	encoded, size := "", r.Size
	if !w.plain && len(w.buf) > 0 {
		packed, err := w.flush()
		if err != nil {
			return err
		}
		if !w.plain {
			x := index{size: r.Size, ends: slices.Clone(w.ends.ends)}
			x.add(packed)
			encoded, size = x.encode(), x.ends[len(x.ends)-1]
		}
	}
	if err := w.in.Commit(innerRecord(r, encoded, size), superseded...); err != nil {
		return err
	}
	w.done = true
	return nil
}

// innerRecord returns what the inner store keeps of r, with an index and a body of size bytes; r itself if nothing
// differs.
func innerRecord(r *store.Record, index string, size int64) *store.Record {
	if index == "" && len(r.Header[indexField]) == 0 {
		return r
	}
	in := r.Clone()
	in.Header, in.Size, in.Body = addIndex(r.Header, index), size, nil
	return in
}

func (w *writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.closed = true
	w.release()
	if w.backBuf != nil {
		buffers.Put(w.backBuf)
		w.backBuf = nil
	}
	return w.in.Close()
}
