package larder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/larder-go/larder/store"
)

// A store that fails breakAfter times in a row, or exceeds StoreTimeout once, is left alone for breakFor. Then one call
// tries it again.
const (
	breakAfter = 5
	breakFor   = 5 * time.Second
)

// errStoreRests is the error of a store that is left alone.
var errStoreRests = errors.New("the store failed repeatedly and is left alone for a while")

// breaker keeps a store that is down from costing every request its timeout.
type breaker struct {
	failures atomic.Int32
	closedAt atomic.Int64 // Unix nanoseconds from which the store may be tried again
}

// broken reports whether the store is left alone.
func (b *breaker) broken() bool { return b.failures.Load() >= breakAfter }

// due reports whether the caller should try a broken store again. It returns true to one caller each breakFor.
func (b *breaker) due(now time.Time) bool {
	at := b.closedAt.Load()
	wait := time.Duration(at - now.UnixNano())
	return (wait <= 0 || wait > breakFor) && b.closedAt.CompareAndSwap(at, now.Add(breakFor).UnixNano())
}

// note records the result of a use of the store.
func (b *breaker) note(err error, now time.Time) {
	switch {
	case err == nil, errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrTooLarge), errors.Is(err, store.ErrCorrupt):
		if b.failures.Load() != 0 {
			b.failures.Store(0)
		}
	case errors.Is(err, context.Canceled), errors.Is(err, errStoreRests):
	default:
		b.closedAt.Store(now.Add(breakFor).UnixNano())
		if b.failures.Add(1); errors.Is(err, errStoreSlow) {
			b.failures.Add(breakAfter)
		}
	}
}

// mayUse reports whether the store may be used for x. A broken store is tried again by the request itself if the store
// is local, or if the request fails without it. Otherwise it is tried in the background, so that no caller waits for a
// store that is known to be down.
func (c *Cache) mayUse(x *exchange) bool {
	switch {
	case !c.breaker.broken():
		return true
	case !c.breaker.due(c.now()):
		return false
	case c.localStore || c.FailClosed:
		return true
	}
	key := x.key
	c.background.run(func() {
		err := c.within(c.abandoned, func(ctx context.Context) error { _, err := c.store.Lookup(ctx, key); return err })
		c.breaker.note(err, c.now())
	})
	return false
}

// errStoreSlow is the error of a call that took longer than StoreTimeout.
var errStoreSlow = fmt.Errorf("the store took too long: %w", context.DeadlineExceeded)

// within bounds one call of a distant store by StoreTimeout.
func (c *Cache) within(ctx context.Context, call func(context.Context) error) error {
	if c.localStore {
		return call(ctx)
	}
	bounded, cancel := context.WithTimeoutCause(ctx, c.storeTimeout(), errStoreSlow)
	defer cancel()
	err := call(bounded)
	if err != nil && context.Cause(bounded) == errStoreSlow {
		return errStoreSlow
	}
	return err
}

// bounds limits each of the calls that together read or write one body. They share its context.
type bounds struct {
	ctx    context.Context
	each   time.Duration
	giveUp context.CancelCauseFunc // nil: the store is local, and its calls are not bounded
}

func (c *Cache) bounds(ctx context.Context) bounds {
	if c.localStore {
		return bounds{ctx: ctx}
	}
	ctx, giveUp := context.WithCancelCause(ctx)
	return bounds{ctx, c.storeTimeout(), giveUp}
}

func (b *bounds) call(do func() error) error {
	if b.giveUp == nil {
		return do()
	}
	defer time.AfterFunc(b.each, func() { b.giveUp(errStoreSlow) }).Stop()
	err := do()
	if err != nil && context.Cause(b.ctx) == errStoreSlow {
		return errStoreSlow
	}
	return err
}

// end ends the context.
func (b *bounds) end() {
	if b.giveUp != nil {
		b.giveUp(nil)
	}
}

// open opens a body that is not in its record.
func (c *Cache) open(x *exchange, r *store.Record) (body io.ReadSeekCloser, err error) {
	if !c.mayUse(x) {
		return nil, errStoreRests
	}
	within := c.bounds(x.req.Context())
	err = within.call(func() (err error) { body, err = c.store.Open(within.ctx, r); return err })
	if err != nil {
		within.end()
		if x.req.Context().Err() == nil { // otherwise the caller has left
			c.failed("open", x, err)
		}
		return nil, err
	}
	if !c.localStore {
		body = &boundedBody{body, within}
	}
	return body, nil
}

// boundedBody is a body from a distant store. Each Read is bounded.
type boundedBody struct {
	io.ReadSeekCloser
	within bounds
}

func (b *boundedBody) Read(p []byte) (n int, err error) {
	err = b.within.call(func() (err error) { n, err = b.ReadSeekCloser.Read(p); return err })
	return n, err
}

func (b *boundedBody) Close() error {
	b.within.end()
	return b.ReadSeekCloser.Close()
}

// failed records the result of op on the store for x, and emits an event if it is a failure. It returns the error for
// the caller: nil, unless the cache is FailClosed.
func (c *Cache) failed(op string, x *exchange, err error) error {
	if err == nil && c.breaker.failures.Load() == 0 {
		return nil
	}
	c.breaker.note(err, c.now())
	switch {
	case err == nil, errors.Is(err, store.ErrNotFound), errors.Is(err, context.Canceled):
		return nil
	case errors.Is(err, store.ErrCorrupt):
		c.emit(Event{Kind: Damaged, Method: x.rr.Method, URL: x.target.url, Op: op, Err: err})
		return nil
	case errors.Is(err, store.ErrTooLarge), errors.Is(err, errStoreRests) && !c.FailClosed:
		return nil
	}
	err = fmt.Errorf("larder: %s %s: %w", op, x.target.url, err)
	c.emit(Event{Kind: StoreFailed, Method: x.rr.Method, URL: x.target.url, Op: op, Err: err})
	if c.FailClosed {
		return err
	}
	return nil
}

// lookup returns the records stored under x's key.
func (c *Cache) lookup(ctx context.Context, x *exchange) ([]*store.Record, error) {
	x.troubled = false
	return c.lookupUnder(ctx, x, x.key)
}

// lookupUnder returns the records stored under a key, for x.
func (c *Cache) lookupUnder(ctx context.Context, x *exchange, key store.Key) ([]*store.Record, error) {
	if c.near != nil {
		if records := c.near.Near(ctx, key); len(records) > 0 {
			return records, nil
		}
	}
	if !c.mayUse(x) {
		x.troubled = true
		return nil, c.failed("lookup", x, errStoreRests)
	}
	var records []*store.Record
	err := c.within(ctx, func(ctx context.Context) (err error) { records, err = c.store.Lookup(ctx, key); return err })
	x.troubled = x.troubled || err != nil
	if err != nil && ctx.Err() != nil { // the caller has left
		return nil, context.Cause(ctx)
	}
	if err == nil {
		c.pay()
	}
	if err != nil || c.breaker.failures.Load() != 0 {
		return records, c.failed("lookup", x, err)
	}
	return records, nil
}

// update puts r in the place of the stored record with its ID.
func (c *Cache) update(ctx context.Context, x *exchange, r *store.Record) error {
	if !c.mayUse(x) {
		return errStoreRests
	}
	err := c.within(ctx, func(ctx context.Context) error { return c.store.Update(ctx, r) })
	c.failed("update", x, err)
	if err == nil {
		c.emit(Event{Kind: Updated, Method: x.rr.Method, URL: x.target.url, Status: r.Status, Decision: Decision{ID: r.ID}})
	}
	return err
}
