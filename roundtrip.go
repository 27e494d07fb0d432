package larder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/larder-go/larder/rfc9111"
	"github.com/larder-go/larder/store"
)

// exchange is one request, and what the cache has found out about it.
type exchange struct {
	req  *http.Request // the caller's
	send *http.Request // what the origin is sent: req, with a body that is still unread
	came time.Time
	now  time.Time // when it came or, after a wait, when the store was looked into again
	ask  ask
	rule *rule

	target  target
	key     store.Key
	content string          // the digest of the body's meaning; "": no body
	header  http.Header     // the request's fields as Vary sees them
	rr      rfc9111.Request // the request as the rules see it

	landed     int64               // how many flights had landed before the store was looked into
	found      []*store.Record     // all that is stored under key, newest first
	records    []*store.Record     // the usable ones of found
	stored     []*rfc9111.Response // records as package rfc9111 sees them
	incomplete *assembly           // stored parts that do not suffice
	vary       []string            // the request fields known to select a variant
	verdict    rfc9111.Verdict
	rest       *completion // the stored parts that the response was combined with; nil: none
	troubled   bool        // the lookup failed
	alone      bool        // a flight that it waited for had no answer for it, so it must ask by itself
	unusable   bool        // the stored body is gone, or the filter rejected the response: nothing counts as stored
}

// reads reports whether the request's conditions and ranges apply to the stored response. With other methods they have
// another meaning (RFC 9110 §13.1.2 and §14.2, RFC 10008 §2.6 and §2.8).
func (x *exchange) reads() bool {
	switch x.rr.Method {
	case http.MethodGet, http.MethodHead, methodQuery:
		return true
	}
	return false
}

// maxAttempts bounds how often a request looks into the store again after a flight that brought nothing for it.
const maxAttempts = 3

// RoundTrip answers req from the store if the rules and RFC 9111 allow it. Otherwise it asks Base, and stores the
// response as the caller reads it. It implements http.RoundTripper; Info says how the response came about.
func (c *Cache) RoundTrip(req *http.Request) (*http.Response, error) {
	c.start()
	came := c.now()
	resp, err := c.roundTrip(req, came)
	if err != nil {
		c.counters.outcome[None].Add(1)
		c.tellFailed(req, came, err)
	}
	return resp, err
}

// tellFailed emits the event for a request that ended in an error.
func (c *Cache) tellFailed(req *http.Request, came time.Time, err error) {
	e := Event{Kind: Failed, Method: cmp.Or(req.Method, http.MethodGet), Duration: c.now().Sub(came), Err: err}
	if set := c.rules.Load(); req.URL != nil && set.err == nil { // without valid rules nobody knows what to redact
		path := normalPath(req.URL)
		r := ruleFor(set.rules, e.Method, req.URL, path)
		e.URL = newTarget(req.URL, path, r.telling(set.rules, e.Method, req.URL, path)).url
	}
	c.emit(e)
}

func (c *Cache) roundTrip(req *http.Request, came time.Time) (*http.Response, error) {
	if req.URL == nil {
		closeBody(req)
		return nil, errors.New("larder: the request has no URL")
	}
	set := c.rules.Load()
	if set.err != nil {
		closeBody(req)
		return nil, set.err
	}
	x := exchange{req: req, send: req, came: came, now: came, ask: asked(req.Context())}
	if why := c.prepare(&x, set.rules); why != "" {
		return c.bypass(x, why)
	}
	if c.noted(&x) {
		c.keepNotes(&x)
	}
	for attempt := 0; ; attempt++ {
		if attempt > 0 { // it has waited
			x.now = c.now()
		}
		x.landed = c.flights.landed.Load()
		records, err := c.look(req.Context(), &x)
		if err != nil {
			closeBody(x.send)
			return nil, err
		}
		if resp := c.fromStore(&x, records); resp != nil {
			return resp, nil
		}
		resp, next, err := c.fetch(x, attempt)
		if resp != nil || err != nil {
			return resp, err
		}
		if x, err = next.rewound(); err != nil {
			return nil, err
		}
	}
}

