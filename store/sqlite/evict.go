package sqlite

import (
	"context"
	"database/sql"

	"github.com/larder-go/larder/store"
)

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
	victims, spared, err := c.leastUsed(used-s.limit+s.limit/32, &s.touched)
	if err != nil || len(victims)+len(spared) == 0 {
		return 0, false, err
	}
	err = c.transaction(func() error {
		for _, n := range victims {
			if _, err := c.exec(`DELETE FROM entries WHERE n = ?`, n); err != nil {
				return err
			}
		}
		return c.touch(spared)
	})
	if err != nil {
		return 0, false, err
	}
	return len(victims), true, nil
}

const leastUsedSQL = `SELECT n, key, last_used, bytes FROM entries ORDER BY last_used LIMIT ?`

// leastUsed returns the entries that were not used for the longest time, until they make up so many bytes, and
// the keys among them that touched knows better.
func (c *conn) leastUsed(bytes int64, touched *touches) (victims []int64, spared []touch, err error) {
	rows, err := c.query(leastUsedSQL, rowsAtOnce)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for bytes > 0 && rows.Next() {
		var n, used, size int64
		var key sql.RawBytes
		if err := rows.Scan(&n, &key, &used, &size); err != nil {
			return nil, nil, err
		}
		if at := touched.at(store.Key(key)); at > used {
			spared = append(spared, touch{store.Key(key), at})
			continue
		}
		victims = append(victims, n)
		bytes -= size
	}
	return victims, spared, rows.Err()
}

// used returns how many bytes of the file are in use, which SQLite keeps in its header: every process sees the same.
func (c *conn) used() (bytes int64, err error) {
	err = c.row(`SELECT (page_count - freelist_count) * page_size
		FROM pragma_page_count, pragma_freelist_count, pragma_page_size`, nil, []any{&bytes})
	return bytes, err
}
