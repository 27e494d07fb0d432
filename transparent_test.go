package larder_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-go/larder"
)

var (
	transparent     = flag.Duration("transparent", time.Second, "how long TestTransparency goes on")
	transparentSeed = flag.Uint64("transparent.seed", 1, "the seed of the first exchange of TestTransparency; 0: something new")
)

// TestTransparency plays random exchanges without a cache and with one, in which nothing is stored for them. Origin and
// caller get the same. If the answer is stored, a caller gets the same once more.
func TestTransparency(t *testing.T) {
	o := newScripted(t)
	seed := *transparentSeed
	if seed == 0 {
		seed = rand.Uint64N(1 << 40)
	}
	hits, begun := 0, time.Now()
	for n := 0; n == 0 || time.Since(begun) < *transparent; n++ {
		s := newScript(seed)
		client := &http.Client{Transport: o.base, CheckRedirect: asItCame}
		want := o.play(s, client)
		client.Transport = &larder.Cache{Base: o.base, Rules: s.rules}
		got := o.play(s, client)
		if got.heard != want.heard && s.body != brokenBody { // of which more or less may have gone out
			t.Errorf("the origin got\n%s\nwithout the cache\n%s", got.heard, want.heard)
		}
		if got.said != want.said {
			t.Errorf("the caller got\n%s\nwithout the cache\n%s", got.said, want.said)
		}
		if got.resp != nil && s.body != brokenBody {
			again := o.play(s, client)
			if again.heard == "" && again.resp != nil && again.resp.StatusCode == s.status { // else a condition or a range is answered
				hits++
				if got, want := again.kept(), got.kept(); got != want {
					t.Errorf("the caller got\n%s\nas a hit, and before\n%s", got, want)
				}
			}
		}
		if t.Failed() {
			t.Fatalf("go test -run TestTransparency . -transparent=1ns -transparent.seed=%d", seed)
		}
		seed++
	}
	t.Logf("up to seed %d; %d hits", seed-1, hits)
}

