package sqlite

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/larder-go/larder/store"
)

const (
	readerGrace = time.Minute // for those in other processes that read the chunks of a deleted record
	writerGrace = time.Hour   // since the last chunk, after which a write counts as dead

	rowsAtOnce   = 64 // entries in one transaction
	chunksAtOnce = 32
	pagesAtOnce  = 256
)

// Sweep works in transactions of a few milliseconds each, between which requests have their turn.
func (s *Store) Sweep(ctx context.Context, now time.Time) (removed int, err error) {
	removed, err = s.sweepEnded(ctx, now)
	if err == nil {
		err = s.sweepLoose(ctx, now)
	}
	if err == nil {
		var evicted int
		evicted, err = s.evict(ctx)
		removed += evicted
	}
	if err == nil {
		err = s.vacuum(ctx)
	}
	if err != nil {
		return removed, fmt.Errorf("sqlite: sweep: %w", err)
	}
	return removed, nil
}

// sweepEnded finds what has ended in the index of all records, which is small, and removes it by and by.
func (s *Store) sweepEnded(ctx context.Context, now time.Time) (removed int, err error) {
	const atOnce = 64 * rowsAtOnce
	for {
		var ended []int64
		err := s.read(ctx, func(c *conn) (err error) {
			ended, err = c.numbers(`SELECT n FROM entries INDEXED BY entries_last_used WHERE keep_until < ? LIMIT ?`, now.UnixMilli(), atOnce)
			return err
		})
		if err != nil {
			return removed, err
		}
		for batch := range slices.Chunk(ended, rowsAtOnce) {
			err := s.write(ctx, func(c *conn) error {
				return c.transaction(func() error {
					for _, n := range batch {
						deleted, err := c.exec(`DELETE FROM entries WHERE n = ? AND keep_until < ?`, n, now.UnixMilli())
						if err != nil {
							return err
						}
						removed += int(deleted)
					}
					return nil
				})
			})
			if err != nil {
				return removed, err
			}
		}
		if len(ended) < atOnce {
			return removed, nil
		}
	}
}

// numbers returns the first column of the rows.
func (c *conn) numbers(query string, args ...any) (numbers []int64, err error) {
	rows, err := c.query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		numbers = append(numbers, n)
	}
	return numbers, rows.Err()
}

// sweepLoose removes the chunks of deleted records and dead writes whose grace is over.
func (s *Store) sweepLoose(ctx context.Context, now time.Time) error {
	const over = `(writing = 0 AND since < ? OR writing = 1 AND since < ?)`
	read, written := now.Add(-readerGrace).UnixMilli(), now.Add(-writerGrace).UnixMilli()
	last := []byte{}
	for {
		ids, err := s.looseIDs(ctx, `SELECT id FROM loose WHERE id > ? AND `+over+` ORDER BY id LIMIT ?`, last, read, written, rowsAtOnce)
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			for more := true; more; {
				err := s.write(ctx, func(c *conn) error {
					if more = !s.inUse.has(id); !more {
						return nil
					}
					// The first time this takes a dead write out of those that may still be committed.
					n, err := c.exec(`UPDATE loose SET writing = 0, since = 0 WHERE id = ? AND `+over, id[:], read, written)
					if more = n > 0; more && err == nil {
						more, err = c.removeChunks(id)
					}
					return err
				})
				if err != nil {
					return err
				}
			}
		}
		last = ids[len(ids)-1][:]
	}
}

func (s *Store) looseIDs(ctx context.Context, query string, args ...any) (ids []store.ID, err error) {
	err = s.read(ctx, func(c *conn) error {
		ids, err = c.ids(query, args...)
		return err
	})
	return ids, err
}

func (c *conn) ids(query string, args ...any) (ids []store.ID, err error) {
	rows, err := c.query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return nil, err
		}
		var id store.ID
		copy(id[:], b)
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// removeChunks removes some chunks of a loose id, the first ones first, for a reader has them behind it; at the end the id itself.
func (c *conn) removeChunks(id store.ID) (more bool, err error) {
	err = c.transaction(func() error {
		n, err := c.exec(`DELETE FROM chunks WHERE id = ? AND seq IN
			(SELECT seq FROM chunks WHERE id = ? ORDER BY seq LIMIT ?)`, id[:], id[:], chunksAtOnce)
		if more = n == chunksAtOnce; more || err != nil {
			return err
		}
		_, err = c.exec(`DELETE FROM loose WHERE id = ?`, id[:])
		return err
	})
	return more, err
}

// wrote looks at the limit now and then, and has the least recently used records removed when it is exceeded: in the
// background, but by the writers themselves when that does not keep up with them. The writer must be held.
func (s *Store) wrote(c *conn, n int64) {
	if s.unchecked += n; s.unchecked < s.limit/256 {
		return
	}
	s.unchecked = 0
	used, err := c.used()
	if err != nil || used <= s.limit { // an error shows in the next write, too
		return
	}
	if used-s.limit > s.limit/16 {
		s.evictSome(c, used)
	}
	s.tidy()
}

// tidy flushes the touches and sees to the limit in the background, unless that is under way. The writer must be held.
func (s *Store) tidy() {
	if s.evicting.CompareAndSwap(false, true) {
		s.background.Go(func() {
			defer s.evicting.Store(false)
			s.evict(s.ctx) // what fails is tried again with the next writes and the next Sweep
		})
	}
}

