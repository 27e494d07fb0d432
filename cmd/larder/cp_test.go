package main_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/disk"
	"github.com/larder-go/larder/store/redis"
	"github.com/larder-go/larder/store/sqlite"
)

// contents are the heads and bodies of a store by ID.
type contents map[store.ID][2]string

// filledSQLite makes a database of n responses, most small, some of several megabytes, with variants, tags and notes'
// like.
func filledSQLite(t *testing.T, path string, n int) contents {
	t.Helper()
	db, err := sqlite.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	random := mathrand.New(mathrand.NewPCG(1, 2))
	all := make(contents)
	now := time.Now().Add(-time.Hour)
	for i := range n {
		size := random.IntN(2000)
		switch {
		case i%1000 == 7:
			size = 1<<20 + random.IntN(2<<20)
		case i%100 == 3:
			size = random.IntN(200 << 10)
		case i%50 == 0:
			size = 0
		}
		body := make([]byte, size)
		rand.Read(body)
		r := &store.Record{Key: store.Key(fmt.Sprintf("key\x00\xff%d", i/2)), ID: store.NewID(now.Add(time.Duration(i) * time.Millisecond)), Size: int64(size),
			KeepUntil: time.Now().Add(time.Hour), Tags: []string{"all", fmt.Sprint("mod", i%3)}}
		r.Method, r.URL, r.Status, r.Proto = "GET", fmt.Sprintf("https://h%d.example/%d?q=ü", i%7, i), 200, "HTTP/1.1"
		r.Header = http.Header{"Content-Type": {"application/octet-stream"}, "X-N": {fmt.Sprint(i), "\xff"}}
		r.Selecting = http.Header{"Accept-Language": {fmt.Sprint(i % 2)}}
		r.Requested, r.Received = now.Add(-time.Second), now.Add(time.Duration(i)*time.Microsecond)
		r.FreshUntil = now.Add(30 * time.Minute)
		w, err := db.Create(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(body); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(r); err != nil {
			t.Fatal(err)
		}
		w.Close()
		all[r.ID] = [2]string{headText(t, r), string(body)}
	}
	return all
}

// headText is all of a record but its body, in one order.
func headText(t *testing.T, r *store.Record) string {
	t.Helper()
	var d store.Decoder
	r, err := d.Head(store.AppendHead(nil, r))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%q %v %+v %d %v %v %q", r.Key, r.ID, r.Head, r.Size, r.FreshUntil.UTC(), r.KeepUntil.UTC(), r.Tags)
}

// contentsOf reads all of a store.
func contentsOf(t *testing.T, s interface {
	store.Store
	store.Finder
}) contents {
	t.Helper()
	all := make(contents)
	for r, err := range s.Find(t.Context(), store.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		body := r.Body
		if r.Size > 0 && body == nil {
			rc, err := s.Open(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			if body, err = io.ReadAll(rc); err != nil {
				t.Fatal(err)
			}
			rc.Close()
		}
		all[r.ID] = [2]string{headText(t, r), string(body)}
	}
	return all
}

// same compares two stores byte for byte.
func same(t *testing.T, what string, got, want contents) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d responses, want %d", what, len(got), len(want))
	}
	wrong := 0
	for id, w := range want {
		if got[id] != w {
			if wrong++; wrong < 5 {
				t.Errorf("%s: %s differs", what, id)
			}
		}
	}
}

func sqliteContents(t *testing.T, path string) contents {
	t.Helper()
	db, err := sqlite.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	return contentsOf(t, db)
}

type copied struct {
	Copied, Present, Updated, Ended, Damaged, Refused, Failed int
	Bytes                                                     int64
}

