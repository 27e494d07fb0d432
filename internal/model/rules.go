package model

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// This file is a second reading of the standard: of one response, and of one request. It shares nothing with package
// rfc9111, is not meant to be fast, and knows no more spellings than the steps of a sequence have.

// kept is a response that the origin gave and that a cache may have kept. It is not changed once it is made.
type kept struct {
	number        int // the origin's, of the answer that it is the body of
	method, path  string
	user          string // in whose partition it is
	status        int
	header        http.Header
	body          []byte  // or a part of it
	at, size      int     // where that begins, and how much is the whole
	parts         []*kept // that it was put together from
	sentAt, gotAt time.Time
	storedAt      time.Time         // as gotAt, but not changed when it is renewed
	selecting     map[string]string // the request's fields that Vary named, "" for none
	shared        bool              // how it is read
}

// directives are those of a Cache-Control field, by name in small letters, each with its arguments in their order.
type directives map[string][]string

func parse(lines []string) directives {
	d := directives{}
	for _, member := range strings.Split(strings.Join(lines, ","), ",") {
		name, arg, _ := strings.Cut(strings.TrimSpace(member), "=")
		name = strings.ToLower(name)
		d[name] = append(d[name], strings.Trim(arg, `"`))
	}
	return d
}

func (d directives) has(name string) bool { return d[name] != nil }

// whole reports whether the directive is there, and not about single fields.
func (d directives) whole(name string) bool { return slices.Contains(d[name], "") }

// fields are those that the directive is about.
func (d directives) fields(name string) []string {
	return slices.DeleteFunc(slices.Clone(d[name]), func(s string) bool { return s == "" })
}

// seconds returns the directive's duration: 0 if it is not there or can't be read, and 2^31 s if it is larger (RFC 9111
// §1.2.2). The first of a name counts (§4.2.1).
func (d directives) seconds(name string) time.Duration {
	if !d.has(name) {
		return 0
	}
	return seconds(d[name][0])
}

func seconds(s string) time.Duration {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		n = 1 << 31
	}
	return time.Duration(min(n, 1<<31)) * time.Second
}

// says returns the directives that govern the response: those of Cache-Control, or in a shared cache those of
// CDN-Cache-Control (RFC 9213).
func (k *kept) says() directives {
	if k.targeted() {
		return parse(k.header["Cdn-Cache-Control"])
	}
	return parse(k.header["Cache-Control"])
}

func (k *kept) targeted() bool { return k.shared && k.header["Cdn-Cache-Control"] != nil }

// date returns the Date, or when the response came (RFC 9110 §6.6.1).
func (k *kept) date() time.Time {
	if t, err := http.ParseTime(k.header.Get("Date")); err == nil {
		return t
	}
	return k.gotAt
}

// age is current_age of RFC 9111 §4.2.3. A clock that was set back makes it older, too.
func (k *kept) age(now time.Time) time.Duration {
	apparent := max(0, k.gotAt.Sub(k.date()))
	corrected := seconds(k.header.Get("Age")) + k.gotAt.Sub(k.sentAt)
	return min(max(apparent, corrected), 1<<31*time.Second) + now.Sub(k.gotAt).Abs()
}

func heuristicStatus(status int) bool { // RFC 9110 §15.1
	return slices.Contains([]int{200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501}, status)
}

// explicit reports whether the response says itself how long it is fresh.
func (k *kept) explicit() bool {
	d := k.says()
	return k.shared && d.has("s-maxage") || d.has("max-age") || k.header["Expires"] != nil && !k.targeted()
}

// lifetime is freshness_lifetime of RFC 9111 §4.2.1; by heuristics a tenth of the time since Last-Modified, a week at
// most.
func (k *kept) lifetime() time.Duration {
	d := k.says()
	modified, err := http.ParseTime(k.header.Get("Last-Modified"))
	switch {
	case k.shared && d.has("s-maxage"):
		return d.seconds("s-maxage")
	case d.has("max-age"):
		return d.seconds("max-age")
	case k.explicit():
		expires, err := http.ParseTime(k.header.Get("Expires"))
		if err != nil {
			return 0
		}
		return max(0, expires.Sub(k.date()))
	case err == nil && (heuristicStatus(k.status) || d.has("public")):
		return min(max(0, k.date().Sub(modified)/10).Truncate(time.Second), 7*24*time.Hour)
	}
	return 0
}

