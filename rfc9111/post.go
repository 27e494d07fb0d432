package rfc9111

import (
	"net/http"
	"net/url"
)

// AsGet returns the URL of which the response to a POST or PATCH says that it is the new representation, so that it may
// be stored as if it had answered a GET for that; nil if it says no such thing. It does if it is a 200 with explicit
// freshness in its header and one Content-Location (RFC 9110 §9.3.3 and §8.7, RFC 5789 §2). The URL is absolute;
// whoever keeps the responses must see to it that it is the request's own, and ask Storable, with the method GET.
//
// A 201 or 202 reports on what was done, and a GET would be answered 200; a PUT is never stored (RFC 9110 §9.3.4).
func (p Policy) AsGet(req *Request, resp *Response) *url.URL {
	if req.Method != http.MethodPost && req.Method != http.MethodPatch || resp.Status != http.StatusOK || !p.explicit(resp) {
		return nil
	}
	at := resp.Header["Content-Location"]
	if len(at) != 1 {
		return nil
	}
	u, err := req.URL.Parse(trim(at[0]))
	if err != nil || u.Fragment != "" || !sameOrigin(u, req.URL) {
		return nil
	}
	return u
}
