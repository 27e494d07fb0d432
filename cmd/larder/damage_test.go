package main_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDamagedDatabase shows what becomes of a database file that is damaged: only get sets it aside, whole, and says
// so; who does not want that says damaged=fail.
func TestDamagedDatabase(t *testing.T) {
	for _, test := range []struct {
		name   string
		damage func([]byte) []byte
	}{
		{"a header of garbage", func(b []byte) []byte { return append(bytes.Repeat([]byte("x"), 100), b[100:]...) }},
		{"the second half cut off", func(b []byte) []byte { return b[:len(b)/2] }},
		{"cut off within the first page", func(b []byte) []byte { return b[:3000] }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			u, o := newUser(t, "sqlite:HOME/cache.sqlite"), newOrigin(t)
			url, file := o.URL+"/cache/600", u.path("HOME/cache.sqlite")
			u.ok("get", url, o.URL+"/base64/b25l")
			damaged := test.damage([]byte(read(t, file)))
			write(t, file, string(damaged))

			looked := []string{"ls", "stats", "sweep", "purge --all", "why URL", "show URL", "rm URL", "get --store " + u.store + "?damaged=fail URL"}
			for _, args := range looked {
				r := u.run(strings.Fields(strings.ReplaceAll(args, "URL", url))...)
				if r.code != 1 || !strings.Contains(r.err, file) || !strings.Contains(r.err, "; nothing was changed, ") || strings.Count(r.err, "\n") != 1 {
					t.Errorf("%s: exit code %d, %s", args, r.code, r.err)
				}
			}
			if !bytes.Equal([]byte(read(t, file)), damaged) {
				t.Fatal("the file was changed by looking at it")
			}

			before := o.requests.Load()
			r := u.run("get", url)
			aside, err := filepath.Glob(file + ".damaged-*")
			if err != nil || r.code != 0 || len(r.out) == 0 || o.requests.Load() != before+1 {
				t.Fatalf("get: exit code %d, %s", r.code, r.err)
			}
			aside = deleteSuffixes(aside, "-wal", "-shm")
			if len(aside) != 1 || !bytes.Equal([]byte(read(t, aside[0])), damaged) {
				t.Fatalf("set aside are %v, want the file as it was", aside)
			}
			if !strings.HasPrefix(r.err, "larder: the store was damaged (") || !strings.Contains(r.err, "; it is now "+aside[0]+", and a new one takes its place\n") ||
				strings.Count(r.err, "\n") != 1 {
				t.Fatalf("get says %s", r.err)
			}
			if a := u.answer(0, "--offline", url); a.Outcome != "hit" {
				t.Fatalf("then it is a %s, want a hit from the new file", a.Outcome)
			}
		})
	}
}

func deleteSuffixes(names []string, suffixes ...string) []string {
	var left []string
next:
	for _, name := range names {
		for _, suffix := range suffixes {
			if strings.HasSuffix(name, suffix) {
				continue next
			}
		}
		left = append(left, name)
	}
	return left
}

// TestDamageInFiles shows that a damaged response among files is a miss, told of, and the others are as they were.
func TestDamageInFiles(t *testing.T) {
	t.Parallel()
	u, o := newUser(t, "disk:HOME/files"), newOrigin(t)
	url := o.URL + "/bytes/200000?seed=1"
	whole := u.ok("get", "--ttl", "1h", url)
	damaged := 0
	err := filepath.WalkDir(u.path("HOME/files"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if b := read(t, path); strings.Contains(b, whole[:1000]) {
			damaged++
			write(t, path, strings.Replace(b, whole[500:600], strings.Repeat("x", 100), 1))
		}
		return nil
	})
	if err != nil || damaged != 1 {
		t.Fatalf("%d files damaged, %v", damaged, err)
	}
	u.ok("get", "--ttl", "1h", o.URL+"/uuid")
	r := u.run("get", "--ttl", "1h", url)
	if r.code == 0 && r.out != whole || r.code != 0 && !strings.Contains(r.err, "stored bytes are damaged") {
		t.Errorf("exit code %d, %d bytes, and it says %s", r.code, len(r.out), r.err)
	}
	if again := u.ok("get", "--ttl", "1h", url); again != whole {
		t.Error("the next time it is still damaged")
	}
	if a := u.answer(0, "--offline", o.URL+"/uuid"); a.Outcome != "hit" {
		t.Errorf("the other response is a %s", a.Outcome)
	}
}
