package suite

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Cache is the cache under test.
type Cache struct {
	// Transport takes the requests: of a proxy, what connects to it; else the cache itself. It must not decompress.
	Transport http.RoundTripper
	// URL is where they are sent: the proxy, or the origin if Transport is the cache.
	URL string
	// Direct says that Transport is the cache, so that its error is what a proxy's 502 is.
	Direct bool
}

// response is what the client got.
type response struct {
	status  int
	header  http.Header
	body    string
	interim []received
}

type received struct {
	code   int
	header textproto.MIMEHeader
}

// get returns the value of a header, its lines joined to one.
func (r *response) get(name string) (string, bool) {
	values, ok := r.header[http.CanonicalHeaderKey(name)]
	return strings.Join(values, ", "), ok
}

// number returns the integer that a header begins with.
func (r *response) number(name string) (int64, bool) {
	v, _ := r.get(name)
	return leading(v)
}

func leading(s string) (int64, bool) {
	s = strings.TrimSpace(s)
	end := 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || end == 0 && (s[0] == '-' || s[0] == '+')) {
		end++
	}
	n, err := strconv.ParseInt(s[:end], 10, 64)
	return n, err == nil
}

// send sends request i of a test, counted from 0, and reads the response to its end.
func (c *Cache) send(ctx context.Context, t *Test, i int, run string, last *response) (*response, error) {
	script := &t.Requests[i]
	url := c.URL + "/test/" + run
	if script.Filename != "" {
		url += "/" + script.Filename
	}
	if script.Query != "" {
		url += "?" + script.Query
	}
	var body io.Reader
	if script.Body != nil {
		body = strings.NewReader(*script.Body)
	}
	var mu sync.Mutex // a transport may still be calling when it has returned
	var interim []received
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		mu.Lock()
		defer mu.Unlock()
		interim = append(interim, received{code, h})
		return nil
	}})
	req, err := http.NewRequestWithContext(ctx, script.method(), url, body)
	if err != nil {
		return nil, err
	}
	if err := setHeader(req.Header, t, i, last); err != nil {
		return nil, err
	}
	resp, err := c.Transport.RoundTrip(req)
	if err != nil {
		if c.Direct && ctx.Err() == nil && script.ExpectedStatus.Null && !script.checksBody() {
			return &response{status: http.StatusBadGateway}, nil
		}
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the response: %w", err)
	}
	mu.Lock()
	defer mu.Unlock()
	return &response{resp.StatusCode, resp.Header, string(text), interim}, nil
}

// setHeader gives h what the engine's client sends, which is Node's fetch, and what the test adds.
func setHeader(h http.Header, t *Test, i int, last *response) error {
	script := &t.Requests[i]
	add := func(name, value string) {
		value = latin1(strings.TrimSpace(value))
		if had := h.Values(name); len(had) > 0 {
			value = had[0] + ", " + value
		}
		h.Set(name, value)
	}
	add("Pragma", "foo")
	add("Cache-Control", "nothing-to-see-here")
	for _, f := range script.Headers {
		value := f.Value.Text
		if script.MagicIMS && f.Value.Number && strings.EqualFold(f.Name, "If-Modified-Since") {
			if last == nil {
				return errors.New("magic_ims: there is no response before it")
			}
			now, ok := last.number("Server-Now")
			if !ok {
				return errors.New("magic_ims: the response before it has no Server-Now")
			}
			value = f.Value.at(f.Name, now, script.RFC850)
		}
		add(f.Name, value)
	}
	h.Set("Test-Name", latin1(t.Name))
	h.Set("Test-ID", t.ID)
	h.Set("Req-Num", strconv.Itoa(i+1))
	encoding := "gzip, deflate"
	if h.Get("Range") != "" {
		encoding = "identity"
	}
	for _, f := range []line{
		{"Accept", "*/*"}, {"Accept-Language", "*"}, {"Sec-Fetch-Mode", "cors"}, {"User-Agent", "node"},
		{"Accept-Encoding", encoding},
	} {
		if _, set := h[f.name]; !set {
			h.Set(f.name, f.value)
		}
	}
	if _, set := h["Content-Type"]; script.Body != nil && !set {
		h.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	return nil
}

// latin1 returns s as Fetch sends it: a byte for each of its characters.
func latin1(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteByte(byte(r))
	}
	return b.String()
}

// newID returns a random UUID.
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Connect returns a transport that talks to a proxy, or that a cache asks an origin with.
func Connect() *http.Transport {
	return &http.Transport{
		DisableCompression:  true,
		MaxIdleConnsPerHost: 2 * parallel,
		IdleConnTimeout:     time.Minute,
	}
}
