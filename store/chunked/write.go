package chunked

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/larder-go/larder/store"
)

const (
	// piecesOutlive is how much longer than their record the pieces of a body are kept: Updates can move the record's
	// KeepUntil so far. keptOutlive is the same for a Keeper, whose pieces are moved along.
	piecesOutlive = 30 * 24 * time.Hour
	keptOutlive   = time.Hour
	// signEvery is how old a writer's sign of life may grow; one that is orphanAge old does not count.
	signEvery = time.Minute
	orphanAge = time.Hour

	signItem = "w"
)

// writer fills one piece after the other, and puts several of them at once. It holds the last ones for ReadAt.
type writer struct {
	s      *Store
	ctx    context.Context
	cancel context.CancelFunc
	record *store.Record // as given to Create
	dig    string
	group  string
	seed   uint32    // checksum of the ID
	until  time.Time // when the pieces expire

	marks  []Row     // the entries in the indexes
	marked error     // the error of putting them, to be read after waiting for puts
	since  time.Time // when they were put
	slots  chan struct{}
	puts   sync.WaitGroup
	reads  sync.WaitGroup // the fetches of ReadAt
	signed time.Time

	mu      sync.Mutex
	piece   []byte // being filled
	written int64
	held    held // the pieces before it
	err     error
	done    bool // committed
	unclear bool // the record may be there, though Commit failed
	closed  bool
}

// Create is described at store.Store.
func (s *Store) Create(ctx context.Context, r *store.Record) (store.Writer, error) {
	if s.opts.MaxBody > 0 && r.Size > s.opts.MaxBody {
		return nil, s.tooLarge(r)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("create record %s: %w", r.ID, err)
	}
	w := &writer{
		s: s, record: r, dig: digest(r.Key), seed: store.Checksum(0, r.ID[:]),
		since: time.Now(), slots: make(chan struct{}, s.opts.Parallel),
	}
	w.ctx, w.cancel = context.WithCancel(ctx)
	w.group = bodyGroup(w.dig, r.ID)
	w.until = s.piecesEnd(r)
	w.held.room = 2 * s.opts.Parallel
	w.marks = marks(w.dig, r)
	w.puts.Go(func() { w.marked = s.put(w.ctx, w.marks) })
	if r.Size > 0 {
		w.piece = make([]byte, 0, min(r.Size, InlineMax)+sumSize)
	}
	return w, nil
}

func (s *Store) tooLarge(r *store.Record) error {
	return fmt.Errorf("create record %s: a body of more than %d bytes: %w", r.ID, s.opts.MaxBody, store.ErrTooLarge)
}

var errDone = errors.New("the write has ended")

// Write is described at store.Writer.
func (w *writer) Write(p []byte) (n int, err error) {
	for {
		w.mu.Lock()
		switch {
		case w.closed:
			err = os.ErrClosed
		case w.err != nil:
			err = w.err
		case w.done:
			err = errDone
		case w.s.opts.MaxBody > 0 && w.written+int64(len(p)) > w.s.opts.MaxBody:
			w.err = w.s.tooLarge(w.record)
			err = w.err
		}
		if err != nil || len(p) == 0 {
			w.mu.Unlock()
			return n, err
		}
		full := len(w.piece) == w.s.opts.Chunk
		if !full {
			k := w.fill(p)
			n, p = n+k, p[k:]
		}
		w.mu.Unlock()
		if full { // and more follows: a body of InlineMax or less is not put in pieces
			if err := w.flush(); err != nil {
				return n, err
			}
		}
	}
}

// fill appends as much of p as fits into the piece, and returns how much that is. The mutex is held.
func (w *writer) fill(p []byte) int {
	size := w.s.opts.Chunk
	n := min(len(p), size-len(w.piece))
	if need := len(w.piece) + n + sumSize; need > cap(w.piece) {
		grown := make([]byte, len(w.piece), min(max(2*need, 4<<10), size+sumSize))
		copy(grown, w.piece)
		w.piece = grown
	}
	w.piece = append(w.piece, p[:n]...)
	w.written += int64(n)
	return n
}

// flush begins to put the piece. It waits while too many puts are under way.
func (w *writer) flush() error {
	select {
	case w.slots <- struct{}{}:
	case <-w.ctx.Done():
		return w.failed(context.Cause(w.ctx))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	number, b := w.number(), w.piece
	w.held.add(number, &piece{b: b, pinned: true})
	w.piece = nil
	sign, when := time.Since(w.signed) > signEvery, IfPresent
	if w.signed.IsZero() {
		when = Always
	}
	if sign {
		w.signed = time.Now()
	}
	w.puts.Go(func() {
		var err error
		if sign {
			err = w.sign(when)
		}
		if err == nil {
			err = w.s.table.Put(w.ctx, Row{w.group, pieceItem(number), seal(b, w.seed, number), w.until}, Always)
		}
		if err != nil {
			w.failed(err)
		}
		w.mu.Lock()
		w.held.unpin(number)
		w.mu.Unlock()
		<-w.slots
	})
	return nil
}

// number returns the number of the piece that is being filled. The mutex is held.
func (w *writer) number() int64 { return (w.written - int64(len(w.piece))) / int64(w.s.opts.Chunk) }

// sign tells other processes that somebody writes the body, so that Sweep leaves it alone. Except for the first time,
// it fails if Sweep has taken the body for an orphan.
func (w *writer) sign(when When) error {
	return w.s.table.Put(w.ctx, sign(w.group, w.until), when)
}

// failed keeps the first error, and returns it.
func (w *writer) failed(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = fmt.Errorf("write record %s: %w", w.record.ID, err)
	}
	return w.err
}