func (k *kept) fresh(now time.Time) bool { return k.age(now) < k.lifetime() }

// staleness is for how long it has been stale; below 0: it is fresh.
func (k *kept) staleness(now time.Time) time.Duration { return k.age(now) - k.lifetime() }

// neverStale reports whether it must not be used stale (RFC 9111 §4.2.4).
func (k *kept) neverStale() bool {
	d := k.says()
	return d.has("must-revalidate") || d.whole("no-cache") || k.shared && (d.has("proxy-revalidate") || d.has("s-maxage"))
}

func (k *kept) etag() string { return k.header.Get("Etag") }

// lastModified returns the Last-Modified if it is a date.
func (k *kept) lastModified() string {
	if _, err := http.ParseTime(k.header.Get("Last-Modified")); err != nil {
		return ""
	}
	return k.header.Get("Last-Modified")
}

// sameDate compares what may be written in several ways.
func sameDate(a, b string) bool {
	s, err := http.ParseTime(a)
	t, fault := http.ParseTime(b)
	return err == nil && fault == nil && s.Equal(t)
}

func (k *kept) validates() bool { return k.etag() != "" || k.lastModified() != "" }

func weaklySame(a, b string) bool {
	return a != "" && strings.TrimPrefix(a, "W/") == strings.TrimPrefix(b, "W/")
}

func isStrong(tag string) bool { return strings.HasPrefix(tag, `"`) }

// isFor reports whether a request has the same values of the fields that Vary named (RFC 9111 §4.1).
func (k *kept) isFor(h http.Header) bool {
	for name, value := range k.selecting {
		if h.Get(name) != value {
			return false
		}
	}
	return true
}

// answers reports whether the response may answer a request with the method: a GET also a HEAD (RFC 9111 §4).
func (k *kept) answers(method string) bool {
	return k.method == method || k.method == http.MethodGet && method == http.MethodHead
}

// selectingOf returns what a response with this header was selected by.
func selectingOf(response, request http.Header) map[string]string {
	var out map[string]string
	for name := range strings.SplitSeq(response.Get("Vary"), ",") {
		if name = strings.TrimSpace(name); name != "" {
			if out == nil {
				out = map[string]string{}
			}
			out[http.CanonicalHeaderKey(name)] = request.Get(name)
		}
	}
	return out
}

// mayKeep reports whether RFC 9111 §3 lets k, an answer to a request with this header, be stored, and whether anything
// could ever be made of it: larder does not store what is stale at once, can't be validated and may not be used stale.
func (k *kept) mayKeep(request http.Header) bool {
	d := k.says()
	statusKnown := slices.Contains([]int{200, 203, 204, 206, 301, 302, 307, 308, 404, 405, 410, 401, 403, 500, 502, 503, 504}, k.status)
	switch {
	case parse(request["Cache-Control"]).has("no-store"),
		slices.Contains([]int{304, 412, 416, 429}, k.status),
		d.has("must-understand") && !statusKnown,
		d.has("no-store") && !d.has("must-understand"),
		k.shared && d.whole("private"),
		k.shared && request.Get("Authorization") != "" && !d.has("public") && !d.has("must-revalidate") && !d.has("s-maxage"),
		k.shared && k.header["Set-Cookie"] != nil && !d.has("public") && (d.whole("no-cache") || !k.explicit() || k.lifetime() == 0),
		strings.Contains(k.header.Get("Vary"), "*"),
		!k.explicit() && !heuristicStatus(k.status) && !d.has("public") && (k.shared || !d.has("private")):
		return false
	}
	if k.validates() {
		return true
	}
	usable := k.lifetime()
	if !k.neverStale() {
		usable += max(d.seconds("stale-while-revalidate"), d.seconds("stale-if-error"))
	}
	return !d.whole("no-cache") && k.age(k.gotAt) < usable
}

