package disk

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"time"
)

// sampleSize is how many records are compared to find one that has not been used for long.
const sampleSize = 64

// held is a record as the eviction sees it.
type held struct {
	place place
	group group
	cost  int64
	used  time.Time
}

// look returns what a record takes and when it was last used.
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

// lookAtHeads is look without the body.
func (p place) lookAtHeads(g *group) (held, error) {
	h := held{place: p, group: *g, cost: folderCost}
	for _, path := range p.heads(g) {
		info, err := p.fan.Lstat(path)
		if err != nil {
			return h, err
		}
		h.cost += cost(info.Size())
		// A time further ahead does not count: a hit would have reset it.
		if used := info.ModTime(); used.After(h.used) && time.Until(used) <= touchEvery {
			h.used = used
		}
	}
	return h, nil
}

// evict removes records until the ledger has need bytes less, and spare more if it can. It returns how many bytes it
// freed. It compares a sample of the records, and removes at most the least recently used quarter of it. If the sample
// is all there is, it removes as many as necessary, or none if all would not suffice.
func (s *Store) evict(need, spare int64) (freed int64, removed int) {
	all, complete := s.sample()
	if complete {
		there := int64(0)
		for _, h := range all {
			there += h.cost
		}
		// A count that finds the ledger right is not repeated for a while, since many writes may find no room beside
		// others under way.
		if total, _ := s.usage.total(); total != there && time.Since(s.counted) > atRest {
			s.recount(pressed)
			now, _ := s.usage.total()
			if freed = total - now; freed == 0 {
				s.counted = time.Now()
			}
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

// sample returns the next records of a walk that goes on from one sample to the next: keys are spread over the fans by
// their digest, so this is a fair choice. complete says that these are all records. Otherwise sample removes the
// remains of killed processes that it comes across, which would take room until Sweep.
func (s *Store) sample() (all []held, complete bool) {
	var passed []entry
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
		if e.suffix == bodySuffix || e.suffix == tempSuffix {
			passed = append(passed, e)
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
	for _, e := range passed {
		s.tidyEntry(e, grace)
	}
	return all, false
}
