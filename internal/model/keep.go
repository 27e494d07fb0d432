package model

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
)

// download keeps r if its body comes to its end, or what came of it; not if nobody reads it and it may be long.
func (m *ideal) download(q *request, r *kept, x exchange, unread bool) {
	switch {
	case unread && len(x.body) > 0 && (!x.sized || len(x.body) > 64<<10):
	case x.cut:
		if begun := r.beginning(x); begun != nil {
			m.keepPart(q, begun)
		}
	case r.status == http.StatusPartialContent:
		m.keepPart(q, r)
	default:
		m.keep(q, r)
	}
}

// keep keeps r in place of what the same request selects; a HEAD never in place of a GET.
func (m *ideal) keep(q *request, r *kept) {
	for _, old := range m.of(q.path, q) {
		if old.isFor(q.header()) && (r.method == old.method || r.method == http.MethodGet) {
			m.gone[old] = fmt.Sprintf("replaced by answer %d", r.number)
		}
	}
	m.all = append(m.all, r)
}

// renew lets x renew what it says, and returns that of k, or else one of them.
func (m *ideal) renew(q *request, k *kept, old []*kept, x exchange) (answer *kept) {
	var fresh []*kept
	for _, o := range old {
		n := m.freshened(q, o, x)
		m.replace(q, o, n)
		fresh = append(fresh, n)
	}
	if i := slices.Index(old, k); i >= 0 {
		return fresh[i]
	}
	return m.among(fresh)
}

// replace puts a renewed response in the place of the old one, which goes if the new header does not let it be kept. If
// it is the request alone that does not, the old one stays as it is.
func (m *ideal) replace(q *request, old, fresh *kept) {
	h := q.header()
	if parse(h["Cache-Control"]).has("no-store") {
		return
	}
	for i, part := range old.parts {
		m.replace(q, part, fresh.parts[i])
	}
	if old.parts != nil {
		return
	}
	allowed := fresh.mayKeep(h)
	if !allowed && fresh.mayKeepForOthers(h) {
		return
	}
	m.gone[old] = fmt.Sprintf("renewed by answer %s", fresh.header.Get("X-Answer"))
	if allowed {
		m.all = append(m.all, fresh)
	}
}

// freshened returns old with the header of an answer that says that it still holds (RFC 9111 §3.2).
func (m *ideal) freshened(q *request, old *kept, x exchange) *kept {
	if old.parts != nil {
		var fresh []*kept
		for _, part := range old.parts {
			fresh = append(fresh, m.freshened(q, part, x))
		}
		return assembled(fresh)
	}
	n := *old
	n.sentAt, n.gotAt = x.sentAt, x.answered
	n.header = old.header.Clone()
	n.header.Del("Age")
	n.header.Del("Date")
	said := withoutWhatIsNotStored(x.header, m.shared)
	said.Del("Content-Length")
	said.Del("Content-Range")
	if !isStrong(old.etag()) && weaklySame(old.etag(), said.Get("Etag")) {
		said.Del("Etag")
	}
	maps.Copy(n.header, said)
	leaveOut(n.header, n.header, m.shared)
	leaveOut(n.header, x.header, m.shared)
	if old.isFor(q.header()) {
		n.selecting = selectingOf(n.header, q.header())
	}
	n.setDate()
	return &n
}

// byHead lets a 200 to HEAD renew or outdate the stored GETs that the same request selects (RFC 9111 §4.3.5).
func (m *ideal) byHead(q *request, found view, head *kept) {
	all := found.wholes
	if found.incomplete != nil {
		all = append(slices.Clone(all), found.incomplete)
	}
	for _, k := range all {
		if k.method != http.MethodGet || k.status != http.StatusOK || !k.isFor(q.header()) {
			continue
		}
		tagged, dated := head.etag() != "", head.header["Last-Modified"] != nil
		length, known := head.header.Get("Content-Length"), k.header.Get("Content-Length")
		if tagged && !weaklySame(head.etag(), k.etag()) || dated && !sameDate(head.lastModified(), k.lastModified()) ||
			length != "" && length != known && (known != "" || !tagged && !dated) {
			for _, part := range append(k.parts, k) {
				m.gone[part] = fmt.Sprintf("outdated by answer %d to HEAD", head.number)
			}
			continue
		}
		m.replace(q, k, m.freshened(q, k, exchange{header: head.header, sentAt: head.sentAt, answered: head.gotAt}))
	}
}
