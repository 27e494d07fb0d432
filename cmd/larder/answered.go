package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/larder-go/larder/internal/figures"
	"github.com/larder-go/larder/internal/units"
)

// answered is the counts of answers in the history, as stats writes them in JSON.
type answered struct {
	Requests      int64    `json:"requests"`
	HitRatio      float64  `json:"hit_ratio"`
	Hits          int64    `json:"hits"`
	Stale         int64    `json:"stale"`
	Revalidated   int64    `json:"revalidated"`
	Misses        int64    `json:"misses"`
	Bypassed      int64    `json:"bypassed"`
	Refused       int64    `json:"refused"`
	SavedBytes    int64    `json:"saved_bytes"`
	OriginBytes   int64    `json:"origin_bytes"`
	StoreSeconds  *float64 `json:"store_seconds,omitempty"`
	OriginSeconds *float64 `json:"origin_seconds,omitempty"`
}

func newAnswered(c *figures.Counts) *answered {
	return &answered{Requests: c.Requests(), HitRatio: math.Round(c.HitRatio()*1e4) / 1e4, Hits: c.Hits, Stale: c.Stale, Revalidated: c.Revalidated,
		Misses: c.Misses, Bypassed: c.Bypassed, Refused: c.Refused, SavedBytes: c.Saved, OriginBytes: c.Origin.Bytes,
		StoreSeconds: meanSeconds(c.Store), OriginSeconds: meanSeconds(c.Origin)}
}

// meanSeconds returns the mean time to the head of a response; nil: there was none.
func meanSeconds(s figures.Side) *float64 {
	if s.Responses == 0 {
		return nil
	}
	mean := math.Round(s.Time.Seconds()/float64(s.Responses)*1e6) / 1e6
	return &mean
}

// write writes the counts of so many days for people.
func (a *answered) write(w io.Writer, days int) {
	if a.Requests == 0 {
		detail(w, "requests", "none in %d days", days)
		return
	}
	share := func(n int64) string { return fmt.Sprintf("%.0f %%", 100*float64(n)/float64(a.Requests)) }
	detail(w, "requests", "%d in %d days", a.Requests, days)
	line := share(a.Hits+a.Stale) + " from the store"
	if a.Stale > 0 {
		line += fmt.Sprintf(" (%d of them stale)", a.Stale)
	}
	if a.Revalidated > 0 {
		line += ", " + share(a.Revalidated) + " revalidated"
	}
	detail(w, "hit ratio", "%s", line)
	detail(w, "saved", "%s, of %s", bytesText(a.SavedBytes), bytesText(a.SavedBytes+a.OriginBytes))
	var latencies []string
	for _, side := range []struct {
		mean *float64
		name string
	}{{a.StoreSeconds, "the store"}, {a.OriginSeconds, "the origin"}} {
		if side.mean != nil {
			latencies = append(latencies, latencyText(*side.mean)+" from "+side.name)
		}
	}
	if len(latencies) > 0 {
		detail(w, "latency", "%s", strings.Join(latencies, ", "))
	}
}

// latencyText returns a time with two digits: 12µs, 1.3s.
func latencyText(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	unit := time.Duration(1)
	for d/unit >= 100 {
		unit *= 10
	}
	return units.DurationText(d.Round(unit))
}

// span is the counts of a stretch of time, in JSON.
type span struct {
	Time       time.Time `json:"time"` // when it began
	Requests   int64     `json:"requests"`
	Hits       int64     `json:"hits"` // the stale ones included
	SavedBytes int64     `json:"saved_bytes"`
}

// spans are consecutive stretches of time, the newest last.
type spans []span

// newSpans returns n spans. begin returns when one began: 0 ago is the last one, 1 ago the one before it.
func newSpans(n int, begin func(ago int) time.Time) spans {
	s := make(spans, n)
	for i := range s {
		s[i].Time = begin(n - 1 - i)
	}
	return s
}

// hoursUntil returns the last n hours, and daysUntil the last n days of the calendar.
func hoursUntil(now time.Time, n int) spans {
	last := now.Truncate(time.Hour)
	return newSpans(n, func(ago int) time.Time { return last.Add(-time.Duration(ago) * time.Hour) })
}

func daysUntil(now time.Time, n int) spans {
	y, m, d := now.Date()
	return newSpans(n, func(ago int) time.Time { return time.Date(y, m, d-ago, 0, 0, 0, 0, now.Location()) })
}

// add adds the counts of an hour, if that is in one of the spans.
func (s spans) add(hour time.Time, c *figures.Counts) {
	for i := len(s) - 1; i >= 0; i-- {
		if !hour.Before(s[i].Time) {
			s[i].Requests += c.Requests()
			s[i].Hits += c.Hits + c.Stale
			s[i].SavedBytes += c.Saved
			return
		}
	}
}

// sparklines returns a line for the requests and, to the same scale, one for those answered from the store.
func (s spans) sparklines() (requests, hits string) {
	var most int64
	for _, p := range s {
		most = max(most, p.Requests)
	}
	var r, h strings.Builder
	for _, p := range s {
		r.WriteRune(bar(p.Requests, most))
		h.WriteRune(bar(p.Hits, most))
	}
	return r.String(), h.String()
}

// bar returns a bar of height n, where most is the full height. Only 0 has the lowest bar.
func bar(n, most int64) rune {
	if n == 0 {
		return '▁'
	}
	return []rune("▂▃▄▅▆▇█")[(n*7-1)/most]
}
