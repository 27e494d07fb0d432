package larder

import (
	"cmp"
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/larder-go/larder/store"
)

// EventKind is the kind of an Event.
type EventKind uint8

const (
	// Answered: a caller got a response; Decision says which.
	Answered EventKind = iota
	// StoredResponse: a response was committed to the store.
	StoredResponse
	// Updated: a stored response was freshened by a 304 or a HEAD.
	Updated
	// Discarded: a response that was being stored was not; Err says why.
	Discarded
	// Invalidated: stored responses for URL were removed, because an unsafe request changed the URL or a cache group
	// that they were in, or because Rule.Filter rejected them.
	Invalidated
	// StoreFailed: the store failed at Op; that did not harm the caller.
	StoreFailed
	// Damaged: stored bytes were found damaged, and removed.
	Damaged
	// RefreshFailed: a validation in the background failed, or the origin answered with a server error.
	RefreshFailed
	// Failed: a caller got an error instead of a response: Err.
	Failed
)

var eventKinds = [...]string{"answered", "stored", "updated", "discarded", "invalidated", "store failed", "damaged", "refresh failed",
	"failed"}

// String returns the kind in one or two lower-case words.
func (k EventKind) String() string { return eventKinds[k] }

// Event is something that happened in a Cache. Fields that do not apply to its Kind are zero.
type Event struct {
	Kind     EventKind
	Time     time.Time
	Method   string        // of the request
	URL      string        // of the request, normalised and redacted
	Status   int           // of the response
	Decision Decision      // Answered; of StoredResponse and Updated the ID alone
	Duration time.Duration // Answered: until the response's head; Failed: until the error
	Size     int64         // Answered: of the body in bytes; -1: the head does not say
	Op       string        // StoreFailed, Damaged: lookup, open, read, create, write, read back, commit, update, delete, lease
	Err      error
}

// Stats are the counts of a Cache since it was made.
type Stats struct {
	Requests                                            int64 // all; the sum of the next six and of the errors
	Hits, Stale, Revalidated, Misses, Bypassed, Refused int64
	Errors                                              int64 // requests that ended in an error, not a response
	Collapsed                                           int64 // answered by a request that was under way for another caller
	Stored, Updated, Discarded, Invalidated             int64
	StoreFailures, Damaged                              int64
}

// counters are the Stats as atomic counters, by Outcome and by EventKind.
type counters struct {
	outcome   [len(outcomes)]atomic.Int64 // None: errors
	event     [len(eventKinds)]atomic.Int64
	collapsed atomic.Int64
}

// Stats returns the counts so far.
func (c *Cache) Stats() Stats {
	o := func(x Outcome) int64 { return c.counters.outcome[x].Load() }
	e := func(x EventKind) int64 { return c.counters.event[x].Load() }
	s := Stats{
		Hits: o(Hit), Stale: o(Stale), Revalidated: o(Revalidated), Misses: o(Miss), Bypassed: o(Bypassed), Refused: o(Refused),
		Errors: o(None), Collapsed: c.counters.collapsed.Load(),
		Stored: e(StoredResponse), Updated: e(Updated), Discarded: e(Discarded), Invalidated: e(Invalidated),
		StoreFailures: e(StoreFailed), Damaged: e(Damaged),
	}
	s.Requests = s.Hits + s.Stale + s.Revalidated + s.Misses + s.Bypassed + s.Refused + s.Errors
	return s
}

// observed reports whether anybody wants events.
func (c *Cache) observed() bool { return c.Observe != nil || c.Logger != nil }

// emit counts e and passes it to Observe and Logger.
func (c *Cache) emit(e Event) {
	c.counters.event[e.Kind].Add(1)
	if !c.observed() {
		return
	}
	e.Time = c.now()
	if c.Observe != nil {
		c.Observe(e)
	}
	if c.Logger != nil {
		c.log(e)
	}
}

// log writes e with the attributes described in docs/events.md.
func (c *Cache) log(e Event) {
	level := slog.LevelDebug
	if e.Kind == StoreFailed || e.Kind == Damaged || e.Kind == RefreshFailed {
		level = slog.LevelWarn
	}
	ctx := context.Background()
	if !c.Logger.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.String("event", e.Kind.String()), slog.String("method", e.Method), slog.String("url", e.URL)}
	if e.Status != 0 {
		attrs = append(attrs, slog.Int("status", e.Status))
	}
	if d := e.Decision; d.Outcome != None {
		attrs = append(attrs, slog.String("outcome", d.Outcome.String()), slog.String("reason", d.Reason),
			slog.String("section", d.Section), slog.Duration("age", d.Age), slog.Duration("lifetime", d.Lifetime),
			slog.Bool("stored", d.Stored), slog.Bool("collapsed", d.Collapsed), slog.Int64("size", e.Size))
		if d.NotStored != "" {
			attrs = append(attrs, slog.String("not_stored", d.NotStored))
		}
		if d.Rule != "" {
			attrs = append(attrs, slog.String("rule", d.Rule))
		}
		if d.Forwarded != "" {
			attrs = append(attrs, slog.String("forwarded", d.Forwarded), slog.Int("forward_status", d.ForwardStatus))
		}
	}
	if e.Kind == Answered || e.Kind == Failed {
		attrs = append(attrs, slog.Duration("duration", e.Duration))
	}
	if id := e.Decision.ID; id != (store.ID{}) {
		attrs = append(attrs, slog.String("id", id.String()))
	}
	if e.Op != "" {
		attrs = append(attrs, slog.String("op", e.Op))
	}
	if err := cmp.Or(e.Err, e.Decision.Err); err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}
	c.Logger.LogAttrs(ctx, level, "larder", attrs...)
}
