package larder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-go/larder/rfc9111"
	"github.com/larder-go/larder/store"
)

// hit is what a stored response to a caller consists of, in one allocation.
type hit struct {
	resp    http.Response
	decided decided
	body    memoryBody
}

// serve answers x with a stored response. It returns nil if its body is gone, or the rule's filter rejects it.
func (c *Cache) serve(x *exchange, r *store.Record, now time.Time, d Decision) *http.Response {
	v := c.readingOf(r)
	parsed := v.alone[0]
	age := parsed.Age(now)
	d.Key, d.ID, d.Age, d.Lifetime = r.Key, r.ID, age, c.policy().Lifetime(parsed)
	if d.Reason == "" {
		d.Reason, d.Section = x.verdict.Reason.String(), x.verdict.Reason.Section()
	}
	h := &hit{decided: decided{decision: d}}
	h.resp = http.Response{
		Status: v.status, StatusCode: r.Status,
		Proto: r.Proto, ProtoMajor: v.major, ProtoMinor: v.minor,
		Header: v.newHeader(age), ContentLength: r.Size,
		Uncompressed: r.Uncompressed, TLS: v.connection.state(r.TLS),
	}
	resp := &h.resp
	if r.Trailer != nil {
		resp.Trailer = r.Trailer.Clone()
	}
	if x.rule.Filter != nil {
		resp.Body, resp.Request = http.NoBody, x.req
		if !x.rule.Filter(resp) {
			c.remove(context.WithoutCancel(x.req.Context()), x, r.Key, c.idsOf(r)...)
			return nil
		}
	}
	if !c.fill(x, r, h) {
		return nil
	}
	return c.answerWith(x, resp, &h.decided)
}

// fill gives the response its body, or the part of it that the request asks for. It returns false if the body is gone.
func (c *Cache) fill(x *exchange, r *store.Record, h *hit) bool {
	resp := &h.resp
	resp.Body = http.NoBody
	reqHeader := x.req.Header
	if r.Status == http.StatusOK && x.reads() && rfc9111.NotModified(reqHeader, c.readingOf(r).alone[0]) {
		notModified(resp)
		return true
	}
	if x.rr.Method == http.MethodHead {
		if r.Method == http.MethodHead {
			resp.ContentLength = r.Length
		} else {
			delete(resp.Header, "Content-Digest") // is of the content of this very message (RFC 9530 §2)
		}
		return true
	}
	if reqHeader["Range"] != nil && r.Status == http.StatusOK && x.reads() {
		parts, status := rfc9111.Ranges(reqHeader, c.readingOf(r).alone[0], r.Size)
		if status != http.StatusOK {
			return c.fillRange(x, r, resp, parts, status)
		}
	}
	switch {
	case r.Size == 0:
	case r.Body != nil:
		h.body.rest = r.Body
		resp.Body = &h.body
	default:
		body, err := c.seekable(x, r)
		if err != nil {
			return false
		}
		resp.Body = &storedBody{c: c, x: x.brief(), r: r, rc: body, left: rfc9111.Part{Length: r.Size}}
	}
	return true
}

// notModified makes resp the 304 that answers the caller's own condition (RFC 9110 §15.4.5).
func notModified(resp *http.Response) {
	resp.StatusCode, resp.Status = http.StatusNotModified, statusText(http.StatusNotModified)
	resp.ContentLength = 0
	resp.Uncompressed = false
	resp.Trailer = nil
	for _, name := range [...]string{"Content-Length", "Content-Type", "Content-Encoding", "Content-Language", "Content-Range", "Content-Digest"} {
		delete(resp.Header, name)
	}
}

// fields has a header as a list, for hits from the second one on: copying that takes two thirds of the time of walking
// through a map (go test -bench NewHeader). The first hit does not make it, since many responses have one hit or none.
type fields struct {
	used   atomic.Bool
	once   sync.Once
	all    []field
	values []string // of all fields, one after the other
}

type field struct {
	name string
	end  int // of its values
}

