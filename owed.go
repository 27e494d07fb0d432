package larder

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-go/larder/store"
)

// owed are removals that the store did not carry out, since it failed or was left alone. What they mean, and was asked
// for before, is as if it were not stored. Other processes know nothing of that, until pay has removed it.
type owed struct {
	any   atomic.Bool
	mu    sync.Mutex
	since map[debt]time.Time
	all   time.Time // for everything, since there were too many
	tried time.Time // when pay did something last
}

// debt is what was to be removed. One field is set.
type debt struct {
	key  store.Key
	url  string
	tag  string
	base string // a URL without query, of which what else it means could not be found out
}

// maxOwed bounds the memory of what is owed.
const maxOwed = 4096

func (o *owed) add(now time.Time, d debt) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, known := o.since[d]; !known && len(o.since) >= maxOwed {
		o.since, o.all = nil, now
	}
	if o.since == nil {
		o.since = make(map[debt]time.Time)
	}
	o.since[d] = now
	o.any.Store(true)
}

// has reports whether r was to be removed.
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

// due returns what is owed that can be looked for, if that was not done within the last breakFor: what is under a key,
// and what indexes name if the store is a Finder.
func (o *owed) due(now time.Time, finds bool) map[debt]time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	if age := now.Sub(o.tried); 0 <= age && age < breakFor {
		return nil
	}
	o.tried = now
	due := maps.Clone(o.since)
	maps.DeleteFunc(due, func(d debt, _ time.Time) bool { return d.base != "" || d.key == "" && !finds })
	return due
}

// paid takes in that d is removed, unless it is owed anew.
func (o *owed) paid(d debt, since time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since[d].Equal(since) {
		delete(o.since, d)
	}
	o.any.Store(len(o.since) > 0 || !o.all.IsZero())
}

// pay removes in the background what is owed, now that the store has answered again.
func (c *Cache) pay() {
	if !c.owed.any.Load() {
		return
	}
	finder, finds := store.As[store.Finder](c.store)
	due := c.owed.due(c.now(), finds)
	if len(due) == 0 {
		return
	}
	c.background.run(func() {
		ctx, cancel := context.WithTimeout(c.abandoned, c.refreshTimeout())
		defer cancel()
		for d, since := range due {
			remove := func(r *store.Record) error { return c.payWith(ctx, r, since) }
			var err error
			if d.key != "" {
				err = c.eachUnder(ctx, d.key, remove)
			} else {
				err = c.eachFound(ctx, finder, store.Query{URL: d.url, Tag: d.tag}, remove)
			}
			if err != nil {
				c.failed("delete", &exchange{target: target{url: d.url}}, err)
				return
			}
			c.owed.paid(d, since)
		}
	})
}

// payWith removes r if it was asked for until then.
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

// eachUnder calls do with each record under a key, until that fails.
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