func asItCame(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// script is one exchange.
type script struct {
	rules []larder.Rule

	method, target, host string
	asks                 http.Header
	body                 string // of which kind
	content              string
	trailer              bool
	close                bool
	context              string

	interim  bool
	status   int
	answers  http.Header
	answer   []byte
	chunked  bool
	trailers bool
	cutAt    int // -1: the answer is whole
}

// The kinds of body that a request may have.
const (
	noBody, emptyBody, bodyToGet, longBody, bodyOfUnknownLength, brokenBody = "none", "http.NoBody", "with GetBody", "of known length", "of unknown length", "that breaks off"
)

var (
	methods = []string{"GET", "GET", "GET", "", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "PURGE", "get"}
	targets = []string{"/", "", "/a", "/a%2fb", "/%61", "/a/../b", "/a//b", "/ä", "/a%2Fb|c", "/a?", "/a?b=c&b=c", "/a?b=%zz", "/a?q=[1]|2", "/a#f"}
	asked   = []string{"X-A: 1", "X-A:", "X-B: ü", "x-lower: 1", "Accept: a, b", "Accept-Encoding: gzip", "Accept-Encoding: identity", "Accept-Encoding:",
		"Authorization: a", "Cookie: a=b", "Cache-Control: no-cache", "Cache-Control: no-store", "Cache-Control: max-age=0", "Cache-Control: no-transform",
		"Pragma: no-cache", "Range: bytes=5-", "Range: bytes=0-1,4-5", "Range: lines=1-2", "Range: bytes=900000-", `If-None-Match: "a"`, `If-Match: "a"`,
		"If-Modified-Since: Mon, 02 Jan 2023 15:04:05 GMT", "If-Modified-Since: yesterday", `If-Range: "a"`, "Connection: close", "Connection: x-a",
		"Te: trailers", "User-Agent: me", "User-Agent:", "Referer: http://a/", "Content-Type: a/b", "Expect: 100-continue", "Via: 1.1 a", "Keep-Alive: 5",
		"Content-Length: 7", "Host: a"}
	statuses = []int{200, 200, 200, 200, 201, 202, 203, 204, 205, 206, 299, 300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 410, 416, 429, 500, 502, 503, 504, 599}
	answered = []string{"X-A: 1", "X-A:", "X-B: ü", "Cache-Control: max-age=60", "Cache-Control: max-age=60", "Cache-Control: no-store", "Cache-Control: no-cache",
		"Cache-Control: private", "Cache-Control: no-transform", "Expires: 0", "Expires: Fri, 01 Jan 2100 00:00:00 GMT", `Etag: "a"`, `Etag: W/"a"`, "Etag: a",
		"Last-Modified: Mon, 02 Jan 2023 15:04:05 GMT", "Age: 5", "Age: a", "Vary: X-A", "Vary: *", "Vary: Accept-Encoding", "Set-Cookie: a=b", "Set-Cookie: c",
		"Content-Type: a/b", "Content-Type:", "Content-Encoding: gzip", "Content-Language: de", "Warning: 199 - a", "Location: /a", "Location: ::", "Location:",
		"Content-Location: /a", "Via: 1.1 a", "Connection: close", "Connection: X-A", "Keep-Alive: 5", "Proxy-Authenticate: Basic", "Cache-Status: a; hit",
		"Retry-After: 5", "Content-Range: bytes 0-4/100", "Accept-Ranges: bytes", "Date: Mon, 02 Jan 2023 15:04:05 GMT", "Date: never", "Date:",
		"No-Vary-Search: params", `Cache-Groups: "a"`, "Server: a"}
)

func newScript(seed uint64) *script {
	r := rand.New(rand.NewPCG(seed, 0))
	s := &script{
		method: pick(r, methods), target: pick(r, targets), asks: fields(r, asked, 5), close: r.IntN(10) == 0,
		context: pick(r, []string{"without end", "with an end", "with a deadline"}), body: noBody,
		interim: r.IntN(8) == 0, status: pick(r, statuses), answers: fields(r, answered, 8), chunked: r.IntN(2) == 0, cutAt: -1,
		answer: bytes.Repeat([]byte("answered "), pick(r, []int{0, 1, 10, 500, 20_000})),
	}
	if r.IntN(6) == 0 {
		s.host = pick(r, []string{"other.test", "origin.test:80", "ORIGIN.test"})
	}
	if r.IntN(3) == 0 || s.method != "GET" && r.IntN(2) == 0 {
		s.body = pick(r, []string{emptyBody, bodyToGet, longBody, bodyOfUnknownLength, brokenBody})
		s.content = strings.Repeat("asked ", pick(r, []int{0, 1, 10, 20_000}))
		s.trailer = (s.body == bodyOfUnknownLength || s.body == bodyToGet) && r.IntN(2) == 0
	}
	if slices.Contains(s.answers["Content-Encoding"], "gzip") {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		w.Write(s.answer)
		w.Close()
		s.answer = b.Bytes()
	}
	s.trailers = s.chunked && r.IntN(2) == 0
	if len(s.answer) > 0 && r.IntN(10) == 0 {
		s.cutAt = r.IntN(len(s.answer))
	}
	if r.IntN(2) == 0 {
		s.rules = []larder.Rule{{TTL: time.Hour, Methods: []string{"GET", "HEAD", "POST", "QUERY", "DELETE"}}}
	}
	return s
}

func pick[V any](r *rand.Rand, from []V) V { return from[r.IntN(len(from))] }

// fields are up to most of the given lines. A field without a value is an empty one, or, as the first of its name, none.
func fields(r *rand.Rand, lines []string, most int) http.Header {
	h := make(http.Header)
	for range r.IntN(most + 1) {
		name, value, _ := strings.Cut(pick(r, lines), ":")
		if _, ok := h[name]; !ok && value == "" && r.IntN(2) == 0 {
			h[name] = nil
		} else {
			h[name] = append(h[name], strings.TrimSpace(value))
		}
	}
	return h
}

// request returns a new request by the script, of that turn.
func (s *script) request(ctx context.Context, turn string) (*http.Request, error) {
	u, err := url.Parse("http://origin.test" + s.target)
	if err != nil {
		return nil, err
	}
	req := (&http.Request{Method: s.method, URL: u, Host: s.host, Header: s.asks.Clone(), Close: s.close}).WithContext(ctx)
	req.Header.Set("X-Turn", turn)
	body := &scriptedBody{Reader: strings.NewReader(s.content)}
	req.Body, req.ContentLength = body, int64(len(s.content))
	switch s.body {
	case noBody:
		req.Body, req.ContentLength = nil, 0
	case emptyBody:
		req.Body, req.ContentLength = http.NoBody, 0
	case bodyToGet:
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s.content)), nil }
	case bodyOfUnknownLength:
		req.ContentLength = -1
	case brokenBody:
		req.ContentLength++
		body.err = errors.New("the body broke off")
	}
	if s.trailer {
		req.ContentLength = -1
		req.Trailer = http.Header{"X-Sum": nil}
		body.atEnd = func() { req.Trailer["X-Sum"] = []string{"asked"} }
	}
	return req, nil
}

// scriptedBody does something when it ends, or ends with an error.
type scriptedBody struct {
	io.Reader
	atEnd func()
	err   error
}

func (b *scriptedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		if b.atEnd != nil {
			b.atEnd()
		}
		if b.err != nil {
			err = b.err
		}
	}
	return n, err
}

func (b *scriptedBody) Close() error { return nil }

// scripted is an origin that answers by a script.
type scripted struct {
	base   *http.Transport
	mu     sync.Mutex
	turn   int
	script *script
	heard  []string // in this turn
}

