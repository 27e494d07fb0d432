package model

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// This file is about parts: the ranges that callers ask for, and what is kept of a body that broke off (RFC 9111 §3.3, §3.4). The
// origin answers with a part only if it is asked for the rest of one; so what is kept in part are beginnings.

// span is a range of bytes.
type span struct{ start, end int }

func (s span) of(size int) string { return fmt.Sprintf("bytes %d-%d/%d", s.start, s.end-1, size) }

// rangeOf returns what of k, a stored response, a request is answered with, and with which status: 200 for all of it (RFC 9110 §14.2).
func rangeOf(q *request, k *kept) (span, int) {
	whole := span{0, k.size}
	if q.ranges == "" || q.method != http.MethodGet || k.status != http.StatusOK {
		return whole, http.StatusOK
	}
	if q.ifRange != "" && !(isStrong(q.ifRange) && q.ifRange == k.etag()) {
		return whole, http.StatusOK
	}
	first, last, _ := strings.Cut(strings.TrimPrefix(q.ranges, "bytes="), "-")
	from, _ := strconv.Atoi(first)
	to, err := strconv.Atoi(last)
	switch {
	case first == "":
		return span{k.size - min(to, k.size), k.size}, http.StatusPartialContent
	case from >= k.size:
		return span{}, http.StatusRequestedRangeNotSatisfiable
	case err != nil:
		return span{from, k.size}, http.StatusPartialContent
	}
	return span{from, min(to+1, k.size)}, http.StatusPartialContent
}

// wanted is what of k a request wants, which may be nothing.
func wanted(q *request, k *kept) span {
	s, _ := rangeOf(q, k)
	return s
}

// has reports whether k has all of it.
func (k *kept) has(s span) bool { return s.end <= len(k.body) || s.start == s.end }

// strongValidator is what tells that bytes are of the same representation (RFC 9110 §8.8): a strong tag, or, without a tag, a
// Last-Modified that is older than Date.
func (k *kept) strongValidator() string {
	modified, err := http.ParseTime(k.lastModified())
	switch {
	case isStrong(k.etag()):
		return k.etag()
	case k.etag() == "" && err == nil && k.date().Sub(modified) >= time.Second:
		return k.lastModified()
	}
	return ""
}

// beginning returns what is to be kept of k, whose body broke off; nil: nothing.
func (k *kept) beginning(x exchange) *kept {
	n := x.came()
	if !x.sized || n == 0 || k.status != http.StatusOK || k.method != http.MethodGet || k.strongValidator() == "" {
		return nil
	}
	b := *k
	b.status, b.body = http.StatusPartialContent, k.body[:n]
	b.header = k.header.Clone()
	b.header.Set("Content-Range", span{0, n}.of(k.size))
	b.header.Set("Content-Length", strconv.Itoa(n))
	return &b
}

// keepPart keeps a part in place of those that the same request selects, unless they have more of the same.
func (m *ideal) keepPart(q *request, r *kept) {
	for _, old := range m.of(q.path, q) {
		more := old.strongValidator() == r.strongValidator() && len(old.body) > len(r.body)
		if old.isFor(q.header()) && old.status == http.StatusPartialContent && !more {
			m.gone[old] = fmt.Sprintf("replaced by the beginning of answer %d", r.number)
		}
	}
	m.all = append(m.all, r)
}

// assemblies returns what the parts among all come to: one response for each representation.
func (m *ideal) assemblies(all []*kept) (out []*kept) {
	parts := where(all, func(k *kept) bool { return k.status == http.StatusPartialContent })
	for len(parts) > 0 {
		newest := m.latest(parts)
		same := func(k *kept) bool {
			return k == newest || k.strongValidator() != "" && k.strongValidator() == newest.strongValidator() && k.size == newest.size &&
				maps.Equal(k.selecting, newest.selecting)
		}
		older := where(parts, func(k *kept) bool { return same(k) && k != newest })
		slices.SortStableFunc(older, func(a, b *kept) int { return a.gotAt.Compare(b.gotAt) })
		out = append(out, assembled(append(older, newest)))
		parts = slices.DeleteFunc(parts, same)
	}
	return out
}

// latest returns the one that came last.
func (m *ideal) latest(all []*kept) *kept {
	return m.among(where(all, func(k *kept) bool {
		return !slices.ContainsFunc(all, func(o *kept) bool { return o.gotAt.After(k.gotAt) })
	}))
}

// assembled returns the response that parts of the same representation, the newest last, come to: with the header of that, and what only
// older ones say.
func assembled(parts []*kept) *kept {
	k := *parts[len(parts)-1]
	k.status, k.parts, k.header = http.StatusOK, parts, http.Header{}
	for _, part := range parts {
		k.header.Del("Age")
		maps.Copy(k.header, part.header)
		if len(part.body) > len(k.body) {
			k.body = part.body
		}
	}
	k.header.Del("Content-Range")
	k.header.Set("Content-Length", strconv.Itoa(k.size))
	return &k
}

// completion returns the fields that ask for the rest of what is stored in part (RFC 9111 §3.4); nil: it is of no use.
func completion(q *request, found view) http.Header {
	k := found.incomplete
	if k == nil || q.method != http.MethodGet || q.noneMatch != "" || q.since != "" || found.selected != nil && !k.gotAt.After(found.selected.gotAt) {
		return nil
	}
	s := wanted(q, k)
	if s.start >= len(k.body) || k.strongValidator() == "" {
		return nil
	}
	rest := fmt.Sprintf("bytes=%d-", len(k.body))
	if s.end < k.size {
		rest += strconv.Itoa(s.end - 1)
	}
	return http.Header{"Range": {rest}, "If-Range": {k.strongValidator()}}
}

// isCompletedBy reports whether x brings the rest of k.
func (k *kept) isCompletedBy(x exchange) bool {
	r := kept{header: x.header, gotAt: x.answered}
	return x.header.Get("Content-Range") == span{len(k.body), k.size}.of(k.size) && r.strongValidator() == k.strongValidator()
}

// completed returns x as if the origin had sent the whole.
func (k *kept) completed(x exchange) exchange {
	h := k.header.Clone()
	h.Del("Age")
	h.Del("Date")
	said := withoutWhatIsNotStored(x.header, false)
	said.Del("Content-Range")
	maps.Copy(h, said)
	h.Set("Content-Length", strconv.Itoa(k.size))
	leaveOut(h, h, false)
	x.breaksAt += len(k.body)
	x.status, x.sized, x.header, x.body = http.StatusOK, true, h, slices.Concat(k.body, x.body)
	return x
}

// came returns how much of the body came.
func (x *exchange) came() int {
	if x.cut {
		return x.breaksAt
	}
	return len(x.body)
}
