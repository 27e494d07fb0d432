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
	proceed func() // before it is first read; nil: nothing
	read    int64
	err     atomic.Pointer[error] // what the client did wrong
	whole   atomic.Bool           // it has been read to its end
	begun   atomic.Bool           // the origin reads it
	closed  atomic.Bool           // set with mu held, as over is
	mu      sync.Mutex
	over    bool // what the request came by is no longer its own
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
	out.ContentLength, out.TransferEncoding = -1, []string{"chunked"} // which leaves room for them, also behind nothing
	out.Trailer = make(http.Header, len(b.r.Trailer))
	for name := range b.r.Trailer {
		if !framing(name) && !ofIdentity(b.r.Method, name) { // as in the header
			out.Trailer[name] = nil
		}
	}
	b.trailer = out.Trailer
}

// tooLong reports a body that is announced as longer than the proxy takes.
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
	if err == io.EOF || b.r.ProtoMajor > 1 { // the server goes on to watch whether the client leaves; by HTTP/2 a busy origin would end the body
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
	case err != nil && err != io.EOF && !b.closed.Load():
		err = fmt.Errorf("read the request's body: %w", err)
		b.err.Store(&err)
	}
	return n, err
}

// await gives the next bytes their time, unless b is closed, which gives the rest its own.
func (b *requestBody) await() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed.Load() {
		return false
	}
	b.c.SetReadDeadline(time.Now().Add(b.stall))
	return true
}

// setDeadline sets that of reading, unless b is over: the transport may still be reading it behind the answer.
func (b *requestBody) setDeadline(t time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.over {
		b.c.SetReadDeadline(t)
	}
}

// end is for when the request has been answered.
func (b *requestBody) end() {
	b.Close()
	b.mu.Lock()
	b.over = true
	b.mu.Unlock()
}

// remains reports whether there is, or was, more of the body than has been read.
func (b *requestBody) remains() bool { return b.rc != nil && !b.whole.Load() }

// lingerTime is for the rest of a request's body after the response, unless it is broken. In HTTP/2, where there is
// nothing to be reset but the stream, it is waited for no longer: the response would not end before.
const lingerTime = 5 * time.Second

// Close ends the reading. The client's body is the server's to close.
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
