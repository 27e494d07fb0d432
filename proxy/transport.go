package proxy

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

// Transport is an http.Transport that does more:
//   - It accepts an HTTP/1.1 response with an unknown transfer coding, such as identity, which left HTTP in 2014. Servers
//     that name one mean nothing by it, so the body is taken as it comes, up to the end of the connection (RFC 9112
//     §6.3), as browsers do.
//   - It keeps what an HTTP/1.1 response lists in Connection besides close, so that those fields can be removed (RFC 9110
//     §7.6.1).
//   - To http origins it sends TE with the Connection: TE that this requires (RFC 9110 §10.1.4).
//   - It sends a request with Upgrade by HTTP/1.1, never by HTTP/2.
//
// It cannot do the first two for https origins behind a forward proxy.
type Transport struct {
	http.Transport

	once  sync.Once
	http1 *http.Transport // for requests with Upgrade: net/http would send those by HTTP/2, too, except for WebSocket
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	var used atomic.Pointer[headConn]
	ctx := httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		conn, _ := info.Conn.(*headConn)
		used.Store(conn)
	}})
	base := &t.Transport
	if req.Header.Get("Upgrade") != "" {
		base, ctx = t.withoutHTTP2(), context.WithValue(ctx, upgrading{}, true)
	}
	out := req.WithContext(ctx)
	if out.Header["Te"] != nil && out.URL.Scheme == "http" && (t.Protocols == nil || t.Protocols.HTTP1()) { // else it may speak HTTP/2, which has no Connection
		out.Header = out.Header.Clone()
		out.Header.Add("Connection", "TE")
	}
	resp, err := base.RoundTrip(out)
	conn := used.Load()
	if conn == nil {
		return resp, err
	}
	if err != nil {
		if req.Context().Err() != nil {
			return nil, err
		}
		if resp = conn.takeOver(req); resp == nil {
			return nil, err
		}
	} else if resp.Close {
		if lines := conn.connection(); len(lines) > 0 {
			resp.Header["Connection"] = lines
		}
	}
	if secure, ok := conn.Conn.(*tls.Conn); ok {
		state := secure.ConnectionState()
		resp.TLS = &state
	}
	return resp, nil
}

// withoutHTTP2 returns a transport like t that speaks HTTP/1.1 alone. It keeps no idle connections, so that closing
// those of t is enough.
func (t *Transport) withoutHTTP2() *http.Transport {
	t.once.Do(func() {
		t.http1 = t.Transport.Clone()
		t.http1.Protocols, t.http1.TLSNextProto, t.http1.DisableKeepAlives = new(http.Protocols), nil, true
		t.http1.Protocols.SetHTTP1(true)
		if t.http1.TLSClientConfig != nil {
			t.http1.TLSClientConfig.NextProtos = nil
		}
	})
	return t.http1
}

// TransportOptions are limits on what an origin can do.
type TransportOptions struct {
	// ConnectTimeout bounds name lookup and connecting together, and then the TLS handshake; 0: 10 s.
	ConnectTimeout time.Duration
	// ResponseTimeout bounds the time from the end of the request to the end of the response's header; 0: 60 s.
	ResponseTimeout time.Duration
	// MaxHeaderBytes bounds the response's header; 0: 256 KiB.
	MaxHeaderBytes int64
}

// NewTransport returns a Transport for the Base of a proxy's Cache. It speaks HTTP/1.1 and, with https origins that
// can, HTTP/2. It does not decompress bodies.
func NewTransport(o TransportOptions) *Transport {
	connect := cmp.Or(o.ConnectTimeout, 10*time.Second)
	dial := (&net.Dialer{Timeout: connect}).DialContext
	t := &Transport{Transport: http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            remembering(dial),
		TLSHandshakeTimeout:    connect,
		ResponseHeaderTimeout:  cmp.Or(o.ResponseTimeout, time.Minute),
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConns:           512,
		MaxIdleConnsPerHost:    128,
		MaxResponseHeaderBytes: cmp.Or(o.MaxHeaderBytes, 256<<10),
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
		HTTP2:                  http2(),
	}}
	t.DialTLSContext = t.securing(dial)
	return t
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// remembering returns a DialContext whose connections are headConns.
func remembering(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &headConn{Conn: conn}, nil
	}
}

// securing returns a DialTLSContext that does what net/http does without one, but whose connections for HTTP/1.1 are
// headConns.
func (t *Transport) securing(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		config := new(tls.Config)
		if t.TLSClientConfig != nil {
			config = t.TLSClientConfig.Clone()
		}
		if config.ServerName == "" {
			config.ServerName, _, _ = net.SplitHostPort(address)
		}
		if ctx.Value(upgrading{}) != nil {
			config.NextProtos = nil // in HTTP/2 there is no Upgrade
		}
		secure := tls.Client(conn, config)
		handshake, cancel := context.WithTimeout(ctx, cmp.Or(t.TLSHandshakeTimeout, math.MaxInt64))
		defer cancel()
		if err := secure.HandshakeContext(handshake); err != nil {
			conn.Close()
			if handshake.Err() != nil && ctx.Err() == nil {
				err = fmt.Errorf("TLS handshake timeout: %w", err)
			}
			return nil, err
		}
		if secure.ConnectionState().NegotiatedProtocol == "h2" {
			return secure, nil // net/http must see its type
		}
		return &headConn{Conn: secure}, nil
	}
}

// upgrading is the context key of a request with Upgrade.
type upgrading struct{}
