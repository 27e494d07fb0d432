// Package memory keeps responses in memory, within an exact number of bytes.
//
//	client := (&larder.Cache{Store: &memory.Store{MaxBytes: 256 << 20}}).Client()
//
// A hit takes one read lock on a part of the map, copies nothing and allocates nothing. When room is needed, what was
// used only once goes first (S3-FIFO, see policy.go), so that a crawl through many URLs does not drive out what is in
// use. There is no goroutine: what a call has to do is done when it returns.
//
// The limit counts the bytes of bodies, those being written included, and an estimate of what heads and the store's own
// structures take. For heads of usual length the sum is within a quarter of what the Go heap says. The contents end
// with the process, and no other process sees them. An open body can be read to its end, whatever becomes of the
// record.
package memory

import (
	"context"
	"fmt"
	"hash/maphash"
	"io"
	"iter"
	"maps"
	"math"
	"slices"
	"sync"
	"time"
	"unsafe"

	"github.com/larder-go/larder/store"
)

// Store is a store.Store in memory, and a store.Finder, store.Sweeper, store.Sizer and store.Local. The zero
// value works. It must not be copied after first use.
//
// All records of a key are evicted together: a Lookup asks for all of them and does not say which one was used.
type Store struct {
	// MaxBytes is how many bytes the store holds at most; 0: 64 MiB; negative: no limit. It is never exceeded. The
	// package comment says what is counted; removed bodies that are still being read are not. A body of more than half
	// of MaxBytes is refused with store.ErrTooLarge.
	MaxBytes int64

	shards [shardCount]shard

	mu      sync.Mutex // for what follows, and for changing shards; taken before a shard's lock
	used    int64      // bytes, no more than max
	records int
	tagged  map[string]map[store.Key]struct{} // the keys that have a record with the tag
	policy  policy
}

const (
	shardCount      = 32
	defaultMaxBytes = 64 << 20
)

type shard struct {
	mu      sync.RWMutex
	entries map[store.Key]*entry
	_       [64 - 32]byte // one cache line each
}

// entry is what is kept of a key, one record at least. Only its node is ever changed: for all else, another entry takes
// its place.
type entry struct {
	node
	key     store.Key
	records []*store.Record // newest first; what Lookup hands out
	kept    []kept          // of each record

	// The first elements of the two, so that a key with one record, as most have, is one piece of memory rather than
	// three.
	first     [1]*store.Record
	firstKept [1]kept
}

type kept struct {
	body  body  // nil: it is whole in the record
	head  int64 // bytes of the head
	bytes int64 // of head and body
}

func newEntry(key store.Key, hash uint64) *entry {
	e := &entry{key: key, node: node{hash: hash}}
	e.records, e.kept = e.first[:0], e.firstKept[:0]
	return e
}

var seed = maphash.MakeSeed()

func (s *Store) max() int64 {
	switch {
	case s.MaxBytes == 0:
		return defaultMaxBytes
	case s.MaxBytes < 0:
		return math.MaxInt64
	}
	return s.MaxBytes
}

func (s *Store) maxBody() int64 { return s.max() / 2 }

func (s *Store) shard(key store.Key) (*shard, uint64) {
	h := maphash.String(seed, string(key))
	return &s.shards[h%shardCount], h
}

// Local marks the store as a store.Local.
func (s *Store) Local() {}

func (s *Store) Lookup(_ context.Context, key store.Key) ([]*store.Record, error) {
	sh, _ := s.shard(key)
	e := sh.entry(key)
	if e == nil {
		return nil, nil
	}
	e.used()
	return e.records, nil
}

func (sh *shard) entry(key store.Key) *entry {
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return sh.entries[key]
}

func (s *Store) Open(_ context.Context, r *store.Record) (io.ReadSeekCloser, error) {
	sh, _ := s.shard(r.Key)
	if e := sh.entry(r.Key); e != nil {
		if i := e.index(r.ID); i >= 0 {
			b := e.kept[i].body
			if b == nil {
				b = body{e.records[i].Body}
			}
			return reader{io.NewSectionReader(b, 0, e.records[i].Size)}, nil
		}
	}
	return nil, fmt.Errorf("memory: open %v: %w", r.ID, store.ErrNotFound)
}

func (e *entry) index(id store.ID) int {
	return slices.IndexFunc(e.records, func(r *store.Record) bool { return r.ID == id })
}

