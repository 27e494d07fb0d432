package main

import (
	"fmt"
	"time"

	"github.com/larder-go/larder/internal/view"
	"github.com/larder-go/larder/store"
)

// freshText says how long r is still fresh, or has been stale.
func freshText(r *store.Record, now time.Time) string {
	switch {
	case r.FreshUntil.IsZero():
		return "forever"
	case view.Fresh(r, now):
		return durationText(r.FreshUntil.Sub(now))
	}
	return "stale " + durationText(now.Sub(r.FreshUntil))
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

var entryColumns = []column{{"METHOD", -6}, {"STATUS", 6}, {"SIZE", 8}, {"AGE", 4}, {"FRESH", 9}, {"URL", 0}}

func entryCells(r *store.Record, now time.Time) []string {
	return []string{r.Method, fmt.Sprint(r.Status), bytesText(r.Size), durationText(view.Age(r, now)), freshText(r, now), r.URL}
}
