package disk

import (
	"context"
	"errors"
	"fmt"
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
	folder folder
	group  group
	cost   int64
	used   time.Time
}

// look finds out what a record takes and when it was last used.
func (d folder) look(g *group) (held, error) {
	h := held{folder: d, group: *g, cost: folderCost}
	for _, name := range g.files() {
		info, err := d.stat(name)
		if err != nil {
			return h, err
		}
		h.cost += cost(info.Size())
		if used := info.ModTime(); name != bodyName(g.id) && used.After(h.used) {
			h.used = used
		}
	}
	return h, nil
}

// makeRoom is called by Commit, which has just read the ledger, with what it added. If that went beyond the limit it removes records that have not been
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
		if s.removeRecord(h.folder, &h.group) == nil {
			freed += h.cost
			removed++
		}
	}
	return freed, removed
}

// sample returns records from neighbouring shards, the first of which is chosen at random: keys are spread over them by
// their digest, so that this is a fair choice. complete says that it was all there is.
func (s *Store) sample() (all []held, complete bool) {
	shards, err := s.shards()
	if err != nil || len(shards) == 0 {
		return nil, err == nil
	}
	start := rand.IntN(len(shards))
	for i := range shards {
		folders, err := s.folders(shards[(start+i)%len(shards)])
		if err != nil {
			continue
		}
		rand.Shuffle(len(folders), func(i, j int) { folders[i], folders[j] = folders[j], folders[i] })
		for _, d := range folders {
			if len(all) >= sampleSize {
				return all, false
			}
			groups, err := d.list()
			if err != nil {
				continue
			}
			for i := range groups {
				if !groups[i].base {
					continue
				}
				if h, err := d.look(&groups[i]); err == nil {
					all = append(all, h)
				}
			}
		}
	}
	return all, true
}

// Sweep is described at store.Sweeper. It opens every head file there is, removes what was not committed
// and has not been written to for an hour, and puts the ledger right.
func (s *Store) Sweep(ctx context.Context, now time.Time) (removed int, err error) {
	var faults []error
	s.settle(func() (c counted, complete bool) {
		c, err = s.count(ctx, func(d folder, g *group) bool {
			ended, err := d.ended(g.head(), now)
			if errors.Is(err, store.ErrCorrupt) {
				faults = append(faults, fmt.Errorf("%s: %w", g.head(), err))
				ended = true
			}
			if ended && s.removeRecord(d, g) == nil {
				removed++
			}
			return ended
		})
		return c, err == nil
	})
	if err == nil {
		err = s.sweepLeases()
	}
	if err != nil {
		return removed, fmt.Errorf("disk: sweep: %w", err)
	}
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
func (d folder) ended(name string, now time.Time) (bool, error) {
	f, err := d.open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var b [prefixSize]byte
	if n, err := f.ReadAt(b[:], 0); n < len(b) {
		return false, fmt.Errorf("%w: %w", err, store.ErrCorrupt)
	}
	p, err := decodePrefix(b[:])
	return err == nil && p.ended(now), err
}

// count walks through all records but those that gone disposes of, and removes what writers left behind.
func (s *Store) count(ctx context.Context, gone func(folder, *group) bool) (c counted, err error) {
	c = s.begin()
	err = s.eachFolder(ctx, "", func(d folder) bool {
		all, err := d.list()
		if err != nil {
			return true
		}
		for i := range all {
			g := &all[i]
			s.removeRemains(d, g)
			if !g.base || gone(d, g) {
				continue
			}
			if h, err := d.look(g); err == nil {
				c.bytes += h.cost
				c.records++
			}
		}
		if len(all) == 0 {
			d.discard()
		}
		return true
	})
	return c, err
}

// removeRemains removes files that belong to no record and have not been written to for a while.
func (s *Store) removeRemains(d folder, g *group) {
	remains := g.temps
	if !g.base {
		remains = append(g.files(), g.temps...)
	}
	for _, name := range remains {
		if info, err := d.stat(name); err == nil && time.Since(info.ModTime()) > grace {
			d.remove(name)
		}
	}
	if !g.base {
		d.discard()
	}
}

// Size is described at store.Sizer. It reads the ledger, not the directory.
func (s *Store) Size(ctx context.Context) (records int, bytes int64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, 0, err
	}
	bytes, n := s.usage.total()
	return int(n), bytes, nil
}
