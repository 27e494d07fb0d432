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

// chunkSize is how much of a body is read from the origin at once, in bytes.
const chunkSize = 32 << 10

// When the last reader leaves a download early, it is finished all the same if little is left: at most restSize
// bytes, within restTime.
const (
	restSize = 64 << 10
	restTime = 2 * time.Second
	// maxBehind bounds how many downloads are finished, or have their beginnings stored in a distant store, after their
	// last readers have left. Beyond that, downloads are dropped.
	maxBehind = 512
)

// lagTime is how long the readers of a body that cannot be stored wait for the slower ones.
const lagTime = 10 * time.Second

// errLagged is the error of a reader that was too slow for a body that cannot be stored.
var errLagged = errors.New("larder: the body was read too slowly: it is not stored, and others waited for what comes next")

// errOutdated is why a response is not stored if an unsafe request changed the resource meanwhile.
var errOutdated = errors.New("it was invalidated on its way")

// errAbandoned is why a response is not stored if all of its readers left early.
var errAbandoned = errors.New("every reader left before the end")

// download is one body on its way from the origin to any number of readers and into the store. Readers drive it: the
// first one that wants bytes which have not come yet starts a pull, which writes the last chunk to the store and then
// reads the next one from the origin. So a byte that has come never waits for the store. Slower readers read back from
// the store's Writer, and hold nobody up. Once the store has failed, or the body has grown too long for it, the next
// chunk waits until every reader has had this one, for lagTime at most. A reader that has not had it by then gets an
// error.
type download struct {
	c          *Cache
	x          *exchange
	record     *store.Record // without Size and Trailer
	superseded []*store.Record
	resp       *http.Response // the origin's
	trailers   []string       // the names that it announced
	length     int64          // of the body in bytes; -1: unknown
	maxBody    int64          // 0: no limit
	flight     *flight
	digests    *digests
	noted      bool   // Cache.noted of x, which must not be asked once the caller may reuse its request
	writing    bounds // for the writes: a slow store must not end the fetch

	mu      sync.Mutex
	changed chan struct{} // closed at the next change; nil: nobody waits
	chunk   []byte        // the last bytes that came, not yet written
	start   int64         // the position of chunk in the body
	came    error         // the error that came with chunk, such as io.EOF
	writer  store.Writer  // nil: the write has not begun
	broken  bool          // no more is written
	written int64         // bytes of the body that the store has taken
	pulling bool
	lag     *time.Timer // ends the wait for readers who have not had chunk; nil: nobody waits for them
	err     error       // how the download has ended, io.EOF if well; nil: it has not
	readers []*reader
	first   [1]*reader // the array in which readers begins
	holds   int        // callers that may still become readers
	gone    bool       // no more readers can join
	tried   bool       // finishing it without readers was tried; once is enough
}

// attach makes r a reader. It returns false if the body's first bytes are gone.
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

// detach removes r from the readers, if it is one. d.mu is held.
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

// leaveBehind drops the readers who have not had the chunk that ends at end, if it is still the last one and another
// reader has had it.
func (d *download) leaveBehind(end int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pulling || end != d.start+int64(len(d.chunk)) {
		return
	}
	d.lag = nil // later readers have the whole time again
	if !slices.ContainsFunc(d.readers, func(r *reader) bool { return r.pos >= end }) {
		return // the reader who waited has left
	}
	for _, r := range slices.Clone(d.readers) {
		if r.pos < end {
			r.lagged = true
			d.detach(r)
		}
	}
	d.wake()
}

// waitNoMore stops the timer, since all readers have had the chunk. d.mu is held.
func (d *download) waitNoMore() {
	if d.lag != nil {
		d.lag.Stop()
		d.lag = nil
	}
}

// everybodyHas reports whether the chunk that ends at end may be dropped: it is in the store, or all readers have had
// it.
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

