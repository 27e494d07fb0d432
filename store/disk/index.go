package disk

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/larder-go/larder/store"
)

// The index says which keys may have a record with some URL or tag, so that Find need not read every head there is. Each fan has
// its own: 16 logs, by the first digit of what is looked for, to which a line is appended before the record is there. So
// what is there has its line, unless its fan was made without an index or a power cut took it; and a line may be of a record
// that is gone.
//
// A log that has grown long is retired: it gets a name with the time, and the next line begins a new one. From an hour later on, when
// nobody is at work any more on a record that has its line there only, whoever comes by appends the lines of keys that are still
// there to the new log, and removes the retired one. A log that is damaged is retired as well. Until a Find or Sweep makes new
// lines from the heads, Find reads all of that fan.
const (
	indexDir  = "index"
	logs      = 16
	maxLog    = 64 << 10          // a log of at least this is retired
	lookAgain = 5 * time.Minute   // whether a retired log can go
	maxLines  = 16                // of a key in a retired log, which may be of what it was before
	nameSize  = 28                // of a SHA-256
	lineSize  = nameSize + 32 + 4 // so that none lies on two pages: one that does can be seen half written
)

// line is a name, the digest of a key, and the CRC-32C of these.
type line [lineSize]byte

// indexName is what a record can be found by.
type indexName [nameSize]byte

func urlName(url string) indexName { return nameOf('u', url) }
func tagName(tag string) indexName { return nameOf('t', tag) }

func nameOf(kind byte, s string) indexName {
	sum := sha256.Sum256(append([]byte{kind}, s...))
	return indexName(sum[:nameSize])
}

func (n indexName) log() int { return int(n[0] >> 4) }

func namesOf(r *store.Record) []indexName {
	names := make([]indexName, 0, 1+len(r.Tags))
	names = append(names, urlName(r.URL))
	for _, tag := range r.Tags {
		names = append(names, tagName(tag))
	}
	return names
}

// line returns that of a key, by the digest's hexadecimal digits.
func (n indexName) line(key string) (l line) {
	copy(l[:], n[:])
	hex.Decode(l[nameSize:], []byte(key))
	binary.BigEndian.PutUint32(l[lineSize-4:], store.Checksum(0, l[:lineSize-4]))
	return l
}

func (l *line) whole() bool {
	return binary.BigEndian.Uint32(l[lineSize-4:]) == store.Checksum(0, l[:lineSize-4])
}

func (l *line) name() indexName { return indexName(l[:nameSize]) }
func (l *line) key() string     { return hex.EncodeToString(l[nameSize : lineSize-4]) }

func logPath(log int) string { return indexDir + "/" + hexDigits[log:log+1] }

// makeFan makes the directory of a shard, with its index, as one.
func makeFan(top *os.Root, path string) error {
	if _, err := top.Lstat(path); err == nil {
		return nil
	}
	made := fmt.Sprintf("%s-%016x", path, rand.Uint64())
	if err := top.MkdirAll(made+"/"+indexDir, 0o700); err != nil {
		return err
	}
	err := top.Rename(made, path)
	if err != nil {
		top.Remove(made + "/" + indexDir)
		top.Remove(made)
		if _, e := top.Lstat(path); e == nil {
			err = nil // another was first
		}
	}
	return err
}

// note appends names to the index of p's fan, if that has one, and returns which logs have grown long.
func (p place) note(names []indexName) (long []int, err error) {
	var lines [logs][]byte
	for _, n := range names {
		l := n.line(p.name)
		lines[n.log()] = append(lines[n.log()], l[:]...)
	}
	for log, b := range lines {
		if len(b) == 0 {
			continue
		}
		size, err := p.appendLog(log, b)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		} else if err != nil {
			return nil, fmt.Errorf("index: %w", err)
		}
		if size >= maxLog {
			long = append(long, log)
		}
	}
	return long, nil
}

