package proxy_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"
)

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func percent(r *rand.Rand, n int) bool { return r.IntN(100) < n }

// upTo picks up to n of from.
func upTo(r *rand.Rand, n int, from []string) (picked []string) {
	for range r.IntN(n + 1) {
		picked = append(picked, pick(r, from...))
	}
	return picked
}

// newScript returns a script whose target has n in it, and nobody else's has.
func newScript(r *rand.Rand, n uint64) *script {
	s := &script{request: message{fields: upTo(r, 6, requestFields)}, answer: message{fields: upTo(r, 8, responseFields())}}
	method := pick(r, "GET", "GET", "GET", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "PROPFIND", "get", "X-own!")
	target := fmt.Sprintf("/%d", n) + strings.Join(upTo(r, 4, pathParts), "")
	if percent(r, 40) {
		target += "?" + strings.Join(upTo(r, 4, queryParts), "")
	}
	s.request.start = method + " " + target
	if percent(r, 5) {
		s.request.fields = append(s.request.fields, "X-Large: "+strings.Repeat("x", 40_000))
	}
	often := 80
	switch method {
	case "GET", "HEAD", "DELETE", "OPTIONS":
		often = 10
	}
	if percent(r, often) {
		s.withBody(r)
	}
	s.old = !s.expect && percent(r, 10)
	for i := r.IntN(10); i > 7 && !s.old; i-- {
		s.interim = append(s.interim, message{start: pick(r, "103 Early Hints", "102 Processing", "199 Own"), fields: upTo(r, 4, interimFields)})
	}
	s.answer.start = pick(r, statuses...)
	if percent(r, 5) {
		s.answer.fields = append(s.answer.fields, "X-Large: "+strings.Repeat("x", 100_000))
	}
	switch s.status() {
	case "204":
		s.answer.framing = pick(r, none, length) // the latter is not allowed (RFC 9110 §8.6), but common
		return s
	case "304":
		if percent(r, 30) {
			s.answer.fields = append(s.answer.fields, "Content-Length: 7") // that of the 200
		}
		return s
	case "205": // nor has it content (RFC 9110 §15.3.6)
	default:
		s.answer.body = body(r)
	}
	s.answer.framing = pick(r, length, length, length, chunked, chunked, toClose)
	if s.answer.framing == chunked {
		s.answer.trailers = upTo(r, 3, trailers)
	}
	if percent(r, 30) {
		s.answer.fields = append(s.answer.fields, pick(r, "Trailer: X-Sum, X-Other", "trailer: x-nothing"))
	}
	if s.old && s.answer.framing == chunked {
		s.answer.framing, s.answer.trailers = toClose, nil
	}
	s.answer.broken = percent(r, 5) && s.answer.body != "" && s.answer.framing != toClose && method != "HEAD"
	return s
}

func (s *script) withBody(r *rand.Rand) {
	m := &s.request
	m.framing, m.body = pick(r, length, chunked), body(r)
	if m.framing == chunked && percent(r, 40) {
		m.fields = append(m.fields, "Trailer: X-Sum, x-other, X-Nothing")
		m.trailers = upTo(r, 3, trailers)
	}
	if m.body == "" {
		return
	}
	s.expect = percent(r, 15)
	switch r.IntN(20) {
	case 0:
		m.broken, s.expect = true, false
	case 1:
		s.early, m.trailers = true, nil // net/http ends the connection when they come by HTTP/2 behind the answer (docs/proxy.md)
	}
}

