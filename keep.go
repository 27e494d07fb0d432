package larder

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/larder-go/larder/rfc9111"
	"github.com/larder-go/larder/store"
)

// setDate adds the time of receipt as Date if the header has none (RFC 9110 §6.6.1).
func setDate(h http.Header, received time.Time) {
	if _, ok := h["Date"]; !ok {
		h["Date"] = []string{received.UTC().Format(http.TimeFormat)}
	}
}

// withhold returns the header to store: without the fields that r strips, and with REDACTED as the value of those that
// it redacts. It is h itself if r does neither.
func (r *rule) withhold(h http.Header) http.Header {
	if len(r.Strip) == 0 && len(r.redact) == 0 {
		return h
	}
	h = maps.Clone(h)
	for _, name := range r.Strip {
		h.Del(name)
	}
	for name := range h {
		if r.redacts(name) {
			h[name] = []string{"REDACTED"}
		}
	}
	return h
}

// asReceived returns r with the header as it came, as package rfc9111 sees it: what the rule withholds from r may
// forbid storing it.
func (c *Cache) asReceived(x *exchange, r *store.Record, came http.Header) *rfc9111.Response {
	parsed := c.readingOf(r).alone[0]
	if len(x.rule.Strip) == 0 && len(x.rule.redact) == 0 {
		return parsed
	}
	whole := *parsed
	whole.Header = came
	if r.Header["Set-Cookie"] == nil { // stripped, it does not make the response private
		whole.Header = maps.Clone(came)
		delete(whole.Header, "Set-Cookie")
	}
	return rfc9111.Parse(whole)
}

// selecting returns the request's fields that select the response: those that Vary names. Accept-Encoding selects a
// response with a content coding even if Vary does not name it: callers who leave gzip to net/http, which unpacks it
// below the cache, could not read a stored response that is packed.
func (c *Cache) selecting(respHeader, reqHeader http.Header) http.Header {
	if known := c.selected.Load(); known != nil && respHeader["Content-Encoding"] == nil && rfc9111.IsSelecting(*known, respHeader, reqHeader) {
		return *known
	}
	s, _ := rfc9111.Selecting(respHeader, reqHeader) // Storable judges Vary: *
	if respHeader["Content-Encoding"] != nil {
		coding, _ := rfc9111.Selecting(http.Header{"Vary": {"Accept-Encoding"}}, reqHeader)
		if s == nil {
			return coding
		}
		maps.Copy(s, coding)
	}
	if s != nil {
		c.selected.Store(&s)
	}
	return s
}

// record returns the record to store for a response, without its body; or nil, and why it must not be stored.
func (c *Cache) record(x *exchange, resp *http.Response, requested, received time.Time) (r *store.Record, why string) {
	ttl := x.rule.ttl(x.ask, resp.StatusCode, received)
	if why := c.unwanted(x, resp, ttl); why != "" {
		return nil, why
	}
	r, came := c.recordOf(x, resp, ttl, requested, received)
	if ok, why := c.policy().Storable(&x.rr, c.asReceived(x, r, came)); !ok {
		return nil, why.String()
	}
	if isPart(r) && slices.ContainsFunc(x.found, func(old *store.Record) bool { return c.isWholeOf(old, r) }) {
		return nil, "the whole of it is stored"
	}
	if x.rule.Filter != nil {
		view := *resp
		view.Body = http.NoBody
		if !x.rule.Filter(&view) {
			return nil, "the rule's filter turned it away"
		}
	}
	c.setTimes(r)
	return r, ""
}

// unwanted returns why the response to x, which would have that TTL, must not be stored whatever the standard says;
// "": it may be stored.
func (c *Cache) unwanted(x *exchange, resp *http.Response, ttl time.Duration) string {
	if !x.rule.statusAllowed(resp.StatusCode) {
		return "the rule does not list its status"
	}
	if ttl == Never {
		return "a rule or the caller says never to store it"
	}
	if maxBody := x.maxBody(c); maxBody > 0 && resp.ContentLength > maxBody {
		return "its body is longer than MaxBody"
	}
	if _, ok := store.As[store.Finder](c.store); !ok && c.noted(x) && x.rule.Methods == nil {
		return "the store could not find it when an unsafe request makes it invalid"
	}
	if resp.StatusCode/100 == 3 && c.leadsBack(x, resp) {
		return "it leads to what has the same key"
	}
	if ttl > 0 && c.Shared && x.rule.Statuses == nil && temporaryRedirect(resp.StatusCode) && resp.Header["Set-Cookie"] != nil {
		return "it redirects one user, with a cookie" // as a login does
	}
	return ""
}

