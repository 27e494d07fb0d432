package disk

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"slices"
	"time"

	"github.com/larder-go/larder/store"
)

// touchEvery is how old the mark of a record's last use may grow before a hit renews it. A hit thus
// writes nothing, as a rule; the least recently used record is known to the hour.
const touchEvery = time.Hour

// attempts bounds how often a thing is tried again because somebody else changed the folder, or the ledger, in the midst of
// it. Each takes another change at the wrong moment, so that a few are rare, and this many are a fault.
const attempts = 64

// Lookup is described at store.Store. A key that was never stored costs one failing open and one stat.
func (s *Store) Lookup(ctx context.Context, key store.Key) ([]*store.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d, err := s.folder(key, false)
	if err != nil {
		return nil, s.missing("look up", err)
	}
	for n := 1; ; n++ {
		found, changed, err := s.read(d, key)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			s.check(d.shard)
			return nil, nil
		case changed && n < attempts:
			continue
		case err != nil:
			return found, fmt.Errorf("disk: look up %s: %w", d.name, err)
		}
		return found, nil
	}
}

// missing says what to answer to a request for something that is in a directory that could not be opened: nothing, if
// it is not there.
func (s *Store) missing(verb string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("disk: %s: %w", verb, err)
}

// read returns the records in a folder. It reports whether a head that was listed had gone by the time it was to be
// read, which happens when it is updated or superseded at that moment.
func (s *Store) read(d folder, key store.Key) (found []*store.Record, changed bool, err error) {
	all, err := s.seen.list(d)
	if err != nil {
		return nil, false, err
	}
	var faults []error
	for i := range all {
		g := &all[i]
		if !g.base {
			continue
		}
		r, used, err := s.readRecord(d, g, key)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			changed = true
			s.seen.forget(d)
			continue
		case err != nil:
			faults = append(faults, err)
			continue
		}
		s.touch(d, g, used)
		if found == nil {
			found = make([]*store.Record, 0, len(all)-i)
		}
		found = append(found, r)
	}
	return found, changed, errors.Join(faults...)
}

// readRecord reads the head of one record, and removes the record if it is damaged. key may be empty when it is not
// known.
func (s *Store) readRecord(d folder, g *group, key store.Key) (*store.Record, time.Time, error) {
	b, used, err := d.readFile(g.head())
	if err != nil && !errors.Is(err, store.ErrCorrupt) {
		return nil, used, err
	}
	var r *store.Record
	if err == nil {
		decode := s.heads.Head
		if key == "" { // a walk through all would push out what is in use
			decode = store.DecodeHead
		}
		r, err = decodeHead(b, key, g.id, decode)
	}
	if err == nil && r.Body == nil && !g.body {
		// It may have been written, or the record removed, while the folder was listed.
		if _, err = d.stat(bodyName(g.id)); errors.Is(err, fs.ErrNotExist) {
			if _, err := d.stat(baseName(g.id)); err != nil {
				return nil, used, err
			}
			err = fmt.Errorf("the body is gone: %w", store.ErrCorrupt)
		} else if err != nil {
			return nil, used, err
		}
	}
	if err == nil && key == "" && folderName(r.Key.Digest()) != d.name {
		err = fmt.Errorf("in the folder of another key: %w", store.ErrCorrupt)
	}
	if err != nil {
		s.removeRecord(d, g)
		return nil, used, fmt.Errorf("%s: %w", g.head(), err)
	}
	return r, used, nil
}

// touch renews the mark of last use. Where the directory cannot be written that is no harm to the hit.
func (s *Store) touch(d folder, g *group, used time.Time) {
	if age := time.Since(used); age > touchEvery || age < -touchEvery {
		now := time.Now()
		d.fan.Chtimes(d.path(g.head()), now, now)
	}
}

// Find is described at store.Finder. With a Key it reads one folder, otherwise every head there is.
func (s *Store) Find(ctx context.Context, q store.Query) iter.Seq2[*store.Record, error] {
	return func(yield func(*store.Record, error) bool) {
		found := 0
		err := s.eachFolder(ctx, q.Key, func(d folder) bool {
			all, err := d.list()
			if err != nil {
				return true
			}
			for i := range all {
				g := &all[i]
				if !g.base || q.ID != (store.ID{}) && g.id != q.ID {
					continue
				}
				r, _, err := s.readRecord(d, g, q.Key)
				if errors.Is(err, fs.ErrNotExist) {
					r, err = s.readAgain(d, g.id, q.Key)
				}
				switch {
				case errors.Is(err, store.ErrNotFound):
					continue
				case err != nil:
					if !yield(nil, fmt.Errorf("disk: find: %w", err)) {
						return false
					}
					continue
				}
				if r.Body != nil {
					r = r.WithBody(nil, r.Size)
				}
				if !q.Match(r) {
					continue
				}
				found++
				if !yield(r, nil) || found == q.Limit {
					found = -1
					return false
				}
			}
			return true
		})
		if err != nil && found >= 0 {
			yield(nil, fmt.Errorf("disk: find: %w", err))
		}
	}
}

// readAgain reads one record whose head went away while its folder was read; ErrNotFound if all of it did.
func (s *Store) readAgain(d folder, id store.ID, key store.Key) (*store.Record, error) {
	for range attempts {
		g, err := d.find(id)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if !g.base {
			break
		}
		r, _, err := s.readRecord(d, &g, key)
		if !errors.Is(err, fs.ErrNotExist) {
			return r, err
		}
	}
	return nil, store.ErrNotFound
}

// eachFolder calls do for every folder, or for that of key alone, until it returns false or ctx ends.
func (s *Store) eachFolder(ctx context.Context, key store.Key, do func(folder) bool) error {
	if key != "" {
		d, err := s.folder(key, false)
		if err == nil && ctx.Err() == nil {
			do(d)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return ctx.Err()
	}
	shards, err := s.shards()
	if err != nil {
		return err
	}
	for _, shard := range shards {
		s.check(shard)
		folders, err := s.folders(shard)
		if err != nil {
			return err
		}
		for _, d := range folders {
			if err := ctx.Err(); err != nil {
				return err
			}
			if !do(d) {
				return nil
			}
		}
	}
	return ctx.Err()
}

// shards returns those that there is a fan of: a small store has few.
func (s *Store) shards() ([]byte, error) {
	top, err := os.OpenRoot(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer top.Close()
	names, err := list(top, version)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var shards []byte
	for _, name := range names {
		if b, err := hex.DecodeString(name); err == nil && len(b) == 1 && fanName(b[0]) == version+"/"+name {
			shards = append(shards, b[0])
		}
	}
	slices.Sort(shards)
	return shards, err
}

// folders returns the folders of one shard, in no order.
func (s *Store) folders(shard byte) ([]folder, error) {
	f, err := s.fan(shard, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	names, err := list(f, ".")
	if err != nil {
		return nil, err
	}
	all := make([]folder, 0, len(names))
	for _, name := range names {
		if isFolderName(name, shard) {
			all = append(all, folder{fan: f, shard: shard, name: name})
		}
	}
	return all, nil
}
