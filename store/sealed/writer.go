package sealed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/larder-go/larder/store"
)

// Create is described at store.Store. The writer takes two buffers of 32 KiB, whatever the size of the body.
func (s *Store) Create(ctx context.Context, r *store.Record) (store.Writer, error) {
	k := s.keys[0]
	w := &writer{store: s, ctx: ctx, key: r.Key, name: k.name(r.Key), id: r.ID, prefix: k.prefix()}
	w.segments = k.segments(body, w.prefix[:], w.name, w.id)
	var err error
	w.in, err = s.Store.Create(ctx, &store.Record{Key: w.name, ID: r.ID, Size: sealedSize(r.Size), KeepUntil: r.KeepUntil})
	if err != nil {
		return nil, fmt.Errorf("sealed: create %v: %w", r.ID, err)
	}
	w.buf, w.out = buffers.Get().(*buffer), buffers.Get().(*buffer)
	return w, nil
}

type writer struct {
	store    *Store
	ctx      context.Context
	key      store.Key
	name     store.Key
	id       store.ID
	prefix   [prefixSize]byte
	segments segments

	mu     sync.RWMutex // ReadAt reads, the others write
	in     store.Writer
	sealed int64   // how many segments are in the inner store and not in buf
	buf    *buffer // the plain bytes that follow these, until Close
	n      int     // how many there are in buf
	out    *buffer // a segment on its way to the inner store, sealed
	done   bool    // committed; ReadAt goes on until Close
	closed bool
	err    error
}

func (w *writer) size() int64 { return w.sealed*segmentSize + int64(w.n) }

func (w *writer) writable() error {
	if w.closed || w.done {
		return os.ErrClosed
	}
	return w.err
}

// Write seals a full segment when another byte follows it: until then it may be the last.
func (w *writer) Write(p []byte) (n int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for err = w.writable(); err == nil && n < len(p); {
		if w.n == segmentSize {
			if err = w.flush(false); err != nil {
				w.err = err
				break
			}
			w.sealed++
			w.n = 0
		}
		k := copy(w.buf[w.n:segmentSize], p[n:])
		w.n += k
		n += k
	}
	if err != nil {
		return n, fmt.Errorf("sealed: write %v: %w", w.id, err)
	}
	return n, nil
}

// flush seals what is in buf to the inner store. It stays in buf.
func (w *writer) flush(last bool) error {
	b := w.out[:0]
	if w.sealed == 0 {
		b = append(b, w.prefix[:]...)
	}
	_, err := w.in.Write(w.segments.seal(b, w.buf[:w.n], w.sealed, last))
	return err
}

func (w *writer) ReadAt(p []byte, off int64) (n int, err error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	switch {
	case w.closed:
		return 0, fmt.Errorf("sealed: read back %v: %w", w.id, os.ErrClosed)
	case off < 0:
		return 0, fmt.Errorf("sealed: read back %v: position %d is before its start", w.id, off)
	}
	buf := buffers.Get().(*buffer)
	defer buffers.Put(buf)
	for ; n < len(p) && off < w.size(); off = off/segmentSize*segmentSize + segmentSize {
		plain := w.buf[:w.n]
		if seg := off / segmentSize; seg < w.sealed {
			if plain, err = w.readBack(buf, seg); err != nil {
				return n, fmt.Errorf("sealed: read back %v: %w", w.id, err)
			}
		}
		n += copy(p[n:], plain[off%segmentSize:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// readBack returns segment n, opened in buf.
func (w *writer) readBack(buf *buffer, n int64) ([]byte, error) {
	k, err := w.in.ReadAt(buf[:sealedSegm], segmentAt(n))
	if k < sealedSegm && err != io.EOF {
		return nil, err
	}
	return w.segments.open(buf[:0], buf[:k], n, false)
}

// Commit is described at store.Writer. Superseded records that another key sealed are removed only after the record is
// visible.
func (w *writer) Commit(r *store.Record, superseded ...store.ID) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.commit(r, superseded); err != nil {
		if !w.done {
			w.err = err
		}
		return fmt.Errorf("sealed: commit %v: %w", w.id, err)
	}
	return nil
}

func (w *writer) commit(r *store.Record, superseded []store.ID) error {
	switch err := w.writable(); {
	case err != nil:
		return err
	case r.Key != w.key || r.ID != w.id:
		return errors.New("not the record that was created")
	case r.Size != w.size():
		return fmt.Errorf("the record says %d bytes, %d were written", r.Size, w.size())
	}
	if w.n > 0 {
		if err := w.flush(true); err != nil {
			return err
		}
	}
	in, err := w.store.keys[0].seal(r)
	if err == nil {
		err = w.in.Commit(in, superseded...)
	}
	if err != nil {
		return err
	}
	w.done = true
	if len(superseded) > 0 {
		for _, k := range w.store.keys[1:] {
			// If this fails, what stays is older than the record, and will be superseded again.
			w.store.Store.Delete(w.ctx, k.name(w.key), superseded...)
		}
	}
	return nil
}

func (w *writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.closed = true
	buffers.Put(w.buf)
	buffers.Put(w.out)
	w.buf, w.out = nil, nil
	return w.in.Close()
}
