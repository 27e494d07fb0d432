package rfc9111

import (
	"iter"
	"net/http"
	"slices"
	"strings"
)

// Bounds of If-None-Match as Conditions makes it.
const (
	maxETags     = 32
	maxETagBytes = 4 << 10
)

// Conditions returns the header fields that make a request for the selected response conditional (RFC 9111 §4.3.1):
// If-None-Match with the entity tags of all the stored responses that may answer the same method, the selected one's
// first, and If-Modified-Since with its Last-Modified. selected may be -1: the tags alone. At most 32 tags of 4 KiB
// altogether are named. It is empty if there is nothing to validate with.
//
// A selected response that has Last-Modified and no tag is validated by that alone: a server that knows tags would not
// look at the date beside them (RFC 9110 §13.1.3). So is one whose tag lacks its quotes; without a date, that tag is
// sent as it was received, and alone, since it cannot be a member of a list.
func Conditions(stored []*Response, selected int) http.Header {
	h := http.Header{}
	var tags []string
	size := 0
	add := func(tag string) {
		if tag != "" && !isUnquoted(tag) && len(tags) < maxETags && size+len(tag) <= maxETagBytes && !slices.Contains(tags, tag) {
			tags = append(tags, tag)
			size += len(tag)
		}
	}
	if selected >= 0 {
		r := stored[selected]
		if !r.lastModified.IsZero() {
			h.Set("If-Modified-Since", trim(r.Header["Last-Modified"][0]))
			if r.etag == "" || isUnquoted(r.etag) {
				return h
			}
		}
		if isUnquoted(r.etag) {
			h.Set("If-None-Match", r.etag)
			return h
		}
		add(r.etag)
	}
	for i, r := range stored {
		if couldServe(stored, selected, i) {
			add(r.etag)
		}
	}
	if len(tags) > 0 {
		h.Set("If-None-Match", strings.Join(tags, ", "))
	}
	return h
}

// Freshens returns the indices of the stored responses that a 304 has renewed, if the request had the Conditions of the
// same arguments (RFC 9111 §4.3.4). The request may be answered from any of them. If there are none, the 304 does not
// say which, and the request must be sent again without conditions.
//
// Two kinds of 304 that servers do send are read as they are meant: one without a validator renews the
// selected response if no other could have been meant, and one that gives as strong the tag that the selected
// response has as weak, as is usual where responses are compressed on the way, renews that.
func Freshens(notModified *Response, stored []*Response, selected int) []int {
	var out []int
	if tag := notModified.etag; tag != "" && !isWeak(tag) {
		for i, r := range stored {
			if sameStrongly(r.etag, tag) && couldServe(stored, selected, i) {
				out = append(out, i)
			}
		}
		if out == nil && selected >= 0 && sameWeakly(stored[selected].etag, tag) {
			out = []int{selected}
		}
		return out
	}
	var match func(*Response) bool
	switch {
	case notModified.etag != "":
		match = func(r *Response) bool { return sameWeakly(r.etag, notModified.etag) }
	case !notModified.lastModified.IsZero():
		match = func(r *Response) bool { return r.lastModified.Equal(notModified.lastModified) }
	default:
		if selected >= 0 && onlyMeant(stored, selected) {
			return []int{selected}
		}
		return nil
	}
	best := -1
	for i, r := range stored {
		if match(r) && couldServe(stored, selected, i) && (best < 0 || i == selected || best != selected && moreRecent(r, stored[best])) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	return []int{best}
}

// couldServe reports whether stored[i] may answer the request that selected the other response (RFC 9111 §4.3.4): a GET
// is not answered from a HEAD, even if the origin names its tag.
func couldServe(stored []*Response, selected, i int) bool {
	return selected < 0 || stored[i].answers(stored[selected].Method)
}

// onlyMeant reports whether Conditions for the selected response has no other stored response's entity tag.
func onlyMeant(stored []*Response, selected int) bool {
	r := stored[selected]
	if isUnquoted(r.etag) || r.etag == "" && !r.lastModified.IsZero() {
		return true
	}
	for i, o := range stored {
		if o.etag != "" && !isUnquoted(o.etag) && o.etag != r.etag && couldServe(stored, selected, i) {
			return false
		}
	}
	return true
}

// HeadEffect is what the response to a HEAD means for a stored GET response.
type HeadEffect uint8

const (
	// HeadNothing: it says nothing about it.
	HeadNothing HeadEffect = iota
	// HeadFreshens: it has renewed it; see Freshen.
	HeadFreshens
	// HeadInvalidates: the resource has changed; the stored response is not to be used any more.
	HeadInvalidates
)

// ByHead returns what a response to HEAD means for a stored GET response that the same request could have selected (RFC
// 9111 §4.3.5). Only a 200 says anything, and only about a stored 200. The validators that it has must be the stored
// ones, the tags by weak comparison, and so must its Content-Length, if it has one; if none was stored, the response to
// HEAD must have a validator.
func ByHead(stored, head *Response) HeadEffect {
	if head.Method != http.MethodHead || head.Status != http.StatusOK || !stored.answers(http.MethodGet) || stored.Status != http.StatusOK {
		return HeadNothing
	}
	validated := false
	if _, ok := head.Header["Etag"]; ok {
		if !sameWeakly(head.etag, stored.etag) {
			return HeadInvalidates
		}
		validated = true
	}
	if _, ok := head.Header["Last-Modified"]; ok {
		if head.lastModified.IsZero() || !head.lastModified.Equal(stored.lastModified) {
			return HeadInvalidates
		}
		validated = true
	}
	if v, ok := head.Header["Content-Length"]; ok && !slices.Equal(v, stored.Header["Content-Length"]) {
		if _, known := stored.Header["Content-Length"]; known || !validated {
			return HeadInvalidates
		}
	}
	return HeadFreshens
}

// NotModified reports whether the caller's own conditions on a GET or HEAD make the answer 304 when resp, a stored 200,
// would be served (RFC 9110 §13.2.2): If-None-Match by weak comparison, and If-Modified-Since only without that. A
// stored tag without quotes matches the same tag without quotes. If-Match and If-Unmodified-Since are not for caches
// (RFC 9111 §4.3.2).
func NotModified(reqHeader http.Header, resp *Response) bool {
	if resp.Status != http.StatusOK {
		return false
	}
	if lines, ok := reqHeader["If-None-Match"]; ok {
		if len(lines) == 1 && trim(lines[0]) == "*" {
			return true
		}
		if isUnquoted(resp.etag) {
			return contains(members(lines), resp.etag)
		}
		return contains(etags(lines), resp.etag)
	}
	lines := reqHeader["If-Modified-Since"]
	if len(lines) != 1 {
		return false
	}
	since, ok := parseDate(lines[0], resp.Received)
	modified := resp.lastModified
	if modified.IsZero() {
		modified = resp.date
	}
	return ok && !modified.After(since)
}

// contains reports whether one of tags is tag, by weak comparison.
func contains(tags iter.Seq[string], tag string) bool {
	for t := range tags {
		if sameWeakly(t, tag) {
			return true
		}
	}
	return false
}
