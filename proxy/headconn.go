package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// maxRemembered is the length of the longest head that is remembered, in bytes. handover is how long a connection that
// net/http has closed stays open, to be taken over.
const (
	maxRemembered = 16 << 10
	handover      = time.Second
)

// headConn is a connection that remembers what has come since the last request began, so that a response which net/http
// refuses can be read from it after all.
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
	deserted           // closed by net/http, and open to be taken over
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

// Close is called by net/http. A connection with a response that could be taken over stays open for it.
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

// CloseWrite closes the sending half of an upgraded connection.
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

// takeOver returns the response to req that net/http has refused; nil unless it has an unknown transfer coding.
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
