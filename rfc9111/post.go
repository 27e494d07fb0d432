package rfc9111

import (
	"net/http"
	"net/url"
)

// AsGet returns the URL whose new representation a response to POST or PATCH says it is, so that the response may be
// stored as one to a GET for that URL; nil if it does not say so. It says so if it is a 200 with explicit freshness in
// its header and one Content-Location (RFC 9110 §9.3.3 and §8.7, RFC 5789 §2). The URL is absolute. The caller must
// check that it is the request's own, and ask Storable with the method GET.
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
