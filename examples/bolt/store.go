// Package bolt keeps larder's responses in a bbolt file: a complete store.Store, for one process at a time. It is an
// example to start from; docs/custom-store.md walks through it.
//
//	db, err := bbolt.Open("cache.db", 0o600, nil)
//	s, err := bolt.New(db)
//	client := (&larder.Cache{Store: s}).Client()
//
// There are two buckets. In "records" a key is the SHA-256 of the record's key and the ID, so that the variants of a
// URL stand side by side, oldest first; the value is the head. In "bodies" a key is that of the record and the number
// of a piece of 64 KiB; the value is its CRC-32C and the piece.
package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"github.com/larder-go/larder/store"
)

const pieceSize = 64 << 10

var records, bodies = []byte("records"), []byte("bodies")

// Store keeps records in a bbolt file. It must be made by New, once for each file.
type Store struct {
	db *bbolt.DB

	mu      sync.Mutex
	writing map[string]bool // the records whose Writer is open; true: to be removed when it is closed
}

// New returns the store in db.
func New(db *bbolt.DB) (*Store, error) {
	err := db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(records)
		if err == nil {
			_, err = tx.CreateBucketIfNotExists(bodies)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("bolt: create the buckets in %s: %w", db.Path(), err)
	}
	return &Store{db: db, writing: make(map[string]bool)}, nil
}

// Local tells larder that calls stay on this machine, and need no timer.
func (s *Store) Local() {}

func recordKey(key store.Key, id store.ID) []byte {
	digest := key.Digest()
	return append(digest[:], id[:]...)
}

// pastKey returns what sorts after all records of the same key, and before those of others.
func pastKey(record []byte) []byte {
	digest := record[:len(record)-len(store.ID{})]
	return append(bytes.Clone(digest), bytes.Repeat([]byte{0xff}, len(store.ID{})+1)...)
}

func pieceKey(record []byte, number int64) []byte {
	return binary.BigEndian.AppendUint32(bytes.Clone(record), uint32(number))
}

// Lookup is described at store.Store. It looks first, and removes what is damaged when it no longer reads: a bbolt
// transaction that writes must not begin within one that reads.
func (s *Store) Lookup(ctx context.Context, key store.Key) (found []*store.Record, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	prefix := recordKey(key, store.ID{})[:len(key.Digest())]
	var damaged [][]byte
	err = s.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(records).Cursor()
		for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
			r, err := store.DecodeHead(v)
			if err != nil || r.Key != key {
				damaged = append(damaged, bytes.Clone(k))
				continue
			}
			found = append([]*store.Record{r}, found...) // newest first
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("bolt: look up %.40q: %w", key, err)
	}
	if len(damaged) > 0 {
		err = fmt.Errorf("bolt: %d damaged records of %.40q: %w", len(damaged), key, store.ErrCorrupt)
		if !store.Inspecting(ctx) {
			err = errors.Join(err, s.remove(damaged...))
		}
	}
	return found, err
}

// remove removes records by the keys of their bucket, with their bodies.
func (s *Store) remove(keys ...[]byte) error {
	err := s.db.Update(func(tx *bbolt.Tx) error { return s.removeIn(tx, keys...) })
	if err != nil {
		err = fmt.Errorf("bolt: delete: %w", err)
	}
	return err
}

func (s *Store) removeIn(tx *bbolt.Tx, keys ...[]byte) error {
	for _, k := range keys {
		if err := tx.Bucket(records).Delete(k); err != nil {
			return err
		}
		if s.leaveToWriter(k) {
			continue
		}
		if err := removeBody(tx, k); err != nil {
			return err
		}
	}
	return nil
}

// leaveToWriter reports whether the body may still be read back, so that its Writer removes it when it is closed.
func (s *Store) leaveToWriter(record []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, open := s.writing[string(record)]
	if open {
		s.writing[string(record)] = true
	}
	return open
}

func removeBody(tx *bbolt.Tx, record []byte) error {
	c := tx.Bucket(bodies).Cursor()
	for k, _ := c.Seek(record); bytes.HasPrefix(k, record); k, _ = c.Seek(record) {
		if err := c.Delete(); err != nil {
			return err
		}
	}
	return nil
}

