package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/larder-go/larder/store"
)

// noteDamage marks the file once it is found to be damaged, so that the next Open begins anew. The writer must be
// held.
func (s *Store) noteDamage(err error) error {
	err = wrapDamage(err)
	if errors.Is(err, errDamaged) && s.marked.CompareAndSwap(false, true) {
		s.writer.exec(fmt.Sprintf("PRAGMA user_version = %d", versionDamaged)) // where this fails, Open will too
	}
	return err
}

// errDamaged is store.ErrCorrupt where it is SQLite that reports the damage, not a checksum of ours.
var errDamaged = fmt.Errorf("%w", store.ErrCorrupt)

// doing adds to err what failed, unless the file is damaged.
func doing(what string, err error) error {
	if err = wrapDamage(err); errors.Is(err, errDamaged) {
		return err
	}
	return fmt.Errorf("%s: %w", what, err)
}

// wrapDamage makes errors of SQLite about a damaged file wrap errDamaged.
func wrapDamage(err error) error {
	if err == nil || errors.Is(err, errDamaged) {
		return err
	}
	if code := resultCode(err); code == codeCorrupt || code == codeNotADB {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	return err
}

const (
	codeBusy       = 5
	codeReadOnly   = 8
	codeCorrupt    = 11
	codeFull       = 13
	codeCantOpen   = 14
	codeConstraint = 19
	codeNotADB     = 26
)

// resultCode returns SQLite's primary result code. Drivers other than the bundled one have types of their own
// for it, which cannot be named here; their texts are SQLite's.
func resultCode(err error) int {
	var coded interface{ Code() int }
	switch {
	case err == nil:
		return 0
	case errors.As(err, &coded):
		return coded.Code() & 0xff
	case strings.Contains(err.Error(), "database is locked"):
		return codeBusy
	case strings.Contains(err.Error(), "database or disk is full"):
		return codeFull
	case strings.Contains(err.Error(), "database disk image is malformed"):
		return codeCorrupt
	case strings.Contains(err.Error(), "file is not a database"):
		return codeNotADB
	}
	return 0
}

// looksLikeOurs reports whether a file that is no database any more bears traces of having been one of ours: the
// schema, or the magic of a record's head, in its first megabyte.
func looksLikeOurs(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return false
	}
	return bytes.Contains(b, []byte("CREATE TABLE entries")) || bytes.Contains(b, []byte("LRD\x01"))
}

// setAside renames the database at path with its -wal and -shm, so that together they are a database still, and
// returns the new name. If path is not the file seen before any more, somebody else was quicker: it does
// nothing and returns "". Processes that have the old file open go on with it under its new name.
func setAside(path string, seen fs.FileInfo) (string, error) {
	now, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(now, seen) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	aside := path + ".damaged-" + time.Now().UTC().Format("20060102T150405.000000000")
	if err := os.Rename(path, aside); err != nil {
		return "", err
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return aside, nil
}