// pull writes the chunk to the store, and reads the next one from the origin. After the last one it ends the download.
func (d *download) pull() {
	defer d.panicked()
	if len(d.chunk) > 0 && !d.broken { // only pulls change chunk, broken and came
		d.write(d.chunk, d.start+int64(len(d.chunk)))
	}
	if d.came != nil {
		d.end(d.came)
		return
	}
	d.mu.Lock()
	if !d.everybodyHas(d.start + int64(len(d.chunk))) { // the store has just failed: this is the only copy
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

// write writes one chunk to the store; end is where it ends in the body.
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
	if err != nil { // success may mean only that the store has taken it: Commit tells
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

// end ends the download with err; io.EOF commits. It is called once: by the pull under way or, if there is none, by the
// last reader to leave.
func (d *download) end(err error) {
	defer d.panicked()
	if err == io.EOF && !d.broken {
		if fault := d.commit(); fault != nil {
			d.c.discarded(d.x, fault)
		}
	} else if err != io.EOF && !d.broken && !d.keepBeginning() {
		d.c.discarded(d.x, err)
	}
	d.over(err)
}

// panicked ends the download if the store or Observe panics. A server recovers from that, so nobody may wait for ever,
// and the origin's body must be closed.
func (d *download) panicked() {
	if p := recover(); p != nil {
		d.over(fmt.Errorf("larder: panic: %v", p))
		panic(p)
	}
}

// over ends the download for its readers, with err.
func (d *download) over(err error) {
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
	r := d.record // nobody else reads its Size and Trailer
	r.Size = d.start + int64(len(d.chunk))
	if part, _ := d.c.readingOf(r).parsed.Part(); part.Length > 0 && part.Length != r.Size {
		return errors.New("its length is not that of its Content-Range")
	}
	withoutSpace(d.resp.Trailer)
	if len(d.resp.Trailer) > 0 {
		r.Trailer = d.x.rule.withhold(d.c.policy().StoredHeader(d.resp.Trailer))
	}
	err := d.digests.verify(d.resp.Trailer)
	if err != nil {
		if d.x.rest != nil { // the stored parts of it may be the wrong ones
			whole := d.x.rest.of.whole
			d.c.remove(d.writing.ctx, d.x, whole.Key, d.c.idsOf(whole)...)
		}
		return err
	}
	if err = d.create(); err != nil {
		d.c.failed("create", d.x, err)
		return err
	}
	return d.publish(r, d.superseded)
}

// publish makes r visible in place of the superseded records, unless the flight is outdated.
func (d *download) publish(r *store.Record, superseded []*store.Record) error {
	return d.flight.store(r, func() error {
		err := d.put(r, superseded)
		d.c.failed("commit", d.x, err)
		if err == nil {
			d.c.emit(Event{Kind: StoredResponse, Method: d.x.rr.Method, URL: d.x.target.url, Status: r.Status,
				Decision: Decision{ID: r.ID}})
		}
		return err
	})
}

// put commits r in place of the superseded records, after the note by which it is found, if it needs one.
func (d *download) put(r *store.Record, superseded []*store.Record) error {
	if n, needed := d.noteFor(r); needed {
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

// keepBeginning stores the beginning of a response that broke off as a part (RFC 9111 §3.3). It returns false if it
// cannot be combined with the rest later.
func (d *download) keepBeginning() bool {
	r := d.c.beginning(d.record, d.written)
	return r != nil && d.publish(r, d.c.supersededBy(d.x, r)) == nil
}

// release closes the writer and frees the chunk when the download has ended and its last reader has left.
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

// unhold takes back a hold: the caller has become a reader, or never will.
func (d *download) unhold() {
	d.mu.Lock()
	d.holds--
	d.wake()
	d.mu.Unlock()
	d.left()
}

// left finishes or drops the download if nobody reads it any more.
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
	d.gone = true // later callers ask the origin themselves
	pulling := d.pulling
	d.pulling = true // so that nobody else does
	d.mu.Unlock()
	switch {
	case pulling:
		d.flight.cancel() // ends the pull, which ends the download
	case d.c.localStore || d.written == 0:
		d.end(errAbandoned)
	case !d.c.behind(func() { d.end(errAbandoned) }): // which may store the beginning
		d.c.discarded(d.x, errAbandoned)
		d.mu.Lock()
		d.broken = true
		d.mu.Unlock()
		d.end(errAbandoned)
	}
}

// behind runs f in the background, for callers who have left. It returns false if maxBehind already run.
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

// finish reads the small rest of a body that nobody reads any more, or gives up after restTime.
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
		r.Close() // ends the download, unless somebody else reads it by now
	}
}
