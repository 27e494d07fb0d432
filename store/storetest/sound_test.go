package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/memory"
)

// hooked is a memory store some of whose methods are replaced.
type hooked struct {
	*memory.Store
	lookup  func(context.Context, store.Key) ([]*store.Record, error)
	open    func(context.Context, *store.Record) (io.ReadSeekCloser, error)
	create  func(context.Context, *store.Record) (store.Writer, error)
	update  func(context.Context, *store.Record) error
	delete_ func(context.Context, store.Key, ...store.ID) error
	find    func(context.Context, store.Query) iter.Seq2[*store.Record, error]
	sweep   func(context.Context, time.Time) (int, error)
	size    func() (int, int64, error)
	lease   func(store.Key, store.ID, time.Duration) bool
	release func(store.Key, store.ID)

	mu     sync.Mutex
	leases map[store.Key]lease
}

// lease is a lease that a hooked store gave. The memory store gives none, since no other process uses it.
type lease struct {
	holder store.ID
	until  time.Time
}

func (h *hooked) Lookup(ctx context.Context, key store.Key) ([]*store.Record, error) {
	if h.lookup != nil {
		return h.lookup(ctx, key)
	}
	return h.Store.Lookup(ctx, key)
}

func (h *hooked) Open(ctx context.Context, r *store.Record) (io.ReadSeekCloser, error) {
	if h.open != nil {
		return h.open(ctx, r)
	}
	return h.Store.Open(ctx, r)
}

func (h *hooked) Create(ctx context.Context, r *store.Record) (store.Writer, error) {
	if h.create != nil {
		return h.create(ctx, r)
	}
	return h.Store.Create(ctx, r)
}

func (h *hooked) Update(ctx context.Context, r *store.Record) error {
	if h.update != nil {
		return h.update(ctx, r)
	}
	return h.Store.Update(ctx, r)
}

func (h *hooked) Delete(ctx context.Context, key store.Key, ids ...store.ID) error {
	if h.delete_ != nil {
		return h.delete_(ctx, key, ids...)
	}
	return h.Store.Delete(ctx, key, ids...)
}

func (h *hooked) Find(ctx context.Context, q store.Query) iter.Seq2[*store.Record, error] {
	if h.find != nil {
		return h.find(ctx, q)
	}
	return h.Store.Find(ctx, q)
}

func (h *hooked) Sweep(ctx context.Context, now time.Time) (int, error) {
	if h.sweep != nil {
		return h.sweep(ctx, now)
	}
	return h.Store.Sweep(ctx, now)
}

func (h *hooked) Size(ctx context.Context) (int, int64, error) {
	if h.size != nil {
		return h.size()
	}
	return h.Store.Size(ctx)
}

func (h *hooked) Lease(_ context.Context, key store.Key, holder store.ID, ttl time.Duration) (bool, error) {
	if h.lease != nil {
		return h.lease(key, holder, ttl), nil
	}
	return h.take(key, holder, ttl), nil
}

func (h *hooked) Release(_ context.Context, key store.Key, holder store.ID) error {
	if h.release != nil {
		h.release(key, holder)
	} else if h.holder(key) == holder {
		h.end(key)
	}
	return nil
}

func (h *hooked) take(key store.Key, holder store.ID, ttl time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	l, ok := h.leases[key]
	now := time.Now()
	if ok && l.holder != holder && now.Before(l.until) && !l.until.After(now.Add(max(ttl, store.LongLease))) {
		return false
	}
	if h.leases == nil {
		h.leases = make(map[store.Key]lease)
	}
	h.leases[key] = lease{holder, now.Add(ttl)}
	return true
}

func (h *hooked) holder(key store.Key) store.ID {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.leases[key].holder
}

func (h *hooked) end(key store.Key) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.leases, key)
}

// hookedWriter is a writer some of whose methods are replaced.
type hookedWriter struct {
	store.Writer
	write  func([]byte) (int, error)
	readAt func([]byte, int64) (int, error)
	commit func(*store.Record, ...store.ID) error
	close_ func() error
}

func (h *hookedWriter) Write(p []byte) (int, error) {
	if h.write != nil {
		return h.write(p)
	}
	return h.Writer.Write(p)
}

func (h *hookedWriter) ReadAt(p []byte, off int64) (int, error) {
	if h.readAt != nil {
		return h.readAt(p, off)
	}
	return h.Writer.ReadAt(p, off)
}

func (h *hookedWriter) Commit(r *store.Record, superseded ...store.ID) error {
	if h.commit != nil {
		return h.commit(r, superseded...)
	}
	return h.Writer.Commit(r, superseded...)
}

