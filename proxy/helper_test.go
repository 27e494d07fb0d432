package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/proxy"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// running is a proxy that serves.
type running struct {
	t     *testing.T
	p     *proxy.Proxy
	s     *proxy.Server
	url   string
	addr  string
	base  *proxy.Transport // to the origin
	stop  context.CancelFunc
	ended chan error

	mu     sync.Mutex
	faults []*proxy.Fault
}

// setup changes what is to run before it runs.
type setup func(*running)

// run serves what is at the origin's URL.
func run(t *testing.T, origin string, setups ...setup) *running {
	t.Helper()
	p := &running{t: t, base: proxy.NewTransport(proxy.TransportOptions{}), ended: make(chan error, 1)}
	p.p = &proxy.Proxy{Via: "me", Observe: func(_ *http.Request, f *proxy.Fault) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.faults = append(p.faults, f)
	}}
	p.p.Cache = &larder.Cache{Base: p.base, Shared: true, Name: "larder"}
	if origin != "" {
		p.p.Origins = []proxy.Origin{parse(t, origin)}
	}
	p.s = &proxy.Server{Handler: p.p, GraceTimeout: patience, ErrorLog: quiet}
	for _, set := range setups {
		set(p)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.addr, p.url = l.Addr().String(), "http://"+l.Addr().String()
	if p.s.TLS != nil {
		p.url = "https://" + p.addr
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	go func() { p.ended <- p.s.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := p.wait(); err != nil {
			t.Errorf("serve: %v", err)
		}
		closing, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := p.p.Cache.Close(closing); err != nil {
			t.Errorf("close the cache: %v", err)
		}
		p.base.CloseIdleConnections()
	})
	return p
}

// wait returns what Serve returned.
func (p *running) wait() error {
	select {
	case err := <-p.ended:
		p.ended <- err
		return err
	case <-time.After(2 * patience):
		return fmt.Errorf("it goes on")
	}
}

func parse(t *testing.T, origin string) proxy.Origin {
	t.Helper()
	o, err := proxy.ParseOrigin(origin)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// serve runs an origin.
func serve(t *testing.T, h http.HandlerFunc) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// raw runs an origin that says what it wants on each connection.
func raw(t *testing.T, talk func(net.Conn, *bufio.Reader)) string {
	t.Helper()
	return "http://" + talking(t, talk, func(l net.Listener) net.Listener { return l })
}

// rawTLS is raw over TLS.
func rawTLS(t *testing.T, talk func(net.Conn, *bufio.Reader)) string {
	t.Helper()
	secure := certificate(t)
	return "https://" + talking(t, talk, func(l net.Listener) net.Listener { return tls.NewListener(l, secure) })
}

func talking(t *testing.T, talk func(net.Conn, *bufio.Reader), wrap func(net.Listener) net.Listener) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l = wrap(l)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(patience))
				talk(conn, bufio.NewReader(conn))
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

// saying is an origin that answers with response, whatever it is asked.
func saying(response string) func(net.Conn, *bufio.Reader) {
	return func(conn net.Conn, r *bufio.Reader) {
		head(r)
		io.WriteString(conn, response)
	}
}

// head reads the head of a message, in lines.
func head(r *bufio.Reader) string {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil || line == "\r\n" {
			return b.String()
		}
		b.WriteString(line)
	}
}

// dial connects to the proxy.
func (p *running) dial() (net.Conn, *bufio.Reader) {
	p.t.Helper()
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn, bufio.NewReader(conn)
}

// say sends a request as it is and returns the response, whose body it has read.
func (p *running) say(request string) (*http.Response, string) {
	p.t.Helper()
	conn, r := p.dial()
	defer conn.Close()
	io.WriteString(conn, request)
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		p.t.Fatalf("%q: %v", request, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatalf("%q: %v", request, err)
	}
	return resp, string(body)
}

// client is one that asks the proxy over HTTP/1.1, or over HTTP/2.
func (p *running) client(two bool) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!two)
	protocols.SetHTTP2(two && p.s.TLS != nil)
	protocols.SetUnencryptedHTTP2(two && p.s.TLS == nil)
	transport := &http.Transport{Protocols: protocols, DisableCompression: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	p.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// get asks the proxy for a path, with fields "Name: value".
func (p *running) get(path string, fields ...string) (*http.Response, string) {
	p.t.Helper()
	return p.do(p.client(false), http.MethodGet, path, nil, fields...)
}

func (p *running) do(c *http.Client, method, path string, body io.Reader, fields ...string) (*http.Response, string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, p.url+path, body)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		if name == "Host" {
			req.Host = value
		} else {
			req.Header.Add(name, value)
		}
	}
	resp, err := c.Do(req)
	if err != nil {
		p.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp, string(got)
}

// lastFault returns what the proxy told of last.
func (p *running) lastFault() *proxy.Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.faults) == 0 {
		return nil
	}
	return p.faults[len(p.faults)-1]
}

// await returns what comes from c.
func await[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("%s: it does not come", what)
		panic("unreachable")
	}
}

// eventually waits for ok to hold.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: it does not happen", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// quiet keeps a server from telling of connections that a test breaks.
var quiet = log.New(io.Discard, "", 0)
