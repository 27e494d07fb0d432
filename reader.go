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

// reader is one caller's view of a download, from its first byte: a Response.Body.
type reader struct {
	d    *download
	ctx  context.Context
	resp *http.Response // the caller's, for its trailers
	stop func() bool    // of the AfterFunc that leaves when ctx ends

	pos    int64 // guarded by d.mu, as are the next three
	closed bool
	lagged bool
	index  int // in d.readers; -1: not there any more
}

// Read reads what is there, or waits for more.
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
			d.detach(r) // not every caller closes what it has read to the end
			d.mu.Unlock()
			r.ended(err)
			return 0, err
		}
		r.awaitMore(end)
	}
}

// refused returns why r gets no more; d.mu is held.
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

// ended does what is to be done when r has read the download to its end, which was err.
func (r *reader) ended(err error) {
	r.d.left()
	if r.stop != nil {
		r.stop()
	}
	if err == io.EOF && r.resp != nil {
		copyTrailer(r.resp, r.d.resp.Trailer)
	}
}

// awaitMore sees to it that what follows the chunk, which ends at end, is fetched, and waits until something has
// changed. It is called with d.mu held, and unlocks it.
func (r *reader) awaitMore(end int64) {
	d := r.d
	if !d.pulling && d.everybodyHas(end) {
		d.pulling = true
		if r.ctx.Done() == nil || d.came != nil && d.c.localStore { // this reader stays in any case, or it is soon over
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

// readBack reads what the store has taken already.
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
	case r.ctx.Err() != nil: // it has left meanwhile, and perhaps the writer is closed with it
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
	d.wake() // others may wait for this one
	d.mu.Unlock()
	d.left()
}

// arrival is a response that is under way, on its way to a caller as well: what it consists of in one piece of memory.
type arrival struct {
	resp    http.Response
	decided decided
	reader  reader
}

// join makes x's response of a download that is under way. It returns nil if that has no first bytes any more.
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
	if d.length == 0 && len(d.trailers) == 0 { // nobody need read or close what has no body
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

// copyTrailer fills in the trailers that resp announced, and those it did not.
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
