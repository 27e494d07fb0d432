package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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
func logOf(t testing.TB, s *Store, key store.Key, n indexName) (log, retired string) {
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

// TestFindReadsWhatTheIndexTells shows that a head of another tag and URL is not read: it is damaged, and nobody finds
// out.
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

// TestLogsAreShortened lets a log grow by records that come and go. It is retired, and an hour later what is still
// there comes back into the one that took its place.
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
			if b, err := os.ReadFile(log); err != nil || len(b) != lineSize {
				t.Errorf("the log in the end: %v, %d bytes, want the line of the key that is there", err, len(b))
			}
		})
	}
}

func note(t testing.TB, s *Store, p place, n indexName) {
	t.Helper()
	long, err := p.note([]indexName{n})
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

// TestTagsThatChange shows that a log does not grow by the tags that a key had.
func TestTagsThatChange(t *testing.T) {
	s, _ := openTwo(t)
	r := tagged(t, s, "key", "tag 0", "always")
	for i := range 20 * logs {
		r = record("key")
		r.URL, r.Tags = "key", []string{fmt.Sprint("tag ", i), "always"}
		found, err := s.Lookup(t.Context(), "key")
		if err != nil || len(found) != 1 {
			t.Fatalf("%d records, %v", len(found), err)
		}
		commit(t, s, r, found[0].ID)
	}
	p, size := placeOf(t, s, "key"), int64(0)
	for log := range logs {
		if err := p.retire(log); errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		retired, err := p.retired(log)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(p.fan.Name(), logPath(log))
		age(t, path, filepath.Join(p.fan.Name(), retired[0]))
		if err := s.turn(t.Context(), p, log, false); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err == nil {
			size += info.Size()
		}
	}
	if size > logs*maxLines*lineSize {
		t.Errorf("an index of %d bytes for one record", size)
	}
	wantKeys(t, s, store.Query{Tag: r.Tags[0]}, "key")
	wantKeys(t, s, store.Query{Tag: "always"}, "key")
	wantKeys(t, s, store.Query{URL: "key"}, "key")
	wantKeys(t, s, store.Query{Tag: "tag 0"})
}

// TestLogRetiredInTheFuture is by a clock that was wrong: it goes at once.
func TestLogRetiredInTheFuture(t *testing.T) {
	s, _ := openTwo(t)
	tagged(t, s, "key", "tag")
	tag, p := tagName("tag"), placeOf(t, s, "key")
	log, _ := logOf(t, s, "key", tag)
	if err := os.Rename(log, filepath.Join(p.fan.Name(), retiredPath(tag.log(), time.Now().Add(24*time.Hour)))); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, s, store.Query{Tag: "tag"}, "key")
	if err := s.turn(t.Context(), p, tag.log(), false); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, s, store.Query{Tag: "tag"}, "key")
	if _, retired := logOf(t, s, "key", tag); retired != "" {
		t.Errorf("left: %s", retired)
	}
}

