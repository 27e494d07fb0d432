package model

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/larder-go/larder"
)

// ideal is the cache that larder is compared with: a list of all that the origin ever said, in which it looks for what
// it needs. It does not ask by itself: it is told what was asked and answered, and says whether that was right, and
// what the caller must get.
type ideal struct {
	shared bool
	all    []*kept
	gone   map[*kept]string // why it is not used any more
	script []choice         // what was chosen where the standard leaves several, see among
	chosen int
}

type choice struct{ taken, of int }

// want is what a caller must get.
type want struct {
	outcome larder.Outcome
	why     string
	status  int
	header  http.Header
	body    []byte
	breaks  bool // reading the body fails
	fails   bool // there is no response
	says    []string
}

func (m *ideal) clone() *ideal {
	return &ideal{shared: m.shared, all: slices.Clone(m.all), gone: maps.Clone(m.gone)}
}

// among returns one of several that are equally right. Whoever calls the ideal tries them all.
func (m *ideal) among(all []*kept) *kept {
	if len(all) < 2 {
		if len(all) == 0 {
			return nil
		}
		return all[0]
	}
	if m.chosen == len(m.script) {
		m.script = append(m.script, choice{0, len(all)})
	}
	m.chosen++
	return all[m.script[m.chosen-1].taken]
}

// newest returns the most recent by Date, and then by when it came.
func (m *ideal) newest(all []*kept) *kept {
	after := func(a, b *kept) bool {
		return a.date().After(b.date()) || a.date().Equal(b.date()) && a.gotAt.After(b.gotAt)
	}
	return m.among(slices.DeleteFunc(slices.Clone(all), func(k *kept) bool {
		return slices.ContainsFunc(all, func(o *kept) bool { return after(o, k) })
	}))
}

func (m *ideal) live() []*kept {
	return where(m.all, func(k *kept) bool { return m.gone[k] == "" })
}

func where(all []*kept, is func(*kept) bool) (out []*kept) {
	for _, k := range all {
		if is(k) {
			out = append(out, k)
		}
	}
	return out
}

// of returns what is kept of a path for whoever sends q: in a private cache each user has a store of his own.
func (m *ideal) of(path string, q *request) []*kept {
	return where(m.live(), func(k *kept) bool { return k.path == path && (m.shared || k.user == q.user) })
}

// view is what a request finds: what is stored for its URL, and what of that it may be answered with.
type view struct {
	all        []*kept
	wholes     []*kept // with those of which as much is stored as the request wants
	incomplete *kept   // the newest of the others that match
	selected   *kept
}

// look returns the view of q. What it selects is what is answered with, or else validated (RFC 9111 §4): the most
// recent of those that match, but rather one that was selected by Vary than one that lacks it (§4.1).
func (m *ideal) look(q *request) view {
	v := view{all: m.of(q.path, q)}
	matches := func(k *kept) bool { return k.answers(q.method) && k.isFor(q.header()) }
	v.wholes = where(v.all, func(k *kept) bool { return k.status != http.StatusPartialContent })
	var incomplete []*kept
	for _, k := range m.assemblies(v.all) {
		if k.has(wanted(q, k)) {
			v.wholes = append(v.wholes, k)
		} else if matches(k) {
			incomplete = append(incomplete, k)
		}
	}
	v.incomplete = m.latest(incomplete)
	match := where(v.wholes, matches)
	if chosen := where(match, func(k *kept) bool { return k.selecting != nil }); chosen != nil {
		match = chosen
	}
	v.selected = m.newest(match)
	return v
}

// handle returns what q, which came then, must be answered, if it is right that log was asked and answered meanwhile.
func (m *ideal) handle(q *request, came time.Time, log []exchange) (want, error) {
	h := q.header()
	if q.method != http.MethodGet && q.method != http.MethodHead {
		return m.change(q, log)
	}
	w := wishesOf(h)
	found := m.look(q)
	k := found.selected
	v := forward
	if k != nil {
		v = judge(w, k, came)
	}
	switch {
	case v == serveAndRefresh && !w.has("only-if-cached"):
		out := m.stored(q, k, came)
		background := *q
		background.noneMatch, background.since, background.ranges, background.ifRange = "", "", "", ""
		background.early = false
		_, err := m.fetch(&background, found, came, log, true)
		return out, err
	case v != forward:
		return m.stored(q, k, came), none(log, "it has "+m.describe(k))
	case w.has("only-if-cached"):
		refused := want{outcome: larder.Refused, status: http.StatusGatewayTimeout, header: http.Header{}}
		return refused, none(log, "it was asked for stored responses only")
	}
	return m.fetch(q, found, came, log, false)
}

