package storetest

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/larder-go/larder/store"
)

// history is what goroutines asked of a store, many at once, and what they were told. From that follows when a record
// or one of its heads was surely there, and when surely not; check finds the answers that contradict it. What is under
// way may be seen or not, by one call and not by the next.
type history struct {
	clock atomic.Int64
	mu    sync.Mutex
	calls []*call
}

// span is from one tick of the clock to another.
type span struct{ began, ended int64 }

// call is one call of a method that has returned.
type call struct {
	span
	what action
	key  store.Key  // "": of a Find by tag
	id   store.ID   // of the record that is stored, changed or read
	head int        // the number of the head that it gets
	size int        // of the body that is stored
	ids  []store.ID // what a Commit supersedes, or a Delete names; none named: all
	seen []sight    // what Lookup or Find shows
	tag  string     // what Find asks for
	gone bool       // Update or the body's reader says that the record is not there
}

type action string

const (
	commits action = "Commit"
	updates action = "Update"
	deletes action = "Delete"
	sweeps  action = "Sweep"
	looks   action = "Lookup"
	finds   action = "Find"
	reads   action = "read"
)

// sight is a record as it was shown.
type sight struct {
	id   store.ID
	head int
	size int64
}

// during notes that c is made by do. What came of it may be added later.
func (h *history) during(c *call, do func()) {
	c.began = h.clock.Add(1)
	do()
	c.ended = h.clock.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, c)
}

// state is what follows from the calls for a record, or for one of the heads that it had.
type state struct {
	from  int64 // it was not there before this time
	since int64 // it was there at this time, if it was not removed or replaced before
	last  int64 // it was there at this time, or will be
	until int64 // it is not there any more from this time on
}

// stored is a record and what became of it.
type stored struct {
	state
	made  *call
	heads map[int]*state
	ends  []end
}

// end is when a record may have been removed, and what then came in its place, if anything did.
type end struct {
	span
	by *stored
}

const never = math.MaxInt64

// stateOf returns the state that c has made.
func stateOf(c *call) state {
	return state{from: c.began, since: c.ended, last: c.began, until: never}
}

func (s *state) shown(c *call) {
	s.since = min(s.since, c.ended)
	s.last = max(s.last, c.began)
}

// over is told of a call after which the state does not hold any more, if it was there before.
func (s *state) over(c *call) {
	if s.since < c.began {
		s.until = min(s.until, c.ended)
	}
}

// ended reports whether the heads with this number say that the record has ended, odd whether they have the tag "odd".
func ended(head int) bool { return head%8 == 0 }
func odd(head int) bool   { return head%2 == 1 }

// check tells fail what cannot be. In a store that evicts every record may go at any time.
func (h *history) check(evicts bool, fail func(format string, args ...any)) {
	all := make(map[store.ID]*stored)
	for _, c := range h.calls {
		if c.what == commits {
			all[c.id] = &stored{state: stateOf(c), made: c, heads: make(map[int]*state)}
		}
	}
	told := func(id store.ID, c *call, format string, args ...any) {
		fail("%v: %s\n%s", c, fmt.Sprintf(format, args...), h.about(id))
	}
	h.notePresence(all, told)
	h.noteAbsence(all)
	for _, c := range h.calls {
		for _, s := range c.seen {
			switch r := all[s.id]; {
			case r == nil || r.heads[s.head] == nil: // told
			case r.until < c.began:
				told(s.id, c, "shows %v, which was gone at %d", s, r.until)
			case r.heads[s.head].until < c.began:
				told(s.id, c, "shows %v, which had got another head at %d", s, r.heads[s.head].until)
			}
		}
		for id, r := range all {
			switch {
			case c.what == updates && id == c.id && !c.gone && r.until < c.began:
				told(id, c, "changes what was gone at %d", r.until)
			case r.made.ended < c.began && c.misses(r) && !evicts && !r.mayBeGone(c):
				told(id, c, "misses %v, which nobody has removed", id)
			}
		}
	}
}

// notePresence notes which records and heads the calls have seen.
func (h *history) notePresence(all map[store.ID]*stored, told func(store.ID, *call, string, ...any)) {
	for _, c := range h.calls {
		if c.head == 0 || all[c.id] == nil {
			continue
		}
		head := stateOf(c)
		all[c.id].heads[c.head] = &head
		if c.gone { // it may have been there before somebody removed the record
			head.until = c.ended
		} else {
			all[c.id].shown(c)
		}
	}
	for _, c := range h.calls {
		for i, s := range c.seen {
			r := all[s.id]
			switch {
			case r == nil || r.heads[s.head] == nil || r.made.key != c.key && c.key != "":
				told(s.id, c, "shows %v, which nobody has stored there", s)
				continue
			case s.size != int64(r.made.size):
				told(s.id, c, "shows %v with %d bytes, not %d", s, s.size, r.made.size)
			case slices.ContainsFunc(c.seen[:i], func(other sight) bool { return other.id == s.id }):
				told(s.id, c, "shows %v twice", s)
			}
			r.shown(c)
			r.heads[s.head].shown(c)
		}
	}
}

