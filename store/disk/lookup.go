package disk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"time"

	"github.com/larder-go/larder/store"
)

// touchEvery is how old the mark of a record's last use may grow before a hit renews it. So most hits write nothing,
// and the least recently used record is known to the hour.
const touchEvery = time.Hour

// attempts bounds how often something is tried again because somebody else changed the folder, or the ledger, in the
// middle of it. Each attempt takes another change at the wrong moment, so a few are rare, and this many are an error.
const attempts = 64

// Lookup is described at store.Store. For a key that was never stored it takes three failing opens and one stat.
func (s *Store) Lookup(ctx context.Context, key store.Key) ([]*store.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p, err := s.place(key, false)
	if err != nil {
		return nil, s.missing("look up", err)
	}
	for n := 1; ; n++ {
		found, changed, err := s.readRecords(ctx, p, key)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if err := s.check(p.shard); err != nil {
				return nil, fmt.Errorf("disk: look up: %w", err)
			}
			return nil, nil
		case changed && n < attempts:
			continue
		case err != nil:
			return found, fmt.Errorf("disk: look up %s: %w", p.name, err)
		}
		return found, nil
	}
}

// missing returns the error for a request to a directory that could not be opened with err: nil if it does not exist.
func (s *Store) missing(verb string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("disk: %s: %w", verb, err)
}

// readRecords returns the records of a key. changed says that a head that was listed was gone before it was read: the
// record was updated or superseded at that moment.
func (s *Store) readRecords(ctx context.Context, p place, key store.Key) (found []*store.Record, changed bool, err error) {
	all, err := p.records(s.readHead, s.seen.list)
	if err != nil {
		return nil, false, err
	}
	var faults []error
	for i := range all {
		g := &all[i]
		if !g.there() {
			continue
		}
		r, used, err := s.readRecord(ctx, p, g, key)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			changed = true
			s.seen.forget(p.name)
			continue
		case err != nil:
			faults = append(faults, err)
			continue
		}
		s.touch(p, g, used)
		if found == nil {
			found = make([]*store.Record, 0, len(all)-i)
		}
		found = append(found, r)
	}
	return found, changed, errors.Join(faults...)
}

// readHead reads a head file, or returns what it remembers of it.
func (s *Store) readHead(p place, path string) (*head, error) {
	if _, ok := s.heads.recall(path); ok {
		now := time.Now()
		info, err := p.fan.Lstat(path)
		if err != nil {
			s.heads.forget(path)
			return nil, err
		}
		if r, ok := s.heads.get(path, state{info, now}); ok {
			return &head{state: state{info, now}, id: r.ID, record: r}, nil
		}
	}
	return p.readHead(path)
}

// readRecord returns one record and when it was last used. It removes a damaged one. key is empty if it is not known.
func (s *Store) readRecord(ctx context.Context, p place, g *group, key store.Key) (*store.Record, time.Time, error) {
	path, h := p.head(g), g.first
	if path != p.first() {
		var err error
		if h, err = s.readHead(p, path); err != nil {
			return nil, time.Time{}, err
		}
	}
	used := h.info.ModTime()
	if h.record != nil && (key == "" || h.record.Key == key) {
		return h.record, used, nil
	}
	decode := s.decoder.Head
	if key == "" { // a walk through all would drive out what is in use
		decode = store.DecodeHead
	}
	r, err := decodeHead(h.bytes, key, g.id, decode)
	if err == nil && key == "" && placeIn(p.fan, r.Key.Digest()).name != p.name {
		err = fmt.Errorf("in the place of another key: %w", store.ErrCorrupt)
	}
	if err != nil {
		if !store.Inspecting(ctx) {
			s.removeRecord(p, g)
		}
		return nil, used, fmt.Errorf("%s: %w", path, err)
	}
	if key != "" && h.info.Size() <= maxKnownHead {
		s.heads.put(path, h.state, r, maxHeads)
	}
	return r, used, nil
}

// touch renews the mark of last use. If the directory cannot be written, that does not harm the hit.
func (s *Store) touch(p place, g *group, used time.Time) {
	if time.Since(used).Abs() > touchEvery {
		now := time.Now()
		p.fan.Chtimes(p.head(g), now, now)
	}
}

