package larder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/larder-go/larder/store"
)

// chunkSize is how much of a body is read from the origin at once.
const chunkSize = 32 << 10

// When its last reader leaves a download early, it is finished all the same if little is left: at most restSize
// bytes, within restTime.
const (
	restSize = 64 << 10
	restTime = 2 * time.Second
	// maxBehind bounds how many downloads are finished, or have their beginnings kept in a distant store, after their last readers
	// have left; what others have begun is then dropped.
	maxBehind = 512
)

// lagTime is how long the readers of what cannot be stored wait for those who have not had the chunk that they have had.
const lagTime = 10 * time.Second

// errLagged is why a reader gets no more.
var errLagged = errors.New("larder: the body was read too slowly: it is not stored, and others waited for what comes next")

// errOutdated is why a response is not stored that was under way while an unsafe request changed what it is of.
var errOutdated = errors.New("it was invalidated on its way")

// errAbandoned is why a response is not stored whose readers all left early.
var errAbandoned = errors.New("every reader left before the end")

// download is one body on its way from the origin to any number of readers and into the store. Nothing pumps: a
// reader that wants bytes which nobody has yet starts a pull, one at a time, which writes the last chunk to the
// store and reads the next one from the origin; so no byte waits for the store that has come already. Readers
// further behind read back from the store's Writer, so that a slow one holds nobody back. Once the store has
// failed, or the body has grown too long for it, the next chunk waits until every reader has had this one, for lagTime at
// most: who has not by then gets an error.
type download struct {
	c          *Cache
	x          *exchange
	record     *store.Record // without Size and Trailer
	superseded []*store.Record
	resp       *http.Response // the origin's
	trailers   []string       // that it announced
	length     int64          // of the body; -1: unknown
	maxBody    int64          // 0: no limit
	flight     *flight
	digests    *digests
	writing    bounds // the store's trouble must not end the fetch

	mu      sync.Mutex
	changed chan struct{} // closed at the next change; nil: nobody waits
	chunk   []byte        // the bytes that came last, not yet written
	start   int64         // where chunk stands in the body
	came    error         // with chunk: io.EOF or what went wrong
	writer  store.Writer  // nil: not yet begun
	broken  bool          // nothing more is written
	written int64         // how much of the body the store has taken
	pulling bool
	lag     *time.Timer // leaves those behind who have not had chunk; nil: nobody waits for them
	err     error       // io.EOF or what went wrong, once the download has ended
	readers []*reader
	first   [1]*reader // where readers begin
	holds   int        // callers that may still become readers
	gone    bool       // nobody can become a reader any more
	tried   bool       // to be finished for nobody; once is enough
}

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

// attach makes r a reader, or returns false if there can be none any more since the body's first bytes are gone.
func (d *download) attach(ctx context.Context, r *reader, resp *http.Response) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone || d.broken && d.start > 0 {
		return false
	}
	r.d, r.ctx, r.resp, r.index = d, ctx, resp, len(d.readers)
	d.readers = append(d.readers, r)
	if ctx.Done() != nil {
		r.stop = context.AfterFunc(ctx, func() { r.leave() })
	}
	return true
}

// detach takes r out of the readers, if it is there; d.mu is held.
func (d *download) detach(r *reader) {
	if r.index < 0 {
		return
	}
	last := len(d.readers) - 1
	d.readers[r.index] = d.readers[last]
	d.readers[r.index].index = r.index
	d.readers[last], d.readers = nil, d.readers[:last]
	r.index = -1
}