// noteAbsence notes which records and heads are gone, or may be, by what the calls did or have not seen.
func (h *history) noteAbsence(all map[store.ID]*stored) {
	for _, c := range h.calls {
		for id, r := range all {
			switch {
			case c.what == deletes && c.key == r.made.key && (len(c.ids) == 0 || slices.Contains(c.ids, id)):
				r.ends = append(r.ends, end{c.span, nil})
				r.over(c)
			case c.what == commits && slices.Contains(c.ids, id):
				r.ends = append(r.ends, end{c.span, all[c.id]})
				r.over(c)
			case c.what != updates || id != c.id:
			case c.gone:
				r.over(c)
			default:
				for number, head := range r.heads {
					if number != c.head {
						head.over(c)
					}
				}
			}
		}
	}
	for _, r := range all {
		for number, head := range r.heads {
			if ended(number) {
				r.ends = append(r.ends, end{span{head.from, head.until}, nil})
			}
		}
		for _, c := range h.calls {
			if c.what == sweeps && r.always(c, ended) {
				r.over(c)
			}
			if c.what == sweeps && !r.always(c, func(head int) bool { return !ended(head) }) {
				r.ends = append(r.ends, end{c.span, nil})
			}
		}
	}
}

// index returns where in what c has seen the record is, or -1.
func (c *call) index(id store.ID) int {
	return slices.IndexFunc(c.seen, func(s sight) bool { return s.id == id })
}

// misses reports whether c should have seen r, if r was there all the time, and has not.
func (c *call) misses(r *stored) bool {
	switch c.what {
	case updates, reads:
		return c.gone && c.id == r.made.id
	case looks:
		return c.key == r.made.key && c.index(r.made.id) < 0
	case finds:
		return (c.key == r.made.key || c.key == "") && c.index(r.made.id) < 0 &&
			(c.tag != "odd" || r.always(c, odd)) && r.always(c, func(head int) bool { return !ended(head) })
	}
	return false
}

// always reports whether is holds for each head that r may have had while c went on.
func (r *stored) always(c *call, is func(head int) bool) bool {
	for number, head := range r.heads {
		if head.from <= c.ended && c.began <= head.until && !is(number) {
			return false
		}
	}
	return true
}

// mayBeGone reports whether c may have missed r since somebody removed it. What a Lookup misses since something came in
// its place it must have shown instead.
func (r *stored) mayBeGone(c *call) bool {
	return slices.ContainsFunc(r.ends, func(e end) bool {
		return e.began < c.ended && r.last < e.ended &&
			(e.by == nil || c.what != looks || c.index(e.by.made.id) >= 0 || e.by.mayBeGone(c))
	})
}

// about lists the calls that have to do with a record, since it was stored.
func (h *history) about(id store.ID) string {
	var b strings.Builder
	var made *call
	for _, c := range slices.SortedFunc(slices.Values(h.calls), func(a, b *call) int { return cmp.Compare(a.began, b.began) }) {
		if c.what == commits && c.id == id {
			made = c
		}
		if c.id == id || c.index(id) >= 0 || slices.Contains(c.ids, id) || made != nil && made.began < c.ended &&
			(c.what == sweeps || c.key == made.key && (c.what == looks || c.what == deletes && len(c.ids) == 0)) {
			fmt.Fprintf(&b, "\t%v\n", c)
		}
	}
	return b.String()
}

func (c *call) String() string {
	s := fmt.Sprintf("%d-%d %s of %s", c.began, c.ended, c.what, short(c.key))
	switch c.what {
	case commits, updates, reads:
		s += fmt.Sprintf(" %v", sight{c.id, c.head, 0})
	}
	if len(c.ids) > 0 {
		s += " not"
		for _, id := range c.ids {
			s += " " + sight{id, 0, 0}.String()
		}
	}
	if c.gone {
		s += " gone"
	}
	if c.what == looks || c.what == finds {
		s += fmt.Sprint(c.tag, c.seen)
	}
	return s
}

func (s sight) String() string { return fmt.Sprintf("%s/%d", s.id.String()[6:12], s.head) }