// Find is described at store.Finder. With a Key it reads the records of that, with a URL or a tag those that the index
// names, and otherwise every head.
func (s *Store) Find(ctx context.Context, q store.Query) iter.Seq2[*store.Record, error] {
	return func(yield func(*store.Record, error) bool) {
		found, more := 0, true
		err := s.each(ctx, &q, place.readHead, func(e entry, all []group) bool {
			for i := range all {
				g := &all[i]
				if !g.there() || q.ID != (store.ID{}) && g.id != q.ID {
					continue
				}
				r, err := s.readFound(ctx, e.place, g, q.Key)
				switch {
				case errors.Is(err, store.ErrNotFound):
				case err != nil:
					more = yield(nil, fmt.Errorf("disk: find: %w", err))
				case q.Match(r):
					found++
					more = yield(r, nil) && found != q.Limit
				}
				if !more {
					return false
				}
			}
			return true
		})
		if err != nil && more {
			yield(nil, fmt.Errorf("disk: find: %w", err))
		}
	}
}

// readFound reads one record without its body, even if its head went away since it was found. It returns ErrNotFound if
// the whole record did.
func (s *Store) readFound(ctx context.Context, p place, g *group, key store.Key) (*store.Record, error) {
	r, _, err := s.readRecord(ctx, p, g, key)
	if errors.Is(err, fs.ErrNotExist) {
		r, err = s.readAgain(ctx, p, g.id, key)
	}
	if err == nil && r.Body != nil {
		r = r.WithBody(nil, r.Size)
	}
	return r, err
}

// readAgain reads one record whose head went away while it was looked for. It returns ErrNotFound if the whole record
// did.
func (s *Store) readAgain(ctx context.Context, p place, id store.ID, key store.Key) (*store.Record, error) {
	for range attempts {
		g, err := p.find(id, place.readHead)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if !g.there() {
			break
		}
		r, _, err := s.readRecord(ctx, p, &g, key)
		if !errors.Is(err, fs.ErrNotExist) {
			return r, err
		}
	}
	return nil, store.ErrNotFound
}

// each calls do for the entries that may have records q selects, with what place.records returns for each, until do
// returns false or ctx ends. It skips what cannot be read, and returns the first such error in the end.
func (s *Store) each(ctx context.Context, q *store.Query, read reader, do func(entry, []group) bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if q.Key != "" {
		s.check(shardOf(q.Key.Digest()))
		p, err := s.place(q.Key, false)
		if err == nil {
			err = eachOf(p, read, do)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	shards, err := s.shards()
	if err != nil {
		return err
	}
	stopped := false
	visit := func(e entry, all []group) bool {
		stopped = !do(e, all)
		return !stopped && ctx.Err() == nil
	}
	var fault error
	for _, shard := range shards {
		var err error
		switch {
		case q.URL != "":
			err = s.eachNoted(ctx, shard, urlName(q.URL), read, visit)
		case q.Tag != "":
			err = s.eachNoted(ctx, shard, tagName(q.Tag), read, visit)
		default:
			_, err = s.eachIn(ctx, []byte{shard}, read, visit)
		}
		fault = cmp.Or(fault, err)
		if stopped || ctx.Err() != nil {
			break
		}
	}
	return cmp.Or(ctx.Err(), fault)
}

// eachIn calls do for all entries in the shards. Each record comes with one entry: the one with its base. It returns
// whether it came to the end, and the first error of a head.
func (s *Store) eachIn(ctx context.Context, shards []byte, read reader, do func(entry, []group) bool) (end bool, fault error) {
	w := &walk{store: s, shards: shards, batch: -1}
	defer w.close()
	for {
		e, err := w.next()
		if err == io.EOF {
			return true, fault
		} else if err != nil {
			return false, cmp.Or(fault, err)
		}
		if err := ctx.Err(); err != nil {
			return false, err
		}
		all, err := e.records(read)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			fault = cmp.Or(fault, err)
			continue
		}
		if !do(e, all) {
			return false, fault
		}
	}
}

// eachNoted calls do for the keys of a shard that its index has under n, or for all entries if the index cannot tell.
func (s *Store) eachNoted(ctx context.Context, shard byte, n indexName, read reader, do func(entry, []group) bool) (fault error) {
	s.check(shard)
	fan, err := s.fan(shard, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	p := place{fan: fan, shard: shard}
	keys, ok := p.noted(n)
	if !ok {
		end, err := s.eachIn(ctx, []byte{shard}, read, do)
		if end && !store.Inspecting(ctx) {
			s.turn(ctx, p, n.log(), true)
		}
		return err
	}
	for _, p := range keys {
		more := true
		err := eachOf(p, read, func(e entry, all []group) bool {
			more = do(e, all)
			return more
		})
		if !errors.Is(err, fs.ErrNotExist) {
			fault = cmp.Or(fault, err)
		}
		if !more {
			break
		}
	}
	return fault
}

// eachOf calls do for what is stored under one key.
func eachOf(p place, read reader, do func(entry, []group) bool) error {
	all, err := p.records(read, place.list)
	if err == nil {
		do(entry{place: p}, all)
	}
	return err
}
