package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/larder-go/larder/store"
)

// Whoever can write to the directory can give one of our names to a named pipe, a folder, or a link that leads outside.
// The store neither waits for such a thing nor is stopped by it. In place of a file it is damage, and is removed as a
// damaged file is. In place of a folder, the folder counts as missing, and is made when something is put into it.

// openFile opens a file of ours. info describes what has its name; if that is not a file, the error wraps
// store.ErrCorrupt.
func openFile(in *os.Root, path string, flag int) (f *os.File, info fs.FileInfo, err error) {
	f, err = in.OpenFile(path, flag|nonblock, 0o600)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		switch other, e := in.Lstat(path); {
		case e != nil:
		case other.Mode().IsRegular(): // wait until another program's lease on it ends, as of a file server
			f, err = in.OpenFile(path, flag, 0o600)
		default:
			info, err = other, nil
		}
	}
	if err == nil && f != nil {
		info, err = f.Stat()
		if err == nil && info.Mode().IsRegular() {
			return f, info, nil
		}
		f.Close()
	}
	if err == nil {
		err = fmt.Errorf("%s is not a file, but %v: %w", path, info.Mode().Type(), store.ErrCorrupt)
	}
	return nil, info, err
}

// readFolder returns the names in a folder, and the folder's state before it was listed.
//
// No system lists a folder at one moment. A signal, such as the runtime sends to a goroutine that works for long, ends
// the call after any name, and before the next call one name may come and another go, so that neither is seen. A folder
// that has changed lately, or since it was opened, is therefore listed until two lists agree. Until it is at rest, a
// hit on a record in a folder takes 1.1 × as long (BenchmarkHit1K).
func readFolder(in *os.Root, name string) (info fs.FileInfo, names []string, err error) {
	f, err := in.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if err == nil {
		defer f.Close()
		if info, err = f.Stat(); err == nil {
			names, err = namesIn(f)
		}
		for n := 1; err == nil && n < attempts && changing(f); n++ {
			before := names
			if names, err = namesIn(f); slices.Equal(before, names) {
				break
			}
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) && noFolder(in, name) {
		err = fmt.Errorf("%s is not a folder: %w", name, fs.ErrNotExist)
	}
	return info, names, err
}

// namesIn returns the names that are in a folder now. It rewinds the folder first: else some file systems, such as
// btrfs, do not show what came since it was opened (POSIX, rewinddir).
func namesIn(folder *os.File) ([]string, error) {
	if _, err := folder.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return folder.Readdirnames(-1)
}

func changing(folder *os.File) bool {
	now, err := folder.Stat()
	return err == nil && time.Since(now.ModTime()) <= atRest
}

// noFolder reports whether a name is that of something other than a folder.
func noFolder(in *os.Root, name string) bool {
	info, err := in.Lstat(name)
	return err == nil && !info.IsDir()
}

// remove removes a file, or whatever else has its name.
func remove(in *os.Root, path string) error {
	err := in.Remove(path)
	if errors.Is(err, fs.ErrExist) { // a folder that is not empty
		err = in.RemoveAll(path)
	}
	return err
}
