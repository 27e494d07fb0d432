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

// This file is about parts: the ranges that callers ask for, the partial answers of the origin, and what is kept of a
// body that broke off (RFC 9111 §3.3, §3.4). It goes byte by byte.

// span is a range of bytes.
type span struct{ start, end int }

func (s span) of(size int) string { return fmt.Sprintf("bytes %d-%d/%d", s.start, s.end-1, size) }

// spanOf returns what a Range field means for so many bytes, and with which status that is answered (RFC 9110 §14.2).
func spanOf(value string, size int) (span, int) {
	first, last, _ := strings.Cut(strings.TrimPrefix(value, "bytes="), "-")
	from, _ := strconv.Atoi(first)
	to, err := strconv.Atoi(last)
	switch {
	case value == "":
		return span{0, size}, http.StatusOK
	case first == "":
		return span{size - min(to, size), size}, http.StatusPartialContent
	case from >= size:
		return span{}, http.StatusRequestedRangeNotSatisfiable
	case err != nil:
		return span{from, size}, http.StatusPartialContent
	}
	return span{from, min(to+1, size)}, http.StatusPartialContent
}

// rangeOf returns what of k, a stored response, a request is answered with, and with which status; 200: all of it.
func rangeOf(q *request, k *kept) (span, int) {
	holds := q.ifRange == "" || isStrong(q.ifRange) && q.ifRange == k.etag()
	if q.method != http.MethodGet || k.status != http.StatusOK || !holds {
		return spanOf("", k.size)
	}
	return spanOf(q.ranges, k.size)
}

// wanted is what of k a request wants, which may be nothing.
func wanted(q *request, k *kept) span {
	s, _ := rangeOf(q, k)
	return s
}

// byteAt returns the byte of the representation at i, if k has it.
func (k *kept) byteAt(i int) (byte, bool) {
	for _, part := range k.parts {
		if b, ok := part.byteAt(i); ok {
			return b, true
		}
	}
	if k.parts != nil || i < k.at || i >= k.at+len(k.body) {
		return 0, false
	}
	return k.body[i-k.at], true
}

// bytes returns those of s, all of which k has.
func (k *kept) bytes(s span) (out []byte) {
	for i := s.start; i < s.end; i++ {
		b, _ := k.byteAt(i)
		out = append(out, b)
	}
	return out
}

// missing returns the shortest span that has all the bytes of s that k has not.
func (k *kept) missing(s span) span {
	lacks := func(i int) bool { _, ok := k.byteAt(i); return !ok }
	for s.start < s.end && !lacks(s.start) {
		s.start++
	}
	for s.start < s.end && !lacks(s.end-1) {
		s.end--
	}
	return s
}

func (k *kept) has(s span) bool { m := k.missing(s); return m.start >= m.end }

// strongValidator is what tells that bytes are of the same representation (RFC 9110 §8.8): a strong tag, or, without a
// tag, a Last-Modified that is older than Date.
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

// sameRepresentation reports whether bytes of both may be put together.
func sameRepresentation(a, b *kept) bool {
	return a.strongValidator() != "" && a.strongValidator() == b.strongValidator()
}

// beginning returns what is to be kept of k, whose body broke off; nil: nothing.
func (k *kept) beginning(x exchange) *kept {
	n := x.breaksAt
	known := k.status == http.StatusPartialContent || k.status == http.StatusOK && x.sized // what it is the beginning of
	if n == 0 || !known || k.method != http.MethodGet || k.strongValidator() == "" {
		return nil
	}
	b := *k
	b.status, b.body = http.StatusPartialContent, k.body[:n]
	b.header = k.header.Clone()
	b.header.Set("Content-Range", span{k.at, k.at + n}.of(k.size))
	b.header.Set("Content-Length", strconv.Itoa(n))
	return &b
}

// keepPart keeps a part in place of those that the same request selects, unless they have some more of the same.
func (m *ideal) keepPart(q *request, r *kept) {
	for _, old := range m.of(q.path, q) {
		more := sameRepresentation(old, r) && !r.has(span{old.at, old.at + len(old.body)})
		if old.isFor(q.header()) && old.status == http.StatusPartialContent && !more {
			m.gone[old] = fmt.Sprintf("replaced by a part of answer %d", r.number)
		}
	}
	m.all = append(m.all, r)
}

