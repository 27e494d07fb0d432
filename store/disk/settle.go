package disk

import (
	"context"
	"sync"
	"time"
)

// changes is held for reading while the files and the ledger do not agree, by all Stores of the process: from an entry
// to the file that it is for, and from the removal of a file to its entry.
var changes sync.RWMutex

// counted is what was found in the directory, and what the ledger said before that.
type counted struct {
	tally
	before, moved tally
	unread        error // there is more, that could not be read
}

func (s *Store) begin() (c counted) {
	changes.Lock() // until what is entered is seen in the files
	defer changes.Unlock()
	c.before, c.moved = s.usage.now()
	return c
}

// off returns by how much the ledger is off, beyond what may come from changes that were made while c was counted, and
// what had moved by then. That it says too much is not to be told from what another process has entered and not written
// yet, unless that is quiet.
func (s *Store) off(c counted) (off, moved tally) {
	changes.Lock() // until what is seen in the files is entered
	_, moved = s.usage.now()
	changes.Unlock()
	off.bytes = beyond(c.bytes-c.before.bytes, moved.bytes-c.moved.bytes)
	off.records = beyond(c.records-c.before.records, moved.records-c.moved.records)
	if c.unread != nil || !s.usage.quiet() {
		off = tally{max(0, off.bytes), max(0, off.records)}
	}
	return off, moved
}

// beyond returns what n has beyond the bound, on either side.
func beyond(n, bound int64) int64 { return max(0, n-bound) + min(0, n+bound) }

// settle puts the ledger right if two counts in a row say that it is off, for the first may have seen what another
// process was about to enter. It returns what it added to the bytes. A count that fails ends it.
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

// recount puts the ledger right by what is there, without what count removes. It returns what it added to the bytes.
func (s *Store) recount(alone time.Duration) (added int64, err error) {
	return s.settle(func() (counted, error) {
		return s.count(context.Background(), alone, func(place, *group) {})
	})
}
