package rfc9111

import "net/http"

// NoTransform reports whether a request asks that its content be taken as it is, even for the key of a cache (RFC 9111
// §5.2.1.6, RFC 10008 §2.7).
func NoTransform(reqHeader http.Header) bool {
	return parseDirectives(reqHeader["Cache-Control"]).noTransform
}
