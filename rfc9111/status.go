package rfc9111

import "net/http"

// HeuristicallyCacheable reports whether responses with this status may be stored and reused without explicit
// freshness (RFC 9110 §15.1).
func HeuristicallyCacheable(status int) bool {
	switch status {
	case http.StatusOK, http.StatusNonAuthoritativeInfo, http.StatusNoContent, http.StatusPartialContent,
		http.StatusMultipleChoices, http.StatusMovedPermanently, http.StatusPermanentRedirect,
		http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone, http.StatusRequestURITooLong,
		http.StatusNotImplemented:
		return true
	}
	return false
}

// understood reports whether the status is one whose meaning for caches is known here (RFC 9111 §3): those of
// RFC 9110 §15, and 451 of RFC 7725.
func understood(status int) bool {
	switch {
	case 200 <= status && status <= 206, 300 <= status && status <= 305, 400 <= status && status <= 417, 500 <= status && status <= 505:
		return true
	}
	switch status {
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect, http.StatusMisdirectedRequest,
		http.StatusUnprocessableEntity, http.StatusUpgradeRequired, http.StatusUnavailableForLegalReasons:
		return true
	}
	return false
}

// storableStatus returns why a response with such a status is never stored; 0 if that is not so. Of partial content
// that is known which it is: a single part, of a known whole, that answers a GET (RFC 9111 §3.3).
func storableStatus(resp *Response) Reason {
	switch resp.Status {
	case http.StatusPartialContent:
		if resp.part.Length == 0 || orGet(resp.Method) != http.MethodGet {
			return PartialContent
		}
	case http.StatusNotModified, http.StatusPreconditionFailed, http.StatusRequestedRangeNotSatisfiable, http.StatusExpectationFailed:
		return ConditionalStatus
	}
	if resp.Status < 200 {
		return InterimStatus
	}
	return 0
}

// forbidden reports whether the status alone forbids storing (RFC 6585 §3 to §6).
func forbidden(status int) bool {
	switch status {
	case http.StatusPreconditionRequired, http.StatusTooManyRequests, http.StatusRequestHeaderFieldsTooLarge,
		http.StatusNetworkAuthenticationRequired:
		return true
	}
	return false
}
