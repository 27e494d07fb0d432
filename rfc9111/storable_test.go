package rfc9111

import (
	"strings"
	"testing"
)

func TestStorable(t *testing.T) {
	private, shared := Policy{}, Policy{Shared: true}
	const maxAge = "Cache-Control: max-age=60"
	old := "Last-Modified: " + date(-week)
	for _, c := range []struct {
		name   string
		p      Policy
		req    []string
		status int
		lines  []string
		want   Reason
	}{
		{"explicit freshness", private, nil, 200, []string{maxAge}, Allowed},
		{"explicit freshness, shared", shared, nil, 200, []string{maxAge}, Allowed},
		{"explicit freshness of any status", private, nil, 599, []string{maxAge}, Allowed},
		{"Expires", private, nil, 302, []string{"Expires: " + date(hour)}, Allowed},
		{"a heuristic", private, nil, 200, []string{old}, Allowed},
		{"a validator", private, nil, 200, []string{"Cache-Control: max-age=0", `ETag: "a"`}, Allowed},
		{"no-cache and a validator", private, nil, 200, []string{"Cache-Control: no-cache", `ETag: "a"`}, Allowed},
		{"no-cache with fields", private, nil, 200, []string{`Cache-Control: no-cache="set-cookie", max-age=60`}, Allowed},
		{"a stale window", private, nil, 200, []string{"Cache-Control: max-age=0, stale-if-error=60"}, Allowed},
		{"a redirect without freshness", private, nil, 302, []string{"Location: /", old}, NoFreshness},
		{"a public one", private, nil, 302, []string{"Location: /", old, "Cache-Control: public"}, Allowed},
		{"a private one", private, nil, 302, []string{"Location: /", old, "Cache-Control: private"}, Allowed},
		{"a private one with fields", private, nil, 302, []string{"Location: /", old, `Cache-Control: private="x-a"`}, Allowed},
		{"a private one with fields, shared", shared, nil, 302, []string{"Location: /", old, `Cache-Control: private="x-a"`}, NoFreshness},
		{"a private one, shared", shared, nil, 302, []string{"Location: /", old, "Cache-Control: private"}, PrivateResponse},
		{"an invalid Expires is explicit", private, nil, 302, []string{"Expires: 0", `ETag: "a"`}, Allowed},
		{"an invalid max-age is explicit", private, nil, 302, []string{"Cache-Control: max-age=x", `ETag: "a"`}, Allowed},
		{"a 500 with a validator", private, nil, 500, []string{`ETag: "a"`}, NoFreshness},
		{"s-maxage means nothing to a private cache", private, nil, 302, []string{"Cache-Control: s-maxage=60"}, NoFreshness},
		{"s-maxage", shared, nil, 302, []string{"Cache-Control: s-maxage=60"}, Allowed},

		{"nothing to reuse it by", private, nil, 200, nil, NothingToReuseBy},
		{"Expires: 0 and no validator", private, nil, 200, []string{"Expires: 0"}, NothingToReuseBy},
		{"stale on arrival, no validator", private, nil, 200, []string{maxAge, "Age: 60"}, NothingToReuseBy},
		{"no-cache and no validator", private, nil, 200, []string{"Cache-Control: no-cache, max-age=60"}, NothingToReuseBy},
		{"a malformed validator", private, nil, 200, []string{"ETag: a b"}, NothingToReuseBy},
		{"a validator without quotes", private, nil, 200, []string{"ETag: abc"}, Allowed},
		{"a stale window beside must-revalidate", private, nil, 200, []string{"Cache-Control: max-age=0, must-revalidate, stale-if-error=60"}, NothingToReuseBy},

		{"no-store", private, nil, 200, []string{"Cache-Control: no-store"}, ResponseNoStore},
		{"no-store beside all that allows", shared, nil, 200, []string{"Cache-Control: public, no-store, s-maxage=60", `ETag: "a"`}, ResponseNoStore},
		{"no-store with an argument", private, nil, 200, []string{"Cache-Control: no-store=x, max-age=60"}, ResponseNoStore},
		{"no-store behind a string that is not closed", private, nil, 200, []string{`Cache-Control: a="b, no-store, max-age=60`}, ResponseNoStore},
		{"no-store on a second line", private, nil, 200, []string{maxAge, "Cache-Control: no-store"}, ResponseNoStore},
		{"no-store in capitals", private, nil, 200, []string{"Cache-Control: NO-STORE, max-age=60"}, ResponseNoStore},
		{"no-store in the request", private, []string{"Cache-Control: no-store"}, 200, []string{maxAge}, RequestNoStore},
		{"no-store in the request, on a second line", private, []string{"Cache-Control: a", "Cache-Control: b, NO-STORE"}, 200, []string{maxAge}, RequestNoStore},
		{"no-store in a string of the request", private, []string{`Cache-Control: a="no-store"`}, 200, []string{maxAge}, Allowed},
		{"Pragma in the response", private, nil, 200, []string{"Pragma: no-cache", maxAge}, Allowed},
		{"no-cache in the request", private, []string{"Cache-Control: no-cache"}, 200, []string{maxAge}, Allowed},
		{"must-understand beats no-store", private, nil, 200, []string{"Cache-Control: no-store, must-understand, max-age=60"}, Allowed},
		{"must-understand needs freshness like any other", private, nil, 302, []string{"Cache-Control: no-store, must-understand"}, NoFreshness},
		{"must-understand and private, shared", shared, nil, 200, []string{"Cache-Control: no-store, must-understand, private, max-age=60"}, PrivateResponse},
		{"must-understand, status not understood", private, nil, 599, []string{"Cache-Control: no-store, must-understand, max-age=60"}, StatusNotUnderstood},
		{"must-understand without no-store", private, nil, 599, []string{"Cache-Control: must-understand, max-age=60"}, StatusNotUnderstood},

		{"private", private, nil, 200, []string{"Cache-Control: private, max-age=60"}, Allowed},
		{"private, shared", shared, nil, 200, []string{"Cache-Control: private, max-age=60"}, PrivateResponse},
		{"private and public, shared", shared, nil, 200, []string{"Cache-Control: public, private, max-age=60"}, PrivateResponse},
		{"private with fields, shared", shared, nil, 200, []string{`Cache-Control: private="set-cookie", max-age=60`}, Allowed},
		{"private with fields and without, shared", shared, nil, 200, []string{`Cache-Control: private="a", private, max-age=60`}, PrivateResponse},

		{"Authorization", private, []string{"Authorization: x"}, 200, []string{maxAge}, Allowed},
		{"Authorization, shared", shared, []string{"Authorization: x"}, 200, []string{maxAge}, Authorized},
		{"an empty Authorization, shared", shared, []string{"Authorization:"}, 200, []string{maxAge}, Authorized},
		{"Authorization and public", shared, []string{"Authorization: x"}, 200, []string{"Cache-Control: public, max-age=60"}, Allowed},
		{"Authorization and must-revalidate", shared, []string{"Authorization: x"}, 200, []string{"Cache-Control: must-revalidate, max-age=60"}, Allowed},
		{"Authorization and s-maxage", shared, []string{"Authorization: x"}, 200, []string{"Cache-Control: s-maxage=60"}, Allowed},
		{"Authorization and s-maxage=0", shared, []string{"Authorization: x"}, 200, []string{"Cache-Control: s-maxage=0", `ETag: "a"`}, Allowed},
		{"Authorization, public and private", shared, []string{"Authorization: x"}, 200, []string{"Cache-Control: public, private, max-age=60"}, PrivateResponse},
		{"Authorization and proxy-revalidate", shared, []string{"Authorization: x"}, 200, []string{"Cache-Control: proxy-revalidate, max-age=60"}, Authorized},

		{"a cookie", private, nil, 200, []string{"Set-Cookie: a=1", old}, Allowed},
		{"a cookie, shared", shared, nil, 200, []string{"Set-Cookie: a=1", old}, SetsCookie},
		{"a cookie and a validator, shared", shared, nil, 200, []string{"Set-Cookie: a=1", `ETag: "a"`}, SetsCookie},
		{"a cookie of what is fresh, shared", shared, nil, 200, []string{"Set-Cookie: a=1", maxAge}, Allowed},
		{"a cookie of what is to be validated, shared", shared, nil, 200, []string{"Set-Cookie: a=1", "Cache-Control: max-age=0", `ETag: "a"`}, SetsCookie},
		{"a cookie of what is fresh and to be validated, shared", shared, nil, 200, []string{"Set-Cookie: a=1", "Cache-Control: no-cache, max-age=60", `ETag: "a"`}, SetsCookie},
		{"a cookie of what has ended, shared", shared, nil, 200, []string{"Set-Cookie: a=1", "Expires: 0", `ETag: "a"`}, SetsCookie},
		{"a cookie of what is fresh in shared caches alone", shared, nil, 200, []string{"Set-Cookie: a=1", "Cache-Control: max-age=0, s-maxage=60"}, Allowed},
		{"a cookie of what is public, shared", shared, nil, 200, []string{"Set-Cookie: a=1", "Cache-Control: public", old}, Allowed},
		{"a cookie that is not stored, shared", shared, nil, 200, []string{"Set-Cookie: a=1", `Cache-Control: no-cache="set-cookie"`, old}, Allowed},

		{"Vary", private, nil, 200, []string{maxAge, "Vary: Accept"}, Allowed},
		{"Vary: *", private, nil, 200, []string{maxAge, "Vary: *"}, VaryStar},
		{"Vary with a hundred names", private, nil, 200, []string{maxAge, "Vary: A" + strings.Repeat(", A", 99)}, Allowed},
		{"Vary with one more", private, nil, 200, []string{maxAge, "Vary: A" + strings.Repeat(", A", 100)}, VaryStar},
		{"Vary: * in a list", private, nil, 200, []string{maxAge, "Vary: Accept, *"}, VaryStar},
		{"Vary: * on a second line", private, nil, 200, []string{maxAge, "Vary:", "Vary: *"}, VaryStar},

		{"an interim response", private, nil, 103, []string{maxAge}, InterimStatus},
		{"a part of a known whole", private, nil, 206, []string{maxAge, "Content-Range: bytes 0-4/10"}, Allowed},
		{"a part of an unknown whole", private, nil, 206, []string{maxAge, "Content-Range: bytes 0-4/*"}, PartialContent},
		{"several parts", private, nil, 206, []string{maxAge, "Content-Type: multipart/byteranges; boundary=x"}, PartialContent},
		{"a part that must not be stored", private, nil, 206, []string{"Cache-Control: no-store", "Content-Range: bytes 0-4/10"}, ResponseNoStore},
		{"not modified", private, nil, 304, []string{maxAge, `ETag: "a"`}, ConditionalStatus},
		{"precondition failed", private, nil, 412, []string{maxAge}, ConditionalStatus},
		{"range not satisfiable", private, nil, 416, []string{maxAge}, ConditionalStatus},
		{"expectation failed", private, nil, 417, []string{maxAge}, ConditionalStatus},
		{"precondition required", private, nil, 428, []string{maxAge}, ForbiddenStatus},
		{"header fields too large", private, nil, 431, []string{maxAge}, ForbiddenStatus},
		{"too many requests", private, nil, 429, []string{maxAge}, ForbiddenStatus},
		{"authentication of the network", private, nil, 511, []string{maxAge}, ForbiddenStatus},
	} {
		if ok, why := c.p.Storable(request(c.req...), response(c.status, c.lines...)); why != c.want || ok != (why == Allowed) {
			t.Errorf("%s: got %v, %q, want %q", c.name, ok, why, c.want)
		}
	}
}

