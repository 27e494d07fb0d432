package libraries

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/larder-go/larder"
)

// TestHTTP3 has quic-go below the cache. Its responses say of a 204 how long the body is that it does not have.
func TestHTTP3(t *testing.T) {
	certificates := httptest.NewTLSServer(nil)
	defer certificates.Close()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	server := &http3.Server{TLSConfig: http3.ConfigureTLSConfig(certificates.TLS.Clone()), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/empty" {
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("Content-Length", "90")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Trailer", "X-Sum")
		fresh(w, r)
		w.Header().Set("X-Sum", "sum")
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(conn) }()
	transport := &http3.Transport{
		TLSClientConfig: &tls.Config{RootCAs: certificates.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs},
		Dial: func(ctx context.Context, _ string, c *tls.Config, q *quic.Config) (*quic.Conn, error) {
			return quic.DialAddrEarly(ctx, conn.LocalAddr().String(), c, q)
		},
	}
	defer func() {
		transport.Close()
		server.Close()
		<-served
	}()
	cache := newCache(t)
	cache.Base = transport
	for path, want := range map[string]string{"/a": body, "/empty": ""} {
		for _, outcome := range []larder.Outcome{larder.Miss, larder.Hit} {
			resp, err := cache.Client().Get("https://example.com" + path)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if got := larder.Info(resp).Outcome; err != nil || string(b) != want || got != outcome || resp.Proto != "HTTP/3.0" {
				t.Errorf("%s: %s %s, %v, error %v, want %s, %v", path, resp.Proto, b, got, err, want, outcome)
			}
			if got := resp.Trailer.Get("X-Sum"); want != "" && got != "sum" {
				t.Errorf("%s: the trailer is %q, %v", path, got, outcome)
			}
		}
	}
}
