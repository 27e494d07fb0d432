package rfc9111

import "net/http"

// Storable reports whether the response to req may be stored and would be of use, and why (RFC 9111 §3). resp has its
// header as received, or as StoredHeader leaves it. A TTL counts as explicit freshness and overrides all that the
// response says against it, but not the request's no-store, nor a status that only answers this request's conditions or
// range.
//
// Responses to GET, HEAD and QUERY are stored as their headers say; to POST and PATCH only with explicit
// freshness, to other methods only with a TTL. That a stored POST answers a later POST goes beyond RFC 9110
// §9.3.3: the caller must make the content part of the key, or not store such responses.
func (p Policy) Storable(req *Request, resp *Response) (bool, Reason) {
	if why := p.unstorable(req, resp); why != 0 {
		return false, why
	}
	if resp.TTL != 0 {
		return true, AllowedByRule
	}
	return true, Allowed
}

// NoStore reports whether the request forbids storing any part of it and of its response (RFC 9111 §5.2.1.5).
func (r *Request) NoStore() bool {
	lines := r.Header["Cache-Control"]
	return len(lines) > 0 && parseDirectives(lines).noStore
}

func (p Policy) unstorable(req *Request, resp *Response) Reason {
	if req.NoStore() {
		return RequestNoStore
	}
	if why := storableStatus(resp); why != 0 {
		return why
	}
	if variesTooMuch(resp.Header) {
		return VaryStar
	}
	if resp.TTL != 0 {
		return 0
	}
	cc := &resp.cc
	_, authorized := req.Header["Authorization"]
	switch {
	case !p.storableMethod(resp):
		return MethodNotStored
	case forbidden(resp.Status):
		return ForbiddenStatus
	case resp.noStore != 0:
		return resp.noStore
	case p.Shared && cc.private:
		return PrivateResponse
	case p.Shared && authorized && !cc.public && !cc.mustRevalidate && !cc.sMaxAge.set:
		return Authorized
	case p.cookieOfOne(resp):
		return SetsCookie
	case resp.variesOnUnknown:
		return VaryStar
	case !p.explicit(resp) && !HeuristicallyCacheable(resp.Status) && !cc.public && (p.Shared || !cc.private && len(cc.privateFields) == 0):
		return NoFreshness
	case !p.reusable(resp):
		return NothingToReuseBy
	}
	return 0
}

// cookieOfOne reports whether a shared cache would give one user's cookie, such as a session's, to others. The
// standard leaves it to origins to forbid that (RFC 9111 §7.3), but many do not. So a response that sets a cookie must
// say that it is public, or be fresh without no-cache. A TTL does not replace that.
func (p Policy) cookieOfOne(r *Response) bool {
	if !p.Shared || !r.setsCookie || r.cc.public {
		return false
	}
	said := *r
	said.TTL = 0
	return r.cc.noCache || !p.explicit(r) || p.Lifetime(&said) == 0
}

func (p Policy) storableMethod(resp *Response) bool {
	switch resp.Method {
	case "", http.MethodGet, http.MethodHead, "QUERY":
		return true
	case http.MethodPost, http.MethodPatch: // RFC 9110 §9.3.3, RFC 5789 §2
		return p.explicit(resp)
	}
	return false
}

// reusable reports whether there is a later request that the response could answer.
func (p Policy) reusable(resp *Response) bool {
	if resp.hasValidator() {
		return true
	}
	if resp.cc.noCache {
		return false
	}
	end := p.UsableUntil(resp)
	return end.IsZero() || end.After(resp.Received)
}
