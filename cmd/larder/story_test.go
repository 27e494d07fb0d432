package main_test

import (
	"os"
	"strings"
	"testing"
)

// TestStory is the README's: the second time the answer comes from the store, without touching the network.
func TestStory(t *testing.T) {
	for _, test := range []struct{ name, store, file string }{
		{"in SQLite, by default", "", "CACHE/larder/cache.sqlite"},
		{"in an SQLite file in folders that are not there yet", "sqlite:~/a/b/c.sqlite?max-bytes=10MiB", "HOME/a/b/c.sqlite"},
		{"in files", "disk:~/files", "HOME/files"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			u, o := newUser(t, test.store), newOrigin(t)
			url := o.URL + "/cache/600"
			if _, err := os.Stat(u.path(test.file)); err == nil {
				t.Fatal("there is a store before the first request")
			}

			first := u.run("get", "-v", url)
			if first.code != 0 || !strings.Contains(first.err, url+" 200: miss, nothing is stored (RFC 9111 §4); stored, fresh for 10m") {
				t.Fatalf("first: exit code %d, %s", first.code, first.err)
			}
			if _, err := os.Stat(u.path(test.file)); err != nil {
				t.Fatal(err)
			}
			o.Close()

			second := u.run("get", "-v", url)
			if second.code != 0 || !strings.Contains(second.err, url+" 200: hit, fresh (RFC 9111 §4.2); age ") {
				t.Fatalf("second: exit code %d, %s", second.code, second.err)
			}
			if second.out != first.out || first.out == "" {
				t.Fatalf("the body is %q, and was %q", second.out, first.out)
			}
			if n := strings.Count(first.err+second.err, "\n"); n != 2 {
				t.Fatalf("%d lines on standard error, want one a request:\n%s%s", n, first.err, second.err)
			}
			if n := o.requests.Load(); n != 1 {
				t.Fatalf("%d requests reached the origin, want 1", n)
			}
			if why := u.ok("why", url); !strings.Contains(why, "verdict    answered from the store\n") {
				t.Fatalf("why says:\n%s", why)
			}
		})
	}
}

// TestMemory shows that memory: lasts as long as the program runs.
func TestMemory(t *testing.T) {
	t.Parallel()
	u, o := newUser(t, "memory:"), newOrigin(t)
	url := o.URL + "/cache/600"
	for range 2 {
		if r := u.run("get", "-v", url, url); r.code != 0 || !strings.Contains(r.err, "200: miss") || !strings.Contains(r.err, "200: hit") {
			t.Fatalf("exit code %d, %s", r.code, r.err)
		}
	}
	if n := o.requests.Load(); n != 2 {
		t.Fatalf("%d requests reached the origin, want one a run", n)
	}
	if left, err := os.ReadDir(u.home); err != nil || len(left) > 0 {
		t.Fatalf("there is %v (%v) in the user's folder, want nothing", left, err)
	}
}
