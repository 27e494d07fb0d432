package rfc9111

import (
	"net/http"
	"slices"
	"time"
)

// Action is what to do with a request.
type Action uint8

const (
	// Forward sends the request to the origin as it is.
	Forward Action = iota
	// Serve answers with the selected response.
	Serve
	// ServeAndRefresh answers with the selected response, and validates it or fetches it anew meanwhile.
	ServeAndRefresh
	// Validate asks the origin with the Conditions of the selected response.
	Validate
	// Refuse answers 504 (RFC 9111 §5.2.1.7).
	Refuse
)

var actions = [...]string{"forward", "serve", "serve and refresh", "validate", "refuse"}

// String returns the action in lower-case words.
func (a Action) String() string { return actions[a] }

// Verdict is what Reuse decides.
type Verdict struct {
	Action Action
	Reason Reason
	// Found is the Reason without the caller's wishes to take any stored response (TakeStale) and only stored ones
	// (only-if-cached). It differs from Reason only if that is TakenStale or OnlyIfCached.
	Found Reason
	// Index is that of the selected response among the stored ones, even if it may not be served; -1: none.
	Index    int
	Age      time.Duration // of the selected response (RFC 9111 §4.2.3)
	Lifetime time.Duration // of the selected response, as Policy.Lifetime
}

// Reuse decides what to do with a request, given the responses that are stored for its URL and the time (RFC 9111 §4).
// Of the stored responses that match by method and by Vary, it selects the most recent. A stored GET answers GET and
// HEAD; a response to any other method answers only that method. Responses that this cache must not store are left out:
// a private cache may have put into the same store what a shared one may not use, and each may honour other targeted
// fields (RFC 9213). A 206 is never selected: if parts make up what the request asks for, the caller of Reuse puts them
// together first, as a 200 (see Combinable).
func (p Policy) Reuse(req *Request, stored []*Response, now time.Time) Verdict {
	w := wishesOf(req)
	i, why := p.choose(req, stored)
	if i < 0 {
		if w.onlyIfCached {
			return Verdict{Action: Refuse, Index: -1, Reason: OnlyIfCached, Found: why}
		}
		return Verdict{Action: Forward, Index: -1, Reason: why, Found: why}
	}
	r := stored[i]
	v := Verdict{Index: i, Age: r.Age(now)}
	var fresh Reason
	v.Lifetime, fresh = p.lifetime(r)
	v.Action, v.Reason = p.decide(&w, r, v.Age, v.Lifetime, fresh)
	v.Found = v.Reason
	switch {
	case v.Action == Serve:
	case req.TakeStale && v.Action != ServeAndRefresh:
		v.Action, v.Reason = Serve, TakenStale
	case req.TakeStale || w.onlyIfCached && v.Action == ServeAndRefresh:
		v.Action = Serve
	case w.onlyIfCached:
		v.Action, v.Reason = Refuse, OnlyIfCached
	}
	return v
}

// decide leaves TakeStale and only-if-cached out of account.
func (p Policy) decide(w *wishes, r *Response, age, lifetime time.Duration, fresh Reason) (Action, Reason) {
	check := Forward
	if r.hasValidator() {
		check = Validate
	}
	staleness := age - lifetime // fresh below 0 (RFC 9111 §4.2)
	switch {
	case r.cc.noCache && r.TTL == 0:
		return check, ResponseNoCache
	case w.noCache:
		return check, RequestNoCache
	case staleness >= 0 && p.neverStale(r):
		return check, MustRevalidate
	case w.tooOld(age) && !(r.cc.immutable && staleness < 0): // RFC 8246 §2
		return check, RequestMaxAge
	case w.minFresh.set && -staleness < w.minFresh.d:
		return check, RequestMinFresh
	case staleness < 0:
		return Serve, fresh
	case w.maxStale.set && staleness <= w.maxStale.d:
		return Serve, MaxStale
	case within(r.whileRevalidate(), staleness) && !w.limitsFreshness():
		return ServeAndRefresh, StaleWhileRevalidate
	}
	return check, Stale
}

// StaleIfError reports whether resp, which Reuse selected, may answer req at now after the origin failed:
// could not be reached, broke off, or answered 500, 502, 503 or 504 (RFC 5861 §4). It may if it is inside the
// window that the request names, or the one that the response names unless the request limits freshness
// itself; never if the response is no-cache, or stale and forbids its use then.
func (p Policy) StaleIfError(req *Request, resp *Response, now time.Time) bool {
	if req.TakeStale {
		return true
	}
	w := wishesOf(req)
	age := resp.Age(now)
	staleness := age - p.Lifetime(resp)
	switch {
	case resp.cc.noCache && resp.TTL == 0, staleness >= 0 && p.neverStale(resp):
		return false
	case within(w.staleIfError.d, staleness):
		return true
	case w.noCache || w.limitsFreshness(), w.staleIfError.set && staleness >= 0:
		return false
	}
	return staleness < 0 || within(resp.ifError(), staleness)
}

