package rfc9111

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"
)

var cdn = Policy{Shared: true, Targeted: []string{"Mine-Cache-Control", CDNCacheControl}}

func TestTargetedDirectives(t *testing.T) {
	seconds := func(n time.Duration) delta { return delta{true, n * time.Second} }
	for _, c := range []struct {
		lines []string
		want  directives
		ok    bool
	}{
		{[]string{"max-age=10"}, directives{maxAge: seconds(10)}, true},
		{[]string{"max-age=10, s-maxage=20,stale-while-revalidate=30 ,\tstale-if-error=40"},
			directives{maxAge: seconds(10), sMaxAge: seconds(20), staleWhileRevalidate: seconds(30), staleIfError: seconds(40)}, true},
		{[]string{"no-store, public, must-revalidate, proxy-revalidate, must-understand, immutable"},
			directives{noStore: true, public: true, mustRevalidate: true, proxyRevalidate: true, mustUnderstand: true, immutable: true}, true},
		{[]string{"no-cache, private=?1"}, directives{noCache: true, private: true}, true},
		{[]string{`no-cache="set-cookie, x-a", private="x-b"`}, directives{noCacheFields: []string{"Set-Cookie", "X-A"}, privateFields: []string{"X-B"}}, true},
		{[]string{"no-cache=x-a"}, directives{noCacheFields: []string{"X-A"}}, true},
		{[]string{`no-cache="", private="date"`}, directives{noCache: true, private: true}, true},
		{[]string{"max-age=10", "no-cache"}, directives{maxAge: seconds(10), noCache: true}, true},
		{[]string{"max-age=10;a;b=2, no-store;c"}, directives{maxAge: seconds(10), noStore: true}, true},
		{[]string{"none"}, directives{}, true},
		{[]string{`a=1.5, b=:AAE=:, c=@0, d=(1 "x");y, e=%"f%c3%bc"`}, directives{}, true},

		{[]string{"max-age=10, max-age=20"}, directives{maxAge: seconds(20)}, true},
		{[]string{"no-store, no-store=?0"}, directives{}, true},
		{[]string{"private=?0, no-cache=?0"}, directives{}, true},
		{[]string{"private=1, no-store=1, immutable=a, public=(1)"}, directives{}, true},
		{[]string{`no-store="x", must-revalidate=x`}, directives{}, true},

		{[]string{`max-age="10"`}, directives{maxAge: seconds(0)}, true},
		{[]string{"max-age=ten, s-maxage"}, directives{maxAge: seconds(0), sMaxAge: seconds(0)}, true},
		{[]string{"max-age=10.0"}, directives{maxAge: seconds(0)}, true},
		{[]string{"max-age=(10)"}, directives{maxAge: seconds(0)}, true},
		{[]string{"max-age=-10"}, directives{maxAge: seconds(0)}, true},
		{[]string{"max-age=010"}, directives{maxAge: seconds(10)}, true},
		{[]string{"max-age=2147483648"}, directives{maxAge: delta{true, maxDelta}}, true},
		{[]string{"max-age=999999999999999"}, directives{maxAge: delta{true, maxDelta}}, true},

		{nil, directives{}, false},
		{[]string{""}, directives{}, false},
		{[]string{"max-age=9999999999999999"}, directives{}, false}, // too long for an integer
		{[]string{"max-age= 10"}, directives{}, false},
		{[]string{"max-age =10"}, directives{}, false},
		{[]string{"Max-Age=10"}, directives{}, false},
		{[]string{"max-age=10,"}, directives{}, false},
		{[]string{"max-age=10, &"}, directives{}, false},
		{[]string{"max-age=10; no-store, \"x\""}, directives{}, false},
		{[]string{"no-store max-age=10"}, directives{}, false},
	} {
		if got, ok := targetedDirectives(c.lines); !reflect.DeepEqual(got, c.want) || ok != c.ok {
			t.Errorf("%q: got %+v, %v, want %+v, %v", c.lines, got, ok, c.want, c.ok)
		}
	}
}

