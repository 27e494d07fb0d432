package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/larder-go/larder/store"
)

// Create is described at store.Store. It keeps the last 64 KiB of the body in memory; what is before them is in rows.
func (s *Store) Create(ctx context.Context, r *store.Record) (store.Writer, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("sqlite: create: %w", err)
	}
	// A body that takes nearly all would drive out what is stored, and then go itself.
	most := s.full() / 8 * 7
	if r.Size < 0 { // it may have no end, and must not drive out all that is stored
		most = s.full() / 2
	}
	if r.Size > most {
		return nil, s.tooLarge(r.Size)
	}
	s.inUse.add(r.ID)
	return &writer{s: s, ctx: ctx, key: r.Key, id: r.ID, most: most, buf: buffers.Get().(*[chunkSize]byte)}, nil
}

func (s *Store) tooLarge(size int64) error {
	return fmt.Errorf("sqlite: a body of %d bytes or more in a store of %d: %w", size, s.limit, store.ErrTooLarge)
}

type writer struct {
	s   *Store
	ctx context.Context
	key store.Key
	id  store.ID

	most int64 // how long the body may become
	err  error // of an earlier Write

	committed bool

	mu     sync.RWMutex     // guards the rest against ReadAt; only the writing goroutine changes it
	buf    *[chunkSize]byte // nil: closed
	n      int              // bytes in buf
	chunks int64            // rows written, but for that of buf
}

var errEnded = errors.New("the write has ended")

func (w *writer) size() int64 { return w.chunks*chunkSize + int64(w.n) }

func (w *writer) Write(p []byte) (int, error) {
	if w.committed || w.buf == nil {
		return 0, fmt.Errorf("sqlite: write the body of %v: %w", w.id, errEnded)
	}
	if w.err != nil {
		return 0, w.err
	}
	if size := w.size() + int64(len(p)); size > w.most {
		w.err = w.s.tooLarge(size)
		return 0, w.err
	}
	written := 0
	for written < len(p) {
		if w.n == chunkSize {
			if w.err = w.flush(); w.err != nil {
				return written, w.err
			}
		}
		w.mu.Lock()
		n := copy(w.buf[w.n:], p[written:])
		w.n += n
		w.mu.Unlock()
		written += n
	}
	return written, nil
}

// flush makes a row of the full buffer. Readers read from the buffer while that is under way.
func (w *writer) flush() error {
	err := w.s.write(w.ctx, func(c *conn) error {
		if err := w.s.keepLimit(c, chunkSize); err != nil {
			return err
		}
		return c.transaction(func() error {
			q := `UPDATE loose SET since = ? WHERE id = ? AND writing = 1`
			if w.chunks == 0 {
				q = `INSERT INTO loose (since, id, writing) VALUES (?, ?, 1)`
			}
			n, err := c.exec(q, time.Now().UnixMilli(), w.id[:])
			if err == nil && n == 0 {
				err = errSwept
			}
			if err != nil {
				return err
			}
			return c.insertChunk(w.id, w.chunks, w.buf[:])
		})
	})
	if err != nil {
		return fmt.Errorf("sqlite: write the body of %v: %w", w.id, err)
	}
	w.mu.Lock()
	w.chunks++
	w.n = 0
	w.mu.Unlock()
	return nil
}

// errSwept says that a write stood still for so long that it was taken for dead.
var errSwept = fmt.Errorf("the write stood still for more than %v and was swept: %w", writerGrace, store.ErrNotFound)

func (c *conn) insertChunk(id store.ID, seq int64, data []byte) error {
	_, err := c.exec(`INSERT INTO chunks (id, seq, sum, data) VALUES (?, ?, ?, ?)`, id[:], seq, chunkSum(id, seq, data), data)
	return err
}

func (w *writer) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("sqlite: read back at %d: no such place", off)
	}
	read := 0
	for read < len(p) {
		n, err := w.readAt(p[read:], off+int64(read))
		read += n
		if err != nil {
			return read, err
		}
	}
	return read, nil
}

// readAt reads from one chunk.
func (w *writer) readAt(p []byte, off int64) (int, error) {
	w.mu.RLock()
	if w.buf == nil {
		w.mu.RUnlock()
		return 0, fmt.Errorf("sqlite: read back the body of %v: %w", w.id, errEnded)
	}
	flushed := w.chunks * chunkSize
	if off >= flushed {
		defer w.mu.RUnlock()
		if off >= flushed+int64(w.n) {
			return 0, io.EOF
		}
		return copy(p, w.buf[off-flushed:w.n]), nil
	}
	w.mu.RUnlock()

	buf := buffers.Get().(*[chunkSize]byte)
	defer buffers.Put(buf)
	seq := off / chunkSize
	n, err := w.s.readChunk(background, w.id, seq, buf)
	if err != nil {
		return 0, fmt.Errorf("sqlite: read back the body of %v: %w", w.id, err)
	}
	return copy(p, buf[off-seq*chunkSize:n]), nil
}

