package seek

import (
	"io"
	"testing"
)

func TestTo(t *testing.T) {
	for _, c := range []struct {
		name   string
		offset int64
		whence int
		want   int64 // -1: an error
	}{
		{"from the start", 3, io.SeekStart, 3},
		{"from where it stands", 3, io.SeekCurrent, 7},
		{"back", -4, io.SeekCurrent, 0},
		{"from the end", -3, io.SeekEnd, 7},
		{"behind the end", 3, io.SeekEnd, 13},
		{"before the start", -1, io.SeekStart, -1},
		{"back to before the start", -5, io.SeekCurrent, -1},
		{"further than it is long", -11, io.SeekEnd, -1},
		{"from somewhere else", 0, 3, -1},
	} {
		got, err := To(4, 10, c.offset, c.whence)
		if err != nil {
			got = -1
		}
		if got != c.want {
			t.Errorf("%s: got %d, error %v, want %d", c.name, got, err, c.want)
		}
	}
}
