package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/internal/units"
)

// durationFlag is a flag with a positive duration.
type durationFlag time.Duration

func (f *durationFlag) Set(s string) error {
	d, err := units.Duration(s)
	*f = durationFlag(d)
	return err
}

func (f *durationFlag) Type() string { return "duration" }

func (f *durationFlag) String() string {
	if *f == 0 {
		return ""
	}
	return units.DurationText(time.Duration(*f))
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
		if d, err = units.Duration(s); err != nil {
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
		return units.DurationText(d)
	}
}

// bytesText returns a size for people: 512 B, 1.5 KiB, 34 MiB.
func bytesText(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	names := [...]string{"KiB", "MiB", "GiB", "TiB"}
	f, unit := float64(n)/(1<<10), 0
	for f >= 1023.5 && unit < 3 {
		f /= 1 << 10
		unit++
	}
	if f < 9.95 {
		return fmt.Sprintf("%.1f %s", f, names[unit])
	}
	return fmt.Sprintf("%.0f %s", f, names[unit])
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
	return fmt.Sprintf("%dd", d.Round(units.Day)/units.Day)
}

// countText returns "1 response", "2 responses".
func countText(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
