// Package tiered puts a fast store in front of a slow or shared one.
//
//	files, err := disk.Open(dir, nil)
//	…
//	both, err := tiered.New(&memory.Store{MaxBytes: 256 << 20}, files, nil)
//	client := (&larder.Cache{Store: both}).Client()
//
// The back has everything and is always right; the front has copies of what was asked for lately. A hit within the
// front's lifetime is one lookup in the front and nothing else. After it the back is asked again, and where it still
// says the same, the front's records and bodies are used further.
//
// # Coherence
//
// What is changed through the store is seen through it at once. What another process changes in the back is seen after
// Options.Lifetime at most, 2 s if nothing else is said; a record that is new there is seen at once, unless others of
// its key are in front: that a key has none is not remembered.
//
// # Bodies
//
// A body goes to both stores as it is written, and into the front when it is read from the back to its end: both
// whole, or not at all. One that is longer than Options.MaxBody stays in the back. A key is answered from the front when all
// of its records are there; one with a longer body is looked up in the back every time.
//
// # Trouble
//
// Nothing is in front that the back has not taken: what cannot be written there is not stored. If a change fails in either
// store, the front is not relied on for that key until the back has been asked.
//
// A front that fails costs the hits it would have made, and no more. While the back fails, the front goes on alone for
// Options.Alone, so that what another process changes is seen that much later. The back is tried again by one call
// every 5 s, which gets the front's records beside the back's error: to a larder.Cache they are a hit, and the failure an
// event. What the front does not have is the back's error.
package tiered

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"sync/atomic"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/memory"
)

// Options are what can be set beside the two stores; nil or zero means the defaults.
type Options struct {
	// Lifetime is how long what the back said of a key is relied on without asking again; 0: 2 s; negative: the back is
	// asked every time, so that every change is seen at once and the front saves reading bodies alone.
	Lifetime time.Duration
	// Alone is how long beyond Lifetime it is relied on while the back fails; 0: a minute; negative: not at all.
	Alone time.Duration
	// MaxBody is the size in bytes of the largest body that goes into the front; 0: 1 MiB; negative: none but empty ones.
	MaxBody int64
}

const (
	defaultLifetime = 2 * time.Second
	defaultAlone    = time.Minute
	defaultMaxBody  = 1 << 20

	// A back that failed is left alone for restFor, where the front can do without it.
	restFor = 5 * time.Second
	// A caller who gives up is no failure of the back, unless he has waited so long.
	slow = 250 * time.Millisecond
)

// tiers is the store.Store without the optional interfaces of the back.
type tiers struct {
	front, back     store.Store
	lifetime, alone time.Duration
	maxBody         int64

	seed   maphash.Seed
	shards [shardCount]shard

	made      time.Time
	restUntil atomic.Int64 // nanoseconds after made until which the back is left alone; 0: it is well
}

