package tiered

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/larder-go/larder/internal/wrap"
	"github.com/larder-go/larder/store"
)

// inner has the methods of a Store that ask the back alone: Size, Lease, Release, Local and Unwrap.
type inner = wrap.Inner

// Find is described at store.Finder. It lists the back.
func (s *Store) Find(ctx context.Context, q store.Query) iter.Seq2[*store.Record, error] {
	f, err := wrap.As[store.Finder](s.inner, "Finder")
	if err != nil {
		return func(yield func(*store.Record, error) bool) { yield(nil, fmt.Errorf("tiered: find: %w", err)) }
	}
	return f.Find(ctx, q)
}

// Sweep is described at store.Sweeper. It sweeps both stores, and returns how many records it removed from the back.
func (s *Store) Sweep(ctx context.Context, now time.Time) (removed int, err error) {
	removed, err = s.inner.Sweep(ctx, now)
	if front, ok := store.As[store.Sweeper](s.front); ok {
		front.Sweep(ctx, now) // what it leaves is not relied on
	}
	s.forget()
	return removed, err
}

// Close closes both stores, those that can be closed.
func (s *Store) Close() error {
	err := s.inner.Close()
	if c, ok := s.front.(io.Closer); ok {
		err = errors.Join(err, c.Close())
	}
	return err
}
