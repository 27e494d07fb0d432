package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/larder-go/larder/store"
)

const (
	// grace is how long the files of a write that was not committed are left alone after the last byte went into them,
	grace = time.Hour
	// and pressed how long if there is no room without them: a write that goes on later stores nothing.
	pressed = 5 * time.Minute
)

// Sweep is described at store.Sweeper. It opens every head, removes what was not committed and not written to for an
// hour, and corrects the ledger.
func (s *Store) Sweep(ctx context.Context, now time.Time) (removed int, err error) {
	var faults []error
	_, err = s.settle(func() (counted, error) {
		c, err := s.count(ctx, grace, func(p place, g *group) {
			ended, err := p.ended(g, now)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				faults = append(faults, fmt.Errorf("%s: %w", p.head(g), err))
				ended = errors.Is(err, store.ErrCorrupt)
			}
			if ended {
				n, err := s.removeRecord(p, g)
				if n > 0 {
					removed++
				}
				faults = append(faults, err)
			}
		})
		faults = append(faults, c.unread)
		return c, err
	})
	if err != nil {
		return removed, fmt.Errorf("disk: sweep: %w", err)
	}
	faults = append(faults, s.sweepLeases(), s.sweepIndex(ctx))
	for s.max > 0 && ctx.Err() == nil {
		total, _ := s.usage.total()
		if total <= s.max {
			break
		}
		s.room.Lock()
		freed, n := s.evict(total-s.max, 0)
		s.room.Unlock()
		removed += n
		if freed == 0 {
			break
		}
	}
	if err := errors.Join(append(faults, ctx.Err())...); err != nil {
		return removed, fmt.Errorf("disk: sweep: %w", err)
	}
	return removed, nil
}

// ended reads as much of a head file as says whether its record is past its KeepUntil.
func (p place) ended(g *group, now time.Time) (bool, error) {
	path, h := p.head(g), g.first
	if path != p.first() {
		var err error
		if h, err = p.readPrefix(path); err != nil {
			return false, err
		}
	}
	prefix, err := decodePrefix(h.bytes)
	return err == nil && prefix.ended(now), err
}

// count adds up all files, those of each record after visit, and removes what belongs to none and was left alone for so
// long.
func (s *Store) count(ctx context.Context, alone time.Duration, visit func(place, *group)) (c counted, err error) {
	c = s.begin()
	shards, err := s.shards()
	if err != nil {
		return c, err
	}
	end, fault := s.eachIn(ctx, shards, place.readPrefix, func(e entry, all []group) bool {
		switch e.suffix {
		case bodySuffix, tempSuffix:
			c.bytes += s.tidyEntry(e, alone)
		default:
			s.countRecords(&c, e, all, alone, visit)
		}
		return true
	})
	if end {
		c.unread, fault = fault, nil
	}
	return c, fault
}

// countRecords counts records without their bodies.
func (s *Store) countRecords(c *counted, e entry, all []group, alone time.Duration, visit func(place, *group)) {
	empty := e.suffix == ""
	for i := range all {
		g := &all[i]
		if !g.there() {
			for _, path := range e.heads(g) {
				c.bytes += s.tidy(e.place, path, alone, nil)
			}
			continue
		}
		empty = false
		visit(e.place, g)
		if h, err := e.lookAtHeads(g); err == nil {
			c.bytes += h.cost
			c.records++
		}
	}
	if empty {
		e.discard()
	}
}

// tidyEntry is tidy for a body, or a head that is being written.
func (s *Store) tidyEntry(e entry, alone time.Duration) int64 {
	if e.suffix == bodySuffix {
		return s.tidy(e.place, e.path, alone, e.headless)
	}
	return s.tidy(e.place, e.path, alone, nil)
}

// tidy returns what a file takes. If the file was left alone for so long, and belongs to no record, tidy removes it and
// returns 0. headless says whether it belongs to none; nil: that is certain.
func (s *Store) tidy(p place, path string, alone time.Duration, headless func() bool) int64 {
	info, err := p.fan.Lstat(path)
	if err != nil {
		return 0
	}
	if time.Since(info.ModTime()).Abs() > alone && (headless == nil || headless()) {
		if strings.HasSuffix(path, tempSuffix) {
			p.drop(path) // the head may still have its other name, so only a count can tell what it took
		} else {
			s.drop(p, path)
		}
		return 0
	}
	return cost(info.Size())
}

// headless reports whether a body belongs to no record.
func (e entry) headless() bool {
	g, err := e.find(e.id, place.readPrefix)
	return !g.there() && (err == nil || errors.Is(err, fs.ErrNotExist))
}

// drop removes files that belong to no record, or that no longer matter, and enters that in the ledger.
func (s *Store) drop(p place, paths ...string) {
	changes.RLock()
	defer changes.RUnlock()
	if n := p.dropAll(paths...); n > 0 {
		s.usage.add(-n, 0)
	}
}
