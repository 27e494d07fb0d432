package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
)

// tagged stores a record with tags; its URL is its key.
func tagged(t testing.TB, s *Store, key store.Key, tags ...string) *store.Record {
	t.Helper()
	r := record(key)
	r.URL, r.Tags = string(key), tags
	return commit(t, s, r)
}

func keys(t testing.TB, s *Store, q store.Query) (found []string) {
	t.Helper()
	for r, err := range s.Find(t.Context(), q) {
		if err != nil {
			t.Errorf("Find: %v", err)
			continue
		}
		found = append(found, string(r.Key))
	}
	slices.Sort(found)
	return found
}

func wantKeys(t testing.TB, s *Store, q store.Query, want ...string) {
	t.Helper()
	if got := keys(t, s, q); !slices.Equal(got, want) {
		t.Errorf("Find URL %q, tag %q: %q, want %q", q.URL, q.Tag, got, want)
	}
}

// logOf returns the path of the log that has the name, and that of the only retired one.
func logOf(t testing.TB, s *Store, key store.Key, n name) (log, retired string) {
	t.Helper()
	p := placeOf(t, s, key)
	paths, err := p.retired(n.log())
	if err != nil || len(paths) > 1 {
		t.Fatalf("retired: %q, %v", paths, err)
	}
	for _, path := range paths {
		retired = filepath.Join(p.fan.Name(), path)
	}
	return filepath.Join(p.fan.Name(), logPath(n.log())), retired
}

