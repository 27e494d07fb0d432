package larder

import (
	"context"
	"time"
)

// Mode is what one request asks of the cache.
type Mode uint8

const (
	// Standard follows the rules and RFC 9111.
	Standard Mode = iota
	// Refresh validates a stored response before it is used, even a fresh one (as F5 does).
	Refresh
	// ForceRefresh fetches the whole response anew, and stores it.
	ForceRefresh
	// PreferStored takes a stored response, however stale, and asks the origin only if there is none.
	PreferStored
	// Offline takes a stored response that may be used without validation. If there is none, the answer is 504.
	Offline
	// OfflineStale takes a stored response, however stale. If there is none, the answer is 504.
	OfflineStale
	// Bypass neither reads nor writes the cache, but what an unsafe method makes invalid is removed.
	Bypass
)

var modes = [...]string{"standard", "refresh", "force refresh", "prefer stored", "offline", "offline stale", "bypass"}

// String returns the mode in one or two lower-case words.
func (m Mode) String() string { return modes[m] }

// Forever is the TTL of a response that never turns stale.
const Forever time.Duration = 1<<63 - 1

// Never is the TTL of responses that are neither stored nor looked up.
const Never time.Duration = -1

// ask is what the context of one request says.
type ask struct {
	mode    Mode
	ttl     time.Duration // 0: nothing
	expires time.Time     // zero: nothing
}

type askKey struct{}

func asked(ctx context.Context) ask {
	a, _ := ctx.Value(askKey{}).(ask)
	return a
}

// WithMode returns a context whose requests ask m of the cache.
func WithMode(ctx context.Context, m Mode) context.Context {
	a := asked(ctx)
	a.mode = m
	return context.WithValue(ctx, askKey{}, a)
}

// WithTTL returns a context whose responses are stored and fresh for ttl, whatever their headers and the rules say, if
// they have one of Rule.Statuses. ttl is a positive duration, Forever, or Never, for which any negative one stands; 0
// undoes an earlier WithTTL or WithExpiry. What is stored already, or on its way for another request, keeps its
// lifetime until it is stored or validated anew. A shared cache does not answer requests without a TTL with what was
// stored only because of one: a response that the origin forbids to share, or that sets a cookie and is neither public
// nor fresh.
func WithTTL(ctx context.Context, ttl time.Duration) context.Context {
	a := asked(ctx)
	a.ttl, a.expires = max(ttl, Never), time.Time{}
	return context.WithValue(ctx, askKey{}, a)
}

// WithExpiry is WithTTL with the time at which the responses turn stale; a time in the past means Never.
func WithExpiry(ctx context.Context, t time.Time) context.Context {
	a := asked(ctx)
	a.ttl, a.expires = 0, t
	return context.WithValue(ctx, askKey{}, a)
}