// recordOf returns the record of the response to x, but for its times, and the header before the rule withheld
// anything.
func (c *Cache) recordOf(x *exchange, resp *http.Response, ttl time.Duration, requested, received time.Time) (r *store.Record, came http.Header) {
	came = c.policy().StoredHeader(resp.Header)
	if x.rest != nil {
		for name := range x.rest.withheld {
			delete(came, name)
		}
	}
	setDate(came, received)
	r = &store.Record{
		Key: x.key,
		ID:  store.NewID(received),
		Head: store.Head{
			Method: x.rr.Method, URL: x.target.url,
			Status: resp.StatusCode, Proto: resp.Proto, Header: x.rule.withhold(came),
			Selecting:    c.selecting(resp.Header, x.header),
			Uncompressed: resp.Uncompressed, Length: resp.ContentLength, TLS: store.NewConnection(resp.TLS),
			Requested: requested, Received: received,
			TTL: ttl, StaleWhileRevalidate: x.rule.StaleWhileRevalidate, StaleIfError: x.rule.StaleIfError,
		},
		Size: resp.ContentLength,
	}
	r.Tags = x.withGroups(x.rule.Tags, r.Header)
	if v := c.variationOf(x, r.Header); v != nil {
		r.Key = c.variedKey(x, v)
	}
	return r, came
}

// leadsBack reports whether the response to x redirects to another URL that has x's own key, such as another spelling
// of the URL, or the URL without a parameter that the rule ignores. Stored, it would be a loop.
func (c *Cache) leadsBack(x *exchange, resp *http.Response) bool {
	to, err := x.req.URL.Parse(resp.Header.Get("Location"))
	if err != nil || to.RequestURI() == x.req.URL.RequestURI() || normalHost(to) != normalHost(x.req.URL) {
		return false
	}
	get, err := c.getFor(x, to.String())
	return err == nil && get.key == x.key
}

func (x *exchange) maxBody(c *Cache) int64 { return cmp.Or(x.rule.MaxBody, c.MaxBody) }

// setTimes sets how long r is fresh and kept, by its header and Received.
func (c *Cache) setTimes(r *store.Record) {
	parsed := c.readingOf(r).alone[0]
	r.FreshUntil = c.policy().FreshUntil(parsed)
	r.KeepUntil = time.Time{}
	if usable := c.policy().UsableUntil(parsed); !usable.IsZero() {
		r.KeepUntil = r.FreshUntil.Add(c.keepStale())
		if usable.After(r.KeepUntil) {
			r.KeepUntil = usable
		}
	}
}

// download begins to store the response, and returns what its readers read from; or nil, and why the response must not
// be stored.
func (c *Cache) download(f *flight, x *exchange, resp *http.Response, requested time.Time) (*download, string) {
	r, why := c.record(x, resp, requested, c.now())
	if r == nil {
		if !x.rr.NoStore() {
			c.dropOutdated(f.ctx, x, resp, requested)
		}
		return nil, why
	}
	d := &download{c: c, x: x, record: r, superseded: c.supersededBy(x, r), resp: resp, length: resp.ContentLength,
		maxBody: x.maxBody(c), flight: f, digests: c.digests(x.rr.Method, resp), noted: c.noted(x)}
	d.readers = d.first[:0]
	for name := range resp.Trailer {
		d.trailers = append(d.trailers, name)
	}
	d.writing = c.bounds(f.values)
	if d.length == 0 { // not set by Base, unless there is no body
		d.length, r.Size = -1, -1
	}
	if x.rr.Method == http.MethodHead || resp.Body == http.NoBody {
		d.length, r.Size = 0, 0
	}
	if c.localStore && d.length > 0 { // what the store refuses is not shared: its readers would go in lockstep
		if err := d.create(); err != nil {
			d.writing.end()
			c.failed("create", x, err)
			c.discarded(x, err)
			return nil, "the store does not take it: " + err.Error()
		}
	}
	return d, ""
}

