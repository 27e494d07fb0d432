package sqlite

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
)

// fill closes a new store with some records of both kinds, the WAL moved into the file, and returns them.
func fill(t *testing.T, path string) (records []*store.Record) {
	t.Helper()
	s, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		r := newRecord(fmt.Sprint("key", i), time.Now())
		if err := put(s, r, bodyOf(r.ID, 1000+i%2*200_000)); err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return records
}

func TestDamagedFileIsSetAside(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(*os.File, int64) error
	}{
		{"a header of garbage", func(f *os.File, _ int64) error { return overwrite(f, 0, 100) }},
		{"a first page of garbage", func(f *os.File, _ int64) error { return overwrite(f, 0, pageSize) }},
		{"the second half cut off", func(f *os.File, size int64) error { return f.Truncate(size / 2) }},
		{"cut off within the first page", func(f *os.File, _ int64) error { return f.Truncate(3000) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := temp(t)
			fill(t, path)
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			info, err := f.Stat()
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(c.damage(f, info.Size()), f.Close()); err != nil {
				t.Fatal(err)
			}

			s, err := Open(path, &Options{FailDamaged: true})
			if !errors.Is(err, store.ErrCorrupt) {
				t.Fatalf("Open with FailDamaged: %v, %v; want ErrCorrupt", s, err)
			}
			if said := "sqlite: open " + path + ": " + store.ErrCorrupt.Error() + ": "; !strings.HasPrefix(err.Error(), said) ||
				strings.Contains(err.Error(), "PRAGMA") {
				t.Errorf("Open with FailDamaged: %v; want it to say %q and what SQLite says, once", err, said)
			}
			var aside string
			s = mustOpen(t, path, &Options{OnRebuild: func(to string, cause error) {
				aside = to
				if !errors.Is(cause, store.ErrCorrupt) {
					t.Errorf("the cause is %v, want ErrCorrupt", cause)
				}
			}})
			if !strings.HasPrefix(aside, path+".damaged-") {
				t.Errorf("set aside as %q", aside)
			}
			if _, err := os.Stat(aside); err != nil {
				t.Error(err)
			}
			r := mustPut(t, s, "new", []byte("body"))
			if found, err := s.Lookup(ctx, r.Key); len(found) != 1 || err != nil {
				t.Errorf("Lookup in the new file: %d records, %v", len(found), err)
			}
		})
	}
}

func overwrite(f *os.File, off int64, n int) error {
	_, err := f.WriteAt(bytes.Repeat([]byte{0xa5, 0x17, 0xff}, n/3+1)[:n], off)
	return err
}

// TestFlippedBytes flips bytes all over the file: whatever they hit, no wrong byte is read, and damage to the file
// itself is remembered for the next Open.
func TestFlippedBytes(t *testing.T) {
	t.Parallel()
	origin := temp(t)
	records := fill(t, origin)
	whole, err := os.ReadFile(origin)
	if err != nil {
		t.Fatal(err)
	}
	missed, marked := 0, 0
	for round := range 20 {
		path := temp(t)
		file := bytes.Clone(whole)
		for i := range 20 {
			at := pageSize + (round*7919+i*104729*31)%(len(file)-pageSize)
			file[at] ^= byte(1 + (round+i)%255)
		}
		if round%4 == 0 { // and a whole page
			page := 1 + round/4*len(file)/pageSize/5
			copy(file[page*pageSize:], bytes.Repeat([]byte{0xee}, pageSize))
		}
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path, &Options{FailDamaged: true})
		if errors.Is(err, store.ErrCorrupt) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range records {
			found, err := s.Lookup(ctx, want.Key)
			if err != nil && !errors.Is(err, store.ErrCorrupt) {
				t.Fatalf("round %d: Lookup: %v, want nothing or ErrCorrupt", round, err)
			}
			for _, r := range found {
				body, err := readBody(s, r)
				if err == nil && (r.ID != want.ID || !bytes.Equal(body, bodyOf(want.ID, int(want.Size)))) {
					t.Fatalf("round %d: wrong bytes for %s", round, want.Key)
				}
				if err != nil && !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrNotFound) {
					t.Fatalf("round %d: read: %v, want ErrCorrupt or ErrNotFound", round, err)
				}
				if err != nil {
					missed++
				}
			}
			if len(found) == 0 {
				missed++
			}
		}
		damaged := s.marked.Load()
		if err := s.Close(); err != nil && !errors.Is(err, store.ErrCorrupt) && !damaged {
			t.Fatalf("round %d: Close: %v", round, err)
		}
		if damaged {
			marked++
			if again, err := Open(path, &Options{FailDamaged: true}); !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("round %d: Open after damage was found: %v, %v; want ErrCorrupt", round, again, err)
			}
		}
	}
	if missed == 0 || marked == 0 {
		t.Errorf("%d records missed and %d files marked: the test hits nothing", missed, marked)
	}
}

