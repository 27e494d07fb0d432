package rfc9111

import (
	"testing"
	"time"
)

func TestReuse(t *testing.T) {
	private, shared := Policy{}, Policy{Shared: true}
	const tag = `ETag: "a"`
	for _, c := range []struct {
		name   string
		p      Policy
		req    []string
		lines  []string
		after  time.Duration
		action Action
		reason Reason
	}{
		{"fresh", private, nil, []string{"Cache-Control: max-age=60"}, 59 * time.Second, Serve, Fresh},
		{"stale when the lifetime is over", private, nil, []string{"Cache-Control: max-age=60", tag}, minute, Validate, Stale},
		{"stale, nothing to validate by", private, nil, []string{"Cache-Control: max-age=60"}, minute, Forward, Stale},
		{"stale, Last-Modified", private, nil, []string{"Cache-Control: max-age=60", "Last-Modified: " + date(-hour)}, minute, Validate, Stale},
		{"aged on the way", private, nil, []string{"Cache-Control: max-age=60", "Age: 30", tag}, 30 * time.Second, Validate, Stale},
		{"aged by its Date", private, nil, []string{"Cache-Control: max-age=60", "Date: " + date(-30*time.Second), tag}, 30 * time.Second, Validate, Stale},
		{"fresh, shared", shared, nil, []string{"Cache-Control: max-age=60"}, 59 * time.Second, Serve, Fresh},
		{"fresh by s-maxage, shared", shared, nil, []string{"Cache-Control: max-age=0, s-maxage=60"}, 59 * time.Second, Serve, Fresh},
		{"fresh by s-maxage is stale in a private cache", private, nil, []string{"Cache-Control: max-age=0, s-maxage=60", tag}, 0, Validate, Stale},
		{"fresh by Expires", private, nil, []string{"Expires: " + date(minute)}, 59 * time.Second, Serve, Fresh},
		{"stale by Expires", private, nil, []string{"Expires: " + date(minute), tag}, minute, Validate, Stale},
		{"Expires: 0", private, nil, []string{"Expires: 0", tag}, 0, Validate, Stale},
		{"a malformed tag does not validate", private, nil, []string{"Cache-Control: max-age=60", `ETag: "a`}, minute, Forward, Stale},
		{"a tag without quotes does", private, nil, []string{"Cache-Control: max-age=60", "ETag: a"}, minute, Validate, Stale},
		{"fresh by heuristic", private, nil, []string{"Last-Modified: " + date(-10*hour)}, 59 * minute, Serve, FreshByHeuristic},
		{"stale by heuristic", private, nil, []string{"Last-Modified: " + date(-10*hour)}, hour, Validate, Stale},

		{"no-cache", private, nil, []string{"Cache-Control: no-cache, max-age=60", tag}, 0, Validate, ResponseNoCache},
		{"no-cache, nothing to validate by", private, nil, []string{"Cache-Control: no-cache, max-age=60"}, 0, Forward, ResponseNoCache},
		{"no-cache, shared", shared, nil, []string{"Cache-Control: no-cache, s-maxage=60", tag}, 0, Validate, ResponseNoCache},
		{"no-cache with fields", private, nil, []string{`Cache-Control: no-cache="a", max-age=60`, tag}, 0, Serve, Fresh},
		{"no-cache with and without fields", private, nil, []string{`Cache-Control: no-cache="a", no-cache, max-age=60`, tag}, 0, Validate, ResponseNoCache},
		{"must-revalidate, fresh", private, nil, []string{"Cache-Control: must-revalidate, max-age=60", tag}, 0, Serve, Fresh},
		{"must-revalidate, stale", private, nil, []string{"Cache-Control: must-revalidate, max-age=60", tag}, minute, Validate, MustRevalidate},
		{"Pragma in the response", private, nil, []string{"Pragma: no-cache", "Cache-Control: max-age=60"}, 0, Serve, Fresh},

		{"request no-cache", private, []string{"Cache-Control: no-cache"}, []string{"Cache-Control: max-age=60", tag}, 0, Validate, RequestNoCache},
		{"request no-cache, nothing to validate by", private, []string{"Cache-Control: no-cache"}, []string{"Cache-Control: max-age=60"}, 0, Forward, RequestNoCache},
		{"Pragma: no-cache", private, []string{"Pragma: No-Cache"}, []string{"Cache-Control: max-age=60", tag}, 0, Validate, RequestNoCache},
		{"Pragma: no-cache in a list", private, []string{"Pragma: x, no-cache"}, []string{"Cache-Control: max-age=60", tag}, 0, Validate, RequestNoCache},
		{"Pragma: no-cache beside Cache-Control", private, []string{"Pragma: no-cache", "Cache-Control: x"}, []string{"Cache-Control: max-age=60", tag}, 0, Serve, Fresh},
		{"another Pragma", private, []string{"Pragma: unrecognised"}, []string{"Cache-Control: max-age=60"}, 0, Serve, Fresh},
		{"no-transform changes nothing", private, []string{"Cache-Control: no-transform"}, []string{"Cache-Control: max-age=60, no-transform"}, 0, Serve, Fresh},
		{"unknown directives change nothing", private, []string{"Cache-Control: x, y=z"}, []string{"Cache-Control: max-age=60, x"}, 0, Serve, Fresh},
		{"request no-store does not forbid reuse", private, []string{"Cache-Control: no-store"}, []string{"Cache-Control: max-age=60"}, 0, Serve, Fresh},

		{"request max-age, young enough", private, []string{"Cache-Control: max-age=30"}, []string{"Cache-Control: max-age=60"}, 30 * time.Second, Serve, Fresh},
		{"request max-age, too old", private, []string{"Cache-Control: max-age=30"}, []string{"Cache-Control: max-age=60", tag}, 31 * time.Second, Validate, RequestMaxAge},
		{"request max-age counts Age", private, []string{"Cache-Control: max-age=600"}, []string{"Cache-Control: max-age=3600", "Age: 1800", tag}, 0, Validate, RequestMaxAge},
		{"request max-age=0 at once", private, []string{"Cache-Control: max-age=0"}, []string{"Cache-Control: max-age=60", tag}, 0, Validate, RequestMaxAge},
		{"an invalid request max-age", private, []string{"Cache-Control: max-age=x"}, []string{"Cache-Control: max-age=60", tag}, 0, Validate, RequestMaxAge},
		{"a request's s-maxage, public and immutable say nothing", private, []string{"Cache-Control: s-maxage=0, public, immutable, must-revalidate"}, []string{"Cache-Control: max-age=60"}, 0, Serve, Fresh},
		{"request max-age above the lifetime", private, []string{"Cache-Control: max-age=600"}, []string{"Cache-Control: max-age=60", tag}, minute, Validate, Stale},
		{"min-fresh, fresh long enough", private, []string{"Cache-Control: min-fresh=30"}, []string{"Cache-Control: max-age=60"}, 30 * time.Second, Serve, Fresh},
		{"min-fresh, not long enough", private, []string{"Cache-Control: min-fresh=30"}, []string{"Cache-Control: max-age=60", tag}, 31 * time.Second, Validate, RequestMinFresh},

		{"min-fresh above the lifetime", private, []string{"Cache-Control: min-fresh=120"}, []string{"Cache-Control: max-age=60", tag}, 0, Validate, RequestMinFresh},
		{"min-fresh with garbage", private, []string{"Cache-Control: min-fresh=x"}, []string{"Cache-Control: max-age=60", tag}, 0, Validate, RequestMinFresh},
		{"min-fresh and max-stale", private, []string{"Cache-Control: min-fresh=30, max-stale"}, []string{"Cache-Control: max-age=60", tag}, minute, Validate, RequestMinFresh},
		{"max-stale, inside", private, []string{"Cache-Control: max-stale=60"}, []string{"Cache-Control: max-age=60", tag}, 2 * minute, Serve, MaxStale},
		{"max-stale, outside", private, []string{"Cache-Control: max-stale=60"}, []string{"Cache-Control: max-age=60", tag}, 2*minute + 1, Validate, Stale},
		{"max-stale without a limit", private, []string{"Cache-Control: max-stale"}, []string{"Cache-Control: max-age=60"}, 1000 * day, Serve, MaxStale},
		{"max-stale with garbage", private, []string{"Cache-Control: max-stale=x"}, []string{"Cache-Control: max-age=60", tag}, 2 * minute, Validate, Stale},
		{"max-stale against must-revalidate", private, []string{"Cache-Control: max-stale"}, []string{"Cache-Control: max-age=60, must-revalidate", tag}, 2 * minute, Validate, MustRevalidate},
		{"max-stale against no-cache", private, []string{"Cache-Control: max-stale"}, []string{"Cache-Control: no-cache", tag}, 0, Validate, ResponseNoCache},
		{"max-stale against proxy-revalidate", private, []string{"Cache-Control: max-stale"}, []string{"Cache-Control: max-age=60, proxy-revalidate"}, 2 * minute, Serve, MaxStale},
		{"max-stale against proxy-revalidate, shared", shared, []string{"Cache-Control: max-stale"}, []string{"Cache-Control: max-age=60, proxy-revalidate", tag}, 2 * minute, Validate, MustRevalidate},
		{"max-stale against s-maxage, shared", shared, []string{"Cache-Control: max-stale"}, []string{"Cache-Control: s-maxage=60", tag}, 2 * minute, Validate, MustRevalidate},
		{"max-stale and max-age", private, []string{"Cache-Control: max-stale, max-age=60"}, []string{"Cache-Control: max-age=30", tag}, minute, Serve, MaxStale},
		{"max-stale and max-age, too old", private, []string{"Cache-Control: max-stale, max-age=60"}, []string{"Cache-Control: max-age=30", tag}, 2 * minute, Validate, RequestMaxAge},

		{"stale-while-revalidate, fresh", private, nil, []string{"Cache-Control: max-age=60, stale-while-revalidate=60"}, 59 * time.Second, Serve, Fresh},
		{"stale-while-revalidate, inside", private, nil, []string{"Cache-Control: max-age=60, stale-while-revalidate=60"}, 2 * minute, ServeAndRefresh, StaleWhileRevalidate},
		{"stale-while-revalidate, outside", private, nil, []string{"Cache-Control: max-age=60, stale-while-revalidate=60", tag}, 2*minute + 1, Validate, Stale},
		{"stale-while-revalidate=0, the first instant", private, nil, []string{"Cache-Control: max-age=60, stale-while-revalidate=0", tag}, minute, Validate, Stale},
		{"stale-while-revalidate, must-revalidate", private, nil, []string{"Cache-Control: max-age=60, must-revalidate, stale-while-revalidate=60", tag}, minute, Validate, MustRevalidate},
		{"stale-while-revalidate, s-maxage, shared", shared, nil, []string{"Cache-Control: s-maxage=60, stale-while-revalidate=60", tag}, minute, Validate, MustRevalidate},
		{"stale-while-revalidate, shared", shared, nil, []string{"Cache-Control: max-age=60, stale-while-revalidate=60"}, minute, ServeAndRefresh, StaleWhileRevalidate},
		{"stale-while-revalidate, proxy-revalidate", private, nil, []string{"Cache-Control: max-age=60, proxy-revalidate, stale-while-revalidate=60"}, minute, ServeAndRefresh, StaleWhileRevalidate},
		{"stale-while-revalidate, proxy-revalidate, shared", shared, nil, []string{"Cache-Control: max-age=60, proxy-revalidate, stale-while-revalidate=60", tag}, minute, Validate, MustRevalidate},
		{"stale-while-revalidate, no-cache", private, nil, []string{"Cache-Control: no-cache, stale-while-revalidate=60", tag}, 0, Validate, ResponseNoCache},
		{"stale-while-revalidate, request no-cache", private, []string{"Cache-Control: no-cache"}, []string{"Cache-Control: max-age=60, stale-while-revalidate=60", tag}, minute, Validate, RequestNoCache},
		{"stale-while-revalidate of the request", private, []string{"Cache-Control: stale-while-revalidate=60"}, []string{"Cache-Control: max-age=60", tag}, minute, Validate, Stale},
		{"stale-if-error while nothing has failed", private, nil, []string{"Cache-Control: max-age=60, stale-if-error=60", tag}, minute, Validate, Stale},
		{"stale-while-revalidate, request max-age", private, []string{"Cache-Control: max-age=600"}, []string{"Cache-Control: max-age=60, stale-while-revalidate=60", tag}, minute, Validate, Stale},
		{"stale-while-revalidate, max-stale exceeded", private, []string{"Cache-Control: max-stale=5"}, []string{"Cache-Control: max-age=60, stale-while-revalidate=60", tag}, minute + 6*time.Second, Validate, Stale},
		{"stale-while-revalidate, only-if-cached", private, []string{"Cache-Control: only-if-cached"}, []string{"Cache-Control: max-age=60, stale-while-revalidate=60"}, minute, Serve, StaleWhileRevalidate},

		{"only-if-cached, fresh", private, []string{"Cache-Control: only-if-cached"}, []string{"Cache-Control: max-age=60"}, 0, Serve, Fresh},
		{"only-if-cached, stale", private, []string{"Cache-Control: only-if-cached"}, []string{"Cache-Control: max-age=60", tag}, minute, Refuse, OnlyIfCached},
		{"only-if-cached and no-cache", private, []string{"Cache-Control: only-if-cached, no-cache"}, []string{"Cache-Control: max-age=60", tag}, 0, Refuse, OnlyIfCached},
		{"only-if-cached, response no-cache", private, []string{"Cache-Control: only-if-cached"}, []string{"Cache-Control: no-cache", tag}, 0, Refuse, OnlyIfCached},
		{"only-if-cached and max-stale", private, []string{"Cache-Control: only-if-cached, max-stale"}, []string{"Cache-Control: max-age=60"}, minute, Serve, MaxStale},

		{"immutable, reloaded", private, []string{"Cache-Control: max-age=0"}, []string{"Cache-Control: max-age=60, immutable", tag}, 30 * time.Second, Serve, Fresh},
		{"immutable, reloaded, shared", shared, []string{"Cache-Control: max-age=0"}, []string{"Cache-Control: s-maxage=60, immutable", tag}, 30 * time.Second, Serve, Fresh},
		{"immutable, no-cache", private, nil, []string{"Cache-Control: no-cache, max-age=60, immutable", tag}, 0, Validate, ResponseNoCache},
		{"immutable, forced reload", private, []string{"Cache-Control: no-cache"}, []string{"Cache-Control: max-age=60, immutable", tag}, 0, Validate, RequestNoCache},
		{"immutable, stale", private, []string{"Cache-Control: max-age=0"}, []string{"Cache-Control: max-age=60, immutable", tag}, minute, Validate, RequestMaxAge},
		{"immutable, min-fresh", private, []string{"Cache-Control: min-fresh=60"}, []string{"Cache-Control: max-age=60, immutable", tag}, 1, Validate, RequestMinFresh},
	} {
		r := response(200, c.lines...)
		v := c.p.Reuse(request(c.req...), []*Response{r}, t0.Add(c.after))
		if v.Action != c.action || v.Reason != c.reason {
			t.Errorf("%s: got %v: %v, want %v: %v", c.name, v.Action, v.Reason, c.action, c.reason)
		}
		if now := t0.Add(c.after); v.Index != 0 || v.Age != r.Age(now) || v.Lifetime != c.p.Lifetime(r) {
			t.Errorf("%s: index %d, age %v, lifetime %v", c.name, v.Index, v.Age, v.Lifetime)
		}
	}
}

