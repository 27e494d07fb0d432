package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/larder-go/larder/store"
)

// Update is described at store.Store. It writes one file, with a copy of the body if that is inline. What was committed
// stays where it is, and the update counts only as long as that is there: so it cannot bring back what
// another process deletes at the same moment.
func (s *Store) Update(ctx context.Context, r *store.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d, err := s.folder(r.Key, false)
	if err == nil {
		for n := 1; ; n++ {
			err = s.update(d, r)
			// A head that was listed and is gone was updated by another: there is a later one.
			if !errors.Is(err, fs.ErrNotExist) || n == attempts {
				break
			}
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		s.check(d.shard)
		err = store.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("disk: update %s: %w", r.ID, err)
	}
	return nil
}

func (s *Store) update(d folder, r *store.Record) error {
	g, err := d.find(r.ID)
	if err != nil {
		return err
	}
	if !g.base {
		return store.ErrNotFound
	}
	old, _, err := s.readRecord(d, &g, r.Key)
	if err != nil {
		return err
	}
	r = r.Clone()
	r.Size = old.Size
	head, err := encodeHead(r, old.Body, old.Body != nil)
	if err != nil {
		return err
	}
	before := ""
	if len(g.updates) > 0 {
		before = g.head()
	}
	name := updateName(r.ID, before)
	in, err := d.root()
	if err != nil {
		return err
	}
	defer in.Close()
	changes.RLock()
	defer changes.RUnlock()
	if err := publish(in, head, r.ID, name); err != nil {
		return err
	}
	if _, err := in.Lstat(baseName(r.ID)); err != nil {
		in.Remove(name)
		in.Close()
		d.discard()
		return err
	}
	change := cost(int64(len(head)))
	for _, older := range g.updates {
		change -= d.drop(older)
	}
	s.usage.add(change, 0)
	return nil
}

// Delete is described at store.Store. The record goes first and then its body; readers that have it open keep it.
func (s *Store) Delete(ctx context.Context, key store.Key, ids ...store.ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d, err := s.folder(key, false)
	if err == nil && len(ids) > 0 {
		for _, id := range ids {
			if e := s.remove(d, id); e != nil {
				err = e
			}
		}
	} else if err == nil {
		var all []group
		all, err = d.list()
		for i := range all {
			if !all[i].base {
				continue // a write under way, or remains of one
			}
			if e := s.removeRecord(d, &all[i]); e != nil {
				err = e
			}
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		s.check(d.shard)
		return nil
	}
	if err != nil {
		return fmt.Errorf("disk: delete from %s: %w", d.name, err)
	}
	return nil
}

// remove removes one record if it is there.
func (s *Store) remove(d folder, id store.ID) error {
	g, err := d.find(id)
	if err != nil || !g.base {
		return err
	}
	return s.removeRecord(d, &g)
}

// removeRecord removes the files of a record, the base first: with it the record is gone. The folder goes as
// well if it was the last one.
func (s *Store) removeRecord(d folder, g *group) error {
	changes.RLock()
	defer changes.RUnlock()
	info, err := d.stat(baseName(g.id))
	if err == nil {
		err = d.remove(baseName(g.id))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var bytes, records int64
	if err == nil {
		bytes, records = cost(info.Size())+folderCost, 1
	}
	for _, name := range g.updates {
		bytes += d.drop(name)
	}
	for _, name := range g.temps {
		d.remove(name) // of an Update under way, which then finds the record gone
	}
	if g.body {
		bytes += d.drop(bodyName(g.id))
	}
	if bytes > 0 {
		s.usage.add(-bytes, -records)
	}
	d.discard()
	return nil
}

// drop removes a file and returns what it took on the disk; 0 if another removed it first.
func (d folder) drop(name string) int64 {
	info, err := d.stat(name)
	if err != nil || d.remove(name) != nil {
		return 0
	}
	return cost(info.Size())
}
