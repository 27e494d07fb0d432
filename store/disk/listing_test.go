package disk

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/larder/store"
)

// times yields times long ago, each of them once: what a folder that was changed long ago has.
type times struct{ n atomic.Int64 }

// rest makes folders look as if their last change, which is over, was made long ago.
func (c *times) rest(t testing.TB, folders ...string) {
	t.Helper()
	for _, folder := range folders {
		changed := time.Unix(1_700_000_000+c.n.Add(1), 0)
		if err := os.Chtimes(folder, changed, changed); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
}

func placeOf(t testing.TB, s *Store, key store.Key) place {
	t.Helper()
	p, err := s.place(key, true)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// folderOf returns the path of the folder of a key, where it will be once there is a second record.
func folderOf(t testing.TB, s *Store, key store.Key) string {
	t.Helper()
	p := placeOf(t, s, key)
	return filepath.Join(p.fan.Name(), p.name)
}

// makeFolder makes it, so that all records of the key go there.
func makeFolder(t testing.TB, s *Store, key store.Key) string {
	t.Helper()
	path := folderOf(t, s, key)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func openTwo(t *testing.T) (a, b *Store) {
	t.Helper()
	dir := t.TempDir()
	var err error
	for _, s := range []**Store{&a, &b} {
		if *s, err = Open(dir, nil); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { (*s).Close() })
	}
	return a, b
}

func put(t testing.TB, s *Store, key store.Key, superseded ...store.ID) *store.Record {
	t.Helper()
	return commit(t, s, record(key), superseded...)
}

func record(key store.Key) *store.Record {
	return &store.Record{Key: key, ID: store.NewID(time.Now()), Head: store.Head{Status: 200, Header: http.Header{}}}
}

func commit(t testing.TB, s *Store, r *store.Record, superseded ...store.ID) *store.Record {
	t.Helper()
	w, err := s.Create(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Commit(r, superseded...); err != nil {
		t.Fatal(err)
	}
	return r
}

// seenBy returns what a Lookup shows, as states does.
func seenBy(t testing.TB, s *Store, key store.Key) []string {
	t.Helper()
	found, err := s.Lookup(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return states(found...)
}

// states returns IDs with statuses, sorted: IDs of one millisecond have no order.
func states(records ...*store.Record) (all []string) {
	for _, r := range records {
		all = append(all, fmt.Sprint(r.ID, " ", r.Status))
	}
	slices.Sort(all)
	return all
}

func TestAListingIsRememberedOnlyOfAFolderAtRest(t *testing.T) {
	for _, c := range []struct {
		name       string
		age        time.Duration // of the last change when the folder is listed
		remembered bool
	}{
		{"changed just now", 0, false},
		{"changed a second ago, which a coarse clock may take for now", time.Second, false},
		{"at rest", 4 * time.Second, true},
		{"at rest for a year", 365 * 24 * time.Hour, true},
		{"changed in the future", -time.Minute, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := openTwo(t)
			folder := makeFolder(t, s, "key")
			first := put(t, s, "key")
			changed := time.Now().Add(-c.age)
			if err := os.Chtimes(folder, changed, changed); err != nil {
				t.Fatal(err)
			}
			seenBy(t, s, "key")
			// A second record comes in unnoticed: the time of the folder stays.
			put(t, s, "key")
			if err := os.Chtimes(folder, changed, changed); err != nil {
				t.Fatal(err)
			}
			got := seenBy(t, s, "key")
			if believed := len(got) == 1; believed != (c.remembered && remembers) {
				t.Errorf("found %v, the first being %s: remembered is %v, want %v", got, first.ID, believed, c.remembered)
			}
		})
	}
}

func TestAHeadThatIsGoneIsMissedWhateverTheTimeOfTheFolder(t *testing.T) {
	s, other := openTwo(t)
	var c times
	folder := makeFolder(t, s, "key")
	r := put(t, s, "key")
	for range 3 {
		changed := time.Unix(1_700_000_000, 0)
		if err := os.Chtimes(folder, changed, changed); err != nil {
			t.Fatal(err)
		}
		seenBy(t, s, "key")
		next := put(t, other, "key", r.ID)
		if err := os.Chtimes(folder, changed, changed); err != nil {
			t.Fatal(err)
		}
		if got := seenBy(t, s, "key"); len(got) != 1 || got[0] != states(next)[0] {
			t.Errorf("found %v, want %s alone", got, next.ID)
		}
		r = next
	}
	c.rest(t, folder)
	seenBy(t, s, "key")
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if got := seenBy(t, s, "key"); got != nil {
		t.Errorf("found %v in a folder that is gone", got)
	}
	if n := len(s.seen.of); n != 0 {
		t.Errorf("%d listings are remembered of a folder that is gone", n)
	}
}

func TestAFolderInThePlaceOfAnotherIsListed(t *testing.T) {
	s, other := openTwo(t)
	folder, away := makeFolder(t, s, "key"), filepath.Join(s.dir, "away")
	old := put(t, s, "key")
	same := time.Unix(1_700_000_000, 0)
	os.Chtimes(folder, same, same)
	seenBy(t, s, "key")
	if err := os.Rename(folder, away); err != nil {
		t.Fatal(err)
	}
	a, b := put(t, other, "key"), put(t, other, "key")
	if err := os.Link(filepath.Join(away, baseName(old.ID)), filepath.Join(folder, baseName(old.ID))); err != nil {
		t.Fatal(err)
	}
	os.Chtimes(folder, same, same)
	if got, want := seenBy(t, s, "key"), states(old, a, b); !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
}

func TestAListingIsBelievedForAMinuteAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // here it is the year 2000
		s, _ := openTwo(t)
		long := time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
		folder := makeFolder(t, s, "key")
		first := put(t, s, "key")
		os.Chtimes(folder, long, long)
		seenBy(t, s, "key")
		second := put(t, s, "key")
		os.Chtimes(folder, long, long) // so that the second cannot be noticed
		time.Sleep(59 * time.Second)
		if got, want := seenBy(t, s, "key"), states(first); !slices.Equal(got, want) && remembers {
			t.Errorf("after 59 s: found %v, want %v", got, want)
		}
		time.Sleep(2 * time.Second)
		if got, want := seenBy(t, s, "key"), states(first, second); !slices.Equal(got, want) {
			t.Errorf("after 61 s: found %v, want %v", got, want)
		}
	})
}

