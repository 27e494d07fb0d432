package chunked

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/larder-go/larder/store"
)

// Options are a Store's settings; the zero value stands for the defaults.
type Options struct {
	// Chunk is how many bytes of a body make a row, at least 32 KiB; 0: 256 KiB. Bodies that were written with another
	// size can still be read.
	Chunk int
	// MaxBody is the length of the longest body that is stored, in bytes; 0: no limit.
	MaxBody int64
	// Parallel is how many calls are under way at once for one body; 0: 4. A body that is read or written takes as
	// many chunks of memory, and a few more.
	Parallel int
	// Grace is how long the body of a removed record can still be read; 0: 1 minute.
	Grace time.Duration
}

// Store keeps records in a Table. Its methods are safe for concurrent use, by several processes too. It must be made by
// New.
type Store struct {
	table Table
	opts  Options
	heads store.Decoder
	later *later
}

var _ interface {
	store.Store
	store.Finder
	store.Sweeper
	store.Sizer
	store.Leaser
} = (*Store)(nil)

// InlineMax is the length in bytes of the longest body that is kept beside its head.
const InlineMax = 32 << 10

// New returns a Store in t; nil options are the defaults.
func New(t Table, o *Options) *Store {
	s := &Store{table: t, later: newLater()}
	if o != nil {
		s.opts = *o
	}
	if s.opts.Chunk == 0 {
		s.opts.Chunk = 256 << 10
	}
	s.opts.Chunk = max(s.opts.Chunk, InlineMax)
	if s.opts.Parallel <= 0 {
		s.opts.Parallel = 4
	}
	if s.opts.Grace == 0 {
		s.opts.Grace = time.Minute
	}
	return s
}

// Close removes at once what was to be removed later, and waits for that for up to 5 s. It does not close the table's
// client. The Store must not be used afterwards.
func (s *Store) Close() error {
	s.later.close()
	return nil
}

// Lookup is described at store.Store.
func (s *Store) Lookup(ctx context.Context, key store.Key) ([]*store.Record, error) {
	found, err := s.lookup(ctx, digest(key), key)
	if err != nil {
		err = fmt.Errorf("look up %.12s: %w", digest(key), err)
	}
	return found, err
}

// lookup returns the records of a key, all or those with ids, newest first. It removes damaged ones.
func (s *Store) lookup(ctx context.Context, dig string, key store.Key, ids ...store.ID) ([]*store.Record, error) {
	rows, err := s.table.Get(ctx, recordGroup(dig), items(ids)...)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	found := make([]*store.Record, 0, len(rows))
	var faults []error
	for _, row := range rows {
		r, _, err := decode(row.Value, s.heads.Head)
		if err == nil && (r.Key != key || r.ID.String() != row.Item) {
			err = errMisplaced
		}
		if err != nil {
			faults = append(faults, s.damaged(ctx, dig, row.Item, err))
			continue
		}
		found = append(found, r)
	}
	slices.SortFunc(found, func(a, b *store.Record) int { return b.ID.Compare(a.ID) })
	return found, errors.Join(faults...)
}

var errMisplaced = fmt.Errorf("the record of another key or id: %w", store.ErrCorrupt)

// damaged removes a record that cannot be read, and returns an error with its name.
func (s *Store) damaged(ctx context.Context, dig, item string, why error) error {
	why = fmt.Errorf("record %s: %w", item, why)
	if store.Inspecting(ctx) {
		return why
	}
	if id, err := store.ParseID(item); err == nil {
		s.later.run(func(ctx context.Context) { s.table.Delete(ctx, bodyGroup(dig, id)) })
	}
	return errors.Join(why, s.table.Delete(ctx, recordGroup(dig), item))
}

// Update is described at store.Store. It reads the record's row first, since rows are written whole.
func (s *Store) Update(ctx context.Context, r *store.Record) error {
	err := s.update(ctx, r)
	if err != nil {
		err = fmt.Errorf("update record %s: %w", r.ID, err)
	}
	return err
}

func (s *Store) update(ctx context.Context, r *store.Record) error {
	dig := digest(r.Key)
	rows, err := s.table.Get(ctx, recordGroup(dig), r.ID.String())
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return store.ErrNotFound
	}
	old, until, err := decode(rows[0].Value, s.heads.Head)
	if err != nil {
		return err
	}
	updated := r.Clone()
	updated.Size = old.Size
	keeper, can := s.table.(Keeper)
	end := s.piecesEnd(r)
	longer := can && !until.IsZero() && (end.IsZero() || end.After(until))
	if longer {
		until = end
	}
	row, err := recordRow(dig, updated, old.Body, until)
	if err != nil {
		return err
	}
	entries := marks(dig, r)
	for i := range entries { // if Update fails after these, they must last as long as the old record
		entries[i].Expires = entriesEnd(latest(r.KeepUntil, old.KeepUntil))
	}
	if err := s.put(ctx, entries); err != nil {
		return err
	}
	if longer {
		if err := keeper.Keep(ctx, bodyGroup(dig, r.ID), until); err != nil {
			return err
		}
	}
	return s.table.Put(ctx, row, IfPresent)
}

