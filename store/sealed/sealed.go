package sealed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/larder-go/larder/internal/wrap"
	"github.com/larder-go/larder/store"
)

// inner has the methods of a Store that need no key: Sweep, Size, Local, Unwrap and Close.
type inner = wrap.Inner

// Store keeps sealed records in another store. Its methods are safe for concurrent use. It is a store.Finder,
// store.Sweeper, store.Sizer, store.Leaser and store.Local if the other store is one: see store.As. Close closes the
// other store, if it can be closed.
type Store struct {
	inner
	keys ring
}

// New returns a store that keeps records in inner: it seals with the first key, and opens what any of the keys sealed.
func New(inner store.Store, keys ...Key) (*Store, error) {
	ring, err := newRing(keys)
	if err != nil {
		return nil, err
	}
	return &Store{wrap.Inner{Store: inner}, ring}, nil
}

// Lookup is described at store.Store. It asks the inner store once for each key, and last for the key that seals: so,
// if a record is superseded meanwhile, it finds that one or the one in its place. It returns records beside an error if
// the inner store does, as tiered.Store does while its back fails.
func (s *Store) Lookup(ctx context.Context, key store.Key) ([]*store.Record, error) {
	var found []*store.Record
	var faults []error
	for _, k := range slices.Backward(s.keys) {
		all, err := s.Store.Lookup(ctx, k.name(key))
		if err != nil {
			faults = append(faults, err)
		}
		for _, in := range all {
			r, err := k.openWhole(in)
			if err != nil {
				faults = append(faults, wrap.Remove(ctx, s.Store, in, err))
				continue
			}
			found = append(found, r)
		}
	}
	if len(s.keys) > 1 {
		slices.SortFunc(found, func(a, b *store.Record) int { return b.ID.Compare(a.ID) })
	}
	if faults != nil {
		return found, fmt.Errorf("sealed: look up: %w", errors.Join(faults...))
	}
	return found, nil
}

// openWhole opens a record with its body, if that came with it.
func (k *key) openWhole(in *store.Record) (*store.Record, error) {
	r, err := k.openHead(in)
	if err != nil || r.Size == 0 || in.Body == nil {
		return r, err
	}
	b, err := k.openBody(in, r.Size)
	if err != nil {
		return nil, err
	}
	return r.WithBody(b, r.Size), nil
}

type openedHead struct {
	r   *store.Record
	err error
}

// openHead is open, but opens a head only once while the inner store has the record in memory.
func (k *key) openHead(in *store.Record) (*store.Record, error) {
	derived := in.Derived(func(in *store.Record) any {
		r, err := k.open(in)
		return openedHead{r, err}
	})
	if opened, ok := derived.(openedHead); ok {
		return opened.r, opened.err
	}
	return k.open(in) // another user of the inner store was first to derive something
}

// Open is described at store.Store. The body takes one buffer of 32 KiB, whatever its size.
func (s *Store) Open(ctx context.Context, r *store.Record) (io.ReadSeekCloser, error) {
	for _, k := range s.keys {
		in := &store.Record{Key: k.name(r.Key), ID: r.ID, Size: sealedSize(r.Size)}
		b, err := s.Store.Open(ctx, in)
		switch {
		case errors.Is(err, store.ErrNotFound):
			continue
		case err != nil:
			return nil, fmt.Errorf("sealed: open the body of %v: %w", r.ID, err)
		}
		damaged := func(err error) error { return wrap.Remove(ctx, s.Store, in, err) }
		return &reader{in: b, key: k, name: in.Key, id: r.ID, size: r.Size, next: -1, held: -1, damaged: damaged}, nil
	}
	return nil, fmt.Errorf("sealed: open the body of %v: %w", r.ID, store.ErrNotFound)
}

// Update is described at store.Store. It seals the new head with the key that the record was stored with. For that, and
// for its Size, which is bound to the head, it looks the record up.
func (s *Store) Update(ctx context.Context, r *store.Record) error {
	if err := s.update(ctx, r); err != nil {
		return fmt.Errorf("sealed: update %v: %w", r.ID, err)
	}
	return nil
}

