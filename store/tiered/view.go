package tiered

import (
	"context"
	"hash/maphash"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/larder-go/larder/store"
)

const (
	shardCount = 64
	maxViews   = 1024 // of a shard
)

// shard is what is known of some of the keys.
type shard struct {
	mirror sync.Mutex // held while the front is changed; taken before mu

	mu    sync.RWMutex
	views map[store.Key]*view
	// turn is how many changes were made, and changing how many are under way: what the back said before or during a
	// change must not be taken for what holds after it.
	turn     uint64
	changing int

	_ [64 - 56]byte // one cache line each
}

// view is what the back said of a key, updated by changes through this store. The front need not have the records: it
// may have evicted some. A view is replaced and never changed.
type view struct {
	asked time.Time
	ids   []store.ID // newest first
}

// is reports whether records are those that v knows of.
func (v *view) is(records []*store.Record) bool {
	return slices.EqualFunc(v.ids, records, func(id store.ID, r *store.Record) bool { return r.ID == id })
}

func (s *Store) shard(key store.Key) *shard {
	return &s.shards[maphash.String(s.seed, string(key))%shardCount]
}

func (sh *shard) view(key store.Key) *view {
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return sh.views[key]
}

func (sh *shard) now() (turn uint64) {
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return sh.turn
}

// still reports whether no change was made since turn, and none is under way.
func (sh *shard) still(turn uint64) bool {
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return sh.turn == turn && sh.changing == 0
}

// set makes v the view of key. It drops some views that are too old, or one that is not if there are too many. sh.mu is
// held.
func (s *Store) set(sh *shard, key store.Key, v *view) {
	if sh.views == nil {
		sh.views = make(map[store.Key]*view)
	}
	full := len(sh.views) >= maxViews && sh.views[key] == nil
	n := 0
	for k, old := range sh.views { // in random order
		if full || time.Since(old.asked) >= s.lifetime+s.alone {
			delete(sh.views, k)
			full = false
		}
		if n++; n == 4 {
			break
		}
	}
	sh.views[key] = v
}

// learn notes that the back, asked for key at the time and turn given, had found. It returns the front's records
// instead if they are the same.
func (s *Store) learn(ctx context.Context, sh *shard, key store.Key, turn uint64, asked time.Time, found []*store.Record) []*store.Record {
	sh.mirror.Lock()
	defer sh.mirror.Unlock()
	if !sh.still(turn) {
		return found
	}
	if old := sh.view(key); old != nil && old.asked.After(asked) {
		return found
	}
	records, err := s.mirror(ctx, key, found)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if err != nil || sh.turn != turn { // a Sweep does not wait for the mirror
		delete(sh.views, key)
		return found
	}
	v := &view{asked: asked, ids: make([]store.ID, len(records))}
	for i, r := range records {
		v.ids[i] = r.ID
		key = r.Key // which is in memory already
	}
	s.set(sh, key, v)
	return records
}

// mirror makes the front agree with the back, which has found: no other records of key, the same heads, and the bodies
// that came with them. It returns the front's records if nothing had to be done. The shard's mirror lock is held.
func (s *Store) mirror(ctx context.Context, key store.Key, found []*store.Record) ([]*store.Record, error) {
	held, err := s.front.Lookup(ctx, key)
	if err != nil {
		return nil, err
	}
	if slices.EqualFunc(held, found, same) {
		return held, nil
	}
	var gone []store.ID
	for _, r := range held {
		if index(found, r.ID) < 0 {
			gone = append(gone, r.ID)
		}
	}
	if len(gone) > 0 {
		err = s.front.Delete(ctx, key, gone...)
	}
	for _, r := range found {
		i := index(held, r.ID)
		switch {
		case err != nil:
			return nil, err
		case i >= 0 && !same(held[i], r):
			err = s.front.Update(ctx, bare(r))
		case i < 0 && r.Size <= s.maxBody && int64(len(r.Body)) == r.Size:
			err = s.put(ctx, r)
		}
	}
	return found, err
}

// put stores r, with its body inside, in the front.
func (s *Store) put(ctx context.Context, r *store.Record) error {
	w, err := s.front.Create(ctx, r)
	if err != nil {
		return err
	}
	defer w.Close()
	if _, err := w.Write(r.Body); err != nil {
		return err
	}
	return w.Commit(bare(r))
}

// same reports whether a and b are one record with the same head.
func same(a, b *store.Record) bool {
	return a == b || a.ID == b.ID && reflect.DeepEqual(bare(a), bare(b))
}

// bare returns a copy of r without its body.
func bare(r *store.Record) *store.Record {
	r = r.Clone()
	r.Body = nil
	return r
}

func index(records []*store.Record, id store.ID) int {
	return slices.IndexFunc(records, func(r *store.Record) bool { return r.ID == id })
}

func without(ids, gone []store.ID) []store.ID {
	return slices.DeleteFunc(slices.Clone(ids), func(id store.ID) bool { return slices.Contains(gone, id) })
}

// with returns ids, newest first, with one more in its place.
func with(ids []store.ID, id store.ID) []store.ID {
	at, _ := slices.BinarySearchFunc(ids, id, func(a, b store.ID) int { return b.Compare(a) })
	return slices.Insert(slices.Clone(ids), at, id)
}

// change is a change to the records of one key.
type change struct {
	back, front func() error
	ids         func([]store.ID) []store.ID // the ids of the key after the change, from those before
}

// change makes a change in the back and then in the front, and in the view of key. It drops the view if it cannot know
// what holds now: if one of the stores fails, or if another change was made meanwhile, which may have reached the back
// before or after this one.
func (s *Store) change(key store.Key, c change) error {
	sh := s.shard(key)
	sh.mu.Lock()
	turn := sh.turn
	sh.changing++
	sh.mu.Unlock()

	err := c.back()

	sh.mirror.Lock()
	defer sh.mirror.Unlock()
	known := err == nil && c.front() == nil
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if v := sh.views[key]; v != nil {
		if known && sh.turn == turn {
			sh.views[key] = &view{v.asked, c.ids(v.ids)}
		} else {
			delete(sh.views, key)
		}
	}
	sh.turn++
	sh.changing--
	return err
}

// forget drops every view.
func (s *Store) forget() {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		clear(sh.views)
		sh.turn++
		sh.mu.Unlock()
	}
}
