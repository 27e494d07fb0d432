package chunked

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"github.com/larder-go/larder/internal/seek"
	"github.com/larder-go/larder/store"
)

// piece is one piece of a body, which may be on its way.
type piece struct {
	came   chan struct{} // closed when b or err is there; nil: b is there
	b      []byte
	err    error
	pinned bool // it is not in the table yet
}

// fetch begins to read a piece. It adds the read to running.
func (s *Store) fetch(ctx context.Context, running *sync.WaitGroup, group string, seed uint32, number int64) *piece {
	p := &piece{came: make(chan struct{})}
	running.Go(func() {
		defer close(p.came)
		rows, err := s.table.Get(ctx, group, pieceItem(number))
		switch {
		case err != nil:
			p.err = err
		case len(rows) == 0:
			p.err = fmt.Errorf("piece %d of the body: %w", number, store.ErrNotFound)
		default:
			p.b, p.err = unseal(rows[0].Value, seed, number)
		}
	})
	return p
}

// wait returns when the piece is there, or the fetch has failed, for example because its context has ended.
func (p *piece) wait() {
	if p.came != nil {
		<-p.came
	}
}

// bytes waits for the piece and returns it, if it has the right length.
func (p *piece) bytes(number, length int64) ([]byte, error) {
	if p.wait(); p.err != nil {
		return nil, p.err
	}
	if int64(len(p.b)) != length {
		return nil, fmt.Errorf("piece %d of the body has %d bytes instead of %d: %w", number, len(p.b), length, store.ErrCorrupt)
	}
	return p.b, nil
}

// held has the pieces that are kept for reading back from a write: those not yet put, and the last used of the others.
type held struct {
	room    int
	pieces  map[int64]*piece
	numbers []int64 // the keys of pieces, the last used last
}

func (h *held) get(number int64) *piece {
	p := h.pieces[number]
	if p != nil {
		i := slices.Index(h.numbers, number)
		h.numbers = append(slices.Delete(h.numbers, i, i+1), number)
	}
	return p
}

func (h *held) add(number int64, p *piece) {
	if h.pieces == nil {
		h.pieces = make(map[int64]*piece)
	}
	h.pieces[number] = p
	h.numbers = append(h.numbers, number)
	for i := 0; len(h.numbers) > h.room && i < len(h.numbers)-1; {
		if old := h.numbers[i]; h.pieces[old].pinned {
			i++
		} else {
			h.drop(old, h.pieces[old])
		}
	}
}

func (h *held) unpin(number int64) { h.pieces[number].pinned = false }

// drop forgets p, if it is still held.
func (h *held) drop(number int64, p *piece) {
	if h.pieces[number] == p {
		delete(h.pieces, number)
		h.numbers = slices.DeleteFunc(h.numbers, func(n int64) bool { return n == number })
	}
}

// Open is described at store.Store. ctx holds for reading the body, too.
func (s *Store) Open(ctx context.Context, r *store.Record) (io.ReadSeekCloser, error) {
	b, err := s.open(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("open the body of %s: %w", r.ID, err)
	}
	return b, nil
}

func (s *Store) open(ctx context.Context, r *store.Record) (io.ReadSeekCloser, error) {
	dig := digest(r.Key)
	if r.Size <= InlineMax {
		found, err := s.lookup(ctx, dig, r.Key, r.ID)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, store.ErrNotFound
		}
		return &inlineBody{*bytes.NewReader(found[0].Body)}, nil
	}
	b := &body{s: s, dig: dig, id: r.ID, seed: store.Checksum(0, r.ID[:]), size: r.Size, pieces: make(map[int64]*piece)}
	b.ctx, b.cancel = context.WithCancel(ctx)
	first := s.fetch(b.ctx, &b.running, bodyGroup(dig, r.ID), b.seed, 0)
	if first.wait(); first.err != nil {
		b.Close()
		return nil, b.failed(first.err)
	}
	b.chunk = int64(len(first.b))
	b.pieces[0] = first
	return b, nil
}

// inlineBody reads a body that came with its record.
type inlineBody struct{ bytes.Reader }

func (b *inlineBody) Close() error {
	b.Reset(nil)
	return nil
}

// body reads a body in pieces, further ahead the longer it is read in order.
type body struct {
	s       *Store
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup // the fetches
	dig     string
	id      store.ID
	seed    uint32
	size    int64
	chunk   int64 // length of every piece but the last

	off    int64
	ahead  int64            // how many pieces to read ahead
	pieces map[int64]*piece // from the one at off on
	closed bool
}

func (b *body) Read(p []byte) (int, error) {
	switch {
	case b.closed:
		return 0, os.ErrClosed
	case b.off >= b.size:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	number, within := b.off/b.chunk, b.off%b.chunk
	got, err := b.piece(number)
	if err != nil {
		return 0, fmt.Errorf("read the body of %s: %w", b.id, b.failed(err))
	}
	n := copy(p, got[within:])
	b.off += int64(n)
	if b.off/b.chunk != number {
		delete(b.pieces, number)
		b.ahead = min(max(1, 2*b.ahead), int64(b.s.opts.Parallel))
	}
	return n, nil
}

// piece returns a piece, and begins to read those after it.
func (b *body) piece(number int64) ([]byte, error) {
	last := (b.size - 1) / b.chunk
	for n := number; n <= min(number+b.ahead, last); n++ {
		if b.pieces[n] == nil {
			b.pieces[n] = b.s.fetch(b.ctx, &b.running, bodyGroup(b.dig, b.id), b.seed, n)
		}
	}
	got, err := b.pieces[number].bytes(number, min(b.chunk, b.size-number*b.chunk))
	if err != nil {
		delete(b.pieces, number)
	}
	return got, err
}

// failed removes the record if its body turns out to be damaged, or to lack a piece.
func (b *body) failed(err error) error {
	if (errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrNotFound)) && !store.Inspecting(b.ctx) {
		b.s.later.run(func(ctx context.Context) {
			b.s.table.Delete(ctx, recordGroup(b.dig), b.id.String())
			b.s.table.Delete(ctx, bodyGroup(b.dig, b.id))
		})
	}
	return err
}

func (b *body) Seek(offset int64, whence int) (int64, error) {
	to, err := seek.To(b.off, b.size, offset, whence)
	if err != nil {
		return 0, fmt.Errorf("a body: %w", err)
	}
	if was, is := b.off/b.chunk, to/b.chunk; was != is {
		for n := range b.pieces {
			if n < is || n > is+b.ahead {
				delete(b.pieces, n)
			}
		}
		b.ahead = 0
	}
	b.off = to
	return to, nil
}

// Close cancels reading ahead, and waits until that has ended.
func (b *body) Close() error {
	b.closed = true
	b.cancel()
	b.running.Wait()
	clear(b.pieces)
	return nil
}