const (
	entryColumns = `id, url, host, method, status, received, fresh_until, keep_until, last_used, size, chunks, bytes,
		tags, body_sum, head, body`
	insertSQL = `INSERT INTO entries (` + entryColumns + `, key, n)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	replaceSQL = `UPDATE entries SET (` + entryColumns + `) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		WHERE key = ? AND id = ? AND chunks = 0`
)

// Commit is one autocommitted INSERT for a small body that supersedes nothing, one UPDATE for one that supersedes
// another, and a transaction for all else.
func (w *writer) Commit(r *store.Record, superseded ...store.ID) error {
	if err := w.commit(r, superseded); err != nil {
		return fmt.Errorf("sqlite: commit %v: %w", w.id, err)
	}
	return nil
}

func (w *writer) commit(r *store.Record, superseded []store.ID) error {
	switch {
	case w.committed || w.buf == nil:
		return errEnded
	case w.err != nil:
		return w.err
	case r.Key != w.key || r.ID != w.id:
		return errors.New("not the record that was created")
	case r.Size != w.size():
		return fmt.Errorf("the record says %d bytes, written were %d", r.Size, w.size())
	}
	inline := w.chunks == 0 && w.n <= inlineMax
	err := w.s.write(w.ctx, func(c *conn) error {
		if err := w.insert(c, r, inline, superseded); err != nil {
			return err
		}
		w.s.keepLimit(c, int64(w.n+len(c.head))) // what fails does not undo the commit
		return nil
	})
	if err != nil {
		return err
	}
	w.committed = true
	return nil
}

// insert puts r into the table in place of the superseded ones, all at once.
func (w *writer) insert(c *conn, r *store.Record, inline bool, superseded []store.ID) error {
	if !inline {
		return c.transaction(func() error {
			if err := w.settle(c); err != nil {
				return err
			}
			if err := c.insertEntry(r, chunkCount(r.Size), nil); err != nil {
				return err
			}
			return c.deleteEntries(r.Key, superseded)
		})
	}
	body := w.buf[:w.n]
	switch len(superseded) {
	case 0:
		return c.insertEntry(r, 0, body)
	case 1:
		if replaced, err := c.replaceEntry(superseded[0], r, body); replaced || err != nil {
			return err
		}
	}
	return c.transaction(func() error {
		if err := c.insertEntry(r, 0, body); err != nil {
			return err
		}
		return c.deleteEntries(r.Key, superseded)
	})
}

// settle writes the last chunk, and takes the body out of those that are being written.
func (w *writer) settle(c *conn) error {
	if w.chunks > 0 {
		n, err := c.exec(`DELETE FROM loose WHERE id = ? AND writing = 1`, w.id[:])
		if err == nil && n == 0 {
			err = errSwept
		}
		if err != nil {
			return err
		}
	}
	return c.insertChunk(w.id, w.chunks, w.buf[:w.n])
}

func (c *conn) insertEntry(r *store.Record, chunks int64, body []byte) error {
	entry, err := c.entry(r, chunks, body, nil)
	if err != nil {
		return err
	}
	entry = append(entry, nil)
	for try := 1; ; try++ {
		c.stored = max(c.stored+1, time.Now().UnixMicro())
		entry[len(entry)-1] = c.stored
		_, err := c.exec(insertSQL, entry...)
		if resultCode(err) != codeConstraint || try == 10 { // a constraint: another process has stored something in that microsecond
			return err
		}
	}
}

// replaceEntry puts r into the row of old, if that is there and has no chunks. It takes three quarters of the time of
// an INSERT and a DELETE (go test -bench 'Store/1KB/store-again').
func (c *conn) replaceEntry(old store.ID, r *store.Record, body []byte) (replaced bool, err error) {
	lastUsed := time.Now().UnixMilli() // the n of the row is when the old record was stored
	entry, err := c.entry(r, 0, body, lastUsed)
	if err != nil {
		return false, err
	}
	n, err := c.exec(replaceSQL, append(entry, old[:])...)
	return n > 0, err
}

// entry returns the entryColumns and the key.
func (c *conn) entry(r *store.Record, chunks int64, body []byte, lastUsed any) (entry []any, err error) {
	var sum any
	if chunks == 0 {
		sum = inlineSum(r.ID, body)
	}
	if c.head, err = store.EncodeHead(c.head[:0], r); err != nil {
		return nil, err
	}
	return []any{r.ID[:], r.URL, store.Host(r.URL), r.Method, r.Status,
		unixMilli(r.Received), unixMilli(r.FreshUntil), unixMilli(r.KeepUntil), lastUsed,
		r.Size, chunks, c.bytes(r), tagList(r.Tags), sum, c.head, body, []byte(r.Key)}, nil
}

// bytes is what r counts for in Size; its head is in c.head.
func (c *conn) bytes(r *store.Record) int64 {
	return r.Size + int64(len(c.head)+len(r.Key))
}

// tagList returns tags as JSON, NULL for none.
func tagList(tags []string) any {
	if len(tags) == 0 {
		return nil
	}
	b, err := json.Marshal(tags)
	if err != nil {
		panic(err) // strings can always be marshalled
	}
	return string(b)
}

// Close discards what was not committed; of a very long body, Sweep removes all but the first part.
func (w *writer) Close() error {
	if w.buf == nil {
		return nil
	}
	w.mu.Lock()
	buffers.Put(w.buf)
	w.buf = nil
	w.mu.Unlock()
	w.s.inUse.remove(w.id)
	if w.committed || w.chunks == 0 {
		return nil
	}
	more := false
	err := w.s.write(background, func(c *conn) error {
		n, err := c.exec(`UPDATE loose SET writing = 0, since = 0 WHERE id = ? AND writing = 1`, w.id[:])
		more = n > 0 // if not, it was swept, or a Commit that seemed to fail did not
		return err
	})
	for i := 0; more && err == nil && i < 8; i++ {
		err = w.s.write(background, func(c *conn) (err error) {
			more, err = c.removeChunks(w.id)
			return err
		})
	}
	if err != nil && !errors.Is(err, errClosed) { // a closed store leaves it to a later Sweep
		return fmt.Errorf("sqlite: discard %v: %w", w.id, err)
	}
	return nil
}

// Update is described at store.Store. It is one UPDATE.
func (s *Store) Update(ctx context.Context, r *store.Record) error {
	err := s.write(ctx, func(c *conn) error {
		changed, err := c.updateEntry(r)
		if changed || err != nil {
			return err
		}
		// Gone, or r has a Size that is not the body's: that stays.
		var size int64
		err = c.row(`SELECT size FROM entries WHERE key = ? AND id = ?`, []any{[]byte(r.Key), r.ID[:]}, []any{&size})
		if errors.Is(err, sql.ErrNoRows) {
			return store.ErrNotFound
		}
		if err != nil {
			return err
		}
		sized := r.Clone()
		sized.Size = size
		if changed, err = c.updateEntry(sized); err == nil && !changed {
			err = store.ErrNotFound // another process was quicker
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("sqlite: update %v: %w", r.ID, err)
	}
	return nil
}

func (c *conn) updateEntry(r *store.Record) (changed bool, err error) {
	if c.head, err = store.EncodeHead(c.head[:0], r); err != nil {
		return false, err
	}
	n, err := c.exec(`UPDATE entries SET url = ?, host = ?, method = ?, status = ?, received = ?, fresh_until = ?, keep_until = ?,
			bytes = ?, tags = ?, head = ?
		WHERE key = ? AND id = ? AND size = ?`,
		r.URL, store.Host(r.URL), r.Method, r.Status, unixMilli(r.Received), unixMilli(r.FreshUntil), unixMilli(r.KeepUntil),
		c.bytes(r), tagList(r.Tags), c.head, []byte(r.Key), r.ID[:], r.Size)
	return n > 0, err
}

// Delete is described at store.Store. The chunks of the records stay until a later Sweep, for those who read them.
func (s *Store) Delete(ctx context.Context, key store.Key, ids ...store.ID) error {
	err := s.write(ctx, func(c *conn) error {
		switch len(ids) {
		case 0:
			_, err := c.exec(`DELETE FROM entries WHERE key = ?`, []byte(key))
			return err
		case 1:
			return c.deleteEntries(key, ids)
		}
		return c.transaction(func() error { return c.deleteEntries(key, ids) })
	})
	if err != nil {
		return fmt.Errorf("sqlite: delete: %w", err)
	}
	return nil
}

const deleteSQL = `DELETE FROM entries WHERE key = ? AND id = ?`

func (c *conn) deleteEntries(key store.Key, ids []store.ID) error {
	for _, id := range ids {
		if _, err := c.exec(deleteSQL, []byte(key), id[:]); err != nil {
			return err
		}
	}
	return nil
}
