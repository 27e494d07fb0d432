package model

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// sequence is one life of a cache.
type sequence struct {
	shared   bool
	restarts bool // each request goes through a new Cache, so that all that is known is in the store
	steps    []step
}

// of returns s with other steps.
func (s sequence) of(steps []step) sequence { s.steps = steps; return s }

const (
	minSteps = 10
	maxSteps = 60
)

// What the steps are made of. A sequence uses few of each, so that the same things meet again and again.
var (
	paths = []string{"/a", "/b"}
	waits = []time.Duration{time.Second, -30 * time.Second, 4 * time.Second, 5 * time.Second, 6 * time.Second,
		50 * time.Second, time.Minute, time.Hour, 25 * time.Hour, 9 * 24 * time.Hour}
	unsafes = []string{"POST", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "FROBNICATE"}

	lifetimes = []string{"max-age=5", "max-age=60", "max-age=60", "max-age=0", "MAX-AGE=5", `max-age="60"`, "max-age=x", "max-age=-1",
		"max-age=99999999999999999999",
		"max-age=5, max-age=60", "s-maxage=5", "s-maxage=60", "s-maxage=0", "max-age=3600", ""}
	controls = []string{"no-cache", "no-store", "private", "public", "must-revalidate", "proxy-revalidate", "immutable",
		"must-understand", "no-store, must-understand",
		"stale-while-revalidate=5", "stale-while-revalidate=60", "stale-if-error=60", "stale-if-error=5", "stale-if-error=0",
		`no-cache="X-Secret"`, `private="X-Secret"`,
		"no-transform", `extension="no-store"`, "Must-Revalidate", "Public", "NO-STORE"}
	expiries = []string{"0", "5s", "60s", "1h", "-5s", "tomorrow"}
	ages     = []string{"0", "3", "4", "5", "100", "-1", "x", "99999999999999999999"}
	dates    = []string{"none", "-3s", "-5s", "-1h", "3s", "1h"}
	varies   = []string{"X-Lang", "X-Lang", "X-Size", "X-Lang, X-Size", "x-lang,x-size", "*", "Authorization"}
	statuses = []int{404, 204, 301, 302, 410, 401, 403, 307, 429, 500, 502, 503, 504, 503}
	changed  = []int{201, 204, 303, 400, 403, 500}
	faults   = []fault{unreachable, unreachable, cut, cut, never304, always304, bare304, other304, unknown304}
	delays   = []time.Duration{time.Second, 3 * time.Second}
	targets  = []string{"max-age=5", "max-age=60, must-revalidate", "no-store", "max-age=0, stale-while-revalidate=5"}
	also     = []string{"/b", "/a", "http://other.test/a", "//cache.test/b"}

	ranges = []string{"bytes=0-9", "bytes=0-9", "bytes=15-24", "bytes=30-39", "bytes=-5", "bytes=20-", "bytes=0-",
		"bytes=10000-20000", "bytes=1000-"}

	asks = []string{"no-cache", "no-store", "max-age=0", "max-age=4", "max-age=5", "max-age=60", "min-fresh=1", "min-fresh=55",
		"max-stale",
		"max-stale=0", "max-stale=5", "max-stale=60",
		"only-if-cached", "only-if-cached, max-stale", "only-if-cached, no-cache", "stale-if-error=60", "stale-if-error=0",
		"no-cache, stale-if-error=60", "max-age=60, max-stale=60",
		"max-age=4|max-stale", "NO-CACHE"}
)

// generate returns the sequence of a seed.
func generate(seed uint64) sequence {
	r := rand.New(rand.NewPCG(seed, 0))
	g := &generator{r: r, versions: map[string]int{}, lifetimes: few(r, lifetimes, 3), controls: few(r, controls, 4),
		varies: few(r, varies, 2), statuses: few(r, statuses, 2), faults: few(r, faults, 3),
		asks: few(r, asks, 4), waits: few(r, waits, 4), plain: r.IntN(3) == 0, users: r.IntN(3) == 0, variants: r.IntN(3) > 0}
	g.narrow()
	s := sequence{shared: r.IntN(2) == 0, restarts: r.IntN(4) == 0}
	for _, path := range paths {
		s.steps = append(s.steps, step{page: g.page(path)})
	}
	for range minSteps + r.IntN(maxSteps-minSteps) {
		switch n := r.IntN(16); {
		case n < 4:
			s.steps = append(s.steps, step{wait: pick(r, g.waits)})
		case n < 6:
			s.steps = append(s.steps, step{page: g.page(pick(r, paths))})
		default:
			s.steps = append(s.steps, step{request: g.request()})
		}
	}
	return s
}

// narrow makes some sequences be about one thing, for what comes about by chance too rarely.
func (g *generator) narrow() {
	switch g.r.IntN(8) {
	case 0: // origins that fail
		g.plain, g.faults = false, []fault{unreachable}
		g.statuses = few(g.r, []int{500, 502, 503, 504}, 3)
		g.controls = append(g.controls, "stale-if-error=60", "stale-if-error=60")
		g.asks = few(g.r, []string{"stale-if-error=60", "stale-if-error=5", "no-cache, stale-if-error=60", "max-stale=5", "no-cache"}, 3)
	case 1: // parts
		g.plain, g.faults, g.partly = false, []fault{cut, cut, never304}, true
		g.statuses = []int{0}
	case 2: // validation
		g.plain, g.faults = false, []fault{bare304, other304, unknown304, never304}
		g.lifetimes = append(g.lifetimes, "max-age=0", "max-age=5", "no-cache")
		g.statuses = []int{0}
	}
}

