package larder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-go/larder/store"
)

// owed are removals that the store did not carry out, because it failed or was left alone. Records that they cover, and
// that were requested before, do not count as stored. That still holds for payPause after pay has removed them, for
// requests that looked them up before. Until then other processes know nothing of it.
type owed struct {
	any    atomic.Bool
	mu     sync.Mutex
	since  map[debt]time.Time
	all    time.Time          // owed is everything requested until then, since there were too many removals
	paid   map[debt]time.Time // the removals in since that pay has carried out, and when
	paying bool
	next   time.Time // when pay may run again
}

// debt is one removal. One field is set.
type debt struct {
	key  store.Key
	url  string
	tag  string
	base string // a URL without query: the lookup of what else it means has failed
}

// maxOwed bounds since.
const maxOwed = 4096

func (o *owed) add(now time.Time, d debt) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, known := o.since[d]; !known && len(o.since) >= maxOwed {
		o.since, o.paid, o.all = nil, nil, now
	}
	if o.since == nil {
		o.since, o.paid = make(map[debt]time.Time), make(map[debt]time.Time)
	}
	o.since[d] = now
	delete(o.paid, d)
	o.any.Store(true)
}

// has reports whether the removal of r is owed.
func (o *owed) has(r *store.Record) bool {
	if !o.any.Load() {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	owed := func(d debt) bool {
		since, ok := o.since[d]
		return ok && !r.Requested.After(since)
	}
	base, _, _ := strings.Cut(r.URL, "?")
	return !r.Requested.After(o.all) || owed(debt{key: r.Key}) || owed(debt{url: r.URL}) || owed(debt{base: base}) ||
		slices.ContainsFunc(r.Tags, func(tag string) bool { return owed(debt{tag: tag}) })
}

// payPause is how long pay waits after a removal has failed; otherwise it waits breakFor.
const payPause = time.Minute

// begin returns the removals to try now: those by key, and the others if the store is a Finder; none if it is not time
// yet. If there are any, end must be called. It forgets what was removed payPause ago.
func (o *owed) begin(now time.Time, finds bool) map[debt]time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	if wait := o.next.Sub(now); o.paying || 0 < wait && wait <= payPause {
		return nil
	}
	due := make(map[debt]time.Time)
	for d, since := range o.since {
		removed, ok := o.paid[d]
		switch {
		case ok && now.Sub(removed) > payPause:
			delete(o.since, d)
			delete(o.paid, d)
		case !ok && d.base == "" && (d.key != "" || finds):
			due[d] = since
		}
	}
	o.any.Store(len(o.since) > 0 || !o.all.IsZero())
	if o.paying = len(due) > 0; !o.paying {
		o.next = now.Add(breakFor) // so that not every request goes through all
	}
	return due
}

func (o *owed) end(next time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.paying, o.next = false, next
}

// removed notes that the store has carried out d, unless it is owed anew.
func (o *owed) removed(d debt, since, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since[d].Equal(since) {
		o.paid[d] = now
	}
}

// pay carries out in the background what is owed, now that the store answers again.
func (c *Cache) pay() {
	if !c.owed.any.Load() {
		return
	}
	finder, finds := store.As[store.Finder](c.store)
	due := c.owed.begin(c.now(), finds)
	if len(due) == 0 {
		return
	}
	c.background.run(func() {
		ctx, cancel := context.WithTimeout(c.abandoned, c.refreshTimeout())
		defer cancel()
		pause := breakFor
		defer func() { c.owed.end(c.now().Add(pause)) }()
		for d, since := range due {
			var err error
			slow := false
			remove := func(r *store.Record) error {
				err := c.payWith(ctx, r, since)
				slow = errors.Is(err, errStoreSlow)
				return err
			}
			if d.key != "" {
				err = c.eachUnder(ctx, d.key, remove)
			} else {
				err = c.eachFound(ctx, finder, store.Query{URL: d.url, Tag: d.tag}, remove)
			}
			if err == nil {
				c.owed.removed(d, since, c.now())
				continue
			}
			pause = payPause
			c.emit(Event{Kind: StoreFailed, URL: d.url, Op: "delete", Err: fmt.Errorf("larder: what an unsafe request has made invalid: %w", err)})
			if ctx.Err() != nil || slow || !errors.Is(err, errStoreSlow) { // a slow Find is no reason to stop
				return
			}
		}
	})
}

// payWith removes r if it was requested by since.
func (c *Cache) payWith(ctx context.Context, r *store.Record, since time.Time) error {
	if r.Requested.After(since) {
		return nil
	}
	err := c.within(ctx, func(ctx context.Context) error { return c.store.Delete(ctx, r.Key, r.ID) })
	if err == nil {
		c.emit(Event{Kind: Invalidated, Method: r.Method, URL: r.URL})
	}
	return err
}

// eachUnder calls do with each record under a key, until one fails.
func (c *Cache) eachUnder(ctx context.Context, key store.Key, do func(*store.Record) error) error {
	var records []*store.Record
	err := c.within(ctx, func(ctx context.Context) (err error) { records, err = c.store.Lookup(ctx, key); return err })
	if err != nil && !errors.Is(err, store.ErrCorrupt) {
		return err
	}
	for _, r := range records {
		if err := do(r); err != nil {
			return err
		}
	}
	return nil
}
