package behaviour

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/larder-go/larder"
)

// option changes a request before it is sent.
type option func(*http.Request) *http.Request

func header(name, value string) option {
	return func(r *http.Request) *http.Request { r.Header.Add(name, value); return r }
}

func mode(m larder.Mode) option {
	return func(r *http.Request) *http.Request { return r.WithContext(larder.WithMode(r.Context(), m)) }
}

func ttl(d time.Duration) option {
	return func(r *http.Request) *http.Request { return r.WithContext(larder.WithTTL(r.Context(), d)) }
}

func expiry(at time.Time) option {
	return func(r *http.Request) *http.Request { return r.WithContext(larder.WithExpiry(r.Context(), at)) }
}

// host makes the request name another host than its URL does.
func host(name string) option {
	return func(r *http.Request) *http.Request { r.Host = name; return r }
}

func opaque(s string) option {
	return func(r *http.Request) *http.Request { r.URL.Opaque = s; return r }
}

func under(ctx context.Context) option {
	return func(r *http.Request) *http.Request { return r.WithContext(ctx) }
}

// body gives the request a body that can be read again; once gives it one that cannot.
func body(contentType, s string) option {
	return func(r *http.Request) *http.Request {
		r.Header.Set("Content-Type", contentType)
		r.Body, r.ContentLength = newBody(s), int64(len(s))
		r.GetBody = func() (io.ReadCloser, error) { return newBody(s), nil }
		return r
	}
}

func once(contentType, s string) option {
	return func(r *http.Request) *http.Request {
		r.Header.Set("Content-Type", contentType)
		r.Body, r.ContentLength = newBody(s), int64(len(s))
		return r
	}
}

// answer is what a caller got.
type answer struct {
	t   *T
	err error // of the request, or of reading the body

	larder.Decision
	resp   *http.Response
	status int
	header http.Header
	body   string
}

// request makes a request for a path at the origin, or for a whole URL.
func (t *T) request(method, path string, options ...option) *http.Request {
	if strings.HasPrefix(path, "/") {
		path = t.origin.url + path
	}
	req, err := http.NewRequestWithContext(t.Context(), method, path, nil)
	if err != nil {
		panic(err)
	}
	for _, o := range options {
		req = o(req)
	}
	return req
}

// try sends a request and reads the body to its end. It may be called by any goroutine.
func (t *T) try(method, path string, options ...option) answer {
	return t.read(t.send(method, path, options...))
}

// send returns when the head is there; the body is still to be read, or closed.
func (t *T) send(method, path string, options ...option) answer {
	resp, err := t.cache.Client().Do(t.request(method, path, options...))
	a := answer{t: t, err: err}
	if err == nil {
		a.resp, a.status, a.header, a.Decision = resp, resp.StatusCode, resp.Header, larder.Info(resp)
	}
	return a
}

func (t *T) read(a answer) answer {
	if a.err == nil {
		defer a.resp.Body.Close()
		var b []byte
		b, a.err = io.ReadAll(a.resp.Body)
		a.body = string(b)
	}
	return a
}

func (t *T) do(method, path string, options ...option) answer {
	t.Helper()
	a := t.try(method, path, options...)
	if a.err != nil {
		t.Fatalf("%s %s: %v", method, path, a.err)
	}
	return a
}

func (t *T) get(path string, options ...option) answer {
	t.Helper()
	return t.do(http.MethodGet, path, options...)
}

func (t *T) post(path string, options ...option) answer {
	t.Helper()
	return t.do(http.MethodPost, path, options...)
}

// begin sends a GET and returns when its head is there.
func (t *T) begin(path string, options ...option) answer {
	t.Helper()
	a := t.send(http.MethodGet, path, options...)
	if a.err != nil {
		t.Fatalf("GET %s: %v", path, a.err)
	}
	return a
}

// pending are requests under way.
type pending struct {
	wg      sync.WaitGroup
	answers []answer
}

// start lets n callers go at once, each by its number.
func (t *T) start(n int, call func(i int) answer) *pending {
	p := &pending{answers: make([]answer, n)}
	for i := range n {
		p.wg.Go(func() { p.answers[i] = call(i) })
	}
	return p
}

// done waits for all of them.
func (p *pending) done() []answer {
	p.wg.Wait()
	return p.answers
}

// want checks where the answer came from and what it says.
func (a answer) want(outcome larder.Outcome, body string) {
	a.t.Helper()
	switch {
	case a.err != nil:
		a.t.Errorf("got error %v, want %v %.60q", a.err, outcome, body)
	case a.Outcome != outcome || a.body != body:
		a.t.Errorf("got %v %.60q (%s), want %v %.60q", a.Outcome, a.body, a.Reason, outcome, body)
	}
}

// wantStatus is want for an answer whose body is not looked at.
func (a answer) wantStatus(outcome larder.Outcome, status int) {
	a.t.Helper()
	switch {
	case a.err != nil:
		a.t.Errorf("got error %v, want %v %d", a.err, outcome, status)
	case a.Outcome != outcome || a.status != status:
		a.t.Errorf("got %v %d (%s), want %v %d", a.Outcome, a.status, a.Reason, outcome, status)
	}
}

// outcomes counts the answers by outcome; None are errors.
func outcomes(answers []answer) map[larder.Outcome]int {
	n := make(map[larder.Outcome]int)
	for _, a := range answers {
		if a.err != nil {
			n[larder.None]++
		} else {
			n[a.Outcome]++
		}
	}
	return n
}

// wantAll checks that every caller got a 200 with that body, wherever from.
func (t *T) wantAll(answers []answer, body string) {
	t.Helper()
	for i, a := range answers {
		if a.err != nil || a.status != http.StatusOK || a.body != body {
			t.Errorf("caller %d got %v %d %.50q, error %v, want 200 %.50q", i, a.Outcome, a.status, a.body, a.err, body)
		}
	}
}
