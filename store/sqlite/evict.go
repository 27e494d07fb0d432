package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"

	"github.com/larder-go/larder/store"
)

// The limit is kept by SQLite, which gives no connection a page beyond its max_page_count, but an error, SQLITE_FULL.
// All that is written has full() bytes to go to; the rest is a reserve for making room, since to note a body as loose
// may take a page by itself.
func (s *Store) full() int64 { return s.limit - min(s.limit/16, 64*pageSize) }

// Room is made in the background from high() on, down to low().
func (s *Store) high() int64 { return s.full() - s.full()/32 }
func (s *Store) low() int64  { return s.full() - s.full()/16 }

// bound sets the limit of what c writes. A file that is larger already may use what it has.
func (s *Store) bound(c *conn, bytes int64) error {
	if s.limit == math.MaxInt64 {
		return nil
	}
	_, err := c.exec(fmt.Sprintf("PRAGMA max_page_count = %d", max(1, bytes/s.pageSize)))
	return err
}

// keepLimit looks now and then, told of each n bytes that are written, and has the least recently used records removed
// before the file is full. A writer does so itself where the file is beyond the limit, as one that had a higher limit
// before. The writer must be held.
func (s *Store) keepLimit(c *conn, n int64) error {
	if s.unchecked += n; s.unchecked < s.limit/256 {
		return nil
	}
	s.unchecked = 0
	used, file, err := c.used()
	if err != nil || used <= s.high() && file <= s.full() {
		return err
	}
	if used > s.full() {
		if _, _, err := s.makeRoom(c, used, file, s.high()); err != nil {
			return err
		}
	}
	s.tidy()
	return nil
}

// retry runs f, a write, and again whenever room was made for it because the file was full. The error wraps
// store.ErrTooLarge when nothing is left that could go, for all is being written or read. The writer must be held.
func (s *Store) retry(c *conn, f func(*conn) error) error {
	for last := false; ; {
		err := f(c)
		if resultCode(err) != codeFull {
			return err
		}
		if last {
			return fmt.Errorf("no room beside the bodies that are being written: %w", store.ErrTooLarge)
		}
		used, file, e := c.used()
		if e != nil {
			return e
		}
		if most := chunksAtOnce*chunkSize + 2*int64(len(c.head)); used <= s.full()-most && file <= s.full() {
			return err // there is room for all that a write takes: it is the disk that is full
		}
		_, progress, e := s.makeRoom(c, used, file, min(s.low(), used-inlineMax))
		if e != nil {
			return e
		}
		last = !progress // but another process may have made room meanwhile
	}
}

