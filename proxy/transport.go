package proxy

import (
	"net"
	"net/http"
	"time"
)

// TransportOptions bound what an origin can do.
type TransportOptions struct {
	// ConnectTimeout bounds the lookup of a name and the connection, and once more the TLS handshake; 0: 10 s.
	ConnectTimeout time.Duration
	// ResponseTimeout bounds the time from the end of the request to the end of the response's header; 0: 60 s.
	ResponseTimeout time.Duration
	// MaxHeaderBytes bounds the response's header; 0: 256 KiB.
	MaxHeaderBytes int64
}

// NewTransport returns a Transport for the Base of a proxy's Cache. It speaks HTTP/1.1 and, with https origins that
// do, HTTP/2, and takes bodies as they are.
func NewTransport(o TransportOptions) *Transport {
	connect := orDefault(o.ConnectTimeout, 10*time.Second)
	return &Transport{http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer((&net.Dialer{Timeout: connect}).DialContext),
		TLSHandshakeTimeout:    connect,
		ResponseHeaderTimeout:  orDefault(o.ResponseTimeout, time.Minute),
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConns:           512,
		MaxIdleConnsPerHost:    128,
		MaxResponseHeaderBytes: orDefault(o.MaxHeaderBytes, 256<<10),
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
		HTTP2:                  http2(),
	}}
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