func TestReuseByTheUsersWish(t *testing.T) {
	for _, c := range []struct {
		name   string
		req    Request
		resp   Response
		after  time.Duration
		action Action
		reason Reason
	}{
		{"TTL over max-age", Request{}, Response{Header: fields("Cache-Control: max-age=60"), TTL: hour}, 59 * minute, Serve, FreshByRule},
		{"TTL over no-cache", Request{}, Response{Header: fields("Cache-Control: no-cache"), TTL: hour}, 59 * minute, Serve, FreshByRule},
		{"TTL over Vary: *", Request{}, Response{Header: fields("Vary: *"), TTL: hour}, 59 * minute, Serve, FreshByRule},
		{"TTL over the age on arrival", Request{}, Response{Header: fields("Age: 9999"), TTL: hour}, 59 * minute, Serve, FreshByRule},
		{"TTL is over", Request{}, Response{Header: fields(`ETag: "a"`), TTL: hour}, hour, Validate, Stale},
		{"a shorter TTL", Request{}, Response{Header: fields("Cache-Control: max-age=7200"), TTL: hour}, hour, Forward, Stale},
		{"forever", Request{}, Response{TTL: forever}, 100 * 365 * day, Serve, FreshForever},
		{"forever, and min-fresh", *request("Cache-Control: min-fresh=99999999999"), Response{TTL: forever}, 100 * 365 * day, Serve, FreshForever},
		{"a TTL below zero", Request{}, Response{TTL: -1}, 0, Forward, Stale},
		{"TTL, but the request says no-cache", *request("Cache-Control: no-cache"), Response{TTL: hour}, 0, Forward, RequestNoCache},
		{"the user's stale-while-revalidate", Request{}, Response{TTL: hour, StaleWhileRevalidate: hour}, 2 * hour, ServeAndRefresh, StaleWhileRevalidate},
		{"the user's over the header's", Request{}, Response{Header: fields("Cache-Control: max-age=0, stale-while-revalidate=9999"), StaleWhileRevalidate: minute}, hour, Forward, Stale},
		{"the user's, not against must-revalidate", Request{}, Response{Header: fields("Cache-Control: max-age=0, must-revalidate"), StaleWhileRevalidate: hour}, minute, Forward, MustRevalidate},

		{"Revalidate", Request{Revalidate: true}, Response{Header: fields("Cache-Control: max-age=60, immutable", `ETag: "a"`)}, 0, Validate, RequestNoCache},
		{"OnlyStored, fresh", Request{OnlyStored: true}, Response{Header: fields("Cache-Control: max-age=60")}, 0, Serve, Fresh},
		{"OnlyStored, stale", Request{OnlyStored: true}, Response{Header: fields("Cache-Control: max-age=60")}, minute, Refuse, OnlyIfCached},
		{"OnlyStored, stale-while-revalidate", Request{OnlyStored: true}, Response{Header: fields("Cache-Control: max-age=0, stale-while-revalidate=60")}, minute, Serve, StaleWhileRevalidate},
		{"TakeStale, fresh", Request{TakeStale: true}, Response{Header: fields("Cache-Control: max-age=60")}, 0, Serve, Fresh},
		{"TakeStale, stale", Request{TakeStale: true}, Response{Header: fields("Cache-Control: max-age=60")}, day, Serve, TakenStale},
		{"TakeStale, stale-while-revalidate", Request{TakeStale: true}, Response{Header: fields("Cache-Control: max-age=0, stale-while-revalidate=60")}, minute, Serve, StaleWhileRevalidate},
		{"TakeStale against must-revalidate", Request{TakeStale: true}, Response{Header: fields("Cache-Control: max-age=0, must-revalidate")}, day, Serve, TakenStale},
		{"TakeStale against no-cache", Request{TakeStale: true}, Response{Header: fields("Cache-Control: no-cache")}, day, Serve, TakenStale},
		{"TakeStale and OnlyStored", Request{TakeStale: true, OnlyStored: true}, Response{}, day, Serve, TakenStale},
		{"TakeStale and Revalidate", Request{TakeStale: true, Revalidate: true}, Response{TTL: hour}, 0, Serve, TakenStale},
	} {
		c.resp.Status, c.resp.Requested, c.resp.Received = 200, t0, t0
		v := (Policy{}).Reuse(&c.req, []*Response{Parse(c.resp)}, t0.Add(c.after))
		if v.Action != c.action || v.Reason != c.reason {
			t.Errorf("%s: got %v: %v, want %v: %v", c.name, v.Action, v.Reason, c.action, c.reason)
		}
		if fresh := v.Age < v.Lifetime; fresh != (v.Reason == Fresh || v.Reason == FreshByRule || v.Reason == FreshForever || v.Reason == RequestNoCache || c.req.Revalidate) {
			t.Errorf("%s: age %v, lifetime %v, but %v", c.name, v.Age, v.Lifetime, v.Reason)
		}
	}
}

