package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	driver "modernc.org/sqlite"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/storetest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Kit{
		Open:       func(dir string) (store.Store, error) { return Open(filepath.Join(dir, "cache.db"), nil) },
		Persistent: true,
		Shared:     true,
		OpenLimited: func(dir string, limit int64) (store.Store, error) {
			return Open(filepath.Join(dir, "cache.db"), &Options{MaxBytes: limit})
		},
		DamageHead: func(dir string, r *store.Record) error {
			return alter(dir, `UPDATE entries SET head = substr(head, 1, 20) || x'fe' || substr(head, 22) WHERE id = ?`, r.ID[:])
		},
		DamageBody: func(dir string, r *store.Record) error {
			return alter(dir, `UPDATE chunks SET data = substr(data, 1, 100) || x'00ff00' || substr(data, 104) WHERE id = ? AND seq = 1`, r.ID[:])
		},
	})
}

// TestContractWithOneForeignConnection runs the contract on a database that allows but one connection, of a driver
// that does not know larder_row, and leaves statements open.
func TestContractWithOneForeignConnection(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Kit{
		Open: func(dir string) (store.Store, error) {
			db := sql.OpenDB(foreign(filepath.Join(dir, "cache.db")))
			db.SetMaxOpenConns(1)
			s, err := New(db, nil)
			if err != nil {
				return nil, err
			}
			if s.writer.number != 0 {
				t.Error("the driver knows larder_row")
			}
			return &withDB{s, db}, nil
		},
		Persistent: true,
		Shared:     true,
	})
}

// foreign opens the database at this path with a driver that knows no more than SQLite does.
type foreign string

func (path foreign) Connect(context.Context) (sqldriver.Conn, error) {
	c, err := path.Driver().Open(string(path))
	return stepping{c}, err
}
func (path foreign) Driver() sqldriver.Driver { return new(driver.Driver) }

// stepping is a connection on which Exec makes a pragma take one step, as github.com/mattn/go-sqlite3 does with every
// statement. One that has a row stays there, inside its transaction, until it is used again or closed.
type stepping struct{ sqldriver.Conn }

func (c stepping) Prepare(query string) (sqldriver.Stmt, error) {
	st, err := c.Conn.Prepare(query)
	if err != nil || !strings.HasPrefix(query, "PRAGMA") {
		return st, err
	}
	return &stepped{Stmt: st}, nil
}

type stepped struct {
	sqldriver.Stmt
	rows sqldriver.Rows // nil: it is at no row
}

func (s *stepped) ExecContext(ctx context.Context, args []sqldriver.NamedValue) (_ sqldriver.Result, err error) {
	if s.rows, err = s.QueryContext(ctx, args); err != nil {
		return nil, err
	}
	if err := s.rows.Next(make([]sqldriver.Value, len(s.rows.Columns()))); err == io.EOF {
		s.reset()
	}
	return sqldriver.RowsAffected(0), nil
}

func (s *stepped) QueryContext(ctx context.Context, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	s.reset()
	return s.Stmt.(sqldriver.StmtQueryContext).QueryContext(ctx, args)
}

func (s *stepped) Close() error {
	s.reset()
	return s.Stmt.Close()
}

func (s *stepped) reset() {
	if s.rows != nil {
		s.rows.Close()
		s.rows = nil
	}
}

// withDB closes the database that was given to New.
type withDB struct {
	*Store
	db *sql.DB
}

func (w *withDB) Close() error {
	if err := w.Store.Close(); err != nil {
		return err
	}
	return w.db.Close()
}

func alter(dir, query string, args ...any) error {
	db, err := sql.Open("sqlite", filepath.Join(dir, "cache.db"))
	if err != nil {
		return err
	}
	defer db.Close()
	res, err := db.Exec(query, args...)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); n != 1 || err != nil {
		return fmt.Errorf("%s: %d rows altered, %v", query, n, err)
	}
	return nil
}

var ctx = context.Background()