// mayKeepForOthers is mayKeep as if the request had no Authorization (RFC 9111 §3.5), and k set no cookie.
func (k *kept) mayKeepForOthers(request http.Header) bool {
	h, other := request.Clone(), *k
	h.Del("Authorization")
	other.header = k.header.Clone()
	other.header.Del("Set-Cookie")
	return other.mayKeep(h)
}

// withoutWhatIsNotStored returns a header without the fields of RFC 9111 §3.1.
func withoutWhatIsNotStored(h http.Header, shared bool) http.Header {
	out := withoutConnection(h)
	leaveOut(out, h, shared)
	return out
}

func withoutConnection(h http.Header) http.Header {
	out := h.Clone()
	for name := range strings.SplitSeq(h.Get("Connection"), ",") {
		out.Del(strings.TrimSpace(name))
	}
	out.Del("Connection")
	return out
}

// tell adds to the header of an answer what the origin has just said that is not in what is stored: it is for the
// caller who asked.
func tell(to, stored, said http.Header) {
	said = withoutConnection(said)
	said.Del("Content-Length")
	said.Del("Content-Range")
	for name, vv := range said {
		if stored[name] == nil {
			to[name] = vv
		}
	}
}

// leaveOut removes from h the fields that a header says are not to be stored.
func leaveOut(h, said http.Header, shared bool) {
	k := kept{header: said, shared: shared}
	d := k.says()
	for _, name := range d.fields("no-cache") {
		h.Del(name)
	}
	if shared {
		for _, name := range d.fields("private") {
			h.Del(name)
		}
	}
}

// verdict is what a cache is to do with a request.
type verdict int

const (
	forward verdict = iota
	serve
	serveAndRefresh
)

// judge returns what to do with a request that selects k (RFC 9111 §4, §5.2.1; RFC 5861 §3; RFC 8246), but for
// only-if-cached.
func judge(w wishes, k *kept, now time.Time) verdict {
	age, staleness, d := k.age(now), k.staleness(now), k.says()
	switch {
	case d.whole("no-cache"), w.noCache():
		return forward
	case staleness >= 0 && k.neverStale():
		return forward
	case w.has("max-age") && (age > w.seconds("max-age") || w.seconds("max-age") == 0) && !(staleness < 0 && d.has("immutable")):
		return forward
	case w.has("min-fresh") && -staleness < w.seconds("min-fresh"):
		return forward
	case staleness < 0:
		return serve
	case w.has("max-stale") && (w.whole("max-stale") || staleness <= w.seconds("max-stale")):
		return serve
	case within(d, "stale-while-revalidate", staleness) && !w.limits():
		return serveAndRefresh
	}
	return forward
}

// within reports whether a window is open; one of no length never is.
func within(d directives, window string, staleness time.Duration) bool {
	return d.seconds(window) > 0 && staleness <= d.seconds(window)
}

// wishes are what a request says by Cache-Control, or without that by Pragma (RFC 9111 §5.4).
type wishes struct {
	directives
	pragma bool
}

func wishesOf(h http.Header) wishes {
	return wishes{parse(h["Cache-Control"]), h["Cache-Control"] == nil && h.Get("Pragma") == "no-cache"}
}

func (w wishes) noCache() bool { return w.has("no-cache") || w.pragma }

// limits reports whether the request says itself how old or stale a response may be.
func (w wishes) limits() bool { return w.has("max-age") || w.has("max-stale") || w.has("min-fresh") }

// standsIn reports whether k may answer although the origin failed: with a status of RFC 5861 §4, or by no answer at
// all (RFC 9111 §4.2.4), in which case larder takes it as long as nobody says how stale it may be.
func standsIn(w wishes, k *kept, now time.Time, noAnswer bool) bool {
	d, staleness := k.says(), k.staleness(now)
	switch {
	case d.whole("no-cache"), staleness >= 0 && k.neverStale():
		return false
	case within(w.directives, "stale-if-error", staleness):
		return true
	case w.noCache() || w.limits():
		return false
	case staleness < 0 || !w.has("stale-if-error") && within(d, "stale-if-error", staleness):
		return true
	}
	return noAnswer && !k.neverStale() && !d.has("stale-if-error") && !w.has("stale-if-error")
}
