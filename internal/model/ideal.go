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

// ideal is the cache that larder is compared with: a list of all that the origin ever said, in which it looks for what it needs. It
// does not ask by itself: it is told what was asked and answered, and says whether that was right, and what the caller must get.
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

// look returns the view of q. The response that it selects is to be answered with, if it may be, or to be validated (RFC 9111 §4): the
// most recent of those that match, but rather one that Vary was on than one that lacks it (§4.1).
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
		out := m.stored(q, k, came, 0)
		background := *q
		background.noneMatch, background.since, background.ranges, background.ifRange, background.early = "", "", "", "", false
		_, err := m.fetch(&background, found, came, log, true)
		return out, err
	case v != forward:
		return m.stored(q, k, came, 0), none(log, "it has "+m.describe(k))
	case w.has("only-if-cached"):
		return want{outcome: larder.Refused, status: http.StatusGatewayTimeout, header: http.Header{}}, none(log, "it was asked for stored responses only")
	}
	return m.fetch(q, found, came, log, false)
}

func none(log []exchange, why string) error {
	if len(log) > 0 {
		return fmt.Errorf("the origin was asked (%s %v), although %s", log[0].method, log[0].sent, why)
	}
	return nil
}

// stored returns the answer from k at now. status is the origin's, if it was asked.
func (m *ideal) stored(q *request, k *kept, now time.Time, status int) want {
	out := want{outcome: larder.Hit, status: k.status, header: k.header.Clone(), body: k.body, why: m.describe(k)}
	if k.parts != nil && k.has(span{0, k.size}) {
		out.body = k.bytes(span{0, k.size})
	}
	if !k.fresh(now) {
		out.outcome = larder.Stale
	}
	ttl := k.lifetime() - k.age(now)
	out.says = []string{fmt.Sprintf("hit; ttl=%d", ttl/time.Second)}
	out.header.Set("Age", strconv.Itoa(int(k.age(now)/time.Second)))
	switch span, status := rangeOf(q, k); {
	case k.status == http.StatusOK && conditionHolds(q, k):
		out.status, out.body = http.StatusNotModified, nil
		out.header.Del("Content-Length")
		out.header.Del("Content-Type")
	case status != http.StatusOK:
		out.status, out.body = status, k.bytes(span)
		out.header.Set("Content-Length", strconv.Itoa(len(out.body)))
		out.header.Set("Content-Range", fmt.Sprintf("bytes */%d", k.size))
		if status == http.StatusPartialContent {
			out.header.Set("Content-Range", span.of(k.size))
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
		return q.noneMatch == "*" || slices.ContainsFunc(strings.Split(q.noneMatch, ", "), func(tag string) bool { return weaklySame(tag, k.etag()) })
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
	represents := (q.method == http.MethodPost || q.method == http.MethodPatch) && x.status == http.StatusOK && x.header.Get("Content-Location") == q.path
	if r := m.received(&get, x); represents && r.explicit() && r.mayKeep(q.header()) {
		says += fmt.Sprintf("; ttl=%d; stored", (r.lifetime()-r.age(x.answered))/time.Second)
		m.download(&get, r, x, q.early)
	}
	return want{outcome: larder.Bypassed, status: x.status, header: x.header, body: x.body, breaks: x.cut, says: []string{says}}, nil
}

// fetch is handle for what the origin has to be asked for.
func (m *ideal) fetch(q *request, found view, came time.Time, log []exchange, background bool) (want, error) {
	h, k := q.header(), found.selected
	if len(log) == 0 {
		return want{}, fmt.Errorf("the origin was not asked; the best that is stored is %s", m.describe(k))
	}
	forwarded := forwardedFor(q, found, came)
	x := log[0]
	conditions := conditionsFor(found)
	part := completion(q, found)
	if part != nil {
		conditions = part
	}
	if err := sentAs(x, q, withConditions(h, conditions)); err != nil {
		return want{}, err
	}
	says := func(status int, rest string) []string {
		var all []string
		for _, fwd := range forwarded {
			all = append(all, fmt.Sprintf("fwd=%s; fwd-status=%d%s", fwd, status, rest))
		}
		return all
	}
	ttl := func(k *kept, now time.Time) string {
		return fmt.Sprintf("; ttl=%d", (k.lifetime()-k.age(now))/time.Second)
	}
	status := x.status // the origin's
	again := false
	switch {
	case x.err != nil:
	case part != nil && x.status == http.StatusPartialContent:
		s := wanted(q, found.incomplete)
		if again = !found.incomplete.isCompletedBy(x, s); !again {
			x = found.incomplete.completed(x, s)
		}
	case part != nil && x.status == http.StatusRequestedRangeNotSatisfiable:
		again = true
	case part == nil && conditions != nil && x.status == http.StatusNotModified:
		if renewed := m.renewed(q, found, x); len(renewed) > 0 {
			if len(log) > 1 {
				return want{}, fmt.Errorf("the origin was asked once more although its 304 renews %s", m.describe(renewed[0]))
			}
			now := m.renew(q, k, renewed, x)
			out := m.stored(q, now, x.answered, x.status)
			out.outcome = larder.Revalidated
			out.says = says(x.status, ttl(now, x.answered))
			return out, nil
		}
		again = true
	}
	if again {
		if len(log) < 2 {
			return want{}, fmt.Errorf("the origin was not asked anew, although its %d goes with nothing that is stored", x.status)
		}
		log = log[1:]
		x = log[0]
		status = x.status
		if err := sentAs(x, q, h); err != nil {
			return want{}, fmt.Errorf("second request: %w", err)
		}
	}
	if len(log) > 1 {
		return want{}, fmt.Errorf("the origin was asked once more than it should have been")
	}
	failed := slices.Contains([]int{500, 502, 503, 504}, x.status)
	if k != nil && (x.err != nil || failed) && standsIn(wishesOf(h), k, x.answered, x.err != nil) {
		out := m.stored(q, k, x.answered, x.status)
		out.outcome = larder.Stale
		out.says = says(x.status, ttl(k, x.answered))
		if x.err != nil {
			out.says = nil
			for _, fwd := range forwarded {
				out.says = append(out.says, "fwd="+fwd+ttl(k, x.answered))
			}
		}
		return out, nil
	}
	if x.err != nil {
		return want{fails: true}, nil
	}
	r := m.received(q, x)
	if q.method == http.MethodHead && x.status == http.StatusOK {
		m.byHead(q, found, r)
	}
	out := want{outcome: larder.Miss, status: x.status, header: x.header, body: x.body, breaks: x.cut, says: says(status, "")}
	wholeIsThere := x.status == http.StatusPartialContent && m.byPart(q, found, r)
	unread := q.early || background && failed // which ends the fetch of what is long, or may be
	switch {
	case wholeIsThere:
	case r.mayKeep(h):
		out.says = says(status, ttl(r, x.answered)+"; stored")
		m.download(q, r, x, unread)
	case q.method == http.MethodHead, parse(h["Cache-Control"]).has("no-store"), x.status >= 500, slices.Contains([]int{206, 304, 407, 408, 416, 425, 429}, x.status):
	default:
		for _, old := range m.of(q.path, q) {
			if old.isFor(h) {
				m.gone[old] = fmt.Sprintf("outdated by answer %d, which may not be kept", r.number)
			}
		}
	}
	return out, nil
}

// received returns what is to be kept of an answer.
func (m *ideal) received(q *request, x exchange) *kept {
	k := &kept{method: q.method, path: q.path, user: q.user, status: x.status, body: x.body, sentAt: x.sentAt, gotAt: x.answered, shared: m.shared,
		header: withoutWhatIsNotStored(x.header, m.shared), selecting: selectingOf(x.header, q.header())}
	k.size = len(x.body)
	if x.status == http.StatusPartialContent {
		fmt.Sscanf(x.header.Get("Content-Range"), "bytes %d-%d/%d", &k.at, new(int), &k.size)
	}
	k.number, _ = strconv.Atoi(x.header.Get("X-Answer"))
	k.setDate()
	return k
}

// setDate gives k the Date that it lacks (RFC 9110 §6.6.1).
func (k *kept) setDate() {
	if k.header["Date"] == nil {
		k.header.Set("Date", k.gotAt.UTC().Format(http.TimeFormat))
	}
}

// download keeps r if its body comes to its end, or what came of it; not if nobody reads it and it may be long.
func (m *ideal) download(q *request, r *kept, x exchange, unread bool) {
	switch {
	case unread && len(x.body) > 0 && (!x.sized || len(x.body) > 64<<10):
	case x.cut:
		if begun := r.beginning(x); begun != nil {
			m.keepPart(q, begun)
		}
	case r.status == http.StatusPartialContent:
		m.keepPart(q, r)
	default:
		m.keep(q, r)
	}
}

// keep keeps r in place of what the same request selects; a HEAD never in place of a GET.
func (m *ideal) keep(q *request, r *kept) {
	for _, old := range m.of(q.path, q) {
		if old.isFor(q.header()) && (r.method == old.method || r.method == http.MethodGet) {
			m.gone[old] = fmt.Sprintf("replaced by answer %d", r.number)
		}
	}
	m.all = append(m.all, r)
}

// conditionsFor returns what a request is made conditional by when what it selects is validated (RFC 9111 §4.3.1); nil: nothing.
func conditionsFor(found view) http.Header {
	k := found.selected
	if k == nil {
		return nil
	}
	h := http.Header{}
	set(h, "If-Modified-Since", k.lastModified())
	if k.etag() != "" || k.lastModified() == "" {
		tags := []string{k.etag()}
		for _, other := range found.suitable() {
			tags = append(tags, other.etag())
		}
		slices.Sort(tags)
		tags = slices.DeleteFunc(slices.Compact(tags), func(tag string) bool { return tag == "" })
		set(h, "If-None-Match", strings.Join(tags, ", "))
	}
	if len(h) == 0 {
		return nil
	}
	return h
}

// suitable returns what the origin may name for the request to be answered with, other variants too.
func (v view) suitable() []*kept {
	return where(v.wholes, func(o *kept) bool { return o.answers(v.selected.method) })
}

func withConditions(h, conditions http.Header) http.Header {
	if conditions != nil {
		h = h.Clone()
		h.Del("If-None-Match")
		h.Del("If-Modified-Since")
		maps.Copy(h, conditions)
	}
	return h
}

// sentAs checks what the origin was asked. Entity tags have no order.
func sentAs(x exchange, q *request, header http.Header) error {
	sent := x.sent.Clone()
	if tags := strings.Split(sent.Get("If-None-Match"), ", "); len(tags) > 1 {
		slices.Sort(tags)
		sent.Set("If-None-Match", strings.Join(tags, ", "))
	}
	if at, err := url.Parse(x.url); err != nil || x.method != q.method || at.Path != q.path || !sameHeader(sent, header) {
		return fmt.Errorf("the origin was sent %s %s %v, want %s %s %v", x.method, x.url, sent, q.method, q.path, header)
	}
	return nil
}

func sameHeader(a, b http.Header) bool { return maps.EqualFunc(a, b, slices.Equal[[]string]) }

// renewed returns what a 304 says still holds (RFC 9111 §4.3.4).
func (m *ideal) renewed(q *request, found view, x exchange) []*kept {
	k, all := found.selected, found.suitable()
	tag, modified := x.header.Get("Etag"), x.header.Get("Last-Modified")
	var match []*kept
	switch {
	case isStrong(tag):
		match = where(all, func(o *kept) bool { return o.etag() == tag })
		if match == nil && weaklySame(k.etag(), tag) { // as servers do that compress
			match = []*kept{k}
		}
		if able := where(match, func(o *kept) bool { return o.isFor(q.header()) }); able != nil {
			match = able
		}
		return match
	case tag != "":
		match = where(all, func(o *kept) bool { return weaklySame(o.etag(), tag) })
	case sameDate(modified, modified):
		match = where(all, func(o *kept) bool { return sameDate(o.lastModified(), modified) })
	case k.etag() == "" && k.lastModified() != "", // it was asked for this one alone
		!slices.ContainsFunc(all, func(o *kept) bool { return o.etag() != "" && o.etag() != k.etag() }):
		return []*kept{k}
	}
	if slices.Contains(match, k) {
		return []*kept{k}
	}
	if best := m.newest(match); best != nil {
		return []*kept{best}
	}
	return nil
}

// renew lets x renew what it says, and returns that of k, or else one of them.
func (m *ideal) renew(q *request, k *kept, old []*kept, x exchange) (answer *kept) {
	var fresh []*kept
	for _, o := range old {
		n := m.freshened(q, o, x)
		m.replace(q, o, n)
		fresh = append(fresh, n)
	}
	if i := slices.Index(old, k); i >= 0 {
		return fresh[i]
	}
	return m.among(fresh)
}

// replace puts a renewed response in the place of the old one, if the request and its new header let it be kept. If it is the request
// alone that does not, the old one stays.
func (m *ideal) replace(q *request, old, fresh *kept) {
	h := q.header()
	if parse(h["Cache-Control"]).has("no-store") {
		return
	}
	for i, part := range old.parts {
		m.replace(q, part, fresh.parts[i])
	}
	if old.parts != nil {
		return
	}
	allowed := fresh.mayKeep(h)
	if h.Del("Authorization"); !allowed && fresh.mayKeep(h) {
		return
	}
	m.gone[old] = fmt.Sprintf("renewed by answer %s", fresh.header.Get("X-Answer"))
	if allowed {
		m.all = append(m.all, fresh)
	}
}

// freshened returns old with the header of an answer that says that it still holds (RFC 9111 §3.2).
func (m *ideal) freshened(q *request, old *kept, x exchange) *kept {
	if old.parts != nil {
		var fresh []*kept
		for _, part := range old.parts {
			fresh = append(fresh, m.freshened(q, part, x))
		}
		return assembled(fresh)
	}
	n := *old
	n.sentAt, n.gotAt = x.sentAt, x.answered
	n.header = old.header.Clone()
	n.header.Del("Age")
	n.header.Del("Date")
	said := withoutWhatIsNotStored(x.header, m.shared)
	said.Del("Content-Length")
	said.Del("Content-Range")
	if !isStrong(old.etag()) && weaklySame(old.etag(), said.Get("Etag")) {
		said.Del("Etag")
	}
	maps.Copy(n.header, said)
	leaveOut(n.header, n.header, m.shared)
	leaveOut(n.header, x.header, m.shared)
	if old.isFor(q.header()) {
		n.selecting = selectingOf(n.header, q.header())
	}
	n.setDate()
	return &n
}

// byHead lets a 200 to HEAD renew or outdate the stored GETs that the same request selects (RFC 9111 §4.3.5).
func (m *ideal) byHead(q *request, found view, head *kept) {
	all := found.wholes
	if found.incomplete != nil {
		all = append(slices.Clone(all), found.incomplete)
	}
	for _, k := range all {
		if k.method != http.MethodGet || k.status != http.StatusOK || !k.isFor(q.header()) {
			continue
		}
		tagged, dated := head.etag() != "", head.header["Last-Modified"] != nil
		length, known := head.header.Get("Content-Length"), k.header.Get("Content-Length")
		if tagged && !weaklySame(head.etag(), k.etag()) || dated && !sameDate(head.lastModified(), k.lastModified()) ||
			length != "" && length != known && (known != "" || !tagged && !dated) {
			for _, part := range append(k.parts, k) {
				m.gone[part] = fmt.Sprintf("outdated by answer %d to HEAD", head.number)
			}
			continue
		}
		m.replace(q, k, m.freshened(q, k, exchange{header: head.header, sentAt: head.sentAt, answered: head.gotAt}))
	}
}

// forwardedFor returns what Cache-Status may say of why the origin was asked (RFC 9211 §2.2).
func forwardedFor(q *request, found view, came time.Time) []string {
	w, k := wishesOf(q.header()), found.selected
	switch {
	case len(found.all) == 0:
		return []string{"uri-miss"}
	case k == nil && found.incomplete != nil:
		return []string{"partial"}
	case k == nil && slices.ContainsFunc(found.wholes, func(o *kept) bool { return o.answers(q.method) }):
		return []string{"vary-miss"}
	case k == nil:
		return []string{"miss"}
	case !k.fresh(came):
		return []string{"stale"}
	case !k.says().whole("no-cache"):
		return []string{"request"}
	case w.noCache() || w.has("max-age") || w.has("min-fresh"):
		return []string{"stale", "request"}
	}
	return []string{"stale"}
}

func (m *ideal) describe(k *kept) string {
	if k == nil {
		return "nothing"
	}
	return fmt.Sprintf("answer %d to %s %s (%d, got at %v, for %v)", k.number, k.method, k.path, k.status, k.gotAt.Sub(epoch), k.selecting)
}
