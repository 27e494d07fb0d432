package rfc9111

import (
	"net/http"
	"testing"
	"time"
)

// checkDecision checks what holds for every decision about one stored response, and returns the reasons that were
// given.
func checkDecision(t *testing.T, p Policy, req *Request, r *Response, after time.Duration) [2]Reason {
	t.Helper()
	now := r.Received.Add(after)
	v := p.Reuse(req, []*Response{r}, now)
	ok, why := p.Storable(req, r)
	failed := p.StaleIfError(req, r, now)
	wrong := func(what string) {
		t.Helper()
		t.Errorf("%s\nshared %v, TTL %v, after %v\nrequest %q\nresponse %d %q\nstored: %v, %v; %v, %v, age %v, lifetime %v; if the origin fails: %v",
			what, p.Shared, r.TTL, after, req.Header, r.Status, r.Header, ok, why, v.Action, v.Reason, v.Age, v.Lifetime, failed)
	}

	served := v.Action == Serve || v.Action == ServeAndRefresh
	stale := v.Age >= v.Lifetime
	if ok != (why == Allowed || why == AllowedByRule) || v.Reason.String() == "" || why.String() == "" {
		wrong("the reason is wrong")
	}
	if v.Age < 0 || v.Lifetime < 0 || v.Index >= 0 && (v.Age != r.Age(now) || v.Lifetime != p.Lifetime(r)) {
		wrong("the times are wrong")
	}
	if served && v.Index < 0 || v.Action == Validate && len(Conditions([]*Response{r}, v.Index)) == 0 {
		wrong("there is nothing to do that with")
	}
	if until := p.FreshUntil(r); v.Index >= 0 && after >= 0 && stale == (until.IsZero() || now.Before(until)) {
		wrong("FreshUntil says otherwise")
	}
	if fresh, usable := p.FreshUntil(r), p.UsableUntil(r); fresh.IsZero() != usable.IsZero() || usable.Before(fresh) {
		wrong("it is usable for a shorter time than fresh")
	}
	if stale && v.Reason >= Fresh && v.Reason <= FreshForever || !stale && (v.Reason == MaxStale || v.Reason == StaleWhileRevalidate || v.Reason == Stale) {
		wrong("it is not that fresh")
	}
	if r.TTL == 0 && r.cc.noCache && (served || failed) {
		wrong("no-cache was not heeded")
	}
	if stale && p.neverStale(r) && v.Index >= 0 && (served || failed) {
		wrong("must-revalidate was not heeded")
	}
	if r.TTL == 0 && p.Shared && r.cc.private && (ok || served) {
		wrong("private was not heeded")
	}
	if r.TTL == 0 && r.cc.noStore && !r.cc.mustUnderstand && (ok || served) {
		wrong("no-store was not heeded")
	}
	if r.TTL == 0 && p.Shared && len(r.Header["Set-Cookie"]) > 0 && (p.Lifetime(r) == 0 || r.cc.noCache) && !r.cc.public && (ok || served) {
		wrong("it gives one user's cookie to others")
	}
	if v.Action == ServeAndRefresh && now.After(p.UsableUntil(r)) {
		wrong("it is served beyond its use")
	}

	only, take := *req, *req
	only.OnlyStored, take.TakeStale = true, true
	if a := p.Reuse(&only, []*Response{r}, now).Action; a != Serve && a != Refuse || (a == Serve) != served {
		wrong("only stored: " + a.String())
	}
	if a := p.Reuse(&take, []*Response{r}, now).Action; (a == Serve) != (v.Index >= 0) {
		wrong("taken stale: " + a.String())
	}
	return [2]Reason{v.Reason, why}
}

