package disk

import (
	"context"
	"sync"
	"time"
)

// changes, which all Stores of the process share, is held for reading while the files and the ledger do not agree: from
// an entry to the file that it is for, and from the removal of a file to its entry.
var changes sync.RWMutex

// counted is the sum of the files found in the directory, and the ledger's sums from before the count.
type counted struct {
	tally
	before, moved tally
	unread        error // why some files could not be counted; nil: all were
}

func (s *Store) begin() (c counted) {
	changes.Lock() // wait until the files agree with the entries
	defer changes.Unlock()
	c.before, c.moved = s.usage.now()
	return c
}

// off returns by how much the ledger is off, beyond what changes made during the count may explain, and the ledger's
// moved sum. That the ledger says too much does not count if files could not be read, or while another process may have
// entered what it has not written yet (see quiet).
func (s *Store) off(c counted) (off, moved tally) {
	changes.Lock() // wait until the entries agree with the files
	_, moved = s.usage.now()
	changes.Unlock()
	off.bytes = beyond(c.bytes-c.before.bytes, moved.bytes-c.moved.bytes)
	off.records = beyond(c.records-c.before.records, moved.records-c.moved.records)
	if c.unread != nil || !s.usage.quiet() {
		off = tally{max(0, off.bytes), max(0, off.records)}
	}
	return off, moved
}

// beyond returns by how much n is outside -bound to bound.
func beyond(n, bound int64) int64 { return max(0, n-bound) + min(0, n+bound) }

// settle corrects the ledger if two counts in a row find it off: the first alone may have seen what another process was
// about to enter. It returns how many bytes it added to the sum. It gives up if a count fails.
func (s *Store) settle(count func() (counted, error)) (added int64, err error) {
	var offs [2]tally
	var moved tally
	for i := range offs {
		c, err := count()
		if err != nil {
			return 0, err
		}
		if offs[i], moved = s.off(c); offs[i] == (tally{}) {
			return 0, nil
		}
	}
	change := tally{nearer(offs[0].bytes, offs[1].bytes), nearer(offs[0].records, offs[1].records)}
	if change != (tally{}) && s.usage.correct(change, moved) {
		return change.bytes, nil
	}
	return 0, nil
}

// nearer returns the number that is nearer to 0, or 0 if they differ in sign.
func nearer(a, b int64) int64 {
	switch {
	case a > 0 && b > 0:
		return min(a, b)
	case a < 0 && b < 0:
		return max(a, b)
	}
	return 0
}

// recount corrects the ledger by what is there, without the remains that the count removes. It returns how many bytes
// it added to the sum.
func (s *Store) recount(alone time.Duration) (added int64, err error) {
	return s.settle(func() (counted, error) {
		return s.count(context.Background(), alone, func(place, *group) {})
	})
}
