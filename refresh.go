package larder

import (
	"context"
	"fmt"
	"io"
)

// refresh validates, in the background, what was just served stale (RFC 5861 §3), unless that is under way or too many
// refreshes are.
func (c *Cache) refresh(x exchange) {
	select {
	case c.refreshes <- struct{}{}:
	default:
		return
	}
	x, err := x.rewound()
	if err != nil {
		<-c.refreshes
		c.emit(Event{Kind: RefreshFailed, Method: x.rr.Method, URL: x.target.url, Err: err})
		return
	}
	x.now = c.now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.req.Context()), c.refreshTimeout())
	stop := context.AfterFunc(c.abandoned, cancel)
	x.send = x.send.WithContext(ctx)
	x.detach()
	for _, name := range append([]string{"Range"}, conditional[:]...) { // the refresh is of the whole
		x.req.Header.Del(name)
		x.header.Del(name)
	}
	f, leads := c.flightFor(&x, 0)
	if leads {
		f.led = x
		c.background.run(func() { c.lead(f, &f.led) })
	} else {
		closeBody(x.send)
	}
	c.background.run(func() {
		defer func() { <-c.refreshes }()
		defer cancel()
		defer stop()
		if err := f.await(ctx, leads); err != nil {
			c.emit(Event{Kind: RefreshFailed, Method: x.rr.Method, URL: x.target.url, Err: err})
		}
	})
}

// await reads f's answer to its end, so that it is stored.
func (f *flight) await(ctx context.Context, leads bool) error {
	select {
	case <-f.done():
	case <-ctx.Done():
		f.leave(leads)
		return ctx.Err()
	}
	r, attached := new(reader), false
	if f.err == nil && f.download != nil && !originFailed(f.status) {
		attached = f.download.attach(ctx, r, nil)
	}
	f.leave(leads) // at once: readers in lockstep wait for callers who may still become readers
	switch {
	case f.err != nil:
		return f.err
	case originFailed(f.status):
		return fmt.Errorf("the origin answered %d", f.status)
	case !attached:
		return nil
	}
	defer r.Close()
	_, err := io.Copy(io.Discard, r)
	return err
}
