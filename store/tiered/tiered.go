// Package tiered puts a fast store in front of a slow or shared one.
//
//	files, err := disk.Open(dir, nil)
//	…
//	both, err := tiered.New(&memory.Store{MaxBytes: 256 << 20}, files, nil)
//	client := (&larder.Cache{Store: both}).Client()
//
// The back has everything and is always right; the front has copies of what was asked for lately. For Options.Lifetime
// after the back was asked, a hit is one lookup in the front and nothing else. Then the back is asked again, and if it
// still says the same, the front's records and bodies go on being used.
//
// # Coherence
//
// What is changed through the store is seen through it at once. What another process changes in the back is seen after
// Options.Lifetime (2 s by default) at the latest, and at once where it could save a request to the origin: when the
// front has no record of the key, or none that is fresh.
//
// # Bodies
//
// A body goes to both stores as it is written, and into the front when it is read from the back to its end: both whole,
// or not at all. One that is longer than Options.MaxBody stays in the back. A key is answered from the front when all
// of its records are there; one with a longer body is looked up in the back every time.
//
// # Trouble
//
// The front has nothing that the back has not taken: what cannot be written to the back is not stored. If a change
// fails in either store, the front is not relied on for that key until the back has been asked.
//
// A front that fails costs the hits it would have given, and no more. While the back fails, the front goes on alone for
// Options.Alone, and what another process changes is seen that much later. One call every 5 s tries the back again. If
// that fails, it returns the front's records beside the back's error: to a larder.Cache that is a hit, and an event
// about the failure. For what the front does not have, calls return the back's error. A Cache that leaves the Store
// alone after too many failures still looks into the front.
package tiered

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/memory"
)

// Options are the settings of a Store; nil or zero means the defaults.
type Options struct {
	// Lifetime is how long an answer of the back about a key is relied on before it is asked again; 0: 2 s; negative:
	// it is asked every time, so that every change is seen at once, and the front only saves reading bodies.
	Lifetime time.Duration
	// Alone is how much longer than Lifetime that is while the back fails; 0: a minute; negative: no longer.
	Alone time.Duration
	// MaxBody is the length of the longest body that goes into the front, in bytes; 0: 1 MiB; negative: only empty ones
	// do.
	MaxBody int64
}

const (
	defaultLifetime = 2 * time.Second
	defaultAlone    = time.Minute
	defaultMaxBody  = 1 << 20

	// A back that failed is left alone for restFor, where the front can do without it.
	restFor = 5 * time.Second
	// slow is how long a call must take for a caller who gives up to count as a failure of the back.
	slow = 250 * time.Millisecond
)

// Store is two stores, the front before the back. Its methods are safe for concurrent use. It is a store.Finder,
// store.Sweeper, store.Sizer, store.Leaser and store.Local if the back is one: see store.As.
type Store struct {
	inner
	front, back     store.Store
	lifetime, alone time.Duration
	maxBody         int64

	seed   maphash.Seed
	shards [shardCount]shard

	made      time.Time
	mustAsk   atomic.Bool  // the next Lookup asks the back
	restUntil atomic.Int64 // nanoseconds after made until which the back is left alone; 0: it is well
}

// New returns a store that keeps its records in back, and copies of those in use in front; nil options are the
// defaults. A nil front is a memory.Store of 64 MiB. Any other must be a store.Local, and nobody else may store in it.
// What it has already does no harm, and is used if the back still has the same.
func New(front, back store.Store, o *Options) (*Store, error) {
	if back == nil {
		return nil, errors.New("tiered: there is no back: want the store that keeps the records")
	}
	if front == nil {
		front = new(memory.Store)
	}
	if _, ok := store.As[store.Local](front); !ok {
		return nil, fmt.Errorf("tiered: the front %T is not a store.Local: want one that answers soon by itself", front)
	}
	if o == nil {
		o = new(Options)
	}
	return &Store{inner: inner{Store: back}, front: front, back: back, seed: maphash.MakeSeed(), made: time.Now(),
		lifetime: max(0, cmp.Or(o.Lifetime, defaultLifetime)),
		alone:    max(0, cmp.Or(o.Alone, defaultAlone)),
		maxBody:  max(0, cmp.Or(o.MaxBody, defaultMaxBody))}, nil
}

