// Package seek holds the arithmetic of io.Seeker, for the readers of stored bodies.
package seek

import (
	"fmt"
	"io"
)

// To returns the position after Seek(offset, whence), for a reader of size bytes that is at pos. A position before the
// first byte is an error; one behind the last is not.
func To(pos, size, offset int64, whence int) (int64, error) {
	to := offset
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		to += pos
	case io.SeekEnd:
		to += size
	default:
		return 0, fmt.Errorf("seek: unknown whence %d, want io.SeekStart, io.SeekCurrent or io.SeekEnd", whence)
	}
	if to < 0 {
		return 0, fmt.Errorf("seek: position %d is before the start", to)
	}
	return to, nil
}
