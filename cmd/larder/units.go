package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/larder-go/larder"
)

const day = 24 * time.Hour

// parseDuration is time.ParseDuration for positive durations, which may also be in days (7d) or weeks (2w).
func parseDuration(s string) (time.Duration, error) {
	for suffix, unit := range map[string]time.Duration{"d": day, "w": 7 * day} {
		number, ok := strings.CutSuffix(s, suffix)
		if n, err := strconv.ParseFloat(number, 64); ok && err == nil && n > 0 && n < float64(math.MaxInt64/unit) {
			return time.Duration(n * float64(unit)), nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, errors.New("want a positive duration such as 90s, 15m, 2h or 7d")
	}
	return d, nil
}

// durationFlag is a flag with a positive duration.
type durationFlag time.Duration

func (f *durationFlag) Set(s string) error {
	d, err := parseDuration(s)
	*f = durationFlag(d)
	return err
}

func (f *durationFlag) Type() string { return "duration" }

func (f *durationFlag) String() string {
	if *f == 0 {
		return ""
	}
	return exactText(time.Duration(*f))
}

// countFlag is a flag with a number of responses.
type countFlag int

func (f *countFlag) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return errors.New("want a number of responses, or 0 for all")
	}
	*f = countFlag(n)
	return nil
}

func (f *countFlag) Type() string { return "number" }

func (f *countFlag) String() string {
	if *f == 0 {
		return ""
	}
	return strconv.Itoa(int(*f))
}

// ttlFlag is a flag for larder.WithTTL.
type ttlFlag time.Duration

func (f *ttlFlag) Set(s string) (err error) {
	switch s {
	case "forever":
		*f = ttlFlag(larder.Forever)
	case "never":
		*f = ttlFlag(larder.Never)
	default:
		var d time.Duration
		if d, err = parseDuration(s); err != nil {
			err = fmt.Errorf("%w, or forever or never", err)
		}
		*f = ttlFlag(d)
	}
	return err
}

func (f *ttlFlag) Type() string { return "duration" }

func (f *ttlFlag) String() string {
	switch d := time.Duration(*f); d {
	case 0:
		return ""
	case larder.Forever:
		return "forever"
	case larder.Never:
		return "never"
	default:
		return exactText(d)
	}
}

var byteUnits = []struct {
	name string
	size int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// parseBytes reads a size such as 2GiB, 500MB or 4096; "none" is -1.
func parseBytes(s string) (int64, error) {
	if s == "none" {
		return -1, nil
	}
	number, unit := s, int64(1)
	for _, u := range byteUnits {
		if n, ok := strings.CutSuffix(s, u.name); ok {
			number, unit = n, u.size
			break
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !(n*float64(unit) >= 1) || n*float64(unit) >= math.MaxInt64 {
		return 0, fmt.Errorf("size is %q, want one such as 512MiB, 2GiB or none", s)
	}
	return int64(n * float64(unit)), nil
}

// bytesText returns a size for people: 512 B, 1.5 KiB, 34 MiB.
func bytesText(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n)/(1<<10), 0
	for f >= 1023.5 && unit < 3 {
		f /= 1 << 10
		unit++
	}
	if f < 9.95 {
		return fmt.Sprintf("%.1f %s", f, byteUnits[unit].name)
	}
	return fmt.Sprintf("%.0f %s", f, byteUnits[unit].name)
}

// durationText returns a duration for people, in its largest unit, rounded: 45s, 3m, 2h, 9d.
func durationText(d time.Duration) string {
	if d == larder.Forever {
		return "forever"
	}
	for _, u := range []struct {
		name       string
		size, most time.Duration
	}{{"s", time.Second, 59 * time.Second}, {"m", time.Minute, 59 * time.Minute}, {"h", time.Hour, 47 * time.Hour}} {
		if rounded := max(0, d).Round(u.size); rounded <= u.most {
			return fmt.Sprintf("%d%s", rounded/u.size, u.name)
		}
	}
	return fmt.Sprintf("%dd", d.Round(day)/day)
}

// exactText is d.String without units that are zero: 1h and not 1h0m0s.
func exactText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// countText returns "1 response", "2 responses".
func countText(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
