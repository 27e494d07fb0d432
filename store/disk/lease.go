package disk

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/larder-go/larder/store"
)

// A lease is a file named by the SHA-256 of its key, with its holder's ID in it. It lasts until the file's modification
// time. It is made under another name and then linked, so that nobody sees half of it, and only one of many processes
// gets it.
const leasesDir = version + "/leases"

// Lease is described at store.Leaser. It goes by the clock of this machine. Two processes that take over a lease at the
// very moment when it ends may both get it. It fails on a file system without hard links.
func (s *Store) Lease(ctx context.Context, key store.Key, holder store.ID, ttl time.Duration) (held bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	top, err := os.OpenRoot(s.dir)
	if err == nil {
		held, err = lease(top, leaseName(key), holder, time.Now(), ttl)
		top.Close()
	}
	if err != nil {
		return false, fmt.Errorf("disk: lease: %w", err)
	}
	return held, nil
}

func leaseName(key store.Key) string {
	digest := key.Digest()
	return leasesDir + "/" + hex.EncodeToString(digest[:])
}

func lease(top *os.Root, name string, holder store.ID, now time.Time, ttl time.Duration) (bool, error) {
	until := now.Add(ttl)
	for range attempts {
		taken, err := newLease(top, name, holder, until)
		if taken || err != nil {
			return taken, err
		}
		by, ends, err := readLease(top, name)
		switch {
		case errors.Is(err, fs.ErrNotExist): // it was released just now
			continue
		case err != nil:
			return false, err
		case by == holder:
			err := top.Chtimes(name, until, until)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			return err == nil, err
		case lasts(ends, now, ttl):
			return false, nil
		}
		// It has ended: whoever manages to move it away may go on.
		aside := name + "-" + store.NewID(now).String()
		if err := top.Rename(name, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		if by, ends, err := readLease(top, aside); err == nil && by != holder && lasts(ends, now, ttl) {
			top.Link(aside, name) // somebody was quicker, and this is the new one
		}
		remove(top, aside)
	}
	return false, errors.New("the lease changes too fast")
}

// lasts reports whether a lease is held. One that ends too late was left by a process whose clock was ahead.
func lasts(ends, now time.Time, ttl time.Duration) bool {
	return ends.After(now) && !ends.After(now.Add(max(ttl, store.LongLease)))
}

// newLease makes the lease, unless there is one.
func newLease(top *os.Root, name string, holder store.ID, until time.Time) (taken bool, err error) {
	temp := name + "." + store.NewID(time.Now()).String() // a name that nobody else uses
	f, err := create(top, temp)
	if err != nil && noFolder(top, leasesDir) {
		top.Remove(leasesDir)
		err = fs.ErrNotExist
	}
	if errors.Is(err, fs.ErrNotExist) {
		if err = top.MkdirAll(leasesDir, 0o700); err == nil {
			f, err = create(top, temp)
		}
	}
	if err != nil {
		return false, err
	}
	defer top.Remove(temp)
	_, err = f.Write(holder[:])
	if err := errors.Join(err, f.Close()); err != nil {
		return false, err
	}
	if err := top.Chtimes(temp, until, until); err != nil {
		return false, err
	}
	err = top.Link(temp, name)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, err
}

// readLease returns who holds the lease, and until when; nobody, if the lease is damaged.
func readLease(top *os.Root, name string) (holder store.ID, until time.Time, err error) {
	f, info, err := openFile(top, name, os.O_RDONLY)
	if err == nil {
		defer f.Close()
		_, err = io.ReadFull(f, holder[:])
	}
	switch {
	case err == nil:
		return holder, info.ModTime(), nil
	case errors.Is(err, store.ErrCorrupt), err == io.EOF, err == io.ErrUnexpectedEOF:
		err = nil
	case errors.Is(err, fs.ErrNotExist):
		if info, e := top.Lstat(name); e == nil && !info.Mode().IsRegular() { // a link to nowhere
			err = nil
		}
	}
	return store.ID{}, time.Time{}, err
}

// Release is described at store.Leaser.
func (s *Store) Release(ctx context.Context, key store.Key, holder store.ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	top, err := os.OpenRoot(s.dir)
	if err == nil {
		defer top.Close()
		var by store.ID
		name := leaseName(key)
		if by, _, err = readLease(top, name); err == nil && by == holder {
			err = top.Remove(name)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("disk: release: %w", err)
	}
	return nil
}

// sweepLeases removes leases that ended long ago or that end too late, and the remains of making them.
func (s *Store) sweepLeases() error {
	top, err := os.OpenRoot(s.dir)
	if err != nil {
		return nil // nothing is stored
	}
	defer top.Close()
	names, err := list(top, leasesDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, name := range names {
		if !isLease(name) {
			continue
		}
		name = leasesDir + "/" + name
		if info, err := top.Lstat(name); err == nil {
			if age := time.Since(info.ModTime()); age > grace || age < -store.LongLease {
				remove(top, name)
			}
		}
	}
	return err
}

// isLease reports whether a name is that of a lease, or one that a lease has while it is made or moved away.
func isLease(name string) bool {
	const digest = 64
	if len(name) < digest || !isHex(name[:digest]) {
		return false
	}
	rest := name[digest:]
	if rest == "" {
		return true
	}
	id, err := store.ParseID(rest[1:])
	return err == nil && strings.Contains(".-", rest[:1]) && rest[1:] == id.String()
}
