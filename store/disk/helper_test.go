package disk_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/disk"
)

func open(t testing.TB, o *disk.Options) (*disk.Store, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := disk.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, dir
}

// bodyOf is what the body of the record with this ID has to be.
func bodyOf(id store.ID, size int) []byte {
	return bytes.Repeat(id[:], size/len(id)+1)[:size]
}

func record(key store.Key, size int) *store.Record {
	now := time.Now()
	return &store.Record{Key: key, ID: store.NewID(now), Size: int64(size), Head: store.Head{
		Method: "GET", URL: string(key), Status: 200, Proto: "HTTP/1.1", Length: int64(size), Requested: now, Received: now,
		Header: http.Header{"Content-Type": {"text/plain"}, "Etag": {`"1"`}, "Date": {"Mon, 23 Nov 2026 05:00:00 GMT"},
			"Cache-Control": {"max-age=600"}, "Server": {"origin"}, "Vary": {"Accept-Encoding"}},
	}}
}

func put(t testing.TB, s store.Store, key store.Key, size int, superseded ...store.ID) *store.Record {
	t.Helper()
	r, err := try(s, key, size, superseded...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func try(s store.Store, key store.Key, size int, superseded ...store.ID) (*store.Record, error) {
	r := record(key, size)
	w, err := s.Create(context.Background(), r)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	for p := bodyOf(r.ID, size); len(p) > 0; {
		n, err := w.Write(p[:min(len(p), 32<<10)])
		if err != nil {
			return nil, err
		}
		p = p[n:]
	}
	return r, w.Commit(r, superseded...)
}

// only returns the path of the only file that matches, in a fan or in the folder of a key.
func only(t testing.TB, dir, pattern string) string {
	t.Helper()
	paths := files(t, dir, pattern)
	if len(paths) != 1 {
		t.Fatalf("%d files %s, want 1: %q", len(paths), pattern, paths)
	}
	return paths[0]
}

// files returns those of records.
func files(t testing.TB, dir, pattern string) (paths []string) {
	t.Helper()
	for _, in := range []string{"?", "?/*"} {
		found, err := filepath.Glob(filepath.Join(dir, "v1", in, pattern))
		must(t, err)
		for _, path := range found {
			if info, err := os.Lstat(path); filepath.Base(filepath.Dir(path)) != "index" && (err != nil || !info.IsDir()) {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// filesOf returns the files of a record, its heads first: the one that counts is the last of them.
func filesOf(t testing.TB, dir string, r *store.Record) (heads, bodies []string) {
	t.Helper()
	id := r.ID.String()
	for _, path := range files(t, dir, firstName(r.Key)) {
		if b, err := os.ReadFile(path); err == nil && len(b) > 40 && bytes.Equal(b[24:40], r.ID[:]) {
			heads = append(heads, path)
		}
	}
	heads = append(heads, files(t, dir, id+".head")...)
	heads = append(heads, files(t, dir, id+"-*.head")...)
	return heads, files(t, dir, "*-"+id+".body")
}

func headOf(t testing.TB, dir string, r *store.Record) string {
	t.Helper()
	heads, _ := filesOf(t, dir, r)
	if len(heads) == 0 {
		t.Fatalf("no head of %s", r.ID)
	}
	return heads[len(heads)-1]
}

func bodyFileOf(t testing.TB, dir string, r *store.Record) string {
	t.Helper()
	_, bodies := filesOf(t, dir, r)
	if len(bodies) != 1 {
		t.Fatalf("bodies of %s: %q", r.ID, bodies)
	}
	return bodies[0]
}

func firstName(key store.Key) string { return fmt.Sprintf("%x.head", key.Digest()) }

// flip inverts one byte of a file.
func flip(path string, at int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		return err
	}
	b[0] ^= 0xff
	_, err = f.WriteAt(b[:], at)
	return err
}

// onDisk returns what the records take, as the documentation of MaxBytes says, reckoned from the files.
func onDisk(t *testing.T, dir string) (sum int64) {
	for _, path := range files(t, dir, "*") {
		info, err := os.Stat(path)
		must(t, err)
		if first, err := os.Stat(firstBeside(path)); err == nil && os.SameFile(first, info) {
			continue // it has both names
		}
		sum += taken(path, info)
	}
	return sum
}

// firstBeside returns the name that a head gets which is written under this path; "" if none is.
func firstBeside(path string) string {
	if !strings.HasSuffix(path, ".temp") {
		return ""
	}
	return path[:len(path)-len("-0123456789abcdef.temp")] + ".head"
}

func taken(path string, info os.FileInfo) int64 {
	n := (info.Size() + 4095) / 4096 * 4096
	if name := filepath.Base(path); len(name) == 64+len(".head") || len(name) == 32+len(".head") { // not of an update
		n += 4096
	}
	return n
}

func inFolder(path string) bool { return len(filepath.Base(filepath.Dir(path))) == 64 }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// setTime sets when a file or folder was last changed.
func setTime(t testing.TB, path string, changed time.Time) {
	t.Helper()
	must(t, os.Chtimes(path, changed, changed))
}

func sweep(t testing.TB, s *disk.Store, want int) {
	t.Helper()
	if n, err := s.Sweep(t.Context(), time.Now()); n != want || err != nil {
		t.Errorf("Sweep: %d, %v; want %d", n, err, want)
	}
}

func find(t testing.TB, s store.Store, key store.Key) []*store.Record {
	t.Helper()
	found, err := s.Lookup(t.Context(), key)
	must(t, err)
	return found
}

// lookup wants these records under key, and their bodies whole.
func lookup(t testing.TB, s store.Store, key store.Key, want ...*store.Record) {
	t.Helper()
	found := find(t, s, key)
	if got, want := ids(found), ids(want); !slices.Equal(got, want) {
		t.Fatalf("Lookup %q: %v, want %v", key, got, want)
	}
	for _, r := range found {
		must(t, verify(s, r))
	}
}

// ids returns the records' IDs, sorted: those of one millisecond have no order.
func ids(all []*store.Record) (ids []store.ID) {
	for _, r := range all {
		ids = append(ids, r.ID)
	}
	slices.SortFunc(ids, store.ID.Compare)
	return ids
}

// verify reads the body of a record that try stored. It returns ErrNotFound and ErrCorrupt only after right bytes.
func verify(s store.Store, r *store.Record) error {
	want := bodyOf(r.ID, int(r.Size))
	if r.Body != nil && !bytes.Equal(r.Body, want) {
		return fmt.Errorf("wrong bytes in the inline body of %s", r.ID)
	}
	body, err := s.Open(context.Background(), r)
	if err != nil {
		return err
	}
	defer body.Close()
	got, err := io.ReadAll(body)
	if !bytes.HasPrefix(want, got) || err == nil && len(got) != len(want) {
		return fmt.Errorf("wrong bytes in the body of %s: %d of %d, %v", r.ID, len(got), len(want), err)
	}
	return err
}