// StaleIfDisconnected reports whether resp, which Reuse selected, may answer req at now after the origin gave no answer
// at all (RFC 9111 §4.2.4). It may where StaleIfError allows it. If neither the response nor the request names a window
// for that, it may however stale it is, unless the request limits freshness itself, or the response is no-cache or
// forbids its use when stale.
func (p Policy) StaleIfDisconnected(req *Request, resp *Response, now time.Time) bool {
	if p.StaleIfError(req, resp, now) {
		return true
	}
	w := wishesOf(req)
	switch {
	case p.neverStale(resp):
		return false
	case resp.StaleIfError != 0 || resp.cc.staleIfError.set || w.staleIfError.set:
		return false
	}
	return !w.noCache && !w.limitsFreshness()
}

// within reports whether a stale window covers the staleness; none does not cover even the first instant.
func within(window, staleness time.Duration) bool { return window > 0 && staleness <= window }

// choose returns the index of the response to use for req: of those that match, the most recent by Date, then
// by arrival; -1 and the reason if none matches (RFC 9111 §4 and §4.1).
func (p Policy) choose(req *Request, stored []*Response) (int, Reason) {
	best, why := -1, NothingStored
	for i, r := range stored {
		byHeader := r.TTL == 0 || p.Shared && req.NoTTL
		switch {
		case !r.answers(req.Method):
			if why == NothingStored {
				why = MethodDiffers
			}
		case r.Status == http.StatusPartialContent:
			why = InPart
		case r.variesOnUnknown && byHeader || !Selects(r.Selecting, req.Header):
			why = NoVariant
		case byHeader && p.forbids(r) != 0:
			why = p.forbids(r)
		case best < 0 || preferred(r, stored[best]):
			best = i
		}
	}
	return best, why
}

// Forbids returns why the cache must not use a stored response for any request, although another cache has put it into
// a store that they share: it is private or sets a cookie, or the field that this cache goes by says no-store (RFC
// 9111 §5.2.2.5, §5.2.2.7, §7.3). 0: the cache may use it, because none of that is so, or because it has a TTL.
func (p Policy) Forbids(r *Response) Reason {
	if r.TTL != 0 {
		return 0
	}
	return p.forbids(r)
}

func (p Policy) forbids(r *Response) Reason {
	switch {
	case r.noStore != 0:
		return r.noStore
	case p.Shared && (r.cc.private || slices.ContainsFunc(r.cc.privateFields, func(name string) bool { return len(r.Header[name]) > 0 })):
		return PrivateResponse
	case p.cookieOfOne(r):
		return SetsCookie
	}
	return 0
}

// preferred reports whether a is the better choice of two that match: one with Vary before one without, since origins
// sometimes forget it (RFC 9111 §4.1), otherwise the more recent.
func preferred(a, b *Response) bool {
	if (len(a.Selecting) > 0) != (len(b.Selecting) > 0) {
		return len(a.Selecting) > 0
	}
	return moreRecent(a, b)
}

func moreRecent(a, b *Response) bool {
	if a.date.Equal(b.date) {
		return a.Received.After(b.Received)
	}
	return a.date.After(b.date)
}

// wishes are what a request asks of the cache, by its header and otherwise.
type wishes struct{ directives }

func wishesOf(req *Request) (w wishes) {
	if lines := req.Header["Cache-Control"]; len(lines) > 0 {
		w.directives = parseDirectives(lines)
	} else if lines := req.Header["Pragma"]; len(lines) > 0 {
		w.noCache = parseDirectives(lines).noCache // it counts only without Cache-Control (RFC 9111 §5.4)
	}
	w.noCache = w.noCache || req.Revalidate
	w.onlyIfCached = w.onlyIfCached || req.OnlyStored
	return w
}

// tooOld reports whether the age exceeds the request's max-age. A max-age of 0 asks for validation even of a response
// that has just come.
func (w *wishes) tooOld(age time.Duration) bool {
	return w.maxAge.set && (age > w.maxAge.d || w.maxAge.d == 0)
}

// WantsNew reports whether the request demands a response that was requested after it came: by no-cache, or a max-age
// of 0 (RFC 9111 §5.2.1.1, §5.2.1.4, §5.4).
func (r *Request) WantsNew() bool {
	w := wishesOf(r)
	return w.noCache || w.tooOld(0)
}

// limitsFreshness reports whether the request says how stale a response may be, or that it must not be (RFC
// 9111 §5.2.1).
func (w *wishes) limitsFreshness() bool { return w.maxAge.set || w.minFresh.set || w.maxStale.set }
