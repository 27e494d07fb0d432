package sqlite

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

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
