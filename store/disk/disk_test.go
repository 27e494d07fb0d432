package disk_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/disk"
)

func TestOpenRefusesInOneSentence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, []byte("mine"), 0o600))
	half := t.TempDir()
	must(t, os.WriteFile(filepath.Join(half, "v1"), nil, 0o600))
	dirs := map[string]string{
		"a file":                    file,
		"beneath a file":            filepath.Join(file, "cache"),
		"a file in the place of v1": half,
		"a name that cannot be":     "nul\x00byte",
		"no name":                   "", // of a variable that is not set, say: not the working directory
	}
	t.Chdir(t.TempDir())
	if runtime.GOOS == "linux" {
		dirs["where nobody may write"] = "/proc/larder" // not even root
	}
	for name, dir := range dirs {
		t.Run(name, func(t *testing.T) {
			s, err := disk.Open(dir, nil)
			if err == nil {
				s.Close()
				t.Fatal("Open: no error")
			}
			if msg := err.Error(); !strings.HasPrefix(msg, "disk: the cache directory ") || strings.Contains(msg, "\n") {
				t.Errorf("Open: %q", msg)
			}
		})
	}
	if b, err := os.ReadFile(file); string(b) != "mine" || err != nil {
		t.Errorf("the file that was in the way holds %q, %v", b, err)
	}
}

func TestEverythingIsForTheOwnerAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "cache")
	s, err := disk.Open(dir, nil)
	must(t, err)
	defer s.Close()
	small, large := put(t, s, "small", 100), put(t, s, "large", 100_000)
	must(t, s.Update(t.Context(), small))
	must(t, s.Update(t.Context(), large))
	n := 0
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		must(t, err)
		info, err := e.Info()
		must(t, err)
		want := fs.FileMode(0o600)
		if e.IsDir() {
			want = 0o700
		}
		if got := info.Mode().Perm(); got != want && runtime.GOOS != "windows" {
			t.Errorf("%s: mode %o, want %o", path, got, want)
		}
		n++
		return nil
	}))
	if n != 1+1+1+4+5+4 { // the directory, v1, usage, two folders in two fans, three heads and their updates, an index with a log in each fan
		t.Errorf("%d files and folders", n)
	}
}

func TestAHitMarksTheLastUseOnceAnHour(t *testing.T) {
	s, dir := open(t, nil)
	r := put(t, s, "key", 100)
	path := only(t, dir, "*.head")
	for _, c := range []struct {
		name    string
		age     time.Duration
		touched bool
	}{
		{"used a moment ago", 0, false},
		{"used half an hour ago", 30 * time.Minute, false},
		{"used two hours ago", 2 * time.Hour, true},
		{"used tomorrow, by a clock that was wrong", -24 * time.Hour, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			mark := time.Now().Add(-c.age).Truncate(time.Second)
			must(t, os.Chtimes(path, mark, mark))
			lookup(t, s, "key", r)
			info, err := os.Stat(path)
			must(t, err)
			if touched := !info.ModTime().Equal(mark); touched != c.touched {
				t.Errorf("touched: %v, want %v", touched, c.touched)
			}
			if since := time.Since(info.ModTime()); c.touched && (since < -time.Minute || since > time.Minute) {
				t.Errorf("marked as used %v ago", since)
			}
		})
	}
}

