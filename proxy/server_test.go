package proxy_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/proxy"
)

// TestHTTP2 shows that each side speaks the version it can, whatever the other one does.
func TestHTTP2(t *testing.T) {
	for _, originTwo := range []bool{false, true} {
		origin := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %s", r.Proto, r.Header.Get("Via"), body)
		}))
		origin.EnableHTTP2 = originTwo
		origin.StartTLS()
		t.Cleanup(origin.Close)
		for _, secure := range []bool{false, true} {
			p := run(t, origin.URL, func(p *running) {
				p.base.TLSClientConfig = origin.Client().Transport.(*http.Transport).TLSClientConfig
				if secure {
					p.s.TLS = certificate(t)
				}
			})
			for _, two := range []bool{false, true} {
				resp, body := p.do(p.client(two), "POST", "/", strings.NewReader("body"))
				version := map[bool]string{false: "1.1", true: "2.0"}
				if want := "HTTP/" + version[originTwo] + " " + version[two] + " me body"; body != want {
					t.Errorf("TLS %v: the origin sees %q, want %q", secure, body, want)
				}
				if via := resp.Header.Get("Via"); resp.Proto != "HTTP/"+version[two] || via != version[originTwo]+" me" {
					t.Errorf("TLS %v: the client gets %s, Via %s", secure, resp.Proto, via)
				}
			}
		}
	}
}

// TestGracefulStop shows that what is under way when the server is told to stop comes to its end, and nothing else
// begins.
func TestGracefulStop(t *testing.T) {
	for _, two := range []bool{false, true} {
		next := make(chan struct{})
		p := run(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			io.WriteString(w, "one ")
			http.NewResponseController(w).Flush()
			<-next
			io.WriteString(w, "two")
		}))
		resp, err := p.client(two).Get(p.url + "/")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.ReadFull(resp.Body, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		p.stop()
		eventually(t, "nobody else is served", func() bool {
			conn, err := net.Dial("tcp", p.addr)
			if err != nil {
				return true
			}
			conn.Close()
			return false
		})
		close(next)
		if rest, err := io.ReadAll(resp.Body); string(rest) != "two" || err != nil {
			t.Errorf("HTTP/2 %v: then comes %q, %v", two, rest, err)
		}
		if err := p.wait(); err != nil {
			t.Errorf("HTTP/2 %v: serve: %v", two, err)
		}
		if s := p.p.Cache.Stats(); s.Stored != 1 {
			t.Errorf("HTTP/2 %v: it is not stored: %+v", two, s)
		}
	}
}

// TestCutOff shows that what does not come to its end in time is cut off, and told of.
func TestCutOff(t *testing.T) {
	left := make(chan struct{})
	origin := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "one ")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(left)
	})
	cache := &larder.Cache{Base: proxy.NewTransport(proxy.TransportOptions{})}
	s := &proxy.Server{Handler: &proxy.Proxy{Cache: cache, Origins: []proxy.Origin{parse(t, origin)}}, GraceTimeout: soon}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	resp, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	stop()
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("the client takes the part for the whole")
	}
	await(t, left, "that the origin is left")
	if err := await(t, ended, "the server's end"); !errors.Is(err, proxy.ErrCutOff) {
		t.Errorf("serve: %v", err)
	}
	closing, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := cache.Close(closing); err != nil {
		t.Error(err)
	}
}

// TestValuesReachTheCache shows that what the context of Serve asks of the cache holds for every request.
func TestValuesReachTheCache(t *testing.T) {
	origin := serve(t, func(http.ResponseWriter, *http.Request) {})
	s := &proxy.Server{Handler: &proxy.Proxy{Origins: []proxy.Origin{parse(t, origin)}}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(larder.WithMode(t.Context(), larder.Offline))
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	resp, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 504 {
		t.Errorf("%s", resp.Status)
	}
	stop()
	if err := await(t, ended, "the server's end"); err != nil {
		t.Error(err)
	}
}

func TestServeFails(t *testing.T) {
	s := &proxy.Server{Handler: http.NotFoundHandler()}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ListenAndServe(t.Context(), l.Addr().String()); err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("a port in use: %v", err)
	}
	if err := s.ListenAndServe(t.Context(), "127.0.0.1"); err == nil {
		t.Error("an address without a port is taken")
	}
	l.Close()
	if err := s.Serve(t.Context(), l); err == nil {
		t.Error("a closed listener serves")
	}
	withoutCertificate := &proxy.Server{Handler: http.NotFoundHandler(), TLS: new(tls.Config)}
	if err := withoutCertificate.ListenAndServe(t.Context(), "127.0.0.1:0"); err == nil {
		t.Error("TLS without a certificate serves")
	}
}
