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

// setDate adds the Date that a header which came then lacks (RFC 9110 §6.6.1).
func setDate(h http.Header, received time.Time) {
	if _, ok := h["Date"]; !ok {
		h["Date"] = []string{received.UTC().Format(http.TimeFormat)}
	}
}

// withhold returns a header that is to be stored without what r strips, and without its secrets: h itself, if r has
// neither.
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

// asReceived returns r as the standard sees it with the header as it came: what the rule has withheld from r may be
// what forbids to store it.
func (c *Cache) asReceived(x *exchange, r *store.Record, came http.Header) *rfc9111.Response {
	parsed := c.readingOf(r).alone[0]
	if len(x.rule.Strip) == 0 && len(x.rule.redact) == 0 {
		return parsed
	}
	whole := *parsed
	whole.Header = came
	if r.Header["Set-Cookie"] == nil { // what is stripped is no secret of one any more
		whole.Header = maps.Clone(came)
		delete(whole.Header, "Set-Cookie")
	}
	return rfc9111.Parse(whole)
}

// selecting returns the request's fields that select the response: those that Vary names. A response with a
// content coding is also for those alone who asked for it in the same words, or not at all: net/http asks for
// gzip on behalf of callers that do not, and unpacks it, which is too late when it comes from a cache.
func (c *Cache) selecting(respHeader, reqHeader http.Header) http.Header {
	if known := c.selected.Load(); known != nil && respHeader["Content-Encoding"] == nil && rfc9111.IsSelecting(*known, respHeader, reqHeader) {
		return *known
	}
	s, _ := rfc9111.Selecting(respHeader, reqHeader) // Vary: * is Storable's to judge
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

// record returns what is to be stored of a response, without its body; or nil, and why it is not to be stored.
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

// unwanted returns why the response to x, which would have that TTL, is not to be stored, whatever the standard says;
// "": it may be.
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
	return ""
}

// recordOf returns the response to x as it would be stored, but for its times, and its header before the rule withheld
// something of it.
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

// leadsBack reports whether the response to x is a redirect to what would be answered with it again, though the origin
// may answer with something else: to the same URL in other words, or without what a rule ignores.
func (c *Cache) leadsBack(x *exchange, resp *http.Response) bool {
	to, err := x.req.URL.Parse(resp.Header.Get("Location"))
	if err != nil || to.RequestURI() == x.req.URL.RequestURI() || normalHost(to) != normalHost(x.req.URL) {
		return false
	}
	get, err := c.getFor(x, to.String())
	return err == nil && get.key == x.key
}

func (x *exchange) maxBody(c *Cache) int64 { return cmp.Or(x.rule.MaxBody, c.MaxBody) }

// setTimes works out how long r is fresh and kept; its header and Received are new.
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

// download begins to store the response and returns what its readers read from; or nil, and why it is not to be
// stored.
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
	if d.length == 0 { // not set, unless there is no body
		d.length, r.Size = -1, -1
	}
	if x.rr.Method == http.MethodHead || resp.Body == http.NoBody {
		d.length, r.Size = 0, 0
	}
	if c.localStore && d.length > 0 { // what the store refuses at once is not shared: its readers would go in lockstep
		if err := d.create(); err != nil {
			d.writing.end()
			c.failed("create", x, err)
			c.discarded(x, err)
			return nil, "the store does not take it: " + err.Error()
		}
	}
	return d, ""
}

// supersededBy returns the stored records in whose place r goes, the response to x: those that x selects, and the
// oldest of too many variants or parts. A part takes the place of those alone that it contains, and of those of other
// representations.
func (c *Cache) supersededBy(x *exchange, r *store.Record) []*store.Record {
	var out []*store.Record
	var variants []http.Header // others that are kept
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
		case isPart(r) && !isPart(old): // there is more in it
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

// isBeside reports whether two parts are of the same representation, and the old one has something that the other has
// not.
func (c *Cache) isBeside(old, r *store.Record) bool {
	have, _ := c.readingOf(old).parsed.Part()
	part, _ := c.readingOf(r).parsed.Part()
	return rfc9111.Combinable(&c.readingOf(old).parsed, &c.readingOf(r).parsed) && rfc9111.Missing(have, []rfc9111.Part{part}).Length > 0
}

// isWholeOf reports whether part is of the same representation as old, of which all is stored.
func (c *Cache) isWholeOf(old, part *store.Record) bool {
	return old.Status == http.StatusOK && old.Method == http.MethodGet && sameVariant(old.Selecting, part.Selecting) && rfc9111.Combinable(&c.readingOf(old).parsed, &c.readingOf(part).parsed)
}

// sameVariant reports whether two responses were selected by the same values of the same fields.
func sameVariant(a, b http.Header) bool { return maps.EqualFunc(a, b, slices.Equal[[]string]) }

// dropOutdated removes what is stored for x when the origin has answered with something newer that may not be stored.
// It leaves it where the newer one is not stored only because it is for the user who asked.
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

// ofResource reports whether an answer with the status tells of what was asked for, and not of who asked, or how: lest
// one who asks badly empties the cache.
func (c *Cache) ofResource(status int) bool {
	switch status {
	case http.StatusPartialContent, http.StatusNotModified:
		return false
	case http.StatusNotFound, http.StatusGone, http.StatusUnavailableForLegalReasons:
		return true
	case http.StatusUnauthorized, http.StatusForbidden: // for all who ask, if they are one user
		return !c.Shared
	}
	return status < 400
}

// discarded tells that a response was not stored in the end.
func (c *Cache) discarded(x *exchange, err error) {
	c.emit(Event{Kind: Discarded, Method: x.rr.Method, URL: x.target.url, Err: err})
}