func TestForeignFilesAreLeftAlone(t *testing.T) {
	s, dir := open(t, &disk.Options{MaxBytes: 1 << 20})
	r := put(t, s, "key", 100_000)
	second := put(t, s, "key", 100)
	fan, folder := filepath.Split(strings.TrimSuffix(headOf(t, dir, r), ".head"))
	id := r.ID.String()
	foreign := []string{
		filepath.Join(dir, "README"),
		filepath.Join(dir, "v2", "0", "x.head"),
		filepath.Join(dir, "v1", "notes"),
		filepath.Join(dir, "v1", "0", "notes"),
		filepath.Join(dir, "v1", "0", strings.Repeat("0", 63)+"x", "a.head"),
		filepath.Join(dir, "v1", "0", strings.Repeat("f", 64), "a.head"), // in the wrong fan
		filepath.Join(dir, "v1", "0", strings.Repeat("f", 64)+".head"),
		filepath.Join(dir, "v1", "z", "notes"),
		filepath.Join(dir, "v1", "leases", "notes"),
		filepath.Join(dir, "v1", "leases", "mine", "notes"),
		filepath.Join(dir, "v1", "leases", strings.Repeat("0", 63)+"x"),
		filepath.Join(dir, "v1", "leases", strings.Repeat("0", 64)+"."+id[1:]),
		filepath.Join(dir, "v1", "leases", strings.Repeat("0", 64)+"_"+id),
		filepath.Join(fan, folder+".headd"),
		filepath.Join(fan, folder+"-.head"),
		filepath.Join(fan, folder+"-"+id),
		filepath.Join(fan, folder+"-"+strings.ToUpper(id)+".body"),
		filepath.Join(fan, folder+"-"+id[1:]+".body"),
		filepath.Join(fan, folder+id+".body"),
		filepath.Join(fan, folder+"-0123456789abcde.temp"),
		filepath.Join(fan, folder+".temp"),
		filepath.Join(fan, id+".body"),
		filepath.Join(fan, folder, "notes.head"),
		filepath.Join(fan, folder, id),
		filepath.Join(fan, folder, id+".headd"),
		filepath.Join(fan, folder, id+"-1.head"),
		filepath.Join(fan, folder, id+".dy.h"),
		filepath.Join(fan, folder, id+".body"),
		filepath.Join(fan, folder, strings.ToUpper(id)+".bak"),
	}
	foreign = slices.DeleteFunc(foreign, func(path string) bool { // where names in capitals are the same, it is a record's
		_, err := os.Lstat(path)
		return err == nil
	})
	past := time.Now().Add(-1000 * time.Hour)
	for _, path := range foreign {
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, []byte("mine"), 0o600))
		must(t, os.Chtimes(path, past, past))
		if filepath.Base(filepath.Dir(path)) == "mine" {
			must(t, os.Chtimes(filepath.Dir(path), past, past))
		}
	}
	lookup(t, s, "key", second, r)
	for range 2 {
		if n, err := s.Sweep(t.Context(), time.Now()); n != 0 || err != nil {
			t.Errorf("Sweep: %d, %v", n, err)
		}
	}
	for i := range 100 {
		put(t, s, store.Key(fmt.Sprint(i)), 50_000)
	}
	must(t, s.Delete(t.Context(), "key"))
	for _, path := range foreign {
		if b, err := os.ReadFile(path); string(b) != "mine" || err != nil {
			t.Errorf("%s: %q, %v", path, b, err)
		}
	}
}

