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
	h, err := p.lookAtHeads(g)
	if err != nil {
		return h, err
	}
	info, err := p.fan.Lstat(p.body(g.id))
	if err == nil {
		h.cost += cost(info.Size())
	} else if !errors.Is(err, fs.ErrNotExist) {
		return h, err
	}
	return h, nil
}

// lookAtHeads leaves out the body.
func (p place) lookAtHeads(g *group) (held, error) {
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
	return h, nil
}

// spend calls write, which is to bring about files that take so many bytes more, when the ledger has them and is within the limit.
// Others are evicted for it; the error wraps store.ErrTooLarge if that does not help, for what is being written cannot be.
// So a goroutine works in proportion to what it stores, and none works in the background. If write fails it must have left
// nothing.
func (s *Store) spend(bytes, records int64, write func() error) error {
	s.room.RLock()
	granted, err := s.reserve(bytes, records, write)
	s.room.RUnlock()
	if granted || err != nil {
		return err
	}
	s.room.Lock() // so that no other goroutine takes what is freed
	defer s.room.Unlock()
	for freed := int64(0); bytes <= s.max && freed <= 2*bytes+s.max/2; { // beyond that the limit was lowered, or other processes take it
		if granted, err := s.reserve(bytes, records, write); granted || err != nil {
			return err
		}
		total, _ := s.usage.total()
		n, _ := s.evict(total+bytes-s.max, s.max/16)
		if now, _ := s.usage.total(); n == 0 && now >= total {
			break
		}
		freed += n
	}
	return fmt.Errorf("no room for %d bytes where the limit is %d: %w", bytes, s.max, store.ErrTooLarge)
}

// reserve returns what write returns if it was granted.
func (s *Store) reserve(bytes, records int64, write func() error) (granted bool, err error) {
	changes.RLock()
	defer changes.RUnlock()
	granted, err = s.usage.reserve(bytes, records, s.max)
	if granted {
		if err = write(); err != nil {
			s.usage.add(-bytes, -records)
		}
	}
	return granted, err
}

// evict removes records until the ledger says less by need, and by as much more as spare says, and returns by how much it does. It
// compares a sample of the records and removes the least recently used quarter of it at most; or, where the sample is all
// there is, as many as it takes, or none if all would not do.
func (s *Store) evict(need, spare int64) (freed int64, removed int) {
	all, complete := s.sample()
	if complete {
		there := int64(0)
		for _, h := range all {
			there += h.cost
		}
		if total, _ := s.usage.total(); total != there {
			added, _ := s.recount()
			freed = -added
		}
		if freed+there < need {
			return freed, 0
		}
	}
	slices.SortFunc(all, func(a, b held) int { return a.used.Compare(b.used) })
	if !complete {
		all = all[:(len(all)+3)/4]
	}
	for i := range all {
		if freed >= need+spare {
			break
		}
		h := &all[i]
		if n, err := s.removeRecord(h.place, &h.group); err == nil && n > 0 {
			freed += n
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
	_, err = s.settle(func() (c counted, err error) {
		return s.count(ctx, func(p place, g *group) bool {
			ended, err := p.ended(g, now)
			if errors.Is(err, store.ErrCorrupt) {
				faults = append(faults, fmt.Errorf("%s: %w", p.head(g), err))
				ended = true
			}
			if ended {
				if n, err := s.removeRecord(p, g); err == nil && n > 0 {
					removed++
				}
			}
			return ended
		})
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

// Size is described at store.Sizer. It reads the ledger, not the directory.
func (s *Store) Size(ctx context.Context) (records int, bytes int64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, 0, err
	}
	bytes, n := s.usage.total()
	return int(n), bytes, nil
}