// bypass answers a request that the cache takes no part in.
func (c *Cache) bypass(x exchange, why string) (*http.Response, error) {
	switch {
	case c.onlyStored(&x):
		x.verdict.Reason = rfc9111.OnlyIfCached
		return c.refuse(&x), nil
	case x.mayAnswerGet():
		return c.post(x, why)
	}
	return c.pass(x, why)
}

// onlyStored reports whether x must be answered from the store or not at all (RFC 9111 §5.2.1.7). The mode Bypass
// overrides the header, and unsafe methods are always written through (RFC 9111 §4).
func (c *Cache) onlyStored(x *exchange) bool {
	return x.rr.OnlyStored || x.reads() && x.ask.mode != Bypass && c.policy().Reuse(&x.rr, nil, x.now).Action == rfc9111.Refuse
}

// fromStore answers x from records, which are stored for it, or refuses it. It returns nil if the origin must be asked.
func (c *Cache) fromStore(x *exchange, records []*store.Record) *http.Response {
	switch x.verdict.Action {
	case rfc9111.Refuse:
		return c.refuse(x)
	case rfc9111.Serve, rfc9111.ServeAndRefresh:
	default:
		return nil
	}
	d := Decision{Outcome: Hit}
	if x.verdict.Age >= x.verdict.Lifetime {
		d.Outcome = Stale
	}
	if resp := c.serve(x, x.records[x.verdict.Index], x.now, d); resp != nil {
		if x.verdict.Action == rfc9111.ServeAndRefresh {
			c.refresh(*x)
		}
		closeBody(x.send)
		return resp
	}
	x.unusable = true
	c.weigh(x, records)
	if x.verdict.Action == rfc9111.Refuse {
		return c.refuse(x)
	}
	return nil
}

// look looks into the store for x and weighs what is there. If nothing stored for x's own query can be served, it also
// considers what is stored for queries that mean the same (No-Vary-Search).
func (c *Cache) look(ctx context.Context, x *exchange) ([]*store.Record, error) {
	records, err := c.lookup(ctx, x)
	if err != nil {
		return nil, err
	}
	c.weigh(x, records)
	if a := x.verdict.Action; a == rfc9111.Serve || a == rfc9111.ServeAndRefresh {
		return records, nil
	}
	all, err := c.equivalents(ctx, x, records)
	if err == nil && len(all) > len(records) {
		c.weigh(x, all)
	}
	return all, err
}

// rewound returns x with its body back at the start.
func (x exchange) rewound() (exchange, error) {
	if x.send.GetBody == nil {
		return x, nil
	}
	body, err := x.send.GetBody()
	if err != nil {
		return x, fmt.Errorf("larder: the request's body cannot be read once more: %w", err)
	}
	x.send = x.send.WithContext(x.send.Context())
	x.send.Body = body
	return x, nil
}

// prepare fills in what the request asks for. If the cache takes no part in it, prepare returns why.
func (c *Cache) prepare(x *exchange, rules []*rule) (why string) {
	req := x.req
	method := req.Method
	if method == "" {
		method = http.MethodGet
	}
	path := normalPath(req.URL)
	x.rule = ruleFor(rules, method, req.URL, path)
	x.target = newTarget(req.URL, path, x.rule.telling(rules, method, req.URL, path))
	x.header = x.rule.selectable(req.Header)
	ttl := x.rule.ttl(x.ask, http.StatusOK, x.now)
	x.rr = rfc9111.Request{Method: method, URL: req.URL, Header: x.header,
		Revalidate: x.ask.mode == Refresh,
		OnlyStored: x.ask.mode == Offline || x.ask.mode == OfflineStale,
		TakeStale:  x.ask.mode == PreferStored || x.ask.mode == OfflineStale,
		NoTTL:      ttl == 0}
	switch {
	case req.URL.Opaque != "":
		return bypassOpaque
	case x.ask.mode == Bypass:
		return bypassAsked
	case !x.rule.methodAllowed(method):
		return bypassMethod
	case ttl == Never:
		return bypassNever
	case req.Header["Upgrade"] != nil:
		return bypassUpgrade
	case req.Header["If-Match"] != nil || req.Header["If-Unmodified-Since"] != nil:
		return bypassPrecondition
	}
	send, body, ok := content(req, x.rule, c.maxKeyBody())
	x.send = send
	if !ok {
		return bypassBody
	}
	x.key, x.content = c.key(req, x.rule, x.ask, x.target, body), body
	return ""
}

