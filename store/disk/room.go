package disk

import (
	"context"
	"fmt"

	"github.com/larder-go/larder/store"
)

// spend enters bytes and records in the ledger, within the limit, and calls write, which makes files that take so much
// more. It evicts other records if necessary. The error wraps store.ErrTooLarge if that does not help, because what is
// being written cannot be evicted. So each goroutine works in proportion to what it stores, and none works in the
// background. A write that fails must leave nothing.
func (s *Store) spend(bytes, records int64, write func() error) error {
	s.room.RLock()
	granted, err := s.reserve(bytes, records, s.max, write)
	s.room.RUnlock()
	if granted || err != nil {
		return err
	}
	s.room.Lock() // so that no other goroutine takes what is freed
	defer s.room.Unlock()
	for freed, half := int64(0), s.max/2; bytes <= s.max; {
		total, _ := s.usage.total()
		limit := s.max
		if total > limit && freed >= bytes+half { // the limit was lowered: the total comes down to it step by step
			limit = total + bytes
		}
		if granted, err := s.reserve(bytes, records, limit, write); granted || err != nil {
			return err
		}
		if freed > 2*bytes+half {
			break // other processes take what is freed
		}
		n, _ := s.evict(min(total-s.max, half-freed)+bytes, s.max/16)
		if now, _ := s.usage.total(); n == 0 && now >= total {
			break
		}
		freed += n
	}
	return fmt.Errorf("no room for %d bytes where the limit is %d: %w", bytes, s.max, store.ErrTooLarge)
}

// reserve calls write if the ledger grants the bytes and records, and returns its error.
func (s *Store) reserve(bytes, records, limit int64, write func() error) (granted bool, err error) {
	changes.RLock()
	defer changes.RUnlock()
	granted, err = s.usage.reserve(bytes, records, limit)
	if granted {
		if err = write(); err != nil {
			s.usage.add(-bytes, -records)
		}
	}
	return granted, err
}

// Size is described at store.Sizer. It reads the ledger, not the directory.
func (s *Store) Size(ctx context.Context) (records int, bytes int64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, 0, err
	}
	bytes, n := s.usage.total()
	return int(n), bytes, nil
}