// supersededBy returns the stored records that r, the response to x, replaces: those that x selects, and the oldest
// of too many variants or parts. A part replaces only the parts that it contains, and those of other representations.
func (c *Cache) supersededBy(x *exchange, r *store.Record) []*store.Record {
	var out []*store.Record
	var variants []http.Header // the other variants that are kept
	parts := maxParts - 1
	for _, old := range x.found { // newest first
		switch {
		case r.Method == http.MethodHead && old.Method != http.MethodHead:
		case !rfc9111.Selects(old.Selecting, x.header):
			switch {
			case isPart(old) && slices.ContainsFunc(variants, func(v http.Header) bool { return sameVariant(v, old.Selecting) }):
			case len(variants) < c.maxVariants()-1:
				variants = append(variants, old.Selecting)
			default:
				out = append(out, old)
			}
		case isPart(r) && !isPart(old): // the whole has more in it
		case isPart(r) && c.isBeside(old, r):
			if parts--; parts < 0 {
				out = append(out, old)
			}
		default:
			out = append(out, old)
		}
	}
	return out
}

// isBeside reports whether two parts are of the same representation, and old has bytes that r does not have.
func (c *Cache) isBeside(old, r *store.Record) bool {
	have, _ := c.readingOf(old).parsed.Part()
	part, _ := c.readingOf(r).parsed.Part()
	return rfc9111.Combinable(&c.readingOf(old).parsed, &c.readingOf(r).parsed) && rfc9111.Missing(have, []rfc9111.Part{part}).Length > 0
}

// isWholeOf reports whether old is the stored whole of the representation that part belongs to.
func (c *Cache) isWholeOf(old, part *store.Record) bool {
	return old.Status == http.StatusOK && old.Method == http.MethodGet && sameVariant(old.Selecting, part.Selecting) && rfc9111.Combinable(&c.readingOf(old).parsed, &c.readingOf(part).parsed)
}

// sameVariant reports whether the same values of the same request fields selected two responses.
func sameVariant(a, b http.Header) bool { return maps.EqualFunc(a, b, slices.Equal[[]string]) }

// dropOutdated removes what is stored for x after the origin has answered with something newer that must not be stored.
// It does nothing if the newer response is not stored only because it is for the user who asked.
func (c *Cache) dropOutdated(ctx context.Context, x *exchange, resp *http.Response, requested time.Time) {
	if x.rr.Method == http.MethodHead || len(x.found) == 0 || !c.ofResource(resp.StatusCode) {
		return
	}
	if c.Shared {
		now := c.now()
		r, came := c.recordOf(x, resp, x.rule.ttl(x.ask, resp.StatusCode, now), requested, now)
		if c.forOneUser(x, c.asReceived(x, r, came)) {
			return
		}
	}
	for _, r := range x.found {
		if x.rule.statusAllowed(r.Status) && rfc9111.Selects(r.Selecting, x.header) {
			c.remove(ctx, x, r.Key, r.ID)
		}
	}
}

// ofResource reports whether the status is about the resource rather than about the client or its request. Otherwise
// bad requests could empty the cache.
func (c *Cache) ofResource(status int) bool {
	switch status {
	case http.StatusPartialContent, http.StatusNotModified:
		return false
	case http.StatusNotFound, http.StatusGone, http.StatusUnavailableForLegalReasons:
		return true
	case http.StatusUnauthorized, http.StatusForbidden: // in a private cache, all requests are one user's
		return !c.Shared
	}
	return status < 400
}

// discarded emits the event of a response that was not stored in the end.
func (c *Cache) discarded(x *exchange, err error) {
	c.emit(Event{Kind: Discarded, Method: x.rr.Method, URL: x.target.url, Err: err})
}
