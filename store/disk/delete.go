package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/larder-go/larder/store"
)

// Delete is described at store.Store. It removes the record first and then its body; whoever has that open can read on.
func (s *Store) Delete(ctx context.Context, key store.Key, ids ...store.ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.check(shardOf(key.Digest()))
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
			if _, e := s.removeRecord(p, &all[i]); e != nil {
				err = e
			}
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
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
	_, err = s.removeRecord(p, &g)
	return err
}

// removeRecord removes the files of a record, the base first: with it the record is gone. The folder goes as
// well if it was the last one in it. It returns what they took, without those that another removed first.
func (s *Store) removeRecord(p place, g *group) (bytes int64, err error) {
	changes.RLock()
	defer changes.RUnlock()
	var records int64
	defer func() {
		if bytes > 0 {
			s.usage.add(-bytes, -records)
		}
	}()
	if g.first != nil {
		n, err := p.dropFirst(g.id)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return bytes, err
		}
		if err == nil {
			bytes, records = n+folderCost, 1
		}
	}
	if g.base {
		n, err := p.drop(p.inside(baseName(g.id)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return bytes, err
		}
		if err == nil {
			bytes, records = bytes+n+folderCost, records+1
		}
	}
	bytes += p.dropAll(append(p.insides(g.updates), p.body(g.id))...)
	if g.base || len(g.updates) > 0 {
		p.discard()
	}
	return bytes, nil
}
