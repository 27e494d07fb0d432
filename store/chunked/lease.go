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
		if err = s.heldBy(ctx, row.Group, holder); err == nil {
			err = s.table.Put(ctx, row, IfPresent)
		}
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

// Release is described at store.Leaser.
func (s *Store) Release(ctx context.Context, key store.Key, holder store.ID) error {
	group := leaseGroup(digest(key))
	err := s.heldBy(ctx, group, holder)
	switch {
	case err == nil:
		err = s.table.Delete(ctx, group, leaseItem)
	case errors.Is(err, store.ErrNotFound) || errors.Is(err, ErrPresent):
		return nil
	}
	if err != nil {
		return fmt.Errorf("release %.12s: %w", digest(key), err)
	}
	return nil
}

// heldBy returns nil if holder has the lease. The error wraps ErrPresent if another has it, and store.ErrNotFound if it is not there.
func (s *Store) heldBy(ctx context.Context, group string, holder store.ID) error {
	rows, err := s.table.Get(ctx, group, leaseItem)
	switch {
	case err != nil:
		return err
	case len(rows) == 0:
		return store.ErrNotFound
	case string(rows[0].Value) != string(holder[:]):
		return ErrPresent
	}
	return nil
}
