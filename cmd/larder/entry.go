package main

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"time"

	"github.com/larder-go/larder/rfc9111"
	"github.com/larder-go/larder/store"
)

// entry is a stored response in JSON.
type entry struct {
	ID            string      `json:"id"`
	Key           string      `json:"key"`
	Method        string      `json:"method"`
	URL           string      `json:"url"`
	Status        int         `json:"status"`
	Proto         string      `json:"proto"`
	Size          int64       `json:"size"`
	Age           float64     `json:"age"`
	Fresh         bool        `json:"fresh"`
	Requested     time.Time   `json:"requested"`
	Received      time.Time   `json:"received"`
	FreshUntil    *time.Time  `json:"fresh_until"`
	KeepUntil     *time.Time  `json:"keep_until"`
	SetTTL        string      `json:"set_ttl,omitempty"`
	Tags          []string    `json:"tags,omitempty"`
	RequestHeader http.Header `json:"request_header,omitempty"`
	Header        http.Header `json:"header"`
	Trailer       http.Header `json:"trailer,omitempty"`
}

func newEntry(r *store.Record, now time.Time) entry {
	return entry{
		ID: r.ID.String(), Key: keyText(r.Key), Method: r.Method, URL: r.URL, Status: r.Status, Proto: r.Proto,
		Size: r.Size, Age: ageOf(r, now).Round(time.Microsecond).Seconds(), Fresh: fresh(r, now),
		Requested: r.Requested.UTC(), Received: r.Received.UTC(),
		FreshUntil: moment(r.FreshUntil), KeepUntil: moment(r.KeepUntil), SetTTL: ttlText(r),
		Tags: r.Tags, RequestHeader: r.Selecting, Header: r.Header, Trailer: r.Trailer,
	}
}

// moment is a time in JSON; null: never.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// keyText is the SHA-256 of a key: a key itself holds any byte.
func keyText(k store.Key) string {
	sum := k.Digest()
	return hex.EncodeToString(sum[:])
}

// ageOf is the age of RFC 9111 §4.2.3, the one that the Age field of a response from the store tells.
func ageOf(r *store.Record, now time.Time) time.Duration {
	return rfc9111.Parse(rfc9111.Response{Header: r.Header, Requested: r.Requested, Received: r.Received}).Age(now)
}

func fresh(r *store.Record, now time.Time) bool {
	return r.FreshUntil.IsZero() || now.Before(r.FreshUntil)
}

// freshText says how long r is still fresh, or has been stale.
func freshText(r *store.Record, now time.Time) string {
	switch {
	case r.FreshUntil.IsZero():
		return "forever"
	case fresh(r, now):
		return durationText(r.FreshUntil.Sub(now))
	}
	return "stale " + durationText(now.Sub(r.FreshUntil))
}

// ttlText is the lifetime that somebody set in place of the header's; "": nobody.
func ttlText(r *store.Record) string {
	ttl := ttlFlag(r.TTL)
	return ttl.String()
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
	return []string{r.Method, fmt.Sprint(r.Status), bytesText(r.Size), durationText(ageOf(r, now)), freshText(r, now), r.URL}
}