// TestWhatIsNotTheIndexsIsLeftAlone has names that look as if they were.
func TestWhatIsNotTheIndexsIsLeftAlone(t *testing.T) {
	s, _ := openTwo(t)
	tagged(t, s, "key", "tag")
	log, _ := logOf(t, s, "key", tagName("tag"))
	names := []string{log + "-mine.txt", log + "-0123456789abcde", filepath.Join(s.Dir(), version, "a-notes.txt"), filepath.Join(s.Dir(), version, "a-0123456789abcdef")}
	for _, name := range names {
		if err := os.WriteFile(name, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, time.Now(), time.Now().Add(-2*grace)); err != nil {
			t.Fatal(err)
		}
	}
	if found, ok := placeOf(t, s, "key").noted(tagName("tag")); len(found) != 1 || !ok {
		t.Errorf("the index tells of %d keys, %v", len(found), ok)
	}
	if _, err := s.Sweep(t.Context(), time.Now()); err != nil {
		t.Error(err)
	}
	for _, name := range names {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
}

// damageLog puts do's result in the place of a log.
func damageLog(t testing.TB, log string, do func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(log)
	if err == nil {
		err = os.WriteFile(log, do(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestDamagedIndex alters a byte of a log at every place of a line, and cuts it. All is found, and from an hour later
// on the index is whole again.
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
			other := tagged(t, s, "key", "tag") // in the folder
			tag := tagName("tag")
			log, _ := logOf(t, s, "key", tag)
			damageLog(t, log, do)
			for _, err := range s.Find(store.Inspect(t.Context()), store.Query{Tag: "tag"}) {
				if err != nil {
					t.Error(err)
				}
			}
			if _, retired := logOf(t, s, "key", tag); retired != "" {
				t.Error("it was retired under Inspect")
			}
			wantKeys(t, s, store.Query{Tag: "tag"}, "key", "key")
			_, retired := logOf(t, s, "key", tag)
			age(t, log, retired)
			if err := s.turn(t.Context(), placeOf(t, s, "key"), tag.log(), false); err != nil {
				t.Error(err)
			}

			// A head that cannot be read is no reason to forget it.
			head := filepath.Join(folderOf(t, s, "key"), baseName(other.ID))
			unreadable(t, head)
			if _, err := s.Sweep(t.Context(), time.Now()); err == nil {
				t.Error("Sweep reads a head that it must not")
			}
			if _, retired := logOf(t, s, "key", tag); retired == "" {
				t.Fatal("the damaged log is gone, though not all could be read")
			}
			if err := os.Chmod(head, 0o600); err != nil {
				t.Fatal(err)
			}

			wantKeys(t, s, store.Query{Tag: "tag"}, "key", "key")
			if _, retired := logOf(t, s, "key", tag); retired != "" {
				t.Errorf("left: %s", retired)
			}
			if found, ok := placeOf(t, s, "key").noted(tag); len(found) != 1 || !ok {
				t.Errorf("the index tells of %d keys, %v", len(found), ok)
			}
			wantKeys(t, s, store.Query{Tag: "tag"}, "key", "key")
		})
	}
}

// TestNothingIsStoredThatTheIndexDoesNotTellOf, as a purge would pass it over.
func TestNothingIsStoredThatTheIndexDoesNotTellOf(t *testing.T) {
	s, _ := openTwo(t)
	r := tagged(t, s, "key", "tag")
	log, _ := logOf(t, s, "key", tagName("other"))
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	unreadable(t, log)
	u := r.Clone()
	u.Tags = []string{"other"}
	if err := s.Update(t.Context(), u); !errors.Is(err, os.ErrPermission) {
		t.Errorf("Update: %v", err)
	}
	if err := os.Chmod(log, 0o600); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, s, store.Query{Tag: "other"})
	wantKeys(t, s, store.Query{Key: "key"}, "key")
	wantKeys(t, s, store.Query{Tag: "tag"}, "key")
}

// TestFolderInThePlaceOfALog is damage: all is found.
func TestFolderInThePlaceOfALog(t *testing.T) {
	s, _ := openTwo(t)
	tagged(t, s, "key", "tag")
	log, _ := logOf(t, s, "key", tagName("tag"))
	if err := errors.Join(os.Remove(log), os.Mkdir(log, 0o700)); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, s, store.Query{Tag: "tag"}, "key")
}

// TestDamagedLogKeepsNoOtherFromBeingRetired, in a program that only stores and never mends it.
func TestDamagedLogKeepsNoOtherFromBeingRetired(t *testing.T) {
	s, _ := openTwo(t)
	tagged(t, s, "key", "tag")
	p, tag := placeOf(t, s, "key"), tagName("tag")
	log, _ := logOf(t, s, "key", tag)
	damageLog(t, log, func(b []byte) []byte { b[0] ^= 1; return b })
	if err := p.retire(tag.log()); err != nil {
		t.Fatal(err)
	}
	_, retired := logOf(t, s, "key", tag)
	age(t, log, retired)
	for range maxLog / lineSize {
		note(t, s, p, tag)
	}
	if paths, err := p.retired(tag.log()); len(paths) != 2 || err != nil {
		t.Errorf("retired are %q, %v; want the damaged one and that which has grown long", paths, err)
	}
	wantKeys(t, s, store.Query{Tag: "tag"}, "key")
}