func (h *hookedWriter) Close() error {
	if h.close_ != nil {
		return h.close_()
	}
	return h.Writer.Close()
}

// damageable is a memory store that finds chosen records damaged, as one with checksums does.
func damageable(head, body map[store.ID]bool, mu *sync.Mutex) *hooked {
	h := &hooked{Store: new(memory.Store)}
	damaged := func(of map[store.ID]bool, id store.ID) bool {
		mu.Lock()
		defer mu.Unlock()
		return of[id]
	}
	h.lookup = func(ctx context.Context, key store.Key) (good []*store.Record, err error) {
		all, _ := h.Store.Lookup(ctx, key)
		for _, r := range all {
			switch {
			case damaged(head, r.ID):
				err = fmt.Errorf("record %v: %w", r.ID, store.ErrCorrupt)
				if !store.Inspecting(ctx) {
					h.Store.Delete(ctx, key, r.ID)
				}
				continue
			case damaged(body, r.ID):
				r = r.Clone()
				r.Body = nil
			}
			good = append(good, r)
		}
		return good, err
	}
	h.open = func(ctx context.Context, r *store.Record) (io.ReadSeekCloser, error) {
		if damaged(body, r.ID) {
			return nil, fmt.Errorf("body of %v: %w", r.ID, store.ErrCorrupt)
		}
		return h.Store.Open(ctx, r)
	}
	h.find = func(ctx context.Context, q store.Query) iter.Seq2[*store.Record, error] {
		return func(yield func(*store.Record, error) bool) {
			for r, err := range h.Store.Find(ctx, q) {
				if err == nil && damaged(head, r.ID) {
					r, err = nil, store.ErrCorrupt
				}
				if !yield(r, err) {
					return
				}
			}
		}
	}
	return h
}

// fullKit is a kit with everything, so that no case is skipped: stores that outlive their handles and can be damaged.
func fullKit() Kit {
	var mu sync.Mutex
	head, body := map[store.ID]bool{}, map[store.ID]bool{}
	stores := map[string]*hooked{}
	damage := func(of map[store.ID]bool) func(string, *store.Record) error {
		return func(_ string, r *store.Record) error {
			mu.Lock()
			defer mu.Unlock()
			of[r.ID] = true
			return nil
		}
	}
	return Kit{
		Open: func(dir string) (store.Store, error) {
			mu.Lock()
			defer mu.Unlock()
			if stores[dir] == nil {
				stores[dir] = damageable(head, body, &mu)
			}
			return stores[dir], nil
		},
		Persistent:  true,
		Shared:      true,
		MaxBody:     32 << 20,
		OpenLimited: func(_ string, limit int64) (store.Store, error) { return &memory.Store{MaxBytes: limit}, nil },
		DamageHead:  damage(head),
		DamageBody:  damage(body),
	}
}

func TestSoundStorePasses(t *testing.T) {
	for _, c := range cases {
		if err := c.run(fullKit(), t.TempDir(), patience); err != nil {
			t.Error(err)
		}
	}
	if err := Check(fullKit()); err != nil {
		t.Error("Check:", err)
	}
}

// A store may be a struct that cannot be compared, such as one that holds a function.
func TestUncomparableStorePasses(t *testing.T) {
	type closing struct {
		*hooked
		closer
	}
	kit := fullKit()
	open := kit.Open
	kit.Open = func(dir string) (store.Store, error) {
		s, err := open(dir)
		return closing{s.(*hooked), func() error { return nil }}, err
	}
	for _, c := range surviving {
		if err := c.run(kit, t.TempDir(), patience); err != nil {
			t.Error(err)
		}
	}
}

type closer func() error

func (c closer) Close() error { return c() }

func TestCheckNamesWhatIsBroken(t *testing.T) {
	kit := Kit{Open: func(string) (store.Store, error) {
		h := &hooked{Store: new(memory.Store)}
		h.delete_ = func(context.Context, store.Key, ...store.ID) error { return errors.New("no") }
		return h, nil
	}}
	err := Check(kit)
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("Check of a store that cannot delete: %v", err)
	}
	named := map[string]bool{}
	for _, err := range joined.Unwrap() {
		f, ok := err.(*Failure)
		if !ok {
			t.Fatalf("%v is a %T, want *Failure", err, err)
		}
		named[f.Case] = true
	}
	if !named["Delete removes the named ids"] || named["Lookup of an absent key finds nothing"] {
		t.Errorf("Check of a store that cannot delete names %v", named)
	}
}