// Each case is of one response, with what a private cache, a shared one and one for CDN-Cache-Control, before it
// Mine-Cache-Control, make of it.
func TestTargeted(t *testing.T) {
	old, past, future := "Last-Modified: "+date(-10*day), "Expires: "+date(-hour), "Expires: "+date(hour)
	for _, c := range []struct {
		name                 string
		lines                []string
		private, shared, cdn Reason
		lifetime             time.Duration // in the last, if that stores it
	}{
		{"one field", []string{"CDN-Cache-Control: max-age=60"}, NothingToReuseBy, NothingToReuseBy, Allowed, minute},
		{"in place of Cache-Control", []string{"CDN-Cache-Control: max-age=60", "Cache-Control: max-age=30"}, Allowed, Allowed, Allowed, minute},
		{"of Cache-Control's prohibitions, too", []string{"CDN-Cache-Control: max-age=60", "Cache-Control: no-store, private"}, ResponseNoStore, ResponseNoStore, Allowed, minute},
		{"of s-maxage", []string{"CDN-Cache-Control: max-age=60", "Cache-Control: s-maxage=30"}, NothingToReuseBy, Allowed, Allowed, minute},
		{"of Expires", []string{"CDN-Cache-Control: max-age=60", past}, NothingToReuseBy, NothingToReuseBy, Allowed, minute},
		{"of Expires, which is no freshness then", []string{"CDN-Cache-Control: none", future}, Allowed, Allowed, NothingToReuseBy, 0},
		{"heuristics remain", []string{"CDN-Cache-Control: none", "Cache-Control: no-store", old}, ResponseNoStore, ResponseNoStore, Allowed, day},
		{"a lifetime that cannot be read is no reason for heuristics", []string{`CDN-Cache-Control: max-age="60"`, old}, Allowed, Allowed, Allowed, 0},
		{"s-maxage in it", []string{"CDN-Cache-Control: max-age=60, s-maxage=30"}, NothingToReuseBy, NothingToReuseBy, Allowed, 30 * time.Second},
		{"no-store", []string{"CDN-Cache-Control: no-store", "Cache-Control: max-age=60", future}, Allowed, Allowed, ResponseNoStore, 0},
		{"no-store makes max-age inoperative", []string{"CDN-Cache-Control: max-age=60, no-store"}, NothingToReuseBy, NothingToReuseBy, ResponseNoStore, 0},
		{"private", []string{"CDN-Cache-Control: private", "Cache-Control: max-age=60", future}, Allowed, Allowed, PrivateResponse, 0},
		{"no-cache", []string{"CDN-Cache-Control: no-cache", "Cache-Control: max-age=60", future}, Allowed, Allowed, NothingToReuseBy, 0},
		{"the first in the list", []string{"CDN-Cache-Control: max-age=60", "Mine-Cache-Control: max-age=90"}, NothingToReuseBy, NothingToReuseBy, Allowed, 90 * time.Second},
		{"the first is empty", []string{"CDN-Cache-Control: max-age=60", "Mine-Cache-Control:"}, NothingToReuseBy, NothingToReuseBy, Allowed, minute},
		{"the first is none", []string{"CDN-Cache-Control: max-age=60", "Mine-Cache-Control: max-age=90 &"}, NothingToReuseBy, NothingToReuseBy, Allowed, minute},
		{"all are none", []string{"CDN-Cache-Control: max-age= 60", "Cache-Control: max-age=90"}, Allowed, Allowed, Allowed, 90 * time.Second},
		{"all are none, and Cache-Control forbids", []string{"CDN-Cache-Control: max-age=60, &", "Cache-Control: no-store"}, ResponseNoStore, ResponseNoStore, ResponseNoStore, 0},
		{"a wrong type, and Cache-Control forbids", []string{`CDN-Cache-Control: max-age="60"`, "Cache-Control: no-store"}, ResponseNoStore, ResponseNoStore, NothingToReuseBy, 0},
		{"a field for others", []string{"Other-Cache-Control: max-age=60"}, NothingToReuseBy, NothingToReuseBy, NothingToReuseBy, 0},
		{"in capitals", []string{"CDN-Cache-Control: MAX-AGE=60"}, NothingToReuseBy, NothingToReuseBy, NothingToReuseBy, 0},
		{"Age counts", []string{"CDN-Cache-Control: max-age=60", "Age: 90"}, NothingToReuseBy, NothingToReuseBy, NothingToReuseBy, 0},
	} {
		for _, p := range []struct {
			policy Policy
			want   Reason
		}{{Policy{}, c.private}, {Policy{Shared: true}, c.shared}, {cdn, c.cdn}} {
			h := fields(c.lines...)
			r := Parse(Response{Status: 200, Header: h, Requested: t0, Received: t0, Targeted: p.policy.Targeted})
			if _, why := p.policy.Storable(request(), r); why != p.want {
				t.Errorf("%s: %+v: got %q, want %q", c.name, p.policy, why, p.want)
			}
			if got := p.policy.Lifetime(r); p.policy.Targeted != nil && p.want == Allowed && got != c.lifetime {
				t.Errorf("%s: got a lifetime of %v, want %v", c.name, got, c.lifetime)
			}
			if out := p.policy.StoredHeader(h); !reflect.DeepEqual(out, h) {
				t.Errorf("%s: stored is %v of %v", c.name, out, h)
			}
		}
	}
}

