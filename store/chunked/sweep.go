package chunked

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/larder-go/larder/store"
)

// Sweep is described at store.Sweeper. It goes through the whole table. It is needed only for what does not expire:
// what interrupted writes left, and all of a database that removes nothing by itself.
func (s *Store) Sweep(ctx context.Context, now time.Time) (removed int, err error) {
	err = s.sweepBodies(ctx) // first, since the bodies of what ends now may be read still
	if err == nil {
		removed, err = s.sweepRecords(ctx, now)
	}
	if err == nil {
		err = s.sweepIndexes(ctx)
	}
	if e, ok := s.table.(Expirer); ok && err == nil {
		err = e.Expire(ctx, time.Now())
	}
	if err != nil {
		err = fmt.Errorf("sweep: %w", err)
	}
	return removed, err
}

// sweepRecords removes the records whose KeepUntil is before now.
func (s *Store) sweepRecords(ctx context.Context, now time.Time) (removed int, err error) {
	var fault error
	err = s.walk(ctx, s.groups(ctx, "r/"), func(p part) bool {
		for _, row := range p.rows {
			r, err := s.record(ctx, p.group, row)
			if errors.Is(err, store.ErrCorrupt) {
				removed++
				continue
			}
			if err == nil && !r.KeepUntil.IsZero() && r.KeepUntil.Before(now) {
				if err = s.table.Delete(ctx, p.group, row.Item); err == nil {
					removed++
					s.forget(strings.TrimPrefix(p.group, "r/"), r)
				}
			}
			if err != nil {
				fault = err
				return false
			}
		}
		return true
	})
	return removed, errors.Join(err, fault)
}

// sweepBodies removes the bodies that no record has and nobody writes.
func (s *Store) sweepBodies(ctx context.Context) error {
	var fault error
	orphans := func(yield func(part, error) bool) {
		for p, err := range s.groups(ctx, "b/") {
			dig, id, ok := strings.Cut(strings.TrimPrefix(p.group, "b/"), "/")
			if err == nil && ok {
				p = part{group: recordGroup(dig), items: []string{id}}
			}
			if !yield(p, err) {
				return
			}
		}
	}
	err := s.walk(ctx, orphans, func(p part) bool {
		if len(p.rows) > 0 || len(p.items) != 1 {
			return true
		}
		group := "b/" + strings.TrimPrefix(p.group, "r/") + "/" + p.items[0]
		var dead bool
		if dead, fault = s.dead(ctx, group, p.items[0]); dead {
			fault = s.table.Delete(ctx, group)
		}
		return fault == nil
	})
	return errors.Join(err, fault)
}

// dead reports whether there was no sign of life of the body for orphanAge.
func (s *Store) dead(ctx context.Context, group, item string) (bool, error) {
	id, err := store.ParseID(item)
	if err != nil {
		return false, nil // not one of ours
	}
	last := id.Time()
	rows, err := s.table.Get(ctx, group, signItem)
	if err != nil {
		return false, err
	}
	if len(rows) == 1 && len(rows[0].Value) == 8 {
		last = time.UnixMilli(int64(binary.BigEndian.Uint64(rows[0].Value)))
	}
	return time.Since(last) > orphanAge, nil
}

// sweepIndexes removes the entries whose record is gone, except young ones, whose record may still come.
func (s *Store) sweepIndexes(ctx context.Context) error {
	var fault error
	for p, err := range s.groups(ctx, "i/") {
		if err != nil {
			return err
		}
		err := s.walk(ctx, s.indexed(ctx, p.group), func(named part) bool {
			if len(named.rows) > 0 {
				return true
			}
			id, err := store.ParseID(named.items[0])
			if err == nil && time.Since(id.Time()) > orphanAge {
				fault = s.table.Delete(ctx, p.group, strings.TrimPrefix(named.group, "r/")+"/"+named.items[0])
			}
			return fault == nil
		})
		if err = errors.Join(err, fault); err != nil {
			return err
		}
	}
	return nil
}