// piecesEnd returns when the pieces of r's body should expire.
func (s *Store) piecesEnd(r *store.Record) time.Time {
	if r.KeepUntil.IsZero() {
		return time.Time{}
	}
	if _, ok := s.table.(Keeper); ok {
		return r.KeepUntil.Add(keptOutlive)
	}
	return r.KeepUntil.Add(piecesOutlive)
}

// Delete is described at store.Store.
func (s *Store) Delete(ctx context.Context, key store.Key, ids ...store.ID) error {
	dig := digest(key)
	found, err := s.lookup(ctx, dig, key, ids...)
	if err == nil || errors.Is(err, store.ErrCorrupt) { // even if none were found: the table may not show the latest
		err = s.table.Delete(ctx, recordGroup(dig), items(ids)...)
	}
	if err != nil {
		return fmt.Errorf("delete %.12s: %w", dig, err)
	}
	for _, r := range found {
		s.forget(dig, r)
	}
	return nil
}

// forget removes what is left of a record whose row was removed.
func (s *Store) forget(dig string, r *store.Record) {
	s.later.run(func(ctx context.Context) { s.unmark(ctx, marks(dig, r)) })
	if r.Size > InlineMax {
		s.removeBody(dig, r.ID)
	}
}

// removeBody removes the pieces of a body after Grace, in which it can be read to its end. Until then a sign of life
// makes Sweep leave them. If there is no such row to replace, there are no pieces.
func (s *Store) removeBody(dig string, id store.ID) {
	group := bodyGroup(dig, id)
	s.later.run(func(ctx context.Context) {
		err := s.table.Put(ctx, sign(group, time.Now().Add(s.opts.Grace)), IfPresent)
		if errors.Is(err, store.ErrNotFound) {
			return // it has no pieces
		}
		s.later.after(s.opts.Grace, func(ctx context.Context) { s.table.Delete(ctx, group) })
	})
}

// marks returns r's entries in the indexes.
func marks(dig string, r *store.Record) []Row {
	item, ends := dig+"/"+r.ID.String(), entriesEnd(r.KeepUntil)
	var rows []Row
	if r.URL != "" {
		rows = append(rows, Row{Group: urlIndex(r.URL), Item: item, Expires: ends})
	}
	for _, tag := range r.Tags {
		if tag != "" {
			rows = append(rows, Row{Group: tagIndex(tag) + dig[:1], Item: item, Expires: ends})
		}
	}
	return rows
}

const (
	// entriesOutlive is how much longer than their record the entries in the indexes last: of two simultaneous Updates,
	// one may put the entries last, and the other the record, which is kept a little longer.
	entriesOutlive = time.Minute
	// entriesParallel is how many entries are put at once: a response may be in a hundred groups and more.
	entriesParallel = 32
)

func entriesEnd(record time.Time) time.Time {
	if record.IsZero() {
		return record
	}
	return record.Add(entriesOutlive)
}

// put puts entries, several at once.
func (s *Store) put(ctx context.Context, rows []Row) error {
	return each(len(rows), entriesParallel, func(i int) error { return s.table.Put(ctx, rows[i], Always) })
}

// unmark removes entries from the indexes.
func (s *Store) unmark(ctx context.Context, rows []Row) error {
	return each(len(rows), s.opts.Parallel, func(i int) error { return s.table.Delete(ctx, rows[i].Group, rows[i].Item) })
}

func digest(key store.Key) string {
	d := key.Digest()
	return hex.EncodeToString(d[:])
}

func recordGroup(dig string) string            { return "r/" + dig }
func bodyGroup(dig string, id store.ID) string { return "b/" + dig + "/" + id.String() }
func urlIndex(url string) string               { return "i/u/" + short(url) }
func tagIndex(tag string) string               { return "i/t/" + short(tag) + "/" }
func leaseGroup(dig string) string             { return "l/" + dig }

func short(s string) string {
	d := sha256.Sum256([]byte(s))
	return hex.EncodeToString(d[:16])
}

func items(ids []store.ID) []string {
	var names []string
	for _, id := range ids {
		names = append(names, id.String())
	}
	return names
}

// each calls do for 0 to n-1, parallel of them at once, and returns one of their errors, if any: usually they say the
// same.
func each(n, parallel int, do func(i int) error) error {
	if n == 1 {
		return do(0)
	}
	errs := make([]error, n)
	free := make(chan struct{}, parallel)
	var all sync.WaitGroup
	for i := range n {
		free <- struct{}{}
		all.Go(func() {
			errs[i] = do(i)
			<-free
		})
	}
	all.Wait()
	return cmp.Or(errs...)
}