func mustOpen(t testing.TB, path string, opts *Options) *Store {
	t.Helper()
	s, err := Open(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func temp(t testing.TB) string { return filepath.Join(t.TempDir(), "cache.db") }

// newRecord returns a record with a head of some 700 bytes.
func newRecord(key string, now time.Time) *store.Record {
	return &store.Record{
		Key: store.Key(key), ID: store.NewID(now),
		Head: store.Head{
			Method: "GET", URL: "https://example.com/" + key, Status: 200, Proto: "HTTP/1.1",
			Header: http.Header{
				"Content-Type":              {"application/json; charset=utf-8"},
				"Cache-Control":             {"public, max-age=3600, stale-while-revalidate=60"},
				"Etag":                      {`"5f2b3c4d5e6f708192a3b4c5d6e7f809"`},
				"Last-Modified":             {"Mon, 12 Oct 2026 08:12:31 GMT"},
				"Date":                      {"Mon, 23 Nov 2026 05:33:42 GMT"},
				"Vary":                      {"Accept-Encoding, Accept"},
				"Server":                    {"nginx/1.27.3"},
				"X-Request-Id":              {"0b9c1f6e-7c1e-4f0a-9d64-3d7f3f1f6a11"},
				"Strict-Transport-Security": {"max-age=31536000; includeSubDomains"},
				"X-Content-Type-Options":    {"nosniff"},
				"X-Ratelimit-Remaining":     {"4999"},
				"Content-Security-Policy":   {"default-src 'none'"},
			},
			Selecting: http.Header{"Accept-Encoding": {"gzip"}, "Accept": {"application/json"}},
			Length:    -1, Requested: now.Add(-time.Second), Received: now,
		},
		FreshUntil: now.Add(time.Hour), KeepUntil: now.Add(2 * time.Hour),
	}
}

// put stores a record of key with body.
func put(s *Store, r *store.Record, body []byte, superseded ...store.ID) error {
	r.Size = int64(len(body))
	w, err := s.Create(ctx, r)
	if err != nil {
		return err
	}
	defer w.Close()
	if _, err := w.Write(body); err != nil {
		return err
	}
	return w.Commit(r, superseded...)
}

func mustPut(t testing.TB, s *Store, key string, body []byte, superseded ...store.ID) *store.Record {
	t.Helper()
	r := newRecord(key, time.Now())
	if err := put(s, r, body, superseded...); err != nil {
		t.Fatal(err)
	}
	return r
}

func readBody(s *Store, r *store.Record) ([]byte, error) {
	if r.Body != nil || r.Size == 0 {
		return r.Body, nil
	}
	b, err := s.Open(ctx, r)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return io.ReadAll(b)
}

// bodyOf returns n bytes that only a record with this id has.
func bodyOf(id store.ID, n int) []byte {
	return bytes.Repeat(id[:], n/len(id)+1)[:n]
}

// ask returns the first column of the first row of a query on the file, as the sqlite3 shell would.
func ask(t testing.TB, path, query string) string {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var answer sql.NullString
	if err := db.QueryRow(query).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return answer.String
}

func TestClosingTwiceIsNoError(t *testing.T) {
	s := mustOpen(t, temp(t), nil)
	if err := put(s, newRecord("key", time.Now()), []byte("body")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Lookup(t.Context(), "key"); !errors.Is(err, errClosed) {
		t.Errorf("Lookup afterwards: got %v, want %v", err, errClosed)
	}
}

func TestFindEndsThoughTheClockWasSetBack(t *testing.T) {
	const all = rowsAtOnce + 6
	s := mustOpen(t, temp(t), nil)
	for i := range all {
		if i == all-1 { // before that
			s.writer.stored += time.Hour.Microseconds()
		}
		mustPut(t, s, fmt.Sprint("key", i), make([]byte, inlineMax+1))
	}
	s.writer.stored = 0 // as in a process that began after it
	n := 0
	for r, err := range s.Find(ctx, store.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n > 3*all {
			t.Fatalf("Find of %d records yields more than %d", all, n)
		}
		mustPut(t, s, string(r.Key), make([]byte, inlineMax+1), r.ID)
	}
	if n < all {
		t.Errorf("Find yields %d of %d", n, all)
	}
}
