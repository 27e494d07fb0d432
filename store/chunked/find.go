package chunked

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/larder-go/larder/store"
)

// How many groups a walk through the table reads as one batch, and how many at once; and how many indexes at once,
// which may be long.
const (
	walkBatch     = 64
	walkParallel  = 16
	indexParallel = 4
)

// part is a group, or the rows of it that are wanted.
type part struct {
	group string
	items []string
	rows  []Row
}

// walk reads parts and calls visit with each, until visit returns false.
func (s *Store) walk(ctx context.Context, parts iter.Seq2[part, error], visit func(part) bool) error {
	batch := make([]part, 0, walkBatch)
	flush := func() (more bool, err error) {
		err = each(len(batch), walkParallel, func(i int) (err error) {
			batch[i].rows, err = s.table.Get(ctx, batch[i].group, batch[i].items...)
			return err
		})
		for _, p := range batch {
			if err == nil && !visit(p) {
				return false, nil
			}
		}
		batch = batch[:0]
		return err == nil, err
	}
	for p, err := range parts {
		if err != nil {
			return err
		}
		if batch = append(batch, p); len(batch) == walkBatch {
			if more, err := flush(); !more {
				return err
			}
		}
	}
	_, err := flush()
	return err
}

// groups yields the groups that begin with prefix, each once.
func (s *Store) groups(ctx context.Context, prefix string) iter.Seq2[part, error] {
	return func(yield func(part, error) bool) {
		seen := make(map[string]struct{})
		for group, err := range s.table.Groups(ctx, prefix) {
			if err == nil {
				if _, again := seen[group]; again {
					continue
				}
				seen[group] = struct{}{}
			}
			if !yield(part{group: group}, err) {
				return
			}
		}
	}
}

// indexed yields the records that these indexes name.
func (s *Store) indexed(ctx context.Context, indexes ...string) iter.Seq2[part, error] {
	return func(yield func(part, error) bool) {
		for some := range slices.Chunk(indexes, indexParallel) {
			entries := make([][]Row, len(some))
			err := each(len(some), indexParallel, func(i int) (err error) {
				entries[i], err = s.table.Get(ctx, some[i])
				return err
			})
			if err != nil {
				yield(part{}, err)
				return
			}
			for _, rows := range entries {
				for _, row := range rows {
					if dig, id, ok := strings.Cut(row.Item, "/"); ok && !yield(part{group: recordGroup(dig), items: []string{id}}, nil) {
						return
					}
				}
			}
		}
	}
}

// meant yields where the records are that q may select.
func (s *Store) meant(ctx context.Context, q *store.Query) iter.Seq2[part, error] {
	switch {
	case q.Key != "":
		p := part{group: recordGroup(digest(q.Key))}
		if q.ID != (store.ID{}) {
			p.items = []string{q.ID.String()}
		}
		return func(yield func(part, error) bool) { yield(p, nil) }
	case q.URL != "":
		return s.named(ctx, urlIndex(q.URL))
	case q.Tag != "":
		indexes := make([]string, 0, 16)
		for _, first := range "0123456789abcdef" {
			indexes = append(indexes, tagIndex(q.Tag)+string(first))
		}
		return s.named(ctx, indexes...)
	}
	return s.groups(ctx, "r/")
}

// named yields the records that these indexes name; all groups of records if the indexes may have lost some.
func (s *Store) named(ctx context.Context, indexes ...string) iter.Seq2[part, error] {
	if e, ok := s.table.(Evicter); ok {
		switch evicts, err := e.Evicts(ctx, indexes[0]); {
		case err != nil:
			return func(yield func(part, error) bool) { yield(part{}, err) }
		case evicts:
			return s.groups(ctx, "r/")
		}
	}
	return s.indexed(ctx, indexes...)
}

// Find is described at store.Finder. With neither Key, URL nor Tag, or without Key in a table that evicts, it reads
// every record, and remembers the names of those it has seen: about 150 bytes each.
func (s *Store) Find(ctx context.Context, q store.Query) iter.Seq2[*store.Record, error] {
	return func(yield func(*store.Record, error) bool) {
		n := 0
		err := s.walk(ctx, s.meant(ctx, &q), func(p part) bool {
			for _, row := range p.rows {
				r, err := s.record(ctx, p.group, row)
				switch {
				case err != nil:
					if !yield(nil, fmt.Errorf("find: %w", err)) {
						return false
					}
				case q.Match(r):
					if !yield(r, nil) {
						return false
					}
					if n++; n == q.Limit {
						return false
					}
				}
			}
			return true
		})
		if err != nil {
			yield(nil, fmt.Errorf("find: %w", err))
		}
	}
}

// record decodes a row of a group of records, for callers that do not need the body. It removes a damaged record.
func (s *Store) record(ctx context.Context, group string, row Row) (*store.Record, error) {
	dig := strings.TrimPrefix(group, "r/")
	r, _, err := decode(row.Value, store.DecodeHead)
	if err == nil && (digest(r.Key) != dig || r.ID.String() != row.Item) {
		err = errMisplaced
	}
	if err != nil {
		return nil, s.damaged(ctx, dig, row.Item, err)
	}
	if r.Body != nil {
		r = r.WithBody(nil, r.Size)
	}
	return r, nil
}

// Size is described at store.Sizer. It reads every record.
func (s *Store) Size(ctx context.Context) (records int, bytes int64, err error) {
	err = s.walk(ctx, s.groups(ctx, "r/"), func(p part) bool {
		for _, row := range p.rows {
			r, err := s.record(ctx, p.group, row)
			if err != nil {
				continue
			}
			records++
			bytes += int64(len(row.Value))
			if r.Size > InlineMax {
				bytes += r.Size
			}
		}
		return true
	})
	if err != nil {
		err = fmt.Errorf("size: %w", err)
	}
	return records, bytes, err
}
