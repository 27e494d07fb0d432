package disk_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/disk"
)

// corruptions are ways to spoil a file at one place.
var corruptions = []struct {
	name string
	do   func(b []byte, at int) []byte
}{
	{"one bit", func(b []byte, at int) []byte { b[at] ^= 1 << (at % 8); return b }},
	{"one byte", func(b []byte, at int) []byte { b[at] ^= 0xff; return b }},
	{"cut", func(b []byte, at int) []byte { return b[:at] }},
	{"zeros to the end, as after a power cut", func(b []byte, at int) []byte { clear(b[at:]); return b }},
	{"a byte too many", func(b []byte, at int) []byte { return append(b[:at+1], b[at:]...) }},
}

func TestDamageOfAHeadAtEveryByteIsAMiss(t *testing.T) {
	t.Parallel()
	for _, c := range corruptions {
		t.Run(c.name, func(t *testing.T) {
			s, dir := open(t, nil)
			good := put(t, s, "key", 50)
			path := only(t, dir, "*.head")
			whole, err := os.ReadFile(path)
			must(t, err)
			for at := range whole {
				spoilt := c.do(append([]byte(nil), whole...), at)
				if string(spoilt) == string(whole) {
					continue
				}
				must(t, os.MkdirAll(filepath.Dir(path), 0o700))
				must(t, os.WriteFile(path, spoilt, 0o600))
				found, err := s.Lookup(t.Context(), "key")
				if len(found) != 0 || !errors.Is(err, store.ErrCorrupt) {
					t.Fatalf("byte %d of %d: Lookup: %v, %v", at, len(whole), found, err)
				}
				if _, err := s.Open(t.Context(), good); !errors.Is(err, store.ErrNotFound) {
					t.Fatalf("byte %d: Open: %v", at, err)
				}
				lookup(t, s, "key") // it is removed
			}
			lookup(t, s, "key", put(t, s, "key", 50))
		})
	}
}

func TestDamageOfABodyIsNeverAWrongByte(t *testing.T) {
	t.Parallel()
	const size = 5*65536 + 1000
	for _, c := range corruptions {
		t.Run(c.name, func(t *testing.T) {
			s, dir := open(t, nil)
			template := put(t, s, "key", size)
			whole, err := os.ReadFile(only(t, dir, "*.body"))
			must(t, err)
			places := []int{0, 1, 65535, 65536, 65537, 3 * 65536, size - 1}
			for at := size; at < len(whole); at++ { // all of the checksums and the footer
				places = append(places, at)
			}
			for _, at := range places {
				path := only(t, dir, "*.body")
				spoilt := c.do(append([]byte(nil), whole...), at)
				if string(spoilt) == string(whole) {
					continue
				}
				must(t, os.WriteFile(path, spoilt, 0o600))
				if err := verify(s, template); !errors.Is(err, store.ErrCorrupt) {
					t.Fatalf("byte %d of %d: %v", at, len(whole), err)
				}
				lookup(t, s, "key")
				restore(t, s, template, size)
			}
		})
	}
}

// restore stores r again, with the same ID, so that files saved before fit.
func restore(t *testing.T, s store.Store, r *store.Record, size int) {
	t.Helper()
	w, err := s.Create(t.Context(), r.Clone())
	must(t, err)
	defer w.Close()
	_, err = w.Write(bodyOf(r.ID, size))
	must(t, err)
	must(t, w.Commit(r.Clone()))
}

