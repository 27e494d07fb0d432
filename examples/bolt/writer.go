package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"go.etcd.io/bbolt"

	"github.com/larder-go/larder/store"
)

// writer stores a body piece by piece, and its record last.
type writer struct {
	s   *Store
	ctx context.Context
	id  store.ID
	key []byte // the record's

	mu        sync.Mutex // ReadAt runs beside Write
	piece     []byte     // being filled
	written   int64
	committed bool
	end       error // why nothing more can be written
	closed    bool
}

var errClosed = errors.New("bolt: the write is closed")

// Create is described at store.Store.
func (s *Store) Create(ctx context.Context, r *store.Record) (store.Writer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &writer{s: s, ctx: ctx, id: r.ID, key: recordKey(r.Key, r.ID)}
	s.writing[string(w.key)] = false
	return w, nil
}

// Write is described at store.Writer.
func (w *writer) Write(p []byte) (n int, err error) {
	for n < len(p) {
		if err := w.mayWrite(); err != nil {
			return n, err
		}
		w.mu.Lock()
		k := min(pieceSize-len(w.piece), len(p)-n)
		w.piece = append(w.piece, p[n:n+k]...)
		w.written += int64(k)
		full := len(w.piece) == pieceSize
		w.mu.Unlock()
		n += k
		if full {
			if err := w.s.db.Update(w.putPiece); err != nil {
				return n, w.fail(err)
			}
			w.mu.Lock()
			w.piece = w.piece[:0]
			w.mu.Unlock()
		}
	}
	return n, w.mayWrite()
}

func (w *writer) mayWrite() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed:
		return errClosed
	case w.end != nil:
		return w.end
	}
	return w.ctx.Err()
}

func (w *writer) fail(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end = fmt.Errorf("bolt: write record %s: %w", w.id, err)
	return w.end
}

// putPiece stores the piece, which nobody changes meanwhile.
func (w *writer) putPiece(tx *bbolt.Tx) error {
	v := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(w.piece)), store.Checksum(0, w.piece))
	return tx.Bucket(bodies).Put(pieceKey(w.key, (w.written-1)/pieceSize), append(v, w.piece...))
}

// ReadAt is described at store.Writer.
func (w *writer) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		w.mu.Lock()
		filling := w.written - int64(len(w.piece)) // where the piece that is being filled begins
		switch at := off + int64(n); {
		case w.closed:
			err = errClosed
		case off < 0:
			err = fmt.Errorf("bolt: read back record %s: position %d is before its start", w.id, off)
		case at >= w.written:
			err = io.EOF
		case at >= filling:
			n += copy(p[n:], w.piece[at-filling:])
			w.mu.Unlock()
			continue
		}
		w.mu.Unlock()
		if err != nil {
			return n, err
		}
		at := off + int64(n)
		piece, err := w.s.piece(w.key, at/pieceSize)
		if err != nil {
			return n, fmt.Errorf("bolt: read back record %s: %w", w.id, err)
		}
		n += copy(p[n:], piece[at%pieceSize:])
	}
	return n, nil
}

// Commit is described at store.Writer. The record, the rest of its body, and the removal of what it supersedes are one
// transaction.
func (w *writer) Commit(r *store.Record, superseded ...store.ID) error {
	if err := w.mayWrite(); err != nil {
		return err
	}
	if r.Size != w.written || !bytes.Equal(recordKey(r.Key, r.ID), w.key) {
		return fmt.Errorf("bolt: commit record %s: %d bytes were written of record %s, not %d", r.ID, w.written, w.id, r.Size)
	}
	err := w.s.db.Update(func(tx *bbolt.Tx) error {
		if len(w.piece) > 0 {
			if err := w.putPiece(tx); err != nil {
				return err
			}
		}
		for _, id := range superseded {
			if err := w.s.removeIn(tx, recordKey(r.Key, id)); err != nil {
				return err
			}
		}
		head, err := store.EncodeHead(nil, r)
		if err != nil {
			return err
		}
		return tx.Bucket(records).Put(w.key, head)
	})
	if err != nil {
		return w.fail(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.committed = true
	w.end = fmt.Errorf("bolt: record %s is committed", w.id)
	return nil
}

// Close is described at store.Writer.
func (w *writer) Close() error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return nil
	}
	w.closed = true
	committed := w.committed
	w.mu.Unlock()
	w.s.mu.Lock()
	discard := !committed || w.s.writing[string(w.key)]
	delete(w.s.writing, string(w.key))
	w.s.mu.Unlock()
	if discard {
		return w.s.db.Update(func(tx *bbolt.Tx) error { return removeBody(tx, w.key) })
	}
	return nil
}