// Read reads what is there, or waits for more.
func (r *reader) Read(p []byte) (int, error) {
	d := r.d
	for {
		d.mu.Lock()
		switch end := d.start + int64(len(d.chunk)); {
		case r.ctx.Err() != nil:
			d.mu.Unlock()
			return 0, r.ctx.Err()
		case r.closed:
			d.mu.Unlock()
			return 0, http.ErrBodyReadAfterClose
		case r.lagged:
			d.mu.Unlock()
			return 0, errLagged
		case len(p) == 0:
			d.mu.Unlock()
			return 0, nil
		case d.start <= r.pos && r.pos < end:
			n := copy(p, d.chunk[r.pos-d.start:])
			r.pos += int64(n)
			if d.broken {
				d.wake()
			}
			d.mu.Unlock()
			return n, nil
		case r.pos < d.start:
			w, n := d.writer, min(int64(len(p)), d.start-r.pos)
			d.mu.Unlock()
			return r.readBack(w, p[:n])
		case d.err != nil:
			err := d.err
			d.detach(r) // not every caller closes what it has read to the end
			d.mu.Unlock()
			d.left()
			if r.stop != nil {
				r.stop()
			}
			if err == io.EOF && r.resp != nil {
				copyTrailer(r.resp, d.resp.Trailer)
			}
			return 0, err
		case !d.pulling && d.everybodyHas(end):
			d.pulling = true
			if r.ctx.Done() == nil || d.came != nil && d.c.localStore { // this reader stays in any case, or it is soon over
				d.mu.Unlock()
				d.pull()
				continue
			}
			d.c.background.run(d.pull)
		}
		if d.changed == nil {
			d.changed = make(chan struct{})
		}
		if d.lag == nil && d.broken && !d.pulling {
			end := d.start + int64(len(d.chunk))
			d.lag = time.AfterFunc(lagTime, func() { d.leaveBehind(end) })
		}
		changed := d.changed
		d.mu.Unlock()
		select {
		case <-changed:
		case <-r.ctx.Done():
		}
	}
}

// leaveBehind lets go of the readers who have not had the chunk that ends there, if it is still the last.
func (d *download) leaveBehind(end int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pulling || end != d.start+int64(len(d.chunk)) {
		return
	}
	d.lag = nil // who becomes a reader from now on has as long
	for _, r := range slices.Clone(d.readers) {
		if r.pos < end {
			r.lagged = true
			d.detach(r)
		}
	}
	d.wake()
}