func newScripted(t *testing.T) *scripted {
	o := new(scripted)
	server := httptest.NewServer(o)
	o.base = &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
	}}
	t.Cleanup(func() {
		o.base.CloseIdleConnections()
		server.Close()
	})
	return o
}

func (o *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	o.mu.Lock()
	s := o.script
	if r.Header.Get("X-Turn") == strconv.Itoa(o.turn) { // else it is a broken one of before
		r.Header.Del("X-Turn")
		o.heard = append(o.heard, fmt.Sprintf("%s %s to %s, length %d %v, close %v\n%sbody of %d, broken %v\n%s",
			r.Method, r.RequestURI, r.Host, r.ContentLength, r.TransferEncoding, r.Close, lines(r.Header), len(body), err != nil, lines(r.Trailer)))
	}
	o.mu.Unlock()
	h := w.Header()
	if s.interim {
		h.Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		h.Del("Link")
	}
	maps.Copy(h, s.answers.Clone())
	if s.trailers {
		h.Set("Trailer", "X-Sum")
	}
	if !s.chunked {
		h.Set("Content-Length", strconv.Itoa(len(s.answer)))
	}
	w.WriteHeader(s.status)
	if s.cutAt >= 0 {
		w.Write(s.answer[:s.cutAt])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	w.Write(s.answer)
	if s.chunked {
		http.NewResponseController(w).Flush()
	}
	if s.trailers {
		h.Set("X-Sum", "answered")
	}
}

func lines(h http.Header) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(h)) {
		fmt.Fprintf(&b, "  %s: %q\n", name, h[name])
	}
	return b.String()
}

// outcome is what came of an exchange: what the origin heard, and all that the caller was told.
type outcome struct {
	heard, said string
	resp        *http.Response
	body        []byte
}

var port = regexp.MustCompile(`:\d+`)

func (o *scripted) play(s *script, client *http.Client) (out outcome) {
	o.base.CloseIdleConnections() // one of which may just be breaking
	o.mu.Lock()
	o.turn++
	o.script, o.heard = s, nil
	turn := strconv.Itoa(o.turn)
	o.mu.Unlock()
	ctx, cancel := context.Background(), func() {}
	switch s.context {
	case "with an end":
		ctx, cancel = context.WithCancel(ctx)
	case "with a deadline":
		ctx, cancel = context.WithTimeout(ctx, time.Minute)
	}
	defer cancel()
	var said strings.Builder
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(status int, h textproto.MIMEHeader) error {
		if status != http.StatusContinue {
			fmt.Fprintln(&said, status, lines(http.Header(h)))
		}
		return nil
	}})
	req, err := s.request(ctx, turn)
	if err != nil {
		return outcome{said: err.Error()}
	}
	before := *req
	before.Header = req.Header.Clone()
	resp, err := client.Do(req)
	if err != nil {
		fmt.Fprintf(&said, "%s", port.ReplaceAllString(err.Error(), ""))
	} else {
		body, err := io.ReadAll(resp.Body)
		fmt.Fprintf(&said, "%s %s for %s %s, length %d %v, close %v, unpacked %v\n%sbody %x of %d, %v, %v\n%s", resp.Proto, resp.Status,
			resp.Request.Method, resp.Request.URL, resp.ContentLength, resp.TransferEncoding, resp.Close, resp.Uncompressed,
			lines(undated(s, resp.Header)), body, len(body), err, resp.Body.Close(), lines(resp.Trailer))
		out.resp, out.body = resp, body
	}
	if !reflect.DeepEqual(before.Header, req.Header) || before.URL != req.URL || before.Method != req.Method || before.Host != req.Host {
		said.WriteString("and the request is not as it was")
	}
	out.said = said.String()
	o.mu.Lock()
	defer o.mu.Unlock()
	out.heard = strings.Join(o.heard, "\n")
	return out
}

// undated returns h without a Date that the origin's server has added, which is as it is.
func undated(s *script, h http.Header) http.Header {
	if _, ok := s.answers["Date"]; ok {
		return h
	}
	h = maps.Clone(h)
	delete(h, "Date")
	return h
}

// kept is what the caller was told of a response, so far as it is kept: not what is of the connection (RFC 9111 §3.1),
// nor the words beside the status (RFC 9112 §4), nor what the cache adds.
func (o outcome) kept() string {
	h := o.resp.Header.Clone()
	for _, name := range append(h["Connection"], "Connection", "Keep-Alive", "Proxy-Authenticate", "Trailer", "Age", "Date") {
		h.Del(name)
	}
	return fmt.Sprintf("%s %d, unpacked %v\n%sbody %x\n%s", o.resp.Proto, o.resp.StatusCode, o.resp.Uncompressed, lines(h), o.body, lines(o.resp.Trailer))
}
