package disk

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The ledger has one file at a time. Which one depends on what other processes do meanwhile: they may have gone on to
// the next one, or the directory may have been deleted.

const ledgerFlags = os.O_RDWR | os.O_APPEND

// open opens the ledger with the highest number, and makes the first one if there is none. made says that it did, or
// that the ledger it found cannot be trusted. The mutex is held.
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
			if err != nil && !errors.Is(err, fs.ErrExist) { // the disk is full, yet can be read: begin without the sum
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
		if err == nil && (l.abandoned() || l.passed(top)) {
			l.file.Write(encodeEntry(0, closing)) // for others that have it open
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

// newestLedger returns the highest number of a ledger; 0: there is none. It removes what has such a name and is not a
// file.
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

func openLedger(top *os.Root, number uint32) (*os.File, error) {
	f, _, err := openFile(top, usageName(number), ledgerFlags)
	return f, err
}

// newLedger makes a ledger that begins with the sum, and appears whole. On a file system without links it appears
// first, and is removed again if the sum cannot be written. The error is fs.ErrExist if there is one with that number.
func newLedger(top *os.Root, number uint32, sum tally) (*os.File, error) {
	entry, name := encodeEntry(sum.bytes, sum.records), usageName(number)
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

// turn goes on with the next ledger. If no other process has made that yet, turn does, with the sum so far.
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
		if errors.Is(err, fs.ErrExist) {
			f, err = openLedger(top, number)
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has ended meanwhile
		} else if err != nil {
			return err
		}
		l.use(f, number)
		top.Remove(usageName(ended))
		err = l.read(toEnd)
		if err == nil && l.abandoned() {
			if _, err = f.Write(encodeEntry(sum.bytes, sum.records)); err == nil {
				err = l.read(toEnd)
			}
		}
		if err == nil && l.passed(top) {
			_, err = f.Write(encodeEntry(0, closing))
			err = cmp.Or(err, errTurn)
		}
		if err != errTurn {
			return err
		}
	}
	return errors.New("the ledger changes too fast")
}

// abandoned reports whether the sum was never written, because a process without links was killed after it made the
// file. A live one writes it at once, and the order of entries does not matter.
func (l *ledger) abandoned() bool {
	if l.off > 0 {
		return false
	}
	info, err := l.file.Stat()
	return err == nil && time.Since(info.ModTime()).Abs() > 10*time.Second
}

// passed reports whether there is a later ledger. This one may then have been removed, and made a second time by a
// process that was slow to go on from the one before it.
func (l *ledger) passed(top *os.Root) bool {
	newest, err := newestLedger(top)
	return err == nil && newest > l.number
}

func (l *ledger) turnAtPath() error {
	top, err := os.OpenRoot(l.top)
	if err != nil {
		return err
	}
	defer top.Close()
	return l.turn(top)
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
