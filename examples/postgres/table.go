// Package postgres keeps larder's responses in PostgreSQL: a complete store in one file, made of a chunked.Table. It is
// an example to start from; docs/custom-store.md walks through it.
//
//	pool, err := pgxpool.New(ctx, os.Getenv("POSTGRES_URL"))
//	table, err := postgres.New(ctx, pool, "larder")
//	client := (&larder.Cache{Store: chunked.New(table, nil)}).Client()
package postgres

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
)

// Table is a chunked.Table in a table of a PostgreSQL database. Any number of processes may use it.
type Table struct {
	pool *pgxpool.Pool

	put, putIfPresent, putIfAbsent, getAll, getItems, deleteAll, deleteItems, groups, expire string
}

var _ chunked.Expirer = (*Table)(nil)

// The table is unlogged: a cache need not be written twice, and may be empty after a crash of the server. Names are
// compared byte by byte, so that the groups with a prefix are a range of the primary key; values are not compressed,
// for most bodies are already.
const schema = `
	SELECT pg_advisory_xact_lock(hashtext('larder')); -- IF NOT EXISTS fails where two create it at the same moment
	CREATE UNLOGGED TABLE IF NOT EXISTS %[1]s (
		grp     text COLLATE "C" NOT NULL,
		item    text COLLATE "C" NOT NULL,
		value   bytea,
		expires timestamptz,
		PRIMARY KEY (grp, item)
	);
	ALTER TABLE %[1]s ALTER COLUMN value SET STORAGE EXTERNAL;
	CREATE INDEX IF NOT EXISTS %[2]s ON %[1]s (expires)`

// New returns the table with this name, and creates it unless it is there.
func New(ctx context.Context, pool *pgxpool.Pool, name string) (*Table, error) {
	table, index := pgx.Identifier{name}.Sanitize(), pgx.Identifier{name + "_expires"}.Sanitize()
	sql := func(query string) string { return fmt.Sprintf(query, table) }
	t := &Table{
		pool: pool,
		put: sql(`INSERT INTO %[1]s VALUES ($1, $2, $3, $4)
			ON CONFLICT (grp, item) DO UPDATE SET value = excluded.value, expires = excluded.expires`),
		putIfPresent: sql(`UPDATE %s SET value = $3, expires = $4 WHERE grp = $1 AND item = $2`),
		putIfAbsent: sql(`INSERT INTO %[1]s VALUES ($1, $2, $3, $4)
			ON CONFLICT (grp, item) DO UPDATE SET value = excluded.value, expires = excluded.expires
			WHERE %[1]s.expires < now()`),
		getAll:      sql(`SELECT item, value FROM %s WHERE grp = $1`),
		getItems:    sql(`SELECT item, value FROM %s WHERE grp = $1 AND item = ANY($2)`),
		deleteAll:   sql(`DELETE FROM %s WHERE grp = $1`),
		deleteItems: sql(`DELETE FROM %s WHERE grp = $1 AND item = ANY($2)`),
		groups:      sql(`SELECT DISTINCT grp FROM %s WHERE grp > $1 AND grp < $2 ORDER BY grp LIMIT 1000`),
		expire:      sql(`DELETE FROM %s WHERE expires < $1`),
	}
	var there bool
	err := pool.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, table).Scan(&there)
	if err == nil && !there {
		_, err = pool.Exec(ctx, fmt.Sprintf(schema, table, index))
	}
	if err != nil {
		return nil, fmt.Errorf("postgres: create table %s: %w", table, err)
	}
	return t, nil
}

// Put is one statement, whatever the condition, and so happens as one.
func (t *Table) Put(ctx context.Context, r chunked.Row, when chunked.When) error {
	query, otherwise := t.put, error(nil)
	switch when {
	case chunked.IfPresent:
		query, otherwise = t.putIfPresent, store.ErrNotFound
	case chunked.IfAbsent:
		query, otherwise = t.putIfAbsent, chunked.ErrPresent
	}
	var expires *time.Time
	if !r.Expires.IsZero() {
		expires = &r.Expires
	}
	tag, err := t.pool.Exec(ctx, query, r.Group, r.Item, r.Value, expires)
	if err == nil && tag.RowsAffected() == 0 {
		err = otherwise
	}
	if err != nil {
		return fmt.Errorf("postgres: put %s %s: %w", r.Group, r.Item, err)
	}
	return nil
}

// Get is one query.
func (t *Table) Get(ctx context.Context, group string, items ...string) ([]chunked.Row, error) {
	query, args := t.getAll, []any{group}
	if len(items) > 0 {
		query, args = t.getItems, []any{group, items}
	}
	rows, err := t.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("postgres: get %s: %w", group, err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r chunked.Row, err error) {
		err = row.Scan(&r.Item, &r.Value)
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("postgres: get %s: %w", group, err)
	}
	return found, nil
}

// Delete is one statement.
func (t *Table) Delete(ctx context.Context, group string, items ...string) error {
	query, args := t.deleteAll, []any{group}
	if len(items) > 0 {
		query, args = t.deleteItems, []any{group, items}
	}
	if _, err := t.pool.Exec(ctx, query, args...); err != nil {
		return fmt.Errorf("postgres: delete %s: %w", group, err)
	}
	return nil
}

// Groups asks for a thousand names at a time, each time from the last one on, so that nothing is held open between.
func (t *Table) Groups(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for last := prefix; ; {
			rows, err := t.pool.Query(ctx, t.groups, last, prefix+"\U0010FFFF")
			var names []string
			if err == nil {
				names, err = pgx.CollectRows(rows, pgx.RowTo[string])
			}
			if err != nil {
				yield("", fmt.Errorf("postgres: list groups: %w", err))
				return
			}
			for _, name := range names {
				if !yield(name, nil) {
					return
				}
			}
			if len(names) == 0 {
				return
			}
			last = names[len(names)-1]
		}
	}
}

// Expire does what PostgreSQL does not do by itself. It is called by Store.Sweep.
func (t *Table) Expire(ctx context.Context, now time.Time) error {
	if _, err := t.pool.Exec(ctx, t.expire, now); err != nil {
		return fmt.Errorf("postgres: remove what has expired: %w", err)
	}
	return nil
}