// TestFindReadsWhatTheIndexTells shows that a head of another tag and URL is not read: it is damaged, and nobody finds out.
func TestFindReadsWhatTheIndexTells(t *testing.T) {
	s, _ := openTwo(t)
	var all []string
	for i := range 100 {
		key := fmt.Sprintf("key%02d", i)
		all = append(all, key)
		tagged(t, s, store.Key(key), "all", fmt.Sprint("tag", i/10))
	}
	other := placeOf(t, s, "key99")
	if err := os.WriteFile(filepath.Join(other.fan.Name(), other.first()), []byte("no head"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, s, store.Query{Tag: "tag3"}, all[30:40]...)
	wantKeys(t, s, store.Query{URL: "key05"}, "key05")
	wantKeys(t, s, store.Query{Tag: "tag0", URL: "key05"}, "key05")
	wantKeys(t, s, store.Query{Tag: "tag1", URL: "key05"})
	wantKeys(t, s, store.Query{URL: "key"})
	damaged := 0
	for _, err := range s.Find(t.Context(), store.Query{Tag: "all"}) {
		if errors.Is(err, store.ErrCorrupt) {
			damaged++
		}
	}
	if damaged != 1 {
		t.Errorf("%d damaged records with the tag that all have, want 1", damaged)
	}
}

func TestUpdateIsFoundByItsNewTags(t *testing.T) {
	s, other := openTwo(t)
	r := tagged(t, s, "key", "old", "both")
	u := r.Clone()
	u.URL, u.Tags = "new URL", []string{"both", "new"}
	if err := other.Update(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Store{s, other} {
		wantKeys(t, s, store.Query{Tag: "new"}, "key")
		wantKeys(t, s, store.Query{Tag: "both"}, "key")
		wantKeys(t, s, store.Query{Tag: "old"})
		wantKeys(t, s, store.Query{URL: "new URL"}, "key")
		wantKeys(t, s, store.Query{URL: "key"})
	}
}

// TestLogsAreShortened lets a log grow by records that come and go. It is retired, and an hour later what is still there comes
// back into the one that took its place.
func TestLogsAreShortened(t *testing.T) {
	for _, by := range []string{"a store", "Sweep"} {
		t.Run("by "+by, func(t *testing.T) {
			s, _ := openTwo(t)
			tagged(t, s, "key", "tag")
			for range maxLog/lineSize - 1 {
				note(t, s, placeOf(t, s, "key"), tagName("tag"))
			}
			tag := tagName("tag")
			log, retired := logOf(t, s, "key", tag)
			if info, err := os.Stat(retired); err != nil || info.Size() != maxLog {
				t.Fatalf("the retired log: %v, want %d bytes", err, maxLog)
			}
			if _, err := os.Stat(log); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the log after it was retired: %v", err)
			}
			gone := place{fan: placeOf(t, s, "key").fan, shard: placeOf(t, s, "key").shard, name: strings.Repeat("0", 64)}
			for range maxLog / lineSize {
				note(t, s, gone, tag)
			}
			wantKeys(t, s, store.Query{Tag: "tag"}, "key")

			turn := func() {
				t.Helper()
				s.turns[gone.shard][tag.log()].Store(0)
				if by == "Sweep" {
					if _, err := s.Sweep(t.Context(), time.Now()); err != nil {
						t.Fatal(err)
					}
				} else {
					note(t, s, gone, tag)
				}
				wantKeys(t, s, store.Query{Tag: "tag"}, "key")
			}
			turn() // it is too early
			age(t, log, retired)
			turn() // brings back
			if _, retired = logOf(t, s, "key", tag); retired != "" {
				t.Errorf("left: %s", retired)
			}
			turn() // retires the log that had grown long meanwhile
			_, retired = logOf(t, s, "key", tag)
			age(t, log, retired)
			if _, err := s.Sweep(t.Context(), time.Now()); err != nil {
				t.Fatal(err)
			}
			wantKeys(t, s, store.Query{Tag: "tag"}, "key")
			if info, err := os.Stat(log); err != nil || info.Size() != lineSize {
				t.Errorf("the log in the end: %v, %d bytes, want the line of the key that is there", err, info.Size())
			}
		})
	}
}

func note(t testing.TB, s *Store, p place, n name) {
	t.Helper()
	long, err := p.note([]name{n})
	if err != nil {
		t.Fatal(err)
	}
	s.shorten(p, long)
}

// age lets a log have been retired for more than an hour.
func age(t testing.TB, log, retired string) {
	t.Helper()
	past := time.Now().Add(-2 * grace).UnixMilli()
	if err := os.Rename(retired, fmt.Sprintf("%s-%012x0000", log, past)); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedIndex alters a byte of a log at every place of a line, and cuts it. All is found, and an hour later the index is whole
// again.
func TestDamagedIndex(t *testing.T) {
	damage := map[string]func([]byte) []byte{
		"cut":      func(b []byte) []byte { return b[:len(b)-1] },
		"appended": func(b []byte) []byte { return append(b, 0) },
	}
	for i := range lineSize {
		damage[fmt.Sprint("byte ", i)] = func(b []byte) []byte { b[i] ^= 1; return b }
	}
	for how, do := range damage {
		t.Run(how, func(t *testing.T) {
			s, _ := openTwo(t)
			tagged(t, s, "key", "tag")
			tag := tagName("tag")
			log, _ := logOf(t, s, "key", tag)
			b, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(log, do(b), 0o600); err != nil {
				t.Fatal(err)
			}
			wantKeys(t, s, store.Query{Tag: "tag"}, "key")
			_, retired := logOf(t, s, "key", tag)
			age(t, log, retired)
			wantKeys(t, s, store.Query{Tag: "tag"}, "key")
			if _, err := s.Sweep(t.Context(), time.Now()); err != nil {
				t.Fatal(err)
			}
			if _, retired := logOf(t, s, "key", tag); retired != "" {
				t.Errorf("left: %s", retired)
			}
			if found, ok := placeOf(t, s, "key").noted(tag); len(found) != 1 || !ok {
				t.Errorf("the index tells of %d keys, %v", len(found), ok)
			}
		})
	}
}

// TestFanWithoutIndex is one that an earlier version made, or whose index somebody deleted.
func TestFanWithoutIndex(t *testing.T) {
	s, other := openTwo(t)
	tagged(t, s, "key", "tag")
	if err := os.RemoveAll(filepath.Join(placeOf(t, s, "key").fan.Name(), indexDir)); err != nil {
		t.Fatal(err)
	}
	r := tagged(t, other, "key", "tag", "second")
	for _, s := range []*Store{s, other} {
		wantKeys(t, s, store.Query{Tag: "tag"}, "key", "key")
		wantKeys(t, s, store.Query{Tag: "second"}, "key")
		if err := s.Update(t.Context(), r); err != nil {
			t.Error(err)
		}
		if _, err := s.Sweep(t.Context(), time.Now()); err != nil {
			t.Error(err)
		}
	}
}

// TestFindWhileLogsTurn looks for a record while its log is retired, and while it is brought back. Between the two lies an hour.
func TestFindWhileLogsTurn(t *testing.T) {
	s, other := openTwo(t)
	tagged(t, s, "key", "tag")
	p, tag := placeOf(t, other, "key"), tagName("tag")
	for i := range 1000 {
		var turning sync.WaitGroup
		turning.Go(func() {
			if i%2 == 0 {
				if err := p.retire(tag.log()); err != nil {
					t.Error(err)
				}
				return
			}
			paths, err := p.retired(tag.log())
			if err != nil || len(paths) != 1 {
				t.Errorf("retired: %q, %v", paths, err)
			} else if err := other.bringBack(t.Context(), p, tag.log(), paths[0]); err != nil {
				t.Error(err)
			}
		})
		if found, ok := placeOf(t, s, "key").noted(tag); len(found) != 1 || !ok {
			t.Errorf("the index tells of %d keys, %v", len(found), ok)
		}
		turning.Wait()
	}
}

func TestFanThatWasNotMadeToTheEnd(t *testing.T) {
	s, _ := openTwo(t)
	made := filepath.Join(s.Dir(), version, "a-0123456789abcdef")
	if err := os.MkdirAll(filepath.Join(made, indexDir), 0o700); err != nil {
		t.Fatal(err)
	}
	sweep := func() error {
		_, err := s.Sweep(t.Context(), time.Now())
		return errors.Join(err, os.Chtimes(made, time.Now(), time.Now().Add(-2*grace)))
	}
	if err := sweep(); err != nil { // it is young, and left alone
		t.Error(err)
	}
	if err := sweep(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is left over: %v", err)
	}
}
