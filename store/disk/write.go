package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/larder-go/larder/store"
)

// Create is described at store.Store. Up to 32 KiB of the body are held in memory, so that a small body takes a single
// file; a larger one goes into a file of its own, block by block. Nothing is written before a block is full, or Commit.
func (s *Store) Create(ctx context.Context, r *store.Record) (store.Writer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w := &writer{store: s, ctx: ctx, key: r.Key, id: r.ID, expected: r.Size}
	if err := w.fits(r.Size, 0); err != nil {
		return nil, fmt.Errorf("disk: create %s: %w", r.ID, err)
	}
	if r.Size >= 0 && r.Size < blockSize {
		w.buf = make([]byte, 0, r.Size)
	} else {
		w.block = blocks.Get().(*block)
		w.buf = w.block[:0]
	}
	return w, nil
}

type writer struct {
	store    *Store
	ctx      context.Context
	key      store.Key
	id       store.ID
	expected int64 // size of the body; -1: unknown

	mu      sync.RWMutex // ReadAt reads, the others write
	block   *block       // what buf is cut from; nil: buf was allocated
	buf     []byte       // the bytes after the first flushed ones, at most a block
	flushed int64        // the bytes that are in file: whole blocks until Commit
	file    *os.File     // nil: nothing is flushed
	length  int64        // of file, all of which is in the ledger
	place   place        // where file is
	sums    []byte
	done    bool // committed; ReadAt goes on until Close
	closed  bool
	err     error
}

func (w *writer) size() int64 { return w.flushed + int64(len(w.buf)) }

// fits returns an error if there is no room for a body of this size beside others, whatever is evicted.
func (w *writer) fits(size, others int64) error {
	room := w.store.max - others
	if w.expected < 0 { // it may have no end, and must not drive out all that is stored
		room = min(room, w.store.max/2)
	}
	least := size + folderCost
	if size > inlineMax {
		least = cost(fileSize(size)) + cost(prefixSize) + folderCost
	}
	if w.store.max > 0 && (size > room || least > room) { // the first if least has overflowed
		return fmt.Errorf("a body of %d bytes where there is room for %d: %w", size, max(0, room), store.ErrTooLarge)
	}
	return nil
}

func (w *writer) Write(p []byte) (n int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed || w.done:
		return 0, fmt.Errorf("disk: write %s: %w", w.id, os.ErrClosed)
	case w.err == nil && w.ctx.Err() != nil:
		w.err = w.ctx.Err()
	case w.err == nil:
		w.err = w.fits(w.size()+int64(len(p)), 0)
	}
	for w.err == nil && len(p) > 0 {
		k := 0
		switch room := blockSize - len(w.buf); {
		case room == 0:
			if w.err = w.flush(w.buf); w.err == nil {
				w.buf = w.buf[:0]
			}
		case len(w.buf) == 0 && (len(p) > blockSize || len(p) == blockSize && w.file != nil):
			k = len(p) / blockSize * blockSize
			w.err = w.flush(p[:k])
		default:
			k = min(room, len(p))
			w.buf = append(w.buf, p[:k]...)
		}
		if w.err == nil {
			n += k
			p = p[k:]
		}
	}
	if w.err != nil {
		return n, fmt.Errorf("disk: write %s: %w", w.id, w.err)
	}
	return n, nil
}

// flush appends p, which begins a block, to the body file: all of it, or nothing that counts. If it fails, buf must
// stay as it is, since an earlier Write has taken it, and it may be read back.
func (w *writer) flush(p []byte) error {
	if err := w.grow(w.flushed + int64(len(p))); err != nil {
		return err
	}
	if _, err := w.file.Write(p); err != nil {
		return err
	}
	seed := store.Checksum(0, w.id[:])
	for at := 0; at < len(p); at += blockSize {
		sum := blockSum(seed, w.flushed/blockSize+int64(at/blockSize), p[at:min(len(p), at+blockSize)])
		w.sums = binary.BigEndian.AppendUint32(w.sums, sum)
	}
	w.flushed += int64(len(p))
	return nil
}

