package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/larder-go/larder/internal/seek"
	"github.com/larder-go/larder/store"
)

var lookupRows = selection{"id, body_sum, head, body", "FROM entries WHERE key = ? ORDER BY id DESC"}

// Lookup is described at store.Store. It is one SELECT; when the records were used is written down later.
func (s *Store) Lookup(ctx context.Context, key store.Key) ([]*store.Record, error) {
	var found []*store.Record
	var damaged error
	err := s.readSoon(ctx, func(c *conn) error {
		return c.each(&lookupRows, func(columns row) {
			r, err := recordOf(key, columns, s.heads.Head)
			if err != nil {
				damaged = err
				return
			}
			found = append(found, r)
		}, []byte(key))
	})
	if err != nil {
		return nil, fmt.Errorf("sqlite: look up: %w", err)
	}
	if damaged != nil {
		err = fmt.Errorf("sqlite: look up: %w", damaged)
		if !store.Inspecting(ctx) {
			if e := s.removeDamaged(ctx, key); e != nil {
				err = fmt.Errorf("%w; removing it: %w", err, e)
			}
		}
	}
	if len(found) > 0 {
		if s.touched.add(key) && s.mu.TryLock() { // if not, a later hit will
			if !s.closed {
				s.tidy()
			}
			s.mu.Unlock()
		}
	}
	return found, err
}

// recordOf makes a record from its id, body_sum, head and body. It keeps nothing of them.
func recordOf(key store.Key, columns row, decode func([]byte) (*store.Record, error)) (*store.Record, error) {
	id, _ := columns[0].([]byte)
	head, _ := columns[2].([]byte)
	body, _ := columns[3].([]byte)
	r, err := decode(head)
	if err != nil {
		return nil, err
	}
	if r.Key != key || string(id) != string(r.ID[:]) { // under another ID nobody could remove it
		return nil, fmt.Errorf("record %v is of another key or ID than its row: %w", r.ID, store.ErrCorrupt)
	}
	if sum := columns[1]; sum != nil { // the body is not in chunks
		if sum != inlineSum(r.ID, body) || int64(len(body)) != r.Size {
			return nil, fmt.Errorf("record %v: checksum of the body does not match: %w", r.ID, store.ErrCorrupt)
		}
		if r.Size > 0 {
			r = r.WithBody(bytes.Clone(body), r.Size)
		}
	}
	return r, nil
}

// removeDamaged deletes the rows of key that cannot be read.
func (s *Store) removeDamaged(ctx context.Context, key store.Key) error {
	return s.write(ctx, func(c *conn) error {
		return c.transaction(func() error {
			damaged, err := c.damagedRows(key)
			if err != nil {
				return err
			}
			return c.removeEntries(damaged...)
		})
	})
}

// removeEntries deletes the entries with these numbers.
func (c *conn) removeEntries(numbers ...int64) error {
	for _, n := range numbers {
		if _, err := c.exec(`DELETE FROM entries WHERE n = ?`, n); err != nil {
			return err
		}
	}
	return nil
}

var damagedRows = selection{"id, body_sum, head, body, n", "FROM entries WHERE key = ?"}

func (c *conn) damagedRows(key store.Key) (damaged []int64, err error) {
	err = c.each(&damagedRows, func(columns row) {
		if _, err := recordOf(key, columns, store.DecodeHead); err != nil {
			damaged = append(damaged, columns[4].(int64))
		}
	}, []byte(key))
	return damaged, err
}

// inlineSum and chunkSum cover the bytes and where they belong, so that those of another record don't pass for them.
func inlineSum(id store.ID, body []byte) int64 { return chunkSum(id, -1, body) }

func chunkSum(id store.ID, seq int64, data []byte) int64 {
	var place [len(id) + 8]byte
	copy(place[:], id[:])
	binary.BigEndian.PutUint64(place[len(id):], uint64(seq))
	return int64(store.Checksum(store.Checksum(0, place[:]), data))
}

var errChecksum = fmt.Errorf("checksum does not match: %w", store.ErrCorrupt)

var bodyRow = selection{"size, chunks, body_sum, body", "FROM entries WHERE key = ? AND id = ?"}

// Open is described at store.Store. The body is read row by row, and holds no connection and no transaction between two
// Reads. If the record is deleted meanwhile, it can be read on for as long as the rows are there: see the package
// comment.
func (s *Store) Open(ctx context.Context, r *store.Record) (io.ReadSeekCloser, error) {
	b := &body{s: s, ctx: ctx, key: r.Key, id: r.ID}
	s.inUse.add(r.ID) // before the record is seen to be there, so that its chunks stay from then on
	wrong := store.ErrNotFound
	err := s.read(ctx, func(c *conn) error {
		return c.each(&bodyRow, func(columns row) { wrong = b.begin(columns) }, []byte(r.Key), r.ID[:])
	})
	err = cmp.Or(err, wrong)
	if err != nil {
		s.inUse.remove(r.ID)
		return nil, fmt.Errorf("sqlite: open the body of %v: %w", r.ID, err)
	}
	return b, nil
}