func TestDeletedDirectoryHeals(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(dir string) error{
		"the directory": os.RemoveAll,
		"what is in it": func(dir string) error { return os.RemoveAll(filepath.Join(dir, "v1")) },
		"the fans": func(dir string) error {
			fans, err := filepath.Glob(filepath.Join(dir, "v1", "?"))
			for _, fan := range fans {
				err = errors.Join(err, os.RemoveAll(fan))
			}
			return err
		},
		"what is in them": func(dir string) error {
			entries, err := filepath.Glob(filepath.Join(dir, "v1", "?", "*"))
			for _, entry := range entries {
				err = errors.Join(err, os.RemoveAll(entry))
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "cache")
			s, err := disk.Open(dir, nil)
			must(t, err)
			defer s.Close()
			for i := range 20 {
				put(t, s, store.Key(fmt.Sprint(i)), i*5000)
			}
			r := record("large", -1)
			w, err := s.Create(t.Context(), r)
			must(t, err)
			defer w.Close()
			_, err = w.Write(bodyOf(r.ID, 200_000))
			must(t, err)

			must(t, remove(dir))

			r.Size = 200_000
			if err := w.Commit(r); err == nil {
				t.Error("a write whose body is gone was committed")
			}
			told := 0
			for i := range 20 {
				found, err := s.Lookup(t.Context(), store.Key(fmt.Sprint(i)))
				if len(found) > 0 || err != nil && !errors.Is(err, store.ErrCorrupt) {
					t.Errorf("%d records, %v", len(found), err)
				}
				if err != nil {
					told++
				}
			}
			if deleted := name != "what is in them"; deleted != (told > 0) {
				t.Errorf("it was told %d times", told)
			}
			if err := s.Update(t.Context(), r); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("Update: %v", err)
			}
			must(t, s.Delete(t.Context(), "1"))
			_, err = s.Sweep(t.Context(), time.Now())
			must(t, err)
			for i := range 20 {
				key := store.Key(fmt.Sprint(i))
				lookup(t, s, key, put(t, s, key, i*5000))
			}
			other, err := disk.Open(dir, nil)
			must(t, err)
			defer other.Close()
			lookup(t, other, "7", find(t, s, "7")...)
			a, _, _ := s.Size(t.Context())
			b, _, _ := other.Size(t.Context())
			if b != 20 || name != "the fans" && name != "what is in them" && a != 20 {
				t.Errorf("Size: %d records, %d in a store opened later; want 20", a, b)
			}
		})
	}
}

func TestASecondStoreMissesUntilTheDirectoryIsBackAndThenFinds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	a, err := disk.Open(dir, nil)
	must(t, err)
	defer a.Close()
	lookup(t, a, "key", put(t, a, "key", 10))
	must(t, os.RemoveAll(dir))
	b, err := disk.Open(dir, nil)
	must(t, err)
	defer b.Close()
	if found, err := a.Lookup(t.Context(), "key"); len(found) > 0 || !errors.Is(err, store.ErrCorrupt) { // and learns that its handle leads nowhere
		t.Errorf("%d records, %v", len(found), err)
	}
	r := put(t, b, "key", 10)
	lookup(t, a, "key", r)
	put(t, a, "key", 10, r.ID)
	put(t, a, "key", 10)
	for _, s := range []*disk.Store{a, b} {
		if n, _, err := s.Size(t.Context()); n != 2 || err != nil {
			t.Errorf("a ledger says %d records, %v; want 2 in both", n, err)
		}
	}
}

// TestWhatOthersStoreInADirectoryMadeAnewIsNotPassedOver by who still holds the deleted one.
func TestWhatOthersStoreInADirectoryMadeAnewIsNotPassedOver(t *testing.T) {
	for name, passesOver := range map[string]func(s *disk.Store, r *store.Record) bool{
		"Delete": func(s *disk.Store, r *store.Record) bool {
			must(t, s.Delete(t.Context(), r.Key))
			return len(find(t, s, r.Key)) > 0
		},
		"Delete one": func(s *disk.Store, r *store.Record) bool {
			must(t, s.Delete(t.Context(), r.Key, r.ID))
			return len(find(t, s, r.Key)) > 0
		},
		"Find by key": func(s *disk.Store, r *store.Record) bool { return !finds(t, s, store.Query{Key: r.Key}) },
		"Find by URL": func(s *disk.Store, r *store.Record) bool { return !finds(t, s, store.Query{URL: r.URL}) },
		"Find of all": func(s *disk.Store, r *store.Record) bool { return !finds(t, s, store.Query{}) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "cache")
			a, err := disk.Open(dir, nil)
			must(t, err)
			defer a.Close()
			put(t, a, "key", 10)
			must(t, os.RemoveAll(dir))
			b, err := disk.Open(dir, nil)
			must(t, err)
			defer b.Close()
			if passesOver(a, put(t, b, "key", 10)) {
				t.Error("it is passed over")
			}
		})
	}
}