func TestStorableMethods(t *testing.T) {
	fresh, heuristic := fields("Cache-Control: max-age=60"), fields("Last-Modified: "+date(-week))
	for _, c := range []struct {
		method         string
		fresh, guessed Reason
	}{
		{"", Allowed, Allowed},
		{"GET", Allowed, Allowed},
		{"HEAD", Allowed, Allowed},
		{"QUERY", Allowed, Allowed},
		{"POST", Allowed, MethodNotStored},
		{"PATCH", Allowed, MethodNotStored},
		{"PUT", MethodNotStored, MethodNotStored},
		{"DELETE", MethodNotStored, MethodNotStored},
		{"OPTIONS", MethodNotStored, MethodNotStored},
		{"get", MethodNotStored, MethodNotStored},
	} {
		req := &Request{Method: c.method}
		r := Response{Method: c.method, Status: 200, Requested: t0, Received: t0, Header: fresh}
		if _, why := (Policy{}).Storable(req, Parse(r)); why != c.fresh {
			t.Errorf("%s with max-age: got %q, want %q", c.method, why, c.fresh)
		}
		r.Header = heuristic
		if _, why := (Policy{}).Storable(req, Parse(r)); why != c.guessed {
			t.Errorf("%s with Last-Modified: got %q, want %q", c.method, why, c.guessed)
		}
		r.TTL = hour
		if _, why := (Policy{}).Storable(req, Parse(r)); why != AllowedByRule {
			t.Errorf("%s with a TTL: got %q, want %q", c.method, why, AllowedByRule)
		}
	}
}

