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

// keepLimit looks at the limit now and then, told of each n bytes that are written, and has the least recently used records removed
// when it is exceeded: in the background, but by the writers themselves when that does not keep up with them. The error wraps
// store.ErrTooLarge when nothing is left that could go, for all is being written or read. The writer must be held.
func (s *Store) keepLimit(c *conn, n int64) error {
	if s.unchecked += n; s.unchecked < s.limit/256 {
		return nil
	}
	s.unchecked = 0
	used, err := c.used()
	if err != nil || used <= s.limit {
		return err
	}
	if used-s.limit > s.limit/16 {
		_, progress, err := s.evictSome(c, used)
		if err != nil {
			return err
		}
		if !progress {
			return fmt.Errorf("no room beside the bodies that are being written: %w", store.ErrTooLarge)
		}
	}
	s.tidy()
	return nil
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
// One whose last use is not written down yet gets that instead.
func (s *Store) evictSome(c *conn, used int64) (removed int, progress bool, err error) {
	if progress, err := s.evictLoose(c, used); progress || err != nil {
		return 0, progress, err
	}
	oldest, more, err := s.leastUsed(c)
	if err != nil || len(oldest) == 0 {
		return 0, more, err
	}
	err = c.transaction(func() error {
		var spared []touch
		for bytes := used - s.limit + s.limit/32; bytes > 0 && len(oldest) > 0; oldest = oldest[1:] {
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

// evictLoose removes chunks of several ids that are loose, for to find these it looks at all that are: some 2 MiB of them, so
// that the next writer waits for a few milliseconds.
func (s *Store) evictLoose(c *conn, used int64) (progress bool, err error) {
	enough := max(s.limit-s.limit/32, used-chunksAtOnce*chunkSize)
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
		if used, err := c.used(); err != nil || used <= enough {
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

// leastUsed returns entries that were not used for the longest time, the first to go first. None, and more, mean that there
// are others, further on than it looks at once.
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

// used returns how many bytes of the file are in use, which SQLite keeps in its header: every process sees the same.
func (c *conn) used() (bytes int64, err error) {
	err = c.row(`SELECT (page_count - freelist_count) * page_size
		FROM pragma_page_count, pragma_freelist_count, pragma_page_size`, nil, []any{&bytes})
	return bytes, err
}