func finds(t *testing.T, s *disk.Store, q store.Query) (any bool) {
	for _, err := range s.Find(t.Context(), q) {
		must(t, err)
		any = true
	}
	return any
}

func TestSweepRemovesWhatDeadWritersLeft(t *testing.T) {
	s, dir := open(t, nil)
	kept := put(t, s, "kept", 100_000)
	abandoned := record("abandoned", -1)
	w, err := s.Create(t.Context(), abandoned) // never closed: as after a kill
	must(t, err)
	_, err = w.Write(make([]byte, 100_000))
	must(t, err)
	place := strings.TrimSuffix(headOf(t, dir, kept), ".head")
	must(t, os.Mkdir(place, 0o700))
	remains := []string{
		place + "-0123456789abcdef.temp",
		place + "-" + store.NewID(time.Now()).String() + ".body",
		filepath.Join(place, store.NewID(time.Now()).String()+"-0123456789abcdef.head"),
		filepath.Join(dir, "v1", "0", strings.Repeat("0", 64)+"-0123456789abcdef.temp"),
	}
	must(t, os.MkdirAll(filepath.Join(dir, "v1", "0"), 0o700))
	for _, path := range remains {
		must(t, os.WriteFile(path, []byte("torn"), 0o600))
	}
	remains = append(remains, bodyFileOf(t, dir, abandoned))
	empty := filepath.Join(dir, "v1", "0", strings.Repeat("0", 64))
	must(t, os.Mkdir(empty, 0o700))
	past, ahead := time.Now().Add(-61*time.Minute), time.Now().Add(62*time.Minute) // the latter by a clock that was wrong
	setTime(t, headOf(t, dir, kept), past)
	setTime(t, bodyFileOf(t, dir, kept), past)

	sweep(t, s, 0)
	for i, path := range remains {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("gone while it may be in use: %v", err)
		}
		setTime(t, path, []time.Time{past, ahead}[i%2])
	}
	sweep(t, s, 0)
	for _, path := range remains {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: still there (%v)", path, err)
		}
	}
	for _, folder := range []string{place, empty} {
		if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: still there (%v)", folder, err)
		}
	}
	lookup(t, s, "kept", kept)

	abandoned.Size = 100_000
	if err := w.Commit(abandoned); err == nil {
		t.Error("a write whose body was swept was committed")
	}
	w.Close()
	lookup(t, s, "abandoned")
}

