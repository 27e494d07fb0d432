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

// fetch is handle for what the origin has to be asked for.
func (m *ideal) fetch(q *request, found view, came time.Time, log []exchange, background bool) (want, error) {
	h, k := q.header(), found.selected
	if len(log) == 0 {
		return want{}, fmt.Errorf("the origin was not asked; the best that is stored is %s", m.describe(k))
	}
	why := forwardedFor(q, found, came)
	x := log[0]
	conditions := conditionsFor(found)
	part := completion(q, found)
	if part != nil {
		conditions = part
	}
	if err := sentAs(x, q, withConditions(h, conditions)); err != nil {
		return want{}, err
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
			out := m.stored(q, now, x.answered)
			tell(out.header, now.header, x.header)
			out.outcome = larder.Revalidated
			out.says = why.says(x.status, now.ttl(x.answered))
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
		out := m.stored(q, k, x.answered)
		out.outcome = larder.Stale
		out.says = why.says(x.status, k.ttl(x.answered))
		return out, nil
	}
	if x.err != nil {
		return want{fails: true}, nil
	}
	unread := q.early || background && failed // which ends the fetch of what is long, or may be
	return m.take(q, found, x, status, why, unread), nil
}

// take is what comes of an answer that is the caller's, too. status is the origin's, where x was put together.
func (m *ideal) take(q *request, found view, x exchange, status int, why forwards, unread bool) want {
	h, r := q.header(), m.received(q, x)
	if q.method == http.MethodHead && x.status == http.StatusOK {
		m.byHead(q, found, r)
	}
	out := passed(x, larder.Miss)
	out.says = why.says(status, "")
	wholeIsThere := x.status == http.StatusPartialContent && m.byPart(q, found, r)
	switch {
	case wholeIsThere:
	case r.mayKeep(h):
		out.says = why.says(status, r.ttl(x.answered)+"; stored")
		m.download(q, r, x, unread)
	case q.method == http.MethodHead, parse(h["Cache-Control"]).has("no-store"), r.mayKeepForOthers(h),
		x.status == 206, x.status == 304, m.shared && (x.status == 401 || x.status == 403),
		x.status >= 400 && !slices.Contains([]int{401, 403, 404, 410, 451}, x.status): // it says nothing of what is stored
	default:
		for _, old := range m.of(q.path, q) {
			if old.isFor(h) {
				m.gone[old] = fmt.Sprintf("outdated by answer %d, which may not be kept", r.number)
			}
		}
	}
	return out
}

// received returns what is to be kept of an answer.
func (m *ideal) received(q *request, x exchange) *kept {
	k := &kept{method: q.method, path: q.path, user: q.user, status: x.status, body: x.body,
		sentAt: x.sentAt, gotAt: x.answered, storedAt: x.answered, shared: m.shared,
		header: withoutWhatIsNotStored(x.header, m.shared), selecting: selectingOf(x.header, q.header())}
	k.size = len(x.body)
	if x.status == http.StatusPartialContent {
		fmt.Sscanf(x.header.Get("Content-Range"), "bytes %d-%d/%d", &k.at, new(int), &k.size)
	}
	for name := range x.told {
		delete(k.header, name)
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

// conditionsFor returns what a request is made conditional by when what it selects is validated (RFC 9111 §4.3.1); nil:
// nothing.
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

// forwardedFor returns what Cache-Status may say of why the origin was asked (RFC 9211 §2.2).
func forwardedFor(q *request, found view, came time.Time) forwards {
	w, k := wishesOf(q.header()), found.selected
	switch {
	case len(found.all) == 0:
		return forwards{"uri-miss"}
	case k == nil && found.incomplete != nil:
		return forwards{"partial"}
	case k == nil && slices.ContainsFunc(found.wholes, func(o *kept) bool { return o.answers(q.method) }):
		return forwards{"vary-miss"}
	case k == nil:
		return forwards{"miss"}
	case !k.fresh(came):
		return forwards{"stale"}
	case !k.says().whole("no-cache"):
		return forwards{"request"}
	case w.noCache() || w.has("max-age") || w.has("min-fresh"):
		return forwards{"stale", "request"}
	}
	return forwards{"stale"}
}

// forwards are words of which each is right.
type forwards []string

// says returns what Cache-Status may be, with the origin's status, or 0.
func (f forwards) says(status int, rest string) (all []string) {
	if status != 0 {
		rest = fmt.Sprintf("; fwd-status=%d", status) + rest
	}
	for _, word := range f {
		all = append(all, "fwd="+word+rest)
	}
	return all
}

// ttl is how Cache-Status says for how long k is fresh.
func (k *kept) ttl(now time.Time) string {
	return fmt.Sprintf("; ttl=%d", (k.lifetime()-k.age(now))/time.Second)
}
