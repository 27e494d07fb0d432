package proxy

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// requestBody is the client's body on its way to the origin, within the proxy's limits. It can be closed while it is
// being read.
type requestBody struct {
	rc      io.ReadCloser // nil: none
	c       *http.ResponseController
	r       *http.Request
	trailer http.Header // to be filled in at the end; nil: none
	limit   int64       // 0: none
	stall   time.Duration
	proceed func() // called before the first read, if set
	read    int64
	err     atomic.Pointer[error] // why reading from the client failed
	whole   atomic.Bool           // it has been read to its end
	begun   atomic.Bool           // the origin reads it
	closed  atomic.Bool           // set with mu held, as over is
	mu      sync.Mutex
	over    bool // the connection may have its next request
}

func (p *Proxy) requestBody(r *http.Request, c *http.ResponseController) *requestBody {
	b := &requestBody{c: c, r: r, limit: p.MaxBody, stall: p.stallTimeout()}
	if r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0 {
		b.rc = r.Body
	}
	return b
}

// sendWith makes b the body of out, with the trailers that the client announces.
func (b *requestBody) sendWith(out *http.Request) {
	out.Body = b
	if len(b.r.Trailer) == 0 {
		return
	}
	out.ContentLength, out.TransferEncoding = -1, []string{"chunked"} // which alone has trailers, even after an empty body
	out.Trailer = make(http.Header, len(b.r.Trailer))
	for name := range b.r.Trailer {
		if !framing(name) && !ofIdentity(b.r.Method, name) { // as in the header
			out.Trailer[name] = nil
		}
	}
	b.trailer = out.Trailer
}

// tooLong returns the fault of a request whose Content-Length exceeds MaxBody.
func (p *Proxy) tooLong(r *http.Request) *Fault {
	if p.MaxBody > 0 && r.ContentLength > p.MaxBody {
		return refusal(http.StatusRequestEntityTooLarge, "the request's body is longer than this proxy takes")
	}
	return nil
}

var (
	errTooLong = errors.New("the request's body is longer than MaxBody")
	errHandled = errors.New("the request has been answered")
)

func (b *requestBody) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, errHandled
	}
	if b.proceed != nil {
		b.proceed()
		b.proceed = nil
	}
	b.begun.Store(true)
	if !b.await() {
		return 0, errHandled
	}
	n, err := b.rc.Read(p)
	b.read += int64(n)
	if b.limit > 0 && b.read > b.limit {
		n, err = 0, errTooLong
	}
	// Else the deadline would end net/http's watch for a client that leaves, or an HTTP/2 body that a busy origin reads
	// later.
	if err == io.EOF || b.r.ProtoMajor > 1 {
		b.setDeadline(time.Time{})
	}
	switch {
	case err == io.EOF:
		b.whole.Store(true)
		for name, values := range b.r.Trailer {
			if _, announced := b.trailer[name]; announced {
				b.trailer[name] = values
			}
		}
	case err != nil && !b.closed.Load():
		err = fmt.Errorf("read the request's body: %w", err)
		b.err.Store(&err)
	}
	return n, err
}

// await sets the deadline of the next read. It returns false if b is closed: Close has set the deadline of the rest.
func (b *requestBody) await() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed.Load() {
		return false
	}
	b.c.SetReadDeadline(time.Now().Add(b.stall))
	return true
}

// setDeadline sets the read deadline, unless b is over: the transport may still be reading after the response.
func (b *requestBody) setDeadline(t time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.over {
		b.c.SetReadDeadline(t)
	}
}

// end closes b when the handler returns. From then on b sets no deadline.
func (b *requestBody) end() {
	b.Close()
	b.mu.Lock()
	b.over = true
	b.mu.Unlock()
}

// remains reports whether there is a body that has not been read to its end.
func (b *requestBody) remains() bool { return b.rc != nil && !b.whole.Load() }

// lingerTime is how long the rest of a request's body may take after the response, in HTTP/1.1. In HTTP/2 it gets no
// time: only the stream could be reset, and the response would not end before.
const lingerTime = 5 * time.Second

// Close ends reading. It leaves closing the client's body to the server.
func (b *requestBody) Close() error {
	b.mu.Lock()
	closed := b.closed.Swap(true)
	b.mu.Unlock()
	if !closed && b.lingers() {
		until := time.Now()
		if b.r.ProtoMajor == 1 {
			until = until.Add(lingerTime)
		}
		b.setDeadline(until)
	}
	return nil
}

// lingers reports whether the rest of the body may still come.
func (b *requestBody) lingers() bool {
	fault := b.err.Load()
	return b.remains() && (fault == nil || errors.Is(*fault, errTooLong))
}