func TestSweepRemovesLeases(t *testing.T) {
	s, dir := open(t, nil)
	if held, err := s.Lease(t.Context(), "key", store.NewID(time.Now()), time.Minute); !held || err != nil {
		t.Fatal(held, err)
	}
	lease := filepath.Join(dir, "v1", "leases", fmt.Sprintf("%x", store.Key("key").Digest()))
	id := store.NewID(time.Now()).String()
	for _, c := range []struct {
		name string
		path string
		ends time.Duration
		gone bool
	}{
		{"one that is held", lease, 59 * time.Minute, false},
		{"one that has just ended", lease, -59 * time.Minute, false},
		{"one that ended long ago", lease, -61 * time.Minute, true},
		{"one that ends too late", lease, 61 * time.Minute, true},
		{"one that is being made", lease + "." + id, -59 * time.Minute, false},
		{"one that was not made to the end", lease + "." + id, -61 * time.Minute, true},
		{"one that was moved away", lease + "-" + id, -61 * time.Minute, true},
	} {
		must(t, os.WriteFile(c.path, nil, 0o600))
		setTime(t, c.path, time.Now().Add(c.ends))
		sweep(t, s, 0)
		if _, err := os.Stat(c.path); errors.Is(err, fs.ErrNotExist) != c.gone {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestTheLimitHolds(t *testing.T) {
	t.Parallel()
	const limit = 512 << 10
	for _, c := range []struct {
		name   string
		stores int
		times  int64 // how many times the limit is stored
		size   func(i int) int
	}{
		{"a hundred times the limit", 1, 100, func(i int) int { return 50_000 }},
		{"small records", 1, 5, func(i int) int { return 1000 }},
		{"large records", 1, 20, func(i int) int { return 300_000 }},
		{"large records after small ones", 1, 10, func(i int) int { return 1000 + i*i*2 }},
		{"small records after large ones", 1, 10, func(i int) int { return max(500, 300_000-i*10_000) }},
		{"records that fill the limit alone", 1, 10, func(i int) int { return limit - 10_000 - i }},
		{"two stores on one directory", 2, 10, func(i int) int { return 1000 + i%3*40_000 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			var stores []*disk.Store
			for range c.stores {
				s, err := disk.Open(dir, &disk.Options{MaxBytes: limit})
				must(t, err)
				defer s.Close()
				stores = append(stores, s)
			}
			written, last := int64(0), store.Key("")
			var newest *store.Record
			for i := 0; written < c.times*limit; i++ {
				last = store.Key(fmt.Sprint("key", i))
				newest = put(t, stores[i%len(stores)], last, c.size(i))
				written += int64(c.size(i)) + 8192
				if _, n, _ := stores[0].Size(t.Context()); n > limit {
					t.Fatalf("after %d records: %d bytes, the limit is %d", i, n, limit)
				}
			}
			lookup(t, stores[0], last, newest)
			if used := onDisk(t, dir); used > limit {
				t.Errorf("%d bytes on the disk, the limit is %d", used, limit)
			}
			n, _, _ := stores[0].Size(t.Context())
			if got := len(files(t, dir, "*.head")); got != n {
				t.Errorf("Size says %d records, there are %d", n, got)
			}
			if left := onDisk(t, dir); c.size(1) < 100_000 && left < limit/2 {
				t.Errorf("only %d bytes are left of %d", left, limit)
			}
		})
	}
}

func TestTheLeastRecentlyUsedGoesFirst(t *testing.T) {
	s, dir := open(t, &disk.Options{MaxBytes: 40 * 8192}) // makes room for a sixteenth more
	for i := range 40 {
		r := put(t, s, store.Key(fmt.Sprint(i)), 100)
		used := time.Now().Add(-time.Duration(2*i+2) * time.Hour) // the first one was used last,
		if i == 0 {
			used = time.Now().Add(2 * time.Hour) // but by a clock that was wrong
		}
		must(t, os.Chtimes(headOf(t, dir, r), used, used))
	}
	find(t, s, "39") // a hit makes it the last but for what is new
	put(t, s, "new", 100)
	for i := range 40 {
		here := len(find(t, s, store.Key(fmt.Sprint(i)))) == 1
		if gone := i == 0 || i >= 36 && i <= 38; here == gone {
			t.Errorf("record %d: here is %v", i, here)
		}
	}
}

func TestABodyBeyondTheLimitIsTooLarge(t *testing.T) {
	s, dir := open(t, &disk.Options{MaxBytes: 1 << 20})
	old := put(t, s, "key", 10)
	if _, err := s.Create(t.Context(), record("key", 2<<20)); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("Create: %v", err)
	}
	r := record("key", 0)
	r.Size = -1
	w, err := s.Create(t.Context(), r)
	must(t, err)
	for range 2 << 4 {
		if _, err = w.Write(make([]byte, 1<<16)); err != nil {
			break
		}
	}
	if !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("Write: %v", err)
	}
	must(t, w.Close())
	lookup(t, s, "key", old)
	if left := files(t, dir, "*.body"); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestUpdateOfALargeBodyWritesOnlyAHead(t *testing.T) {
	s, dir := open(t, nil)
	r := put(t, s, "key", 1<<20)
	body := only(t, dir, "*.body")
	before, err := os.Stat(body)
	must(t, err)
	u := r.Clone()
	for i := range 5 {
		u = u.Clone()
		u.Status = 300 + i
		must(t, s.Update(t.Context(), u))
	}
	after, err := os.Stat(body)
	must(t, err)
	if !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) {
		t.Error("the body was written anew")
	}
	if heads := files(t, dir, "*.head"); len(heads) != 2 {
		t.Errorf("heads after five updates: %q", heads)
	}
	if got := find(t, s, "key"); len(got) != 1 || got[0].Status != 304 {
		t.Errorf("found %v", got)
	}
}

// TestTheLaterUpdateCounts, though the process that made it was killed before it had removed the one before it.
func TestTheLaterUpdateCounts(t *testing.T) {
	s, dir := open(t, nil)
	r := put(t, s, "key", 100)
	u := r.Clone()
	for i := range 10 {
		before := headOf(t, dir, r)
		content, err := os.ReadFile(before)
		must(t, err)
		u = u.Clone()
		u.Status = 300 + i
		must(t, s.Update(t.Context(), u))
		must(t, os.WriteFile(before, content, 0o600))
		if got := find(t, s, "key"); len(got) != 1 || got[0].Status != u.Status {
			t.Fatalf("after update %d an earlier one counts", i)
		}
	}
}

func TestUpdateNeverBringsBackWhatAnotherStoreDeletes(t *testing.T) {
	a, dir := open(t, nil)
	b, err := disk.Open(dir, nil)
	must(t, err)
	defer b.Close()
	updated := 0
	for i := range 300 {
		r := put(t, a, "key", i%2*100_000)
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				err := a.Update(t.Context(), r.Clone())
				if err != nil && !errors.Is(err, store.ErrNotFound) {
					t.Error(err)
				}
			})
		}
		all.Go(func() {
			if err := b.Delete(t.Context(), "key", r.ID); err != nil {
				t.Error(err)
			}
			// Whatever the updates are doing: it is gone from here on.
			if found, err := b.Lookup(t.Context(), "key"); len(found) != 0 || err != nil {
				t.Errorf("after Delete: %d found, %v", len(found), err)
			}
		})
		all.Wait()
		lookup(t, a, "key")
		if err := a.Update(t.Context(), r.Clone()); errors.Is(err, store.ErrNotFound) {
			updated++
		}
	}
	if updated != 300 {
		t.Errorf("%d of 300 updates found nothing", updated)
	}
}

