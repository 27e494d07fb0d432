// Package figures counts what a cache did: in all, by host, and minute by minute.
package figures

import (
	"cmp"
	"math/bits"
	"slices"
	"sync"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

const (
	// keptMinutes is how far back the minutes are kept.
	keptMinutes = 60
	// maxHosts is how many hosts have counts of their own.
	maxHosts = 200
	// others is the name under which all further hosts are counted together.
	others = "(others)"
)

// Counts are the counts of answers.
type Counts struct {
	Hits        int64
	Stale       int64
	Revalidated int64
	Misses      int64
	Bypassed    int64
	Refused     int64
	// Store are the responses that came from the store without asking the origin; Origin those for which it was asked.
	Store  Side
	Origin Side
	// Saved are the bytes of bodies that came from the store, those of revalidated responses included.
	Saved int64
}

// Side is what came from one side.
type Side struct {
	Responses int64
	Bytes     int64         // of bodies whose length the head told
	Time      time.Duration // until the head, in all
	Times     Histogram
}

// Histogram counts durations: first those up to 1 µs, then for each place those up to twice as long.
type Histogram [27]int64 // the last one is from 33 s on

func (h *Histogram) add(d time.Duration) {
	i := bits.Len64(uint64(max(0, d-1) / time.Microsecond))
	h[min(i, len(h)-1)]++
}

// Quantile returns the duration that a share q of those counted does not exceed, to within a factor of two; 0 if there
// are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	var all int64
	for _, n := range h {
		all += n
	}
	if all == 0 {
		return 0
	}
	rest := int64(q * float64(all))
	for i, n := range h {
		if rest -= n; rest < 0 {
			return time.Microsecond << i
		}
	}
	return time.Microsecond << (len(h) - 1)
}

// Requests returns the number of requests that got an answer.
func (c *Counts) Requests() int64 {
	return c.Hits + c.Stale + c.Revalidated + c.Misses + c.Bypassed + c.Refused
}

// HitRatio returns the share of requests that were answered from the store without asking the origin; 0 without
// requests.
func (c *Counts) HitRatio() float64 {
	n := c.Requests()
	if n == 0 {
		return 0
	}
	return float64(c.Hits+c.Stale) / float64(n)
}

// Add adds the counts of d.
func (c *Counts) Add(d *Counts) {
	c.Hits += d.Hits
	c.Stale += d.Stale
	c.Revalidated += d.Revalidated
	c.Misses += d.Misses
	c.Bypassed += d.Bypassed
	c.Refused += d.Refused
	c.Store.add(&d.Store)
	c.Origin.add(&d.Origin)
	c.Saved += d.Saved
}

func (s *Side) add(t *Side) {
	s.Responses += t.Responses
	s.Bytes += t.Bytes
	s.Time += t.Time
	for i, n := range t.Times {
		s.Times[i] += n
	}
}

func (c *Counts) count(e larder.Event) {
	size := max(0, e.Size)
	side := &c.Origin
	switch e.Decision.Outcome {
	case larder.Hit:
		c.Hits++
		side = &c.Store
		c.Saved += size
	case larder.Stale:
		c.Stale++
		side = &c.Store
		c.Saved += size
	case larder.Revalidated:
		c.Revalidated++
		c.Saved += size
		size = 0 // nothing of it came from the origin
	case larder.Miss:
		c.Misses++
	case larder.Bypassed:
		c.Bypassed++
	default:
		c.Refused++
		return
	}
	side.Responses++
	side.Bytes += size
	side.Time += e.Duration
	side.Times.add(e.Duration)
}

// Minute is what happened in one minute.
type Minute struct {
	Time time.Time // at which it began
	Counts
}

// Host is what happened to requests for one host.
type Host struct {
	Host string
	Counts
}

// Snapshot is what a Recorder has counted.
type Snapshot struct {
	Since   time.Time // the first request; zero: there was none
	Total   Counts    // since then
	Hosts   []Host    // since then; those with the most requests first
	Minutes []Minute  // the last ones in which something happened, oldest first; at most keptMinutes
}

// Recorder counts the events of a Cache; Observe must be called with each. The zero value is ready. It is safe for
// concurrent use, and its size is bounded.
type Recorder struct {
	mu      sync.Mutex
	since   time.Time
	total   Counts
	hosts   map[string]*Counts
	minutes [keptMinutes]Minute // by minute modulo keptMinutes
}

// Observe counts e.
func (r *Recorder) Observe(e larder.Event) {
	if e.Kind != larder.Answered {
		return
	}
	host := store.Host(e.URL)
	at := e.Time.UTC().Truncate(time.Minute)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.since.IsZero() {
		r.since = e.Time
		r.hosts = make(map[string]*Counts)
	}
	r.total.count(e)
	of := r.hosts[host]
	if of == nil && len(r.hosts) >= maxHosts {
		host = others
		of = r.hosts[host]
	}
	if of == nil {
		of = new(Counts)
		r.hosts[host] = of
	}
	of.count(e)
	if m := &r.minutes[at.Unix()/60%keptMinutes]; !at.Before(m.Time) { // else that minute is over
		if at.After(m.Time) {
			*m = Minute{Time: at}
		}
		m.count(e)
	}
}

// Snapshot returns the counts at now.
func (r *Recorder) Snapshot(now time.Time) Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.snapshot(now)
}

// Take returns the counts at now, and resets them.
func (r *Recorder) Take(now time.Time) Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.snapshot(now)
	r.since, r.total, r.hosts, r.minutes = time.Time{}, Counts{}, nil, [keptMinutes]Minute{}
	return s
}

func (r *Recorder) snapshot(now time.Time) Snapshot {
	s := Snapshot{Since: r.since, Total: r.total, Hosts: []Host{}, Minutes: []Minute{}}
	for name, c := range r.hosts {
		s.Hosts = append(s.Hosts, Host{name, *c})
	}
	slices.SortFunc(s.Hosts, func(a, b Host) int {
		return cmp.Or(cmp.Compare(b.Requests(), a.Requests()), cmp.Compare(a.Host, b.Host))
	})
	first := now.UTC().Truncate(time.Minute).Add(-(keptMinutes - 1) * time.Minute)
	for _, m := range r.minutes {
		if !m.Time.IsZero() && !m.Time.Before(first) {
			s.Minutes = append(s.Minutes, m)
		}
	}
	slices.SortFunc(s.Minutes, func(a, b Minute) int { return a.Time.Compare(b.Time) })
	return s
}