// What one kind of cache has stored another finds in the store they share, and judges for itself.
func TestTargetedInASharedStore(t *testing.T) {
	for _, c := range []struct {
		name         string
		lines        []string
		private, cdn Reason
	}{
		{"both may", []string{"Cache-Control: max-age=60", "CDN-Cache-Control: max-age=60"}, Fresh, Fresh},
		{"only the CDN may", []string{"Cache-Control: no-store", "CDN-Cache-Control: max-age=60"}, ResponseNoStore, Fresh},
		{"only the private one may", []string{"Cache-Control: max-age=60", "CDN-Cache-Control: no-store"}, Fresh, ResponseNoStore},
		{"the CDN thinks it private", []string{"Cache-Control: max-age=60", "CDN-Cache-Control: max-age=60, private"}, Fresh, PrivateResponse},
		{"fresh for the CDN alone", []string{"Cache-Control: max-age=0", "CDN-Cache-Control: max-age=60"}, Stale, Fresh},
		{"fresh for the private one alone", []string{"Cache-Control: max-age=60", "CDN-Cache-Control: max-age=0"}, Fresh, Stale},
		{"the CDN validates", []string{"Cache-Control: max-age=60", "CDN-Cache-Control: no-cache"}, Fresh, ResponseNoCache},
		{"not understood by the CDN", []string{"Cache-Control: max-age=60", "CDN-Cache-Control: must-understand, max-age=60"}, Fresh, StatusNotUnderstood},
	} {
		for _, p := range []struct {
			policy Policy
			want   Reason
		}{{Policy{}, c.private}, {cdn, c.cdn}} {
			r := Parse(Response{Status: 299, Header: fields(c.lines...), Requested: t0, Received: t0, Targeted: p.policy.Targeted})
			if v := p.policy.Reuse(request(), []*Response{r}, t0); v.Reason != p.want {
				t.Errorf("%s: %+v: got %q, want %q", c.name, p.policy, v.Reason, p.want)
			}
		}
	}
}

