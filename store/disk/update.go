package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/larder-go/larder/store"
)

// Update is described at store.Store. It writes one file, with a copy of the body if that is inline, into the folder of
// the key. What was committed stays where it is, and the update counts only as long as that is there: so it cannot
// bring back what another process deletes at the same moment.
func (s *Store) Update(ctx context.Context, r *store.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p, err := s.place(r.Key, false)
	if err == nil {
		for n := 1; ; n++ {
			err = s.update(ctx, p, r)
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

func (s *Store) update(ctx context.Context, p place, r *store.Record) error {
	g, err := p.find(r.ID, place.readHead)
	if err != nil {
		return err
	}
	if !g.there() {
		return store.ErrNotFound
	}
	old, _, err := s.readRecord(ctx, p, &g, r.Key)
	if err != nil {
		return err
	}
	r = r.Clone()
	r.Size = old.Size
	head, err := encodeHead(r, old.Body, old.Body != nil)
	if err != nil {
		return err
	}
	long, err := p.note(namesOf(r)) // all of them: so what a power cut took from the index comes back
	if err != nil {
		return err
	}
	defer s.shorten(p, long)
	before := ""
	if n := len(g.updates); n > 0 {
		before = g.updates[n-1]
	}
	path := p.inside(updateName(r.ID, before))
	err = s.spend(cost(int64(len(head))), 0, func() error {
		return p.publish(head, func(temp string) error { return p.move(temp, path) })
	})
	if err != nil {
		return err
	}
	if err := p.holds(&g); err != nil {
		s.drop(p, path)
		p.discard()
		return err
	}
	s.drop(p, p.insides(g.updates)...)
	return nil
}
