package chunked

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/larder-go/larder/store"
)

const leaseItem = "l"

// Lease is described at store.Leaser. If two ask at the very moment when a lease ends, both may get it, since it is
// read first and then renewed.
func (s *Store) Lease(ctx context.Context, key store.Key, holder store.ID, ttl time.Duration) (held bool, err error) {
	now := time.Now()
	until := now.Add(ttl)
	row := Row{Group: leaseGroup(digest(key)), Item: leaseItem, Value: leaseValue(holder, until), Expires: until}
	err = s.table.Put(ctx, row, IfAbsent)
	if errors.Is(err, ErrPresent) {
		var by store.ID
		var ends time.Time
		by, ends, err = s.holder(ctx, row.Group)
		switch {
		case err != nil:
		case by == holder || ends.After(now.Add(max(ttl, store.LongLease))):
			err = s.table.Put(ctx, row, IfPresent)
		default:
			err = ErrPresent
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
	by, _, err := s.holder(ctx, group)
	switch {
	case err == nil && by == holder:
		err = s.table.Delete(ctx, group, leaseItem)
	case errors.Is(err, store.ErrNotFound):
		return nil
	}
	if err != nil {
		return fmt.Errorf("release %.12s: %w", digest(key), err)
	}
	return nil
}

func leaseValue(holder store.ID, until time.Time) []byte {
	return binary.BigEndian.AppendUint64(holder[:], uint64(until.UnixMilli()))
}

// holder returns who has the lease, and until when. The error wraps store.ErrNotFound if there is none. A row that is
// not a lease has no holder, and an end so late that it counts as ended.
func (s *Store) holder(ctx context.Context, group string) (by store.ID, until time.Time, err error) {
	rows, err := s.table.Get(ctx, group, leaseItem)
	switch {
	case err != nil:
		return by, until, err
	case len(rows) == 0:
		return by, until, store.ErrNotFound
	case len(rows[0].Value) != len(by)+8:
		return by, time.UnixMilli(math.MaxInt64), nil
	}
	n := copy(by[:], rows[0].Value)
	return by, time.UnixMilli(int64(binary.BigEndian.Uint64(rows[0].Value[n:]))), nil
}