// evict removes records until a little less than the limit is in use.
func (s *Store) evict(ctx context.Context) (removed int, err error) {
	if err := s.flushTouches(ctx); err != nil {
		return 0, err
	}
	low := s.limit
	for more := true; more; {
		err := s.write(ctx, func(c *conn) error {
			used, err := c.used()
			if err != nil || used <= low {
				more = false
				return err
			}
			low = s.limit - s.limit/32
			n, progress, err := s.evictSome(c, used)
			removed += n
			more = progress
			return err
		})
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// evictSome removes chunks that belong to no record; if there are none, records, as many as it seems to need.
func (s *Store) evictSome(c *conn, used int64) (removed int, progress bool, err error) {
	ids, err := c.ids(`SELECT id FROM loose WHERE writing = 0 ORDER BY since`)
	if err != nil {
		return 0, false, err
	}
	for _, id := range ids {
		if !s.inUse.has(id) {
			_, err := c.removeChunks(id)
			return 0, true, err
		}
	}
	victims, err := c.leastUsed(used - s.limit + s.limit/32)
	if err != nil || len(victims) == 0 {
		return 0, false, err
	}
	err = c.transaction(func() error {
		for _, n := range victims {
			if _, err := c.exec(`DELETE FROM entries WHERE n = ?`, n); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, false, err
	}
	return len(victims), true, nil
}

// leastUsed returns the entries that were not used for the longest time, until they make up so many bytes.
func (c *conn) leastUsed(bytes int64) (victims []int64, err error) {
	rows, err := c.query(`SELECT n, bytes FROM entries ORDER BY last_used LIMIT ?`, rowsAtOnce)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for bytes > 0 && rows.Next() {
		var n, size int64
		if err := rows.Scan(&n, &size); err != nil {
			return nil, err
		}
		victims = append(victims, n)
		bytes -= size
	}
	return victims, rows.Err()
}

// used returns how many bytes of the file are in use, which SQLite keeps in its header: every process sees the same.
func (c *conn) used() (bytes int64, err error) {
	err = c.row(`SELECT (page_count - freelist_count) * page_size
		FROM pragma_page_count, pragma_freelist_count, pragma_page_size`, nil, []any{&bytes})
	return bytes, err
}

// vacuum gives pages back to the file system when more than an eighth of the file, and a megabyte, is free.
func (s *Store) vacuum(ctx context.Context) error {
	shrunk := false
	for before := int64(-1); ; {
		more := false
		err := s.write(ctx, func(c *conn) error {
			var free, pages int64
			err := c.row(`SELECT freelist_count, page_count FROM pragma_freelist_count, pragma_page_count`, nil, []any{&free, &pages})
			if err != nil || free <= pagesAtOnce || free <= pages/8 || free == before {
				return err
			}
			before, more, shrunk = free, true, true
			return c.drain(fmt.Sprintf("PRAGMA incremental_vacuum(%d)", pagesAtOnce))
		})
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	if !shrunk {
		return nil
	}
	return s.read(ctx, func(c *conn) error { return c.drain("PRAGMA wal_checkpoint(PASSIVE)") })
}

// drain runs a pragma that works as its rows are read.
func (c *conn) drain(pragma string) error {
	rows, err := c.query(pragma)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
	}
	return rows.Err()
}

// Size reads an index of all records: about a third of a microsecond each. The bytes are those of bodies, heads and keys; the
// file, which the limit goes by, is somewhat larger.
func (s *Store) Size(ctx context.Context) (records int, bytes int64, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.row(`SELECT count(*), coalesce(sum(bytes), 0) FROM entries INDEXED BY entries_last_used`, nil, []any{&records, &bytes})
	})
	if err != nil {
		return 0, 0, fmt.Errorf("sqlite: size: %w", err)
	}
	return records, bytes, nil
}

const (
	touchesMax   = 8192
	touchesEvery = time.Minute
)

// touches remembers which keys were used when, until that is written down.
type touches struct {
	mu   sync.Mutex
	keys map[store.Key]int64 // Unix milliseconds
	due  int64               // not to be written down before, for being full
}

// add reports whether it is time to write them down: they are many, and it is a while since. Above the maximum new ones
// are forgotten.
func (t *touches) add(key store.Key) (full bool) {
	now := time.Now().UnixMilli()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.keys == nil {
		t.keys = make(map[store.Key]int64)
	}
	if _, there := t.keys[key]; there || len(t.keys) < touchesMax {
		t.keys[key] = now
	}
	if len(t.keys) < touchesMax || now < t.due {
		return false
	}
	t.due = now + touchesEvery.Milliseconds()
	return true
}

func (t *touches) take() map[store.Key]int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	taken := t.keys
	t.keys = nil
	return taken
}

// flushTouches writes down when the touched records were used, as far as that is remembered at its start. What fails is lost.
func (s *Store) flushTouches(ctx context.Context) error {
	touched := s.touched.take()
	for batch := range slices.Chunk(slices.Collect(maps.Keys(touched)), rowsAtOnce) {
		err := s.write(ctx, func(c *conn) error { return c.touch(batch, touched) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) touch(keys []store.Key, used map[store.Key]int64) error {
	return c.transaction(func() error {
		for _, key := range keys {
			at := used[key]
			if _, err := c.exec(`UPDATE entries SET last_used = ? WHERE key = ? AND last_used < ?`, at, []byte(key), at); err != nil {
				return err
			}
		}
		return nil
	})
}