// tidy flushes the touches and sees to the limit in the background, unless that is under way. The writer must be
// held.
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
	enough := s.high()
	for more := true; more; {
		err := s.write(ctx, func(c *conn) error {
			used, file, err := c.used()
			if err != nil || used <= enough && file <= s.full() {
				more = false
				return err
			}
			enough = s.low()
			var n int
			n, more, err = s.makeRoom(c, used, file, enough)
			removed += n
			return err
		})
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// makeRoom takes a part of the file away that is beyond the limit and free, and removes a part of what is in use beyond
// enough. In this order, so that a write which needs room finds what was removed for it.
func (s *Store) makeRoom(c *conn, used, file, enough int64) (removed int, progress bool, err error) {
	if err := s.bound(c, s.limit); err != nil {
		return 0, false, err
	}
	defer s.bound(c, s.full()) // if that fails, only the reserve is open to all
	shrunk := false
	if file > s.full() {
		if err := c.shrink(); err != nil {
			return 0, false, err
		}
		_, after, err := c.used()
		if err != nil {
			return 0, false, err
		}
		shrunk = after < file
	}
	if used > enough {
		removed, progress, err = s.evictSome(c, used, enough)
	}
	return removed, progress || shrunk, err
}

// evictSome removes chunks that belong to no record; if there are none, records, as many as it seems to need.
// One whose last use is not written down yet gets that instead.
func (s *Store) evictSome(c *conn, used, enough int64) (removed int, progress bool, err error) {
	if progress, err := s.evictLoose(c, used, enough); progress || err != nil {
		return 0, progress, err
	}
	oldest, more, err := s.leastUsed(c)
	if err != nil || len(oldest) == 0 {
		return 0, more, err
	}
	err = c.transaction(func() error {
		var spared []touch
		for bytes := used - enough; bytes > 0 && len(oldest) > 0; oldest = oldest[1:] {
			e := oldest[0]
			if at := s.touched.at(e.key); at > e.lastUsed {
				spared = append(spared, touch{e.key, at})
				continue
			}
			if _, err := c.exec(`DELETE FROM entries WHERE n = ?`, e.n); err != nil {
				return err
			}
			removed++
			bytes -= e.bytes
		}
		return c.touch(spared)
	})
	if err != nil {
		return 0, false, err
	}
	return removed, true, nil
}

// evictLoose removes chunks of several ids that are loose, for to find these it looks at all that are: some 2 MiB of
// them, so that the next writer waits for a few milliseconds.
func (s *Store) evictLoose(c *conn, used, enough int64) (progress bool, err error) {
	enough = max(enough, used-chunksAtOnce*chunkSize)
	ids, err := c.ids(`SELECT id FROM loose WHERE writing = 0 ORDER BY since LIMIT ?`, rowsAtOnce+s.inUse.len())
	if err != nil {
		return false, err
	}
	for _, id := range ids {
		if s.inUse.has(id) {
			continue
		}
		progress = true
		more, err := c.removeChunks(id)
		if err != nil || more {
			return progress, err
		}
		if used, _, err := c.used(); err != nil || used <= enough {
			return progress, err
		}
	}
	return progress, nil
}

// Entries that were used since they were stored are in an index by their last use. Those that were not, most as a rule,
// need none, since n is when they were stored: so storing one costs an index less, a fifth of all.
const (
	leastUsedSQL = `SELECT n, key, last_used, bytes FROM entries INDEXED BY entries_last_used
		WHERE last_used IS NOT NULL ORDER BY last_used LIMIT ?`
	neverUsedSQL = `SELECT n, key, coalesce(last_used, 0), bytes FROM entries WHERE n >= ? ORDER BY n LIMIT ?`

	scansAtOnce = 16
)

// oldEntry is one that may have to go.
type oldEntry struct {
	n        int64
	key      store.Key
	lastUsed int64 // or stored
	bytes    int64
}

// leastUsed returns entries that were not used for the longest time, the first to go first. None, and more, mean that
// there are others, further on than it looks at once.
func (s *Store) leastUsed(c *conn) (oldest []oldEntry, more bool, err error) {
	used, err := c.oldEntries(leastUsedSQL, int64(rowsAtOnce))
	if err != nil {
		return nil, false, err
	}
	for range scansAtOnce {
		entries, err := c.oldEntries(neverUsedSQL, s.used, int64(rowsAtOnce))
		if err != nil {
			return nil, false, err
		}
		known := int64(math.MaxInt64) // until when no entry was stored and not used that is not among these
		if len(entries) == rowsAtOnce {
			known = entries[rowsAtOnce-1].n / 1000
		}
		oldest = slices.Clone(used)
		for _, e := range entries {
			if e.lastUsed == 0 {
				e.lastUsed = e.n / 1000
				oldest = append(oldest, e)
			} else if len(oldest) == len(used) {
				s.used = e.n + 1 // passed over once for all
			}
		}
		slices.SortStableFunc(oldest, func(a, b oldEntry) int { return cmp.Compare(a.lastUsed, b.lastUsed) })
		oldest = slices.DeleteFunc(oldest[:min(len(oldest), rowsAtOnce)], func(e oldEntry) bool { return e.lastUsed > known })
		if len(oldest) > 0 || known == math.MaxInt64 {
			return oldest, false, nil
		}
	}
	return nil, true, nil
}

func (c *conn) oldEntries(query string, args ...any) (entries []oldEntry, err error) {
	rows, err := c.query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e oldEntry
		var key sql.RawBytes
		if err := rows.Scan(&e.n, &key, &e.lastUsed, &e.bytes); err != nil {
			return nil, err
		}
		e.key = store.Key(key)
		entries = append(entries, e)
	}
	return entries, rows.Err()
}

// used returns how many bytes of the file are in use, and how many it has. SQLite keeps both in its header: every
// process sees the same.
func (c *conn) used() (bytes, file int64, err error) {
	err = c.row(`SELECT (page_count - freelist_count) * page_size, page_count * page_size
		FROM pragma_page_count, pragma_freelist_count, pragma_page_size`, nil, []any{&bytes, &file})
	return bytes, file, err
}