func TestReuseSelects(t *testing.T) {
	stored := func(method, language string, at time.Duration, lines ...string) *Response {
		h := fields(append([]string{"Cache-Control: max-age=3600"}, lines...)...)
		r := Response{Method: method, Status: 200, Header: h, Requested: t0.Add(at), Received: t0.Add(at)}
		if language != "" {
			h.Set("Vary", "Accept-Language")
			r.Selecting, _ = Selecting(h, fields("Accept-Language: "+language))
		}
		return Parse(r)
	}
	for _, c := range []struct {
		name   string
		method string
		req    []string
		stored []*Response
		index  int
		reason Reason
	}{
		{"nothing", "GET", nil, nil, -1, NothingStored},
		{"GET from GET", "GET", nil, []*Response{stored("GET", "", 0)}, 0, Fresh},
		{"HEAD from GET", "HEAD", nil, []*Response{stored("GET", "", 0)}, 0, Fresh},
		{"GET not from HEAD", "GET", nil, []*Response{stored("HEAD", "", 0)}, -1, MethodDiffers},
		{"HEAD from HEAD", "HEAD", nil, []*Response{stored("HEAD", "", 0)}, 0, Fresh},
		{"no method is GET", "", nil, []*Response{stored("", "", 0)}, 0, Fresh},
		{"POST from POST", "POST", nil, []*Response{stored("POST", "", 0)}, 0, Fresh},
		{"POST not from GET", "POST", nil, []*Response{stored("GET", "", 0)}, -1, MethodDiffers},
		{"GET not from POST", "GET", nil, []*Response{stored("POST", "", 0)}, -1, MethodDiffers},
		{"the variant that matches", "GET", []string{"Accept-Language: de"}, []*Response{stored("GET", "en", 1), stored("GET", "de", 0)}, 1, Fresh},
		{"a variant rather than what lacks Vary", "GET", []string{"Accept-Language: de"}, []*Response{stored("GET", "", minute), stored("GET", "de", 0)}, 1, Fresh},
		{"so, the other way round", "GET", []string{"Accept-Language: de"}, []*Response{stored("GET", "de", 0), stored("GET", "", minute)}, 0, Fresh},
		{"no variant matches", "GET", []string{"Accept-Language: fr"}, []*Response{stored("GET", "en", 0), stored("HEAD", "", 0)}, -1, NoVariant},
		{"a field that is missing", "GET", nil, []*Response{stored("GET", "en", 0)}, -1, NoVariant},
		{"Vary: *", "GET", nil, []*Response{stored("GET", "", 0, "Vary: *")}, -1, NoVariant},
		{"Vary: * beside one that matches", "GET", nil, []*Response{stored("GET", "", minute, "Vary: *"), stored("GET", "", 0)}, 1, Fresh},
		{"HEAD from the most recent of GET and HEAD", "HEAD", nil, []*Response{stored("GET", "", 0), stored("HEAD", "", minute)}, 1, Fresh},
		{"the most recent", "GET", nil, []*Response{stored("GET", "", 0), stored("GET", "", 2*minute), stored("GET", "", minute)}, 1, Fresh},
		{"the most recent by Date", "GET", nil, []*Response{stored("GET", "", 0, "Date: "+date(0)), stored("GET", "", minute, "Date: "+date(-minute))}, 0, Fresh},
		{"of equal dates the last to come", "GET", nil, []*Response{stored("GET", "", 0, "Date: "+date(0)), stored("GET", "", minute, "Date: "+date(0))}, 1, Fresh},
		{"of equals the first", "GET", nil, []*Response{stored("GET", "", 0), stored("GET", "", 0)}, 0, Fresh},
	} {
		req := request(c.req...)
		req.Method = c.method
		v := (Policy{}).Reuse(req, c.stored, t0.Add(2*minute))
		if v.Index != c.index || v.Reason != c.reason || v.Found != c.reason {
			t.Errorf("%s: got %d: %v, found %v, want %d: %v", c.name, v.Index, v.Reason, v.Found, c.index, c.reason)
		}
		req.OnlyStored = true
		v = (Policy{}).Reuse(req, c.stored, t0.Add(2*minute))
		if want := map[bool]Action{true: Refuse, false: Serve}[c.index < 0]; v.Action != want || v.Found != c.reason {
			t.Errorf("%s, only stored: got %v, found %v, want %v", c.name, v.Action, v.Found, want)
		}
	}
}

