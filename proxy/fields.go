package proxy

import (
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
)

// ofConnection reports whether a field concerns one connection and not the message (RFC 9110 §7.6.1), whether
// Connection names it or not.
func ofConnection(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Authentication-Info", "Te",
		"Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings":
		return true
	}
	return false
}

// ofIdentity reports whether a proxy would describe its client by the field, or whether a request with that method
// could name another target or method by it. A client can lie in such fields, and the answer of an origin that believes
// it would be stored for others (cache poisoning). CGI and its successors make "_" of all that is neither letter nor
// digit, so that they take X_Forwarded.Host for X-Forwarded-Host.
func ofIdentity(method, name string) bool {
	if name == "" || !strings.ContainsRune("FfTtXx", rune(name[0])) { // the fast path, since this is asked of every field
		return false
	}
	name = textproto.CanonicalMIMEHeaderKey(strings.Map(func(c rune) rune {
		if c < '0' || c > '9' && c < 'A' || c > 'Z' && c < 'a' || c > 'z' {
			return '-'
		}
		return c
	}, name))
	switch name {
	case "Forwarded", "X-Real-Ip", "X-Client-Ip", "True-Client-Ip", "X-Original-Url", "X-Rewrite-Url", "X-Original-Host", "X-Host", "X-Forwarded":
		return true
	case "X-Http-Method-Override", "X-Http-Method", "X-Method-Override":
		return method != http.MethodPost // common in POST, which answers a GET only by a Content-Location that says so
	}
	return strings.HasPrefix(name, "X-Forwarded-")
}

// copyMessage puts the fields of src that do not concern its connection into dst. The values are those of src.
func copyMessage(dst, src http.Header) {
	for name, values := range src {
		if !ofConnection(name) {
			dst[name] = values
		}
	}
	for _, line := range src["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			dst.Del(textproto.TrimString(name))
		}
	}
}

// addVia adds p to the Via field, with the version of HTTP in which the message came.
func (p *Proxy) addVia(h http.Header, major, minor int) {
	v := p.via11
	if major != 1 || minor != 1 {
		if major > 1 {
			minor = 0
		}
		v = strconv.Itoa(major) + "." + strconv.Itoa(minor) + " " + p.via
	}
	h["Via"] = append(slices.Clip(h["Via"]), v)
}

// loops reports whether the request has passed this proxy before.
func (p *Proxy) loops(r *http.Request) bool {
	for _, line := range r.Header["Via"] {
		for member := range strings.SplitSeq(line, ",") {
			if words := strings.Fields(member); len(words) > 1 && words[1] == p.via {
				return true
			}
		}
	}
	return false
}

func hasToken(lines []string, want string) bool {
	for _, line := range lines {
		for s := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(textproto.TrimString(s), want) {
				return true
			}
		}
	}
	return false
}

// incremental reports whether the header says Incremental: ?1 (RFC 10036).
func incremental(h http.Header) bool {
	v, _, _ := strings.Cut(strings.Join(h["Incremental"], ","), ";")
	return strings.TrimSpace(v) == "?1"
}

// quoted returns s as a token or a quoted string (RFC 9110 §5.6).
func quoted(s string) string {
	if token(s) {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func token(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && !('0' <= c && c <= '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}
