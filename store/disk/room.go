package disk

import (
	"context"
	"fmt"

	"github.com/larder-go/larder/store"
)

// spend calls write, which is to bring about files that take so many bytes more, when the ledger has them and is within
// the limit. Others are evicted for it; the error wraps store.ErrTooLarge if that does not help, for what is being
// written cannot be. So a goroutine works in proportion to what it stores, and none works in the background. If write
// fails it must have left nothing.
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
		if total > limit && freed >= bytes+half { // it was lowered, and is come down to step by step
			limit = total + bytes
		}
		if granted, err := s.reserve(bytes, records, limit, write); granted || err != nil {
			return err
		}
		if freed > 2*bytes+half {
			break // other processes take it
		}
		n, _ := s.evict(min(total-s.max, half-freed)+bytes, s.max/16)
		if now, _ := s.usage.total(); n == 0 && now >= total {
			break
		}
		freed += n
	}
	return fmt.Errorf("no room for %d bytes where the limit is %d: %w", bytes, s.max, store.ErrTooLarge)
}

// reserve returns what write returns if it was granted.
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
