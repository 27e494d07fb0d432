package larder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/larder-go/larder/rfc9111"
	"github.com/larder-go/larder/store"
)

// fetch answers x from the origin, by a flight that is under way for the same request or by one of its own. If it
// returns neither a response nor an error, the flight brought nothing for x: the caller tries again with the exchange
// that fetch returns, which has learnt from that.
func (c *Cache) fetch(x exchange, attempt int) (*http.Response, exchange, error) {
	f, leads := c.flightFor(&x, attempt)
	if leads {
		led := &f.led
		*led = x
		if x.req.Context().Done() == nil { // the caller stays until the head is there
			led.keepHeader()
			c.lead(f, led)
		} else {
			led.detach()
			led.send.Trailer = x.send.Trailer // which the caller fills in as the body is read
			c.background.run(func() { c.lead(f, led) })
		}
	} else {
		closeBody(x.send)
	}
	ctx := x.req.Context()
	select {
	case <-f.done():
	case <-ctx.Done():
		f.leave(leads)
		return nil, x, context.Cause(ctx)
	}
	defer f.leave(leads)
	resp, err := c.conclude(&x, f, leads)
	return resp, x, err
}

// flightFor returns a flight that x may wait for, or one that it leads.
func (c *Cache) flightFor(x *exchange, attempt int) (f *flight, leads bool) {
	if attempt >= maxAttempts || x.alone || !x.sociable() || !c.flights.worthWaiting(x.key) {
		return c.flights.alone(x.req.Context(), flightKey{key: x.key, method: x.rr.Method}, x.target.url), true
	}
	for _, r := range x.records {
		for name := range r.Selecting {
			x.vary = append(x.vary, name)
		}
	}
	slices.Sort(x.vary)
	x.vary = slices.Compact(x.vary)
	suits := func(r *result) bool { return c.suits(x, r) }
	return c.flights.join(x.req.Context(), flightKey{key: x.key, method: x.rr.Method, variant: x.variant()}, x.target.url, suits)
}

// suits reports whether an answer that came before x, and is not in the store yet, may be reused for x.
func (c *Cache) suits(x *exchange, r *result) bool {
	var answer *store.Record
	switch {
	case r.record != nil && !r.own:
		answer = r.record
	case r.download != nil:
		answer = r.download.record
	default:
		return false
	}
	return c.policy().Reuse(&x.rr, c.asWhole(answer), x.now).Action == rfc9111.Serve
}

// sociable reports whether x may wait for the answer to somebody else's request, and others for its answer. It may not
// if it wants a new answer, has a condition of its own, or can be cancelled by Request.Cancel alone, which the transport
// watches but a waiting caller does not.
func (x *exchange) sociable() bool {
	//lint:ignore SA1019 http.Client.Timeout still sets it, beside the context's deadline
	if x.req.Cancel != nil && x.req.Context().Done() == nil {
		return false
	}
	if x.ask.mode == Refresh || x.ask.mode == ForceRefresh {
		return false
	}
	switch x.verdict.Reason {
	case rfc9111.RequestNoCache, rfc9111.RequestMaxAge, rfc9111.RequestMinFresh:
		return false
	}
	if x.rr.WantsNew() { // the reason above is another if nothing is stored
		return false
	}
	for _, name := range conditional {
		if x.req.Header[name] != nil {
			return false
		}
	}
	return !x.rr.NoStore()
}

// conditional are the request fields that set a condition.
var conditional = [...]string{"If-Range", "If-None-Match", "If-Modified-Since"}

// keepHeader gives x a header of its own: the work after the response's head may go on when the caller already reuses
// its request.
func (x *exchange) keepHeader() {
	if len(x.header) > 0 {
		x.header = maps.Clone(x.header)
	} else {
		x.header = nil
	}
	x.rr.Header = x.header
}

// detach gives x a request of its own, so that the caller may leave, and change its request, before the origin has
// answered.
func (x *exchange) detach() {
	x.send = x.send.Clone(x.send.Context())
	//lint:ignore SA1019 http.Client.Timeout still sets it beside the context's deadline, for this caller alone
	x.send.Cancel = nil
	x.req = x.send
	x.header = x.rule.selectable(x.req.Header)
	x.rr.URL, x.rr.Header = x.req.URL, x.header
}

// lead asks the origin and settles f.
func (c *Cache) lead(f *flight, x *exchange) {
	if err := c.inquire(f, x); err != nil {
		if f.isSettled() { // a panic after all got what they waited for: nobody is left to return it to
			panic(err)
		}
		c.land(f)
		f.settle(result{err: err})
		f.cancel()
	}
}

// inquire is lead, but returns the error.
func (c *Cache) inquire(f *flight, x *exchange) (err error) {
	defer recovered(&err)
	// A flight that has ended since the store was looked into may have stored what is wanted here.
	if f.key.alone == 0 && c.flights.landed.Load() != x.landed && c.answeredMeanwhile(f, x) {
		return nil
	}
	if c.claim(f, x) {
		return nil
	}
	resp, status, requested, err := c.consult(f, x)
	if resp == nil {
		return err
	}
	switch {
	case x.rr.Method == http.MethodHead:
		c.byHead(f, x, resp, requested)
	case status == http.StatusPartialContent:
		c.byPart(f, x, resp, requested)
	}
	r := result{resp: resp, status: status}
	if !originFailed(resp.StatusCode) || !c.staleAllowed(x, nil) {
		var d *download
		d, r.notStored = c.download(f, x, resp, requested)
		if d != nil || x.sociable() && x.req.Header["Range"] == nil && !originFailed(resp.StatusCode) { // other answers say nothing about later requests
			c.flights.note(x.key, d != nil)
		}
		if d != nil {
			f.settle(result{download: d, status: status})
			return nil
		}
		if resp.StatusCode == http.StatusPartialContent {
			c.keepParts(f, x, resp, requested)
		}
	}
	c.land(f)
	f.settle(r)
	return nil
}