// New returns a store that keeps its records in back, and copies of those in use in front. front nil means a memory.Store
// of its own, of 64 MiB; another must be a store.Local, hold what it is given for nobody else, and may be
// empty or not. The store has those of the optional interfaces of package store that back has; records are
// counted, listed and limited in the back alone. Its methods are safe for concurrent use. Whoever opened
// front and back closes them.
func New(front, back store.Store, o *Options) (store.Store, error) {
	if back == nil {
		return nil, errors.New("tiered: there is no back: want the store that keeps the records")
	}
	if front == nil {
		front = new(memory.Store)
	}
	if _, ok := front.(store.Local); !ok {
		return nil, fmt.Errorf("tiered: the front %T is no store.Local: want one that answers soon by itself", front)
	}
	if o == nil {
		o = new(Options)
	}
	s := &tiers{front: front, back: back, seed: maphash.MakeSeed(), made: time.Now(),
		lifetime: max(0, orDefault(o.Lifetime, defaultLifetime)),
		alone:    max(0, orDefault(o.Alone, defaultAlone)),
		maxBody:  orDefault(o.MaxBody, defaultMaxBody)}
	return s.likeBack(), nil
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// Lookup is described at store.Store. While the back fails it may return the front's records beside the back's error.
func (s *tiers) Lookup(ctx context.Context, key store.Key) ([]*store.Record, error) {
	if records := s.near(ctx, key); len(records) > 0 {
		return records, nil
	}
	return s.ask(ctx, key)
}

// near returns the records of key if that can be said without asking the back. That there are none cannot: somebody else may
// have stored one by now, and to miss it costs a request to the origin.
func (s *tiers) near(ctx context.Context, key store.Key) []*store.Record {
	v := s.shard(key).view(key)
	if v == nil || !s.relied(v) {
		return nil
	}
	return s.shown(ctx, key, v)
}

// relied reports whether v is to be relied on without asking the back.
func (s *tiers) relied(v *view) bool {
	age := time.Since(v.asked)
	return age < s.lifetime || age < s.lifetime+s.alone && s.backRests()
}

// shown returns the front's records of key, if they are those of v; else none.
func (s *tiers) shown(ctx context.Context, key store.Key, v *view) []*store.Record {
	records, err := s.front.Lookup(ctx, key)
	if err != nil || !v.is(records) {
		return nil
	}
	return records
}

// ask looks up key in the back.
func (s *tiers) ask(ctx context.Context, key store.Key) ([]*store.Record, error) {
	sh := s.shard(key)
	turn := sh.now()
	asked := time.Now()
	found, err := s.back.Lookup(ctx, key)
	s.note(ctx, asked, err)
	switch {
	case err == nil:
		return s.learn(ctx, sh, key, turn, asked, found), nil
	case errors.Is(err, store.ErrCorrupt):
		return found, err
	}
	if v := sh.view(key); v != nil && time.Since(v.asked) < s.lifetime+s.alone {
		return s.shown(ctx, key, v), err
	}
	return nil, err
}

// note takes in how a Lookup in the back ended that began at asked.
func (s *tiers) note(ctx context.Context, asked time.Time, err error) {
	switch {
	case err == nil, errors.Is(err, store.ErrCorrupt):
		if s.restUntil.Load() != 0 {
			s.restUntil.Store(0)
		}
	case ctx.Err() == nil, time.Since(asked) >= slow:
		s.restUntil.Store(int64(time.Since(s.made) + restFor))
	}
}

// backRests reports whether the back failed lately. When it is to be tried again, it says no to one caller.
func (s *tiers) backRests() bool {
	until, now := s.restUntil.Load(), int64(time.Since(s.made))
	return until != 0 && (now < until || !s.restUntil.CompareAndSwap(until, now+int64(restFor)))
}

func (s *tiers) Open(ctx context.Context, r *store.Record) (io.ReadSeekCloser, error) {
	if r.Body != nil { // which says how one of the stores keeps it, and means nothing to the other
		r = bare(r)
	}
	if r.Size > s.maxBody {
		return s.back.Open(ctx, r)
	}
	if body, err := s.front.Open(ctx, r); err == nil {
		return body, nil
	}
	body, err := s.back.Open(ctx, r)
	if err != nil {
		return nil, err
	}
	if w, err := s.front.Create(ctx, r); err == nil {
		body = &copied{ReadSeekCloser: body, s: s, r: r, w: w}
	}
	return body, nil
}

func (s *tiers) Create(ctx context.Context, r *store.Record) (store.Writer, error) {
	back, err := s.back.Create(ctx, r)
	if err != nil {
		return nil, err
	}
	w := &writer{Writer: back, s: s, ctx: ctx, key: r.Key}
	if r.Size <= s.maxBody {
		w.front, _ = s.front.Create(ctx, r) // what the front does not take is not in front
	}
	return w, nil
}

func (s *tiers) Update(ctx context.Context, r *store.Record) error {
	return s.change(r.Key, change{
		back: func() error { return s.back.Update(ctx, r) },
		front: func() error {
			if err := s.front.Update(ctx, r); !errors.Is(err, store.ErrNotFound) {
				return err
			}
			return nil
		},
		ids: func(ids []store.ID) []store.ID { return ids },
	})
}

func (s *tiers) Delete(ctx context.Context, key store.Key, ids ...store.ID) error {
	return s.change(key, change{
		back:  func() error { return s.back.Delete(ctx, key, ids...) },
		front: func() error { return s.front.Delete(ctx, key, ids...) },
		ids: func(known []store.ID) []store.ID {
			if len(ids) == 0 {
				return nil
			}
			return without(known, ids)
		},
	})
}