func TestASharedCacheLeavesOutWhatAPrivateOneStored(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		ttl   time.Duration
		want  Reason
	}{
		{"private", []string{"Cache-Control: private, max-age=60"}, 0, PrivateResponse},
		{"a private field that is there", []string{`Cache-Control: private="x-user", max-age=60`, "X-User: a"}, 0, PrivateResponse},
		{"a private field that is not there", []string{`Cache-Control: private="x-user", max-age=60`}, 0, Fresh},
		{"no-store, but the user says otherwise", []string{"Cache-Control: no-store"}, hour, FreshByRule},
		{"a cookie of one, but the user says otherwise", []string{"Cache-Control: max-age=0", "Set-Cookie: a=1"}, hour, FreshByRule},
		{"private, but the user says otherwise", []string{"Cache-Control: private, max-age=60"}, hour, FreshByRule},
	} {
		r := Parse(Response{Status: 200, Header: fields(c.lines...), Requested: t0, Received: t0, TTL: c.ttl})
		if v := (Policy{Shared: true}).Reuse(request(), []*Response{r}, t0); v.Reason != c.want || (v.Index < 0) != (c.want == PrivateResponse) {
			t.Errorf("%s: got %d: %v, want %v", c.name, v.Index, v.Reason, c.want)
		}
		if v := (Policy{}).Reuse(request(), []*Response{r}, t0); v.Action != Serve {
			t.Errorf("%s: a private cache: %v", c.name, v)
		}
		plain := request()
		plain.NoTTL = true
		if v := (Policy{}).Reuse(plain, []*Response{r}, t0); v.Action != Serve {
			t.Errorf("%s: a private cache, without a TTL: %v", c.name, v)
		}
		if v := (Policy{Shared: true}).Reuse(plain, []*Response{r}, t0); (v.Index < 0) != (c.want == PrivateResponse || c.ttl != 0) {
			t.Errorf("%s: without a TTL: got %d: %v", c.name, v.Index, v.Reason)
		}
	}
}

