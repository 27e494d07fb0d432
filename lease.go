package larder

import (
	"context"
	"errors"
	"time"

	"github.com/larder-go/larder/rfc9111"
	"github.com/larder-go/larder/store"
)

// While another process asks the origin for the same, the store is checked for its answer: first after leaseLookFirst,
// then at intervals that double up to leaseLookLast.
const (
	leaseLookFirst = 20 * time.Millisecond
	leaseLookLast  = 250 * time.Millisecond
)

// claim makes one of the processes that share the store ask the origin. It returns false when f should ask: f has the
// lease, or has waited for LeaseWait. It returns true when another's answer is in the store, and has then settled f
// with it.
func (c *Cache) claim(f *flight, x *exchange) (answered bool) {
	leaser, ok := store.As[store.Leaser](c.store)
	if !ok || c.LeaseTime <= 0 || f.key.alone != 0 {
		return false
	}
	key := store.Key(string(f.key.key) + "\x00" + f.key.method + "\x00" + f.key.variant)
	holder := store.NewID(c.now())
	wait := time.NewTimer(c.leaseWait())
	defer wait.Stop()
	for pause := leaseLookFirst; ; pause = min(2*pause, leaseLookLast) {
		held, err := c.lease(f.ctx, leaser, x, key, holder)
		if held {
			f.landed = make(chan struct{})
			l := c.leases.Load()
			l.run(func() { c.keepLease(f, l.ended, leaser, x, key, holder) })
		}
		if err != nil {
			return false
		}
		c.notes.doubt(x.target.base())
		if c.answeredMeanwhile(f, x) { // even with the lease: somebody may have been quicker
			return true
		}
		if held {
			return false
		}
		select {
		case <-time.After(pause):
		case <-wait.C:
			return false
		case <-f.ctx.Done():
			return false
		}
	}
}

// lease takes the lease on key, or renews it.
func (c *Cache) lease(ctx context.Context, leaser store.Leaser, x *exchange, key store.Key, holder store.ID) (held bool, err error) {
	if !c.mayUse(x) {
		return false, errStoreRests
	}
	err = c.within(ctx, func(ctx context.Context) (err error) {
		held, err = leaser.Lease(ctx, key, holder, c.LeaseTime)
		return err
	})
	if err != nil && ctx.Err() == nil {
		c.leaseFailed(x, err)
	}
	return held, err
}

// leaseFailed reports that the store failed at a lease. The store is left alone only if it hangs.
func (c *Cache) leaseFailed(x *exchange, err error) {
	if errors.Is(err, errStoreSlow) {
		c.failed("lease", x, err)
		return
	}
	c.emit(Event{Kind: StoreFailed, Method: x.rr.Method, URL: x.target.url, Op: "lease", Err: err})
}

// leases are the leases that the cache holds, each with a goroutine that renews it.
type leases struct {
	tasks
	ended chan struct{} // closed by Close, so that it does not wait for callers who leave a body unread
}

func newLeases() *leases { return &leases{ended: make(chan struct{})} }

// end makes the goroutines give all leases back.
func (l *leases) end(ctx context.Context) error {
	close(l.ended)
	return l.wait(ctx)
}

// keepLease renews the lease until f has landed, or Close ends all leases, and then gives it back.
func (c *Cache) keepLease(f *flight, ended <-chan struct{}, leaser store.Leaser, x *exchange, key store.Key, holder store.ID) {
	renew := time.NewTicker(max(c.LeaseTime/3, time.Millisecond))
	defer renew.Stop()
	ctx := context.WithoutCancel(f.ctx)
	for {
		select {
		case <-renew.C:
			if held, err := c.lease(ctx, leaser, x, key, holder); err == nil && !held {
				return // it had expired, and another process has it now
			}
			continue
		case <-f.landed:
		case <-ended:
		}
		err := c.within(ctx, func(ctx context.Context) error { return leaser.Release(ctx, key, holder) })
		if err != nil {
			c.leaseFailed(x, err)
		}
		return
	}
}

// answeredMeanwhile looks into the store again for the answer to x. If it is there, it settles f with it and returns
// true. Otherwise x goes on with what is stored now.
func (c *Cache) answeredMeanwhile(f *flight, x *exchange) bool {
	records, err := c.lookup(f.ctx, x)
	if err == nil {
		records, err = c.equivalents(f.ctx, x, records)
	}
	if err != nil || len(records) == 0 {
		return false
	}
	fresh := *x
	fresh.now = c.now()
	if c.weigh(&fresh, records); fresh.verdict.Action != rfc9111.Serve {
		*x = fresh
		return false
	}
	closeBody(x.send)
	c.land(f)
	f.settle(result{again: true})
	f.cancel()
	return true
}

// land forgets f, so that the next caller looks into the store again, and has its lease given back.
func (c *Cache) land(f *flight) {
	if c.flights.land(f) && f.landed != nil {
		close(f.landed)
	}
}
