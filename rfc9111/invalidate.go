package rfc9111

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// safe reports whether the method is registered as safe, so that a request with it changes nothing: those of
// RFC 9110 §9.2.1, of WebDAV, QUERY (RFC 10008), and PRI, which begins a connection of HTTP/2. Methods know case; a
// method that is not known is not safe.
func safe(method string) bool {
	switch method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, "PRI", "PROPFIND", "QUERY", "REPORT", "SEARCH":
		return true
	}
	return false
}

// maxLocations is how many lines of Location, and of Content-Location, count. There should be one; each costs calls of
// a store.
const maxLocations = 16

// Invalidates returns the URLs whose stored responses a request has made invalid (RFC 9111 §4.4), absolute and without
// fragment: its own first, then those in the response's Location and Content-Location that have the same origin. It
// returns nil if the method is safe, or the status is neither 2xx nor 3xx.
func Invalidates(req *Request, status int, respHeader http.Header) []string {
	if safe(req.Method) || status < 200 || status > 399 {
		return nil
	}
	urls := []string{bare(req.URL)}
	for _, name := range []string{"Location", "Content-Location"} {
		for i, v := range respHeader[name] {
			if i == maxLocations {
				break
			}
			u, err := req.URL.Parse(trim(v))
			if err != nil || !sameOrigin(u, req.URL) {
				continue
			}
			if s := bare(u); !slices.Contains(urls, s) {
				urls = append(urls, s)
			}
		}
	}
	return urls
}

// bare returns u without fragment and user.
func bare(u *url.URL) string {
	c := *u
	c.Fragment, c.User = "", nil
	return c.String()
}

// sameOrigin compares scheme, host and port (RFC 9110 §4.3.1).
func sameOrigin(a, b *url.URL) bool {
	return strings.EqualFold(a.Scheme, b.Scheme) && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	switch strings.ToLower(u.Scheme) {
	case "http":
		return "80"
	case "https":
		return "443"
	}
	return ""
}