func body(r *rand.Rand) string {
	b := make([]byte, pick(r, 0, 0, 1, 10, 50, 100, 1000, 3000, 40_000, 200_000))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

var (
	pathParts = []string{"/", "/a", "//", "/.a", "/...", "%2F", "%2f", "%41", "%7E", "%20", "%00", "%C3%A9", "~", "+", ":", "@", ";x=1", "'", "(*)", "!", "$&,=",
		"[]", "|", `"`, "{}", "^", "`", "<>", `\`, "#x", "\xc3\xa9", "\xff"}
	queryParts = []string{"a=b", "&", "=", "?", "/../", ";", "+", "..", "%20", "%41", "%23", "%00", "c=%2", "%zz", "[]", "|", `"`, "{}", `\`, "#y", "\xc3\xa9"}

	statuses = []string{"200 OK", "200 OK", "200 OK", "200 OK", "200 OK", "200 OK", "200 OK", "200", "201 Created", "203 Other", "204 No Content", "205 Reset Content",
		"206 Partial Content", "226 IM Used", "299 Own", "300 Multiple Choices", "301 Moved", "302 Found", "303 See", "304 Not Modified", "307 T", "308 P",
		"400 Bad", "401 Who", "403 No", "404 Not Found", "405 No", "407 Who", "408 Late", "409 C", "410 Gone", "412 F", "416 R", "417 E", "421 M", "425 Early",
		"426 Upgrade", "429 Many", "451 Legal", "499 Own", "500 E", "501 E", "502 E", "503 E", "504 E", "511 E", "599 Own", "600 Own", "999 Own"}

	trailers = []string{"X-Sum: 1", "X-Sum: 2", "X-Other: \xe9", "X-Other:", "X-Unannounced: 1"}

	interimFields = []string{"Link: </a>", "Link: </b>", "X-Odd: \xe9", "X-Empty:"}

	anyFields = []string{"X-One: 1", "X-One: 2", "X-One: 1, 2", "X-Empty:", "X-Odd: \xe9\xff\ta", `X-Quoted: "a, b"`, "x-lower: a", "X_Under: 1", "X.Dot!: 1",
		"Cache-Control:", "Cache-Control: x=\"y\"", "Pragma: no-cache", "Pragma: x", "Content-Type: text/plain", "Content-Type:", "Content-Encoding: gzip",
		"Content-Language: en, de", "Content-Location: /x", "Content-Digest: x=:eA==:", "Content-MD5: x", "Link: </x>", "Via: 1.0 other (comment)", "Warning: 199 - x",
		"Priority: u=1", "Incremental: ?1", "Date: Mon, 02 Jan 2006 15:04:05 GMT", "Status: 5", "Cache-Status: other; hit", "Proxy-Status: other", "Server-Timing: a",
		"Connection: keep-alive", "Connection: close", "Connection: ,", "Connection: X-One, x-lower", "Connection: Set-Cookie, Cookie, Via",
		"Keep-Alive: 5", "Proxy-Connection: x", "Upgrade: websocket"}

	requestFields = append(slices.Clip(anyFields), "Accept: */*", "Accept: text/html;q=0.5", "Accept:", "Accept-Encoding: gzip, br", "Accept-Encoding: identity;q=0",
		"Accept-Encoding:", "Accept-Language: de", "Cache-Control: no-cache", "Cache-Control: no-store", "Cache-Control: max-age=0", "Cache-Control: max-stale",
		"Cache-Control: min-fresh=5", "Cache-Control: no-transform", "Range: bytes=0-3", "Range: bytes=2-,-1", "Range: lines=1-2", `If-None-Match: "x"`,
		"If-None-Match: *", "If-Modified-Since: Mon, 02 Jan 2006 15:04:05 GMT", `If-Match: "x", W/"y"`, "If-Unmodified-Since: Mon, 02 Jan 2006 15:04:05 GMT",
		`If-Range: "x"`, "Cookie: a=b; c=d", "Cookie: e", "Authorization: Basic eA==", "Proxy-Authorization: x", "Referer: http://x/", "Origin: null", "User-Agent: me",
		"User-Agent:", "From: a@b", "Prefer: wait=1", "DNT: 1", "Sec-Fetch-Mode: cors", "Upgrade-Insecure-Requests: 1", "Max-Forwards: 5", "Early-Data: 1",
		"Idempotency-Key: x", "X-Idempotency-Key: x", "Access-Control-Request-Method: GET", "Age: 5", "Vary: x", "Set-Cookie: x", "Server: x", "Location: /x",
		"TE: gzip", "TE: trailers", "Connection: TE", "HTTP2-Settings: x", "Forwarded: for=me", "X-Forwarded-For: me", "X_Real.IP: me")
)

func responseFields() []string {
	now := time.Now().UTC()
	return append(slices.Clip(anyFields), "Cache-Control: max-age=60", "Cache-Control: max-age=60", "Cache-Control: max-age=60", "Cache-Control: public, s-maxage=9",
		"Cache-Control: no-cache", "Cache-Control: no-store", "Cache-Control: private", `Cache-Control: no-cache="X-One"`, "Cache-Control: stale-if-error=5, must-revalidate",
		"Cache-Control: immutable", "CDN-Cache-Control: max-age=5", "Surrogate-Control: x", "Expires: 0", "Expires: "+now.Add(time.Hour).Format(http.TimeFormat),
		"Date: "+now.Format(http.TimeFormat), "Age: 3", `ETag: "x"`, `ETag: W/"y"`, "Last-Modified: Mon, 02 Jan 2006 15:04:05 GMT", "Vary: Accept-Language", "Vary: *",
		"Vary: X-One, Cookie", "Content-Type: text/html; charset=x", "Content-Type: text/event-stream", "Content-Encoding: br",
		"Content-Disposition: a; filename=\"\xe9\"", "Content-Range: bytes 0-3/9", "Repr-Digest: x", "Accept-Ranges: bytes", "Allow: GET", "Allow:",
		`WWW-Authenticate: Basic realm="a, b", Digest`, "WWW-Authenticate: Own", "Proxy-Authenticate: x", "Authentication-Info: x", "Retry-After: 1", "Refresh: 1",
		"Set-Cookie: a=b; Path=/", "Set-Cookie: c=d, e; HttpOnly", "Set-Cookie:", "Location: /x", "Location: http://other.example/%zz", "Location: a?b#c", "Location:",
		`Alt-Svc: h3=":443"`, "Strict-Transport-Security: max-age=1", "Server: x", "X-Cache: HIT", "No-Vary-Search: key-order", `Cache-Groups: "a"`, "Host: x",
		"TE: x", "Expect: x", "User-Agent: x", "Accept-Encoding: x", "Access-Control-Allow-Origin: *", "Deprecation: @1", "Content-Security-Policy: default-src 'none'")
}