func (s *Store) Create(ctx context.Context, r *store.Record) (store.Writer, error) {
	if r.Size > s.maxBody() {
		return nil, fmt.Errorf("memory: create %v with %d bytes: %w", r.ID, r.Size, store.ErrTooLarge)
	}
	w := &writer{store: s, ctx: ctx, id: r.ID, expected: r.Size}
	w.body = w.first[:0]
	return w, nil
}

func (s *Store) Update(_ context.Context, r *store.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh, _ := s.shard(r.Key)
	old := sh.entries[r.Key] // s.mu is held, so nobody else replaces it
	i := -1
	if old != nil {
		i = old.index(r.ID)
	}
	if i < 0 {
		return fmt.Errorf("memory: update %v: %w", r.ID, store.ErrNotFound)
	}
	e := old.without(func(*store.Record) bool { return false })
	e.records[i] = r
	if before := old.records[i]; r.Size != before.Size || !sameSlice(r.Body, before.Body) {
		e.records[i] = r.WithBody(before.Body, before.Size)
	}
	head := headBytes(r)
	e.kept[i].bytes += head - e.kept[i].head
	e.kept[i].head = head
	s.put(sh, old, e)
	s.trim(r.ID.Time())
	return nil
}

func sameSlice(a, b []byte) bool {
	return unsafe.SliceData(a) == unsafe.SliceData(b) && len(a) == len(b)
}

func (s *Store) Delete(_ context.Context, key store.Key, ids ...store.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh, _ := s.shard(key)
	e := sh.entries[key]
	if e == nil {
		return nil
	}
	s.removeFunc(sh, e, func(r *store.Record) bool { return len(ids) == 0 || slices.Contains(ids, r.ID) })
	return nil
}

// removeFunc removes the records of e for which gone is true, and returns their number. s.mu is held.
func (s *Store) removeFunc(sh *shard, e *entry, gone func(*store.Record) bool) int {
	if !slices.ContainsFunc(e.records, gone) {
		return 0
	}
	left := e.without(gone)
	s.put(sh, e, left)
	return len(e.records) - len(left.records)
}

// without returns a copy of e without the records for which gone is true.
func (e *entry) without(gone func(*store.Record) bool) *entry {
	out := newEntry(e.key, e.hash)
	for i, r := range e.records {
		if !gone(r) {
			out.records, out.kept = append(out.records, r), append(out.kept, e.kept[i])
		}
	}
	return out
}

// put puts e in the place of old, which is nil for a new key. If e has no records, it removes old. s.mu is held.
func (s *Store) put(sh *shard, old, e *entry) {
	for i := range e.kept {
		e.bytes += e.kept[i].bytes
	}
	s.records += len(e.records)
	s.used += e.bytes
	if old != nil {
		s.records -= len(old.records)
		s.used -= old.bytes
	}
	s.policy.put(old, e)
	s.retag(old, e)

	sh.mu.Lock()
	defer sh.mu.Unlock()
	if len(e.records) == 0 {
		delete(sh.entries, e.key)
		return
	}
	if sh.entries == nil {
		sh.entries = map[store.Key]*entry{}
	}
	sh.entries[e.key] = e
}

// retag puts the tags of e in the place of those of old, which may be nil. s.mu is held.
func (s *Store) retag(old, e *entry) {
	if old != nil {
		for _, r := range old.records {
			for _, tag := range r.Tags {
				if delete(s.tagged[tag], old.key); len(s.tagged[tag]) == 0 {
					delete(s.tagged, tag)
				}
			}
		}
	}
	for _, r := range e.records {
		for _, tag := range r.Tags {
			keys := s.tagged[tag]
			if keys == nil {
				if s.tagged == nil {
					s.tagged = make(map[string]map[store.Key]struct{})
				}
				keys = make(map[store.Key]struct{})
				s.tagged[tag] = keys
			}
			keys[e.key] = struct{}{}
		}
	}
}