// recovered turns a panic in Base or in a function of the user's into an error: others wait for the result, and in a
// goroutine of the cache's the caller could not recover.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("larder: panic: %v\n\n%s", p, debug.Stack())
	}
}

// consult validates what is stored, or asks for what is missing of it. If the answer does not fit what is stored, it
// asks again unconditionally. status is the origin's, also if resp combines its answer with stored parts. Neither a
// response nor an error means that f is settled.
func (c *Cache) consult(f *flight, x *exchange) (resp *http.Response, status int, requested time.Time, err error) {
	var conditions http.Header
	if i := x.verdict.Index; x.reads() && i >= 0 && x.ask.mode != ForceRefresh {
		conditions = rfc9111.Conditions(x.stored, i)
	}
	rest := c.completion(f.ctx, x)
	if rest != nil {
		conditions = rest.conditions
	}
	resp, requested, err = c.ask(f.ctx, x, x.send.Body, conditions)
	if err != nil {
		if rest != nil {
			rest.stored.Close()
		}
		return nil, 0, requested, err
	}
	status = resp.StatusCode
	switch {
	case rest != nil:
		if c.complete(rest, resp) {
			x.rest = rest
			return resp, status, requested, nil
		}
	case status == http.StatusNotModified && len(conditions) > 0:
		if c.notModified(f, x, resp, requested) {
			return nil, 0, requested, nil
		}
	default:
		return resp, status, requested, nil
	}
	drain(resp)
	body := x.send.Body
	if x.send.GetBody != nil {
		if body, err = x.send.GetBody(); err != nil {
			return nil, 0, requested, err
		}
	}
	resp, requested, err = c.ask(f.ctx, x, body, nil)
	if err != nil {
		return nil, 0, requested, err
	}
	return resp, resp.StatusCode, requested, nil
}

// ask sends the request to the origin, with conditions, if there are any, in place of the caller's own.
func (c *Cache) ask(ctx context.Context, x *exchange, body io.ReadCloser, conditions http.Header) (resp *http.Response, requested time.Time, err error) {
	out := x.send.WithContext(ctx)
	out.Body = body
	if out.Header = out.Header.Clone(); out.Header == nil { // many transports add to it in place
		out.Header = make(http.Header)
	}
	if len(conditions) > 0 {
		out.Header.Del("If-None-Match")
		out.Header.Del("If-Modified-Since")
		maps.Copy(out.Header, conditions)
	}
	requested = c.now()
	resp, err = c.send(out)
	return resp, requested, err
}

// send sends req to the origin. It repairs what a RoundTripper may leave out, as http.Client does, or leave in.
func (c *Cache) send(req *http.Request) (resp *http.Response, err error) {
	defer recovered(&err)
	resp, err = c.base().RoundTrip(req)
	switch {
	case err != nil:
		return nil, err
	case resp == nil:
		return nil, errors.New("larder: Base returned neither a response nor an error")
	case resp.Body == nil:
		resp.Body = http.NoBody
	}
	if s := resp.StatusCode; (s == http.StatusNoContent || s == http.StatusNotModified) && req.Method != http.MethodHead {
		resp.ContentLength = 0 // whatever the field says (RFC 9112 §6.3)
	}
	if resp.Header == nil {
		resp.Header = make(http.Header)
	}
	withoutSpace(resp.Header)
	return resp, nil
}

// withoutSpace removes the space between names and colons, which net/http leaves (RFC 9112 §5.1). net/http has ignored
// such a field when it framed the body, so a Content-Length or Transfer-Encoding like that is dropped.
func withoutSpace(h http.Header) {
	for name, values := range h {
		if !strings.HasSuffix(name, " ") {
			continue
		}
		delete(h, name)
		if name = http.CanonicalHeaderKey(strings.TrimRight(name, " ")); name != "Content-Length" && name != "Transfer-Encoding" {
			h[name] = append(h[name], values...)
		}
	}
}

// parse returns the origin's answer to x as package rfc9111 sees it.
func (c *Cache) parse(x *exchange, resp *http.Response, requested, received time.Time) rfc9111.Response {
	return *rfc9111.Parse(rfc9111.Response{Method: x.rr.Method, Status: resp.StatusCode, Header: resp.Header, Requested: requested, Received: received,
		Targeted: c.targeted})
}

// originFailed reports whether stale-if-error covers the status (RFC 5861 §4).
func originFailed(status int) bool {
	switch status {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// staleAllowed reports whether the selected response may stand in for an origin that answered with a server error, or,
// if err is set, not at all.
func (c *Cache) staleAllowed(x *exchange, err error) bool {
	i := x.verdict.Index
	switch {
	case i < 0:
		return false
	case err != nil:
		return c.policy().StaleIfDisconnected(&x.rr, x.stored[i], c.now())
	}
	return c.policy().StaleIfError(&x.rr, x.stored[i], c.now())
}

// drain reads up to 4 KiB of a body that nobody needs, so that its connection can be reused, and closes it.
func drain(resp *http.Response) {
	if resp.Body == http.NoBody {
		return
	}
	io.CopyN(io.Discard, resp.Body, 4<<10)
	resp.Body.Close()
}
