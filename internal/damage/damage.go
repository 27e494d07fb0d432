// Package damage changes what a disk.Store has stored, as an accident would, and breaks the reading of a store, for tests
// of what is around one.
package damage

import (
	"bytes"
	"io/fs"
	"os"
	"strings"

	"github.com/larder-go/larder/store"
)

// Head inverts a byte of the head of the record with this id, in the store below dir.
func Head(dir string, id store.ID) error { return flip(dir, ".head", id, 60) }

// Body inverts a byte of the body, which has 100 KB.
func Body(dir string, id store.ID) error { return flip(dir, ".body", id, 70_000) }

// flip inverts one byte of the last file of this kind that is of the record with this id.
func flip(dir, kind string, id store.ID, at int) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	var last string
	var found []byte
	err = fs.WalkDir(root.FS(), ".", func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, kind) {
			if b, err := root.ReadFile(path); err == nil && bytes.Contains(b, id[:]) {
				last, found = path, b
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	if last == "" {
		return fs.ErrNotExist
	}
	found[at] ^= 0xff
	return root.WriteFile(last, found, 0)
}
