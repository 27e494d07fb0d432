package rfc9111

import (
	"maps"
	"net/http"
	"net/textproto"
)

// hopByHop are the fields that belong to one connection, or to one proxy, and are never stored (RFC 9111
// §3.1).
var hopByHop = []string{
	"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization",
	"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// StoredHeader returns a copy of a response's header without the fields that must not be stored (RFC 9111
// §3.1): the hop-by-hop ones, those that Connection lists, and those that a no-cache with field names lists,
// in a shared cache also a private one.
func (p Policy) StoredHeader(h http.Header) http.Header {
	out := h.Clone()
	if out == nil {
		out = http.Header{}
	}
	removeHopByHop(out)
	if lines := h["Cache-Control"]; len(lines) > 0 {
		cc := parseDirectives(lines)
		remove(out, cc.noCacheFields)
		if p.Shared {
			remove(out, cc.privateFields)
		}
	}
	return out
}

// removeHopByHop removes hop-by-hop fields and those listed in Connection. A sender must not list there what the
// recipient needs, such as Cache-Control (RFC 9110 §7.6.1); that stays.
func removeHopByHop(h http.Header) {
	for m := range members(h["Connection"]) {
		if name := textproto.CanonicalMIMEHeaderKey(m); !essential[name] {
			delete(h, name)
		}
	}
	remove(h, hopByHop)
}

func remove(h http.Header, names []string) {
	for _, name := range names {
		delete(h, name)
	}
}

// describesContent are the fields that say how the stored bytes are to be read. A 304 or HEAD response does
// not bring other bytes, so it does not replace these (RFC 9111 §3.2; for Content-Digest, RFC 9530 §2).
var describesContent = []string{"Content-Length", "Content-Encoding", "Content-Range", "Content-Digest"}

// Freshen returns the new header of a stored response that a 304, or the response to a HEAD, has renewed (RFC
// 9111 §3.2). What is in fresh replaces what is stored, except what describes the stored content. The stored
// Age and Date go in any case: they tell the age of the old message. A stored weak ETag stays weak, lest the
// stored bytes be joined with others. fresh's own no-cache and private with field names are left to
// StoredHeader, which also makes a copy of the values: those of the result are the arguments' own, which are not
// changed.
func Freshen(stored, fresh http.Header) http.Header {
	out := maps.Clone(stored)
	if out == nil {
		out = http.Header{}
	}
	removeHopByHop(out)
	remove(out, []string{"Age", "Date"})
	update := maps.Clone(fresh)
	removeHopByHop(update)
	remove(update, describesContent)
	if tag := etagField(stored); tag != "" && sameWeakly(tag, etagField(fresh)) && isWeak(tag) {
		delete(update, "Etag")
	}
	maps.Copy(out, update)
	return out
}
