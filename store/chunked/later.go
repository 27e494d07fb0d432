package chunked

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// later is what a Store does when nobody waits for it any more: it removes what is left over. It is bounded in number
// and in time; of what comes beyond the number nothing is dropped, but done at once. What a fault leaves, expiry and
// Sweep remove.
type later struct {
	mu      sync.Mutex
	closed  bool
	waiting list.List // of *waiter, who waits longest first
	running sync.WaitGroup
	n       int // running
	slots   chan struct{}
	ctx     context.Context // ends a while after close
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

// run calls do in a goroutine of its own; where there are too many of them, the caller waits for it.
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

// after calls do after a while, or when the Store is closed. Where too many wait, the first of them waits no longer.
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

// take ends a wait, and returns what is to be done then; nil: somebody else has. The mutex is held.
func (l *later) take(at *list.Element) (do func(context.Context)) {
	w := l.waiting.Remove(at).(*waiter)
	w.timer.Stop()
	do, w.do = w.do, nil
	return do
}

// begin counts do, and has it done. The mutex is held.
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

// close does at once what waits, and returns when all is done or has been given up.
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