// TestSweepMendsWhatItCan shows that a head that cannot be read keeps only its own fan's logs from being mended.
func TestSweepMendsWhatItCan(t *testing.T) {
	s, _ := openTwo(t)
	tag := tagName("tag")
	damaged := make(map[string]store.Key) // by fan
	for i := range 50 {
		key := store.Key(fmt.Sprint("key", i))
		tagged(t, s, key, "tag")
		damaged[placeOf(t, s, key).fan.Name()] = key
	}
	bad := placeOf(t, s, "key0")
	for fan, key := range damaged {
		log, _ := logOf(t, s, key, tag)
		damageLog(t, log, func(b []byte) []byte { b[0] ^= 1; return b })
		if err := placeOf(t, s, key).retire(tag.log()); err != nil {
			t.Fatal(err)
		}
		_, retired := logOf(t, s, key, tag)
		age(t, log, retired)
		if fan == bad.fan.Name() {
			unreadable(t, filepath.Join(fan, bad.first()))
		}
	}
	if _, err := s.Sweep(t.Context(), time.Now()); err == nil {
		t.Error("Sweep reads a head that it must not")
	}
	for fan, key := range damaged {
		if _, retired := logOf(t, s, key, tag); (retired != "") != (fan == bad.fan.Name()) {
			t.Errorf("in %s there is retired %q", fan, retired)
		}
	}
}

func TestSweepTellsOfAHeadThatCannotBeRead(t *testing.T) {
	for _, where := range []string{"first", "in the folder"} {
		t.Run(where, func(t *testing.T) {
			s, _ := openTwo(t)
			put(t, s, "key")
			p, second := placeOf(t, s, "key"), put(t, s, "key")
			path := p.first()
			if where != "first" {
				path = p.inside(baseName(second.ID))
			}
			unreadable(t, filepath.Join(p.fan.Name(), path))
			if n, err := s.Sweep(t.Context(), time.Now()); n != 0 || !errors.Is(err, os.ErrPermission) || errors.Is(err, store.ErrCorrupt) {
				t.Errorf("Sweep: %d, %v; want an error that says so", n, err)
			}
		})
	}
}

// TestFindGoesOnPastAHeadThatCannotBeRead, whether the index tells of it or all is read.
func TestFindGoesOnPastAHeadThatCannotBeRead(t *testing.T) {
	s, _ := openTwo(t)
	for i := range 50 {
		tagged(t, s, store.Key(fmt.Sprint("key", i)), "tag")
	}
	p := placeOf(t, s, "key7")
	unreadable(t, filepath.Join(p.fan.Name(), p.first()))
	for _, q := range []store.Query{{}, {Tag: "tag"}} {
		found, faults := 0, 0
		for range s.Find(t.Context(), q) {
			if found++; found == 49 {
				break // who wants no more is not told either
			}
		}
		found = 0
		for r, err := range s.Find(t.Context(), q) {
			switch {
			case err == nil && faults == 0 && r.Key != "key7":
				found++
			case err != nil:
				faults++
			}
		}
		if found != 49 || faults != 1 {
			t.Errorf("tag %q: %d records and then %d faults, want 49 and 1", q.Tag, found, faults)
		}
	}
}

func TestFindEndsWithItsContext(t *testing.T) {
	s, _ := openTwo(t)
	tagged(t, s, "key", "tag")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, q := range []store.Query{{}, {Key: "key"}, {Key: "none"}, {URL: "key"}, {URL: "none"}, {Tag: "tag"}, {Tag: "none"}} {
		var got error
		for r, err := range s.Find(ctx, q) {
			if got = err; r != nil {
				t.Errorf("%+v finds a record", q)
			}
		}
		if !errors.Is(got, context.Canceled) {
			t.Errorf("%+v: %v", q, got)
		}
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

// TestFindWhileLogsTurn looks for a record while its log is retired, and while it is brought back. Between the two lies
// an hour.
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
			} else if err := other.bringBack(t.Context(), p, tag.log(), paths[0], false); err != nil {
				t.Error(err)
			}
		})
		if found, ok := placeOf(t, s, "key").noted(tag); len(found) != 1 || !ok {
			t.Errorf("the index tells of %d keys, %v", len(found), ok)
		}
		turning.Wait()
	}
}

