// Package view is what the command and the page show of a stored response: its head in JSON, the times of its life, and
// the beginning of its body.
package view

import (
	"encoding/hex"
	"math"
	"net/http"
	"time"

	"github.com/larder-go/larder/internal/units"
	"github.com/larder-go/larder/rfc9111"
	"github.com/larder-go/larder/store"
)

// Entry is a stored response in JSON, as docs/command.md describes it.
type Entry struct {
	ID            string      `json:"id"`
	Key           string      `json:"key"`
	Method        string      `json:"method"`
	URL           string      `json:"url"`
	Status        int         `json:"status"`
	Proto         string      `json:"proto"`
	Size          int64       `json:"size"`
	Age           float64     `json:"age"` // in seconds
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

// NewEntry returns r as it is at now.
func NewEntry(r *store.Record, now time.Time) Entry {
	return Entry{
		ID: r.ID.String(), Key: Key(r.Key), Method: r.Method, URL: r.URL, Status: r.Status, Proto: r.Proto,
		Size: r.Size, Age: Age(r, now).Round(time.Microsecond).Seconds(), Fresh: Fresh(r, now),
		Requested: r.Requested.UTC(), Received: r.Received.UTC(),
		FreshUntil: moment(r.FreshUntil), KeepUntil: moment(r.KeepUntil), SetTTL: TTL(r.TTL),
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

// Key is the SHA-256 of a key in hexadecimal: a key itself holds any byte.
func Key(k store.Key) string {
	sum := k.Digest()
	return hex.EncodeToString(sum[:])
}

// Age is the current age (RFC 9111 §4.2.3), as in the Age field of a response from the store.
func Age(r *store.Record, now time.Time) time.Duration {
	return parsed(r).Age(now)
}

func parsed(r *store.Record) *rfc9111.Response {
	return rfc9111.Parse(rfc9111.Response{Method: r.Method, Status: r.Status, Header: r.Header, Requested: r.Requested, Received: r.Received,
		Selecting: r.Selecting, TTL: r.TTL, StaleWhileRevalidate: r.StaleWhileRevalidate, StaleIfError: r.StaleIfError})
}

// Fresh reports whether r is fresh, by what was computed when it was stored.
func Fresh(r *store.Record, now time.Time) bool {
	return r.FreshUntil.IsZero() || now.Before(r.FreshUntil)
}

// TTL returns a TTL as --ttl takes it: 1h30m, forever, never; "" for 0, which means that the header decides.
func TTL(d time.Duration) string {
	switch {
	case d == 0:
		return ""
	case d == math.MaxInt64:
		return "forever"
	case d < 0:
		return "never"
	}
	return units.DurationText(d)
}
