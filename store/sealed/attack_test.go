package sealed

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/disk"
	"github.com/larder-go/larder/store/memory"
)

// segment n of a sealed body of at least n+1 whole segments.
func segmentOf(body []byte, n int64) []byte { return body[segmentAt(n):segmentAt(n+1)] }

// Whoever can write to the inner store may move, cut, recombine or make up what it holds: nothing of that is served.
// Each attack is on the records a and variant of one key, and b of another; all have bodies of three and a half
// segments.
func TestAttacks(t *testing.T) {
	const size = 3*segmentSize + segmentSize/2
	for _, c := range []struct {
		name  string
		forge func(a, variant, b *stolen)
	}{
		{"bodies of two URLs swapped", func(a, _, b *stolen) { a.body, b.body = b.body, a.body }},
		{"bodies of two variants swapped", func(a, v, _ *stolen) { a.body, v.body = v.body, a.body }},
		{"heads of two URLs swapped", func(a, _, b *stolen) { a.Header, b.Header = b.Header, a.Header }},
		{"heads of two variants swapped", func(a, v, _ *stolen) { a.Header, v.Header = v.Header, a.Header }},
		{"head and body swapped with those of another URL", func(a, _, b *stolen) {
			a.Header, b.Header, a.body, b.body = b.Header, a.Header, b.body, a.body
		}},
		{"moved to another URL", func(a, _, b *stolen) { a.Key, b.Key = b.Key, a.Key }},
		{"copied to another URL", func(a, _, b *stolen) {
			key := b.Key
			b.Record, b.body = a.Clone(), a.body
			b.Key = key
		}},
		{"under a new id", func(a, _, _ *stolen) { a.ID = store.NewID(time.Now()) }},
		{"cut by a byte", func(a, _, _ *stolen) { a.body = a.body[:len(a.body)-1] }},
		{"cut after a segment", func(a, _, _ *stolen) { a.body = a.body[:segmentAt(2)] }},
		{"cut to the prefix", func(a, _, _ *stolen) { a.body = a.body[:prefixSize] }},
		{"cut to nothing", func(a, _, _ *stolen) { a.body = nil }},
		{"a byte more", func(a, _, _ *stolen) { a.body = append(bytes.Clone(a.body), 0) }},
		{"a segment more", func(a, _, _ *stolen) { a.body = append(bytes.Clone(a.body), segmentOf(a.body, 0)...) }},
		{"segments swapped", func(a, _, _ *stolen) {
			a.body = slices.Concat(a.body[:prefixSize], segmentOf(a.body, 1), segmentOf(a.body, 0), a.body[segmentAt(2):])
		}},
		{"a segment twice", func(a, _, _ *stolen) {
			a.body = slices.Concat(a.body[:segmentAt(1)], segmentOf(a.body, 0), a.body[segmentAt(2):])
		}},
		{"a segment left out", func(a, _, _ *stolen) { a.body = slices.Concat(a.body[:segmentAt(1)], a.body[segmentAt(2):]) }},
		{"a segment of another body", func(a, v, _ *stolen) {
			a.body = slices.Concat(a.body[:segmentAt(1)], segmentOf(v.body, 1), a.body[segmentAt(2):])
		}},
		{"the prefix of another body", func(a, v, _ *stolen) { a.body = slices.Concat(v.body[:prefixSize], a.body[prefixSize:]) }},
		{"the head as the body", func(a, _, _ *stolen) { a.body = []byte(a.Header[headField][0]) }},
		{"the first segment as the head", func(a, _, _ *stolen) { a.Header[headField] = []string{string(a.body[:segmentAt(1)])} }},
		{"another version", func(a, _, _ *stolen) { a.Header[headField] = []string{"\x02" + a.Header[headField][0][1:]} }},
		{"no head", func(a, _, _ *stolen) { a.Header = http.Header{"Etag": {"forged"}} }},
		{"an empty head", func(a, _, _ *stolen) { a.Header[headField] = []string{""} }},
		{"two heads", func(a, v, _ *stolen) {
			a.Header[headField] = []string{a.Header[headField][0], v.Header[headField][0]}
		}},
		{"a plain record", func(a, _, _ *stolen) {
			a.Record = &store.Record{Key: a.Key, ID: a.ID}
			a.URL, a.Status, a.Header = "https://secret.example.com/", 200, http.Header{"Etag": {"forged"}}
			a.body = []byte("forged")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEach(t, func(t *testing.T, inner store.Store) {
				s := seal(t, inner, testKey(1))
				stored := map[store.ID]*store.Record{}
				var all [3]stolen
				for i, key := range []store.Key{"a", "a", "b"} {
					r := keep(t, s, key, size)
					stored[r.ID] = r
					all[i] = steal(t, inner, r.ID)
				}
				must(t, inner.Delete(ctx, all[0].Key))
				must(t, inner.Delete(ctx, all[2].Key))
				c.forge(&all[0], &all[1], &all[2])
				for _, forged := range all {
					must(t, forge(inner, forged))
				}
				wholeA, damagedA := verify(t, s, "a", stored)
				wholeB, damagedB := verify(t, s, "b", stored)
				if !damagedA && !damagedB || len(wholeA)+len(wholeB) > 2 {
					t.Errorf("reported: %v, %v; whole: %v, %v; want damage reported, and two records whole at most", damagedA, damagedB, wholeA, wholeB)
				}
				if _, damaged := verify(t, s, "a", stored); damaged {
					t.Error("what was reported is not removed")
				}
			})
		})
	}
}