// TestLogsTurnWhileOthersWrite has two stores write, and both turn all logs, of which some are always old enough to be
// brought back.
func TestLogsTurnWhileOthersWrite(t *testing.T) {
	a, b := openTwo(t)
	var rounds atomic.Int64
	var working sync.RWMutex // held for reading by each who stores, updates or deletes
	var writing, turning sync.WaitGroup
	done := make(chan struct{})
	for i, s := range []*Store{a, b} {
		writing.Go(func() {
			for n := range 120 {
				key := store.Key(fmt.Sprint("key", n*7%40))
				working.RLock()
				switch n % 5 {
				case 4:
					if err := s.Delete(t.Context(), key); err != nil {
						t.Error(err)
					}
				case 3:
					found, err := s.Lookup(t.Context(), key)
					if err != nil {
						t.Error(err)
					}
					for _, r := range found {
						u := r.Clone()
						u.Tags = append(u.Tags, fmt.Sprint("update ", n))
						if err := s.Update(t.Context(), u); err != nil && !errors.Is(err, store.ErrNotFound) {
							t.Error(err)
						}
					}
				default:
					tagged(t, s, key, fmt.Sprint("tag ", n%20), fmt.Sprint("store ", i))
				}
				working.RUnlock()
			}
		})
		turning.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				for shard := range byte(fanout) {
					fan, err := s.fan(shard, false)
					if err != nil {
						continue
					}
					p := place{fan: fan, shard: shard}
					for log := range logs {
						working.Lock() // whoever was at work when they were retired is done, as after an hour
						paths, _ := p.retired(log)
						working.Unlock()
						for _, path := range paths {
							if err := s.bringBack(t.Context(), p, log, path, false); err != nil && !errors.Is(err, os.ErrNotExist) {
								t.Error(err)
							}
						}
						if len(paths) == 0 {
							p.retire(log)
						}
					}
				}
				rounds.Add(1)
			}
		})
	}
	writing.Wait()
	close(done)
	turning.Wait()
	records := 0
	for r, err := range a.Find(t.Context(), store.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		records++
		for _, q := range []store.Query{{URL: r.URL}, {Tag: r.Tags[0]}, {Tag: r.Tags[len(r.Tags)-1]}} {
			found := false
			for by, err := range b.Find(t.Context(), q) {
				if err != nil {
					t.Fatal(err)
				}
				found = found || by.ID == r.ID
			}
			if !found {
				t.Errorf("%v is not found by URL %q, tag %q", r.ID, q.URL, q.Tag)
			}
		}
	}
	if records == 0 || rounds.Load() < 2 {
		t.Errorf("%d records and %d rounds are no test", records, rounds.Load())
	}
}

func TestFanAndLedgerThatWereNotMadeToTheEnd(t *testing.T) {
	s, _ := openTwo(t)
	made := filepath.Join(s.Dir(), version, "a-0123456789abcdef")
	if err := os.MkdirAll(filepath.Join(made, indexDir), 0o700); err != nil {
		t.Fatal(err)
	}
	ledger := filepath.Join(s.Dir(), version, usagePrefix+"0123456789abcdef"+tempSuffix)
	if err := os.WriteFile(ledger, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	sweep := func() error {
		_, err := s.Sweep(t.Context(), time.Now())
		long := time.Now().Add(-2 * grace)
		return errors.Join(err, os.Chtimes(made, long, long), os.Chtimes(ledger, long, long))
	}
	if err := sweep(); err != nil { // it is young, and left alone
		t.Error(err)
	}
	sweep()
	for _, path := range []string{made, ledger} {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left over: %v", path, err)
		}
	}
}