func TestWhatHoldsForEveryDecision(t *testing.T) {
	requests := []string{"A: 1", "Pragma: no-cache", "Authorization: a", "Accept-Language: de", "Cache-Control: no-cache", "Cache-Control: no-store",
		"Cache-Control: max-age=30", "Cache-Control: min-fresh=30", "Cache-Control: max-stale", "Cache-Control: max-stale=10",
		"Cache-Control: only-if-cached", "Cache-Control: stale-if-error=10"}
	directives := []string{"", "max-age=60", "max-age=0", "no-cache, max-age=60", "no-store", "private, max-age=60", `private="a", max-age=60`, "public",
		"max-age=60, must-revalidate", "max-age=60, proxy-revalidate", "s-maxage=60", "must-understand, no-store, max-age=60",
		"max-age=60, immutable", "max-age=60, stale-while-revalidate=10, stale-if-error=10",
		"max-age=60, stale-while-revalidate=10, must-revalidate"}
	rest := []string{"A: 1", `ETag: "a"`, "Last-Modified: " + date(-10*hour), "Expires: 0", "Set-Cookie: a=1", "Vary: *", "Vary: Accept-Language", "Age: 65"}
	given := map[Reason]bool{}
	for _, shared := range []bool{false, true} {
		for _, field := range requests {
			req := request(field)
			v := (Policy{Shared: shared}).Reuse(req, nil, t0)
			given[v.Reason] = true
			for _, cc := range directives {
				for _, other := range rest {
					for _, r := range []Response{
						{Status: 200}, {Status: 200, TTL: hour}, {Status: 200, TTL: forever}, {Status: 103}, {Status: 206}, {Status: 302},
						{Status: 304}, {Status: 429}, {Status: 599}, {Status: 200, Method: "HEAD"}, {Status: 200, Method: "PUT"},
					} {
						r.Header = fields("Cache-Control: "+cc, other)
						r.Selecting, _ = Selecting(r.Header, http.Header{})
						r.Requested, r.Received = t0, t0
						parsed := Parse(r)
						for _, after := range []time.Duration{0, 59 * time.Second, 65 * time.Second, 2 * hour} {
							why := checkDecision(t, Policy{Shared: shared}, req, parsed, after)
							given[why[0]], given[why[1]] = true, true
							if t.Failed() {
								return
							}
						}
					}
				}
			}
		}
	}
	take := (Policy{}).Reuse(&Request{TakeStale: true}, []*Response{response(200)}, t0)
	given[take.Reason] = true
	for r := Fresh; r <= NothingToReuseBy; r++ {
		if !given[r] {
			t.Errorf("nothing was decided since %q", r)
		}
	}
}

// FuzzDecisions stays within a century of the arrival: a time.Duration ends after three.
func FuzzDecisions(f *testing.F) {
	f.Add("", "max-age=60", "", "10", "", "", "", 200, int64(0), int64(70), false)
	f.Add("", "no-store", "max-age=60, stale-if-error=9", "10", "0", "", "", 200, int64(0), int64(70), true)
	f.Add("max-stale=x", `no-cache="a", s-maxage=5`, `private="b"`, "", date(hour), date(0), date(-hour), 302, int64(0), int64(-70), true)
	f.Add("min-fresh=99999999999", "immutable, stale-while-revalidate=9", "no-store &", "99999999999", "0", "x", date(hour), 404, int64(forever), int64(100*365*day), false)
	f.Fuzz(func(t *testing.T, asks, says, targeted, age, expires, made, modified string, status int, ttl, after int64, shared bool) {
		h := http.Header{}
		for name, v := range map[string]string{"Cache-Control": says, CDNCacheControl: targeted, "Age": age, "Expires": expires, "Date": made, "Last-Modified": modified} {
			if v != "" {
				h[name] = []string{v}
			}
		}
		p := Policy{Shared: shared}
		if targeted != "" {
			p.Targeted = cdn.Targeted
		}
		r := Parse(Response{Status: status, Header: h, Requested: t0, Received: t0, TTL: time.Duration(ttl), Targeted: p.Targeted})
		checkDecision(t, p, request("Cache-Control: "+asks), r, time.Duration(after)%(100*365*day))
	})
}
