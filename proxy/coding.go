package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Transport is an http.Transport that does two things more with responses in HTTP/1.1, but for those that https origins give behind a
// forward proxy. It takes a response with a transfer coding of which nobody has heard, such as the identity that went out of HTTP in
// 2014: nobody can undo such a coding, and servers that name one mean nothing by it; so its body is taken as it comes, up to the end
// of the connection (RFC 9112 §6.3), as browsers do. And it tells what else a response lists in Connection beside close, so that those
// fields can be removed (RFC 9110 §7.6.1). A request's TE it sends to http origins with the Connection that it must have (§10.1.4), which
// HTTP/2 does not know.
type Transport struct{ http.Transport }

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	var used atomic.Pointer[headConn]
	ctx := httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		conn, _ := info.Conn.(*headConn)
		used.Store(conn)
	}})
	if req.Header.Get("Upgrade") != "" {
		ctx = context.WithValue(ctx, upgrading{}, true)
	}
	out := req.WithContext(ctx)
	if out.Header["Te"] != nil && out.URL.Scheme == "http" && (t.Protocols == nil || t.Protocols.HTTP1()) { // else it may be HTTP/2 that is spoken
		out.Header = out.Header.Clone()
		out.Header.Add("Connection", "TE")
	}
	resp, err := t.Transport.RoundTrip(out)
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

// maxRemembered is up to how many bytes a head is remembered; handover is for how long a connection is kept open for who takes
// it over.
const (
	maxRemembered = 16 << 10
	handover      = time.Second
)

// headConn is a connection that remembers what has come since the last request began, so that a response which net/http refuses
// can be read by somebody else.
type headConn struct {
	net.Conn

	mu     sync.Mutex
	came   []byte
	full   bool // there was more than is remembered, or something else
	state  connState
	closer *time.Timer
}

type connState uint8

const (
	inUse    connState = iota
	deserted           // closed by net/http, and kept for who takes it over
	takenOver
	closed
)

func (c *headConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.came, c.full = c.came[:0], false
	c.mu.Unlock()
	return c.Conn.Write(p)
}

func (c *headConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	if len(c.came) == 0 && n > 0 && p[0] != 'H' { // of HTTP/1.1: neither a body nor TLS
		c.full = true
	}
	if c.full = c.full || len(c.came)+n > maxRemembered; !c.full {
		c.came = append(c.came, p[:n]...)
	}
	c.mu.Unlock()
	return n, err
}

// Close is net/http's.
func (c *headConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state != inUse:
		return nil
	case !c.full && readable(c.came) != nil:
		c.state = deserted
		c.closer = time.AfterFunc(handover, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.state == deserted {
				c.state = closed
				c.Conn.Close()
			}
		})
		return nil
	}
	c.state = closed
	return c.Conn.Close()
}

// CloseWrite ends what is sent over an upgraded connection.
func (c *headConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// connection returns the values of Connection in the final response's head.
func (c *headConn) connection() (lines []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	head, _, _ := final(c.came)
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		if name, value, _ := strings.Cut(string(line), ":"); strings.EqualFold(name, "Connection") {
			lines = append(lines, strings.Trim(value, " \t"))
		}
	}
	return lines
}

// takeOver reads the response to req that net/http has refused; nil if that was not for a coding nobody has heard of.
func (c *headConn) takeOver(req *http.Request) *http.Response {
	c.mu.Lock()
	head := readable(c.came)
	if c.full || head == nil || c.state != inUse && c.state != deserted {
		c.mu.Unlock()
		return nil
	}
	if c.state = takenOver; c.closer != nil {
		c.closer.Stop()
	}
	c.mu.Unlock()
	resp, err := http.ReadResponse(bufio.NewReader(io.MultiReader(bytes.NewReader(head), c.Conn)), req)
	if err != nil {
		c.Conn.Close()
		return nil
	}
	stop := context.AfterFunc(req.Context(), func() { c.Conn.Close() })
	resp.Body = &takenBody{resp.Body, c.Conn, req.Context(), stop}
	return resp
}

// takenBody is a body that ends with its connection.
type takenBody struct {
	io.ReadCloser
	conn net.Conn
	ctx  context.Context
	stop func() bool
}

func (b *takenBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && b.ctx.Err() != nil {
		err = b.ctx.Err() // rather than that the connection is closed
	}
	return n, err
}

func (b *takenBody) Close() error {
	b.stop()
	return b.conn.Close()
}

// readable returns what came from the head of the final response on, without the coding that nobody has heard of, and without
// a Content-Length, which does not count beside it; nil if it has no such coding, or is not whole.
func readable(came []byte) []byte {
	head, rest, whole := final(came)
	if !whole {
		return nil
	}
	return without(head, rest)
}

// final returns the head of the final response, behind those of interim ones, and what follows it.
func final(came []byte) (head, rest []byte, whole bool) {
	for {
		head, rest, whole = bytes.Cut(came, []byte("\r\n\r\n"))
		if _, status, _ := strings.Cut(string(head[:min(len(head), 16)]), " "); !whole || !strings.HasPrefix(status, "1") {
			return head, rest, whole
		}
		came = rest
	}
}

func without(head, rest []byte) []byte {
	var out []byte
	unheard := false
	for i, line := range bytes.Split(head, []byte("\r\n")) {
		name, value, _ := strings.Cut(string(line), ":")
		if strings.HasPrefix(name, " ") || strings.HasPrefix(name, "\t") { // the line before goes on
			return nil
		}
		switch textproto.CanonicalMIMEHeaderKey(name) {
		case "Transfer-Encoding":
			if unheard || !unheardOf(value) { // one is enough
				return nil
			}
			unheard = true
			continue
		case "Content-Length":
			continue
		}
		if i > 0 {
			out = append(out, "\r\n"...)
		}
		out = append(out, line...)
	}
	if !unheard {
		return nil
	}
	return append(append(out, "\r\n\r\n"...), rest...)
}

// unheardOf reports whether the value of Transfer-Encoding is one word that is no coding anybody could undo: none of those
// registered (RFC 9112 §7).
func unheardOf(value string) bool {
	value = strings.ToLower(strings.Trim(value, " \t"))
	switch value {
	case "chunked", "compress", "x-compress", "deflate", "gzip", "x-gzip", "trailers":
		return false
	}
	return token(value)
}
