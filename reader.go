package larder

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/larder-go/larder/store"
)

// reader is the Response.Body of one caller: its view of a download, from the first byte.
type reader struct {
	d    *download
	ctx  context.Context
	resp *http.Response // the caller's response, for its trailers
	stop func() bool    // stops the AfterFunc that closes the reader when ctx ends

	pos    int64 // guarded by d.mu, like the next three
	closed bool
	lagged bool
	index  int // in d.readers; -1: not there
}

// Read returns bytes that have come, or waits for more.
func (r *reader) Read(p []byte) (int, error) {
	d := r.d
	for {
		d.mu.Lock()
		end := d.start + int64(len(d.chunk))
		switch err := r.refused(); {
		case err != nil || len(p) == 0:
			d.mu.Unlock()
			return 0, err
		case r.pos < d.start:
			w, n := d.writer, min(int64(len(p)), d.start-r.pos)
			d.mu.Unlock()
			return r.readBack(w, p[:n])
		case r.pos < end:
			n := copy(p, d.chunk[r.pos-d.start:])
			r.pos += int64(n)
			if d.broken {
				d.wake()
			}
			d.mu.Unlock()
			return n, nil
		case d.err != nil:
			err := d.err
			d.detach(r) // not every caller closes a body after its end
			d.mu.Unlock()
			r.ended(err)
			return 0, err
		}
		r.awaitMore(end)
	}
}

// refused returns why r gets no more bytes; nil: it does. d.mu is held.
func (r *reader) refused() error {
	switch {
	case r.ctx.Err() != nil:
		return r.ctx.Err()
	case r.closed:
		return http.ErrBodyReadAfterClose
	case r.lagged:
		return errLagged
	}
	return nil
}

// ended completes r when it has read the download to its end, which was err.
func (r *reader) ended(err error) {
	r.d.left()
	if r.stop != nil {
		r.stop()
	}
	if err == io.EOF && r.resp != nil {
		copyTrailer(r.resp, r.d.resp.Trailer)
	}
}

// awaitMore has the bytes after the chunk, which ends at end, fetched, and waits for a change. It is called with d.mu
// held, and unlocks it.
func (r *reader) awaitMore(end int64) {
	d := r.d
	if !d.pulling && d.everybodyHas(end) {
		d.pulling = true
		if r.ctx.Done() == nil || d.came != nil && d.c.localStore { // this reader cannot leave, or it will not take long
			d.mu.Unlock()
			d.pull()
			return
		}
		d.c.background.run(d.pull)
	}
	if d.changed == nil {
		d.changed = make(chan struct{})
	}
	if d.lag == nil && d.broken && !d.pulling {
		d.lag = time.AfterFunc(lagTime, func() { d.leaveBehind(end) })
	}
	changed := d.changed
	d.mu.Unlock()
	select {
	case <-changed:
	case <-r.ctx.Done():
	}
}

// readBack reads bytes that the store has already taken.
func (r *reader) readBack(w store.Writer, p []byte) (n int, err error) {
	d := r.d
	err = d.writing.call(func() (err error) { n, err = w.ReadAt(p, r.pos); return err })
	d.mu.Lock()
	r.pos += int64(n)
	closed := r.closed
	d.mu.Unlock()
	if n > 0 {
		return n, nil
	}
	switch {
	case r.ctx.Err() != nil: // the reader has left meanwhile, and the writer may be closed
		return 0, r.ctx.Err()
	case closed:
		return 0, http.ErrBodyReadAfterClose
	case err == nil || err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	d.c.failed("read back", d.x, err)
	return 0, fmt.Errorf("larder: reading back %s: %w", d.x.target.url, err)
}

// Close ends the caller's reading.
func (r *reader) Close() error {
	if r.stop != nil {
		r.stop()
	}
	r.leave()
	return nil
}

func (r *reader) leave() {
	d := r.d
	d.mu.Lock()
	if r.closed {
		d.mu.Unlock()
		return
	}
	r.closed = true
	d.detach(r)
	d.wake() // others may be waiting for this one
	d.mu.Unlock()
	d.left()
}

// arrival is what the response to a caller of a download consists of, in one allocation.
type arrival struct {
	resp    http.Response
	decided decided
	reader  reader
}

// join makes x's response from a download. It returns nil if the body's first bytes are gone.
func (c *Cache) join(x *exchange, d *download, decision Decision, leads bool) *http.Response {
	a := new(arrival)
	resp, r := &a.resp, &a.reader
	*resp = *d.resp
	resp.TLS = cloneState(d.resp.TLS)
	if leads {
		resp.Header = d.resp.Header
	} else {
		resp.Header = d.record.Header.Clone()
		resp.Header["Age"] = []string{strconv.FormatInt(int64(c.readingOf(d.record).alone[0].Age(c.now())/time.Second), 10)}
	}
	resp.Trailer = nil
	if len(d.trailers) > 0 {
		resp.Trailer = make(http.Header, len(d.trailers))
		for _, name := range d.trailers {
			resp.Trailer[name] = nil
		}
	}
	if !d.attach(x.req.Context(), r, resp) {
		return nil
	}
	resp.Body = r
	if d.length == 0 && len(d.trailers) == 0 { // callers need not read or close an empty body
		resp.Body = http.NoBody
		end := func() { io.Copy(io.Discard, r); r.Close() }
		if c.localStore {
			end()
		} else {
			c.background.run(end)
		}
	}
	parsed := c.readingOf(d.record).alone[0]
	decision.Stored = true
	decision.Key, decision.ID = d.record.Key, d.record.ID
	decision.Age, decision.Lifetime = parsed.Age(c.now()), c.policy().Lifetime(parsed)
	a.decided.decision = decision
	return c.answerWith(x, resp, &a.decided)
}

// copyTrailer fills in the trailers that resp announced, and adds the others.
func copyTrailer(resp *http.Response, trailer http.Header) {
	if len(trailer) == 0 {
		return
	}
	if resp.Trailer == nil {
		resp.Trailer = make(http.Header, len(trailer))
	}
	for name, vv := range trailer {
		resp.Trailer[name] = append([]string(nil), vv...)
	}
}