// newHeader returns a copy of the stored header that shares nothing with it, with the Age field.
func (v *reading) newHeader(age time.Duration) http.Header {
	h, f := v.parsed.Header, &v.header
	out := make(http.Header, len(h)+1)
	var values []string // of all fields, in one array
	if f.used.Load() {
		f.once.Do(func() { f.list(h) })
		values = make([]string, len(f.values), len(f.values)+1)
		copy(values, f.values)
		start := 0
		for _, field := range f.all {
			out[field.name] = values[start:field.end:field.end]
			start = field.end
		}
	} else {
		f.used.Store(true)
		values = make([]string, 0, len(h)+1) // or more arrays, where fields have several values
		for name, vv := range h {
			start := len(values)
			values = append(values, vv...)
			out[name] = values[start:len(values):len(values)]
		}
	}
	values = append(values, strconv.FormatInt(int64(age/time.Second), 10))
	out["Age"] = values[len(values)-1:]
	return out
}

func (f *fields) list(h http.Header) {
	f.all, f.values = make([]field, 0, len(h)), make([]string, 0, len(h))
	for name, vv := range h {
		f.values = append(f.values, vv...)
		f.all = append(f.all, field{name, len(f.values)})
	}
}

// memoryBody is a body that is all in memory. It never shows the memory itself to its reader.
type memoryBody struct {
	rest   []byte
	closed atomic.Bool // a caller may close while another of its goroutines reads
}

func (b *memoryBody) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *memoryBody) Close() error {
	b.closed.Store(true)
	return nil
}

// storedBody is a body that is read from the store as the caller reads it.
type storedBody struct {
	c *Cache
	x *exchange
	r *store.Record

	mu      sync.Mutex // a caller may close while another of its goroutines reads
	rc      io.ReadCloser
	end     error                              // what Read returns from now on; rc is closed, unless writing is set
	writing bool                               // WriteTo uses rc, and closes it if b was closed meanwhile
	left    rfc9111.Part                       // what is still to be read, if that is one run of the stored body
	resumed bool                               // it goes on from the origin, or that was tried
	giveUp  atomic.Pointer[context.CancelFunc] // ends the request for the rest; nil: there is none
}

func (b *storedBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.end != nil {
		return 0, b.end
	}
	if b.writing {
		return 0, errors.New("larder: Read during WriteTo")
	}
	n, err := b.rc.Read(p)
	return n, b.over(int64(n), err)
}

// over notes that n bytes were read, and how that ended. It returns the error for the reader; nil if the origin
// continues the body.
func (b *storedBody) over(n int64, err error) error {
	b.advance(n)
	switch {
	case err == nil || err == io.EOF:
	case b.resumed:
		err = fmt.Errorf("larder: reading the rest of %s from the origin: %w", b.x.target.url, err)
	default:
		b.c.failed("read", b.x, err)
		if errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrNotFound) {
			remove := func(ctx context.Context) error { return b.c.store.Delete(ctx, b.r.Key, b.c.idsOf(b.r)...) }
			b.c.failed("delete", b.x, b.c.within(context.WithoutCancel(b.x.req.Context()), remove))
		}
		err = b.resume(fmt.Errorf("larder: reading the stored body of %s: %w", b.x.target.url, err))
	}
	if err != nil && b.end == nil { // not every caller closes a body after its end
		b.end = err
		b.rc.Close()
	}
	return err
}

// advance notes that n bytes were read.
func (b *storedBody) advance(n int64) {
	if b.left.Length > 0 {
		b.left.Start, b.left.Length = b.left.Start+n, b.left.Length-n
	}
}

func (b *storedBody) Close() error {
	b.endRest() // a Read that holds the lock may be waiting for it
	b.mu.Lock()
	defer b.mu.Unlock()
	ended := b.end != nil
	b.end = http.ErrBodyReadAfterClose
	b.endRest() // of a resume that has begun meanwhile
	if ended || b.writing {
		return nil
	}
	return b.rc.Close()
}

// brief returns the part of x that is needed to report trouble with its body.
func (x *exchange) brief() *exchange {
	return &exchange{req: x.req, rr: x.rr, target: x.target}
}

// seekable returns the body of r, wherever it is.
func (c *Cache) seekable(x *exchange, r *store.Record) (io.ReadSeekCloser, error) {
	if r.Body != nil || r.Size == 0 {
		return nopSeekCloser{bytes.NewReader(r.Body)}, nil
	}
	if a := c.readingOf(r).assembly; a != nil {
		return c.openParts(x, a, c.wanted(x, a))
	}
	return c.open(x, r)
}

// nopSeekCloser hides the WriterTo of a bytes.Reader, which would show the stored bytes themselves.
type nopSeekCloser struct{ io.ReadSeeker }

func (nopSeekCloser) Close() error { return nil }
