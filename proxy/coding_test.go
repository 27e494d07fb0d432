package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/larder-go/larder/proxy"
)

func TestTransferCodings(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nX-A: 1\r\n"
	for _, c := range []struct {
		name, answer, body string // body "": the answer is refused
	}{
		{"one that nobody has heard of", head + "Transfer-Encoding: fugazi\r\n\r\nhello", "hello"},
		{"the former identity", head + "transfer-encoding:Identity\r\n\r\nhello", "hello"},
		{"a length beside it", head + "Content-Length: 2\r\nTransfer-Encoding: fugazi\r\n\r\nhello", "hello"},
		{"behind interim responses", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + head + "Transfer-Encoding: fugazi\r\n\r\nhello", "hello"},
		{"chunked", head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "hello"},
		{"a body like a head", head + "Transfer-Encoding: fugazi\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: x\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: x\r\n\r\n"},
		{"a long body", head + "Transfer-Encoding: fugazi\r\n\r\n" + strings.Repeat("x", 1<<20), strings.Repeat("x", 1<<20)},
		{"one that could be undone", head + "Transfer-Encoding: gzip\r\n\r\nhello", ""},
		{"in capitals", head + "Transfer-Encoding: GZIP\r\n\r\nhello", ""},
		{"two", head + "Transfer-Encoding: fugazi, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", ""},
		{"two in two lines", head + "Transfer-Encoding: fugazi\r\nTransfer-Encoding: fugazi\r\n\r\nhello", ""},
		{"no word", head + "Transfer-Encoding: \r\n\r\nhello", ""},
		{"a line that goes on", head + "Transfer-Encoding: fuga\r\n zi\r\n\r\nhello", ""},
		{"a head that is too long", head + "X-B: " + strings.Repeat("x", 20<<10) + "\r\nTransfer-Encoding: fugazi\r\n\r\nhello", ""},
		{"no head", "hello", ""},
	} {
		for _, url := range []string{raw(t, saying(c.answer)), rawTLS(t, saying(c.answer))} {
			secure := strings.HasPrefix(url, "https:")
			t.Run(fmt.Sprint(c.name, ", TLS ", secure), func(t *testing.T) {
				transport := proxy.NewTransport(proxy.TransportOptions{})
				transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
				defer transport.CloseIdleConnections()
				req, _ := http.NewRequestWithContext(t.Context(), "GET", url, nil)
				resp, err := transport.RoundTrip(req)
				if c.body == "" {
					if err == nil {
						t.Fatalf("got %s", resp.Status)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				if string(body) != c.body || err != nil || resp.Header.Get("X-A") != "1" || len(resp.TransferEncoding) > 0 && c.name != "chunked" {
					t.Errorf("got %.100q, error %v, header %v", body, err, resp.Header)
				}
				if (resp.TLS != nil) != secure {
					t.Errorf("TLS %v: the response's state is %v", secure, resp.TLS)
				}
			})
		}
	}
}

func TestUnheardOfCodingEndsWithItsCaller(t *testing.T) {
	origin := raw(t, func(conn net.Conn, r *bufio.Reader) {
		saying("HTTP/1.1 200 OK\r\nTransfer-Encoding: fugazi\r\n\r\nhello")(conn, r)
		io.Copy(io.Discard, r) // until the other side closes
	})
	transport := proxy.NewTransport(proxy.TransportOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", origin, nil)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := resp.Body.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the caller has gone", err)
	}
}

// TestConnectionBesideClose shows that fields which a response lists beside close are neither passed on nor stored.
func TestConnectionBesideClose(t *testing.T) {
	const answer = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nconnection: close, X-Hop\r\nX-Hop: 1\r\nX-End: 2\r\nContent-Length: 5\r\n\r\nhello"
	for _, origin := range []string{raw(t, saying(answer)), rawTLS(t, saying(answer))} {
		p := run(t, origin, func(p *running) { p.base.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} })
		for _, outcome := range []string{"stored", "hit"} {
			resp, err := http.Get(p.url + "/")
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if h := resp.Header; h["X-Hop"] != nil || h.Get("X-End") != "2" || !strings.Contains(h.Get("Cache-Status"), outcome) {
				t.Errorf("%s: a %s has the fields %v", origin, outcome, h)
			}
		}
	}
}

func TestUnheardOfCodingThroughTheProxy(t *testing.T) {
	p := run(t, raw(t, saying("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: fugazi\r\n\r\nhello")))
	for _, outcome := range []string{"stored", "hit"} {
		resp, err := http.Get(p.url + "/")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(body) != "hello" || err != nil || !strings.Contains(resp.Header.Get("Cache-Status"), outcome) || resp.Header["Transfer-Encoding"] != nil {
			t.Errorf("got %q, error %v, header %v, want a %s", body, err, resp.Header, outcome)
		}
	}
}
