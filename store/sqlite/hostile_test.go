package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
)

// TestNamesThatAreNoIDs puts into the table of loose chunks what is no ID, as one altered bit does that makes a text of
// a blob: nobody tries for ever to remove it.
func TestNamesThatAreNoIDs(t *testing.T) {
	for _, name := range []string{"'sixteen letters.'", "x'00112233445566778899aabbccddeeff00'", "x''", "7"} {
		t.Run(name, func(t *testing.T) {
			path := temp(t)
			s, err := Open(path, &Options{MaxBytes: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			if err := alter(filepath.Dir(path), `INSERT INTO loose VALUES (`+name+`, 0, 0)`); err != nil {
				t.Fatal(err)
			}
			mustEnd(t, func() error {
				_, err := s.Sweep(ctx, time.Now())
				for i := range 50 { // twice what there is room for
					r := newRecord(fmt.Sprint("key", i), time.Now())
					err = errors.Join(err, put(s, r, bodyOf(r.ID, 40_000)))
				}
				return errors.Join(err, s.Close())
			})
		})
	}
}

// mustEnd fails the test if do fails, or goes on without end.
func mustEnd(t *testing.T, do func() error) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- do() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end")
	}
}

// TestForeignSchemasAreSetAside puts into the file what would run, or be run, with our statements, without end for
// example.
func TestForeignSchemasAreSetAside(t *testing.T) {
	const endless = "WITH RECURSIVE x(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM x)"
	for name, c := range map[string]struct {
		statements string
		kept       bool
	}{
		"a trigger":                  {"CREATE TRIGGER z AFTER INSERT ON entries BEGIN SELECT count(*) FROM (" + endless + " SELECT i FROM x); END", false},
		"a view in place of a table": {"DROP TABLE tags; CREATE VIEW tags AS " + endless + " SELECT '' AS tag, i AS entry FROM x", false},
		"another trigger's code":     {"DROP TRIGGER entry_deleted; CREATE TRIGGER entry_deleted AFTER DELETE ON entries BEGIN DELETE FROM entries; END", false},
		"a column":                   {"ALTER TABLE entries ADD COLUMN z", false},
		"an index less":              {"DROP INDEX entries_key", false},
		"what ANALYZE counts":        {"ANALYZE", true},
		"all in another order":       {"VACUUM", true},
	} {
		t.Run(name, func(t *testing.T) {
			path := temp(t)
			records := fill(t, path)
			db, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec(c.statements); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			s := mustOpen(t, path, nil)
			found, err := s.Lookup(ctx, records[0].Key)
			if kept := len(found) == 1; kept != c.kept || err != nil {
				t.Errorf("is what was stored there? %v, %v", kept, err)
			}
			mustPut(t, s, "new", []byte("body"))
		})
	}
}

// TestAnIndexThatLies has an index tell of records that ended, of which the table knows nothing: Sweep comes to an end.
func TestAnIndexThatLies(t *testing.T) {
	path := temp(t)
	s := mustOpen(t, path, nil)
	for i := range 64*rowsAtOnce + 1 {
		mustPut(t, s, fmt.Sprint(i), nil)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	root := ask(t, path, `SELECT rootpage FROM sqlite_schema WHERE name = 'entries_key'`)
	for _, statements := range []string{
		`UPDATE entries SET keep_until = 1`,
		`PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'entries_key'`,
		`UPDATE entries SET keep_until = NULL`,
		`PRAGMA writable_schema = ON; INSERT INTO sqlite_schema VALUES ('index', 'entries_key', 'entries', ` + root + `, '` + schema[1] + `')`,
	} {
		db, err := sql.Open("sqlite", path)
		if err == nil {
			_, err = db.Exec(statements)
			db.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(path, &Options{FailDamaged: true})
	if err != nil {
		t.Fatal(err)
	}
	mustEnd(t, func() error {
		_, err := s.Sweep(ctx, time.Now())
		return errors.Join(err, s.Close())
	})
}

// TestARowWithAnotherID alters the name that a record is removed by: it would be found for ever.
func TestARowWithAnotherID(t *testing.T) {
	for _, id := range []string{"x'00112233445566778899aabbccddeeff'", "CAST(id AS TEXT)", "7"} {
		for _, size := range []int{100, 100_000} {
			path := temp(t)
			s := mustOpen(t, path, nil)
			r := mustPut(t, s, "key", bodyOf(store.ID{}, size))
			if err := alter(filepath.Dir(path), `UPDATE entries SET id = `+id); err != nil {
				t.Fatal(err)
			}
			if found, err := s.Lookup(ctx, r.Key); len(found) > 0 || !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("id = %s: %d found, %v", id, len(found), err)
			}
			if found, err := s.Lookup(ctx, r.Key); len(found) > 0 || err != nil {
				t.Errorf("id = %s, again: %d found, %v", id, len(found), err)
			}
		}
	}
}
