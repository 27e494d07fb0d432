package behaviour

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

// standard are tests of RFC 9111 end to end, in a private cache and a shared one.
var standard = append(append([]test{
	{name: "what may be stored, and what is used again", run: func(t *T) {
		past, future := t.date(-time.Hour), t.date(time.Hour)
		for i, c := range []struct {
			private, shared larder.Outcome
			header          []string
		}{
			{larder.Hit, larder.Hit, []string{"Cache-Control", "max-age=60"}},
			{larder.Hit, larder.Hit, []string{"Cache-Control", "Max-Age=60"}},
			{larder.Hit, larder.Hit, []string{"Cache-Control", `max-age="60"`}},
			{larder.Hit, larder.Hit, []string{"Cache-Control", "max-age=99999999999"}},
			{larder.Hit, larder.Hit, []string{"Cache-Control", "public, max-age=60, foo=bar"}},
			{larder.Hit, larder.Hit, []string{"Expires", future}},
			{larder.Miss, larder.Miss, []string{"Expires", past}},
			{larder.Miss, larder.Miss, []string{"Expires", "0"}},
			{larder.Miss, larder.Miss, []string{"Expires", ""}},
			{larder.Hit, larder.Hit, []string{"Cache-Control", "max-age=60", "Expires", past}},
			{larder.Miss, larder.Miss, []string{"Cache-Control", "max-age=0", "Expires", future}},
			{larder.Miss, larder.Miss, []string{"Cache-Control", "max-age=0", "Last-Modified", past}},
			{larder.Miss, larder.Miss, []string{"Cache-Control", "max-age=-1"}},
			{larder.Miss, larder.Miss, []string{"Cache-Control", "max-age=x"}},
			{larder.Miss, larder.Miss, []string{}},
			{larder.Miss, larder.Miss, []string{"ETag", `"1"`}},
			{larder.Hit, larder.Hit, []string{"Last-Modified", past}},
			{larder.Miss, larder.Miss, []string{"Cache-Control", "no-store"}},
			{larder.Miss, larder.Miss, []string{"Cache-Control", "max-age=60, No-Store"}},
			{larder.Miss, larder.Miss, []string{"Cache-Control", "max-age=60", "Cache-Control", "no-store"}},
			{larder.Miss, larder.Miss, []string{"Cache-Control", "max-age=60, no-cache"}},
			{larder.Hit, larder.Hit, []string{"Cache-Control", `max-age=60, no-cache="x-secret"`}},
			{larder.Hit, larder.Miss, []string{"Cache-Control", "private, max-age=60"}},
			{larder.Miss, larder.Hit, []string{"Cache-Control", "max-age=0, s-maxage=60"}},
			{larder.Hit, larder.Miss, []string{"Cache-Control", "max-age=60, s-maxage=0"}},
			{larder.Hit, larder.Hit, []string{"Cache-Control", "max-age=60", "Pragma", "no-cache"}},
			{larder.Miss, larder.Miss, []string{"Cache-Control", "max-age=60", "Vary", "*"}},
			{larder.Miss, larder.Miss, []string{"Cache-Control", "max-age=60", "Age", "60"}},
			{larder.Hit, larder.Hit, []string{"Cache-Control", "max-age=60", "Age", "59"}},
			{larder.Hit, larder.Hit, []string{"Cache-Control", "max-age=60", "Warning", `110 - "stale"`}},
			{larder.Hit, larder.Hit, []string{"Cache-Control", "max-age=60, must-understand, no-store"}},
		} {
			for _, u := range []*T{t, t.shared()} {
				path, want := fmt.Sprint("/", i, "/", u.cache.Shared), c.private
				if u.cache.Shared {
					want = c.shared
				}
				u.origin.page(path, "hello", c.header...)
				u.get(path)
				if a := u.get(path); a.Outcome != want {
					t.Errorf("%q, shared %v: got %v (%s), want %v", c.header, u.cache.Shared, a.Outcome, a.Reason, want)
				}
			}
		}
	}},
	{name: "statuses are stored as the standard has them", run: func(t *T) {
		for status, heuristic := range map[int]bool{200: true, 203: true, 204: true, 300: true, 301: true, 308: true, 404: true, 405: true,
			410: true, 414: true, 501: true, 201: false, 302: false, 303: false, 307: false, 400: false, 403: false, 500: false, 503: false} {
			for says, want := range map[string]bool{"max-age=60": true, "": heuristic} {
				path := fmt.Sprintf("/%d/%s", status, says)
				t.origin.status(path, status, "Cache-Control", says, "Last-Modified", t.date(-time.Hour))
				t.get(path)
				if a := t.get(path); (a.Outcome == larder.Hit) != want || a.status != status {
					t.Errorf("%d with %q: got %v %d (%s)", status, says, a.Outcome, a.status, a.Reason)
				}
			}
		}
	}},
	{name: "a status that is not understood is not stored where it must be", run: func(t *T) {
		t.origin.status("/a", 299, "Cache-Control", "max-age=60, must-understand")
		t.origin.status("/b", 299, "Cache-Control", "max-age=60")
		t.get("/a")
		t.get("/b")
		t.get("/a").wantStatus(larder.Miss, 299)
		t.get("/b").wantStatus(larder.Hit, 299)
	}},
	{name: "without freshness a tenth of the time since Last-Modified is taken, a week at most", run: func(t *T) {
		t.origin.numbered("/hours", "Last-Modified", t.date(-10*time.Hour))
		t.origin.numbered("/years", "Last-Modified", t.date(-10*365*24*time.Hour))
		t.get("/hours")
		t.get("/years")
		t.clock.advance(time.Hour - time.Second)
		t.get("/hours").want(larder.Hit, "/hours 1")
		t.clock.advance(time.Second)
		t.get("/hours").want(larder.Miss, "/hours 2")
		t.clock.advance(7*24*time.Hour - time.Hour - time.Second)
		t.get("/years").want(larder.Hit, "/years 1")
		t.clock.advance(time.Second)
		t.get("/years").want(larder.Miss, "/years 2")
	}},
	{name: "the Age is told, and grows by the time since it came, no faster", run: func(t *T) {
		t.origin.page("/a", "hello", "Cache-Control", "max-age=600", "Age", "100")
		t.get("/a")
		t.clock.advance(2 * time.Second)
		for range 5 {
			equal(t, "Age", strings.Join(t.get("/a").header["Age"], ", "), "102")
		}
		t.clock.advance(498 * time.Second)
		t.get("/a").wantStatus(larder.Miss, 200)
	}},
	{name: "an old Date and a slow answer make it older", run: func(t *T) {
		t.origin.page("/old", "hello", "Cache-Control", "max-age=600")
		old := t.origin.pages["/old"]
		t.origin.handle("/old", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", t.date(-time.Minute))
			old(w, r)
		})
		t.get("/old")
		equal(t, "Age after an old Date", t.get("/old").header.Get("Age"), "60")
		t.origin.handle("/slow", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Age", "5")
			w.Header().Set("Cache-Control", "max-age=600")
			t.clock.advance(10 * time.Second)
		})
		t.get("/slow")
		equal(t, "Age after a slow answer", t.get("/slow").header.Get("Age"), "15")
	}},
	{name: "a clock set back does not make anything fresh for ever", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.get("/a")
		t.clock.advance(-time.Hour)
		t.get("/a").want(larder.Miss, "/a 2")
	}},
	{name: "fields of the connection are not stored", run: func(t *T) {
		t.origin.page("/a", "hello", "Cache-Control", "max-age=60", "Connection", "X-Hop", "X-Hop", "1", "Keep-Alive", "timeout=5",
			"Proxy-Authenticate", "Basic", "Upgrade", "h2c", "X-End", "1")
		equal(t, "X-Hop at first", t.get("/a").header.Get("X-Hop"), "1")
		a := t.get("/a")
		a.want(larder.Hit, "hello")
		for _, name := range []string{"Connection", "X-Hop", "Keep-Alive", "Proxy-Authenticate", "Upgrade"} {
			equal(t, name, a.header.Get(name), "")
		}
		equal(t, "X-End", a.header.Get("X-End"), "1")
	}},
	{name: "fields that no-cache names are not stored", run: func(t *T) {
		t.origin.page("/a", "hello", "Cache-Control", `max-age=60, no-cache="x-one, X-Two"`, "X-One", "1", "X-Two", "2", "X-Three", "3")
		equal(t, "X-One at first", t.get("/a").header.Get("X-One"), "1")
		h := t.get("/a").header
		equal(t, "fields from the store", h.Get("X-One")+h.Get("X-Two")+h.Get("X-Three"), "3")
	}},
	{name: "a fresh immutable response is not asked about by a reload", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60, immutable")
		t.get("/a")
		t.get("/a", header("Cache-Control", "max-age=0")).want(larder.Hit, "/a 1")
		t.get("/a", header("Cache-Control", "no-cache")).want(larder.Miss, "/a 2")
		t.clock.advance(time.Minute)
		t.get("/a").want(larder.Miss, "/a 3")
	}},
	{name: "max-stale takes the stale one, within its limit, unless that must be validated", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.origin.numbered("/strict", "Cache-Control", "max-age=60, must-revalidate")
		t.get("/a")
		t.get("/strict")
		t.clock.advance(90 * time.Second)
		t.get("/a", header("Cache-Control", "max-stale")).want(larder.Stale, "/a 1")
		t.get("/a", header("Cache-Control", "max-stale=30")).want(larder.Stale, "/a 1")
		t.get("/strict", header("Cache-Control", "max-stale")).want(larder.Miss, "/strict 2")
		t.get("/a", header("Cache-Control", "max-stale=29")).want(larder.Miss, "/a 2")
	}},
	{name: "a GET's own body takes no part in a HEAD, nor a HEAD's answer in a GET", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		head := t.do("HEAD", "/a")
		head.wantStatus(larder.Miss, 200)
		t.get("/a").want(larder.Miss, "/a 2")
		again := t.do("HEAD", "/a")
		again.want(larder.Hit, "")
		equal(t, "Content-Length", again.resp.ContentLength, int64(len("/a 2")))
	}},
	{name: "a POST with freshness is no answer to a later GET", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.post("/a")
		t.get("/a").want(larder.Miss, "/a 2")
	}},
}, validations...), invalidations...)

