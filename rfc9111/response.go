package rfc9111

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Policy is the kind of cache that decides. The zero Policy is that of a private cache.
type Policy struct {
	Shared bool // by several users: s-maxage, proxy-revalidate, private and Authorization count

	// Targeted names the targeted fields that the cache honours, in canonical form, the most applicable first (RFC 9213
	// §2.2); nil: none. Responses must have the same Targeted.
	Targeted []string
}

// Request is a request as the rules see it.
type Request struct {
	Method string // "" means GET
	URL    *url.URL
	Header http.Header

	// What the caller asks beyond the header:

	// Revalidate is as no-cache: a stored response is used only after a successful validation.
	Revalidate bool
	// OnlyStored is as only-if-cached.
	OnlyStored bool
	// TakeStale takes any stored response that matches, however stale, despite must-revalidate and no-cache, and
	// without asking the origin.
	TakeStale bool
	// NoTTL says that no TTL holds for the request. A shared cache does not answer it with a response that was stored
	// only because a TTL held for another request: one with no-store, private or Vary: *, or that sets a cookie.
	NoTTL bool
}

// Response is a response as the rules see it. It must be made by Parse, and not be changed after that; so it is safe
// for concurrent use.
type Response struct {
	Method string // of the request it answered; "" means GET
	Status int
	Header http.Header

	// Requested and Received are when the request was sent and when the response came, for the age. If Requested is
	// zero, the response is taken to have come at once.
	Requested, Received time.Time

	// Selecting holds the request's values of the fields that Vary names, as the function Selecting returns them.
	Selecting http.Header

	// Targeted must be that of the Policy that judges the response. By it Parse decides whether the directives are
	// those of Cache-Control or of a targeted field, which replaces Cache-Control and Expires.
	Targeted []string

	// TTL, unless 0, is how long after Received the response is fresh, whatever the header says: it overrides even
	// no-store, no-cache, private, must-revalidate and Vary: *. The largest Duration is forever.
	TTL time.Duration
	// StaleWhileRevalidate and StaleIfError, unless 0, replace the header's windows (RFC 5861). Negative: none.
	StaleWhileRevalidate, StaleIfError time.Duration

	cc              directives // of Cache-Control, or of a targeted field
	date            time.Time  // of the Date field; without one, Received
	lastModified    time.Time  // zero if absent or invalid
	hasExpires      bool
	expires         time.Time // zero if invalid
	initialAge      time.Duration
	etag            string
	part            Part // of a 206, with the size of the whole
	size            int64
	variesOnUnknown bool // Vary: *
	setsCookie      bool // and lets it be stored
	noStore         Reason
}

const setCookie = "Set-Cookie"

// Parse returns r with its dates and directives read. It keeps r's header, which must not be changed
// afterwards.
func Parse(r Response) *Response { // to be inlined, so that it allocates only where the result is kept
	r.parse()
	return &r
}

func (r *Response) parse() {
	h := r.Header
	var targeted bool
	r.cc, targeted = governing(h, r.Targeted)
	r.noStore = r.forbidsStore()
	r.date = r.Received
	if t, ok := dateField(h, "Date", r.Received); ok {
		r.date = t
	}
	r.lastModified, _ = dateField(h, "Last-Modified", r.Received)
	if r.hasExpires = len(h["Expires"]) > 0 && !targeted; r.hasExpires {
		r.expires, _ = dateField(h, "Expires", r.Received)
	}
	r.initialAge = r.correctedInitialAge()
	r.etag = etagField(h)
	r.variesOnUnknown = variesOnUnknown(h)
	r.setsCookie = len(h[setCookie]) > 0 && !slices.Contains(r.cc.noCacheFields, setCookie) && !slices.Contains(r.cc.privateFields, setCookie)
	if r.Status == http.StatusPartialContent {
		r.part, r.size = contentRange(h)
	}
}

// forbidsStore returns why no cache may store the response or use it again; 0 if that is not so.
func (r *Response) forbidsStore() Reason {
	switch cc := &r.cc; {
	case cc.mustUnderstand && !understood(r.Status):
		return StatusNotUnderstood
	case cc.noStore && !cc.mustUnderstand: // which wins where it is understood (RFC 9111 §5.2.2.3)
		return ResponseNoStore
	}
	return 0
}

// dateField reads the first line of a field that holds a date.
func dateField(h http.Header, name string, about time.Time) (time.Time, bool) {
	v := h[name]
	if len(v) == 0 {
		return time.Time{}, false
	}
	return parseDate(v[0], about)
}

// hasValidator reports whether the response can be validated by itself: by an ETag or a
// well-formed Last-Modified.
func (r *Response) hasValidator() bool { return r.etag != "" || !r.lastModified.IsZero() }

// answers reports whether the response, stored for its own method, may answer a request with the other one
// (RFC 9111 §4).
func (r *Response) answers(method string) bool {
	own := orGet(r.Method)
	method = orGet(method)
	return method == own || method == http.MethodHead && own == http.MethodGet
}

func orGet(method string) string { return cmp.Or(method, http.MethodGet) }