func chunkCount(size int64) int64 { return (size + chunkSize - 1) / chunkSize }

// body reads the body of a record.
type body struct {
	s    *Store
	ctx  context.Context
	key  store.Key
	id   store.ID
	size int64
	off  int64

	data   []byte // of chunk seq, or the whole inline body as chunk 0
	seq    int64  // -1: none yet
	buf    *[chunkSize]byte
	closed bool
}

// begin takes over what the record's row says of the body.
func (b *body) begin(columns row) error {
	b.size, _ = columns[0].(int64)
	if sum := columns[2]; sum != nil {
		inline, _ := columns[3].([]byte)
		if sum != inlineSum(b.id, inline) || int64(len(inline)) != b.size {
			return errChecksum
		}
		b.data, b.seq = bytes.Clone(inline), 0
		return nil
	}
	if columns[1] != chunkCount(b.size) {
		return fmt.Errorf("%v chunks for %d bytes: %w", columns[1], b.size, store.ErrCorrupt)
	}
	b.seq = -1
	return nil
}

func (b *body) Read(p []byte) (int, error) {
	if b.closed {
		return 0, fmt.Errorf("sqlite: read the body of %v: %w", b.id, os.ErrClosed)
	}
	if b.off >= b.size {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	seq := b.off / chunkSize
	if seq != b.seq {
		if err := b.load(seq); err != nil {
			return 0, fmt.Errorf("sqlite: read the body of %v: %w", b.id, err)
		}
	}
	n := copy(p, b.data[b.off-seq*chunkSize:])
	b.off += int64(n)
	return n, nil
}

func (b *body) load(seq int64) error {
	if b.buf == nil {
		b.buf = buffers.Get().(*[chunkSize]byte)
	}
	b.seq = -1
	n, err := b.s.readChunk(b.ctx, b.id, seq, b.buf)
	if err == nil && int64(n) != min(chunkSize, b.size-seq*chunkSize) {
		err = fmt.Errorf("chunk %d has %d bytes: %w", seq, n, store.ErrCorrupt)
	}
	if err == nil {
		b.data, b.seq = b.buf[:n], seq
		return nil
	}
	if errors.Is(err, store.ErrCorrupt) && !errors.Is(err, errDamaged) && !store.Inspecting(b.ctx) {
		if e := b.s.Delete(b.ctx, b.key, b.id); e != nil {
			err = fmt.Errorf("%w; removing it: %w", err, e)
		}
	}
	return err
}

var chunkRow = selection{"sum, data", "FROM chunks WHERE id = ? AND seq = ?"}

// readChunk copies a chunk to buf and returns its length.
func (s *Store) readChunk(ctx context.Context, id store.ID, seq int64, buf *[chunkSize]byte) (n int, err error) {
	wrong := store.ErrNotFound
	err = s.read(ctx, func(c *conn) error {
		return c.each(&chunkRow, func(columns row) {
			data, _ := columns[1].([]byte)
			if len(data) > chunkSize || columns[0] != chunkSum(id, seq, data) {
				wrong = errChecksum
				return
			}
			n, wrong = copy(buf[:], data), nil
		}, id[:], seq)
	})
	if err == nil && wrong != nil {
		err = fmt.Errorf("chunk %d: %w", seq, wrong)
	}
	return n, err
}

func (b *body) Seek(offset int64, whence int) (int64, error) {
	to, err := seek.To(b.off, b.size, offset, whence)
	if err != nil {
		return 0, fmt.Errorf("sqlite: the body of %v: %w", b.id, err)
	}
	b.off = to
	return to, nil
}

func (b *body) Close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	b.s.inUse.remove(b.id)
	if b.buf != nil {
		buffers.Put(b.buf)
		b.buf, b.data = nil, nil
	}
	return nil
}

var buffers = sync.Pool{New: func() any { return new([chunkSize]byte) }}

// inUse counts the readers and writers of an id's chunks in this process. Meanwhile, these are not removed.
type inUse struct {
	mu  sync.Mutex
	ids map[store.ID]int
}

func (u *inUse) add(id store.ID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ids == nil {
		u.ids = make(map[store.ID]int)
	}
	u.ids[id]++
}

func (u *inUse) remove(id store.ID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ids[id]--; u.ids[id] <= 0 {
		delete(u.ids, id)
	}
}

func (u *inUse) len() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.ids)
}

func (u *inUse) has(id store.ID) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.ids[id] > 0
}
