package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/larder-go/larder/store"
)

const (
	// grace is how long the files of a write that was not committed are left alone after the last byte went into them.
	grace = time.Hour
	// sampleSize is how many records are compared to find one that has not been used for long.
	sampleSize = 64
)

// held is a record as the eviction sees it.
type held struct {
	place place
	group group
	cost  int64
	used  time.Time
}

// look finds out what a record takes and when it was last used.
func (p place) look(g *group) (held, error) {
	h := held{place: p, group: *g, cost: folderCost}
	for _, path := range p.heads(g) {
		info, err := p.fan.Lstat(path)
		if err != nil {
			return h, err
		}
		h.cost += cost(info.Size())
		if used := info.ModTime(); used.After(h.used) {
			h.used = used
		}
	}
	info, err := p.fan.Lstat(p.body(g.id))
	if err == nil {
		h.cost += cost(info.Size())
	} else if !errors.Is(err, fs.ErrNotExist) {
		return h, err
	}
	return h, nil
}

// makeRoom is called by Commit and Update, which have just read the ledger, with what they added. If that went beyond the limit it removes records that have not been
// used for long, until the limit is kept or, when others add at the same time, twice as much is gone as was
// added. So a committing goroutine works in proportion to what it stores, and none works in the background.
func (s *Store) makeRoom(added int64) {
	if s.max < 0 {
		return
	}
	if s.usage.seen().bytes <= s.max {
		return
	}
	s.room.Lock()
	defer s.room.Unlock()
	for freed := int64(0); freed < 2*added; {
		total, _ := s.usage.total()
		if total <= s.max {
			return
		}
		n, _ := s.evict(total - s.max + s.max/16)
		if n == 0 {
			return
		}
		freed += n
	}
}

// evict removes records of about the given size and returns what it freed. It compares a sample of the records and
// removes the least recently used quarter of it at most, or, where the sample is all there is, as many as it takes.
func (s *Store) evict(excess int64) (freed int64, removed int) {
	var all []held
	complete := false
	excess += s.settle(func() (counted, bool) {
		c := s.begin()
		all, complete = s.sample()
		for _, h := range all {
			c.bytes += h.cost
			c.records++
		}
		return c, complete
	})
	slices.SortFunc(all, func(a, b held) int { return a.used.Compare(b.used) })
	if !complete {
		all = all[:(len(all)+3)/4]
	}
	for i := range all {
		if freed >= excess {
			break
		}
		h := &all[i]
		if s.removeRecord(h.place, &h.group) == nil {
			freed += h.cost
			removed++
		}
	}
	return freed, removed
}

// sample returns the next records of a walk that goes on from one sample to the next: keys are spread over the fans by their
// digest, so that this is a fair choice. complete says that it was all there is.
func (s *Store) sample() (all []held, complete bool) {
	whole := s.hand == nil
	for len(all) < sampleSize {
		if s.hand == nil {
			shards, err := s.shards()
			if err != nil {
				return nil, false
			}
			rand.Shuffle(len(shards), func(i, j int) { shards[i], shards[j] = shards[j], shards[i] })
			s.hand = &walk{store: s, shards: shards, batch: 2 * sampleSize}
		}
		e, err := s.hand.next()
		if err != nil {
			s.hand.close()
			s.hand = nil
			if whole || err != io.EOF {
				return all, err == io.EOF
			}
			all, whole = nil, true // there are few
			continue
		}
		groups, err := e.records(place.readPrefix)
		if err != nil {
			continue
		}
		for i := range groups {
			if !groups[i].there() {
				continue
			}
			if h, err := e.look(&groups[i]); err == nil {
				all = append(all, h)
			}
		}
	}
	return all, false
}

// Sweep is described at store.Sweeper. It opens every head file there is, removes what was not committed
// and has not been written to for an hour, and puts the ledger right.
func (s *Store) Sweep(ctx context.Context, now time.Time) (removed int, err error) {
	var faults []error
	s.settle(func() (c counted, complete bool) {
		c, err = s.count(ctx, func(p place, g *group) bool {
			ended, err := p.ended(g, now)
			if errors.Is(err, store.ErrCorrupt) {
				faults = append(faults, fmt.Errorf("%s: %w", p.head(g), err))
				ended = true
			}
			if ended && s.removeRecord(p, g) == nil {
				removed++
			}
			return ended
		})
		return c, err == nil
	})
	if err != nil {
		return removed, fmt.Errorf("disk: sweep: %w", err)
	}
	faults = append(faults, s.sweepLeases(), s.sweepIndex(ctx))
	if s.max > 0 {
		s.room.Lock()
		defer s.room.Unlock()
		for ctx.Err() == nil {
			total, _ := s.usage.total()
			if total <= s.max {
				break
			}
			freed, n := s.evict(total - s.max)
			removed += n
			if freed == 0 {
				break
			}
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

// count walks through all records but those that gone disposes of and those that cannot be read, and removes what writers left
// behind.
func (s *Store) count(ctx context.Context, gone func(place, *group) bool) (c counted, err error) {
	c = s.begin()
	shards, err := s.shards()
	if err != nil {
		return c, err
	}
	end, err := s.eachIn(ctx, shards, place.readPrefix, func(e entry, all []group) bool {
		switch e.suffix {
		case bodySuffix:
			if e.old(e.path) {
				if g, err := e.find(e.id, place.readPrefix); !g.there() && (err == nil || errors.Is(err, fs.ErrNotExist)) {
					remove(e.fan, e.path)
				}
			}
		case tempSuffix:
			if e.old(e.path) {
				remove(e.fan, e.path)
			}
		}
		empty := e.suffix == ""
		for i := range all {
			g := &all[i]
			if !g.there() {
				for _, path := range e.heads(g) {
					if e.old(path) {
						remove(e.fan, path)
					}
				}
				continue
			}
			empty = false
			if gone(e.place, g) {
				continue
			}
			if h, err := e.look(g); err == nil {
				c.bytes += h.cost
				c.records++
			}
		}
		if empty {
			e.discard()
		}
		return true
	})
	if end {
		err = nil
	}
	return c, err
}

// old reports whether a file that belongs to no record has been left alone for so long that nobody is at work on it.
func (p place) old(path string) bool {
	info, err := p.fan.Lstat(path)
	return err == nil && time.Since(info.ModTime()) > grace
}

// Size is described at store.Sizer. It reads the ledger, not the directory.
func (s *Store) Size(ctx context.Context) (records int, bytes int64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, 0, err
	}
	bytes, n := s.usage.total()
	return int(n), bytes, nil
}
