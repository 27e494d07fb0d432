package proxy_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const handshake = "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n"

// echo is an origin that agrees to a websocket, and shouts back what it hears; "/no" it answers by 200. When it hears
// no more it says bye.
func echo(conn net.Conn, r *bufio.Reader) {
	request := head(r)
	if strings.HasPrefix(request, "GET /no ") {
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nno")
		return
	}
	if !strings.Contains(request, "\r\nConnection: Upgrade\r\n") || !strings.Contains(request, "\r\nUpgrade: websocket\r\n") {
		io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
		return
	}
	io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade, x-hop\r\nUpgrade: WebSocket\r\nX-Hop: 1\r\nSec-WebSocket-Accept: y\r\n\r\nhello\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			io.WriteString(conn, "bye\n")
			return
		}
		io.WriteString(conn, strings.ToUpper(line))
	}
}

func TestUpgrade(t *testing.T) {
	for _, secure := range []bool{false, true} {
		p := run(t, raw(t, echo), stalls, func(p *running) {
			if secure {
				p.s.TLS = certificate(t)
			}
		})
		conn, r := p.dial()
		if secure {
			c := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
			conn, r = c, bufio.NewReader(c)
		}
		fmt.Fprintf(conn, handshake+"early\n", "/") // without waiting for the answer
		got := head(r)
		for _, want := range []string{"HTTP/1.1 101 ", "\r\nConnection: Upgrade\r\n", "\r\nUpgrade: WebSocket\r\n", "\r\nSec-Websocket-Accept: y\r\n", "\r\nVia: 1.1 me\r\n"} {
			if !strings.Contains(got, want) {
				t.Errorf("TLS %v: the client gets %q, want %q", secure, got, want)
			}
		}
		if strings.Contains(got, "X-Hop") {
			t.Errorf("TLS %v: the client gets %q", secure, got)
		}
		for _, want := range []string{"hello\n", "EARLY\n"} {
			if line, err := r.ReadString('\n'); line != want {
				t.Fatalf("TLS %v: %q, %v, want %q", secure, line, err, want)
			}
		}
		outlast(t, p) // a tunnel in which nothing is said is not given up
		for _, word := range []string{"one\n", "two\n"} {
			io.WriteString(conn, word)
			if line, err := r.ReadString('\n'); line != strings.ToUpper(word) {
				t.Fatalf("TLS %v: %q, %v, want %q", secure, line, err, strings.ToUpper(word))
			}
		}
		conn.(interface{ CloseWrite() error }).CloseWrite()
		if rest, err := io.ReadAll(r); !secure && string(rest) != "bye\n" || err != nil {
			t.Errorf("TLS %v: at the end comes %q, %v", secure, rest, err)
		}
	}
}

// TestUpgradeWithHTTP2 shows that an origin which speaks HTTP/2 is asked for another protocol in HTTP/1.1.
func TestUpgradeWithHTTP2(t *testing.T) {
	origin := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			io.WriteString(w, r.Proto)
			return
		}
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Errorf("%s: %v", r.Proto, err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+r.Header.Get("Upgrade")+"\r\n\r\n")
		line, _ := rw.ReadString('\n')
		io.WriteString(conn, strings.ToUpper(line))
	}))
	origin.EnableHTTP2 = true
	origin.StartTLS()
	t.Cleanup(origin.Close)
	p := run(t, origin.URL, func(p *running) {
		p.base.TLSClientConfig = origin.Client().Transport.(*http.Transport).TLSClientConfig
	})
	resp, err := http.Get(p.url + "/")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if string(body) != "HTTP/2.0" {
		t.Errorf("the origin is asked in %s", body)
	}
	for _, protocol := range []string{"websocket", "tcp", "SPDY/3.1"} {
		conn, r := p.dial()
		fmt.Fprintf(conn, strings.Replace(handshake, "websocket", protocol, 1)+"hello\n", "/")
		wantEcho(t, r)
	}
}

// wantEcho reads that the protocol is another now, and in it hello from an origin that writes in capitals what it gets.
func wantEcho(t *testing.T, r *bufio.Reader) {
	t.Helper()
	if got := head(r); !strings.HasPrefix(got, "HTTP/1.1 101 ") {
		t.Fatalf("got %q", got)
	}
	if line, err := r.ReadString('\n'); line != "HELLO\n" {
		t.Errorf("got %q, %v", line, err)
	}
}

