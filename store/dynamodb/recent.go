package dynamodb

import (
	"sync"
	"time"
)

// A read that is not strongly consistent may miss what was written within the last second or so. These are the least
// time for which a write is remembered, and the most writes that are remembered in that time.
const (
	remembered = 5 * time.Second
	mostRecent = 10_000
)

// recent remembers the groups that this process wrote a moment ago, so that it reads these strongly consistently and
// sees its own writes. The zero value is ready.
type recent struct {
	mu         sync.Mutex
	young, old map[string]struct{} // written since turned, and before
	turned     time.Time           // when young was last made old
	all        time.Time           // until then every group is taken for recent: there were too many to remember
}

func (r *recent) add(group string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	if len(r.young) >= mostRecent {
		r.all = now.Add(remembered)
		return
	}
	r.young[group] = struct{}{}
}

func (r *recent) has(group string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	_, young := r.young[group]
	_, old := r.old[group]
	return young || old || now.Before(r.all)
}

// any reports whether any group is recent.
func (r *recent) any(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	return len(r.young)+len(r.old) > 0 || now.Before(r.all)
}

func (r *recent) turn(now time.Time) {
	switch age := now.Sub(r.turned); {
	case age >= 2*remembered:
		r.old, r.young, r.turned = nil, make(map[string]struct{}), now
	case age >= remembered:
		r.old, r.young, r.turned = r.young, make(map[string]struct{}), now
	}
}
