// Package units reads and writes durations and sizes as people give them to larder, on a command line and in a file.
package units

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Day is 24 hours, whatever the clocks do.
const Day = 24 * time.Hour

// Duration is time.ParseDuration for positive durations, which may also be in days (7d) or weeks (2w).
func Duration(s string) (time.Duration, error) {
	fault := errors.New("want a positive duration such as 90s, 15m, 2h or 7d")
	for suffix, unit := range map[string]time.Duration{"d": Day, "w": 7 * Day} {
		if number, ok := strings.CutSuffix(s, suffix); ok {
			n, err := decimal(number)
			if err != nil || n <= 0 || n >= float64(math.MaxInt64/unit) {
				return 0, fault
			}
			return time.Duration(n * float64(unit)), nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 || s[0] == '+' {
		return 0, fault
	}
	return d, nil
}

// DurationText returns what Duration reads as d: 1h and not 1h0m0s.
func DurationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// sizes are the units of a size, those of SizeText first.
var sizes = []struct {
	name string
	size int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// Size reads a number of bytes such as 2GiB, 500MB or 4096; "none" is -1.
func Size(s string) (int64, error) {
	if s == "none" {
		return -1, nil
	}
	number, unit := s, int64(1)
	for _, u := range sizes {
		if n, ok := strings.CutSuffix(s, u.name); ok {
			number, unit = n, u.size
			break
		}
	}
	n, err := decimal(number)
	if err != nil || n*float64(unit) < 1 || n*float64(unit) >= math.MaxInt64 {
		return 0, fmt.Errorf("size is %q, want one such as 512MiB, 2GiB or none", s)
	}
	return int64(n * float64(unit)), nil
}

// SizeText returns what Size reads as n: in the largest unit that leaves no rest.
func SizeText(n int64) string {
	if n < 0 {
		return "none"
	}
	for _, u := range sizes[:4] {
		if n > 0 && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// decimal is strconv.ParseFloat for plain numbers: no sign, no exponent, no NaN.
func decimal(s string) (float64, error) {
	if strings.Trim(s, "0123456789.") != "" {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseFloat(s, 64)
}
