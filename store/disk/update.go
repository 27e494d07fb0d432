package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/larder-go/larder/store"
)

// Update is described at store.Store. It writes one file, with a copy of the body if that is inline, into the folder of the
// key. What was committed stays where it is, and the update counts only as long as that is there: so it cannot bring back what
// another process deletes at the same moment.
func (s *Store) Update(ctx context.Context, r *store.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p, err := s.place(r.Key, false)
	if err == nil {
		for n := 1; ; n++ {
			var grown int64
			if grown, err = s.update(ctx, p, r); grown > 0 {
				s.makeRoom(grown)
			}
			// A head that was listed and is gone was updated by another: there is a later one.
			if !errors.Is(err, fs.ErrNotExist) || n == attempts {
				break
			}
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		s.check(p.shard)
		err = store.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("disk: update %s: %w", r.ID, err)
	}
	return nil
}

// update returns by how much more the record takes.
func (s *Store) update(ctx context.Context, p place, r *store.Record) (grown int64, err error) {
	g, err := p.find(r.ID, place.readHead)
	if err != nil {
		return 0, err
	}
	if !g.there() {
		return 0, store.ErrNotFound
	}
	old, _, err := s.readRecord(ctx, p, &g, r.Key)
	if err != nil {
		return 0, err
	}
	r = r.Clone()
	r.Size = old.Size
	head, err := encodeHead(r, old.Body, old.Body != nil)
	if err != nil {
		return 0, err
	}
	long, err := p.note(namesOf(r)) // all of them: so what a power cut took from the index comes back
	if err != nil {
		return 0, err
	}
	defer s.shorten(p, long)
	before := ""
	if n := len(g.updates); n > 0 {
		before = g.updates[n-1]
	}
	path := p.inside(updateName(r.ID, before))
	changes.RLock()
	defer changes.RUnlock()
	if err := p.publish(head, func(temp string) error { return p.move(temp, path) }); err != nil {
		return 0, err
	}
	if err := p.holds(&g); err != nil {
		p.fan.Remove(path)
		p.discard()
		return 0, err
	}
	grown = cost(int64(len(head)))
	for _, older := range g.updates {
		grown -= p.drop(p.inside(older))
	}
	s.usage.add(grown, 0)
	return grown, nil
}

// Delete is described at store.Store. The record goes first and then its body; readers that have it open keep it.
func (s *Store) Delete(ctx context.Context, key store.Key, ids ...store.ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p, err := s.place(key, false)
	if err == nil && len(ids) > 0 {
		for _, id := range ids {
			if e := s.remove(p, id); e != nil {
				err = e
			}
		}
	} else if err == nil {
		var all []group
		all, err = p.records(place.readPrefix, place.list)
		for i := range all {
			if !all[i].there() {
				continue // an update under way, or remains of one
			}
			if e := s.removeRecord(p, &all[i]); e != nil {
				err = e
			}
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		s.check(p.shard)
		return nil
	}
	if err != nil {
		return fmt.Errorf("disk: delete from %s: %w", p.name, err)
	}
	return nil
}

// remove removes one record if it is there.
func (s *Store) remove(p place, id store.ID) error {
	g, err := p.find(id, place.readPrefix)
	if err != nil || !g.there() {
		return err
	}
	return s.removeRecord(p, &g)
}

// removeRecord removes the files of a record, the base first: with it the record is gone. The folder goes as
// well if it was the last one in it.
func (s *Store) removeRecord(p place, g *group) error {
	changes.RLock()
	defer changes.RUnlock()
	var bytes, records int64
	if g.first != nil {
		n, err := p.dropFirst(g.id)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err == nil {
			bytes, records = n+folderCost, 1
		}
	}
	if g.base {
		path := p.inside(baseName(g.id))
		info, err := p.fan.Lstat(path)
		if err == nil {
			err = remove(p.fan, path)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err == nil {
			bytes, records = bytes+cost(info.Size())+folderCost, records+1
		}
	}
	for _, name := range g.updates {
		bytes += p.drop(p.inside(name))
	}
	bytes += p.drop(p.body(g.id))
	if bytes > 0 {
		s.usage.add(-bytes, -records)
	}
	if g.base || len(g.updates) > 0 {
		p.discard()
	}
	return nil
}
