package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/larder-go/larder/internal/units"
)

// crew does the errands of larder warm: several at once, but few of them at one host. An errand queues for its host
// only once it has found that it must ask the origin: what is stored already waits for nobody.
type crew struct {
	jobs     int           // errands at once
	perHost  int           // of them at a host
	delay    time.Duration // from the beginning of one at a host to that of the next
	patience time.Duration // how long a host may ask to be left alone
	do       func(errand) report

	reports chan report      // of errands under way
	running int              // how many are under way
	hosts   map[string]*host // those with something to do or to wait for
	order   []*host          // the same, in the order of their turns
	queued  int              // errands, at all of them
}

// errand is one URL on its way.
type errand struct {
	index   int64    // of the URL in the input
	first   *url.URL // where it began
	url     *url.URL // where it has got to
	trusted string   // the host that gets credentials
	hops    int      // redirects so far
	tries   int      // how often the host has put it off
	turn    string   // the host at which it has a turn; "": none

	shown   string // the URL as events have it
	refresh bool   // what is stored may be used, and is to be refreshed
}

// report is the result of doing an errand once.
type report struct {
	errand
	next  step
	after time.Duration // how long the host asks to be left alone
	result
}

// step is what is to be done with an errand now.
type step int

const (
	settled step = iota
	needsTurn
	putOff   // by the host
	sentElse // by a redirect, which the errand has followed
)

// mostQueued is how many errands may wait for hosts before no more are taken in: it bounds memory.
const mostQueued = 1024

type host struct {
	name  string
	queue []errand
	busy  int
	next  time.Time // when the next errand may begin
	shut  time.Time // until when it asks to be left alone
}

// run does the errands that come, until there are no more. When ctx ends, it begins no more, and waits for those under
// way. It calls settle, from one goroutine, with the last report of each errand.
func (c *crew) run(ctx context.Context, errands <-chan errand, settle func(report)) {
	c.reports, c.hosts = make(chan report), make(map[string]*host)
	ended, end := false, ctx.Done()
	for {
		var alarm <-chan time.Time
		if !ended {
			alarm = c.beginQueued(settle)
		}
		if c.running == 0 && (ended || errands == nil && c.queued == 0) {
			return
		}
		incoming := errands
		if ended || c.running >= c.jobs || c.queued >= mostQueued {
			incoming = nil
		}
		select {
		case e, more := <-incoming:
			if more {
				c.begin(e)
			} else {
				errands = nil
			}
		case r := <-c.reports:
			c.running--
			switch c.take(r); {
			case r.next == settled:
				settle(r)
			case r.next == sentElse && !ended:
				e := r.errand
				e.turn = ""
				c.begin(e)
			}
		case <-alarm:
		case <-end:
			ended, end = true, nil
		}
	}
}

func (c *crew) begin(e errand) {
	c.running++
	go func() { c.reports <- c.do(e) }()
}

// beginQueued begins the errands whose turn it is, and settles those that are given up. If the next one only has to
// wait, it returns an alarm for its time.
func (c *crew) beginQueued(settle func(report)) (alarm <-chan time.Time) {
	for c.running < c.jobs {
		now := time.Now()
		e, givenUp, wake := c.startable(now)
		switch {
		case givenUp != nil:
			settle(*givenUp)
		case e != nil:
			c.begin(*e)
		case wake.IsZero():
			return nil
		default:
			return time.After(wake.Sub(now))
		}
	}
	return nil
}

// take gives the turn back, and queues the errand if it needs one.
func (c *crew) take(r report) {
	if r.turn != "" {
		h := c.host(r.turn)
		h.busy--
		if until := time.Now().Add(r.after); r.after > 0 && until.After(h.shut) {
			h.shut = until
		}
	}
	if r.next == needsTurn || r.next == putOff {
		e := r.errand
		e.turn = ""
		h := c.host(e.url.Host)
		h.queue = append(h.queue, e)
		c.queued++
	}
}

func (c *crew) host(name string) *host {
	h := c.hosts[name]
	if h == nil {
		h = &host{name: name}
		c.hosts[name] = h
		c.order = append(c.order, h)
	}
	return h
}

// startable returns an errand whose turn it is; or the report of one that is given up, since its host asks to be left
// alone for too long; or, if the next one only has to wait, when to call again.
func (c *crew) startable(now time.Time) (e *errand, givenUp *report, wake time.Time) {
	c.order = slices.DeleteFunc(c.order, func(h *host) bool {
		idle := len(h.queue) == 0 && h.busy == 0 && !h.next.After(now) && !h.shut.After(now)
		if idle {
			delete(c.hosts, h.name)
		}
		return idle
	})
	for i, h := range c.order {
		if len(h.queue) == 0 {
			continue
		}
		if h.shut.Sub(now) > c.patience {
			err := fmt.Errorf("the host wants to be left alone until %s, and --patience is %s", h.shut.Format(time.DateTime), units.DurationText(c.patience))
			return nil, &report{errand: c.pop(i), result: result{err: err}}, time.Time{}
		}
		if h.busy >= c.perHost {
			continue
		}
		begins := h.next
		if h.shut.After(begins) {
			begins = h.shut
		}
		if begins.After(now) {
			if wake.IsZero() || begins.Before(wake) {
				wake = begins
			}
			continue
		}
		h.busy++
		h.next = now.Add(c.delay)
		next := c.pop(i)
		next.turn = h.name
		return &next, nil, time.Time{}
	}
	return nil, nil, wake
}

// pop takes the first errand out of the queue of the i-th host, and puts that host last.
func (c *crew) pop(i int) errand {
	h := c.order[i]
	e := h.queue[0]
	h.queue = h.queue[1:]
	c.queued--
	c.order = append(slices.Delete(c.order, i, i+1), h)
	return e
}