func TestAFileInTheWrongPlaceIsDamage(t *testing.T) {
	for _, c := range []struct {
		name string
		size int
		head string // where the head of record a is copied to: over the "first" of b, or into the "folder"
		body string // where its body is copied to: over that "of b", or "beside" it
	}{
		{"the head of another", 100, "first", ""},
		{"the head of another with a large body", 200_000, "first", ""},
		{"the body of another", 200_000, "", "of b"},
		{"all of another", 200_000, "first", "of b"},
		{"a small record under another key", 100, "folder", ""},
		{"a large record under another key", 200_000, "folder", "beside"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, dir := open(t, nil)
			a, b := put(t, s, "a", c.size), put(t, s, "b", c.size)
			first := headOf(t, dir, b)
			place := strings.TrimSuffix(first, ".head")
			duplicate := func(from, to string) {
				content, err := os.ReadFile(from)
				must(t, err)
				must(t, os.WriteFile(to, content, 0o600))
			}
			switch c.head {
			case "first":
				duplicate(headOf(t, dir, a), first)
			case "folder":
				must(t, os.Mkdir(place, 0o700))
				duplicate(headOf(t, dir, a), filepath.Join(place, a.ID.String()+".head"))
			}
			switch c.body {
			case "of b":
				duplicate(bodyFileOf(t, dir, a), bodyFileOf(t, dir, b))
			case "beside":
				duplicate(bodyFileOf(t, dir, a), place+"-"+a.ID.String()+".body")
			}
			n := 0
			for r, err := range s.Find(store.Inspect(t.Context()), store.Query{}) {
				if err == nil && r.Key == "a" {
					n++
				}
			}
			if n != 1 {
				t.Errorf("Find yields a %d times", n)
			}
			found, err := s.Lookup(t.Context(), "b")
			faulty := err
			for _, r := range found {
				if r.ID != b.ID {
					t.Errorf("found %s", r.ID)
				}
				if err := verify(s, r); err != nil && !errors.Is(err, store.ErrCorrupt) {
					t.Error(err)
				} else if err != nil {
					faulty = err
				}
			}
			if !errors.Is(faulty, store.ErrCorrupt) {
				t.Errorf("nobody noticed: %v", faulty)
			}
			lookup(t, s, "a", a)
		})
	}
}

func TestABodyThatIsGoneIsDamage(t *testing.T) {
	s, dir := open(t, nil)
	r := put(t, s, "key", 100_000)
	must(t, os.Remove(bodyFileOf(t, dir, r)))
	if _, err := s.Open(store.Inspect(t.Context()), r); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("Open under Inspect: %v", err)
	}
	if found := find(t, s, "key"); len(found) != 1 {
		t.Errorf("%d records after that, want 1", len(found))
	}
	if _, err := s.Open(t.Context(), r); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("Open: %v", err)
	}
	lookup(t, s, "key")
}

func TestSwappedBlocksAreDamage(t *testing.T) {
	s, dir := open(t, nil)
	r := put(t, s, "key", 4*65536)
	path := only(t, dir, "*.body")
	b, err := os.ReadFile(path)
	must(t, err)
	// The body repeats itself, so that the blocks are the same: their checksums must differ all the same.
	sums := b[4*65536:]
	for i := range 4 {
		sums[i], sums[4+i] = sums[4+i], sums[i]
	}
	must(t, os.WriteFile(path, b, 0o600))
	if err := verify(s, r); !errors.Is(err, store.ErrCorrupt) {
		t.Error(err)
	}
}

func TestDamageMidwayComesAfterTheRightBytes(t *testing.T) {
	s, dir := open(t, nil)
	r := put(t, s, "key", 10*65536)
	must(t, flip(only(t, dir, "*.body"), 6*65536+5))
	for _, size := range []int{1000, 65536, 200_000} {
		t.Run(fmt.Sprint("read by ", size), func(t *testing.T) {
			body, err := s.Open(t.Context(), r)
			if errors.Is(err, store.ErrNotFound) && size > 1000 {
				return // the first reader removed it
			}
			must(t, err)
			defer body.Close()
			got, want, buf := 0, bodyOf(r.ID, int(r.Size)), make([]byte, size)
			for err == nil {
				var n int
				n, err = body.Read(buf)
				if string(buf[:n]) != string(want[got:got+n]) {
					t.Fatalf("wrong bytes at %d", got)
				}
				got += n
			}
			if got != 6*65536 || !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("%d bytes, then %v; want %d and ErrCorrupt", got, err, 6*65536)
			}
			if _, err := body.Seek(7*65536, io.SeekStart); err != nil {
				t.Error(err)
			}
			if n, err := body.Read(buf); n == 0 || err != nil {
				t.Errorf("the block behind the damage: %d, %v", n, err)
			}
		})
	}
	lookup(t, s, "key")
}

func TestDamagedRecordsDoNotHideTheOthers(t *testing.T) {
	s, dir := open(t, nil)
	a, b, c := put(t, s, "key", 100), put(t, s, "key", 100_000), put(t, s, "key", 200)
	must(t, flip(headOf(t, dir, b), 60))
	found, err := s.Lookup(t.Context(), "key")
	if got := ids(found); len(got) != 2 || !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("Lookup: %v, %v", got, err)
	}
	if len(found) == 2 && found[0].ID.Time().Before(found[1].ID.Time()) {
		t.Error("not the newest first")
	}
	if heads, bodies := filesOf(t, dir, b); len(heads)+len(bodies) != 0 {
		t.Errorf("left of the damaged record: %q, %q", heads, bodies)
	}
	must(t, os.Remove(headOf(t, dir, c)))
	lookup(t, s, "key", a)
}