// shorten turns logs that have grown long, but not again and again. One that cannot be turned is longer than it need be.
func (s *Store) shorten(p place, long []int) {
	for _, log := range long {
		now, next := time.Now(), &s.turns[p.shard][log]
		if due := next.Load(); now.Unix() >= due && next.CompareAndSwap(due, now.Add(lookAgain).Unix()) {
			s.turn(context.Background(), p, log, false)
		}
	}
}

// turns says when to look again after a log of each fan, in Unix seconds.
type turns [fanout][logs]atomic.Int64

// appendLog returns the size of the log, which no append of another makes wrong by much.
func (p place) appendLog(log int, lines []byte) (size int64, err error) {
	f, err := p.fan.OpenFile(logPath(log), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	_, err = f.Write(lines)
	if info, e := f.Stat(); err == nil && e == nil {
		size = info.Size()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return size, err
}

// readLog calls do for each line; false: the log is damaged.
func (p place) readLog(path string, do func(*line)) (whole bool, err error) {
	b, err := p.fan.ReadFile(path)
	if err != nil {
		return false, err
	}
	for ; len(b) >= lineSize; b = b[lineSize:] {
		l := (*line)(b)
		if !l.whole() {
			return false, nil
		}
		do(l)
	}
	return len(b) == 0, nil
}

// retire gives a log another name, so that the next line begins a new one.
func (p place) retire(log int) error {
	return p.fan.Rename(logPath(log), retiredPath(log, time.Now()))
}

func retiredPath(log int, at time.Time) string {
	return fmt.Sprintf("%s-%012x%04x", logPath(log), at.UnixMilli(), rand.Uint32N(1<<16))
}

// old reports whether a log was retired long ago; also if that is yet to come, for then the clock was wrong.
func old(retired string) bool {
	var ms int64
	fmt.Sscanf(retired[len(logPath(0))+1:], "%012x", &ms)
	age := time.Since(time.UnixMilli(ms))
	return age > grace || age < -grace
}

// retired returns the paths of the retired logs, oldest first.
func (p place) retired(log int) (paths []string, err error) {
	names, err := list(p.fan, indexDir)
	for _, n := range names {
		path := indexDir + "/" + n
		if number, ok := strings.CutPrefix(path, logPath(log)+"-"); ok && len(number) == 16 && isHex(number) {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths, err
}

// noted returns the keys in p's fan that may have a record with the name. It returns false if the index cannot tell.
func (p place) noted(n indexName) (keys []place, ok bool) {
	seen := make(map[string]bool)
	look := func(l *line) {
		if l.name() != n {
			return
		}
		if key := l.key(); !seen[key] {
			seen[key] = true
			keys = append(keys, place{fan: p.fan, shard: p.shard, name: key})
		}
	}
	// Lines that are on their way from one log to another are missed by who reads that one first.
	for range attempts {
		before, err := p.retired(n.log())
		if err != nil {
			return nil, false
		}
		whole, err := p.readLog(logPath(n.log()), look)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, false
		case !whole:
			return nil, false
		}
		after, err := p.retired(n.log())
		if err != nil {
			return nil, false
		}
		missed := !slices.Equal(before, after)
		for _, path := range after {
			whole, err := p.readLog(path, look)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				missed = true
			case err != nil || !whole:
				return nil, false
			}
		}
		if !missed {
			return keys, true
		}
	}
	return nil, false
}

// turn retires a log that has grown long, or brings back from a retired one that is old what is still there. If mend is set, it does
// so with damaged ones, which takes reading every head of the fan.
func (s *Store) turn(ctx context.Context, p place, log int, mend bool) error {
	retired, err := p.retired(log)
	if err != nil {
		return err
	}
	long := false
	if info, err := p.fan.Lstat(logPath(log)); err == nil {
		long = info.Size() >= maxLog && len(retired) == 0
	}
	if !long && mend {
		whole, err := p.readLog(logPath(log), func(*line) {})
		long = err == nil && !whole
	}
	if long {
		return p.retire(log)
	}
	for _, path := range retired {
		if !old(path) {
			continue
		}
		if err := s.bringBack(ctx, p, log, path, mend); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) bringBack(ctx context.Context, p place, log int, path string, mend bool) error {
	keys := make(map[string]map[line]bool)
	whole, err := p.readLog(path, func(l *line) {
		if keys[l.key()] == nil {
			keys[l.key()] = make(map[line]bool)
		}
		keys[l.key()][*l] = true
	})
	switch {
	case err != nil:
		return err
	case whole:
		err = s.keepThere(ctx, p, log, keys)
	case mend:
		clear(keys)
		var fault error
		_, err = s.eachIn(ctx, []byte{p.shard}, place.readHead, func(e entry, all []group) bool {
			fault = s.linesOf(ctx, e.place, all, log, keys)
			return fault == nil
		})
		err = errors.Join(fault, err)
	default:
		return nil
	}
	if err != nil {
		return err
	}
	var lines []byte
	for _, of := range keys {
		for l := range of {
			lines = append(lines, l[:]...)
		}
	}
	if len(lines) > 0 {
		if _, err := p.appendLog(log, lines); err != nil {
			return err
		}
	}
	return p.fan.Remove(path)
}

// keepThere removes the keys of which nothing is there, and of those with many lines what their records do not have any more.
func (s *Store) keepThere(ctx context.Context, p place, log int, keys map[string]map[line]bool) error {
	for key, lines := range keys {
		of := place{fan: p.fan, shard: p.shard, name: key}
		switch {
		case !of.has():
			delete(keys, key)
		case len(lines) > maxLines:
			clear(lines)
			var fault error
			_, err := eachOf(ctx, of, place.readHead, func(_ entry, all []group) bool {
				fault = s.linesOf(ctx, of, all, log, keys)
				return fault == nil
			})
			if err := errors.Join(fault, err); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// has reports whether there may be a record.
func (p place) has() bool {
	for _, path := range []string{p.first(), p.name} {
		if _, err := p.fan.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return true
		}
	}
	return false
}

// linesOf adds to keys what belongs into a log of the records, which are all of one key.
func (s *Store) linesOf(ctx context.Context, p place, records []group, log int, keys map[string]map[line]bool) error {
	for i := range records {
		if !records[i].there() {
			continue
		}
		r, _, err := s.readRecord(ctx, p, &records[i], "")
		if errors.Is(err, fs.ErrNotExist) {
			r, err = s.readAgain(ctx, p, records[i].id, "")
		}
		switch {
		case errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt):
			continue
		case err != nil:
			return err
		}
		for _, n := range namesOf(r) {
			if n.log() != log {
				continue
			}
			if keys[p.name] == nil {
				keys[p.name] = make(map[line]bool)
			}
			keys[p.name][n.line(p.name)] = true
		}
	}
	return nil
}

// sweepIndex turns all logs, and removes what is left of fans that were not made to the end.
func (s *Store) sweepIndex(ctx context.Context) error {
	shards, err := s.shards()
	if err != nil {
		return err
	}
	for _, shard := range shards {
		fan, err := s.fan(shard, false)
		for log := 0; err == nil && log < logs; log++ {
			if err = s.turn(ctx, place{fan: fan, shard: shard}, log, true); errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	top, err := os.OpenRoot(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer top.Close()
	names, err := list(top, version)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, n := range names {
		path := version + "/" + n
		if len(n) != 1+sequence || !isHex(n[:1]) || n[1] != '-' || !isHex(n[2:]) {
			continue
		}
		if info, err := top.Lstat(path); err == nil && info.IsDir() && time.Since(info.ModTime()) > grace {
			top.Remove(path + "/" + indexDir)
			top.Remove(path)
		}
	}
	return err
}