func (u *user) cp(args ...string) (c copied, code int) {
	u.t.Helper()
	r := u.run(append([]string{"cp", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(r.out), &c); err != nil {
		u.t.Fatalf("cp %v: code %d, %s%s", args, r.code, r.out, r.err)
	}
	return c, r.code
}

// TestCopyToRedisAndBack is what larder cp promises: 10000 responses of a SQLite file, to Redis and back, are
// byte-identical.
func TestCopyToRedisAndBack(t *testing.T) {
	address := os.Getenv("REDIS_URL")
	if address == "" {
		t.Skip("REDIS_URL names no Redis")
	}
	const all = 10_000
	u := newUser(t, "")
	first, back := filepath.Join(u.home, "first.sqlite"), filepath.Join(u.home, "back.sqlite")
	want := filledSQLite(t, first, all)
	middle := address + "?prefix=cp" + strings.ToLower(rand.Text())
	db, err := redis.Open(t.Context(), middle, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	defer func() { // the server is other tests', too
		for r, err := range db.Find(context.Background(), store.Query{}) {
			if err == nil {
				db.Delete(context.Background(), r.Key)
			}
		}
	}()
	for i, step := range [][2]string{{"sqlite:" + first, middle}, {middle, "sqlite:" + back}} {
		c, code := u.cp(step[0], step[1])
		if code != 0 || c.Copied != all || c.Failed+c.Damaged+c.Refused+c.Present > 0 {
			t.Errorf("step %d: code %d, %+v", i, code, c)
		}
	}
	same(t, "in Redis", contentsOf(t, db), want)
	same(t, "back", sqliteContents(t, back), want)
	if c, code := u.cp(middle, "sqlite:"+back); code != 0 || c.Copied != 0 || c.Present != all {
		t.Errorf("again: code %d, %+v", code, c)
	}
}

func TestCopyToFiles(t *testing.T) {
	t.Parallel()
	u := newUser(t, "")
	first, dir := filepath.Join(u.home, "first.sqlite"), filepath.Join(u.home, "files")
	want := filledSQLite(t, first, 300)
	if c, code := u.cp("--host", "h1.example", "sqlite:"+first, "disk:"+dir); code != 0 || c.Copied != 43 {
		t.Errorf("of one host: code %d, %+v", code, c)
	}
	if c, code := u.cp("sqlite:"+first, "disk:"+dir); code != 0 || c.Copied != 257 || c.Present != 43 {
		t.Errorf("the rest: code %d, %+v", code, c)
	}
	files, err := disk.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	same(t, "in files", contentsOf(t, files), want)
	if out := u.ok("cp", "disk:"+dir, "sqlite:"+first); !strings.HasPrefix(out, "copied     0 responses, 0 B in ") || !strings.Contains(out, "\npresent    300\n") {
		t.Errorf("it says\n%s", out)
	}
}

// TestCopyPassesOverDamage damages one body of a disk store, whose copy is then not made.
func TestCopyPassesOverDamage(t *testing.T) {
	t.Parallel()
	u := newUser(t, "")
	dir := filepath.Join(u.home, "files")
	want := filledSQLite(t, filepath.Join(u.home, "first.sqlite"), 50)
	u.cp("sqlite:"+filepath.Join(u.home, "first.sqlite"), "disk:"+dir)
	damageBody(t, dir)
	c, code := u.cp("disk:"+dir, "sqlite:"+filepath.Join(u.home, "back.sqlite"))
	if code != 1 || c.Damaged != 1 || c.Copied != len(want)-1 {
		t.Errorf("code %d, %+v", code, c)
	}
}

// damageBody changes one bit of the largest file in the folder of a disk store.
func damageBody(t *testing.T, dir string) {
	t.Helper()
	largest, size := "", int64(0)
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > size {
			largest, size = path, info.Size()
		}
		return err
	})
	if err != nil || largest == "" {
		t.Fatalf("no file in %s, %v", dir, err)
	}
	b := []byte(read(t, largest))
	b[len(b)-5] ^= 0x40
	write(t, largest, string(b))
}

func TestWrongCopies(t *testing.T) {
	t.Parallel()
	u := newUser(t, "")
	for args, want := range map[string]string{
		"cp sqlite:a.sqlite":                   "1 store given, want two: FROM and TO",
		"cp a b":                               `store "a": it names no kind of store`,
		"cp memory: ftp:b":                     `there is no kind of store "ftp"`,
		"cp --compress sqlite:a.sqlite disk:b": "--compress and --encrypt-key-file are not for it",
		"cp --match [ sqlite:a.sqlite disk:b":  "--match: ",
	} {
		if r := u.run(strings.Fields(args)...); r.code != 2 || !strings.Contains(r.err, want) {
			t.Errorf("larder %s: code %d, %s, want %s", args, r.code, r.err, want)
		}
	}
}