// Lookup is described at store.Store. While the back fails it may return the front's records beside the back's error.
func (s *Store) Lookup(ctx context.Context, key store.Key) ([]*store.Record, error) {
	if !s.mustAsk.CompareAndSwap(true, false) {
		if records := s.near(ctx, key); len(records) > 0 {
			return records, nil
		}
	}
	return s.ask(ctx, key)
}

// Near is described at store.Fronted. While a back that failed is left alone, the front is relied on. When the back is
// to be tried again, Near returns none, and the next Lookup asks it.
func (s *Store) Near(ctx context.Context, key store.Key) []*store.Record {
	records := s.near(ctx, key)
	if len(records) == 0 && s.restUntil.Load() != 0 {
		s.mustAsk.Store(true)
	}
	return records
}

// near returns the records of key if they can be relied on without asking the back. If there are none, the back must be
// asked: another process may have stored one by now, and missing it costs a request to the origin. The same holds if
// all are stale, since another process may have renewed one.
func (s *Store) near(ctx context.Context, key store.Key) []*store.Record {
	sh := s.shard(key)
	v := sh.view(key)
	if v == nil {
		return nil
	}
	now := time.Now()
	switch age := now.Sub(v.asked); {
	case age < s.lifetime:
		records := s.shown(ctx, sh, key, v)
		if slices.ContainsFunc(records, func(r *store.Record) bool { return fresh(r, now) }) || s.backRests() {
			return records
		}
	case age < s.lifetime+s.alone && s.backRests():
		return s.shown(ctx, sh, key, v)
	}
	return nil
}

func fresh(r *store.Record, now time.Time) bool {
	return r.FreshUntil.IsZero() || now.Before(r.FreshUntil)
}

// shown returns the front's records of key, if they are those of v, and v holds still; else none.
func (s *Store) shown(ctx context.Context, sh *shard, key store.Key, v *view) []*store.Record {
	records, err := s.front.Lookup(ctx, key)
	if err != nil || !v.is(records) || sh.view(key) != v {
		return nil
	}
	return records
}

// ask looks up key in the back.
func (s *Store) ask(ctx context.Context, key store.Key) ([]*store.Record, error) {
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
		return s.shown(ctx, sh, key, v), err
	}
	return nil, err
}

// note records how a Lookup in the back ended, which began at asked.
func (s *Store) note(ctx context.Context, asked time.Time, err error) {
	switch {
	case err == nil, errors.Is(err, store.ErrCorrupt):
		if s.restUntil.Load() != 0 {
			s.restUntil.Store(0)
		}
	case ctx.Err() == nil, time.Since(asked) >= slow:
		s.restUntil.Store(int64(time.Since(s.made) + restFor))
	}
}

// backRests reports whether the back is left alone after a failure. When it is to be tried again, one caller is told
// no.
func (s *Store) backRests() bool {
	until, now := s.restUntil.Load(), int64(time.Since(s.made))
	return until != 0 && (now < until || !s.restUntil.CompareAndSwap(until, now+int64(restFor)))
}

func (s *Store) Open(ctx context.Context, r *store.Record) (io.ReadSeekCloser, error) {
	if r.Body != nil { // it says how one of the stores keeps the body, which means nothing to the other
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

func (s *Store) Create(ctx context.Context, r *store.Record) (store.Writer, error) {
	back, err := s.back.Create(ctx, r)
	if err != nil {
		return nil, err
	}
	w := &writer{Writer: back, s: s, key: r.Key}
	if r.Size <= s.maxBody {
		w.front, _ = s.front.Create(ctx, r) // if it fails, the body is in the back alone
	}
	return w, nil
}

func (s *Store) Update(ctx context.Context, r *store.Record) error {
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

func (s *Store) Delete(ctx context.Context, key store.Key, ids ...store.ID) error {
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