// ReadAt is described at store.Writer.
func (w *writer) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("read back record %s: position %d is before its start", w.record.ID, off)
	}
	for n < len(p) {
		b, err := w.at(off + int64(n))
		if err != nil {
			return n, err
		}
		n += copy(p[n:], b)
	}
	return n, nil
}

// at returns written bytes from off to the end of their piece.
func (w *writer) at(off int64) ([]byte, error) {
	size := int64(w.s.opts.Chunk)
	number, within := off/size, off%size
	w.mu.Lock()
	switch {
	case w.closed:
		w.mu.Unlock()
		return nil, os.ErrClosed
	case off >= w.written:
		w.mu.Unlock()
		return nil, io.EOF
	case len(w.piece) > 0 && number == w.number():
		defer w.mu.Unlock()
		return w.piece[within:], nil
	}
	p := w.held.get(number)
	if p == nil {
		p = w.s.fetch(w.ctx, &w.reads, w.group, w.seed, number)
		w.held.add(number, p)
	}
	length := min(size, w.written-number*size)
	w.mu.Unlock()
	b, err := p.bytes(number, length)
	if err != nil {
		w.mu.Lock()
		w.held.drop(number, p)
		w.mu.Unlock()
		return nil, fmt.Errorf("read back record %s: %w", w.record.ID, err)
	}
	return b[within:], nil
}

// Commit is described at store.Writer. An error may leave the record visible for a moment.
func (w *writer) Commit(r *store.Record, superseded ...store.ID) error {
	body, err := w.finish(r)
	var row Row
	if err == nil {
		row, err = recordRow(w.dig, r, body, w.until)
	}
	if err != nil {
		return fmt.Errorf("commit record %s: %w", r.ID, err)
	}
	if err := w.s.table.Put(w.ctx, row, Always); err != nil {
		w.mu.Lock()
		w.unclear = true
		w.mu.Unlock()
		w.s.later.run(func(ctx context.Context) { w.unput(ctx) })
		return fmt.Errorf("commit record %s: %w", r.ID, err)
	}
	w.mu.Lock()
	w.done = true
	w.mu.Unlock()
	if len(superseded) > 0 {
		w.supersede(r, superseded)
	}
	return nil
}

// unput removes the record that a failed Commit may have put.
func (w *writer) unput(ctx context.Context) error {
	return w.s.table.Delete(ctx, recordGroup(w.dig), w.record.ID.String())
}

// finish puts all that must be there before the record. It returns the body if that goes into the record's row.
func (w *writer) finish(r *store.Record) (body []byte, err error) {
	w.mu.Lock()
	switch {
	case w.closed:
		err = os.ErrClosed
	case w.err != nil:
		err = w.err
	case w.done:
		err = errDone
	case r.Key != w.record.Key || r.ID != w.record.ID:
		err = fmt.Errorf("begun for record %s of another key or id", w.record.ID)
	case r.Size != w.written:
		err = fmt.Errorf("%d bytes were written instead of %d", w.written, r.Size)
	}
	inline, rest := w.written <= InlineMax, w.piece
	w.mu.Unlock()
	switch {
	case err != nil:
		return nil, err
	case inline:
		body, w.until = rest, time.Time{}
	case len(rest) > 0:
		if err := w.flush(); err != nil {
			return nil, err
		}
	}
	w.puts.Wait()
	if w.marked != nil {
		return nil, w.marked
	}
	if now := marks(w.dig, r); time.Since(w.since) > signEvery || !sameRows(now, w.marks) {
		if err := w.s.put(w.ctx, now); err != nil {
			return nil, err
		}
	}
	if !inline && time.Since(w.signed) > signEvery {
		if err := w.sign(IfPresent); err != nil {
			return nil, err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return body, w.err
}

func sameRows(a, b []Row) bool {
	return slices.EqualFunc(a, b, func(a, b Row) bool { return a.Group == b.Group && a.Expires.Equal(b.Expires) })
}

// supersede removes the records that r replaces. r is there already, so Commit does not fail with the error. A record
// that cannot be removed keeps its body and can still be found.
func (w *writer) supersede(r *store.Record, ids []store.ID) {
	remove := func(ctx context.Context) error {
		if err := w.s.table.Delete(ctx, recordGroup(w.dig), items(ids)...); err != nil {
			return err
		}
		for _, id := range ids {
			old := r.Clone() // it usually has the same URL and tags
			old.ID = id
			w.s.later.run(func(ctx context.Context) { w.s.unmark(ctx, marks(w.dig, old)) })
			w.s.removeBody(w.dig, id)
		}
		return nil
	}
	if err := remove(w.ctx); err != nil {
		w.s.later.run(func(ctx context.Context) { remove(ctx) })
	}
}

// Close is described at store.Writer.
func (w *writer) Close() error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return nil
	}
	w.closed = true
	committed, unclear := w.done, w.unclear
	w.mu.Unlock()
	w.cancel()
	w.reads.Wait()
	if !committed {
		w.s.later.run(func(ctx context.Context) {
			w.puts.Wait()
			if unclear && w.unput(ctx) != nil {
				return // if it is there, it must be found by its URL and tags
			}
			w.s.table.Delete(ctx, w.group)
			w.s.unmark(ctx, w.marks)
		})
	}
	return nil
}
