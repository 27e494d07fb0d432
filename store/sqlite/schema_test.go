package sqlite

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
)

func dirOf(path string) string { return filepath.Dir(path) }

// path returns where the store's file is.
func (s *Store) path(t testing.TB) string {
	var path string
	if err := s.writer.row("SELECT file FROM pragma_database_list WHERE name = 'main'", nil, []any{&path}); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestColumnsCanBeRead(t *testing.T) {
	path := temp(t)
	s := mustOpen(t, path, nil)
	now := time.Date(2026, 11, 23, 5, 33, 42, 123456789, time.UTC)
	r := newRecord("key", now)
	r.URL = "https://api.example.com:8443/v1/things?page=2"
	r.Tags = []string{"news", `o"dd, ☃`}
	if err := put(s, r, []byte("body")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ query, want string }{
		{"SELECT url FROM entries", "https://api.example.com:8443/v1/things?page=2"},
		{"SELECT url FROM responses WHERE tags LIKE '%news%'", "https://api.example.com:8443/v1/things?page=2"},
		{"SELECT host FROM entries", "api.example.com:8443"},
		{"SELECT method || ' ' || status || ' ' || size FROM responses", "GET 200 4"},
		{"SELECT received FROM entries", fmt.Sprint(now.UnixMilli())},
		{"SELECT received FROM responses", "2026-11-23 05:33:42"},
		{"SELECT fresh_until FROM responses", "2026-11-23 06:33:42"},
		{"SELECT keep_until FROM responses", "2026-11-23 07:33:42"},
		{"SELECT last_used >= date('now') FROM responses", "1"},
		{"SELECT CAST(body AS TEXT) FROM entries", "body"},
		{"SELECT hex(id) FROM entries", fmt.Sprintf("%X", r.ID[:])},
		{"SELECT CAST(key AS TEXT) FROM entries", "key"},
		{"SELECT tags FROM entries", `["news","o\"dd, ☃"]`},
		{"SELECT group_concat(tag, '|') FROM tags", `news|o"dd, ☃`},
		{"PRAGMA user_version", "1"},
		{"PRAGMA auto_vacuum", "2"},
		{"PRAGMA journal_mode", "wal"},
	} {
		if got := ask(t, path, c.query); got != c.want {
			t.Errorf("%s: %q, want %q", c.query, got, c.want)
		}
	}
}

// A database/sql pool each stands for a process: nothing in this package keeps them apart.
func TestManyMayMakeTheFileAtOnce(t *testing.T) {
	for range 20 {
		path := temp(t)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				db, err := sql.Open("sqlite", path)
				if err != nil {
					t.Error(err)
					return
				}
				defer db.Close()
				s, err := New(db, nil)
				if err != nil {
					t.Error(err)
					return
				}
				defer s.Close()
				if err := put(s, newRecord("key", time.Now()), []byte("body")); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if t.Failed() {
			return
		}
	}
}

func TestDeletingInAShellLeavesNothingBehind(t *testing.T) {
	path := temp(t)
	s := mustOpen(t, path, nil)
	r := newRecord("key", time.Now())
	r.Tags = []string{"a"}
	if err := put(s, r, make([]byte, 200_000)); err != nil {
		t.Fatal(err)
	}
	if err := alter(dirOf(path), "DELETE FROM entries WHERE host = 'example.com'"); err != nil {
		t.Fatal(err)
	}
	if found, err := s.Lookup(ctx, "key"); len(found) > 0 || err != nil {
		t.Errorf("%d found, %v", len(found), err)
	}
	if _, err := s.Sweep(ctx, time.Now().Add(day)); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, path, "SELECT (SELECT count(*) FROM chunks) + (SELECT count(*) FROM loose) + (SELECT count(*) FROM tags)"); got != "0" {
		t.Errorf("%s rows are left", got)
	}
}

// TestHotStatementsUseAnIndex looks at the plans: a scan of the table would not be noticed in a small test.
func TestHotStatementsUseAnIndex(t *testing.T) {
	s := mustOpen(t, temp(t), nil)
	for _, c := range []struct{ query, want string }{
		{lookupRows.query(), "SEARCH entries USING INDEX entries_key (key=?)"},
		{leastUsedSQL, "SEARCH entries USING INDEX entries_last_used (last_used>?)"},
		{neverUsedSQL, "SEARCH entries USING INTEGER PRIMARY KEY (rowid>?)"},
		{endedSQL, "SCAN entries USING COVERING INDEX entries_key"},
		{sizeSQL, "SCAN entries USING COVERING INDEX entries_key"},
		{replaceSQL, "SEARCH entries USING INDEX entries_key (key=? AND id=?)"},
		{deleteSQL, "SEARCH entries USING COVERING INDEX entries_key (key=? AND id=?)"},
	} {
		rows, err := s.writer.sql.QueryContext(ctx, "EXPLAIN QUERY PLAN "+c.query, make([]any, strings.Count(c.query, "?"))...)
		if err != nil {
			t.Fatal(err)
		}
		var plan string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			plan += detail
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
		if plan != c.want {
			t.Errorf("%s\n\tgoes by %q, want %q", c.query, plan, c.want)
		}
	}
}

func TestFindByTagEvenIfItIsNoUTF8(t *testing.T) {
	s := mustOpen(t, temp(t), nil)
	r := newRecord("key", time.Now())
	r.Tags = []string{"caf\xe9"}
	if err := put(s, r, nil); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range s.Find(ctx, store.Query{Tag: "caf\xe9"}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 1 {
		t.Errorf("%d found, want 1", n)
	}
}
