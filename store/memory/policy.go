package memory

import (
	"sync/atomic"
	"time"
)

// policy decides what goes when room is needed: S3-FIFO (Yang et al., SOSP 2023) by bytes. New entries enter a small
// queue. Those used again before they reach its end move on to the main queue, where use earns another round. Of an
// entry that leaves the small queue unused, the key's hash is remembered for a while: if the key comes back, it goes to
// the main queue at once. A read only counts up, so that it needs no lock.
type policy struct {
	small, main queue
	ghosts      ghosts
}

// node is the place of an entry in a queue.
type node struct {
	prev, next *entry
	queue      *queue
	bytes      int64
	hash       uint64 // of the key
	uses       atomic.Int32
}

const maxUses = 3

func (n *node) used() {
	if u := n.uses.Load(); u < maxUses {
		n.uses.Store(u + 1) // of two at once, one may be lost: that does no harm
	}
}

func (p *policy) bytes() int64 { return p.small.bytes + p.main.bytes }

// put gives e, whose bytes are counted, the place of old, or a new one if old is nil. If e has no records, it removes
// old.
func (p *policy) put(old, e *entry) {
	switch {
	case old != nil && len(e.records) > 0:
		old.queue.replace(old, e)
		return
	case old != nil:
		old.queue.remove(old)
		return
	case p.ghosts.take(e.hash):
		p.main.push(e)
	default:
		p.small.push(e)
	}
	p.ghosts.trim(p.small.len + p.main.len)
}

// victim returns the entry that is to go next, and leaves it in its queue; nil if there is none. max is the store's
// limit.
func (p *policy) victim(max int64, now time.Time) *entry {
	for {
		if e := p.small.last; e != nil && (p.small.bytes > max/10 || p.main.last == nil) {
			if !e.ended(now) {
				if e.uses.Load() > 0 {
					p.small.remove(e)
					e.uses.Store(0)
					p.main.push(e)
					continue
				}
				p.ghosts.add(e.hash)
			}
			return e
		}
		e := p.main.last
		if e == nil {
			return nil
		}
		uses := e.uses.Load()
		if uses == 0 || e.ended(now) {
			return e
		}
		e.uses.Store(uses - 1)
		p.main.remove(e)
		p.main.push(e)
	}
}

func (e *entry) ended(now time.Time) bool {
	for _, r := range e.records {
		if !ended(r, now) {
			return false
		}
	}
	return true
}

// queue is a list of entries, the newest first.
type queue struct {
	first, last *entry
	len         int
	bytes       int64
}

func (q *queue) push(e *entry) {
	e.queue, e.prev, e.next = q, nil, q.first
	if q.first == nil {
		q.last = e
	} else {
		q.first.prev = e
	}
	q.first = e
	q.len++
	q.bytes += e.bytes
}

func (q *queue) replace(old, e *entry) {
	e.queue, e.prev, e.next = q, old.prev, old.next
	e.uses.Store(old.uses.Load())
	if e.prev == nil {
		q.first = e
	} else {
		e.prev.next = e
	}
	if e.next == nil {
		q.last = e
	} else {
		e.next.prev = e
	}
	old.queue, old.prev, old.next = nil, nil, nil
	q.bytes += e.bytes - old.bytes
}

func (q *queue) remove(e *entry) {
	if e.prev == nil {
		q.first = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		q.last = e.prev
	} else {
		e.next.prev = e.prev
	}
	e.queue, e.prev, e.next = nil, nil, nil
	q.len--
	q.bytes -= e.bytes
}

// ghosts remembers the hashes that were added last.
type ghosts struct {
	added map[uint64]uint64 // hash to the turn in which it was added
	order []uint64          // hashes by turn, the first in turn first; some were taken since
	first uint64
}

func (g *ghosts) add(hash uint64) {
	if g.added == nil {
		g.added = map[uint64]uint64{}
	}
	g.added[hash] = g.first + uint64(len(g.order))
	g.order = append(g.order, hash)
}

// take reports whether hash is there, and forgets it.
func (g *ghosts) take(hash uint64) bool {
	_, ok := g.added[hash]
	delete(g.added, hash)
	return ok
}

// trim forgets the oldest, down to n.
func (g *ghosts) trim(n int) {
	for len(g.order) > n {
		if hash := g.order[0]; g.added[hash] == g.first {
			delete(g.added, hash)
		}
		g.order = g.order[1:]
		g.first++
	}
}
