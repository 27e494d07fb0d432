package main

import (
	"fmt"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/internal/units"
)

// This file writes sizes, times and counts as people read them.

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

// tookText returns how long something took, for people: 12ms, 1.3s, 2m5s.
func tookText(seconds float64) string {
	d, to := time.Duration(seconds*float64(time.Second)), time.Second
	switch {
	case d < time.Second:
		to = time.Millisecond
	case d < time.Minute:
		to = 100 * time.Millisecond
	}
	return units.DurationText(d.Round(to))
}

// countText returns "1 response", "2 responses".
func countText(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func timeText(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 -0700") }

// untilText describes a moment that may be never.
func untilText(t, now time.Time) string {
	switch {
	case t.IsZero():
		return "forever"
	case now.Before(t):
		return fmt.Sprintf("until %s, for %s", timeText(t), durationText(t.Sub(now)))
	}
	return fmt.Sprintf("until %s, %s ago", timeText(t), durationText(now.Sub(t)))
}
