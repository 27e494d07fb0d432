package model

import "slices"

// shrink returns a part of s that fails as well, and from which no step can be dropped, nor anything be taken out of
// one, without that it passes. fails tells at which step a sequence does, if at all.
func shrink(s sequence, fails func(sequence) (at int, failed bool)) sequence {
	smaller := func(t sequence) bool {
		at, failed := fails(t)
		if failed {
			s = t.of(slices.Clone(t.steps[:at+1]))
		}
		return failed
	}
	smaller(s)
	t := s
	t.restarts = false
	smaller(t)
	for again := true; again; {
		again = false
		for n := len(s.steps) / 2; n > 0; n /= 2 {
			for i := 0; i+n <= len(s.steps); {
				if !smaller(s.of(slices.Delete(slices.Clone(s.steps), i, i+n))) {
					i++
				}
			}
		}
		for i := 0; i < len(s.steps); i++ {
			for _, simple := range s.steps[i].simpler() {
				t := slices.Clone(s.steps)
				t[i] = simple
				if smaller(s.of(t)) {
					again = true
					i--
					break
				}
			}
			if i >= len(s.steps)-1 {
				break
			}
		}
	}
	return s
}

// simpler returns the step with one thing less each.
func (s step) simpler() (out []step) {
	switch {
	case s.page != nil:
		without := func(is bool, change func(*page)) {
			if is {
				p := *s.page
				change(&p)
				out = append(out, step{page: &p})
			}
		}
		p := s.page
		without(p.status != 0, func(p *page) { p.status = 0 })
		without(p.unsafe != 0, func(p *page) { p.unsafe = 0 })
		without(p.etag != "", func(p *page) { p.etag = "" })
		without(p.dated != "", func(p *page) { p.dated = "" })
		without(p.control != "", func(p *page) { p.control = "" })
		without(p.control != "" && p.control != "max-age=60", func(p *page) { p.control = "max-age=60" })
		without(p.cdn != "", func(p *page) { p.cdn = "" })
		without(p.expires != "", func(p *page) { p.expires = "" })
		without(p.age != "", func(p *page) { p.age = "" })
		without(p.date != "", func(p *page) { p.date = "" })
		without(p.vary != "", func(p *page) { p.vary = "" })
		without(p.unsized, func(p *page) { p.unsized = false })
		without(p.large, func(p *page) { p.large = false })
		without(p.layout != "", func(p *page) { p.layout = "" })
		without(p.hop, func(p *page) { p.hop = false })
		without(p.also != "", func(p *page) { p.also = "" })
		without(p.content != "", func(p *page) { p.content = "" })
		without(p.ranges, func(p *page) { p.ranges = false })
		without(p.blind, func(p *page) { p.blind = false })
		without(p.delay != 0, func(p *page) { p.delay = 0 })
		without(p.fault != "", func(p *page) { p.fault = "" })
	case s.request != nil:
		without := func(is bool, change func(*request)) {
			if is {
				q := *s.request
				change(&q)
				out = append(out, step{request: &q})
			}
		}
		q := s.request
		without(q.control != "", func(q *request) { q.control = "" })
		without(q.pragma, func(q *request) { q.pragma = false })
		without(q.user != "", func(q *request) { q.user = "" })
		without(q.lang != "", func(q *request) { q.lang = "" })
		without(q.size != "", func(q *request) { q.size = "" })
		without(q.noneMatch != "", func(q *request) { q.noneMatch = "" })
		without(q.since != "", func(q *request) { q.since = "" })
		without(q.ranges != "", func(q *request) { q.ranges, q.ifRange = "", "" })
		without(q.ifRange != "", func(q *request) { q.ifRange = "" })
		without(q.early, func(q *request) { q.early = false })
	}
	return out
}
