package disk

import (
	"context"
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

// A log that has grown long is retired: it is renamed, with the time in its name, and the next line begins a new log.
// An hour later nobody is still at work on a record whose only line is in it. From then on, whoever comes across it
// appends the lines of keys that are still there to the new log, and removes the retired one. A damaged log is retired
// as well. Until a Find or Sweep makes new lines from the heads, Find reads all of that fan.
const (
	maxLog    = 64 << 10        // a log of at least this is retired
	lookAgain = 5 * time.Minute // how long after a look at a log the next one is
	maxLines  = 16              // of a key in a retired log; more may be of records that are gone
)

// shorten turns logs that have grown long, each at most once in lookAgain. A log that cannot be turned only stays
// longer than necessary.
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

// retire gives a log another name, so that the next line begins a new one.
func (p place) retire(log int) error {
	return p.fan.Rename(logPath(log), retiredPath(log, time.Now()))
}

func retiredPath(log int, at time.Time) string {
	return fmt.Sprintf("%s-%012x%04x", logPath(log), at.UnixMilli(), rand.Uint32N(1<<16))
}

// mayGo reports whether a log was retired long enough ago, or far in the future, by a clock that was wrong.
func mayGo(retired string) bool {
	var ms int64
	fmt.Sscanf(retired[len(logPath(0))+1:], "%012x", &ms)
	return time.Since(time.UnixMilli(ms)).Abs() > grace
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

// turn brings back what is still there from old retired logs, and then retires the log if it has grown long. If mend is
// set, it does so with damaged logs, too, which takes reading every head of the fan.
func (s *Store) turn(ctx context.Context, p place, log int, mend bool) error {
	retired, err := p.retired(log)
	if err != nil {
		return err
	}
	if mend {
		if whole, err := p.readLog(logPath(log), func(*line) {}); err == nil && !whole {
			return p.retire(log)
		}
	}
	young, left := false, 0
	for _, path := range retired {
		if !mayGo(path) {
			young = true
			continue
		}
		if err := s.bringBack(ctx, p, log, path, mend); err != nil {
			return err
		}
		if _, err := p.fan.Lstat(path); err == nil {
			left++ // damaged
		}
	}
	if young || left < len(retired) {
		return nil
	}
	info, err := p.fan.Lstat(logPath(log))
	if err != nil || info.Size() < maxLog {
		return nil
	}
	return p.retire(log)
}

// bringBack appends to the log those lines of a retired one whose keys are still there, and removes that. A damaged one
// stays unless mend is set.
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
		s.keepThere(ctx, p, log, keys)
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
		if _, err := p.appendLog(log, lines, true); err != nil { // synced, so that a power cut takes only new lines
			return err
		}
	}
	return remove(p.fan, path)
}

// keepThere removes keys without any record and, from keys with many lines, the lines that their records no longer
// have.
func (s *Store) keepThere(ctx context.Context, p place, log int, keys map[string]map[line]bool) {
	for key, lines := range keys {
		of := place{fan: p.fan, shard: p.shard, name: key}
		switch {
		case !of.has():
			delete(keys, key)
		case len(lines) > maxLines:
			now := make(map[string]map[line]bool)
			var fault error
			err := eachOf(of, place.readHead, func(_ entry, all []group) bool {
				fault = s.linesOf(ctx, of, all, log, now)
				return fault == nil
			})
			if errors.Join(fault, err) == nil { // otherwise all lines stay
				keys[key] = now[key]
			}
		}
	}
}

// has reports whether the key may have a record.
func (p place) has() bool {
	for _, path := range []string{p.first(), p.name} {
		if _, err := p.fan.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return true
		}
	}
	return false
}

// linesOf adds to keys the lines of the records, all of one key, that belong in the log.
func (s *Store) linesOf(ctx context.Context, p place, records []group, log int, keys map[string]map[line]bool) error {
	for i := range records {
		if !records[i].there() {
			continue
		}
		r, err := s.readFound(ctx, p, &records[i], "")
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

// sweepIndex turns all logs.
func (s *Store) sweepIndex(ctx context.Context) error {
	shards, err := s.shards()
	if err != nil {
		return err
	}
	var faults []error
	for _, shard := range shards {
		fan, err := s.fan(shard, false)
		for log := 0; err == nil && ctx.Err() == nil && log < logs; log++ {
			if err := s.turn(ctx, place{fan: fan, shard: shard}, log, true); err != nil && !errors.Is(err, fs.ErrNotExist) {
				faults = append(faults, err)
			}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			faults = append(faults, err)
		}
	}
	return errors.Join(append(faults, s.sweepFans())...)
}

// sweepFans removes fans and ledgers whose making was interrupted.
func (s *Store) sweepFans() error {
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
		fan := len(n) == 1+sequence && isHex(n[:1]) && n[1] == '-' && isHex(n[2:])
		ledger := strings.HasPrefix(n, usagePrefix) && strings.HasSuffix(n, tempSuffix)
		if info, err := top.Lstat(path); err == nil && (fan && info.IsDir() || ledger) && time.Since(info.ModTime()).Abs() > grace {
			top.Remove(path + "/" + indexDir)
			top.Remove(path)
		}
	}
	return err
}
