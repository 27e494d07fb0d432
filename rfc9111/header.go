package rfc9111

import (
	"net/http"
	"net/textproto"
	"slices"
)

// hopByHop reports whether a field is for one connection or one proxy, and so never stored (RFC 9111 §3.1).
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization",
		"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// listed are the fields that Connection lists, which makes them hop-by-hop.
type listed map[string]struct{}

// listed returns the fields that h's Connection lists, except those that must not be listed because the recipient needs
// them, such as Cache-Control (RFC 9110 §7.6.1).
func (p Policy) listed(h http.Header) (l listed) {
	for m := range members(h["Connection"]) {
		if name := textproto.CanonicalMIMEHeaderKey(m); !essential(name) && !slices.Contains(p.Targeted, name) {
			if l == nil {
				l = make(listed)
			}
			l[name] = struct{}{}
		}
	}
	return l
}

// endToEnd reports whether a field is not hop-by-hop.
func (l listed) endToEnd(name string) bool {
	_, ok := l[name]
	return !ok && !hopByHop(name)
}

// StoredHeader returns a copy of a response's header without the fields that must not be stored (RFC 9111
// §3.1): the hop-by-hop ones, those that Connection lists, and those that a no-cache with field names lists,
// in a shared cache also a private one.
func (p Policy) StoredHeader(h http.Header) http.Header {
	out := make(http.Header, len(h))
	all := make([]string, 0, len(h)) // one array for the values of all fields, as a rule
	listed := p.listed(h)
	for name, vv := range h {
		if !listed.endToEnd(name) {
			continue
		}
		n := len(all)
		all = append(all, vv...)
		out[name] = all[n:len(all):len(all)]
		if vv == nil {
			out[name] = nil
		}
	}
	p.leaveOut(out, out)
	return out
}

// leaveOut removes from h the fields that the directives of Cache-Control or a targeted field in said forbid storing.
func (p Policy) leaveOut(h, said http.Header) {
	cc, _ := governing(said, p.Targeted)
	p.remove(h, cc.noCacheFields)
	if p.Shared {
		p.remove(h, cc.privateFields)
	}
}

func (p Policy) remove(h http.Header, names []string) {
	for _, name := range names {
		if !slices.Contains(p.Targeted, name) {
			delete(h, name)
		}
	}
}

// describesContent are the fields that say how the stored bytes are to be read. A 304 or HEAD response does
// not bring other bytes, so it does not replace these (RFC 9111 §3.2; for Content-Digest, RFC 9530 §2).
var describesContent = []string{"Content-Length", "Content-Encoding", "Content-Range", "Content-Digest"}

// Withheld returns the fields of a 304, or of a 206 that completes a stored response, that are not in the header that
// Freshen has made or in what is stored of it: only the caller whose request it answers gets them. It returns nil if
// there are none.
func (p Policy) Withheld(freshened, said http.Header) (out http.Header) {
	listed := p.listed(said)
	for name, vv := range said {
		switch {
		case name == "Etag", slices.Equal(freshened[name], vv): // an ETag may stay weak
		case !listed.endToEnd(name), slices.Contains(describesContent, name):
		default:
			if out == nil {
				out = make(http.Header)
			}
			out[name] = slices.Clone(vv)
		}
	}
	return out
}

// Freshen returns the new header of a stored response that a 304, or the response to a HEAD, has renewed (RFC 9111
// §3.2). The fields of fresh replace the stored ones, except those that describe the stored content. The stored Age and
// Date are always dropped: they tell the age of the old message. A stored weak ETag stays weak, so that the stored
// bytes are not joined with others. What must not be stored is left out, as by StoredHeader. The slices of values are
// shared with the arguments, which are not changed.
func (p Policy) Freshen(stored, fresh http.Header) http.Header {
	out := make(http.Header, max(len(stored), len(fresh)))
	listed := p.listed(stored)
	for name, vv := range stored {
		if name != "Age" && name != "Date" && listed.endToEnd(name) {
			out[name] = vv
		}
	}
	listed = p.listed(fresh)
	tag := etagField(stored)
	staysWeak := isWeak(tag) && sameWeakly(tag, etagField(fresh))
	for name, vv := range fresh {
		switch {
		case !listed.endToEnd(name), slices.Contains(describesContent, name):
		case name == "Etag" && staysWeak:
		default:
			out[name] = vv
		}
	}
	p.leaveOut(out, out)
	if len(p.Targeted) > 0 { // a stored targeted field may hide what the new Cache-Control says of what came with it
		p.leaveOut(out, fresh)
	}
	return out
}
