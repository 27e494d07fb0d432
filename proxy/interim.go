package proxy

import (
	"net/http"
	"net/textproto"
	"sync"
	"time"
)

// interim passes on 1xx responses until the final one is there. The origin's connection does not wait for the client to
// read them, since it may carry responses for others.
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
	written chan struct{} // closed when it is written; nil: nobody waits for that
}

// mostWaiting is how many may wait for the client to read the one before. Further ones are dropped.
const mostWaiting = 16

// take is called with each 1xx response of the origin.
func (i *interim) take(code int, header textproto.MIMEHeader) error {
	switch {
	case code == http.StatusContinue && i.x.expectsContinue(): // proceed sends it
	case code == http.StatusSwitchingProtocols: // from HTTP/2, which has none (RFC 9113 §8.6)
	default:
		i.add(message{code: code, header: http.Header(header)})
	}
	return nil
}

func (i *interim) add(m message) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ended || len(i.waiting) >= mostWaiting && m.written == nil { // ended: this client has left, and the request goes on for others
		return false
	}
	if i.waiting = append(i.waiting, m); len(i.waiting) == 1 {
		i.passing.Go(i.pass)
	}
	return true
}

// pass passes on the messages that wait, and those that come meanwhile.
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

// proceed asks the client for its body, by a 100 (Continue) in its turn. In HTTP/1.1 net/http would send one itself, in
// the middle of another message.
func (i *interim) proceed() {
	written := make(chan struct{})
	if i.add(message{code: http.StatusContinue, written: written}) {
		<-written
	}
}

// end waits until all that has come is passed on. What comes later is dropped.
func (i *interim) end() {
	i.mu.Lock()
	i.ended = true
	i.mu.Unlock()
	i.passing.Wait()
}
