package chunked

import (
	"context"
	"sync"
	"time"
)

// later is what a Store does when nobody waits for it any more: it removes what is left over. It is bounded in number and in
// time; what it does not get to, expiry and Sweep do.
type later struct {
	mu      sync.Mutex
	closed  bool
	waiting map[*time.Timer]func()
	running sync.WaitGroup
	n       int // running or waiting
	slots   chan struct{}
	ctx     context.Context // ends a while after close
	cancel  context.CancelFunc
}

const (
	maxLater      = 4096
	laterParallel = 16
	laterTime     = 5 * time.Second // for each
)

func newLater() *later {
	l := &later{waiting: make(map[*time.Timer]func()), slots: make(chan struct{}, laterParallel)}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// run calls do at once, in a goroutine of its own.
func (l *later) run(do func(context.Context)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.begin() {
		go l.do(do)
	}
}

// after calls do after a while, or when the Store is closed.
func (l *later) after(wait time.Duration, do func(context.Context)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.begin() {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(wait, func() {
		l.mu.Lock()
		_, ours := l.waiting[timer]
		delete(l.waiting, timer)
		l.mu.Unlock()
		if ours {
			l.do(do)
		}
	})
	l.waiting[timer] = func() { l.do(do) }
}

// begin counts one more, if there may be one more. The mutex is held.
func (l *later) begin() bool {
	if l.closed || l.n >= maxLater {
		return false
	}
	l.n++
	l.running.Add(1)
	return true
}

func (l *later) do(do func(context.Context)) {
	l.slots <- struct{}{}
	ctx, cancel := context.WithTimeout(l.ctx, laterTime)
	do(ctx)
	cancel()
	<-l.slots
	l.mu.Lock()
	l.n--
	l.mu.Unlock()
	l.running.Done()
}

// close does at once what waits, and returns when all is done or has been given up.
func (l *later) close() {
	defer l.cancel()
	defer time.AfterFunc(laterTime, l.cancel).Stop()
	l.mu.Lock()
	l.closed = true
	for timer, do := range l.waiting {
		timer.Stop()
		go do()
	}
	clear(l.waiting)
	l.mu.Unlock()
	l.running.Wait()
}
