package proxy

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/larder-go/larder"
)

// outgoing returns the request to the origin.
func (p *Proxy) outgoing(ctx context.Context, r *http.Request, o *Origin, body *requestBody) *http.Request {
	h := make(http.Header, len(r.Header)+2)
	copyMessage(h, r.Header)
	for name := range h {
		if ofIdentity(r.Method, name) {
			delete(h, name)
		}
	}
	if body.rc == nil || !r.ProtoAtLeast(1, 1) { // it means nothing there (RFC 9110 §10.1.1), and the transport would wait for a 100
		delete(h, "Expect")
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
		body.sendWith(out)
		if incremental(r.Header) { // a body that is part of the key would be read to its end first
			ctx = larder.WithMode(ctx, larder.Bypass)
		}
	}
	return out.WithContext(ctx)
}

// upgrade returns the protocol that the client wants to change to; "": none, or none that is passed on. HTTP/2 and TLS
// would bypass the proxy; in HTTP/1.0 the field means nothing (RFC 9110 §7.8).
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

// maxForwards returns how often an OPTIONS may still be passed on; -1: without limit.
func maxForwards(r *http.Request) int {
	n, err := strconv.ParseUint(strings.TrimSpace(r.Header.Get("Max-Forwards")), 10, 31)
	if err != nil {
		return -1
	}
	return int(n)
}

const forwardedHost, forwardedProto = "X-Forwarded-Host", "X-Forwarded-Proto"

// KeyForwarded returns the rules for the Cache of a Proxy with Forwarded: a stored response is then reused only for
// requests with the host and scheme that the origin was told. They are rules, and a last one for all other requests,
// each with X-Forwarded-Host and X-Forwarded-Proto among its KeyHeaders.
func KeyForwarded(rules []larder.Rule) []larder.Rule {
	rules = append(slices.Clone(rules), larder.Rule{})
	for i := range rules {
		rules[i].KeyHeaders = append(slices.Clip(rules[i].KeyHeaders), forwardedHost, forwardedProto)
	}
	return rules
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
	h.Set(forwardedProto, scheme)
	member := "for=" + client + ";proto=" + scheme
	if r.Host != "" {
		h.Set(forwardedHost, r.Host)
		member += ";host=" + quoted(r.Host)
	}
	h.Set("Forwarded", member)
}
