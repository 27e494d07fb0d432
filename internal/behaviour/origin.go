package behaviour

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// origin is a server whose pages are scripted, and that remembers what it was asked. Its Date is the test's clock.
type origin struct {
	url       string
	transport *http.Transport
	clock     *clock
	forgets   bool // what it was asked: it is too much

	mu    sync.Mutex
	pages map[string]http.HandlerFunc
	seen  map[string][]*http.Request // by path; without their bodies
}

// maxSeen ends a test in which the origin is asked for one page again and again.
const maxSeen = 1000

func newOrigin(t *testing.T, clock *clock, network bool) *origin {
	o := &origin{clock: clock, pages: make(map[string]http.HandlerFunc), seen: make(map[string][]*http.Request)}
	srv := httptest.NewUnstartedServer(o)
	o.transport = new(http.Transport)
	if !network {
		p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		srv.Listener.Close()
		srv.Listener = p
		o.transport.DialContext = p.dial
	}
	srv.Start()
	o.url = srv.URL
	t.Cleanup(func() {
		o.transport.CloseIdleConnections()
		srv.CloseClientConnections()
		srv.Close()
	})
	return o
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	page := o.pages[r.URL.Path]
	if !o.forgets {
		o.seen[r.URL.Path] = append(o.seen[r.URL.Path], r)
	}
	endless := len(o.seen[r.URL.Path]) > maxSeen
	o.mu.Unlock()
	if endless {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Date", o.clock.Now().UTC().Format(http.TimeFormat))
	if page == nil {
		http.NotFound(w, r)
		return
	}
	page(w, r)
}

// handle sets what answers requests for a path.
func (o *origin) handle(path string, h http.HandlerFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pages[path] = h
}

// page makes path a page with a body and header fields, given as names and values in turn.
func (o *origin) page(path, body string, header ...string) {
	o.handle(path, func(w http.ResponseWriter, r *http.Request) {
		set(w.Header(), header)
		io.WriteString(w, body)
	})
}

// numbered makes path a page whose body is the path and how often it has been asked for: "/a 1", "/a 2" …
func (o *origin) numbered(path string, header ...string) {
	o.handle(path, func(w http.ResponseWriter, r *http.Request) {
		set(w.Header(), header)
		fmt.Fprintf(w, "%s %d", path, o.hits(path))
	})
}

// tagged makes path a page that validates: its ETag is tag, and a request that has it is answered 304.
func (o *origin) tagged(path, tag, body string, header ...string) {
	o.handle(path, func(w http.ResponseWriter, r *http.Request) {
		set(w.Header(), header)
		w.Header().Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		io.WriteString(w, body)
	})
}

// status makes path answer with a status, an empty body and header fields.
func (o *origin) status(path string, status int, header ...string) {
	o.handle(path, func(w http.ResponseWriter, r *http.Request) {
		set(w.Header(), header)
		w.WriteHeader(status)
	})
}

// varies makes path answer with the values of the named request fields, and Vary.
func (o *origin) varies(path, field string, header ...string) {
	o.handle(path, func(w http.ResponseWriter, r *http.Request) {
		set(w.Header(), append([]string{"Vary", field, "Cache-Control", "max-age=60"}, header...))
		fmt.Fprintf(w, "for %q", r.Header.Get(field))
	})
}

// hold lets path answer only when the gate that it returns is opened.
func (o *origin) hold(path string) gate {
	o.mu.Lock()
	page := o.pages[path]
	o.mu.Unlock()
	g := make(gate)
	o.handle(path, func(w http.ResponseWriter, r *http.Request) {
		g.wait(r)
		page(w, r)
	})
	return g
}

// halves makes path a page that sends its head and half of its body, and the rest when the gate that it returns is
// opened.
func (o *origin) halves(path, body string, header ...string) gate {
	g := make(gate)
	o.handle(path, func(w http.ResponseWriter, r *http.Request) {
		set(w.Header(), header)
		io.WriteString(w, body[:len(body)/2])
		w.(http.Flusher).Flush()
		g.wait(r)
		io.WriteString(w, body[len(body)/2:])
	})
	return g
}

// cut makes path a page whose connection breaks after the first half of its body, when the gate that it returns is
// opened.
func (o *origin) cut(path, body string, header ...string) gate {
	g := make(gate)
	o.handle(path, func(w http.ResponseWriter, r *http.Request) {
		set(w.Header(), header)
		io.WriteString(w, body[:len(body)/2])
		w.(http.Flusher).Flush()
		g.wait(r)
		panic(http.ErrAbortHandler)
	})
	return g
}

// content makes path a page that knows ranges and conditions, as a file server does.
func (o *origin) content(path, body string, header ...string) {
	o.handle(path, func(w http.ResponseWriter, r *http.Request) {
		set(w.Header(), header)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(body))
	})
}

// hits returns how often path was asked for, and is being asked for.
func (o *origin) hits(path string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.seen[path])
}

// last returns the latest request for path.
func (o *origin) last(path string) *http.Request {
	o.mu.Lock()
	defer o.mu.Unlock()
	seen := o.seen[path]
	return seen[len(seen)-1]
}

func set(h http.Header, pairs []string) {
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
}

// gate lets handlers wait until it is opened.
type gate chan struct{}

func (g gate) open() { close(g) }

// wait returns when the gate is opened or the client has gone.
func (g gate) wait(r *http.Request) {
	select {
	case <-g:
	case <-r.Context().Done():
	}
}

// pipes is a listener whose connections are made in memory.
type pipes struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "origin.test" }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