func TestFindYieldsDamageInItsPlace(t *testing.T) {
	s, dir := open(t, nil)
	for i := range 10 {
		put(t, s, store.Key(fmt.Sprint(i)), i*10_000)
	}
	bad := put(t, s, "bad", 10)
	must(t, flip(headOf(t, dir, bad), 40))
	good, faults := 0, 0
	for r, err := range s.Find(t.Context(), store.Query{}) {
		switch {
		case err == nil && r.Body == nil:
			good++
		case errors.Is(err, store.ErrCorrupt):
			faults++
		default:
			t.Error(r, err)
		}
	}
	if good != 10 || faults != 1 {
		t.Errorf("%d good, %d damaged", good, faults)
	}
}

func TestSweepRemovesWhatIsDamaged(t *testing.T) {
	for _, where := range []string{"the first", "in the folder", "an update"} {
		t.Run(where, func(t *testing.T) {
			s, dir := open(t, nil)
			r := put(t, s, "key", 100)
			switch where {
			case "in the folder":
				r = put(t, s, "key", 100, r.ID)
			case "an update":
				must(t, s.Update(t.Context(), r.Clone()))
			}
			must(t, flip(headOf(t, dir, r), 20))
			if n, err := s.Sweep(t.Context(), time.Now()); n != 1 || !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("Sweep: %d, %v", n, err)
			}
			if heads, bodies := filesOf(t, dir, r); len(heads)+len(bodies) > 0 {
				t.Errorf("left are %q, %q", heads, bodies)
			}
			if n, bytes, err := s.Size(t.Context()); n != 0 || bytes != 0 || err != nil {
				t.Errorf("Size: %d records of %d bytes, %v", n, bytes, err)
			}
			sweep(t, s, 0)
		})
	}
}

func TestTheLedgerMayBeDamaged(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"gone":  os.Remove,
		"empty": func(path string) error { return os.Truncate(path, 0) },
		"torn":  func(path string) error { return os.Truncate(path, 33) },
		"empty, the next of a full one": func(path string) error {
			return os.WriteFile(strings.TrimSuffix(path, "1")+"2", nil, 0o600)
		},
		"of nought": func(path string) error { return os.WriteFile(path, make([]byte, 200), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			s, dir := open(t, nil)
			for i := range 30 {
				put(t, s, store.Key(fmt.Sprint(i)), 1000*i)
			}
			want := onDisk(t, dir)
			paths, _ := filepath.Glob(filepath.Join(dir, "v1", "usage-*"))
			if len(paths) != 1 {
				t.Fatalf("ledgers: %q", paths)
			}
			must(t, s.Close())
			must(t, spoil(paths[0]))
			paths, _ = filepath.Glob(filepath.Join(dir, "v1", "usage-*"))
			for _, path := range paths {
				setTime(t, path, time.Now().Add(-time.Minute)) // nobody is making it
			}
			s, err := disk.Open(dir, nil)
			must(t, err)
			defer s.Close()
			if n, bytes, err := s.Size(t.Context()); n != 30 || bytes != want || err != nil {
				t.Errorf("before Sweep: %d records, %d bytes, %v; want 30, %d", n, bytes, err, want)
			}
			sweep(t, s, 0)
			if n, bytes, err := s.Size(t.Context()); n != 30 || bytes != want || err != nil {
				t.Errorf("after Sweep: %d records, %d bytes, %v; want 30, %d", n, bytes, err, want)
			}
			put(t, s, "more", 10)
			if n, bytes, _ := s.Size(t.Context()); n != 31 || bytes != want+8192 {
				t.Errorf("after one more: %d records, %d bytes", n, bytes)
			}
		})
	}
}

func TestSweepCountsAfterTheFilesWereTamperedWith(t *testing.T) {
	s, dir := open(t, nil)
	for i := range 10 {
		put(t, s, store.Key(fmt.Sprint(i)), 100_000)
	}
	for _, path := range files(t, dir, "*.head")[:5] {
		must(t, os.Remove(path))
	}
	past := time.Now().Add(-2 * time.Hour)
	for _, path := range files(t, dir, "*.body") {
		setTime(t, path, past)
	}
	if _, err := s.Sweep(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if n, bytes, _ := s.Size(t.Context()); n != 5 || bytes != onDisk(t, dir) {
		t.Errorf("%d records, %d bytes; want 5, %d", n, bytes, onDisk(t, dir))
	}
}
