package compressed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/larder-go/larder/internal/wrap"
	"github.com/larder-go/larder/store"
)

// inner has the methods of a Store that are not about bodies: Sweep, Size, Lease, Release, Local, Unwrap and Close.
type inner = wrap.Inner

// Store keeps records in another store, with their bodies compressed. Its methods are safe for concurrent use. It is a
// store.Finder, store.Sweeper, store.Sizer, store.Leaser and store.Local if the other store is one: see store.As. Close
// closes the other store, if it can be closed.
type Store struct {
	inner
	coder coder
}

// New returns a store that keeps its records in inner. Records that are there already stay readable.
func New(inner store.Store) *Store { return &Store{wrap.Inner{Store: inner}, newCoder()} }

// Lookup is described at store.Store. It unpacks a body of up to 64 KiB that came with its record; a longer one is
// unpacked as it is read. It returns records beside an error if the inner store does, as tiered.Store does while its
// back fails.
func (s *Store) Lookup(ctx context.Context, key store.Key) ([]*store.Record, error) {
	all, err := s.Store.Lookup(ctx, key)
	found := make([]*store.Record, 0, len(all))
	for _, in := range all {
		r, damage := s.unpacked(in)
		if damage != nil {
			err = errors.Join(err, wrap.Remove(ctx, s.Store, in, damage))
			continue
		}
		found = append(found, r)
	}
	if err != nil {
		err = fmt.Errorf("compressed: look up: %w", err)
	}
	return found, err
}

// unpacked returns the record that in was made of, with its body if that came with in and has no more than 64 KiB.
func (s *Store) unpacked(in *store.Record) (*store.Record, error) {
	if len(in.Header[indexField]) == 0 {
		return in, nil
	}
	h := headOf(in)
	switch {
	case h.err != nil || in.Body == nil:
		return h.r, h.err
	case h.index == nil:
		return h.r.WithBody(in.Body, in.Size), nil
	case h.index.size > inlineMax:
		return h.r, nil
	}
	body := make([]byte, h.index.size)
	if err := s.coder.unpack(body, in.Body); err != nil {
		return nil, fmt.Errorf("body of record %v: %w", in.ID, err)
	}
	return h.r.WithBody(body, h.r.Size), nil
}

// head is what the header of an inner record with the index field says.
type head struct {
	index *index        // nil: the body is plain
	r     *store.Record // as it was stored, without its body
	err   error
}

// headOf is decodeHead, but decodes only once while the inner store has the record in memory.
func headOf(in *store.Record) head {
	if h, ok := in.Derived(func(in *store.Record) any { return decodeHead(in) }).(head); ok {
		return h
	}
	return decodeHead(in) // another user of the inner store was first to derive something
}

func decodeHead(in *store.Record) head {
	r := in.Clone()
	encoded := ""
	encoded, r.Header = cutIndex(in.Header)
	r.Body = nil
	if encoded == "" {
		return head{r: r}
	}
	x, err := decodeIndex(encoded, in.Size)
	if err != nil {
		return head{err: fmt.Errorf("record %v: %w", in.ID, err)}
	}
	r.Size = x.size
	return head{index: x, r: r}
}

// Open is described at store.Store. It looks the record up, to find out how its body is packed.
func (s *Store) Open(ctx context.Context, r *store.Record) (io.ReadSeekCloser, error) {
	b, err := s.open(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("compressed: open the body of %v: %w", r.ID, err)
	}
	return b, nil
}

func (s *Store) open(ctx context.Context, r *store.Record) (io.ReadSeekCloser, error) {
	in, err := wrap.Record(ctx, s.Store, r.Key, r.ID)
	if err != nil {
		return nil, err
	}
	if len(in.Header[indexField]) == 0 {
		return s.Store.Open(ctx, in)
	}
	h := headOf(in)
	switch {
	case h.err != nil:
		return nil, wrap.Remove(ctx, s.Store, in, h.err)
	case h.index == nil:
		return s.Store.Open(ctx, in)
	}
	b := &reader{coder: s.coder, id: in.ID, index: h.index, held: -1}
	b.damaged = func(err error) error { return wrap.Remove(ctx, s.Store, in, err) }
	if in.Body != nil {
		b.in = nopCloser{bytes.NewReader(in.Body)}
	} else if b.in, err = s.Store.Open(ctx, in); err != nil {
		return nil, err
	}
	return b, nil
}

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }

// Update is described at store.Store. It looks the record up, to find out how its body is packed.
func (s *Store) Update(ctx context.Context, r *store.Record) error {
	in, err := wrap.Record(ctx, s.Store, r.Key, r.ID)
	if err == nil {
		index := ""
		if v := in.Header[indexField]; len(v) > 0 {
			index = v[0]
		}
		err = s.Store.Update(ctx, innerRecord(r, index, in.Size))
	}
	if err != nil {
		return fmt.Errorf("compressed: update %v: %w", r.ID, err)
	}
	return nil
}

// Delete is described at store.Store.
func (s *Store) Delete(ctx context.Context, key store.Key, ids ...store.ID) error {
	if err := s.Store.Delete(ctx, key, ids...); err != nil {
		return fmt.Errorf("compressed: delete: %w", err)
	}
	return nil
}

// Find is described at store.Finder. The inner store judges all of q but Filter and Limit.
func (s *Store) Find(ctx context.Context, q store.Query) iter.Seq2[*store.Record, error] {
	return func(yield func(*store.Record, error) bool) {
		finder, err := wrap.As[store.Finder](s.inner, "Finder")
		if err != nil {
			yield(nil, fmt.Errorf("compressed: find: %w", err))
			return
		}
		rest := q
		rest.Filter, rest.Limit = nil, 0
		found := 0
		for in, err := range finder.Find(ctx, rest) {
			var r *store.Record
			if err == nil {
				if r, err = s.unpacked(in); err != nil {
					err = wrap.Remove(ctx, s.Store, in, err)
				}
			}
			if err == nil && !q.Match(r) {
				continue
			}
			if err != nil {
				r, err = nil, fmt.Errorf("compressed: find: %w", err)
			}
			if !yield(r, err) {
				return
			}
			if err == nil {
				found++
			}
			if q.Limit > 0 && found == q.Limit {
				return
			}
		}
	}
}
