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
// of all entries is the total, and nobody waits for anybody. If a process dies after it has entered and not written, or
// removed and not entered something, Sweep corrects that by an entry of its own.
//
// A process may write if the sum of all entries up to its own is within the limit; otherwise it takes the entry back.
// So the files never take more: the entries of all of them come no later than that of the last write that was allowed,
// and a file is gone before its removal is entered.
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

// An entry: int64 bytes, int64 records, 12 bytes of zero, uint32 CRC-32C of these; big-endian. No entry spans two
// pages, since one that does can be seen half written. The closing entry has a number of records that no other has.
const (
	entrySize   = 32
	closing     = -1 << 63
	maxLedger   = 1 << 20
	usagePrefix = "usage-"
	maxNumber   = 1 << 31 // the last number of a ledger, after which comes 1; names with a greater one are not ours
)

func usageName(n uint32) string { return fmt.Sprintf("%s/%s%08x", version, usagePrefix, n) }

func encodeEntry(bytes, records int64) []byte {
	b := make([]byte, entrySize-4, entrySize)
	binary.BigEndian.PutUint64(b, uint64(bytes))
	binary.BigEndian.PutUint64(b[8:], uint64(records))
	return binary.BigEndian.AppendUint32(b, store.Checksum(0, b))
}

// openUsage makes the directory and opens the ledger. If there are records but no ledger, it counts them.
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

// read adds up the entries before until that it has not seen. It returns errTurn at the closing entry, and at a damaged
// one: so every process sees the same sum before it.
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
			// Probably torn by a full disk: one more entry makes it a damaged one, for everybody at this place.
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

// reserve enters what is about to be written, unless the total would then exceed the limit; negative: no limit.
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

// add enters a change that was made. It does not report a failure: the total is then too high until the next Sweep.
func (l *ledger) add(bytes, records int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enter(bytes, records)
}

// correct enters by how much the ledger was found to be off when its moved sum was moved, and reports whether that
// stands. Two processes may find the same at once, and must not both lower the sum: a correction that does so stands
// only if nothing else was entered meanwhile.
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
		end, err := l.file.Seek(0, io.SeekCurrent) // the end of the entry
		if err != nil {
			return 0, err
		}
		if end == l.off+entrySize {
			l.count(bytes, records) // nobody else wrote since the last read
		} else if err = l.read(end); err == errTurn { // the entry is after the closing one, and does not count
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

// total returns what the directory holds according to the ledger.
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

// quiet reports whether no other Store has entered anything for a while, so that none should be between a change and
// its entry.
func (l *ledger) quiet() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	age := time.Since(l.others)
	return age > atRest || age < 0 // the file's time, by a clock that was wrong
}