func (w *writer) ReadAt(p []byte, off int64) (n int, err error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	switch {
	case w.closed:
		return 0, fmt.Errorf("disk: read back %s: %w", w.id, os.ErrClosed)
	case off < 0:
		return 0, fmt.Errorf("disk: read back %s: position %d is before its start", w.id, off)
	}
	if off < w.flushed {
		n, err = w.file.ReadAt(p[:min(int64(len(p)), w.flushed-off)], off)
		if err != nil {
			return n, fmt.Errorf("disk: read back %s: %w", w.id, err)
		}
	}
	if n == len(p) {
		return n, nil
	}
	if at := off + int64(n) - w.flushed; at < int64(len(w.buf)) {
		n += copy(p[n:], w.buf[at:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (w *writer) Commit(r *store.Record, superseded ...store.ID) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.commit(r, superseded); err != nil {
		if !w.done {
			w.err = err
		}
		return fmt.Errorf("disk: commit %s: %w", w.id, err)
	}
	return nil
}

func (w *writer) commit(r *store.Record, superseded []store.ID) error {
	switch {
	case w.closed || w.done:
		return os.ErrClosed
	case w.err != nil:
		return w.err
	case w.ctx.Err() != nil:
		return w.ctx.Err()
	case r.Key != w.key || r.ID != w.id:
		return errors.New("not the record that was created")
	case r.Size != w.size():
		return fmt.Errorf("the record says %d bytes, %d were written", r.Size, w.size())
	}
	inline := w.file == nil && len(w.buf) <= inlineMax
	head, err := encodeHead(r, w.buf, inline)
	if err == nil && !inline {
		err = w.finish()
	}
	if err != nil {
		return err
	}
	added := cost(int64(len(head))) + folderCost
	if limit := w.store.max; limit > 0 && added+cost(w.length) > limit {
		return fmt.Errorf("%d bytes with its head where the limit is %d: %w", added+cost(w.length), limit, store.ErrTooLarge)
	}
	var at place
	var long []int
	err = w.store.inFan(w.key, func(p place) error {
		at = p
		return w.store.spend(added, 1, func() (err error) {
			long, err = w.publish(p, r, head)
			return err
		})
	})
	if err != nil {
		return err
	}
	w.done = true
	w.store.writing.Delete(at.body(w.id))
	for _, id := range superseded {
		if id != w.id {
			w.store.remove(at, id)
		}
	}
	w.store.shorten(at, long)
	return nil
}

// publish makes the record visible. It returns which logs of the index have grown long.
func (w *writer) publish(p place, r *store.Record, head []byte) (long []int, err error) {
	if w.file != nil {
		if _, err := p.fan.Lstat(p.body(w.id)); err != nil {
			return nil, fmt.Errorf("the body was removed while it was written: %w", errGone)
		}
	}
	if long, err = p.note(namesOf(r)); err != nil {
		return nil, err
	}
	return long, p.publish(head, func(temp string) error { return p.enter(temp, w.id) })
}

// errGone is not fs.ErrNotExist, which asks for another attempt.
var errGone = errors.New("not in the directory any more")

// finish writes the rest of the body file.
func (w *writer) finish() error {
	if err := w.flush(w.buf); err != nil {
		return err
	}
	w.buf = w.buf[:0]
	if _, err := w.file.Write(appendFooter(w.sums, w.id, w.flushed)); err != nil {
		return err
	}
	return w.cut(fileSize(w.flushed))
}

func (w *writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.closed = true
	if w.block != nil {
		blocks.Put(w.block)
	}
	w.block, w.buf, w.sums = nil, nil, nil
	if w.file == nil {
		return nil
	}
	err := w.file.Close()
	if !w.done {
		w.store.writing.Delete(w.place.body(w.id))
		w.store.drop(w.place, w.place.body(w.id))
	}
	if err != nil {
		return fmt.Errorf("disk: close %s: %w", w.id, err)
	}
	return nil
}

// inFan calls do with the place of key. If do fails because something is missing, inFan tries again, with a fan that is
// made anew if necessary.
func (s *Store) inFan(key store.Key, do func(place) error) error {
	for n := 1; ; n++ {
		p, err := s.place(key, true)
		if err == nil {
			err = do(p)
		}
		if !errors.Is(err, fs.ErrNotExist) || n == attempts {
			return err
		}
		s.check(p.shard)
	}
}
