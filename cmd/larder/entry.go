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

var entryColumns = []column{{"METHOD", -6}, {"STATUS", 6}, {"SIZE", 8}, {"AGE", 4}, {"FRESH", 9}, {"URL", 0}}

func entryCells(r *store.Record, now time.Time) []string {
	return []string{r.Method, fmt.Sprint(r.Status), bytesText(r.Size), durationText(view.Age(r, now)), freshText(r, now), r.URL}
}