// waitNoMore ends the wait for those who have not had the chunk, since they have. d.mu is held.
func (d *download) waitNoMore() {
	if d.lag != nil {
		d.lag.Stop()
		d.lag = nil
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

// everybodyHas reports whether the chunk that ends at end may be forgotten: it is in the store, or all readers
// have had it.
func (d *download) everybodyHas(end int64) bool {
	if d.broken {
		if d.holds > 0 && d.start == 0 {
			return false
		}
		for _, r := range d.readers {
			if r.pos < end {
				return false
			}
		}
	}
	return true
}

func (d *download) wake() {
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
}

var chunks = sync.Pool{New: func() any { return new([chunkSize]byte) }}

// pull writes the chunk to the store, and reads the next one from the origin or, after the last, ends the download.
func (d *download) pull() {
	if len(d.chunk) > 0 && !d.broken { // only pulls change chunk, broken and came
		d.write(d.chunk, d.start+int64(len(d.chunk)))
	}
	if d.came != nil {
		d.end(d.came)
		return
	}
	d.mu.Lock()
	if !d.everybodyHas(d.start + int64(len(d.chunk))) { // the store has failed just now: this is the only copy
		d.pulling = false
		d.wake()
		d.mu.Unlock()
		d.left()
		return
	}
	d.start += int64(len(d.chunk))
	d.waitNoMore()
	if d.chunk == nil {
		d.chunk = chunks.Get().(*[chunkSize]byte)[:]
	}
	buf := d.chunk[:chunkSize]
	d.chunk = d.chunk[:0]
	d.mu.Unlock()

	n, err := d.more(buf)

	end := d.start + int64(n)
	switch {
	case err == nil && end == d.length && len(d.trailers) == 0:
		err = io.EOF
	case err == io.EOF && d.length >= 0 && end != d.length:
		err = io.ErrUnexpectedEOF
	}
	d.mu.Lock()
	d.chunk, d.came = buf[:n], err
	d.pulling = false
	d.wake()
	d.mu.Unlock()
	d.left()
}

// more reads from the origin.
func (d *download) more(buf []byte) (n int, err error) {
	defer recovered(&err)
	return d.resp.Body.Read(buf)
}

// write hands one chunk to the store; end is where it ends in the body.
func (d *download) write(p []byte, end int64) {
	d.digests.write(p)
	err := store.ErrTooLarge
	op := "create"
	if d.maxBody == 0 || end <= d.maxBody {
		if err = d.create(); err == nil {
			op = "write"
			err = d.writing.call(func() error { _, err := d.writer.Write(p); return err })
		}
	}
	if err == nil {
		d.written = end
	}
	if err != nil { // that it went well may say no more than that it was taken: the Commit will tell
		d.c.failed(op, d.x, err)
		d.mu.Lock()
		d.broken = true
		d.mu.Unlock()
		d.c.discarded(d.x, err)
	}
}

// create begins the write, unless it has begun.
func (d *download) create() error {
	if d.writer != nil {
		return nil
	}
	if !d.c.mayUse(d.x) {
		return errStoreRests
	}
	var w store.Writer
	err := d.writing.call(func() (err error) { w, err = d.c.store.Create(d.writing.ctx, d.record); return err })
	if err == nil {
		d.mu.Lock()
		d.writer = w
		d.mu.Unlock()
	}
	return err
}

// end concludes the download, once, by the pull under way or, if there is none, by the last reader to leave:
// with io.EOF it commits.
func (d *download) end(err error) {
	if err == io.EOF && !d.broken {
		if fault := d.commit(); fault != nil {
			d.c.discarded(d.x, fault)
		}
	} else if err != io.EOF && !d.broken && !d.keepBeginning() {
		d.c.discarded(d.x, err)
	}
	d.resp.Body.Close()
	d.c.land(d.flight) // before any reader sees the end
	d.flight.cancel()
	d.mu.Lock()
	d.err = err
	d.pulling = false
	d.waitNoMore()
	last := len(d.readers) == 0 && d.holds == 0
	d.wake()
	d.mu.Unlock()
	if last {
		d.release()
	}
}

// commit makes the whole response visible.
func (d *download) commit() error {
	r := d.record // whose Size and Trailer nobody else looks at
	r.Size = d.start + int64(len(d.chunk))
	if part, _ := d.c.readingOf(r).parsed.Part(); part.Length > 0 && part.Length != r.Size {
		return errors.New("its length is not that of its Content-Range")
	}
	if len(d.resp.Trailer) > 0 {
		r.Trailer = d.c.storedHeader(d.x, d.resp.Trailer)
	}
	err := d.digests.verify(d.resp.Trailer)
	if err != nil {
		return err
	}
	if err = d.create(); err != nil {
		d.c.failed("create", d.x, err)
		return err
	}
	return d.publish(r, d.superseded)
}

// publish makes r visible in the place of others, unless it is outdated.
func (d *download) publish(r *store.Record, superseded []*store.Record) error {
	d.flight.storing.Lock()
	defer d.flight.storing.Unlock()
	if d.flight.outdated.Load() {
		return errOutdated
	}
	err := d.put(r, superseded)
	d.c.failed("commit", d.x, err)
	if err == nil {
		d.c.emit(Event{Kind: StoredResponse, Method: d.x.rr.Method, URL: d.x.target.url, Status: r.Status,
			Decision: Decision{ID: r.ID}})
	}
	return err
}

// put commits r in the place of others, after the note by which it is found if it needs one.
func (d *download) put(r *store.Record, superseded []*store.Record) error {
	if n, needed := d.c.noteFor(d.x, r); needed {
		if err := d.c.takeNote(d.writing.ctx, d.x, n, r.KeepUntil); err != nil {
			return err
		}
	}
	var ids []store.ID
	var elsewhere []*store.Record
	for _, old := range superseded {
		if old.Key == r.Key {
			ids = append(ids, old.ID)
		} else {
			elsewhere = append(elsewhere, old)
		}
	}
	err := d.writing.call(func() error { return d.writer.Commit(r, ids...) })
	if err != nil {
		return err
	}
	for _, old := range elsewhere {
		remove := func(ctx context.Context) error { return d.c.store.Delete(ctx, old.Key, old.ID) }
		d.c.failed("delete", d.x, d.c.within(d.writing.ctx, remove))
	}
	return nil
}

// keepBeginning makes what has come of a response that broke off visible as a part (RFC 9111 §3.3), if it can be put together
// with the rest later. It returns false if it can't.
func (d *download) keepBeginning() bool {
	r := d.c.beginning(d.record, d.written)
	return r != nil && d.publish(r, d.c.supersededBy(d.x, r)) == nil
}

// release gives back what the download holds, when it has ended and its last reader has gone.
func (d *download) release() {
	d.mu.Lock()
	w, buf := d.writer, d.chunk
	d.writer, d.chunk, d.gone = nil, nil, true
	d.mu.Unlock()
	if w != nil {
		w.Close()
	}
	d.writing.end()
	if buf != nil {
		chunks.Put((*[chunkSize]byte)(buf[:chunkSize]))
	}
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

// hold keeps the download going for a caller that may become a reader. It returns false if it is being given up.
func (d *download) hold() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone {
		return false
	}
	d.holds++
	return true
}

// unhold takes back a hold: that caller reads by now, or never will.
func (d *download) unhold() {
	d.mu.Lock()
	d.holds--
	d.wake()
	d.mu.Unlock()
	d.left()
}

// left sees to a download that perhaps nobody reads any more.
func (d *download) left() {
	d.mu.Lock()
	ended, nobody := d.err != nil, len(d.readers) == 0 && d.holds == 0
	if !nobody || ended {
		d.mu.Unlock()
		if nobody {
			d.release()
		}
		return
	}
	had := d.start + int64(len(d.chunk))
	little := d.length-had <= restSize
	if d.length < 0 {
		little = had > 0
	}
	if !d.broken && little && !d.tried && d.flight.ctx.Err() == nil {
		d.holds++ // for the goroutine
		if d.c.behind(d.finish) {
			d.tried = true
			d.mu.Unlock()
			return
		}
		d.holds--
	}
	d.gone = true // who comes from now on asks anew
	pulling := d.pulling
	d.pulling = true // nobody else will
	d.mu.Unlock()
	switch {
	case pulling:
		d.flight.cancel() // ends the pull, which ends the download
	case d.c.localStore || d.written == 0:
		d.end(errAbandoned)
	case !d.c.behind(func() { d.end(errAbandoned) }): // in which what has come is perhaps kept
		d.c.discarded(d.x, errAbandoned)
		d.mu.Lock()
		d.broken = true
		d.mu.Unlock()
		d.end(errAbandoned)
	}
}

// behind does f after the callers have gone. It returns false if so much is being done for such callers that it is better left.
func (c *Cache) behind(f func()) bool {
	if c.behindNow.Add(1) > maxBehind {
		c.behindNow.Add(-1)
		return false
	}
	c.background.run(func() {
		defer c.behindNow.Add(-1)
		f()
	})
	return true
}

// finish reads the small rest of a body that nobody reads any more, or gives it up.
func (d *download) finish() {
	ctx, cancel := context.WithTimeout(d.flight.ctx, restTime)
	defer cancel()
	defer context.AfterFunc(d.c.abandoned, cancel)()
	r := new(reader)
	attached := d.attach(ctx, r, nil)
	d.unhold()
	if attached {
		d.mu.Lock()
		r.pos = d.start + int64(len(d.chunk))
		d.mu.Unlock()
		io.CopyN(io.Discard, r, restSize+1)
		r.Close() // which ends the download, unless somebody else reads it by now
	}
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
