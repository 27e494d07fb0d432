package rfc9111

import (
	"net/http"
	"strings"
	"time"
)

// A heuristic lifetime is a tenth of the time since Last-Modified, in whole seconds as all times in headers, and at
// most a week (RFC 9111 §4.2.2).
const (
	heuristicDivisor = 10
	maxHeuristic     = 7 * 24 * time.Hour
)

// Age returns the response's age at now: the time since the origin made or validated it, as well as can be known, and
// never negative (current_age, RFC 9111 §4.2.3). A clock that was set back makes it older, as one that was set forward
// does.
func (r *Response) Age(now time.Time) time.Duration {
	return r.initialAge + min(now.Sub(r.Received).Abs(), forever-r.initialAge)
}

// correctedInitialAge is the age at Received (RFC 9111 §4.2.3).
func (r *Response) correctedInitialAge() time.Duration {
	apparent := r.Received.Sub(r.date)
	corrected := age(r.Header)
	if !r.Requested.IsZero() {
		corrected += max(0, r.Received.Sub(r.Requested))
	}
	return min(max(0, apparent, corrected), maxDelta)
}

// age reads the Age field: the first member of the list; 0 if that is not a number, or missing (RFC 9111 §5.1). Empty
// members do not count (RFC 9110 §5.6.1.2), and a parameter after the number is ignored.
func age(h http.Header) time.Duration {
	for m := range members(h["Age"]) {
		if m != "" {
			number, _, _ := strings.Cut(m, ";")
			n, _ := seconds(trim(number))
			return n
		}
	}
	return 0
}

// Lifetime returns the freshness lifetime (RFC 9111 §4.2.1): the response is fresh as long as its Age is
// less. With a TTL it is the age on arrival and the TTL; the largest Duration: forever.
func (p Policy) Lifetime(r *Response) time.Duration {
	d, _ := p.lifetime(r)
	return d
}

// lifetime also returns the reason that holds while the response is fresh.
func (p Policy) lifetime(r *Response) (time.Duration, Reason) {
	switch {
	case r.TTL >= forever-r.initialAge:
		return forever, FreshForever
	case r.TTL != 0:
		return max(0, r.TTL) + r.initialAge, FreshByRule
	case p.Shared && r.cc.sMaxAge.set:
		return r.cc.sMaxAge.d, Fresh
	case r.cc.maxAge.set:
		return r.cc.maxAge.d, Fresh
	case r.hasExpires: // an invalid date is in the past (RFC 9111 §5.3)
		return min(max(0, r.expires.Sub(r.date)), maxDelta), Fresh
	case r.lastModified.IsZero() || !HeuristicallyCacheable(r.Status) && !r.cc.public:
		return 0, Fresh
	}
	return min(max(0, r.date.Sub(r.lastModified)/heuristicDivisor), maxHeuristic).Truncate(time.Second), FreshByHeuristic
}

// explicit reports whether the response itself says how long it is fresh, even if that is not at all.
func (p Policy) explicit(r *Response) bool {
	return r.cc.maxAge.set || r.hasExpires || p.Shared && r.cc.sMaxAge.set
}

// FreshUntil returns when the response turns stale; zero: never. For a response that was stale on arrival, that is
// before it was received. no-cache does not matter here.
func (p Policy) FreshUntil(r *Response) time.Time {
	d := p.Lifetime(r)
	if d == forever {
		return time.Time{}
	}
	return r.Received.Add(d - r.initialAge)
}

// UsableUntil returns when the response can no longer be used without asking the origin first: FreshUntil plus the
// longer of its stale windows, if it may be used stale; zero: never. A caller who asks for stale responses may use it
// even later.
func (p Policy) UsableUntil(r *Response) time.Time {
	t := p.FreshUntil(r)
	if t.IsZero() || p.neverStale(r) {
		return t
	}
	return t.Add(max(0, r.whileRevalidate(), r.ifError()))
}

// StaleWindows returns how long after it turned stale the response may be used while it is validated (RFC 5861 §3), and
// when the origin fails (§4); 0: not at all.
func (p Policy) StaleWindows(r *Response) (whileRevalidate, ifError time.Duration) {
	if p.neverStale(r) {
		return 0, 0
	}
	return r.whileRevalidate(), r.ifError()
}

// neverStale reports whether the response forbids its use when stale (RFC 9111 §4.2.4). s-maxage means
// proxy-revalidate too (§5.2.2.10).
func (p Policy) neverStale(r *Response) bool {
	return r.TTL == 0 && (r.cc.mustRevalidate || r.cc.noCache || p.Shared && (r.cc.proxyRevalidate || r.cc.sMaxAge.set))
}

// whileRevalidate returns the stale-while-revalidate window (RFC 5861 §3).
func (r *Response) whileRevalidate() time.Duration {
	if r.StaleWhileRevalidate != 0 {
		return max(0, r.StaleWhileRevalidate)
	}
	return r.cc.staleWhileRevalidate.d
}

// ifError returns the stale-if-error window (RFC 5861 §4).
func (r *Response) ifError() time.Duration {
	if r.StaleIfError != 0 {
		return max(0, r.StaleIfError)
	}
	return r.cc.staleIfError.d
}
