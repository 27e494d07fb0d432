package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/larder-go/larder"
)

// ofConnection reports whether a field concerns one connection and not the message (RFC 9110 §7.6.1), whether Connection names it or
// not.
func ofConnection(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Authentication-Info", "Te",
		"Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings":
		return true
	}
	return false
}

// ofIdentity reports whether a field is one in which a proxy tells of its client, or by which a request names another target than
// its own. A client might tell lies in them, and one that the origin believes would be stored for others to get. CGI, and what follows it,
// makes "_" of all that is neither letter nor digit, so that X_Forwarded.Host is X-Forwarded-Host to it.
func ofIdentity(name string) bool {
	if name == "" || !strings.ContainsRune("FfTtXx", rune(name[0])) { // none of them begins so; this is asked of each field of each request
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

// outgoing returns the request to the origin.
func (p *Proxy) outgoing(ctx context.Context, r *http.Request, o *Origin, body *requestBody) *http.Request {
	h := make(http.Header, len(r.Header)+2)
	copyMessage(h, r.Header)
	for name := range h {
		if ofIdentity(name) {
			delete(h, name)
		}
	}
	if protocol := upgrade(r); protocol != "" {
		h.Set("Connection", "Upgrade")
		h.Set("Upgrade", protocol)
	}
	if hasToken(r.Header["Te"], "trailers") {
		h.Set("Te", "trailers")
	}
	if r.Method == http.MethodOptions {
		if n := maxForwards(r); n > 0 {
			h.Set("Max-Forwards", strconv.Itoa(n-1))
		}
	}
	if h["User-Agent"] == nil {
		h["User-Agent"] = []string{""} // else net/http would send one of its own
	}
	p.addVia(h, r.ProtoMajor, r.ProtoMinor)
	if p.Forwarded {
		forwarded(h, r)
	}
	out := &http.Request{Method: r.Method, URL: o.target(r.URL), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Host: o.URL.Host, ContentLength: r.ContentLength}
	if p.PreserveHost && r.Host != "" {
		out.Host = r.Host
	}
	if body.rc != nil {
		out.Body = body
		if len(r.Trailer) > 0 {
			out.ContentLength = -1 // which leaves room for them
			out.Trailer = make(http.Header, len(r.Trailer))
			for name := range r.Trailer {
				out.Trailer[name] = nil
			}
			body.trailer = out.Trailer
		}
		if incremental(r.Header) { // a body that is part of the key would be read to its end first
			ctx = larder.WithMode(ctx, larder.Bypass)
		}
	}
	return out.WithContext(ctx)
}

// upgrade returns the protocol that the client wants to change to; "": none that is passed on. HTTP/2 and TLS would be spoken
// past the proxy; in HTTP/1.0 the field means nothing (RFC 9110 §7.8).
func upgrade(r *http.Request) string {
	protocol := r.Header.Get("Upgrade")
	if protocol == "" || r.ProtoMajor != 1 || r.ProtoMinor == 0 || !hasToken(r.Header["Connection"], "upgrade") {
		return ""
	}
	for name := range strings.SplitSeq(strings.ToLower(protocol), ",") {
		name, _, _ = strings.Cut(strings.TrimSpace(name), "/")
		if name == "h2c" || name == "h2" || name == "http" || name == "tls" {
			return ""
		}
	}
	return protocol
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

// maxForwards returns how often an OPTIONS may still be passed on; -1: as often as need be.
func maxForwards(r *http.Request) int {
	n, err := strconv.ParseUint(strings.TrimSpace(r.Header.Get("Max-Forwards")), 10, 31)
	if err != nil {
		return -1
	}
	return int(n)
}

// addVia says in h that the message has come by here, as one of that version of HTTP.
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

// loops reports whether the request has passed this very proxy before.
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

func forwarded(h http.Header, r *http.Request) {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	client := "unknown"
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		client = host
		h.Set("X-Forwarded-For", client)
	}
	if strings.Contains(client, ":") {
		client = `"[` + client + `]"`
	}
	h.Set("X-Forwarded-Proto", scheme)
	member := "for=" + client + ";proto=" + scheme
	if r.Host != "" {
		h.Set("X-Forwarded-Host", r.Host)
		member += ";host=" + quoted(r.Host)
	}
	h.Set("Forwarded", member)
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

// requestBody is the client's body on its way to the origin, within the proxy's limits. It can be closed while it is
// being read.
type requestBody struct {
	rc      io.ReadCloser // nil: none
	c       *http.ResponseController
	r       *http.Request
	trailer http.Header // to be filled in at the end; nil: none
	limit   int64       // 0: none
	stall   time.Duration
	proceed func() // before it is first read; nil: nothing
	read    int64
	err     atomic.Pointer[error] // what the client did wrong
	ended   atomic.Bool
	closed  atomic.Bool
}

func (p *Proxy) requestBody(r *http.Request, c *http.ResponseController) *requestBody {
	b := &requestBody{c: c, r: r, limit: p.MaxBody, stall: p.stallTimeout()}
	if r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0 {
		b.rc = r.Body
	}
	return b
}

// tooLong reports a body that is announced as longer than the proxy takes.
func (p *Proxy) tooLong(r *http.Request) *Fault {
	if p.MaxBody > 0 && r.ContentLength > p.MaxBody {
		return refusal(http.StatusRequestEntityTooLarge, "the request's body is longer than this proxy takes")
	}
	return nil
}

var (
	errTooLong = errors.New("the request's body is longer than MaxBody")
	errHandled = errors.New("the request has been answered")
)

func (b *requestBody) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, errHandled
	}
	if b.proceed != nil {
		b.proceed()
		b.proceed = nil
	}
	b.c.SetReadDeadline(time.Now().Add(b.stall))
	n, err := b.rc.Read(p)
	b.read += int64(n)
	if b.limit > 0 && b.read > b.limit {
		n, err = 0, errTooLong
	}
	if err != nil {
		b.ended.Store(true)
		b.c.SetReadDeadline(time.Time{}) // it is over, and the server goes on to watch whether the client leaves
	}
	switch {
	case err == io.EOF && b.trailer != nil:
		for name, values := range b.r.Trailer {
			if _, announced := b.trailer[name]; announced {
				b.trailer[name] = values
			}
		}
	case err != nil && err != io.EOF && !b.closed.Load():
		err = fmt.Errorf("read the request's body: %w", err)
		b.err.Store(&err)
	}
	return n, err
}

// lingerTime is for the rest of a request's body after the response.
const lingerTime = 5 * time.Second

// Close ends the reading. The client's body is the server's to close.
func (b *requestBody) Close() error {
	if !b.closed.Swap(true) && b.rc != nil && !b.ended.Load() {
		b.c.SetReadDeadline(time.Now().Add(lingerTime))
	}
	return nil
}
