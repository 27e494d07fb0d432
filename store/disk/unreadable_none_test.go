//go:build !linux

package disk

import (
	"os"
	"testing"
)

// unreadable makes that path cannot be read.
func unreadable(t *testing.T, path string) {
	t.Helper()
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	if f, err := os.Open(path); err == nil {
		f.Close()
		t.Skip("whoever runs this can read all files")
	}
}
