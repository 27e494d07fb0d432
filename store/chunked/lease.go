package chunked

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/larder-go/larder/store"
)

const leaseItem = "l"

// Lease is described at store.Leaser. Of two that ask in the moment in which it ends both may get it: it is asked and then renewed.
func (s *Store) Lease(ctx context.Context, key store.Key, holder store.ID, ttl time.Duration) (held bool, err error) {
	row := Row{Group: leaseGroup(digest(key)), Item: leaseItem, Value: holder[:], Expires: time.Now().Add(ttl)}
	err = s.table.Put(ctx, row, IfAbsent)
	if errors.Is(err, ErrPresent) {
		err = s.renew(ctx, row)
	}
	if errors.Is(err, store.ErrNotFound) { // it has just ended
		err = s.table.Put(ctx, row, IfAbsent)
	}
	switch {
	case errors.Is(err, ErrPresent):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("lease %.12s: %w", digest(key), err)
	}
	return true, nil
}

// renew puts a lease in the place of one of the same holder. The error wraps ErrPresent if another holds it, and
// store.ErrNotFound if nobody does.
func (s *Store) renew(ctx context.Context, row Row) error {
	rows, err := s.table.Get(ctx, row.Group, row.Item)
	switch {
	case err != nil:
		return err
	case len(rows) == 0:
		return store.ErrNotFound
	case string(rows[0].Value) != string(row.Value):
		return ErrPresent
	}
	return s.table.Put(ctx, row, IfPresent)
}

// Release is described at store.Leaser.
func (s *Store) Release(ctx context.Context, key store.Key, holder store.ID) error {
	group := leaseGroup(digest(key))
	held, err := s.holds(ctx, group, holder)
	if err == nil && held {
		err = s.table.Delete(ctx, group, leaseItem)
	}
	if err != nil {
		return fmt.Errorf("release %.12s: %w", digest(key), err)
	}
	return nil
}

func (s *Store) holds(ctx context.Context, group string, holder store.ID) (bool, error) {
	rows, err := s.table.Get(ctx, group, leaseItem)
	return len(rows) == 1 && string(rows[0].Value) == string(holder[:]), err
}
