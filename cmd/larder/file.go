package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// mostLinks is how many links are followed: as many as the system follows.
const mostLinks = 40

// behindLinks returns where links at path lead, even if nothing is there yet. It does not clean the path, since ..
// after a link to a folder is not what it seems.
func behindLinks(path string) string {
	for range mostLinks {
		to, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(to) {
			dir, _ := filepath.Split(path)
			to = dir + to
		}
		path = to
	}
	return path
}

// writeFile makes or replaces a file once all of it is written, and not before. Anything but a regular file, such as a
// pipe, is written to directly, until ctx ends.
func writeFile(ctx context.Context, path string, write func(io.Writer) error) (err error) {
	path = behindLinks(path)
	old, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && !old.Mode().IsRegular() {
		f, err := unlessInterrupted(ctx, interruptTime, func() (*os.File, error) { return os.OpenFile(path, os.O_WRONLY, 0) })
		if err != nil {
			return err
		}
		return errors.Join(write(patient{ctx, f}), f.Close())
	}
	part := path + ".part-" + rand.Text()[:8]
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if wrong := new(fs.PathError); errors.As(err, &wrong) {
		wrong.Path = path // the name that the user knows
	}
	if err != nil {
		return err
	}
	if old != nil {
		err = f.Chmod(old.Mode())
	}
	if err == nil {
		err = write(f)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		os.Remove(part)
	}
	return err
}