func TestStaleIfDisconnected(t *testing.T) {
	private, shared := Policy{}, Policy{Shared: true}
	for _, c := range []struct {
		name  string
		p     Policy
		req   []string
		cc    string
		resp  Response
		after time.Duration
		want  bool
	}{
		{"nothing said of it", private, nil, "max-age=60", Response{}, day, true},
		{"nothing said of freshness", private, nil, "", Response{}, day, true},
		{"the response's window", private, nil, "max-age=60, stale-if-error=60", Response{}, 2 * minute, true},
		{"outside the response's window", private, nil, "max-age=60, stale-if-error=60", Response{}, 2*minute + 1, false},
		{"a window of nothing", private, nil, "max-age=60, stale-if-error=0", Response{}, 2 * minute, false},
		{"the user's window", private, nil, "max-age=60", Response{StaleIfError: hour}, hour, true},
		{"outside the user's window", private, nil, "max-age=60", Response{StaleIfError: hour}, 2 * hour, false},
		{"the user wants none", private, nil, "max-age=60, stale-if-error=60", Response{StaleIfError: -1}, minute, false},
		{"stale-while-revalidate is another window", private, nil, "max-age=60, stale-while-revalidate=60", Response{}, hour, true},
		{"must-revalidate", private, nil, "max-age=60, must-revalidate", Response{}, minute, false},
		{"must-revalidate and a TTL", private, nil, "must-revalidate", Response{TTL: minute}, hour, true},
		{"no-cache", private, nil, "no-cache, max-age=60", Response{}, 0, false},
		{"proxy-revalidate", private, nil, "max-age=60, proxy-revalidate", Response{}, minute, true},
		{"proxy-revalidate, shared", shared, nil, "max-age=60, proxy-revalidate", Response{}, minute, false},
		{"s-maxage, shared", shared, nil, "s-maxage=60", Response{}, minute, false},
		{"request no-cache", private, []string{"Cache-Control: no-cache"}, "max-age=60", Response{}, 0, false},
		{"request max-age", private, []string{"Cache-Control: max-age=600"}, "max-age=60", Response{}, minute, false},
		{"request max-stale", private, []string{"Cache-Control: max-stale=600"}, "max-age=60", Response{}, hour, false},
		{"request min-fresh", private, []string{"Cache-Control: min-fresh=6"}, "max-age=60", Response{}, hour, false},
		{"inside the request's window", private, []string{"Cache-Control: stale-if-error=60"}, "max-age=60", Response{}, 2 * minute, true},
		{"outside the request's window", private, []string{"Cache-Control: stale-if-error=60"}, "max-age=60", Response{}, hour, false},
		{"fresh", private, nil, "max-age=60", Response{}, 0, true},
	} {
		c.resp.Status, c.resp.Requested, c.resp.Received, c.resp.Header = 200, t0, t0, fields("Cache-Control: "+c.cc)
		if got := c.p.StaleIfDisconnected(request(c.req...), Parse(c.resp), t0.Add(c.after)); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestStaleIfError(t *testing.T) {
	private, shared := Policy{}, Policy{Shared: true}
	for _, c := range []struct {
		name  string
		p     Policy
		req   Request
		resp  Response
		after time.Duration
		want  bool
	}{
		{"no window", private, Request{}, Response{Header: fields("Cache-Control: max-age=60")}, minute, false},
		{"inside the window", private, Request{}, Response{Header: fields("Cache-Control: max-age=60, stale-if-error=60")}, 2 * minute, true},
		{"outside the window", private, Request{}, Response{Header: fields("Cache-Control: max-age=60, stale-if-error=60")}, 2*minute + 1, false},
		{"a window that is garbage", private, Request{}, Response{Header: fields("Cache-Control: max-age=60, stale-if-error=x")}, minute, false},
		{"stale-while-revalidate is another window", private, Request{}, Response{Header: fields("Cache-Control: max-age=60, stale-while-revalidate=60")}, minute, false},
		{"the user's window", private, Request{}, Response{Header: fields("Cache-Control: max-age=60"), StaleIfError: hour}, hour, true},
		{"the user's over the header's", private, Request{}, Response{Header: fields("Cache-Control: max-age=60, stale-if-error=3600"), StaleIfError: minute}, hour, false},
		{"the user's against must-revalidate", private, Request{}, Response{Header: fields("Cache-Control: max-age=60, must-revalidate"), StaleIfError: hour}, hour, false},
		{"the user's with a TTL, against no-cache", private, Request{}, Response{Header: fields("Cache-Control: no-cache"), TTL: minute, StaleIfError: hour}, hour, true},
		{"the user's with a TTL", private, Request{}, Response{Header: fields("Cache-Control: must-revalidate"), TTL: minute, StaleIfError: hour}, hour, true},
		{"must-revalidate", private, Request{}, Response{Header: fields("Cache-Control: max-age=60, must-revalidate, stale-if-error=60")}, minute, false},
		{"must-revalidate, fresh", private, Request{}, Response{Header: fields("Cache-Control: max-age=60, must-revalidate")}, 0, true},
		{"no-cache", private, Request{}, Response{Header: fields("Cache-Control: no-cache, max-age=60, stale-if-error=60")}, 0, false},
		{"inside the window, shared", shared, Request{}, Response{Header: fields("Cache-Control: max-age=60, stale-if-error=60")}, minute, true},
		{"the request's window, smaller than the response's", private, *request("Cache-Control: stale-if-error=60"), Response{Header: fields("Cache-Control: max-age=60, stale-if-error=600")}, 3 * minute, false},
		{"the request's window against proxy-revalidate, shared", shared, *request("Cache-Control: stale-if-error=60"), Response{Header: fields("Cache-Control: max-age=60, proxy-revalidate")}, minute, false},
		{"the request's window against no-cache", private, *request("Cache-Control: stale-if-error=60"), Response{Header: fields("Cache-Control: no-cache")}, minute, false},
		{"the request's window that is garbage", private, *request("Cache-Control: stale-if-error=x"), Response{Header: fields("Cache-Control: max-age=60")}, minute, false},
		{"the request's that is garbage, fresh", private, *request("Cache-Control: stale-if-error=x"), Response{Header: fields("Cache-Control: max-age=60")}, 0, true},
		{"the request's that is garbage against the response's", private, *request("Cache-Control: stale-if-error=x"), Response{Header: fields("Cache-Control: max-age=60, stale-if-error=60")}, minute, false},
		{"request max-stale", private, *request("Cache-Control: max-stale=10"), Response{Header: fields("Cache-Control: max-age=60, stale-if-error=60")}, 2 * minute, false},
		{"request min-fresh, fresh", private, *request("Cache-Control: min-fresh=120"), Response{Header: fields("Cache-Control: max-age=60")}, 0, false},
		{"proxy-revalidate", private, Request{}, Response{Header: fields("Cache-Control: max-age=60, proxy-revalidate, stale-if-error=60")}, minute, true},
		{"proxy-revalidate, shared", shared, Request{}, Response{Header: fields("Cache-Control: max-age=60, proxy-revalidate, stale-if-error=60")}, minute, false},
		{"s-maxage, shared", shared, Request{}, Response{Header: fields("Cache-Control: s-maxage=60, stale-if-error=60")}, minute, false},
		{"the request's window", private, *request("Cache-Control: stale-if-error=60"), Response{Header: fields("Cache-Control: max-age=60")}, 2 * minute, true},
		{"outside the request's window", private, *request("Cache-Control: stale-if-error=60"), Response{Header: fields("Cache-Control: max-age=60")}, 2*minute + 1, false},
		{"the request's window against must-revalidate", private, *request("Cache-Control: stale-if-error=60"), Response{Header: fields("Cache-Control: max-age=60, must-revalidate")}, minute, false},
		{"request no-cache", private, *request("Cache-Control: no-cache"), Response{Header: fields("Cache-Control: max-age=60, stale-if-error=60")}, minute, false},
		{"request no-cache, fresh", private, *request("Cache-Control: no-cache"), Response{Header: fields("Cache-Control: max-age=60")}, 0, false},
		{"request no-cache and its own window", private, *request("Cache-Control: no-cache, stale-if-error=60"), Response{Header: fields("Cache-Control: max-age=60")}, minute, true},
		{"request max-age", private, *request("Cache-Control: max-age=600"), Response{Header: fields("Cache-Control: max-age=60, stale-if-error=60")}, minute, false},
		{"Revalidate", private, Request{Revalidate: true}, Response{Header: fields("Cache-Control: max-age=60, stale-if-error=60")}, minute, false},
		{"TakeStale", private, Request{TakeStale: true}, Response{Header: fields("Cache-Control: max-age=60, must-revalidate")}, day, true},
		{"fresh", private, Request{}, Response{Header: fields("Cache-Control: max-age=60")}, 0, true},
	} {
		c.resp.Status, c.resp.Requested, c.resp.Received = 200, t0, t0
		if got := c.p.StaleIfError(&c.req, Parse(c.resp), t0.Add(c.after)); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestActionNames(t *testing.T) {
	want := []string{"forward", "serve", "serve and refresh", "validate", "refuse"}
	for a := Forward; a <= Refuse; a++ {
		if a.String() != want[a] {
			t.Errorf("action %d is %q, want %q", a, a, want[a])
		}
	}
}

// hit is the common case: a request that says nothing, one fresh response that does not vary.
func hit() (*Request, []*Response, time.Time) {
	return request("Accept: */*", "User-Agent: test"), []*Response{response(200, "Cache-Control: max-age=60", "Date: "+date(0),
		`ETag: "a"`, "Content-Type: text/plain")}, t0.Add(time.Second)
}

func BenchmarkReuse(b *testing.B) {
	req, stored, now := hit()
	b.ReportAllocs()
	for b.Loop() {
		(Policy{}).Reuse(req, stored, now)
	}
}

func BenchmarkParse(b *testing.B) {
	_, stored, _ := hit()
	r := Response{Status: 200, Header: stored[0].Header, Requested: t0, Received: t0}
	b.ReportAllocs()
	for b.Loop() {
		Parse(r)
	}
}
