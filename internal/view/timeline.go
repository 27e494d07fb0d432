package view

import (
	"math"
	"slices"
	"time"

	"github.com/larder-go/larder/rfc9111"
	"github.com/larder-go/larder/store"
)

// Names of moments.
const (
	Made            = "made"      // by the origin, or validated by it: when its age was 0
	Received        = "received"  // first
	Validated       = "validated" // last, if ever
	FreshUntil      = "fresh until"
	RevalidateUntil = "stale-while-revalidate until"
	IfErrorUntil    = "stale-if-error until"
	KeptUntil       = "kept until"
	Now             = "now"
)

// Names of spans.
const (
	SpanFresh      = "fresh"
	SpanRevalidate = "stale-while-revalidate" // answers while it is validated
	SpanIfError    = "stale-if-error"         // stands in for an origin that fails
	SpanKept       = "kept"                   // is in the store
)

// Moment is a named moment in the life of a response.
type Moment struct {
	Name string    `json:"name"`
	Time time.Time `json:"time"`
}

// Span is the time between two moments.
type Span struct {
	Name string    `json:"name"`
	From time.Time `json:"from"`
	To   time.Time `json:"to,omitzero"` // zero: without end
}

// Life has the times of a stored response, to be drawn.
type Life struct {
	Moments []Moment // in the order of time; what never comes is left out
	Spans   []Span   // in the order of their names above; those that are empty are left out
}

// Timeline returns the life of r at now, with the stale windows that p gives it.
func Timeline(p rfc9111.Policy, r *store.Record, now time.Time) Life {
	resp := parsed(r)
	resp.Targeted = p.Targeted
	resp = rfc9111.Parse(*resp)
	made := r.Received.Add(-resp.Age(r.Received))
	first := r.ID.Time()
	if r.ID == (store.ID{}) || first.After(r.Received) || r.Received.Sub(first) < time.Second { // an ID has only milliseconds
		first = r.Received
	}
	l := Life{Moments: []Moment{{Made, made}, {Received, first}}}
	if first != r.Received {
		l.moment(Validated, r.Received)
	}
	l.span(SpanFresh, made, r.FreshUntil)
	if !r.FreshUntil.IsZero() {
		l.moment(FreshUntil, r.FreshUntil)
		revalidate, ifError := p.StaleWindows(resp)
		if revalidate > 0 {
			l.moment(RevalidateUntil, r.FreshUntil.Add(revalidate))
			l.span(SpanRevalidate, r.FreshUntil, r.FreshUntil.Add(revalidate))
		}
		if ifError > 0 {
			l.moment(IfErrorUntil, r.FreshUntil.Add(ifError))
			l.span(SpanIfError, r.FreshUntil, r.FreshUntil.Add(ifError))
		}
	}
	if !r.KeepUntil.IsZero() {
		l.moment(KeptUntil, r.KeepUntil)
	}
	l.span(SpanKept, first, r.KeepUntil)
	l.moment(Now, now)
	slices.SortStableFunc(l.Moments, func(a, b Moment) int { return a.Time.Compare(b.Time) })
	return l
}

func (l *Life) moment(name string, t time.Time) { l.Moments = append(l.Moments, Moment{name, t}) }

func (l *Life) span(name string, from, to time.Time) {
	if to.IsZero() || to.After(from) {
		l.Spans = append(l.Spans, Span{name, from, to})
	}
}

// Place returns where a moment is to be drawn, between 0 and 1; the zero time, which means never, is at 1. So that
// minutes can be seen beside months, the room between two moments of l grows with the logarithm of the time between
// them.
func (l *Life) Place(t time.Time) float64 {
	if t.IsZero() {
		return 1
	}
	var before, all float64
	for i := 1; i < len(l.Moments); i++ {
		from, to := l.Moments[i-1].Time, l.Moments[i].Time
		gap := to.Sub(from)
		room := math.Log1p(gap.Seconds())
		switch {
		case !t.Before(to):
			before += room
		case t.After(from):
			before += room * (float64(t.Sub(from)) / float64(gap))
		}
		all += room
	}
	if slices.ContainsFunc(l.Spans, func(s Span) bool { return s.To.IsZero() }) {
		all += max(1, all/2) // what lies beyond the last moment
	}
	if all == 0 {
		return 0
	}
	return before / all
}
