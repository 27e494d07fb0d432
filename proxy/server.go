package proxy

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// Server serves a Handler over HTTP/1.1 and HTTP/2, within limits, until it is told to stop.
type Server struct {
	// Handler answers the requests; usually it is a Proxy.
	Handler http.Handler
	// TLS, if set, makes it an https server, with the certificates in it. nil: plain HTTP, with HTTP/2 for clients that
	// begin with it (h2c with prior knowledge).
	TLS *tls.Config
	// MaxConnections is how many connections may be open at once; further ones wait; 0: 1024.
	MaxConnections int
	// MaxHeaderBytes bounds the header of a request; 0: 64 KiB.
	MaxHeaderBytes int
	// MaxStreams is how many requests may be under way at once on an HTTP/2 connection; further ones wait; 0: 100.
	MaxStreams int
	// HeaderTimeout bounds the time in which a request's header has to come, and the TLS handshake before it; 0: 10 s.
	HeaderTimeout time.Duration
	// IdleTimeout is how long a connection may wait for its next request; 0: 2 min.
	IdleTimeout time.Duration
	// GraceTimeout is how long requests may go on once the server is told to stop; 0: 30 s. Upgraded connections do not
	// prolong it: they end with the last request.
	GraceTimeout time.Duration
	// ErrorLog gets what net/http says of connections and of panics; nil: the log package's standard logger.
	ErrorLog *log.Logger
}

// ErrCutOff is returned when requests were still under way at the end of GraceTimeout.
var ErrCutOff = errors.New("proxy: requests were cut off")

// ListenAndServe listens at a TCP address and serves, until ctx ends.
func (s *Server) ListenAndServe(ctx context.Context, address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return s.Serve(ctx, l)
}

// Serve serves those who connect to l until ctx ends; then it closes l, lets the requests under way end, and returns
// nil. The requests' contexts have the values of ctx.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	l = limit(l, cmp.Or(s.MaxConnections, 1024))
	base, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	var handlers handlers
	server := s.server(base, func(w http.ResponseWriter, r *http.Request) {
		if !handlers.begin() {
			panic(http.ErrAbortHandler)
		}
		defer handlers.end()
		s.Handler.ServeHTTP(w, r)
	})
	stopped := make(chan error, 1)
	go func() {
		if s.TLS != nil {
			stopped <- server.ServeTLS(l, "", "")
		} else {
			stopped <- server.Serve(l)
		}
	}()
	var err error
	select {
	case err = <-stopped:
	case <-ctx.Done():
		grace, cancel := context.WithTimeout(base, cmp.Or(s.GraceTimeout, 30*time.Second))
		defer cancel()
		if server.Shutdown(grace) != nil {
			err = ErrCutOff
		}
		<-stopped
	}
	abandon()
	server.Close()
	handlers.wait()
	return err
}

// server returns an http.Server with the limits of s.
func (s *Server) server(ctx context.Context, h http.HandlerFunc) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(s.TLS == nil)
	server := &http.Server{
		Handler:                      h,
		TLSConfig:                    s.TLS,
		Protocols:                    protocols,
		MaxHeaderBytes:               cmp.Or(s.MaxHeaderBytes, 64<<10),
		ReadHeaderTimeout:            cmp.Or(s.HeaderTimeout, 10*time.Second),
		IdleTimeout:                  cmp.Or(s.IdleTimeout, 2*time.Minute),
		DisableGeneralOptionsHandler: true,
		BaseContext:                  func(net.Listener) context.Context { return ctx },
		ErrorLog:                     s.ErrorLog,
		HTTP2:                        http2(),
	}
	server.HTTP2.MaxConcurrentStreams = cmp.Or(s.MaxStreams, 100)
	return server
}

// handlers counts the handlers under way, also those with hijacked connections, which http.Server does not track.
type handlers struct {
	mu   sync.Mutex
	n    int
	none chan struct{} // closed when the last one ends; nil: nobody waits yet
}

// begin returns false once wait has been called.
func (h *handlers) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.none != nil {
		return false
	}
	h.n++
	return true
}

func (h *handlers) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.n--; h.n == 0 && h.none != nil {
		close(h.none)
	}
}

func (h *handlers) wait() {
	h.mu.Lock()
	h.none = make(chan struct{})
	if h.n == 0 {
		close(h.none)
	}
	h.mu.Unlock()
	<-h.none
}

// http2 returns settings by which an HTTP/2 connection ends when its peer is gone.
func http2() *http.HTTP2Config {
	return &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second, WriteByteTimeout: time.Minute}
}

// limit returns l with a limit on the connections that are open at once.
func limit(l net.Listener, n int) net.Listener {
	return &limited{Listener: l, places: make(chan struct{}, n), done: make(chan struct{})}
}

type limited struct {
	net.Listener
	places chan struct{}
	once   sync.Once
	done   chan struct{}
}

func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	release := sync.OnceFunc(func() { <-l.places })
	if tcp, ok := conn.(*net.TCPConn); ok {
		boundUnsent(tcp)
		return &tcpConn{tcp, release}, nil
	}
	return &otherConn{conn, release}, nil
}

func (l *limited) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

var _ io.ReaderFrom = (*tcpConn)(nil) // by which the system sends files

type tcpConn struct {
	*net.TCPConn
	release func()
}

func (c *tcpConn) Close() error {
	defer c.release()
	return c.TCPConn.Close()
}

type otherConn struct {
	net.Conn
	release func()
}

func (c *otherConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