func TestClosedStoreFails(t *testing.T) {
	s, _ := open(t, nil)
	r := put(t, s, "key", 10)
	must(t, s.Close())
	must(t, s.Close())
	_, err := s.Lookup(t.Context(), "key")
	_, open := s.Open(t.Context(), r)
	_, stored := try(s, "other", 10)
	for what, err := range map[string]error{"Lookup": err, "Open": open, "Create": stored,
		"Update": s.Update(t.Context(), r), "Delete": s.Delete(t.Context(), "key")} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestUpdatesKeepTheLimit fills a store, and then updates all records one after the other, each of which takes a file
// more.
func TestUpdatesKeepTheLimit(t *testing.T) {
	const limit = 1 << 20
	s, dir := open(t, &disk.Options{MaxBytes: limit})
	var all []*store.Record
	for i := range limit / 8192 {
		all = append(all, put(t, s, store.Key(fmt.Sprint(i)), 100))
	}
	updated := 0
	for _, r := range all {
		if err := s.Update(t.Context(), r.Clone()); err == nil {
			updated++
		} else if !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
		if _, size, err := s.Size(t.Context()); err != nil || size > limit {
			t.Fatalf("after %d updates %d bytes, want %d at most; %v", updated, size, limit, err)
		}
	}
	if updated < 20 || onDisk(t, dir) > limit {
		t.Errorf("%d updates, %d bytes in files, want %d at most", updated, onDisk(t, dir), limit)
	}
}
