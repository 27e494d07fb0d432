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

// full is how many bytes writes may fill. SQLite itself keeps to it: a connection gets no page beyond its
// max_page_count, but SQLITE_FULL. The rest of the limit is a reserve for making room, since noting a body as loose may
// itself take a page.
func (s *Store) full() int64 { return s.limit - min(s.limit/16, 64*pageSize) }

// Room is made in the background when more than high() is in use, down to low().
func (s *Store) high() int64 { return s.full() - s.full()/32 }
func (s *Store) low() int64  { return s.full() - s.full()/16 }

// bound sets how large the file may become by writes of c. One that is larger already may use what it has.
func (s *Store) bound(c *conn, bytes int64) error {
	if s.limit == math.MaxInt64 {
		return nil
	}
	return c.drain(fmt.Sprintf("PRAGMA max_page_count = %d", max(1, bytes/s.pageSize)))
}

// keepLimit notes that n bytes are written. Now and then it looks at the file, and before that is full it has the least
// recently used records removed in the background. If the file is beyond the limit already, because that was higher, it
// removes some itself. The writer must be held.
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

// makeRoom takes some free pages out of a file that is beyond the limit, and then removes some of what is in use beyond
// enough: in this order, so that a write which needs room finds what was removed for it.
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

// evictSome removes chunks that belong to no record or, if there are none, as many records as seem to be needed. For a
// record whose last use is not written down yet, it writes that down instead.
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
			if err := c.removeEntries(e.n); err != nil {
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

// evictLoose removes some 2 MiB of loose chunks, so that the next writer waits for a few milliseconds only. These are
// of several ids, since to find ids it looks at all that are loose.
func (s *Store) evictLoose(c *conn, used, enough int64) (progress bool, err error) {
	enough = max(enough, used-chunksAtOnce*chunkSize)
	ids, err := c.ids(`SELECT id FROM loose WHERE writing = 0 AND `+isID+` ORDER BY since LIMIT ?`, rowsAtOnce+s.inUse.len())
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

// Entries that were used since they were stored are in an index by their last use. The others, usually most, need none,
// since n is when they were stored. That saves a fifth of the cost of storing one.
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

// leastUsed returns the least recently used entries, in the order in which they should go. None, with more set, means
// that there are some, but further on than it looks at once.
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
		known := int64(math.MaxInt64) // of the entries not used since, those stored up to then are all among these
		if len(entries) == rowsAtOnce {
			known = entries[rowsAtOnce-1].n / 1000
		}
		oldest = slices.Clone(used)
		for _, e := range entries {
			if e.lastUsed == 0 {
				e.lastUsed = e.n / 1000
				oldest = append(oldest, e)
			} else if len(oldest) == len(used) {
				s.used = e.n + 1 // it need not be looked at again
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

func (c *conn) oldEntries(query string, args ...any) ([]oldEntry, error) {
	return collect(c, func(rows *sql.Rows) (e oldEntry, err error) {
		var key sql.RawBytes
		err = rows.Scan(&e.n, &key, &e.lastUsed, &e.bytes)
		e.key = store.Key(key)
		return e, err
	}, query, args...)
}

// used returns how many bytes of the file are in use, and how many it has. SQLite keeps both in its header: every
// process sees the same.
func (c *conn) used() (bytes, file int64, err error) {
	err = c.row(`SELECT (page_count - freelist_count) * page_size, page_count * page_size
		FROM pragma_page_count, pragma_freelist_count, pragma_page_size`, nil, []any{&bytes, &file})
	return bytes, file, err
}