// Delete is described at store.Store.
func (s *Store) Delete(ctx context.Context, key store.Key, ids ...store.ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var keys [][]byte
	for _, id := range ids {
		keys = append(keys, recordKey(key, id))
	}
	if len(ids) == 0 {
		prefix := recordKey(key, store.ID{})[:len(key.Digest())]
		err := s.db.View(func(tx *bbolt.Tx) error {
			c := tx.Bucket(records).Cursor()
			for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
				keys = append(keys, bytes.Clone(k))
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("bolt: delete: %w", err)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	return s.remove(keys...)
}

// Update is described at store.Store. It looks for the record in the transaction that changes it, so that it never
// brings back one that is gone.
func (s *Store) Update(ctx context.Context, r *store.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := s.db.Update(func(tx *bbolt.Tx) error {
		k := recordKey(r.Key, r.ID)
		v := tx.Bucket(records).Get(k)
		if v == nil {
			return store.ErrNotFound
		}
		old, err := store.DecodeHead(v)
		if err != nil {
			return err
		}
		updated := r.Clone()
		updated.Size = old.Size
		head, err := store.EncodeHead(nil, updated)
		if err != nil {
			return err
		}
		return tx.Bucket(records).Put(k, head)
	})
	if err != nil {
		return fmt.Errorf("bolt: update record %s: %w", r.ID, err)
	}
	return nil
}

// piece returns a piece of a body, verified.
func (s *Store) piece(record []byte, number int64) (piece []byte, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		v := tx.Bucket(bodies).Get(pieceKey(record, number))
		switch {
		case v == nil:
			return store.ErrNotFound
		case len(v) < 4 || store.Checksum(0, v[4:]) != binary.BigEndian.Uint32(v):
			return store.ErrCorrupt
		}
		piece = bytes.Clone(v[4:]) // v is good only within the transaction
		return nil
	})
	return piece, err
}

// Open is described at store.Store. There is no transaction as long as the body is open, for that would keep the file
// growing: a reader whose record is removed fails with store.ErrNotFound.
func (s *Store) Open(ctx context.Context, r *store.Record) (io.ReadSeekCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err := s.db.View(func(tx *bbolt.Tx) error {
		if tx.Bucket(records).Get(recordKey(r.Key, r.ID)) == nil {
			return store.ErrNotFound
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("bolt: open the body of %s: %w", r.ID, err)
	}
	return &body{SectionReader: io.NewSectionReader(&pieces{s: s, r: r, key: recordKey(r.Key, r.ID), held: -1, inspected: store.Inspecting(ctx)}, 0, r.Size)}, nil
}

type body struct{ *io.SectionReader }

func (body) Close() error { return nil }

// pieces reads a body at any place, and holds the last piece for the next read.
type pieces struct {
	s    *Store
	r    *store.Record
	key  []byte
	held int64
	last []byte

	inspected bool // see store.Inspect
}

func (p *pieces) ReadAt(b []byte, off int64) (n int, err error) {
	for n < len(b) && off < p.r.Size {
		number := off / pieceSize
		if p.held != number {
			if p.last, err = p.s.piece(p.key, number); err == nil && int64(len(p.last)) != min(pieceSize, p.r.Size-number*pieceSize) {
				err = store.ErrCorrupt
			}
			if err != nil {
				p.held = -1
				if errors.Is(err, store.ErrCorrupt) && !p.inspected {
					p.s.remove(p.key)
				}
				return n, fmt.Errorf("bolt: read piece %d of the body of %s: %w", number, p.r.ID, err)
			}
			p.held = number
		}
		k := copy(b[n:], p.last[off%pieceSize:])
		n, off = n+k, off+int64(k)
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// Find is described at store.Finder. It yields what it has read after the transaction, since the caller may want to
// delete what it gets.
func (s *Store) Find(ctx context.Context, q store.Query) iter.Seq2[*store.Record, error] {
	return func(yield func(*store.Record, error) bool) {
		n := 0
		var from []byte
		for {
			keys, heads, err := s.heads(from)
			if err != nil {
				yield(nil, fmt.Errorf("bolt: find: %w", err))
				return
			}
			if len(keys) == 0 {
				return
			}
			from = pastKey(keys[len(keys)-1])
			for i, k := range keys {
				if err := ctx.Err(); err != nil {
					yield(nil, err)
					return
				}
				r, err := store.DecodeHead(heads[i])
				if err != nil && !store.Inspecting(ctx) {
					err = errors.Join(err, s.remove(k))
				}
				switch {
				case err != nil:
					if !yield(nil, err) {
						return
					}
				case q.Match(r):
					if n++; !yield(r, nil) || n == q.Limit {
						return
					}
				}
			}
		}
	}
}

// heads returns about a hundred records as they are stored, from a key on. It does not stop between the records of one
// store.Key: so Find ends, even if each record is replaced as soon as it is yielded.
func (s *Store) heads(from []byte) (keys, heads [][]byte, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(records).Cursor()
		for k, v := c.Seek(from); k != nil; k, v = c.Next() {
			if len(keys) >= 100 && bytes.Compare(k, pastKey(keys[len(keys)-1])) > 0 {
				break
			}
			keys, heads = append(keys, bytes.Clone(k)), append(heads, bytes.Clone(v))
		}
		return nil
	})
	return keys, heads, err
}

// Sweep is described at store.Sweeper.
func (s *Store) Sweep(ctx context.Context, now time.Time) (removed int, err error) {
	var ended [][]byte
	for r, err := range s.Find(ctx, store.Query{Ended: now}) {
		switch {
		case errors.Is(err, store.ErrCorrupt):
			removed++
		case err != nil:
			return removed, err
		default:
			ended = append(ended, recordKey(r.Key, r.ID))
		}
	}
	if len(ended) > 0 {
		if err := s.remove(ended...); err != nil {
			return removed, err
		}
	}
	return removed + len(ended), s.db.Update(s.sweepBodies)
}

// sweepBodies removes the bodies without a record, which writes left that a crash cut off.
func (s *Store) sweepBodies(tx *bbolt.Tx) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := tx.Bucket(bodies).Cursor()
	for k, _ := c.First(); k != nil; {
		record := bytes.Clone(k[:len(k)-4])
		if _, open := s.writing[string(record)]; !open && tx.Bucket(records).Get(record) == nil {
			if err := removeBody(tx, record); err != nil {
				return err
			}
		}
		k, _ = c.Seek(append(record, 0xff, 0xff, 0xff, 0xff, 0)) // past its pieces
	}
	return nil
}

// Size is described at store.Sizer.
func (s *Store) Size(ctx context.Context) (n int, size int64, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(records).Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			if r, err := store.DecodeHead(v); err == nil {
				n, size = n+1, size+int64(len(k)+len(v))+r.Size
			}
		}
		return ctx.Err()
	})
	return n, size, err
}