// Every change that one Store makes is seen by the very next Lookup of another, while others look up the same keys, and
// whatever they remember at whatever moment.
func TestNoChangeOfAnotherStoreIsMissed(t *testing.T) {
	t.Parallel()
	reader, writer := openTwo(t)
	var c times
	const keys, rounds = 4, 150
	var changers, readers sync.WaitGroup
	var done atomic.Bool
	var remembered atomic.Int64
	for i := range keys {
		key := store.Key(fmt.Sprint(i))
		p, folder := placeOf(t, reader, key), folderOf(t, reader, key)
		check := func(step string, records ...*store.Record) {
			t.Helper()
			want := states(records...)
			for _, when := range []string{"just now", "long ago", "long ago, once more"} {
				if got := seenBy(t, reader, key); !slices.Equal(got, want) {
					t.Errorf("key %s, %s %s: found %v, want %v", key, step, when, got, want)
				}
				if when == "just now" {
					c.rest(t, folder)
				} else if _, ok := reader.seen.known(p); ok {
					remembered.Add(1)
				}
			}
		}
		readers.Go(func() {
			for !done.Load() {
				if _, err := reader.Lookup(t.Context(), key); err != nil {
					t.Error(err)
					return
				}
			}
		})
		changers.Go(func() {
			for range rounds {
				a := put(t, writer, key)
				check("stored", a)
				b := put(t, writer, key)
				check("another stored", a, b)
				b.Status = 304
				if err := writer.Update(t.Context(), b); err != nil {
					t.Error(err)
				}
				check("updated", a, b)
				d := put(t, writer, key, a.ID, b.ID)
				check("superseded", d)
				if err := writer.Delete(t.Context(), key, d.ID); err != nil {
					t.Error(err)
				}
				check("deleted")
			}
		})
	}
	changers.Wait()
	done.Store(true)
	readers.Wait()
	if n := remembered.Load(); n < keys*rounds && remembers {
		t.Errorf("a listing was remembered %d times only: this test proves little", n)
	}
}

// A folder that has been at rest for long, and changes while it is listed, is listed again.
func TestAFolderThatBeginsToChangeIsListedWhole(t *testing.T) {
	in, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	name := func(n int) string { return fmt.Sprintf("folder/%08x", uint32(n)*0x9e3779b1) }
	if err := in.Mkdir("folder", 0o700); err != nil {
		t.Fatal(err)
	}
	const others = 2000 // so that to list them takes several calls
	for n := range others + 1 {
		if err := in.WriteFile(name(n), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-time.Hour)
	for n := others; n < others+100; n++ {
		if err := in.Chtimes("folder", long, long); err != nil {
			t.Fatal(err)
		}
		began := make(chan bool)
		var reader sync.WaitGroup
		reader.Go(func() {
			close(began)
			if _, names, err := readFolder(in, "folder"); len(names) < others+1 || err != nil {
				t.Errorf("%d names, %v; want %d", len(names), err, others+1)
			}
		})
		<-began
		if err := in.Rename(name(n), name(n+1)); err != nil {
			t.Fatal(err)
		}
		reader.Wait()
	}
}

func TestListingsAreBounded(t *testing.T) {
	var l listings
	for i := range 3 * maxListings {
		l.remember(fmt.Sprint(i), listing{}, maxListings)
		l.remember(fmt.Sprint(i), listing{}, maxListings)
	}
	if n := len(l.of); n != maxListings {
		t.Errorf("%d listings are remembered, want %d", n, maxListings)
	}

	s, _ := openTwo(t)
	var c times
	folder := makeFolder(t, s, "key")
	for i := range maxNames + 1 {
		put(t, s, "key")
		c.rest(t, folder)
		seenBy(t, s, "key")
		if n, want := len(s.seen.of), min(1, max(0, maxNames-i)); n != want && remembers {
			t.Fatalf("%d listings are remembered of a folder of %d files, want %d", n, i+1, want)
		}
	}
}