func TestTargetedDecidesWhatIsLeftOut(t *testing.T) {
	for _, c := range []struct {
		name        string
		lines, want []string
	}{
		{"its own fields", []string{`CDN-Cache-Control: no-cache="x-a", private="x-b"`, "X-A: 1", "X-B: 2"}, []string{`CDN-Cache-Control: no-cache="x-a", private="x-b"`}},
		{"not those of Cache-Control", []string{"CDN-Cache-Control: max-age=60", `Cache-Control: no-cache="x-a"`, "X-A: 1"},
			[]string{"CDN-Cache-Control: max-age=60", `Cache-Control: no-cache="x-a"`, "X-A: 1"}},
		{"never a field that may govern", []string{`CDN-Cache-Control: no-cache="cdn-cache-control"`}, []string{`CDN-Cache-Control: no-cache="cdn-cache-control"`}},
		{"nor one for other caches", []string{`Cache-Control: no-cache="other-cache-control"`, "Other-Cache-Control: no-store"},
			[]string{`Cache-Control: no-cache="other-cache-control"`, "Other-Cache-Control: no-store"}},
		{"nor by Connection", []string{"Connection: cdn-cache-control", "CDN-Cache-Control: no-store"}, []string{"CDN-Cache-Control: no-store"}},
		{"nor one of another kind of name by Connection", []string{"Connection: surrogate, x-a", "Surrogate: no-store", "X-A: 1"}, []string{"Surrogate: no-store"}},
		{"nor one of another kind of name", []string{`Cache-Control: no-cache="surrogate"`, "Surrogate:"}, []string{`Cache-Control: no-cache="surrogate"`, "Surrogate:"}},
	} {
		p := Policy{Shared: true, Targeted: []string{CDNCacheControl, "Surrogate"}}
		if got := p.StoredHeader(fields(c.lines...)); !reflect.DeepEqual(got, fields(c.want...)) {
			t.Errorf("%s: got %v, want %v", c.name, got, fields(c.want...))
		}
	}
}

func TestFreshenTargeted(t *testing.T) {
	stored := fields("CDN-Cache-Control: max-age=60", "Cache-Control: max-age=1", "X-A: 1")
	for _, c := range []struct {
		fresh    []string
		lifetime time.Duration
		a        string
	}{
		{[]string{"CDN-Cache-Control: max-age=90"}, 90 * time.Second, "1"},
		{[]string{"Cache-Control: max-age=90"}, minute, "1"},
		{[]string{"CDN-Cache-Control:"}, time.Second, "1"},
		{[]string{`CDN-Cache-Control: max-age=90, private="x-a"`, "X-A: 2"}, 90 * time.Second, ""},
		{[]string{`Cache-Control: private="x-a"`, "X-A: 2"}, minute, ""},
	} {
		h := cdn.Freshen(stored, fields(c.fresh...))
		r := Parse(Response{Status: 200, Header: h, Requested: t0, Received: t0, Targeted: cdn.Targeted})
		if got := cdn.Lifetime(r); got != c.lifetime || h.Get("X-A") != c.a {
			t.Errorf("%q: got %v and %v, want %v", c.fresh, got, h, c.lifetime)
		}
	}
}