// weigh decides what to do with the request, given the stored records.
func (c *Cache) weigh(x *exchange, records []*store.Record) {
	x.found, x.records, x.stored, x.incomplete = records, records, nil, nil
	if len(records) == 1 && !isPart(records[0]) && c.usable(x, records[0]) {
		x.stored = c.readingOf(records[0]).alone[:]
	} else if len(records) > 0 {
		x.records = make([]*store.Record, 0, len(records))
		parts := false
		for _, r := range records {
			if c.usable(x, r) {
				x.records = append(x.records, r)
				parts = parts || isPart(r)
			}
		}
		if parts {
			x.records = c.assemble(x, x.records)
		}
		x.stored = make([]*rfc9111.Response, 0, len(x.records))
		for _, r := range x.records {
			x.stored = append(x.stored, c.readingOf(r).alone[0])
		}
	}
	switch {
	case x.unusable:
		x.verdict = c.policy().Reuse(&x.rr, nil, x.now)
	case x.ask.mode == ForceRefresh:
		x.verdict = rfc9111.Verdict{Action: rfc9111.Forward, Index: -1, Reason: rfc9111.RequestNoCache, Found: rfc9111.RequestNoCache}
	default:
		x.verdict = c.policy().Reuse(&x.rr, x.stored, x.now)
		if x.incomplete != nil && x.verdict.Index < 0 {
			x.verdict.Found = rfc9111.InPart
			if x.verdict.Action == rfc9111.Forward {
				x.verdict.Reason = rfc9111.InPart
			}
		}
	}
}

// usable reports whether x may be answered with r as far as the rule and the cache are concerned; the standard comes
// after that.
func (c *Cache) usable(x *exchange, r *store.Record) bool {
	return x.rule.statusAllowed(r.Status) && c.counts(r)
}

// counts reports whether r counts as stored: not if its removal is owed, or if its body is not as the cache stored it.
func (c *Cache) counts(r *store.Record) bool { return !c.owed.has(r) && !c.readingOf(r).packed }

// reading is what the cache derives from a record when it first uses it, and keeps with it.
type reading struct {
	parsed     rfc9111.Response
	alone      [1]*rfc9111.Response // parsed, as a slice for the common case of a single variant
	status     string
	major      int
	minor      int
	header     fields
	connection *tlsReading             // nil: the response came in the clear
	assembly   *assembly               // nil: the record is a single one in the store
	packed     bool                    // the body was changed by a wrapper that is no longer around the store
	variation  string                  // its No-Vary-Search in canonical form
	otherwise  atomic.Pointer[reading] // for a cache with other targeted fields on the same store
}

func (c *Cache) readingOf(r *store.Record) *reading {
	v, ok := r.Derived(c.read).(*reading)
	if !ok { // a wrapper that also uses this store has derived something before
		return c.read(r).(*reading)
	}
	if slices.Equal(v.parsed.Targeted, c.targeted) {
		return v
	}
	other := v.otherwise.Load()
	if other == nil || !slices.Equal(other.parsed.Targeted, c.targeted) {
		other = c.read(r).(*reading)
		v.otherwise.Store(other)
	}
	return other
}

