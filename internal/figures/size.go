package figures

import (
	"sync"
	"time"
)

// Size is how much a store holds, by the last count. Many stores read everything for that, so counting takes a
// hundredth of the time at most. The zero value is ready. It is safe for concurrent use.
type Size struct {
	mu      sync.Mutex
	again   time.Time // when to count next
	records int
	bytes   int64
	err     error
}

// Of returns what count returns, or what it returned last.
func (s *Size) Of(count func() (records int, bytes int64, err error)) (records int, bytes int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if began := time.Now(); !began.Before(s.again) {
		s.records, s.bytes, s.err = count()
		s.again = time.Now().Add(100 * time.Since(began))
	}
	return s.records, s.bytes, s.err
}