// must-understand, wherever it is said, is about this cache's knowledge of the status alone (RFC 9111 §5.2.2.3).
func TestMustUnderstand(t *testing.T) {
	for _, c := range []struct {
		name   string
		p      Policy
		status int
		lines  []string
		want   Reason
	}{
		{"understood", Policy{}, 200, []string{"Cache-Control: must-understand, max-age=60"}, Allowed},
		{"understood, shared", Policy{Shared: true}, 200, []string{"Cache-Control: must-understand, max-age=60"}, Allowed},
		{"no-store beside it", Policy{}, 200, []string{"Cache-Control: must-understand, no-store, max-age=60"}, Allowed},
		{"no-store beside it, shared", Policy{Shared: true}, 200, []string{"Cache-Control: must-understand, no-store, max-age=60"}, Allowed},
		{"no-store before it, on another line", Policy{}, 200, []string{"Cache-Control: no-store", "Cache-Control: must-understand, max-age=60"}, Allowed},
		{"not understood", Policy{}, 299, []string{"Cache-Control: must-understand, max-age=60"}, StatusNotUnderstood},
		{"not understood, shared", Policy{Shared: true}, 299, []string{"Cache-Control: must-understand, s-maxage=60"}, StatusNotUnderstood},
		{"not understood, without it", Policy{}, 299, []string{"Cache-Control: max-age=60"}, Allowed},
		{"not understood, no-store beside it", Policy{}, 299, []string{"Cache-Control: must-understand, no-store, max-age=60"}, StatusNotUnderstood},
		{"not understood, a validator alone", Policy{}, 299, []string{"Cache-Control: must-understand", `ETag: "a"`}, StatusNotUnderstood},
		{"in capitals", Policy{}, 299, []string{"Cache-Control: Must-Understand, max-age=60"}, StatusNotUnderstood},
		{"of another class", Policy{}, 700, []string{"Cache-Control: must-understand, max-age=60"}, StatusNotUnderstood},
		{"other prohibitions stay", Policy{Shared: true}, 200, []string{"Cache-Control: must-understand, private, max-age=60"}, PrivateResponse},
		{"it gives no freshness", Policy{}, 302, []string{"Cache-Control: must-understand, no-store"}, NoFreshness},
		{"in a targeted field", cdn, 299, []string{"CDN-Cache-Control: must-understand, max-age=60"}, StatusNotUnderstood},
		{"in a targeted field, no-store beside it", cdn, 200, []string{"CDN-Cache-Control: must-understand, no-store, max-age=60"}, Allowed},
		{"in Cache-Control, which does not govern", cdn, 299, []string{"CDN-Cache-Control: max-age=60", "Cache-Control: must-understand"}, Allowed},
		{"no-store in the field that governs, it in another", cdn, 200, []string{"CDN-Cache-Control: no-store, max-age=60", "Cache-Control: must-understand"}, ResponseNoStore},
		{"false in a targeted field", cdn, 299, []string{"CDN-Cache-Control: must-understand=?0, max-age=60"}, Allowed},
	} {
		r := Parse(Response{Status: c.status, Header: fields(c.lines...), Requested: t0, Received: t0, Targeted: c.p.Targeted})
		ok, why := c.p.Storable(request(), r)
		if ok != (c.want == Allowed) || why != c.want {
			t.Errorf("%s: got %v, %q, want %q", c.name, ok, why, c.want)
		}
		v := c.p.Reuse(request(), []*Response{r}, t0) // as if another cache had stored it
		if forbidden := c.want == StatusNotUnderstood || c.want == ResponseNoStore || c.want == PrivateResponse; forbidden != (v.Index < 0) {
			t.Errorf("%s: used again: %v, %q", c.name, v.Action, v.Reason)
		}
	}
}

// A targeted field is read as the dictionary that it is, or not at all.
func FuzzTargeted(f *testing.F) {
	for _, s := range []string{`max-age=10, no-cache="a"`, "max-age=-", "a=(", "private=(1 2);a", "a=:AAE", "a;b=?", "a=@", `a=%"`, "no-store=?", "a=1.", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, ok := targetedDirectives([]string{s})
		dict, err := httpsfv.UnmarshalDictionary([]string{s})
		if ok != (err == nil && len(dict.Names()) > 0) || !ok && !reflect.DeepEqual(d, directives{}) {
			t.Fatalf("%q: got %+v, %v, and the dictionary's error is %v", s, d, ok, err)
		}
		for _, n := range []delta{d.maxAge, d.sMaxAge, d.minFresh, d.maxStale, d.staleIfError, d.staleWhileRevalidate} {
			if n.d < 0 || n.d > maxDelta || !n.set && n.d != 0 {
				t.Errorf("%q: %v", s, n)
			}
		}
		for _, name := range append(d.noCacheFields, d.privateFields...) {
			if !isToken(name) || essential(name) {
				t.Errorf("%q lists the field %q", s, name)
			}
		}
		h := http.Header{CDNCacheControl: {s}, "Cache-Control": {"no-store"}}
		r := Parse(Response{Status: 200, Header: h, Received: t0, Targeted: cdn.Targeted})
		if r.cc.noStore && ok && !strings.Contains(s, "no-store") {
			t.Errorf("%q: Cache-Control counts beside it", s)
		}
	})
}