func TestDamageFoundInUseIsAMiss(t *testing.T) {
	path := temp(t)
	records := fill(t, path)
	s, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := overwrite(f, pageSize, int(info.Size())-pageSize); err != nil {
		t.Fatal(err)
	}
	f.Close() // Windows renames nothing that is open
	if found, err := s.Lookup(ctx, records[0].Key); len(found) > 0 || !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("Lookup: %d records, %v; want ErrCorrupt", len(found), err)
	}
	s.Close() // may fail, too
	told := false
	s = mustOpen(t, path, &Options{OnRebuild: func(string, error) { told = true }})
	if mustPut(t, s, "new", []byte("body")); !told {
		t.Error("the next Open has not set the file aside")
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, content string) string {
		if err := os.WriteFile(at(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return at(name)
	}
	database := func(name string, statements ...string) string {
		db, err := sql.Open("sqlite", at(name))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for _, q := range statements {
			if _, err := db.Exec(q); err != nil {
				t.Fatal(err)
			}
		}
		return at(name)
	}
	fill(t, at("newer.db"))
	database("newer.db", "PRAGMA user_version = 2")
	if err := os.Mkdir(at("folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, path, want string }{
		{"a folder", at("folder"), "it is a folder"},
		{"a device", os.DevNull, "not a regular file"},
		{"a file that is no database", write("notes.txt", strings.Repeat("remember the milk\n", 500)), "not an SQLite database"},
		{"the database of another program", database("other.db", "CREATE TABLE users (name)"), "database of another program"},
		{"a schema of a newer version", at("newer.db"), "made by a newer version of larder (schema 2, this one knows 1)"},
		{"a path below a file", filepath.Join(write("file", "x"), "cache.db"), "not a directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, _ := os.ReadFile(c.path)
			s, err := Open(c.path, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.path) {
				t.Fatalf("Open: %v, %v; want an error with %q and the path", s, err, c.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than a sentence: %v", err)
			}
			if after, _ := os.ReadFile(c.path); !bytes.Equal(after, before) {
				t.Error("the file was changed")
			}
		})
	}
}

func TestOpenCreatesPrivately(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a", "b?c#d", "cache 100%.db")
	s := mustOpen(t, path, nil)
	mustPut(t, s, "key", []byte("body"))
	for p, want := range map[string]os.FileMode{
		path: 0o600, path + "-wal": 0o600, path + "-shm": 0o600, filepath.Dir(path): 0o700, filepath.Join(dir, "a"): 0o700,
	} {
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s: mode %o, want %o", p, got, want)
		}
	}
}

func TestReadOnlyDatabaseServesHits(t *testing.T) {
	path := temp(t)
	records := fill(t, path)
	keep := mustOpen(t, path, nil) // so that -wal and -shm are there, which a reader needs
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s, err := New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		found, err := s.Lookup(ctx, r.Key)
		if len(found) != 1 || err != nil {
			t.Fatalf("Lookup: %d records, %v", len(found), err)
		}
		if body, err := readBody(s, found[0]); !bytes.Equal(body, bodyOf(r.ID, int(r.Size))) || err != nil {
			t.Fatalf("%d bytes read, %v", len(body), err)
		}
	}
	if err := put(s, newRecord("new", time.Now()), []byte("body")); err == nil {
		t.Error("Commit in a read-only database: no error")
	}
	if found, err := keep.Lookup(ctx, "new"); len(found) > 0 || err != nil {
		t.Errorf("a failed Commit left %d records, %v", len(found), err)
	}
	if err := s.Close(); err != nil { // it cannot write down what was used
		t.Errorf("Close: %v", err)
	}
}

func TestOpenWaitsForNoWriter(t *testing.T) {
	path := temp(t)
	records := fill(t, path)
	other := mustOpen(t, path, nil)
	if _, err := other.writer.exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	defer other.writer.exec("ROLLBACK")
	s := mustOpen(t, path, nil)
	if found, err := s.Lookup(ctx, records[0].Key); len(found) != 1 || err != nil {
		t.Errorf("Lookup: %d records, %v", len(found), err)
	}
}

func TestUnwritablePathIsOneSentence(t *testing.T) {
	dir := t.TempDir()
	made := func(folder string, dirMode, fileMode os.FileMode) string {
		path := filepath.Join(dir, folder, "cache.db")
		if fileMode != 0 {
			fill(t, path)
			if err := os.Chmod(path, fileMode); err != nil {
				t.Fatal(err)
			}
		} else if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Dir(path), dirMode); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Chmod(filepath.Dir(path), 0o700) })
		return path
	}
	type refused struct{ name, path, want string }
	cases := []refused{
		{"a folder below a file", "/dev/null/larder/cache.db", "its folder cannot be made"},
		{"a folder where nobody may make one", "/proc/larder/cache.db", "its folder cannot be made"}, // not even root
	}
	if os.Geteuid() != 0 { // root may write everywhere else
		cases = append(cases,
			refused{"a new file in a folder to be read", made("a", 0o500, 0), "it cannot be made: permission denied"},
			refused{"a file to be read", made("b", 0o700, 0o400), "it or its folder cannot be written"},
			refused{"a file in a folder to be read", made("c", 0o500, 0o600), "it or its folder cannot be written"})
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, err := Open(c.path, nil)
			if err == nil {
				s.Close()
				t.Fatal("Open: no error")
			}
			if msg := err.Error(); !strings.HasPrefix(msg, "sqlite: open "+c.path+": "+c.want) || strings.Contains(msg, "\n") {
				t.Errorf("Open: %s; want it to say that %s", msg, c.want)
			}
		})
	}
}