// insert puts r, a record with body b, in the place of the superseded ones. reserved is how many bytes are reserved for
// b.
func (s *Store) insert(r *store.Record, b body, reserved int64, superseded []store.ID) error {
	now := r.ID.Time()
	head := headBytes(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.reserve(head, now); err != nil {
		return err
	}
	s.used -= head + reserved // put counts them
	sh, hash := s.shard(r.Key)
	old, e := sh.entries[r.Key], (*entry)(nil)
	if old == nil {
		e = newEntry(r.Key, hash)
	} else {
		e = old.without(func(old *store.Record) bool {
			return old.ID == r.ID || slices.Contains(superseded, old.ID) || ended(old, now)
		})
	}
	at, _ := slices.BinarySearchFunc(e.records, r.ID, func(old *store.Record, id store.ID) int { return id.Compare(old.ID) })
	e.records, e.kept = slices.Insert(e.records, at, r), slices.Insert(e.kept, at, kept{b, head, head + reserved})
	s.put(sh, old, e)
	return nil
}

func ended(r *store.Record, now time.Time) bool {
	return !r.KeepUntil.IsZero() && r.KeepUntil.Before(now)
}

// reserve makes room for n more bytes, and counts them. s.mu is held.
func (s *Store) reserve(n int64, now time.Time) error {
	if writing := s.used - s.policy.bytes(); writing+n > s.max() {
		return fmt.Errorf("no room for %d bytes beside %d that are being written: %w", n, writing, store.ErrTooLarge)
	}
	s.used += n
	s.trim(now)
	return nil
}

func (s *Store) release(n int64) {
	s.mu.Lock()
	s.used -= n
	s.mu.Unlock()
}

// trim evicts until the bytes in use are within the limit. s.mu is held. now is the time of the record that
// needs the room, so that the store needs no clock.
func (s *Store) trim(now time.Time) {
	for s.used > s.max() {
		e := s.policy.victim(s.max(), now)
		if e == nil {
			return
		}
		sh, _ := s.shard(e.key)
		s.put(sh, e, newEntry(e.key, e.hash))
	}
}

// Find is described at store.Finder. If q has a key or a tag, it looks only at the records of that, and else at one
// part of the store after the other. The records of one part, or key, are those of one moment.
func (s *Store) Find(ctx context.Context, q store.Query) iter.Seq2[*store.Record, error] {
	return func(yield func(*store.Record, error) bool) {
		filter := q.Filter
		q.Filter = nil
		n := 0
		for part := range s.parts(&q) {
			for _, r := range part {
				if !q.Match(r) {
					continue
				}
				if err := ctx.Err(); err != nil {
					yield(nil, fmt.Errorf("memory: find: %w", err))
					return
				}
				r = r.Clone()
				r.Body = nil
				if filter != nil && !filter(r) {
					continue
				}
				if !yield(r, nil) {
					return
				}
				if n++; n == q.Limit {
					return
				}
			}
		}
	}
}

// parts yields all records that q may mean, in parts.
func (s *Store) parts(q *store.Query) iter.Seq[[]*store.Record] {
	return func(yield func([]*store.Record) bool) {
		if q.Key == "" && q.Tag == "" {
			for i := range s.shards {
				if !yield(s.shards[i].snapshot()) {
					return
				}
			}
			return
		}
		keys := []store.Key{q.Key}
		if q.Key == "" {
			s.mu.Lock()
			keys = slices.Collect(maps.Keys(s.tagged[q.Tag]))
			s.mu.Unlock()
		}
		for _, key := range keys {
			sh, _ := s.shard(key)
			if e := sh.entry(key); e != nil && !yield(e.records) {
				return
			}
		}
	}
}

func (sh *shard) snapshot() []*store.Record {
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	all := make([]*store.Record, 0, len(sh.entries))
	for _, e := range sh.entries {
		all = append(all, e.records...)
	}
	return all
}

// Sweep removes records whose KeepUntil is before now. The store is never larger than its limit, so there is
// nothing else to do.
func (s *Store) Sweep(ctx context.Context, now time.Time) (int, error) {
	removed := 0
	for i := range s.shards {
		if err := ctx.Err(); err != nil {
			return removed, fmt.Errorf("memory: sweep: %w", err)
		}
		for _, r := range s.shards[i].snapshot() {
			if !ended(r, now) {
				continue
			}
			s.mu.Lock()
			sh := &s.shards[i]
			if e := sh.entries[r.Key]; e != nil { // by now it may be updated, or gone
				removed += s.removeFunc(sh, e, func(r *store.Record) bool { return ended(r, now) })
			}
			s.mu.Unlock()
		}
	}
	return removed, nil
}

// Size returns the number of records and their bytes, as MaxBytes counts them, without bodies being written.
func (s *Store) Size(context.Context) (int, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.records, s.policy.bytes(), nil
}
