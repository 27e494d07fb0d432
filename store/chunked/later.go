package chunked

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// later is the work of a Store for which nobody waits: removing what is left over. It is limited in number and in time.
// Work beyond the number is not dropped, but done at once. What a failure leaves, expiry and Sweep remove.
type later struct {
	mu      sync.Mutex
	closed  bool
	waiting list.List // of *waiter, the one that has waited longest first
	running sync.WaitGroup
	n       int // running
	slots   chan struct{}
	ctx     context.Context // ends laterTime after close
	cancel  context.CancelFunc

	maxRunning, maxWaiting int
}

type waiter struct {
	timer *time.Timer
	do    func(context.Context)
}

const (
	maxRunning    = 4096
	maxWaiting    = 8192 // half a KiB each
	laterParallel = 16
	laterTime     = 5 * time.Second // for each
)

func newLater() *later {
	l := &later{slots: make(chan struct{}, laterParallel), maxRunning: maxRunning, maxWaiting: maxWaiting}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// run calls do in a goroutine of its own. If there are too many of them, the caller does it and waits.
func (l *later) run(do func(context.Context)) {
	l.mu.Lock()
	free := !l.closed && l.n < l.maxRunning
	if free {
		l.begin(do)
	}
	l.mu.Unlock()
	if !free {
		l.call(do)
	}
}

// after calls do after a while, or when the Store is closed. If too many wait, it calls the first of them at once.
func (l *later) after(wait time.Duration, do func(context.Context)) {
	l.mu.Lock()
	if !l.closed {
		w := &waiter{do: do}
		at := l.waiting.PushBack(w)
		w.timer = time.AfterFunc(wait, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			if do := l.take(at); do != nil {
				l.begin(do)
			}
		})
		do = nil
		if l.waiting.Len() > l.maxWaiting {
			do = l.take(l.waiting.Front())
		}
	}
	l.mu.Unlock()
	if do != nil {
		l.run(do)
	}
}

// take ends a wait, and returns what must be done then; nil: somebody else has taken it. The mutex is held.
func (l *later) take(at *list.Element) (do func(context.Context)) {
	w := l.waiting.Remove(at).(*waiter)
	w.timer.Stop()
	do, w.do = w.do, nil
	return do
}

// begin counts do, and starts it. The mutex is held.
func (l *later) begin(do func(context.Context)) {
	l.n++
	l.running.Go(func() {
		l.slots <- struct{}{}
		l.call(do)
		<-l.slots
		l.mu.Lock()
		l.n--
		l.mu.Unlock()
	})
}

func (l *later) call(do func(context.Context)) {
	ctx, cancel := context.WithTimeout(l.ctx, laterTime)
	defer cancel()
	do(ctx)
}

// close starts at once what waits, and returns when all is done or given up.
func (l *later) close() {
	defer l.cancel()
	defer time.AfterFunc(laterTime, l.cancel).Stop()
	l.mu.Lock()
	l.closed = true
	for l.waiting.Len() > 0 {
		l.begin(l.take(l.waiting.Front()))
	}
	l.mu.Unlock()
	l.running.Wait()
}
