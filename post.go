package larder

import (
	"context"
	"net/http"
)

// mayAnswerGet reports whether the response to x, a method that no rule caches, may answer a later GET.
func (x *exchange) mayAnswerGet() bool {
	m := x.rr.Method
	return (m == http.MethodPost || m == http.MethodPatch) && !x.rule.methodAllowed(m) && x.ask.mode != Bypass &&
		x.req.URL.Opaque == "" && x.req.Header["Upgrade"] == nil
}

// post is pass for a request whose response may answer a later GET: a response that is the new representation of its own
// URL replaces what it has made invalid there (RFC 9110 §9.3.3), unless another request has changed that meanwhile.
func (c *Cache) post(x exchange, why string) (answer *http.Response, err error) {
	get, err := c.getFor(&x, x.req.URL.String())
	if err != nil {
		return c.pass(x, why)
	}
	ctx, cancel := context.WithCancel(x.req.Context())
	f := c.flights.alone(ctx, flightKey{key: get.key, method: http.MethodGet}, get.target.url)
	defer func() {
		if err != nil {
			c.land(f)
			f.cancel()
			cancel()
		}
	}()
	defer recovered(&err)
	requested := c.now()
	resp, err := c.send(x.send.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	c.invalidate(&x, resp, f)
	decision := bypassed(&x, resp, why)
	if c.representsGet(&x, resp) {
		var d *download
		if d, decision.NotStored = c.download(f, get, resp, requested); d != nil {
			context.AfterFunc(f.ctx, cancel)
			f.settle(result{download: d, status: resp.StatusCode})
			defer f.leave(true)
			return c.join(&x, d, decision, true), nil
		}
	}
	c.land(f)
	f.cancel()
	resp.Body = solo(x.req.Context(), resp.Body, cancel)
	return c.answer(&x, resp, decision), nil
}

// representsGet reports whether the response to x is what a GET of the same URL would get.
func (c *Cache) representsGet(x *exchange, resp *http.Response) bool {
	now := c.now()
	said := c.parse(x, resp, now, now)
	presented := x.presented()
	u := c.policy().AsGet(&presented, &said)
	return u != nil && newTarget(u, normalPath(u), standard).url == newTarget(presented.URL, normalPath(presented.URL), standard).url
}
