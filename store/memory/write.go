package memory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"unsafe"

	"github.com/larder-go/larder/store"
)

const (
	minSegment = 512
	maxSegment = 1 << 20  // also the most that is allocated on the word of a Content-Length
	inline     = 64 << 10 // a body up to this size that came in pieces is made one, which stands in the record
)

// body is the bytes of a body in segments. What was written is never changed.
type body [][]byte

func (b body) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, errors.New("memory: read at a negative offset")
	}
	for _, seg := range b {
		if off >= int64(len(seg)) {
			off -= int64(len(seg))
			continue
		}
		n += copy(p[n:], seg[off:])
		if n == len(p) {
			return n, nil
		}
		off = 0
	}
	return n, io.EOF
}

type reader struct{ *io.SectionReader }

func (reader) Close() error { return nil }

type writer struct {
	store    *Store
	ctx      context.Context
	id       store.ID
	expected int64 // -1: unknown

	reserved int64 // what the segments can hold
	state    state

	mu      sync.Mutex // for what ReadAt sees
	body    body       // until Commit, the last segment may be longer than what is written to it
	written int64
	closed  bool
	first   [1][]byte // where body begins
}

type state int

const (
	open state = iota
	failed
	committed
)

func (w *writer) Write(p []byte) (int, error) {
	if err := w.writable(); err != nil {
		return 0, fmt.Errorf("memory: write %v: %w", w.id, err)
	}
	if w.written+int64(len(p)) > w.store.maxBody() {
		w.state = failed
		return 0, fmt.Errorf("memory: write %v: more than %d bytes: %w", w.id, w.store.maxBody(), store.ErrTooLarge)
	}
	n := 0
	for n < len(p) {
		room, err := w.room(len(p) - n)
		if err != nil {
			w.state = failed
			return n, fmt.Errorf("memory: write %v: %w", w.id, err)
		}
		m := copy(room, p[n:]) // where ReadAt does not look yet
		w.mu.Lock()
		w.written += int64(m)
		w.mu.Unlock()
		n += m
	}
	return n, nil
}

func (w *writer) writable() error {
	switch {
	case w.closed:
		return errors.New("the writer is closed")
	case w.state == committed:
		return errors.New("the record is committed")
	case w.state == failed:
		return errors.New("an earlier Write or Commit failed")
	}
	return w.ctx.Err()
}

// room returns where the first of n bytes are to go: the rest of the last segment, or a new one.
func (w *writer) room(n int) ([]byte, error) {
	if left := w.reserved - w.written; left > 0 {
		last := w.body[len(w.body)-1]
		return last[int64(len(last))-left:], nil
	}
	size := max(int64(n), min(max(w.written/8, minSegment), maxSegment))
	if left := w.expected - w.written; left > 0 {
		size = min(left, maxSegment)
	}
	if err := w.reserve(size); err != nil {
		return nil, err
	}
	segment := make([]byte, size)
	w.mu.Lock()
	w.body = append(w.body, segment)
	w.mu.Unlock()
	return segment, nil
}

func (w *writer) reserve(n int64) error {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	if err := w.store.reserve(n, w.id.Time()); err != nil {
		return err
	}
	w.reserved += n
	return nil
}

func (w *writer) ReadAt(p []byte, off int64) (int, error) {
	w.mu.Lock()
	b, written, closed := w.body, w.written, w.closed
	w.mu.Unlock()
	switch {
	case closed:
		return 0, fmt.Errorf("memory: read back %v: the writer is closed", w.id)
	case off >= written:
		return 0, io.EOF
	case off+int64(len(p)) > written:
		n, err := b.ReadAt(p[:written-max(off, 0)], off)
		if err == nil {
			err = io.EOF
		}
		return n, err
	}
	return b.ReadAt(p, off)
}

// Commit is described at store.Writer. If bodies being written leave no room for the head, the error wraps
// store.ErrTooLarge.
func (w *writer) Commit(r *store.Record, superseded ...store.ID) error {
	if err := w.writable(); err != nil {
		return fmt.Errorf("memory: commit %v: %w", w.id, err)
	}
	if r.Size != w.written {
		return fmt.Errorf("memory: commit %v: Size is %d, but %d bytes were written", w.id, r.Size, w.written)
	}
	w.settle()
	body, whole := w.body, []byte(nil)
	if len(body) == 1 {
		body, whole = nil, body[0]
	}
	if err := w.store.insert(r.WithBody(whole, r.Size), body, w.reserved, superseded); err != nil {
		w.state = failed // what settle did cannot be done twice
		return fmt.Errorf("memory: commit %v: %w", w.id, err)
	}
	w.state = committed
	return nil
}

// settle ends the last segment where the body ends, and makes one segment of a small body. If segments have much more
// room than they need, it copies them to smaller ones.
func (w *writer) settle() {
	last := len(w.body) - 1
	waste := w.reserved - w.written
	if waste == 0 && (last <= 0 || w.written > inline) {
		return
	}
	b := slices.Clone(w.body)
	b[last] = b[last][:int64(len(b[last]))-waste]
	from := len(b) // the first segment to copy
	switch wasteful := waste > w.written/8; {
	case w.written <= inline && (last > 0 || wasteful):
		from = 0
	case wasteful:
		from = last
	}
	if from < len(b) {
		var size, held int64
		for _, segment := range b[from:] {
			size, held = size+int64(len(segment)), held+int64(cap(segment))
		}
		if w.reserve(size) == nil { // otherwise there is no room for the copy, and b stays as it is
			b = append(b[:from], slices.Concat(b[from:]...)[:size:size])
			w.reserved -= held
			w.store.release(held)
		}
	}
	w.mu.Lock()
	w.body = b
	w.mu.Unlock()
}

func (w *writer) Close() error {
	if w.closed {
		return nil
	}
	w.mu.Lock()
	w.closed, w.body = true, nil
	w.mu.Unlock()
	if w.state != committed {
		w.store.release(w.reserved)
	}
	return nil
}

const word = int(unsafe.Sizeof(uintptr(0)))

// headBytes estimates what a record takes beside its body: what it says, and what Go and this package need to
// hold that.
func headBytes(r *store.Record) int64 {
	const (
		fixed = int(unsafe.Sizeof(store.Record{})) + int(unsafe.Sizeof(entry{})) + 12*word // in the map, among the ghosts
		// What a larder.Cache derives from a record: the reading of its head, and a slot for each field.
		derived, derivedField = 60 * word, 5 * word
	)
	n := fixed + derived + derivedField*len(r.Header) + len(r.Key) + len(r.Method) + len(r.URL) + len(r.Proto) + headerBytes(r.Header) + headerBytes(r.Trailer) + headerBytes(r.Selecting)
	for _, tag := range r.Tags {
		n += 2*word + 100 + len(tag) // 100: among the tagged
	}
	if c := r.TLS; c != nil {
		n += int(unsafe.Sizeof(*c)) + len(c.ServerName) + len(c.Protocol)
		for _, cert := range c.Certificates {
			n += 3*word + len(cert)
		}
	}
	return int64(n)
}

func headerBytes(h http.Header) int {
	if h == nil {
		return 0
	}
	n := 6*word + (len(h)+7)/8*(8+8*5*word) // groups of eight slots
	for name, values := range h {
		n += len(name)
		for _, v := range values {
			n += 2*word + len(v)
		}
	}
	return n
}