// TestNoUpgradeByHTTP2 shows that an origin cannot change the protocol where there is no such thing.
func TestNoUpgradeByHTTP2(t *testing.T) {
	origin := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusSwitchingProtocols)
		io.WriteString(w, "final")
	}))
	origin.EnableHTTP2 = true
	origin.StartTLS()
	t.Cleanup(origin.Close)
	p := run(t, origin.URL, func(p *running) {
		p.base.TLSClientConfig = origin.Client().Transport.(*http.Transport).TLSClientConfig
	})
	if resp, body := p.say("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); resp.StatusCode != 200 || body != "final" {
		t.Errorf("%s %q", resp.Status, body)
	}
}

// outlast lets the proxy's StallTimeout pass.
func outlast(t *testing.T, p *running) {
	t.Helper()
	if p.s.TLS != nil {
		return
	}
	conn, r := p.dial()
	io.WriteString(conn, "POST /no HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
	if got := head(r); !strings.HasPrefix(got, "HTTP/1.1 4") {
		t.Fatalf("a request that stands still brings %q", got)
	}
}

// TestUpgradeIsNotCached shows that a request for another protocol always reaches the origin, which may decline.
func TestUpgradeIsNotCached(t *testing.T) {
	p := run(t, raw(t, echo))
	p.get("/no")
	if resp, _ := p.get("/no"); !strings.Contains(resp.Header.Get("Cache-Status"), "hit") {
		t.Fatalf("it is not stored: %v", resp.Header)
	}
	resp, body := p.say(fmt.Sprintf(handshake, "/no"))
	if resp.StatusCode != 200 || body != "no" || !strings.Contains(resp.Header.Get("Cache-Status"), "fwd=bypass") {
		t.Errorf("%s %q %v", resp.Status, body, resp.Header)
	}
}

// TestUpgradeWithABody shows that a request with a body may change the protocol, but not before all of the body has
// been sent.
func TestUpgradeWithABody(t *testing.T) {
	p := run(t, raw(t, func(conn net.Conn, r *bufio.Reader) {
		if strings.HasPrefix(head(r), "POST /wait ") {
			io.CopyN(io.Discard, r, int64(len("body")))
		}
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: tcp\r\n\r\n")
		line, _ := r.ReadString('\n')
		io.WriteString(conn, strings.ToUpper(line))
	}))
	const request = "POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 4\r\n\r\n"
	conn, r := p.dial()
	fmt.Fprintf(conn, request+"bodyhello\n", "/wait")
	wantEcho(t, r)
	conn, r = p.dial()
	fmt.Fprintf(conn, request, "/at-once")
	if got := head(r); !strings.HasPrefix(got, "HTTP/1.1 502 ") || !strings.Contains(got, "error=http_upgrade_failed") {
		t.Errorf("before the body comes %q", got)
	}
}

// TestUpgradeOfOldClients shows that HTTP/1.0 has none (RFC 9110 §7.8).
func TestUpgradeOfOldClients(t *testing.T) {
	p := run(t, raw(t, echo))
	if resp, _ := p.say(strings.Replace(fmt.Sprintf(handshake, "/"), "HTTP/1.1", "HTTP/1.0", 1)); resp.StatusCode != 400 { // as echo says without one
		t.Errorf("%s", resp.Status)
	}
}

// TestTunnelsEnd shows that either side's end is the other's, and so is the server's.
func TestTunnelsEnd(t *testing.T) {
	ended, end := make(chan struct{}, 1), make(chan struct{}, 1)
	p := run(t, raw(t, func(conn net.Conn, r *bufio.Reader) {
		head(r)
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello\n")
		go func() {
			<-end
			conn.Close()
		}()
		io.Copy(io.Discard, r)
		ended <- struct{}{}
	}))
	open := func() (net.Conn, *bufio.Reader) {
		conn, r := p.dial()
		fmt.Fprintf(conn, handshake, "/")
		head(r)
		if line, err := r.ReadString('\n'); line != "hello\n" {
			t.Fatal(line, err)
		}
		return conn, r
	}
	conn, _ := open()
	conn.Close()
	await(t, ended, "that the client has left")
	end <- struct{}{}

	_, r := open()
	end <- struct{}{}
	if _, err := r.ReadByte(); err == nil {
		t.Error("the client is not told that the origin has left")
	}
	await(t, ended, "the origin's end")

	_, r = open()
	begun := time.Now()
	p.stop()
	if _, err := r.ReadByte(); err == nil {
		t.Error("the client is not told that the server ends")
	}
	await(t, ended, "that the server has ended")
	end <- struct{}{}
	if err := p.wait(); err != nil || time.Since(begun) > p.s.GraceTimeout {
		t.Errorf("serve: %v, after %s", err, time.Since(begun))
	}
}

// certificate is one for a test's server.
func certificate(t *testing.T) *tls.Config {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	return &tls.Config{Certificates: s.TLS.Certificates}
}
