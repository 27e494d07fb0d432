//go:build darwin || freebsd || netbsd

package disk

import (
	"io/fs"
	"syscall"
	"time"
)

// changed returns when a file was last changed in any way, which programs cannot set.
func changed(info fs.FileInfo) (time.Time, bool) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return time.Time{}, false
	}
	return time.Unix(s.Ctimespec.Unix()), true
}