func TestEveryByteCounts(t *testing.T) {
	const size = 100
	inner := new(memory.Store)
	s := seal(t, inner, testKey(1))
	r := keep(t, s, "key", size)
	stored := map[store.ID]*store.Record{r.ID: r}
	good := steal(t, inner, r.ID)
	head := good.Header[headField][0]
	check := func(what string, at int, forged stolen) {
		t.Helper()
		must(t, forge(inner, forged))
		if whole, damaged := verify(t, s, "key", stored); len(whole) > 0 || !damaged {
			t.Errorf("%s: byte %d changed: whole: %v, damage reported: %v", what, at, whole, damaged)
		}
		if whole, damaged := verify(t, s, "key", stored); len(whole) > 0 || damaged {
			t.Errorf("%s: byte %d changed: it is not removed", what, at)
		}
	}
	for at := range head {
		forged := stolen{good.Clone(), good.body}
		forged.Header = http.Header{headField: {flipped(head, at)}}
		check("head", at, forged)
	}
	for at := range good.body {
		check("body", at, stolen{good.Record, flipped(good.body, at)})
	}
	must(t, forge(inner, good))
	if whole, damaged := verify(t, s, "key", stored); len(whole) != 1 || damaged {
		t.Errorf("put back as it was: whole: %v, damaged: %v", whole, damaged)
	}
}

// A body of three segments is read from where it is, so that damage is found on the way.
func TestEveryPartOfALongBodyCounts(t *testing.T) {
	const size = 2*segmentSize + 1000
	inner := openDisk(t)
	s := seal(t, inner, testKey(1))
	r := keep(t, s, "key", size)
	good := steal(t, inner, r.ID)
	want := bodyOf(r.ID, size)
	for _, at := range []int64{0, 1, 7, 8, 31, 32, 33, segmentAt(1) - 17, segmentAt(1) - 1, segmentAt(1), segmentAt(2) - 1, segmentAt(2), segmentAt(2) + 999, segmentAt(2) + 1015} {
		must(t, forge(inner, stolen{good.Record, flipped(good.body, int(at))}))
		got, err := readAll(s, r)
		if !errors.Is(err, store.ErrCorrupt) || !bytes.HasPrefix(want, got) {
			t.Errorf("byte %d changed: %d bytes, %v; want ErrCorrupt after right ones", at, len(got), err)
		}
		if found, err := s.Lookup(ctx, "key"); len(found) > 0 || err != nil {
			t.Errorf("byte %d changed: %d records, %v; want it removed", at, len(found), err)
		}
	}
}

// What the inner store sees in the clear is a copy: changing it changes nothing that is served.
func TestCopiesInTheClearAreNotBelieved(t *testing.T) {
	onEach(t, func(t *testing.T, inner store.Store) {
		s := seal(t, inner, testKey(1))
		r := keep(t, s, "key", 100)
		forged := steal(t, inner, r.ID)
		forged.Method, forged.URL, forged.Status, forged.Length = "PUT", "https://forged.example.com/", 500, 7
		forged.Tags = []string{"forged"}
		forged.Header["Etag"], forged.Trailer, forged.Selecting = []string{"forged"}, http.Header{"A": {"b"}}, http.Header{"A": {"b"}}
		forged.Requested, forged.Received = time.Now().Add(time.Hour), time.Now().Add(time.Hour)
		forged.TTL, forged.StaleIfError, forged.FreshUntil, forged.KeepUntil = time.Hour, time.Hour, time.Now().Add(99*time.Hour), time.Time{}
		must(t, forge(inner, forged))
		if whole, damaged := verify(t, s, "key", map[store.ID]*store.Record{r.ID: r}); len(whole) != 1 || damaged {
			t.Errorf("whole: %v, damaged: %v; want the record as it was stored", whole, damaged)
		}
	})
}

// The documentation says so.
func TestAnOldHeadPutBackIsServed(t *testing.T) {
	inner := new(memory.Store)
	s := seal(t, inner, testKey(1))
	r := keep(t, s, "key", 100)
	old := steal(t, inner, r.ID)
	updated := r.Clone()
	updated.Status = 203
	must(t, s.Update(ctx, updated))
	if whole, _ := verify(t, s, "key", map[store.ID]*store.Record{r.ID: updated}); len(whole) != 1 {
		t.Fatal("the update is not seen")
	}
	must(t, forge(inner, old))
	if whole, damaged := verify(t, s, "key", map[store.ID]*store.Record{r.ID: r}); len(whole) != 1 || damaged {
		t.Errorf("an old head put back: whole: %v, damaged: %v", whole, damaged)
	}
}

func TestNothingIsInTheClear(t *testing.T) {
	dir := t.TempDir()
	inner, err := disk.Open(dir, nil)
	must(t, err)
	defer inner.Close()
	s := seal(t, inner, testKey(1))
	telling := []string{"secret", "Secret", "example.com", "GET", "HTTP/1.1", "Content-Type", "Etag", "a plain body"}
	for i, size := range []int{0, 100, 100_000} {
		r := record(store.Key("secret key " + string(rune('a'+i))))
		put(t, s, r, []byte(strings.Repeat("a plain body ", size/13)))
		must(t, s.Update(ctx, r))
		telling = append(telling, string(r.Key))
	}
	files := 0
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		for _, what := range telling {
			if bytes.Contains(b, []byte(what)) || strings.Contains(path[len(dir):], what) {
				t.Errorf("%s holds %q", path[len(dir):], what)
			}
		}
		return err
	}))
	if files < 5 {
		t.Errorf("%d files looked at", files)
	}
}
