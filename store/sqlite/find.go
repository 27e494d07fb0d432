package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/larder-go/larder/store"
)

// Find is described at store.Finder. It reads a few rows at a time and holds nothing in between. For Key, Tag and Ended
// it uses an index, for the other fields the columns of every row. It leaves out what is stored after it began: else it
// would not end for a caller who replaces what it yields.
func (s *Store) Find(ctx context.Context, q store.Query) iter.Seq2[*store.Record, error] {
	return func(yield func(*store.Record, error) bool) {
		where, args := conditions(&q)
		query := `SELECT n, key, id, head FROM entries WHERE n > ? AND n <= ?` + where + ` ORDER BY n LIMIT ?`
		end, err := s.lastNumber(ctx)
		found := 0
		for last := int64(0); ; {
			var page []foundRow
			if err == nil {
				page, err = s.page(ctx, query, slices.Concat([]any{last, end}, args, []any{rowsAtOnce}))
			}
			if err != nil {
				yield(nil, fmt.Errorf("sqlite: find: %w", err))
				return
			}
			for _, f := range page {
				last = f.n
				if f.err == nil && !q.Match(f.r) {
					continue
				}
				if f.err != nil && !store.Inspecting(ctx) {
					f.err = errors.Join(f.err, s.removeRow(ctx, f.n))
				}
				if !yield(f.r, f.err) {
					return
				}
				if f.err == nil {
					found++
				}
				if q.Limit > 0 && found == q.Limit {
					return
				}
			}
			if len(page) < rowsAtOnce {
				return
			}
		}
	}
}

// lastNumber returns the greatest number of an entry. What this store stores from now on gets a greater one, even if
// the clock was set back.
func (s *Store) lastNumber(ctx context.Context) (n int64, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.row(`SELECT coalesce(max(n), 0) FROM entries`, nil, []any{&n})
	})
	if err == nil && n > time.Now().UnixMicro() {
		err = s.turn(ctx, func(c *conn) error {
			c.stored = max(c.stored, n)
			return nil
		})
	}
	return n, err
}

func (s *Store) removeRow(ctx context.Context, n int64) error {
	return s.write(ctx, func(c *conn) error { return c.removeEntries(n) })
}

// conditions returns the part of q that the database can judge. It may let through records that q.Match rejects, never
// the opposite.
func conditions(q *store.Query) (where string, args []any) {
	var b strings.Builder
	and := func(condition string, arg any) {
		b.WriteString(" AND ")
		b.WriteString(condition)
		args = append(args, arg)
	}
	if q.Key != "" {
		and("key = ?", []byte(q.Key))
	}
	if q.ID != (store.ID{}) {
		and("id = ?", q.ID[:])
	}
	if q.URL != "" {
		and("url = ?", q.URL)
	}
	if q.Prefix != "" {
		and("instr(url, ?) = 1", q.Prefix)
	}
	if ascii(q.Host) && q.Host != "" { // NOCASE folds nothing else
		and("(host = ? COLLATE NOCASE OR host GLOB '*[^ -~]*')", q.Host)
	}
	if q.Tag != "" {
		and("n IN (SELECT entry FROM tags WHERE tag IN (SELECT value FROM json_each(?)))", tagList([]string{q.Tag}))
	}
	if !q.Stale.IsZero() {
		and("fresh_until <= ?", q.Stale.UnixMilli())
	}
	if !q.Ended.IsZero() {
		and("keep_until <= ?", q.Ended.UnixMilli())
	}
	if !q.Before.IsZero() {
		and("coalesce(received <= ?, true)", q.Before.UnixMilli())
	}
	return b.String(), args
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c >= utf8.RuneSelf })
}

type foundRow struct {
	n   int64
	r   *store.Record
	err error // wraps ErrCorrupt
}

func (s *Store) page(ctx context.Context, query string, args []any) (page []foundRow, err error) {
	err = s.read(ctx, func(c *conn) error {
		rows, err := c.sql.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var f foundRow
			var key, id, head sql.RawBytes
			if err := rows.Scan(&f.n, &key, &id, &head); err != nil {
				return err
			}
			f.r, f.err = store.DecodeHead(head)
			if f.err == nil && (string(f.r.Key) != string(key) || string(f.r.ID[:]) != string(id)) {
				f.r, f.err = nil, store.ErrCorrupt
			}
			if f.err != nil {
				f.err = fmt.Errorf("sqlite: find: record %x: %w", []byte(id), f.err)
			}
			page = append(page, f)
		}
		return rows.Err()
	})
	return page, err
}