func (s *Store) update(ctx context.Context, r *store.Record) error {
	for _, k := range s.keys {
		in, err := wrap.Record(ctx, s.Store, k.name(r.Key), r.ID)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		old, err := k.openHead(in)
		if err != nil {
			return wrap.Remove(ctx, s.Store, in, err)
		}
		r = r.Clone()
		r.Size = old.Size
		if in, err = k.seal(r); err != nil {
			return err
		}
		return s.Store.Update(ctx, in)
	}
	return store.ErrNotFound
}

// Delete is described at store.Store. It deletes the records, whichever key sealed them.
func (s *Store) Delete(ctx context.Context, key store.Key, ids ...store.ID) error {
	for _, k := range s.keys {
		if err := s.Store.Delete(ctx, k.name(key), ids...); err != nil {
			return fmt.Errorf("sealed: delete: %w", err)
		}
	}
	return nil
}

// Lease is described at store.Leaser. Stores with the same keys, in whatever order, share their leases.
func (s *Store) Lease(ctx context.Context, key store.Key, holder store.ID, ttl time.Duration) (held bool, err error) {
	return s.inner.Lease(ctx, s.leaseName(key), holder, ttl)
}

// Release is described at store.Leaser.
func (s *Store) Release(ctx context.Context, key store.Key, holder store.ID) error {
	return s.inner.Release(ctx, s.leaseName(key), holder)
}

func (s *Store) leaseName(of store.Key) store.Key {
	return slices.MinFunc(s.keys, func(a, b *key) int { return bytes.Compare(a.id[:], b.id[:]) }).name(of)
}

// Find is described at store.Finder. The inner store judges Key, ID, URL, Tag and the times; Find judges the rest of q
// by the opened heads. It passes over records that none of its keys sealed.
func (s *Store) Find(ctx context.Context, q store.Query) iter.Seq2[*store.Record, error] {
	return func(yield func(*store.Record, error) bool) {
		finder, err := wrap.As[store.Finder](s.inner, "Finder")
		if err != nil {
			yield(nil, fmt.Errorf("sealed: find: %w", err))
			return
		}
		found := 0
		for _, k := range s.keys {
			narrowed, byName := k.query(q)
			for in, err := range finder.Find(ctx, narrowed) {
				var r *store.Record
				if err == nil {
					r, err = s.openFound(ctx, in)
				}
				if err == nil && (r == nil || !q.Match(r)) {
					continue
				}
				if err != nil {
					err = fmt.Errorf("sealed: find: %w", err)
				}
				if !yield(r, err) || err != nil && !errors.Is(err, store.ErrCorrupt) {
					return
				}
				if err == nil {
					found++
				}
				if q.Limit > 0 && found == q.Limit {
					return
				}
			}
			if !byName { // then this key found the records of all keys
				return
			}
		}
	}
}

// query returns the part of q that the inner store can judge, and whether that has names that k gave.
func (k *key) query(q store.Query) (narrowed store.Query, byName bool) {
	narrowed = store.Query{ID: q.ID, Stale: q.Stale, Ended: q.Ended, Before: q.Before}
	if q.Key != "" {
		narrowed.Key = k.name(q.Key)
	}
	narrowed.URL, narrowed.Tag = k.alias('u', q.URL), k.alias('t', q.Tag)
	return narrowed, q.Key != "" || q.URL != "" || q.Tag != ""
}

// openFound opens the head of a record with the key that sealed it; nil if that is none of the store's.
func (s *Store) openFound(ctx context.Context, in *store.Record) (*store.Record, error) {
	b := sealedHead(in)
	if b == nil {
		return nil, nil
	}
	k := s.keys.withID(b[1:][:idSize])
	if k == nil {
		return nil, nil
	}
	r, err := k.open(in)
	if err != nil {
		return nil, wrap.Remove(ctx, s.Store, in, err)
	}
	return r, nil
}