func TestTTLOverridesTheResponseNotTheRequest(t *testing.T) {
	for _, c := range []struct {
		name   string
		req    []string
		status int
		lines  []string
		want   Reason
	}{
		{"no-store", nil, 200, []string{"Cache-Control: no-store"}, AllowedByRule},
		{"no-cache", nil, 200, []string{"Cache-Control: no-cache"}, AllowedByRule},
		{"private", nil, 200, []string{"Cache-Control: private"}, AllowedByRule},
		{"Vary: *", nil, 200, []string{"Vary: *"}, AllowedByRule},
		{"Authorization", []string{"Authorization: x"}, 200, nil, AllowedByRule},
		{"must-understand", nil, 599, []string{"Cache-Control: must-understand"}, AllowedByRule},
		{"a forbidden status", nil, 429, nil, AllowedByRule},
		{"no-store in the request", []string{"Cache-Control: no-store"}, 200, nil, RequestNoStore},
		{"a part of what is not known", nil, 206, nil, PartialContent},
		{"not modified", nil, 304, nil, ConditionalStatus},
		{"an interim response", nil, 103, nil, InterimStatus},
	} {
		resp := Parse(Response{Status: c.status, Header: fields(c.lines...), Received: t0, TTL: hour})
		ok, why := (Policy{Shared: true}).Storable(request(c.req...), resp)
		if why != c.want || ok != (why == AllowedByRule) {
			t.Errorf("%s: got %v, %q, want %q", c.name, ok, why, c.want)
		}
	}
}
