package integration

import (
	"errors"
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

var powerCuts = flag.Int("powercuts", 0, "how often TestPowerCut cuts the power under each store, as root, with loop devices, mkfs.ext4 and mkfs.xfs; 0: not at all")

// TestPowerCut looks at what is on a disk at one moment, while clients work, as if the machine had lost its power then.
// The disk is a file that is cloned, with a file system in it that writes its metadata each second, wherever the data
// are by then, and that never clears what was there before. What is visible is whole or told as damaged, no request
// fails, and the store goes on.
func TestPowerCut(t *testing.T) {
	if *powerCuts == 0 {
		t.Skip("-powercuts is 0")
	}
	for _, kind := range []string{"disk", "sqlite"} {
		t.Run(kind, func(t *testing.T) {
			d := newDrive(t)
			records, damaged := 0, 0
			for round := range *powerCuts {
				d.format(t)
				d.with(t, d.image, func(dir string) {
					killClient(t, kind, dir, round, 4*time.Second, func() { run(t, "cp", "--reflink=always", d.image, d.snapshot) })
				})
				d.with(t, d.snapshot, func(dir string) {
					whole, not := lookAfterCut(t, kind, dir, fmt.Sprintf("cut %d of seed %d", round, *killSeed))
					records, damaged = records+whole, damaged+not
				})
				if t.Failed() {
					return
				}
			}
			t.Logf("%d times: %d records whole, %d damaged", *powerCuts, records, damaged)
			if records == 0 {
				t.Error("nothing was tested")
			}
		})
	}
}

// drive is a disk in a file, which is on a file system where it can be cloned at one moment.
type drive struct{ image, snapshot, mounted string }

func newDrive(t *testing.T) drive {
	dir := t.TempDir()
	below, base := filepath.Join(dir, "below.img"), filepath.Join(dir, "below")
	d := drive{filepath.Join(base, "image"), filepath.Join(base, "snapshot"), filepath.Join(dir, "mounted")}
	run(t, "truncate", "-s", "4G", below)
	run(t, "mkfs.xfs", "-q", "-m", "reflink=1", below)
	run(t, "mkdir", base, d.mounted)
	run(t, "mount", "-o", "loop", below, base)
	t.Cleanup(func() { run(t, "umount", base) })
	run(t, "truncate", "-s", "512M", d.image)
	return d
}

// format makes a new file system over the old one, whose blocks stay as they are.
func (d drive) format(t *testing.T) { run(t, "mkfs.ext4", "-q", "-F", "-E", "nodiscard", d.image) }

// with mounts one of the drive's files while it calls do with where.
func (d drive) with(t *testing.T, image string, do func(dir string)) {
	run(t, "mount", "-o", "loop,commit=1,data=writeback,nodelalloc", image, d.mounted)
	defer run(t, "umount", d.mounted)
	do(d.mounted)
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
}

// lookAfterCut opens the store, and returns how many of its records are whole, and how many are not.
func lookAfterCut(t *testing.T, kind, dir, when string) (whole, damaged int) {
	t.Helper()
	s, err := openStore(kind, dir)
	if err != nil {
		t.Errorf("%s: open: %v", when, err)
		return
	}
	cache := &larder.Cache{Store: s, Base: startOrigin(1000)}
	for r, err := range cache.Entries(t.Context(), store.Query{}) {
		if err == nil {
			err = wholeRecord(cache, r)
		}
		switch {
		case err == nil:
			whole++
		case errors.Is(err, store.ErrCorrupt), errors.Is(err, store.ErrNotFound):
			damaged++
		default:
			t.Errorf("%s: %v", when, err)
		}
	}
	for range 2 {
		for n := range pages {
			if err := readChanging(cache, killedOrigin, n, larder.PreferStored); err != nil {
				t.Errorf("%s: %v", when, err)
			}
		}
	}
	_, err = cache.Sweep(t.Context())
	if err != nil && !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("%s: sweep: %v", when, err)
	}
	if n := cache.Stats().StoreFailures; n != 0 {
		t.Errorf("%s: %d failures of the store", when, n)
	}
	if err := errors.Join(cache.Close(t.Context()), s.Close()); err != nil {
		t.Errorf("%s: close: %v", when, err)
	}
	return whole, damaged
}