type generator struct {
	r        *rand.Rand
	versions map[string]int

	lifetimes, controls, varies, asks []string
	statuses                          []int
	faults                            []fault
	waits                             []time.Duration
	plain                             bool // the origin is as it should be
	partly                            bool // it is mostly about parts
	users                             bool // there are more than one
	variants                          bool // callers want different ones
}

func pick[V any](r *rand.Rand, from []V) V { return from[r.IntN(len(from))] }

func few[V any](r *rand.Rand, from []V, n int) []V {
	out := make([]V, n)
	for i := range out {
		out[i] = pick(r, from)
	}
	return out
}

// in reports true once in n times.
func (g *generator) in(n int) bool { return g.r.IntN(n) == 0 }

func (g *generator) page(path string) *page {
	if g.in(2) {
		g.versions[path]++
	}
	p := &page{path: path, version: g.versions[path]}
	p.etag = pick(g.r, []string{"strong", "strong", "weak", ""})
	if g.in(3) {
		p.dated = "yes"
	}
	if g.partly {
		p.etag, p.dated = "strong", ""
		if g.in(3) {
			p.etag, p.dated = "", "yes"
		}
	}
	var control []string
	if l := pick(g.r, g.lifetimes); l != "" && !g.in(8) {
		control = append(control, l)
	}
	for g.in(2) {
		control = append(control, pick(g.r, g.controls))
	}
	p.control = strings.Join(control, pick(g.r, []string{", ", ", ", ",", " ,  ", "|"}))
	if g.in(2) {
		p.vary = pick(g.r, g.varies)
	}
	if g.in(5) {
		p.expires = pick(g.r, expiries)
	}
	if g.plain {
		return p
	}
	if g.in(4) {
		p.status = pick(g.r, g.statuses)
	}
	if g.in(4) {
		p.unsafe = pick(g.r, changed)
	}
	if g.in(4) {
		p.also = pick(g.r, also)
	}
	if g.in(4) {
		p.content = path
	}
	if g.in(8) {
		p.cdn = pick(g.r, targets)
	}
	if g.in(6) {
		p.age = pick(g.r, ages)
	}
	if g.in(6) {
		p.date = pick(g.r, dates)
	}
	if g.in(30) {
		p.dated = "yesterday"
	}
	if g.in(10) {
		p.layout = pick(g.r, []string{time.RFC850, time.ANSIC})
	}
	if g.in(6) {
		p.delay = pick(g.r, delays)
	}
	if g.in(4) || g.partly && g.in(3) {
		p.fault = pick(g.r, g.faults)
	}
	p.unsized, p.large, p.hop, p.ranges, p.blind = g.in(4), g.in(6), g.in(8), !g.in(3), g.in(5) || g.partly && g.in(3)
	p.cookie = g.in(6)
	return p
}

func (g *generator) request() *request {
	q := &request{method: http.MethodGet, path: paths[0]}
	switch g.r.IntN(16) {
	case 0:
		q.method = pick(g.r, unsafes)
	case 1, 2:
		q.method = http.MethodHead
	}
	if g.in(3) {
		q.path = pick(g.r, paths)
	}
	if g.variants {
		q.lang, q.size = pick(g.r, []string{"", "de", "de", "en"}), pick(g.r, []string{"", "1"})
	}
	if g.users {
		q.user = pick(g.r, []string{"", "alice", "bob"})
	}
	if g.in(3) {
		q.control = pick(g.r, g.asks)
	}
	q.pragma = g.in(20)
	if g.in(6) {
		p := page{version: g.versions[q.path] - g.r.IntN(2), etag: pick(g.r, []string{"strong", "weak"})}
		plain, de, en := p.tag(p.version, ""), p.tag(p.version, "-de"), p.tag(p.version, "-en")
		q.noneMatch = pick(g.r, []string{plain, de, de + ", " + en, "*", `"nothing"`})
	}
	if g.in(8) {
		p := page{version: g.versions[q.path]}
		at := pick(g.r, []time.Time{p.lastModified(), p.lastModified().Add(-time.Second), epoch.Add(time.Minute)})
		q.since = at.Format(http.TimeFormat)
	}
	if g.in(8) || g.partly && g.in(2) {
		q.ranges = pick(g.r, ranges)
		if g.in(3) {
			p := page{version: g.versions[q.path]}
			q.ifRange = pick(g.r, []string{p.tag(p.version, ""), p.tag(p.version, "-de"), `"nothing"`, `W/"1"`})
		}
	}
	q.early = g.in(12)
	return q
}

func (s sequence) String() string {
	b := new(strings.Builder)
	kind := "private cache"
	if s.shared {
		kind = "shared cache"
	}
	if s.restarts {
		kind += ", a new one for each request, in front of one store"
	}
	fmt.Fprintf(b, "%s\n", kind)
	for i, step := range s.steps {
		fmt.Fprintf(b, "%4d  %v\n", i+1, step)
	}
	return b.String()
}
