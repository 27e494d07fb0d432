package proxy

import (
	"net/http"
	"net/textproto"
	"sync"
	"time"
)

// interim passes 1xx responses on, until the final one is there. It does not let the origin's connection wait for the
// client to read them, since others may be waiting for what comes next on it.
type interim struct {
	x *exchange

	mu      sync.Mutex
	ended   bool
	waiting []message
	passing sync.WaitGroup
}

type message struct {
	code    int
	header  http.Header
	written chan struct{} // closed then; nil: nobody waits for it
}

// mostWaiting is how many may wait for the client to read the one before. Further ones are dropped.
const mostWaiting = 16

// take takes what the origin sends.
func (i *interim) take(code int, header textproto.MIMEHeader) error {
	switch {
	case code == http.StatusContinue && i.x.expectsContinue(): // it is told that when its body is read
	case code == http.StatusSwitchingProtocols: // by HTTP/2, which has none (RFC 9113 §8.6)
	default:
		i.add(message{code: code, header: http.Header(header)})
	}
	return nil
}

func (i *interim) add(m message) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ended || len(i.waiting) >= mostWaiting && m.written == nil { // ended: the caller has gone, and the request goes on for others
		return false
	}
	if i.waiting = append(i.waiting, m); len(i.waiting) == 1 {
		i.passing.Go(i.pass)
	}
	return true
}

// pass passes on what waits, and what comes meanwhile.
func (i *interim) pass() {
	h := i.x.w.Header()
	for more := true; more; {
		i.mu.Lock()
		m := i.waiting[0]
		i.mu.Unlock()
		copyMessage(h, m.header)
		i.x.allowTime()
		i.x.w.WriteHeader(m.code)
		i.x.c.SetWriteDeadline(time.Time{}) // the next one may take its time
		clear(h)
		if m.written != nil {
			close(m.written)
		}
		i.mu.Lock()
		i.waiting = i.waiting[1:]
		more = len(i.waiting) > 0
		i.mu.Unlock()
	}
}

// proceed asks the client for its body, in its turn. net/http would do so by itself in HTTP/1.1, in the middle of
// another one.
func (i *interim) proceed() {
	written := make(chan struct{})
	if i.add(message{code: http.StatusContinue, written: written}) {
		<-written
	}
}

// end waits until what has come is passed on; from then on nothing is.
func (i *interim) end() {
	i.mu.Lock()
	i.ended = true
	i.mu.Unlock()
	i.passing.Wait()
}
