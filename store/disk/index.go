package disk

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"

	"github.com/larder-go/larder/store"
)

// The index says which keys may have a record with some URL or tag, so that Find need not read every head. Each fan has
// its own: 16 logs, by the first digit of the name that is looked for. A line is appended to a log before the record is
// there. So each record has its line, unless its fan was made without an index, or a power cut took it; and a line may
// belong to a record that is gone. See turn.go for what becomes of logs that grow long.
const (
	indexDir = "index"
	logs     = 16
	nameSize = 28                // of a SHA-256
	lineSize = nameSize + 32 + 4 // so that no line spans two pages, and none is seen half written
)

// line is a name, the digest of a key, and the CRC-32C of these.
type line [lineSize]byte

// indexName is a digest of the URL or the tag by which a record can be found.
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

// line returns the line for a key, given as the hexadecimal digits of its digest.
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

// makeFan makes the directory of a shard together with its index.
func makeFan(top *os.Root, path string) error {
	if info, err := top.Lstat(path); err == nil && info.IsDir() {
		return nil
	} else if err == nil {
		top.Remove(path)
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

// note appends names to the index of p's fan, if there is one, and returns which logs have grown long.
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
		size, err := p.appendLog(log, b, false)
		if errors.Is(err, store.ErrCorrupt) && p.retire(log) == nil {
			size, err = p.appendLog(log, b, false)
		}
		if err != nil && noFolder(p.fan, indexDir) {
			p.fan.Remove(indexDir)
			err = fs.ErrNotExist
		}
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

// appendLog appends lines, and returns the size of the log, which may include what somebody else has appended since.
func (p place) appendLog(log int, lines []byte, sync bool) (size int64, err error) {
	f, _, err := openFile(p.fan, logPath(log), os.O_WRONLY|os.O_CREATE|os.O_APPEND)
	if err != nil {
		return 0, err
	}
	_, err = f.Write(lines)
	if err == nil && sync {
		err = f.Sync()
	}
	if info, e := f.Stat(); err == nil && e == nil {
		size = info.Size()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return size, err
}

// readLog calls do for each line. whole is false if the log is damaged.
func (p place) readLog(path string, do func(*line)) (whole bool, err error) {
	f, info, err := openFile(p.fan, path, os.O_RDONLY)
	if errors.Is(err, store.ErrCorrupt) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	defer f.Close()
	b := make([]byte, info.Size())
	n, err := io.ReadFull(f, b)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return false, err
	}
	b = b[:n]
	for ; len(b) >= lineSize; b = b[lineSize:] {
		l := (*line)(b)
		if !l.whole() {
			return false, nil
		}
		do(l)
	}
	return len(b) == 0, nil
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
	// Lines that are moved from one log to another meanwhile may be missed in both.
	for range attempts {
		before, err := p.retired(n.log())
		if err != nil {
			return nil, false
		}
		whole, err := p.readLog(logPath(n.log()), look)
		switch {
		case errors.Is(err, fs.ErrNotExist):
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
			case !whole:
				return nil, false
			}
		}
		if !missed {
			return keys, true
		}
	}
	return nil, false
}
