package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
)

const day = 24 * time.Hour

func TestReaderGoesOnAfterDelete(t *testing.T) {
	path := temp(t)
	s, other := mustOpen(t, path, nil), mustOpen(t, path, nil)
	r := mustPut(t, s, "key", make([]byte, 1<<20))
	body, err := s.Open(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if _, err := io.CopyN(io.Discard, body, 100_000); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(ctx, r.Key); err != nil {
		t.Fatal(err)
	}
	if again, err := s.Open(ctx, r); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Open after Delete: %v, %v; want ErrNotFound", again, err)
	}
	if _, err := s.Sweep(ctx, time.Now().Add(day)); err != nil { // knows the reader, however late it is
		t.Fatal(err)
	}
	if _, err := other.Sweep(ctx, time.Now()); err != nil { // does not, but lets the grace pass
		t.Fatal(err)
	}
	if n, err := io.CopyN(io.Discard, body, 300_000); err != nil {
		t.Fatalf("%d bytes read, %v", n, err)
	}
	if _, err := other.Sweep(ctx, time.Now().Add(day)); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, body); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("after the chunks were removed: %d bytes read, %v; want ErrNotFound", n, err)
	}
}

func TestWriteThatWasSweptCannotCommit(t *testing.T) {
	path := temp(t)
	s, other := mustOpen(t, path, nil), mustOpen(t, path, nil)
	for _, c := range []struct {
		name string
		then func(store.Writer, *store.Record) error
	}{
		{"Commit", func(w store.Writer, r *store.Record) error { return w.Commit(r) }},
		{"Write", func(w store.Writer, r *store.Record) error {
			_, err := w.Write(make([]byte, 200_000))
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRecord("key", time.Now())
			w, err := s.Create(ctx, r)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			if _, err := w.Write(make([]byte, 200_000)); err != nil {
				t.Fatal(err)
			}
			r.Size = 200_000
			if _, err := other.Sweep(ctx, time.Now().Add(day)); err != nil {
				t.Fatal(err)
			}
			if err := c.then(w, r); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s after the write was swept: %v, want ErrNotFound", c.name, err)
			}
			if err := w.Close(); err != nil {
				t.Error(err)
			}
			if got := ask(t, path, "SELECT (SELECT count(*) FROM chunks) + (SELECT count(*) FROM loose) + (SELECT count(*) FROM entries)"); got != "0" {
				t.Errorf("%s rows are left", got)
			}
		})
	}
}

func TestDiscardLeavesNothing(t *testing.T) {
	path := temp(t)
	s := mustOpen(t, path, nil)
	for _, size := range []int{0, 1000, chunkSize, chunkSize + 1, 1 << 20} {
		w, err := s.Create(ctx, newRecord("key", time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got := ask(t, path, "SELECT (SELECT count(*) FROM chunks) + (SELECT count(*) FROM loose) + (SELECT count(*) FROM entries)"); got != "0" {
			t.Errorf("%s rows are left of a write of %d bytes", got, size)
		}
	}
}

func TestChunksOfAnotherBodyDoNotPass(t *testing.T) {
	path := temp(t)
	s := mustOpen(t, path, nil)
	r := newRecord("key", time.Now())
	if err := put(s, r, bodyOf(r.ID, 200_000)); err != nil {
		t.Fatal(err)
	}
	// Chunks 1 and 2 are as long as each other and carry checksums of their own.
	for _, q := range []string{"UPDATE chunks SET seq = 9 WHERE seq = 1", "UPDATE chunks SET seq = 1 WHERE seq = 2", "UPDATE chunks SET seq = 2 WHERE seq = 9"} {
		if err := alter(dirOf(path), q); err != nil {
			t.Fatal(err)
		}
	}
	found, err := s.Lookup(ctx, "key")
	if len(found) != 1 || err != nil {
		t.Fatalf("%d found, %v", len(found), err)
	}
	if body, err := readBody(s, found[0]); !errors.Is(err, store.ErrCorrupt) || !bytes.Equal(body, bodyOf(r.ID, chunkSize)) {
		t.Errorf("%d bytes read, %v; want the first chunk and ErrCorrupt", len(body), err)
	}
	if found, err := s.Lookup(ctx, "key"); len(found) != 0 || err != nil {
		t.Errorf("afterwards: %d found, %v; want it removed", len(found), err)
	}
}

func TestSupersededRecordLeavesNothing(t *testing.T) {
	for _, c := range []struct {
		name           string
		before, after  int
		deleted, swept string // what is left beside the new record: loose ids, and rows after Sweep
	}{
		{"a small one by a small one", 1000, 2000, "0", "1"},
		{"a small one by a large one", 1000, 200_000, "0", "5"},
		{"a large one by a small one", 200_000, 1000, "1", "1"},
		{"a large one by a large one", 200_000, 100_000, "1", "3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := temp(t)
			s := mustOpen(t, path, nil)
			old := newRecord("key", time.Now())
			old.Tags = []string{"old", "both"}
			if err := put(s, old, bodyOf(old.ID, c.before)); err != nil {
				t.Fatal(err)
			}
			r := newRecord("key", time.Now())
			r.Tags = []string{"both", "new"}
			if err := put(s, r, bodyOf(r.ID, c.after), old.ID); err != nil {
				t.Fatal(err)
			}
			found, err := s.Lookup(ctx, "key")
			if len(found) != 1 || err != nil || found[0].ID != r.ID {
				t.Fatalf("%d found, %v; want the new record alone", len(found), err)
			}
			if body, err := readBody(s, found[0]); !bytes.Equal(body, bodyOf(r.ID, c.after)) || err != nil {
				t.Errorf("%d bytes read, %v; want those of the new record", len(body), err)
			}
			if got := ask(t, path, "SELECT count(*) FROM loose"); got != c.deleted {
				t.Errorf("%s bodies are left to Sweep, want %s", got, c.deleted)
			}
			if got := ask(t, path, "SELECT group_concat(tag) FROM tags"); got != "both,new" {
				t.Errorf("tags are %s, want both,new", got)
			}
			if _, err := s.Sweep(ctx, time.Now().Add(2*readerGrace)); err != nil {
				t.Fatal(err)
			}
			if got := ask(t, path, "SELECT (SELECT count(*) FROM chunks) + (SELECT count(*) FROM loose) + "+
				"(SELECT count(*) FROM entries)"); got != c.swept {
				t.Errorf("%s rows are left after Sweep, want %s", got, c.swept)
			}
		})
	}
}

func TestReadsGoOnWhereNoConnectionCanBeOpened(t *testing.T) {
	for name, lose := range map[string]func(path string) error{
		"the file is deleted":   func(path string) error { return os.Remove(path) },
		"the folder is deleted": func(path string) error { return os.RemoveAll(filepath.Dir(path)) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "folder", "cache.db")
			s := mustOpen(t, path, &Options{Readers: 3})
			var records []*store.Record
			for _, size := range []int{100, 300_000} {
				r := newRecord(fmt.Sprint("key", size), time.Now())
				if err := put(s, r, bodyOf(r.ID, size)); err != nil {
					t.Fatal(err)
				}
				records = append(records, r)
			}
			if err := lose(path); err != nil {
				t.Fatal(err)
			}
			for _, want := range records {
				body, err := readOpened(s, want)
				if err != nil || !bytes.Equal(body, bodyOf(want.ID, int(want.Size))) {
					t.Errorf("%s: %d bytes, %v", want.Key, len(body), err)
				}
			}
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("there is a file at the path again: %v", err)
			}
		})
	}
}