// validations are tests of asking the origin whether something still holds.
var validations = []test{
	{name: "what has a validator is asked for with it once it is stale", run: func(t *T) {
		for path, v := range map[string][]string{"/tag": {"Etag", `"1"`, "If-None-Match"}, "/weak": {"Etag", `W/"1"`, "If-None-Match"},
			"/date": {"Last-Modified", t.date(-time.Hour), "If-Modified-Since"}} {
			t.origin.handle(path, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=60")
				w.Header().Set(v[0], v[1])
				if r.Header.Get(v[2]) == v[1] {
					w.WriteHeader(http.StatusNotModified)
					return
				}
				fmt.Fprint(w, "hello")
			})
			t.get(path).want(larder.Miss, "hello")
			t.clock.advance(time.Minute)
			a := t.get(path)
			a.want(larder.Revalidated, "hello")
			equal(t, "status", a.status, 200)
			equal(t, "the origin's status", a.ForwardStatus, 304)
			t.settle()
			t.clock.advance(59 * time.Second)
			t.get(path).want(larder.Hit, "hello")
		}
	}},
	{name: "no-cache is stored, and validated each time", run: func(t *T) {
		t.origin.tagged("/a", `"1"`, "one", "Cache-Control", "no-cache")
		t.get("/a").want(larder.Miss, "one")
		for range 3 {
			t.get("/a").want(larder.Revalidated, "one")
			t.settle()
		}
		t.wantHits("/a", 4)
		t.get("/a", mode(larder.Offline)).wantStatus(larder.Refused, 504)
	}},
	{name: "a 304 brings new fields, and leaves those that describe the body", run: func(t *T) {
		t.origin.page("/a", "hello", "Cache-Control", "max-age=60", "ETag", `"1"`, "Content-Type", "text/x-one", "X-Old", "1", "X-Both", "1", "Age", "10")
		t.get("/a")
		t.clock.advance(time.Minute)
		t.origin.status("/a", 304, "Cache-Control", "max-age=600", "ETag", `"1"`, "X-Both", "2", "X-New", "2", "Content-Length", "99", "Content-Encoding", "br",
			"Connection", "X-Hop", "X-Hop", "1")
		t.get("/a").want(larder.Revalidated, "hello")
		t.settle()
		t.clock.advance(599 * time.Second)
		a := t.get("/a")
		a.want(larder.Hit, "hello")
		for name, want := range map[string]string{"X-Old": "1", "X-Both": "2", "X-New": "2", "Content-Type": "text/x-one", "Content-Encoding": "", "X-Hop": "",
			"Cache-Control": "max-age=600", "Age": "599", "Date": t.date(-599 * time.Second)} {
			equal(t, name, a.header.Get(name), want)
		}
		equal(t, "length", a.resp.ContentLength, int64(5))
	}},
	{name: "a 304 renews what was younger than its Date can tell", run: func(t *T) {
		t.origin.page("/a", "hello", "Cache-Control", "max-age=60", "Last-Modified", t.date(0))
		t.get("/a")
		t.clock.advance(time.Minute)
		t.origin.status("/a", 304, "Cache-Control", "max-age=60")
		t.get("/a").want(larder.Revalidated, "hello")
		t.settle()
		t.get("/a").want(larder.Hit, "hello")
	}},
	{name: "a 304 that forbids to store is used once, and nothing after it", run: func(t *T) {
		t.origin.tagged("/a", `"1"`, "one", "Cache-Control", "max-age=60", "Last-Modified", t.date(-1000*time.Hour))
		t.get("/a")
		t.clock.advance(time.Minute)
		t.origin.tagged("/a", `"1"`, "one", "Cache-Control", "no-store")
		t.get("/a").want(larder.Revalidated, "one")
		t.settle()
		t.wantStored(0)
		t.get("/a").want(larder.Miss, "one")
	}},
	{name: "a 304 for what is not stored is asked again, whole", run: func(t *T) {
		t.origin.tagged("/a", `"1"`, "one", "Cache-Control", "max-age=60")
		t.get("/a")
		t.clock.advance(time.Minute)
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"other"`)
			w.Header().Set("Cache-Control", "max-age=60")
			if r.Header.Get("If-None-Match") != "" {
				w.WriteHeader(304)
				return
			}
			fmt.Fprint(w, "other")
		})
		t.get("/a").want(larder.Miss, "other")
		t.get("/a").want(larder.Hit, "other")
	}},
	{name: "what a 304 says must not be stored answers once more, and goes", run: func(t *T) {
		long := strings.Repeat("long ", 20_000)
		t.origin.tagged("/a", `"1"`, long, "Cache-Control", "max-age=60")
		t.get("/a")
		t.clock.advance(time.Minute)
		t.origin.tagged("/a", `"1"`, long, "Cache-Control", "no-store")
		t.get("/a").want(larder.Revalidated, long)
		t.settle()
		t.wantHits("/a", 2)
		t.wantStored(0)
	}},
	{name: "a 304 to Authorization leaves what a shared cache has for all", run: func(t *T) {
		t = t.shared()
		t.origin.tagged("/a", `"1"`, "one", "Cache-Control", "max-age=60")
		t.get("/a")
		t.clock.advance(time.Minute)
		t.get("/a", header("Authorization", "alice")).want(larder.Revalidated, "one")
		t.settle()
		t.get("/a").want(larder.Revalidated, "one")
		t.get("/a").want(larder.Hit, "one")
		t.clock.advance(time.Minute)
		t.origin.tagged("/a", `"1"`, "one", "Cache-Control", "max-age=60", "Vary", "*")
		t.get("/a", header("Authorization", "alice")).want(larder.Revalidated, "one")
		t.settle()
		t.wantStored(0)
	}},
	{name: "a 304 to a request with no-store leaves what is stored as it was", run: func(t *T) {
		for says, after := range map[string]larder.Outcome{"no-store": larder.Revalidated, `NO-STORE, a="b"`: larder.Revalidated,
			"no-storing": larder.Hit, `a="no-store"`: larder.Hit} {
			t.origin.tagged("/"+says, `"1"`, "one", "Cache-Control", "max-age=60")
			path := "/" + url.PathEscape(says)
			t.get(path)
			t.clock.advance(time.Minute)
			t.get(path, header("Cache-Control", says)).want(larder.Revalidated, "one")
			t.settle()
			t.get(path).want(after, "one")
		}
	}},
	{name: "what is freshened without a Date is dated when that came", run: func(t *T) {
		for _, method := range []string{"GET", "HEAD"} {
			path := "/" + method
			t.origin.tagged(path, `"1"`, "one", "Cache-Control", "max-age=60", "Content-Length", "3")
			t.get(path)
			t.clock.advance(time.Minute)
			t.origin.handle(path, func(w http.ResponseWriter, r *http.Request) {
				set(w.Header(), []string{"ETag", `"1"`, "Cache-Control", "max-age=60"})
				w.Header()["Date"] = nil
				if r.Method == "GET" {
					w.WriteHeader(304)
				}
			})
			t.do(method, path, header("Cache-Control", "no-cache"))
			t.settle()
			want := t.date(0)
			t.clock.advance(time.Second)
			a := t.get(path)
			a.want(larder.Hit, "one")
			equal(t, "Date after "+method, a.header.Get("Date"), want)
		}
	}},
	{name: "a HEAD freshens the stored GET", run: func(t *T) {
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("ETag", `"1"`)
			w.Header().Set("X-Method", r.Method)
			w.Header().Set("Content-Length", "5")
			fmt.Fprint(w, "hello")
		})
		t.get("/a")
		t.clock.advance(50 * time.Second)
		t.do("HEAD", "/a", header("Cache-Control", "no-cache")).wantStatus(larder.Miss, 200)
		t.settle()
		t.clock.advance(50 * time.Second)
		a := t.get("/a")
		a.want(larder.Hit, "hello")
		equal(t, "the field from the HEAD", a.header.Get("X-Method"), "HEAD")
	}},
	{name: "a HEAD that tells of a change invalidates the stored GET", run: func(t *T) {
		for path, changed := range map[string][2]string{"/tag": {"ETag", `"2"`}, "/length": {"Content-Length", "6"}, "/date": {"Last-Modified", t.date(-time.Minute)}} {
			t.origin.page(path, "hello", "Cache-Control", "max-age=60", "ETag", `"1"`, "Last-Modified", t.date(-time.Hour), "Content-Length", "5")
			t.get(path)
			t.origin.handle(path, func(w http.ResponseWriter, r *http.Request) {
				set(w.Header(), []string{"Cache-Control", "no-store", "ETag", `"1"`, "Last-Modified", t.date(-time.Hour), "Content-Length", "5"})
				w.Header().Set(changed[0], changed[1])
			})
			t.do("HEAD", path, header("Cache-Control", "no-cache"))
			t.settle()
			t.origin.page(path, "changed")
			t.get(path).want(larder.Miss, "changed")
		}
	}},
	{name: "a new answer that may not be stored outdates what is", run: func(t *T) {
		t.numberedStale("/a", "max-age=60")
		t.origin.numbered("/a", "Cache-Control", "no-store")
		t.get("/a").want(larder.Miss, "/a 2")
		t.get("/a", mode(larder.OfflineStale)).wantStatus(larder.Refused, 504)
	}},
	{name: "an answer that says nothing of the page leaves what is stored", run: func(t *T) {
		for _, status := range []int{407, 408, 425, 429} {
			path := fmt.Sprint("/", status)
			t.numberedStale(path, "max-age=60")
			t.origin.status(path, status)
			t.get(path).wantStatus(larder.Miss, status)
			t.get(path, mode(larder.OfflineStale)).want(larder.Stale, path+" 1")
		}
	}},
	{name: "answers fetched anew at the same time do not pile up", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.start(10, func(int) answer { return t.try("GET", "/a", mode(larder.ForceRefresh)) }).done()
		t.get("/a", mode(larder.ForceRefresh)).want(larder.Miss, "/a 11")
		t.wantStored(1)
		t.get("/a").want(larder.Hit, "/a 11")
	}},
}

// invalidations are tests of what unsafe methods make invalid (RFC 9111 §4.4).
var invalidations = []test{
	{name: "unsafe and unknown methods invalidate, in every variant, safe ones do not", run: func(t *T) {
		for method, unsafe := range map[string]bool{"POST": true, "PUT": true, "PATCH": true, "DELETE": true, "MOVE": true, "M-SEARCH": true, "FROBNICATE": true,
			"OPTIONS": false, "PROPFIND": false, "HEAD": false} {
			for _, u := range []*T{t, t.shared()} {
				path := fmt.Sprint("/", method, "/", u.cache.Shared)
				u.origin.varies(path, "Accept")
				u.get(path, header("Accept", "a/a"))
				u.get(path, header("Accept", "b/b"))
				u.do(method, path, header("Accept", "a/a"))
				want := larder.Hit
				if unsafe {
					want = larder.Miss
				}
				u.get(path, header("Accept", "a/a")).want(want, `for "a/a"`)
				u.get(path, header("Accept", "b/b")).want(want, `for "b/b"`)
			}
		}
	}},
	{name: "only what succeeds invalidates", run: func(t *T) {
		for status, want := range map[int]larder.Outcome{200: larder.Miss, 201: larder.Miss, 204: larder.Miss, 303: larder.Miss, 400: larder.Hit, 403: larder.Hit, 500: larder.Hit} {
			path := fmt.Sprint("/", status)
			t.origin.numbered(path, "Cache-Control", "max-age=60")
			t.get(path)
			t.origin.status(path, status)
			t.do("PUT", path)
			if a := t.get(path); a.Outcome != want {
				t.Errorf("after %d: got %v, want %v", status, a.Outcome, want)
			}
		}
	}},
	{name: "Location and Content-Location of the same origin are invalidated, too, no others", run: func(t *T) {
		for _, name := range []string{"Location", "Content-Location"} {
			for to, want := range map[string]larder.Outcome{"mine": larder.Miss, "/new/../mine": larder.Miss, t.origin.url + "/mine": larder.Miss,
				"http://other.test/mine": larder.Hit, "//other.test/mine": larder.Hit, "https://origin.test/mine": larder.Hit} {
				t.origin.numbered("/mine", "Cache-Control", "max-age=60")
				t.get("/mine", mode(larder.ForceRefresh))
				t.get("http://other.test/mine", mode(larder.ForceRefresh))
				t.origin.status("/new", http.StatusCreated, name, to)
				t.post("/new")
				if a := t.get("/mine"); a.Outcome != want {
					t.Errorf("%s: %s: got %v, want %v", name, to, a.Outcome, want)
				}
				t.get("http://other.test/mine").wantStatus(larder.Hit, 200)
			}
		}
	}},
	{name: "what a request bypasses it invalidates all the same", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.get("/a")
		t.do("PUT", "/a", mode(larder.Bypass)).want(larder.Bypassed, "/a 2")
		t.get("/a").want(larder.Miss, "/a 3")
	}},
	{name: "a page under another key of its URL is invalidated, too", run: func(t *T) {
		t.rule(larder.Rule{KeyHeaders: []string{"X-Tenant"}})
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.get("/a", header("X-Tenant", "1"))
		t.get("/a", header("X-Tenant", "2"))
		t.do("DELETE", "/a", header("X-Tenant", "1"))
		t.get("/a", header("X-Tenant", "1")).wantStatus(larder.Miss, 200)
		t.get("/a", header("X-Tenant", "2")).wantStatus(larder.Miss, 200)
	}},
	{name: "so is one on its way", run: func(t *T) {
		t.rule(larder.Rule{KeyHeaders: []string{"X-Tenant"}})
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		g := t.origin.hold("/a")
		p := t.start(1, func(int) answer { return t.try("GET", "/a", header("X-Tenant", "1")) })
		t.settle()
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.do("DELETE", "/a")
		g.open()
		p.done()
		t.get("/a", header("X-Tenant", "1")).wantStatus(larder.Miss, 200)
	}},
	{name: "so are the answers to a GET with content", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.get("/a", body("text/plain", "x")).want(larder.Miss, "/a 1")
		t.get("/a", body("text/plain", "x")).want(larder.Hit, "/a 1")
		t.do("PUT", "/a")
		t.get("/a", body("text/plain", "x")).want(larder.Miss, "/a 3")
	}},
	{name: "who wants a new answer does not get one that was asked for before", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		g := t.origin.hold("/a")
		first := t.start(1, func(int) answer { return t.try("GET", "/a") })
		t.settle()
		wishes := []option{header("Cache-Control", "no-cache"), header("Cache-Control", "max-age=0"), header("Pragma", "no-cache")}
		p := t.start(len(wishes), func(i int) answer { return t.try("GET", "/a", wishes[i]) })
		t.settle()
		t.wantHits("/a", 4)
		g.open()
		first.done()
		p.done()
	}},
	{name: "in a shared cache, what an origin answers to a URL in other words answers those words alone", run: func(t *T) {
		u := t.shared()
		u.origin.handle("/login", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			fmt.Fprint(w, r.RequestURI)
		})
		for _, words := range []string{"/login", "/%6cogin", "/login?q=%7E", "/login?q=~", "/%6Cogin"} {
			u.get(words).wantStatus(larder.Miss, 200)
			u.get(words).want(larder.Hit, words)
		}
		u.do("PUT", "/login")
		u.get("/%6cogin").wantStatus(larder.Miss, 200)
		u.get("/login").wantStatus(larder.Miss, 200)
		u.do("PUT", "/%6cogin")
		u.get("/login").wantStatus(larder.Miss, 200)
	}},
	{name: "so it does with No-Vary-Search, in cache groups, and where a rule or Key says which queries are the same", run: func(t *T) {
		u := t.shared()
		u.origin.handle("/A", func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "GET" {
				set(w.Header(), []string{"Cache-Control", "max-age=60", "No-Vary-Search", "params=(\"q\")", "Cache-Groups", `"g"`})
			}
			fmt.Fprint(w, r.RequestURI)
		})
		u.origin.numbered("/b", "Cache-Control", "max-age=60", "Cache-Groups", `"g"`)
		u.get("/%41?q=1").want(larder.Miss, "/%41?q=1")
		u.get("/b")
		u.get("/A?q=1").want(larder.Miss, "/A?q=1")
		u.get("/A?q=2").want(larder.Hit, "/A?q=1")
		u.do("PUT", "/A?q=1")
		u.get("/%41?q=1").want(larder.Miss, "/%41?q=1")
		u.get("/b").want(larder.Miss, "/b 2")
		u.do("PUT", "/%41?q=1")
		u.get("/b").want(larder.Miss, "/b 3")

		u = t.shared()
		u.rule(larder.Rule{SortQuery: true, Ignore: larder.Ignore{Query: []string{"utm_*"}}})
		u.origin.numbered("/c", "Cache-Control", "max-age=60")
		u.get("/c?b=%7E&a=1&utm_source=a%2Db").want(larder.Miss, "/c 1")
		u.get("/c?a=1&b=%7E&utm_source=c").want(larder.Hit, "/c 1")
		u.get("/c?a=1&b=~").want(larder.Miss, "/c 2")

		u = t.shared()
		u.cache.Key = func(*http.Request) string { return "k" }
		u.cache.Store = struct{ store.Store }{t.store} // which can list nothing
		u.origin.numbered("/d", "Cache-Control", "max-age=60")
		u.get("/%64").want(larder.Miss, "/d 1")
		u.settle()
		u.get("/d").want(larder.Hit, "/d 1")
	}},
	{name: "in a shared cache an unsafe request invalidates its URL also where that is spelled otherwise", run: func(t *T) {
		u := t.shared()
		u.origin.numbered("/a", "Cache-Control", "max-age=60")
		u.get("/a").want(larder.Miss, "/a 1")
		u.do("PUT", "/%61")
		u.get("/a").want(larder.Miss, "/a 3")
	}},
	{name: "a redirect is not taken for what it leads to, if that has its key", run: func(t *T) {
		t.rule(larder.Rule{Ignore: larder.Ignore{Query: []string{"utm"}}})
		for from, to := range map[string]string{"/x/../a": "/a", "/~user": "/%7Euser", "/c?utm=1": "/c"} {
			path, _, _ := strings.Cut(from, "?")
			t.origin.handle(path, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=60")
				if r.RequestURI == from {
					w.Header().Set("Location", to)
					w.WriteHeader(http.StatusMovedPermanently)
				}
			})
			t.origin.handle(to, t.origin.pages[path])
			t.get(from).wantStatus(larder.Miss, 200)
			t.get(from).wantStatus(larder.Hit, 200)
		}
		t.origin.status("/e", 301, "Location", "/a", "Cache-Control", "max-age=60")
		t.get("/e")
		t.get("/e").wantStatus(larder.Hit, 200)
		t.wantHits("/e", 1)
	}},
	{name: "what a user changes is invalidated for him, however he says who he is", run: func(t *T) {
		for path, as := range credentials {
			t.origin.numbered(path, "Cache-Control", "max-age=60")
			t.get(path, as("alice"))
			t.post(path, as("alice"))
			t.get(path, as("alice")).want(larder.Miss, path+" 3")
		}
	}},
	{name: "an answer that was under way when it was invalidated is not used afterwards", run: func(t *T) {
		g := make(gate)
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			if r.Method == "PUT" {
				return
			}
			n := t.origin.hits("/a")
			if n == 1 {
				g.wait(r)
			}
			fmt.Fprint(w, n)
		})
		p := t.start(1, func(int) answer { return t.try("GET", "/a") })
		t.settle()
		t.do("PUT", "/a")
		g.open()
		p.done()[0].want(larder.Miss, "1")
		t.get("/a").want(larder.Miss, "3")
	}},
}

// date is the clock's time, d later, as a header field has it.
func (t *T) date(d time.Duration) string { return t.clock.Now().Add(d).UTC().Format(http.TimeFormat) }

// shared returns t with a shared cache on a store of its own.
func (t *T) shared() *T {
	u := *t
	u.store = t.open(t.T)
	u.cache = u.newCache()
	u.cache.Shared = true
	return &u
}
