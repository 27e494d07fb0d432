package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

// teller reports what happens in the cache.
type teller struct {
	err     io.Writer
	verbose bool
	json    bool
}

// observe always reports trouble, and the rest if verbose or json is set.
func (t *teller) observe(e larder.Event) {
	switch e.Kind {
	case larder.StoreFailed, larder.Damaged, larder.RefreshFailed:
		tell(t.err, fmt.Errorf("%s: %w", e.Kind, e.Err))
	case larder.Discarded:
		if t.verbose && !t.json {
			tell(t.err, fmt.Errorf("%s %s: not stored after all: %w", e.Method, e.URL, e.Err))
		}
	case larder.Answered:
		if t.json {
			writeJSON(t.err, newAnswer(e))
		} else if t.verbose {
			fmt.Fprintf(t.err, "larder: %s\n", printable(answerText(e)))
		}
	}
}

// alsoObserve makes c call also, and then the Observe that it has. It must be called before c is used.
func alsoObserve(c *larder.Cache, also func(larder.Event)) {
	observe := c.Observe
	c.Observe = func(e larder.Event) {
		also(e)
		if observe != nil {
			observe(e)
		}
	}
}

// answerText describes a response in one line.
func answerText(e larder.Event) string {
	d := e.Decision
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %d: %s", e.Method, e.URL, e.Status, d.Outcome)
	if d.Reason != "" {
		fmt.Fprintf(&b, ", %s", withSection(d.Reason, d.Section))
	}
	if d.Err != nil {
		fmt.Fprintf(&b, ": %v", d.Err)
	}
	if d.NotStored != "" {
		fmt.Fprintf(&b, "; not stored: %s", d.NotStored)
	}
	if d.ID == (store.ID{}) {
		return b.String()
	}
	if d.Stored {
		b.WriteString("; stored")
	} else {
		fmt.Fprintf(&b, "; age %s", durationText(d.Age))
	}
	switch ttl := d.TTL(); {
	case ttl == larder.Forever:
		b.WriteString(", fresh forever")
	case ttl > 0:
		fmt.Fprintf(&b, ", fresh for %s", durationText(ttl))
	case ttl > -time.Second:
		b.WriteString(", stale")
	default:
		fmt.Fprintf(&b, ", stale for %s", durationText(-ttl))
	}
	return b.String()
}

func withSection(reason, section string) string {
	if section == "" {
		return reason
	}
	return reason + " (" + section + ")"
}

// answer is a response as --json reports it.
type answer struct {
	Method    string   `json:"method"`
	URL       string   `json:"url"`
	Status    int      `json:"status"`
	Outcome   string   `json:"outcome"`
	Reason    string   `json:"reason,omitempty"`
	Section   string   `json:"section,omitempty"`
	Age       *float64 `json:"age,omitempty"`
	TTL       *float64 `json:"ttl"`
	Stored    bool     `json:"stored"`
	NotStored string   `json:"not_stored,omitempty"`
	Forwarded string   `json:"forwarded,omitempty"`
	Error     string   `json:"error,omitempty"`
	ID        string   `json:"id,omitempty"`
	Duration  float64  `json:"duration"`
}

func newAnswer(e larder.Event) answer {
	d := e.Decision
	a := answer{Method: e.Method, URL: e.URL, Status: e.Status, Outcome: d.Outcome.String(), Reason: d.Reason, Section: d.Section,
		Stored: d.Stored, NotStored: d.NotStored, Forwarded: d.Forwarded, Duration: e.Duration.Round(time.Microsecond).Seconds()}
	if d.Err != nil {
		a.Error = d.Err.Error()
	}
	if d.ID != (store.ID{}) {
		a.ID = d.ID.String()
		a.Age, a.TTL = seconds(d.Age), seconds(d.TTL())
	}
	return a
}

// seconds is a duration in JSON, to the microsecond; null: forever.
func seconds(d time.Duration) *float64 {
	if d == larder.Forever {
		return nil
	}
	s := d.Round(time.Microsecond).Seconds()
	return &s
}