// byPart lets a part renew the whole that it is of (RFC 9111 §3.4), and reports whether that is there, so that the part
// need not be kept.
func (m *ideal) byPart(q *request, found view, part *kept) (wholeIsThere bool) {
	for _, k := range found.all {
		if k.status != http.StatusOK || !sameRepresentation(k, part) {
			continue
		}
		wholeIsThere = wholeIsThere || k.method == http.MethodGet && maps.Equal(k.selecting, part.selecting)
		if k.isFor(q.header()) {
			m.replace(q, k, m.freshened(q, k, exchange{header: part.header, sentAt: part.sentAt, answered: part.gotAt}))
		}
	}
	return wholeIsThere
}

// assemblies returns what the parts among all come to: one response for each representation.
func (m *ideal) assemblies(all []*kept) (out []*kept) {
	parts := where(all, func(k *kept) bool { return k.status == http.StatusPartialContent })
	for len(parts) > 0 {
		newest := m.latest(parts)
		same := func(k *kept) bool {
			return k == newest || sameRepresentation(k, newest) && k.size == newest.size && maps.Equal(k.selecting, newest.selecting)
		}
		older := where(parts, func(k *kept) bool { return same(k) && k != newest })
		slices.SortStableFunc(older, func(a, b *kept) int { return a.storedAt.Compare(b.storedAt) })
		out = append(out, assembled(append(older, newest)))
		parts = slices.DeleteFunc(parts, same)
	}
	return out
}

// latest returns the one that was stored last.
func (m *ideal) latest(all []*kept) *kept {
	return m.among(where(all, func(k *kept) bool {
		return !slices.ContainsFunc(all, func(o *kept) bool { return o.storedAt.After(k.storedAt) })
	}))
}

// assembled returns the response that parts of the same representation, the newest last, come to: with the header of
// that, and what only older ones say.
func assembled(parts []*kept) *kept {
	k := *parts[len(parts)-1]
	k.status, k.parts, k.header, k.at, k.body = http.StatusOK, parts, http.Header{}, 0, nil
	for _, part := range parts {
		k.header.Del("Age")
		maps.Copy(k.header, part.header)
	}
	k.header.Del("Content-Range")
	k.header.Set("Content-Length", strconv.Itoa(k.size))
	return &k
}

// completion returns the fields that ask for the rest of what is stored in part (RFC 9111 §3.4); nil: it is of no use.
func completion(q *request, found view) http.Header {
	k := found.incomplete
	if k == nil || q.method != http.MethodGet || q.noneMatch != "" || q.since != "" {
		return nil
	}
	if found.selected != nil && !k.gotAt.After(found.selected.gotAt) { // that is rather validated
		return nil
	}
	s := wanted(q, k)
	rest := k.missing(s)
	if rest == s || k.strongValidator() == "" {
		return nil
	}
	field := fmt.Sprintf("bytes=%d-", rest.start)
	if rest.end < k.size {
		field += strconv.Itoa(rest.end - 1)
	}
	return http.Header{"Range": {field}, "If-Range": {k.strongValidator()}}
}

// isCompletedBy reports whether x brings what k lacks of s.
func (k *kept) isCompletedBy(x exchange, s span) bool {
	r := kept{header: x.header, gotAt: x.answered}
	return x.header.Get("Content-Range") == k.missing(s).of(k.size) && sameRepresentation(k, &r)
}

// completed returns x as if the origin had sent all of s.
func (k *kept) completed(x exchange, s span) exchange {
	rest := k.missing(s)
	h := k.header.Clone()
	h.Del("Age")
	h.Del("Date")
	said := withoutWhatIsNotStored(x.header, k.shared)
	said.Del("Content-Range")
	maps.Copy(h, said)
	leaveOut(h, h, k.shared)
	leaveOut(h, x.header, k.shared)
	x.told = http.Header{}
	tell(x.told, h, x.header)
	maps.Copy(h, x.told)
	x.status = http.StatusOK
	if s != (span{0, k.size}) {
		x.status = http.StatusPartialContent
		h.Set("Content-Range", s.of(k.size))
	}
	before := span{s.start, rest.start}
	x.breaksAt += before.end - before.start
	x.body = slices.Concat(k.bytes(before), x.body, k.bytes(span{rest.end, s.end}))
	h.Set("Content-Length", strconv.Itoa(len(x.body)))
	x.sized, x.header = true, h
	return x
}