func none(log []exchange, why string) error {
	if len(log) > 0 {
		return fmt.Errorf("the origin was asked (%s %v), although %s", log[0].method, log[0].sent, why)
	}
	return nil
}

// stored returns the answer from k at now.
func (m *ideal) stored(q *request, k *kept, now time.Time) want {
	out := want{outcome: larder.Hit, status: k.status, header: k.header.Clone(), body: k.body, why: m.describe(k)}
	if k.parts != nil && k.has(span{0, k.size}) {
		out.body = k.bytes(span{0, k.size})
	}
	if !k.fresh(now) {
		out.outcome = larder.Stale
	}
	out.says = []string{"hit" + k.ttl(now)}
	out.header.Set("Age", strconv.FormatInt(int64(k.age(now)/time.Second), 10))
	switch s, status := rangeOf(q, k); {
	case k.status == http.StatusOK && conditionHolds(q, k):
		out.status, out.body = http.StatusNotModified, nil
		out.header.Del("Content-Length")
		out.header.Del("Content-Type")
	case status != http.StatusOK:
		out.status, out.body = status, k.bytes(s)
		out.header.Set("Content-Length", strconv.Itoa(len(out.body)))
		if status == http.StatusPartialContent {
			out.header.Set("Content-Range", s.of(k.size))
			break
		}
		out.header.Set("Content-Range", fmt.Sprintf("bytes */%d", k.size))
		for _, name := range []string{"Cache-Control", "Cdn-Cache-Control", "Expires"} {
			out.header.Del(name)
		}
	}
	if q.method == http.MethodHead {
		out.body = nil
	}
	return out
}

// conditionHolds reports whether the caller has what k says (RFC 9111 §4.3.2).
func conditionHolds(q *request, k *kept) bool {
	if q.noneMatch != "" {
		same := func(tag string) bool { return tag == "*" || weaklySame(tag, k.etag()) }
		return slices.ContainsFunc(strings.Split(q.noneMatch, ", "), same)
	}
	since, err := http.ParseTime(q.since)
	modified, unknown := http.ParseTime(k.lastModified())
	if unknown != nil {
		modified = k.date()
	}
	return err == nil && !modified.After(since)
}

// change is handle for unsafe methods (RFC 9111 §4.4).
func (m *ideal) change(q *request, log []exchange) (want, error) {
	if len(log) != 1 {
		return want{}, fmt.Errorf("the origin was asked %d times for a %s", len(log), q.method)
	}
	x := log[0]
	if err := sentAs(x, q, q.header()); err != nil {
		return want{}, err
	}
	if x.err != nil {
		return want{fails: true}, nil
	}
	if 200 <= x.status && x.status < 400 && q.method != http.MethodOptions { // which is safe
		paths := []string{q.path}
		at, _ := url.Parse(x.url)
		for _, name := range []string{"Location", "Content-Location"} {
			if to, err := at.Parse(x.header.Get(name)); err == nil && to.Host == at.Host {
				paths = append(paths, to.Path)
			}
		}
		for _, path := range paths {
			for _, k := range m.of(path, q) {
				m.gone[k] = "invalidated by " + q.method
			}
		}
	}
	says := fmt.Sprintf("fwd=method; fwd-status=%d", x.status)
	get := *q // that the answer would be to, if it is the new representation of its URL (RFC 9110 §9.3.3)
	get.method = http.MethodGet
	represents := (q.method == http.MethodPost || q.method == http.MethodPatch) && x.status == http.StatusOK &&
		x.header.Get("Content-Location") == q.path
	if r := m.received(&get, x); represents && r.explicit() && r.mayKeep(q.header()) {
		says += r.ttl(x.answered) + "; stored"
		m.download(&get, r, x, q.early)
	}
	out := passed(x, larder.Bypassed)
	out.says = []string{says}
	return out, nil
}

func (m *ideal) describe(k *kept) string {
	if k == nil {
		return "nothing"
	}
	return fmt.Sprintf("answer %d to %s %s (%d, got at %v, for %v)",
		k.number, k.method, k.path, k.status, k.gotAt.Sub(epoch), k.selecting)
}

// passed returns the answer that x is itself.
func passed(x exchange, outcome larder.Outcome) want {
	return want{outcome: outcome, status: x.status, header: x.header, body: x.body, breaks: x.cut}
}
