//go:build unix

package disk_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/disk"
)

// foreign are things that somebody else may put in the place of a file or folder.
var foreign = map[string]func(path string) error{
	"pipe":          func(path string) error { return syscall.Mkfifo(path, 0o600) },
	"file":          func(path string) error { return os.WriteFile(path, nil, 0o600) },
	"folder":        func(path string) error { return os.Mkdir(path, 0o700) },
	"full folder":   func(path string) error { return os.MkdirAll(filepath.Join(path, "in", "it"), 0o700) },
	"link out":      func(path string) error { return os.Symlink(os.TempDir(), path) },
	"dangling link": func(path string) error { return os.Symlink("nothing", path) },
	"link to self":  func(path string) error { return os.Symlink(filepath.Base(path), path) },
}

// holder is who takes a lease.
var holder = store.ID{1}

func TestForeignThingsUnderOurNamesAreMisses(t *testing.T) {
	t.Parallel()
	const size = 100_000 // in a file of its own
	digest := fmt.Sprintf("%x", store.Key("key").Digest())
	other := "0"
	if strings.HasSuffix(digest, other) {
		other = "1"
	}
	fan, leases := "v1/"+digest[:1], "v1/leases"
	log := fmt.Sprintf("%s/index/%x", fan, sha256.Sum256([]byte("ukey")))[:len(fan+"/index/")+1] // of the URL
	for place, find := range map[string]func(*testing.T, string, *store.Record) string{
		"the head that counts": func(t *testing.T, dir string, r *store.Record) string { return headOf(t, dir, r) },
		"the body":             func(t *testing.T, dir string, r *store.Record) string { return bodyFileOf(t, dir, r) },
		"the key's folder":     at(fan + "/" + digest),
		"the log":              at(log),
		"the index":            at(fan + "/index"),
		"the fan":              at(fan),
		"the ledger":           at("v1/usage-00000001"),
		"the next ledger":      at("v1/usage-00000002"),
		"the lease":            at(leases + "/" + digest),
		"a lease being made":   at(leases + "/" + digest + "." + holder.String()),
		"a lease moved away": func(t *testing.T, dir string, _ *store.Record) string {
			lease := filepath.Join(dir, leases, digest)
			must(t, os.MkdirAll(filepath.Dir(lease), 0o700))
			must(t, os.WriteFile(lease, nil, 0o600)) // it has ended
			return lease + "-" + holder.String()
		},
		"the folder of leases": at(leases),
		"the head of another":  at(fan + "/" + digest[:63] + other + ".head"),
	} {
		for kind, make := range foreign {
			for _, updated := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s in the place of %s, updated %v", kind, place, updated), func(t *testing.T) {
					s, dir := open(t, nil)
					r := put(t, s, "key", size)
					if updated { // then there is a folder of the key
						must(t, s.Update(t.Context(), r))
					}
					path := find(t, dir, r)
					must(t, os.RemoveAll(path))
					must(t, os.MkdirAll(filepath.Dir(path), 0o700))
					must(t, make(path))
					within(t, func() { tryAll(t, s, size) })
					must(t, s.Close())
					s, err := disk.Open(dir, nil)
					must(t, err)
					defer s.Close()
					within(t, func() { tryAll(t, s, size) })
				})
			}
		}
	}
}

func at(path string) func(*testing.T, string, *store.Record) string {
	return func(_ *testing.T, dir string, _ *store.Record) string { return filepath.Join(dir, path) }
}

// within fails unless do returns soon.
func within(t *testing.T, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("it hangs")
	}
}

// tryAll wants that nothing is worse than damage, and that what is stored now can be had.
func tryAll(t *testing.T, s *disk.Store, size int) {
	miss := func(what string, err error) {
		if err != nil && !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	found, err := s.Lookup(t.Context(), "key")
	miss("Lookup", err)
	for _, r := range found {
		miss("Open", verify(s, r))
	}
	if held, err := s.Lease(t.Context(), "key", holder, time.Minute); !held || err != nil {
		t.Errorf("Lease: %v, %v", held, err)
	}
	for _, err := range s.Find(t.Context(), store.Query{URL: "key"}) {
		miss("Find", err)
	}
	for _, err := range s.Find(t.Context(), store.Query{}) {
		miss("Find all", err)
	}
	_, err = s.Sweep(t.Context(), time.Now())
	miss("Sweep", err)
	must(t, s.Delete(t.Context(), "key"))
	lookup(t, s, "key")
	r := put(t, s, "key", size)
	must(t, s.Update(t.Context(), r))
	lookup(t, s, "key", r)
	n := 0
	for _, err := range s.Find(t.Context(), store.Query{URL: "key"}) {
		miss("Find what was stored", err)
		n++
	}
	if n != 1 {
		t.Errorf("Find what was stored: %d", n)
	}
	_, err = s.Sweep(t.Context(), time.Now())
	miss("Sweep", err)
	must(t, s.Delete(t.Context(), "key"))
	must(t, s.Release(t.Context(), "key", holder))
}
