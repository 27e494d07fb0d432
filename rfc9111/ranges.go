package rfc9111

import (
	"math"
	"net/http"
	"strings"
	"time"
)

// maxRanges is how many ranges one request may name; beyond that it gets the whole (RFC 9110 §17.15).
const maxRanges = 16

// Part is a range of bytes of a representation.
type Part struct{ Start, Length int64 }

// Ranges returns which parts of resp, a stored 200 of size bytes, answer a GET with this header (RFC 9110 §14.2). The
// status is 206 with the parts in the order of the request, each of at least one byte, and none overlapping another;
// 416 if no range is within the size; or 200 for the whole: without a Range that is understood, if If-Range does not
// hold, if there are more than 16 ranges or they overlap, or if the size is 0 or negative (unknown).
func Ranges(reqHeader http.Header, resp *Response, size int64) (parts []Part, status int) {
	lines := reqHeader["Range"]
	if len(lines) != 1 || resp.Status != http.StatusOK || size <= 0 || !ifRange(reqHeader, resp) {
		return nil, http.StatusOK
	}
	unit, set, _ := strings.Cut(trim(lines[0]), "=")
	if !strings.EqualFold(unit, "bytes") {
		return nil, http.StatusOK
	}
	n := 0
	for spec := range strings.SplitSeq(set, ",") {
		if spec = trim(spec); spec == "" {
			continue
		}
		part, valid := parseRange(spec, size)
		if n++; !valid || n > maxRanges || overlaps(parts, part) {
			return nil, http.StatusOK
		}
		if part.Length > 0 {
			parts = append(parts, part)
		}
	}
	switch {
	case n == 0:
		return nil, http.StatusOK
	case len(parts) == 0:
		return nil, http.StatusRequestedRangeNotSatisfiable
	}
	return parts, http.StatusPartialContent
}

// parseRange reads "first-last", "first-" or "-suffix". A range outside the size has the length 0.
func parseRange(spec string, size int64) (part Part, valid bool) {
	first, last, ok := strings.Cut(spec, "-")
	if !ok {
		return Part{}, false
	}
	if first == "" {
		n, ok := position(last)
		n = min(n, size)
		return Part{size - n, n}, ok
	}
	start, ok := position(first)
	end := int64(math.MaxInt64)
	if last != "" && ok {
		end, ok = position(last)
	}
	if !ok || end < start {
		return Part{}, false
	}
	return Part{start, max(0, min(end, size-1)-start+1)}, true
}

// position reads a number of bytes; one that is too large for an int64 is the largest.
func position(s string) (int64, bool) {
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		if d := int64(s[i] - '0'); n > (math.MaxInt64-d)/10 {
			n = math.MaxInt64
		} else {
			n = n*10 + d
		}
	}
	return n, s != ""
}

func overlaps(parts []Part, p Part) bool {
	for _, q := range parts {
		if p.Start < q.Start+q.Length && q.Start < p.Start+p.Length {
			return true
		}
	}
	return false
}

// ifRange reports whether the request has no If-Range, or one that holds (RFC 9110 §13.1.5): the same strong
// entity tag, or the exact Last-Modified if that is strong, being at least a second older than Date
// (§8.8.2.2).
func ifRange(reqHeader http.Header, resp *Response) bool {
	lines, ok := reqHeader["If-Range"]
	if !ok {
		return true
	}
	if len(lines) != 1 {
		return false
	}
	v := trim(lines[0])
	if tag, _ := cutETag(v); tag != "" {
		return tag == v && sameStrongly(tag, resp.etag)
	}
	t, _ := parseDate(v, resp.Received)
	return !resp.lastModified.IsZero() && t.Equal(resp.lastModified) && resp.date.Sub(resp.lastModified) >= time.Second
}
