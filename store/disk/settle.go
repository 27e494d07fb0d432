package disk

import (
	"context"
	"sync"
)

// changes is held for reading between a change to the files and its entry in the ledger, by all Stores of the process.
var changes sync.RWMutex

// counted is what was found in the directory, and what the ledger said before that.
type counted struct {
	tally
	before, moved tally
}

func (s *Store) begin() (c counted) {
	c.before, c.moved = s.usage.now()
	return c
}

// off returns by how much the ledger is off, beyond what may come from changes that were made while c was counted.
func (s *Store) off(c counted) tally {
	changes.Lock() // until what is seen in the files is entered
	_, moved := s.usage.now()
	changes.Unlock()
	return tally{
		bytes:   beyond(c.bytes-c.before.bytes, moved.bytes-c.moved.bytes),
		records: beyond(c.records-c.before.records, moved.records-c.moved.records),
	}
}

// beyond returns n, or 0 if that is within the bound.
func beyond(n, bound int64) int64 {
	if max(n, -n) <= bound {
		return 0
	}
	return n
}

// settle puts the ledger right if two counts in a row say that it is off, for the first may have seen what another process
// was about to enter. It returns what it added to the bytes. A count that is not complete ends it.
func (s *Store) settle(count func() (c counted, complete bool)) (added int64) {
	var offs [2]tally
	for i := range offs {
		c, complete := count()
		if !complete {
			return 0
		}
		if offs[i] = s.off(c); offs[i] == (tally{}) {
			return 0
		}
	}
	change := tally{nearer(offs[0].bytes, offs[1].bytes), nearer(offs[0].records, offs[1].records)}
	if change != (tally{}) {
		s.usage.add(change.bytes, change.records)
	}
	return change.bytes
}

// nearer returns the one that is nearer to 0, and 0 if that is between them.
func nearer(a, b int64) int64 {
	switch {
	case a > 0 && b > 0:
		return min(a, b)
	case a < 0 && b < 0:
		return max(a, b)
	}
	return 0
}

// recount counts what is there for a ledger that has just begun.
func (s *Store) recount() (err error) {
	s.settle(func() (c counted, complete bool) {
		c, err = s.count(context.Background(), func(place, *group) bool { return false })
		return c, err == nil
	})
	return err
}
