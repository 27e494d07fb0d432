package rfc9111

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// contentRange reads the Content-Range of a 206: "bytes first-last/size" with a known size (RFC 9110 §14.4). It returns
// the zero Part for anything else, if there is none, as in a multipart/byteranges response, and if Content-Length
// contradicts it. But if a part goes from somewhere inside to the end of the whole, and Content-Length is shorter, its
// end is taken to be wrong, as of a server that counts one too many: the whole then ends where the part does. That is
// not done for a part that begins at the first byte.
func contentRange(h http.Header) (Part, int64) {
	lines := h["Content-Range"]
	if len(lines) != 1 {
		return Part{}, 0
	}
	unit, rest, _ := strings.Cut(trim(lines[0]), " ")
	span, length, _ := strings.Cut(trim(rest), "/")
	if !strings.EqualFold(unit, "bytes") {
		return Part{}, 0
	}
	size, _ := position(trim(length)) // 0 if it is not a number
	first, last, _ := strings.Cut(trim(span), "-")
	start, ok := position(first)
	end, ok2 := position(last)
	if !ok || !ok2 || start > end || end >= size {
		return Part{}, 0
	}
	part := Part{start, end - start + 1}
	if lines := h["Content-Length"]; len(lines) > 0 {
		switch n, ok := position(lines[0]); {
		case !ok || n > part.Length || n < part.Length && end+1 < size:
			return Part{}, 0
		case n < part.Length && start == 0:
			return Part{}, 0
		case n < part.Length:
			return Part{start, n}, start + n
		}
	}
	return part, size
}

// Part returns which bytes of how many are in a 206, by its Content-Range. The length is 0 if the response is not a 206
// with a single part of a known whole.
func (r *Response) Part() (part Part, size int64) { return r.part, r.size }

// ContentRange returns the value of Content-Range for p as a part of size bytes (RFC 9110 §14.4).
func ContentRange(p Part, size int64) string {
	b := append(make([]byte, 0, 64), "bytes "...)
	b = append(strconv.AppendInt(b, p.Start, 10), '-')
	b = append(strconv.AppendInt(b, p.Start+p.Length-1, 10), '/')
	return string(strconv.AppendInt(b, size, 10))
}

// Combinable reports whether two responses to GET, parts or whole, have bytes of the same representation, so that they
// may be put together: whether they have the same strong validator (RFC 9110 §8.8.1, §15.3.7.3; RFC 9111 §3.4).
func Combinable(a, b *Response) bool {
	v := a.strongValidator()
	return v != "" && v == b.strongValidator()
}

// strongValidator returns the entity tag if that is strong or, if there is no tag, the Last-Modified if that is strong
// (RFC 9110 §8.8.2.2); "" if there is neither.
func (r *Response) strongValidator() string {
	switch {
	case strings.HasPrefix(r.etag, `"`):
		return r.etag
	case r.etag == "" && !r.lastModified.IsZero() && r.date.Sub(r.lastModified) >= time.Second:
		return trim(r.Header["Last-Modified"][0])
	}
	return ""
}

// Completion returns the header fields that ask for the missing bytes of a representation of which stored is a part, or
// for the whole if it has changed (RFC 9111 §3.4, RFC 9110 §13.1.5). The header is empty if stored has no strong
// validator.
func Completion(stored *Response, missing Part, size int64) http.Header {
	v := stored.strongValidator()
	if v == "" {
		return nil
	}
	span := "bytes=" + strconv.FormatInt(missing.Start, 10) + "-"
	if missing.Start+missing.Length < size {
		span += strconv.FormatInt(missing.Start+missing.Length-1, 10)
	}
	return http.Header{"Range": {span}, "If-Range": {v}}
}

// Missing returns the shortest span with all bytes of want that are in none of have; its length is 0 if there are none.
func Missing(want Part, have []Part) Part {
	start, end := want.Start, want.Start+want.Length
	for again := true; again && start < end; {
		again = false
		for _, p := range have {
			if p.Start <= start && start < p.Start+p.Length {
				start, again = p.Start+p.Length, true
			}
			if p.Start < end && end <= p.Start+p.Length {
				end, again = p.Start, true
			}
		}
	}
	if start >= end {
		return Part{}
	}
	return Part{start, end - start}
}
