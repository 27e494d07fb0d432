//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || solaris)

package disk

import (
	"io/fs"
	"time"
)

// changed has no answer here, so that every body is verified at every hit.
func changed(fs.FileInfo) (time.Time, bool) { return time.Time{}, false }
