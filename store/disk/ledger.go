package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/larder-go/larder/store"
)

// The ledger is how processes agree on how much the directory holds without counting it: a file to which each of them
// appends what it is about to write, and what it has removed. Appends of a few bytes do not tear each other, so the sum
// of all entries is the total, and nobody waits for anybody. What a process that dies has entered and not written, or
// removed and not entered, Sweep puts right by an entry of its own.
//
// Whoever is about to write may do so if the sum of all entries up to its own is within the limit; else it takes the
// entry back. So the files never take more: all of them have their entries up to that of the last who might, and what
// is counted down before that one is gone.
//
// A ledger that has grown long ends with a closing entry, and goes on in the file of the next number, which
// begins with the sum, and appears with it. Names are "usage-" and eight hexadecimal digits.
type ledger struct {
	mu     sync.Mutex
	top    string // the directory of the store
	file   *os.File
	number uint32
	off    int64 // what has been read
	tally
	moved  tally     // what came and went since the ledger was opened, without its sign
	others time.Time // when an entry of another Store was last read
}

type tally struct{ bytes, records int64 }

// An entry: int64 bytes, int64 records, 12 bytes of nothing, uint32 CRC-32C of these; big-endian. No entry lies on
// two pages: one that does can be seen half written. The closing entry has the number of records that no other has.
const (
	entrySize   = 32
	closing     = -1 << 63
	maxLedger   = 1 << 20
	usagePrefix = "usage-"
	maxNumber   = 1 << 31 // of a ledger; beyond it none is ours, and after it comes the first
)

func usageName(n uint32) string { return fmt.Sprintf("%s/%s%08x", version, usagePrefix, n) }

func encodeEntry(bytes, records int64) []byte {
	b := make([]byte, entrySize-4, entrySize)
	binary.BigEndian.PutUint64(b, uint64(bytes))
	binary.BigEndian.PutUint64(b[8:], uint64(records))
	return binary.BigEndian.AppendUint32(b, store.Checksum(0, b))
}

// openUsage makes the directory and opens the ledger. Where there are records but no ledger it counts them.
func (s *Store) openUsage() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	top, err := os.OpenRoot(s.dir)
	if err != nil {
		return err
	}
	defer top.Close()
	s.usage.top = s.dir
	s.usage.mu.Lock()
	made, err := s.usage.open(top)
	s.usage.mu.Unlock()
	if err != nil || !made {
		return err
	}
	_, err = s.recount(grace)
	return err
}

var errTurn = errors.New("the ledger ends here")

const toEnd = math.MaxInt64

// read adds up the entries before the given place that it has not seen. It returns errTurn at the closing entry, and at
// one that is damaged: every process then sees the same sum before it.
func (l *ledger) read(until int64) error {
	var buf [200 * entrySize]byte
	for l.off < until {
		n, err := l.file.ReadAt(buf[:], l.off)
		for e := range slices.Chunk(buf[:n/entrySize*entrySize], entrySize) {
			if l.off >= until {
				return nil
			}
			l.others = time.Now()
			bytes, records := int64(binary.BigEndian.Uint64(e)), int64(binary.BigEndian.Uint64(e[8:]))
			if store.Checksum(0, e[:entrySize-4]) != binary.BigEndian.Uint32(e[entrySize-4:]) || records == closing {
				return errTurn
			}
			l.count(bytes, records)
		}
		if err == io.EOF && n%entrySize != 0 {
			// Torn by a full disk, it seems: one more entry brings that to light, for everybody at this place.
			if _, err := l.file.Write(encodeEntry(0, closing)); err != nil {
				return err
			}
			continue
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// count adds up the entry at off.
func (l *ledger) count(bytes, records int64) {
	l.bytes += bytes
	l.records += records
	l.moved.bytes += max(bytes, -bytes)
	l.moved.records += max(records, -records)
	l.off += entrySize
}

// reserve enters what is about to be written, unless the total would then be beyond the limit; one below 0 is none.
func (l *ledger) reserve(bytes, records, limit int64) (granted bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	beyond := func() bool { return limit >= 0 && l.bytes+bytes > limit }
	if beyond() {
		if l.refresh(); beyond() {
			return false, nil
		}
	}
	sum, err := l.enter(bytes, records)
	if err != nil {
		return false, err
	}
	if limit >= 0 && sum > limit { // another process was first
		l.enter(-bytes, -records)
		return false, nil
	}
	return true, nil
}

// add enters a change that was made. It fails in silence: the total is then too high until the next Sweep.
func (l *ledger) add(bytes, records int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enter(bytes, records)
}

// correct enters what the ledger was found to be off when it had moved so much, and reports whether that stands. Two may
// find the same at once, and what makes the sum less must not be entered twice: it is only if nothing else was entered
// meanwhile.
func (l *ledger) correct(off, moved tally) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	less := off.bytes < 0 || off.records < 0
	if l.refresh(); less && l.moved != moved {
		return false
	}
	if _, err := l.enter(off.bytes, off.records); err != nil {
		return false
	}
	moved.bytes += max(off.bytes, -off.bytes)
	moved.records += max(off.records, -off.records)
	if less && l.moved != moved {
		l.enter(-off.bytes, -off.records)
		return false
	}
	return true
}

// enter appends an entry, and returns the sum of the bytes up to it.
func (l *ledger) enter(bytes, records int64) (sum int64, err error) {
	for l.file != nil {
		if _, err := l.file.Write(encodeEntry(bytes, records)); err != nil {
			return 0, err
		}
		end, err := l.file.Seek(0, io.SeekCurrent) // where the entry came to stand
		if err != nil {
			return 0, err
		}
		if end == l.off+entrySize {
			l.count(bytes, records) // nobody else wrote since the last read
		} else if err = l.read(end); err == errTurn { // it stands behind the closing entry, and does not count
			if err := l.turnAtPath(); err != nil {
				return 0, err
			}
			continue
		} else if err != nil {
			return 0, err
		}
		sum = l.bytes
		if l.off >= maxLedger {
			l.file.Write(encodeEntry(0, closing))
		}
		return sum, nil
	}
	return 0, os.ErrClosed
}

// refresh reads what others have entered.
func (l *ledger) refresh() {
	if l.file != nil && l.read(toEnd) == errTurn {
		l.turnAtPath()
	}
}

// total returns what the directory holds by the ledger.
func (l *ledger) total() (bytes, records int64) {
	now, _ := l.now()
	return max(0, now.bytes), max(0, now.records)
}

func (l *ledger) now() (total, moved tally) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refresh()
	return l.tally, l.moved
}

// quiet reports whether no other Store has entered anything for a while, so that none is between a change and its
// entry.
func (l *ledger) quiet() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	age := time.Since(l.others)
	return age > atRest || age < 0 // by a clock that was wrong
}