func read(r *store.Record, targeted []string) *reading {
	v := &reading{status: statusText(r.Status)}
	v.parsed = *rfc9111.Parse(rfc9111.Response{Method: r.Method, Status: r.Status, Header: r.Header,
		Requested: r.Requested, Received: r.Received, Selecting: r.Selecting, Targeted: targeted,
		TTL: r.TTL, StaleWhileRevalidate: r.StaleWhileRevalidate, StaleIfError: r.StaleIfError})
	v.alone[0] = &v.parsed
	v.major, v.minor, _ = http.ParseHTTPVersion(r.Proto)
	if r.TLS != nil {
		v.connection = new(tlsReading)
	}
	for name := range r.Header {
		v.packed = v.packed || strings.HasPrefix(name, ":") // the mark of store/compressed; no field from an origin begins so
	}
	if lines := r.Header[noVarySearch]; len(lines) > 0 {
		if says, ok := rfc9111.ParseNoVarySearch(lines); ok {
			v.variation = says.String()
		}
	}
	return v
}

// pass forwards a request that the cache takes no part in.
func (c *Cache) pass(x exchange, why string) (*http.Response, error) {
	resp, err := c.send(x.send)
	if err != nil {
		return nil, err
	}
	c.invalidate(&x, resp, nil)
	return c.answer(&x, resp, bypassed(&x, resp, why)), nil
}

func bypassed(x *exchange, resp *http.Response, why string) Decision {
	d := Decision{Outcome: Bypassed, Reason: why, Forwarded: "bypass", ForwardStatus: resp.StatusCode}
	if !x.rule.methodAllowed(x.rr.Method) {
		d.Forwarded = "method"
	}
	return d
}

// refuse answers a request that wants a stored response when there is none (RFC 9111 §5.2.1.7).
func (c *Cache) refuse(x *exchange) *http.Response {
	closeBody(x.send)
	resp := &http.Response{
		Status: statusText(http.StatusGatewayTimeout), StatusCode: http.StatusGatewayTimeout,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header), Body: http.NoBody,
	}
	return c.answer(x, resp, Decision{Outcome: Refused, Reason: x.verdict.Reason.String(), Section: x.verdict.Reason.Section()})
}

// answer completes the response for the caller.
func (c *Cache) answer(x *exchange, resp *http.Response, d Decision) *http.Response {
	return c.answerWith(x, resp, &decided{decision: d})
}

func (c *Cache) answerWith(x *exchange, resp *http.Response, with *decided) *http.Response {
	d := &with.decision
	d.Rule = x.rule.Match
	if d.Key == "" {
		d.Key = x.key
	}
	c.attach(resp, x.req, with)
	c.counters.outcome[d.Outcome].Add(1)
	if d.Collapsed {
		c.counters.collapsed.Add(1)
	}
	if c.observed() {
		c.emit(Event{Kind: Answered, Method: x.rr.Method, URL: x.target.url, Status: resp.StatusCode, Decision: *d,
			Duration: c.now().Sub(x.came), Size: bodySize(resp)})
	}
	return resp
}

// bodySize returns the length of the body that the caller gets; -1: not known yet.
func bodySize(resp *http.Response) int64 {
	if resp.Body == http.NoBody {
		return 0 // as to HEAD, whatever Content-Length says
	}
	return resp.ContentLength
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}

func statusText(status int) string {
	if status == http.StatusOK {
		return "200 OK"
	}
	b := make([]byte, 0, 32)
	b = append(b, byte('0'+status/100%10), byte('0'+status/10%10), byte('0'+status%10))
	if text := http.StatusText(status); text != "" {
		b = append(append(b, ' '), text...)
	}
	return string(b)
}

// variant returns the request's values of the fields that select a variant or a range, for a flight's key.
func (x *exchange) variant() string {
	var b strings.Builder
	add := func(name string, values []string) {
		b.WriteString(name)
		for _, v := range values {
			b.WriteByte(0)
			b.WriteString(v)
		}
		b.WriteByte(1)
	}
	for _, name := range x.vary {
		add(name, x.header[name])
	}
	if r := x.req.Header["Range"]; r != nil {
		add("Range", r)
	}
	return b.String()
}
