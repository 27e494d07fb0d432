package proxy_test

import (
	"fmt"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
)

// toOrigin returns what the origin has to hear through the proxy, where it hears h without.
func (w way) toOrigin(h heard) heard {
	method, target, _ := strings.Cut(h.start, " ")
	h.start, h.host = method+" "+escaped(target), w.host
	h.pragma(w.from)
	te, announced := h.take("te"), strings.ToLower(strings.Join(h.values("trailer"), ","))
	h.withoutConnection(h.values("connection"))
	if strings.Contains(strings.Join(te, ","), "trailers") { // (RFC 9110 §10.1.4)
		h.add("te", "trailers")
	}
	if w.from != "2.0" {
		h.trailers = slices.DeleteFunc(h.trailers, func(field string) bool { return !strings.Contains(announced, nameOf(field)) })
	}
	for _, name := range []string{"forwarded", "x-forwarded-for", "x_real.ip"} { // a client may lie in them
		h.take(name)
	}
	h.fields = append(h.fields, w.tells...)
	h.add("via", w.from+" me") // (RFC 9110 §7.6.3)
	if method == "OPTIONS" && h.take("max-forwards") != nil {
		h.add("max-forwards", "4") // (RFC 9110 §7.6.2)
	}
	if agents := h.take("user-agent"); agents != nil && agents[0] != "" { // net/http sends one, if it is not empty
		h.add("user-agent", agents[0])
	}
	return h
}

// escaped returns a target with what may stand in no URL escaped in its path (RFC 3986 §3.3).
func escaped(target string) string {
	path, query, _ := strings.Cut(target, "?")
	var b strings.Builder
	for _, c := range []byte(path) {
		if c >= 0x7f || strings.IndexByte(`"#<>\^`+"`{|}", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String() + target[len(path):len(target)-len(query)] + query
}

// alike returns what the origin hears, without what another version of HTTP says otherwise.
func (w way) alike(s *script, h heard) heard {
	h.take("connection")
	h.take("trailer")
	if h.length == "0" { // as if there were none (RFC 9112 §6.3)
		h.length = ""
	}
	if w.from != "1.1" || w.to != "1.1" { // it means nothing in HTTP/1.0 (RFC 9110 §10.1.1), and in HTTP/2 net/http keeps it to itself
		h.take("expect")
	}
	if cookies := h.values("cookie"); len(cookies) > 1 && (w.from == "2.0" || w.to == "2.0") { // a line for all, or one for each (RFC 9113 §8.2.3)
		h.take("cookie")
		h.add("cookie", strings.Join(cookies, "; "))
	}
	if s.early { // then it is uncertain what comes of it
		h.body, h.broken, h.trailers = "", false, nil
	}
	return h
}

// toClient returns what the client has to get through the proxy, where it gets r without. What a cache alone knows, and
// what may be added or not, is as in got.
func (w way) toClient(s *script, r reply, got heard, hit bool) reply {
	if r = w.received(r); hit {
		r.interim = nil
	}
	h := &r.answer
	h.pragma(w.to)
	var listed []string
	via := w.to
	if w.to == "1.1" {
		for _, field := range s.answer.fields {
			if value, ok := strings.CutPrefix(field, "Connection: "); ok {
				listed = append(listed, value)
			}
		}
		if s.old {
			via = "1.0"
		}
	}
	h.withoutConnection(listed)
	h.take("alt-svc")       // it is about the origin's address
	h.add("via", via+" me") // (RFC 9110 §7.6.3)
	switch {
	case h.start == "204": // (RFC 9110 §8.6)
		h.length = ""
	case h.start == "304" && w.from != "2.0": // net/http leaves them out (RFC 9110 §15.4.5)
		h.take("content-type")
		h.length = ""
	}
	if date := got.values("date"); h.values("date") == nil && len(date) == 1 {
		h.add("date", date...) // (RFC 9110 §6.6.1)
	}
	if age := got.values("age"); hit && len(age) == 1 {
		h.take("age")
		h.add("age", age...) // (RFC 9111 §5.1)
	}
	if hit && slices.Contains(h.values("cache-control"), `no-cache="X-One"`) && !s.has("cdn-cache-control") {
		h.take("x-one") // (RFC 9111 §5.2.2.4, RFC 9213 §2.2)
	}
	if hit && strings.HasPrefix(s.request.start, "HEAD ") && len(got.values("content-digest")) == 0 {
		h.take("content-digest") // that of another content (RFC 9530 §2)
	}
	switch {
	case h.length == "" && got.length == strconv.Itoa(len(s.answer.body)): // it is known by now (RFC 9110 §8.6)
		h.length = got.length
	case got.length == "" && s.has("trailer"): // which leaves room for trailers in HTTP/1.1 (RFC 9112 §7.1.2)
		h.length = ""
	}
	return r
}

// received returns r without what is between the client and the next server.
func (w way) received(r reply) reply {
	r.interim = slices.DeleteFunc(slices.Clone(r.interim), func(m string) bool { return m == "100" }) // (RFC 9110 §10.1.1)
	r.answer.take("connection")
	r.answer.take("trailer")
	return r
}

// mayReset reports whether the end of the connection may take along what has been sent: where it shows that the response
// is not whole, or where the client goes on to send, and the end of that cannot be waited for, since the client could not
// tell the end of the response (RFC 9112 §9.6).
func (w way) mayReset(s *script) bool {
	closes := w.from == "1.0" || w.from == "1.1" && slices.Contains(s.request.fields, "Connection: close")
	return w.from == "1.0" && s.answer.broken || closes && s.early && (s.expect || s.answer.framing != length || s.has("trailer"))
}

// usesStored reports whether a request was sent to validate or to complete what is stored (RFC 9211 §2.2).
func usesStored(status string) bool {
	return strings.Contains(status, "; fwd=stale") || strings.Contains(status, "; fwd=request") || strings.Contains(status, "; fwd=partial")
}

// conditional reports whether the answer to the request depends on what the client has or wants of it.
func (s *script) conditional() bool {
	return slices.ContainsFunc(s.request.fields, func(field string) bool { return nameOf(field) == "Range" || strings.HasPrefix(field, "If-") })
}

// has reports whether the answer has a field.
func (s *script) has(name string) bool {
	return slices.ContainsFunc(s.answer.fields, func(field string) bool { return strings.EqualFold(nameOf(field), name) })
}

// withoutConnection removes the fields of one connection, and those listed (RFC 9110 §7.6.1).
func (h *heard) withoutConnection(listed []string) {
	for name := range strings.SplitSeq(strings.Join(listed, ","), ",") {
		h.take(strings.ToLower(textproto.TrimString(name)))
	}
	for _, name := range []string{"connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer", "upgrade",
		"http2-settings"} {
		h.take(name)
	}
}

// pragma adds to a message in that version of HTTP what net/http takes its Pragma for.
func (h *heard) pragma(version string) {
	if pragma := h.values("pragma"); version != "2.0" && h.values("cache-control") == nil && pragma != nil && pragma[0] == "no-cache" {
		h.add("cache-control", "no-cache")
	}
}
