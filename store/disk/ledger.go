package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/larder-go/larder/store"
)

// The ledger is how processes agree on how much the directory holds without counting it: a file to which each of them
// appends what it is about to write, and what it has removed. Appends of a few bytes do not tear each other, so the sum of all
// entries is the total, and nobody waits for anybody. What a process that dies has entered and not written, or removed and not
// entered, Sweep puts right by an entry of its own.
//
// Whoever writes waits until its entry stands where the sum of all up to it is within the limit. The files never take more
// than that: each has its entry up to the last one that was let through, and what is counted down there has been removed.
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

func appendEntry(b []byte, bytes, records int64) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint64(b, uint64(bytes))
	b = binary.BigEndian.AppendUint64(b, uint64(records))
	b = append(b, make([]byte, entrySize-20)...)
	return binary.BigEndian.AppendUint32(b, store.Checksum(0, b[start:]))
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
	_, err = s.recount()
	return err
}

// open opens the ledger with the highest number, and makes the first one if there is none; made says that, or that the
// one there is cannot be trusted. The mutex is held.
func (l *ledger) open(top *os.Root) (made bool, err error) {
	if err := top.MkdirAll(version, 0o700); err != nil {
		return false, err
	}
	for range attempts {
		number, err := newestLedger(top)
		if err != nil {
			return false, err
		}
		var f *os.File
		if made = number == 0; made {
			number = 1
			f, err = newLedger(top, number, tally{})
			if err != nil && !errors.Is(err, fs.ErrExist) { // the disk is full, and what is stored can be read all the same
				f, err = beginLedger(top, usageName(number), nil)
			}
		} else {
			f, err = openLedger(top, number)
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
			continue // another process went on to the next, or made the first
		}
		if err != nil {
			return false, err
		}
		info, err := f.Stat()
		if err != nil {
			f.Close()
			return false, err
		}
		l.use(f, number)
		err = l.read(toEnd)
		if l.others = info.ModTime(); made {
			l.others = time.Time{}
		}
		if err == nil && l.abandoned() {
			l.file.Write(appendEntry(nil, 0, closing)) // for others that have it open
			err = errTurn
		}
		if err != nil {
			made = true // it may have ended too early, or does not begin with the sum
			l.turn(top)
		}
		return made, nil
	}
	return false, errors.New("the ledger changes too fast")
}

// newestLedger returns 0 if there is none. What has the name of one and is no file makes way.
func newestLedger(top *os.Root) (newest uint32, err error) {
	names, err := list(top, version)
	for _, name := range names {
		var n uint32
		fmt.Sscanf(strings.TrimPrefix(name, usagePrefix), "%08x", &n)
		path := version + "/" + name
		if n > maxNumber || path != usageName(n) {
			continue
		}
		if info, err := top.Lstat(path); err == nil && !info.Mode().IsRegular() {
			remove(top, path)
			continue
		}
		newest = max(newest, n)
	}
	return newest, err
}

const ledgerFlags = os.O_RDWR | os.O_APPEND

func openLedger(top *os.Root, number uint32) (*os.File, error) {
	f, _, err := openFile(top, usageName(number), ledgerFlags)
	return f, err
}

// newLedger makes a ledger that begins with the sum. It appears whole; where there are no links, it goes again if the sum cannot be
// written. The error is fs.ErrExist if there is one with the number.
func newLedger(top *os.Root, number uint32, sum tally) (*os.File, error) {
	entry, name := appendEntry(nil, sum.bytes, sum.records), usageName(number)
	temp := fmt.Sprintf("%s/%s%016x%s", version, usagePrefix, rand.Uint64(), tempSuffix)
	f, err := beginLedger(top, temp, entry)
	if err != nil {
		return nil, err
	}
	err = top.Link(temp, name)
	top.Remove(temp)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return beginLedger(top, name, entry)
}

func beginLedger(top *os.Root, path string, entry []byte) (*os.File, error) {
	f, err := top.OpenFile(path, ledgerFlags|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(entry); err != nil {
		f.Close()
		top.Remove(path)
		return nil, err
	}
	return f, nil
}

func (l *ledger) use(f *os.File, number uint32) {
	if l.file != nil {
		l.file.Close()
	}
	l.file, l.number, l.off, l.tally = f, number, 0, tally{}
}

var errTurn = errors.New("the ledger ends here")

const toEnd = math.MaxInt64

// read adds up the entries before the given place that it has not seen. It returns errTurn at the closing entry, and at one that is
// damaged: every process then sees the same sum before it.
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
			if _, err := l.file.Write(appendEntry(nil, 0, closing)); err != nil {
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

// turn goes on with the next ledger, which it makes, with the sum so far, if no other process has yet.
func (l *ledger) turn(top *os.Root) error {
	for range attempts {
		newest, err := newestLedger(top)
		if err != nil {
			return err
		}
		sum, ended, number := l.tally, l.number, max(newest, l.number+1)
		if number > maxNumber {
			number = 1
		}
		f, err := newLedger(top, number, sum)
		made := err == nil
		if errors.Is(err, fs.ErrExist) {
			f, err = openLedger(top, number)
		}
		if err != nil {
			return err
		}
		l.use(f, number)
		if made {
			top.Remove(usageName(ended))
		}
		err = l.read(toEnd)
		if err == nil && l.abandoned() {
			if _, err = f.Write(appendEntry(nil, sum.bytes, sum.records)); err == nil {
				err = l.read(toEnd)
			}
		}
		if err != errTurn {
			return err
		}
	}
	return errors.New("the ledger changes too fast")
}

// abandoned reports whether the sum was never written, as where there are no links by a process that is killed after it made the
// file. One that lives writes it at once, and the order of entries does not matter.
func (l *ledger) abandoned() bool {
	if l.off > 0 {
		return false
	}
	info, err := l.file.Stat()
	return err == nil && time.Since(info.ModTime()) > 10*time.Second
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

// enter appends an entry, and returns the sum of the bytes up to it.
func (l *ledger) enter(bytes, records int64) (sum int64, err error) {
	for l.file != nil {
		if _, err := l.file.Write(appendEntry(nil, bytes, records)); err != nil {
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
			l.file.Write(appendEntry(nil, 0, closing))
			l.refresh()
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

func (l *ledger) turnAtPath() error {
	top, err := os.OpenRoot(l.top)
	if err != nil {
		return err
	}
	defer top.Close()
	return l.turn(top)
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

// quiet reports whether no other Store has entered anything for a while, so that none is between a change and its entry.
func (l *ledger) quiet() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	age := time.Since(l.others)
	return age > atRest || age < 0 // by a clock that was wrong
}

// follow opens the ledger anew if the one that is open is no longer at its place.
func (l *ledger) follow(top *os.Root) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		held, err := l.file.Stat()
		now, e := os.Lstat(filepath.Join(l.top, usageName(l.number)))
		if err == nil && e == nil && os.SameFile(held, now) {
			return
		}
	}
	l.open(top)
}

func (l *ledger) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		l.file.Close()
		l.file = nil
	}
}
