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
// what is there has its line, unless its fan was made without an index; and a line may be of a record that is gone.
//
// A log that has grown long is retired: it gets a name with the time, and the next line begins a new one. An hour later, when
// nobody is at work any more on a record that has its line there only, the lines of keys that are still there are
// appended to the new log, and the retired one is removed. A log that is damaged is retired as well, and read by nobody: until
// new lines are made from the heads, Find reads all of that fan.
const (
	indexDir  = "index"
	logs      = 16
	maxLog    = 64 << 10          // a log of at least this is retired
	lookAgain = 5 * time.Minute   // whether a retired log can go
	nameSize  = 28                // of a SHA-256
	lineSize  = nameSize + 32 + 4 // so that none lies on two pages: one that does can be seen half written
)

// line is a name, the digest of a key, and the CRC-32C of these.
type line [lineSize]byte

// name is what a record can be found by.
type name [nameSize]byte

func urlName(url string) name { return nameOf('u', url) }
func tagName(tag string) name { return nameOf('t', tag) }

func nameOf(kind byte, s string) name {
	sum := sha256.Sum256(append([]byte{kind}, s...))
	return name(sum[:nameSize])
}

func (n name) log() int { return int(n[0] >> 4) }

func namesOf(r *store.Record) []name {
	names := make([]name, 0, 1+len(r.Tags))
	names = append(names, urlName(r.URL))
	for _, tag := range r.Tags {
		names = append(names, tagName(tag))
	}
	return names
}

// line returns that of a key, by the digest's hexadecimal digits.
func (n name) line(key string) (l line) {
	copy(l[:], n[:])
	hex.Decode(l[nameSize:], []byte(key))
	binary.BigEndian.PutUint32(l[lineSize-4:], store.Checksum(0, l[:lineSize-4]))
	return l
}

func (l *line) whole() bool {
	return binary.BigEndian.Uint32(l[lineSize-4:]) == store.Checksum(0, l[:lineSize-4])
}

func (l *line) name() name  { return name(l[:nameSize]) }
func (l *line) key() string { return hex.EncodeToString(l[nameSize : lineSize-4]) }

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
func (p place) note(names []name) (long []int, err error) {
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
			s.turn(context.Background(), p, log)
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
	return p.fan.Rename(logPath(log), fmt.Sprintf("%s-%012x%04x", logPath(log), time.Now().UnixMilli(), rand.Uint32N(1<<16)))
}

func retiredAt(path string) (at time.Time) {
	var ms int64
	fmt.Sscanf(path[len(logPath(0))+1:], "%012x", &ms)
	return time.UnixMilli(ms)
}

// retired returns the paths of the retired logs, oldest first.
func (p place) retired(log int) (paths []string, err error) {
	names, err := list(p.fan, indexDir)
	for _, n := range names {
		if path := indexDir + "/" + n; strings.HasPrefix(path, logPath(log)+"-") {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths, err
}

// noted returns the keys in p's fan that may have a record with the name. It returns false if the index cannot tell.
func (p place) noted(n name) (keys []place, ok bool) {
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
			p.retire(n.log())
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

// turn retires a log that has grown long, or, if there are retired ones, brings back from those that are old enough what is still
// there.
func (s *Store) turn(ctx context.Context, p place, log int) error {
	retired, err := p.retired(log)
	if err != nil {
		return err
	}
	if len(retired) == 0 {
		if info, err := p.fan.Lstat(logPath(log)); err != nil || info.Size() < maxLog {
			return err
		}
		return p.retire(log)
	}
	for _, path := range retired {
		if time.Since(retiredAt(path)) > grace {
			if err := s.bringBack(ctx, p, log, path); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) bringBack(ctx context.Context, p place, log int, path string) error {
	there := make(map[line]bool)
	whole, err := p.readLog(path, func(l *line) { there[*l] = true })
	if err != nil {
		return err
	}
	if whole {
		keys, err := p.keys()
		if err != nil {
			return err
		}
		for l := range there {
			if !keys[l.key()] {
				delete(there, l)
			}
		}
	} else if there, err = s.linesOf(ctx, p, log); err != nil {
		return err
	}
	var lines []byte
	for l := range there {
		lines = append(lines, l[:]...)
	}
	if len(lines) > 0 {
		if _, err := p.appendLog(log, lines); err != nil {
			return err
		}
	}
	return p.fan.Remove(path)
}

// keys returns those of which there is any file in p's fan, a head on its way to its name included.
func (p place) keys() (map[string]bool, error) {
	names, err := list(p.fan, ".")
	keys := make(map[string]bool)
	for _, n := range names {
		if e, ok := parseEntry(p.fan, p.shard, n); ok {
			keys[e.name] = true
		}
	}
	return keys, err
}

// linesOf makes the lines of a log from the heads.
func (s *Store) linesOf(ctx context.Context, p place, log int) (map[line]bool, error) {
	lines := make(map[line]bool)
	_, err := s.eachIn(ctx, []byte{p.shard}, place.readHead, func(e entry, all []group) bool {
		for i := range all {
			if !all[i].there() {
				continue
			}
			r, _, err := s.readRecord(ctx, e.place, &all[i], "")
			if errors.Is(err, fs.ErrNotExist) {
				r, err = s.readAgain(ctx, e.place, all[i].id, "")
			}
			if err != nil {
				continue // it is gone, or damaged
			}
			for _, n := range namesOf(r) {
				if n.log() == log {
					lines[n.line(e.name)] = true
				}
			}
		}
		return true
	})
	return lines, err
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
			if err = s.turn(ctx, place{fan: fan, shard: shard}, log); errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	top, err := os.OpenRoot(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return ctx.Err()
	} else if err != nil {
		return err
	}
	defer top.Close()
	begun, err := fs.Glob(top.FS(), version+"/[0-9a-f]-*")
	for _, path := range begun {
		if info, err := top.Lstat(path); err == nil && time.Since(info.ModTime()) > grace {
			top.Remove(path + "/" + indexDir)
			top.Remove(path)
		}
	}
	return errors.Join(err, ctx.Err())
}
