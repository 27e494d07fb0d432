package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/larder-go/larder/store"
)

const (
	readerGrace = time.Minute // for readers in other processes, of the chunks of a deleted record
	writerGrace = time.Hour   // since the last chunk, after which a write counts as dead

	rowsAtOnce   = 64 // entries in one transaction
	chunksAtOnce = 32
	pagesAtOnce  = 256
)

// The statements that look at many records go by an index that has all they need.
const (
	endedSQL = `SELECT n FROM entries INDEXED BY entries_key WHERE keep_until < ? LIMIT ?`
	sizeSQL  = `SELECT count(*), coalesce(sum(bytes), 0) FROM entries INDEXED BY entries_key`
)

// isID is true of an ID that is intact. A damaged one would be looked for under another name than it has, and stay.
const isID = `typeof(id) = 'blob' AND length(id) = 16`

// Sweep is described at store.Sweeper. It works in transactions of a few milliseconds each, between which requests have
// their turn.
func (s *Store) Sweep(ctx context.Context, now time.Time) (removed int, err error) {
	removed, err = s.sweepEnded(ctx, now)
	if err == nil {
		err = s.sweepLoose(ctx, now)
	}
	if err == nil {
		err = s.sweepLeases(ctx)
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

// sweepEnded finds what has ended in an index of all records, and removes it bit by bit.
func (s *Store) sweepEnded(ctx context.Context, now time.Time) (removed int, err error) {
	const atOnce = 64 * rowsAtOnce
	for {
		var ended []int64
		err := s.read(ctx, func(c *conn) (err error) {
			ended, err = c.numbers(endedSQL, now.UnixMilli(), atOnce)
			return err
		})
		if err != nil {
			return removed, err
		}
		before := removed
		for batch := range slices.Chunk(ended, rowsAtOnce) {
			deleted := 0
			err := s.write(ctx, func(c *conn) error {
				deleted = 0
				return c.transaction(func() error {
					for _, n := range batch {
						changed, err := c.exec(`DELETE FROM entries WHERE n = ? AND keep_until < ?`, n, now.UnixMilli())
						if err != nil {
							return err
						}
						deleted += int(changed)
					}
					return nil
				})
			})
			if err != nil {
				return removed, err
			}
			removed += deleted
		}
		if len(ended) < atOnce || removed == before { // the latter by another process, or by an index that is wrong
			return removed, nil
		}
	}
}

// numbers returns the only column of the rows.
func (c *conn) numbers(query string, args ...any) ([]int64, error) {
	return collect(c, func(rows *sql.Rows) (n int64, err error) {
		err = rows.Scan(&n)
		return n, err
	}, query, args...)
}

// sweepLoose removes the chunks of deleted records and dead writes whose grace is over.
func (s *Store) sweepLoose(ctx context.Context, now time.Time) error {
	const over = `(writing = 0 AND since < ? OR writing = 1 AND since < ?)`
	read, written := now.Add(-readerGrace).UnixMilli(), now.Add(-writerGrace).UnixMilli()
	last := []byte{}
	for {
		ids, err := s.looseIDs(ctx, `SELECT id FROM loose WHERE id > ? AND `+isID+` AND `+over+` ORDER BY id LIMIT ?`, last, read, written, rowsAtOnce)
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

func (c *conn) ids(query string, args ...any) ([]store.ID, error) {
	return collect(c, func(rows *sql.Rows) (id store.ID, err error) {
		var b sql.RawBytes
		err = rows.Scan(&b)
		copy(id[:], b)
		return id, err
	}, query, args...)
}

// removeChunks removes some chunks of a loose id, the first ones first, since readers have passed those; at the end it
// removes the id.
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

// shrink takes free pages out of the file, which the next checkpoint gives back to the file system.
func (c *conn) shrink() error {
	return c.drain(fmt.Sprintf("PRAGMA incremental_vacuum(%d)", pagesAtOnce))
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
			return c.shrink()
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
	checkpoint := func(c *conn) error { return c.drain("PRAGMA wal_checkpoint(PASSIVE)") }
	err := s.read(ctx, checkpoint)
	if err != nil { // SQLite opens a connection for reading alone where the file cannot be written at that moment
		err = s.write(ctx, checkpoint)
	}
	return err
}

// drain runs a pragma that has rows, and reads them: it may work as they are read, and some drivers leave its
// transaction open until they are.
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

// Size reads an index of all records: about a third of a microsecond each. The bytes are those of bodies, heads
// and keys; the file, which the limit goes by, is somewhat larger.
func (s *Store) Size(ctx context.Context) (records int, bytes int64, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.row(sizeSQL, nil, []any{&records, &bytes})
	})
	if err != nil {
		return 0, 0, fmt.Errorf("sqlite: size: %w", err)
	}
	return records, bytes, nil
}
