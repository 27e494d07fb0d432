package behaviour

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/larder-go/larder"
)

// rules are tests of what a rule says beside the TTL.
var rules = []test{
	{name: "only listed statuses are stored", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Minute, Statuses: []int{200, 404, 503}})
		for path, status := range map[string]int{"/ok": 200, "/gone": 410, "/absent": 404, "/down": 503} {
			t.origin.status(path, status)
			t.get(path)
		}
		t.get("/ok").wantStatus(larder.Hit, 200)
		t.get("/absent").wantStatus(larder.Hit, 404)
		t.get("/down").wantStatus(larder.Hit, 503)
		t.get("/gone").wantStatus(larder.Miss, 410)
	}},
	{name: "a status that is not listed any more is not reused", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Minute, Statuses: []int{404}})
		t.origin.status("/a", 404)
		t.get("/a")
		t.get("/a").wantStatus(larder.Hit, 404)
		if err := t.cache.SetRules(larder.Rule{TTL: time.Minute, Statuses: []int{200}}); err != nil {
			t.Fatal(err)
		}
		t.get("/a").wantStatus(larder.Miss, 404)
	}},
	{name: "methods that no rule allows pass through", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Minute})
		for _, m := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			t.origin.numbered("/"+m, "Cache-Control", "max-age=60")
			t.do(m, "/"+m)
			t.do(m, "/"+m).want(larder.Bypassed, "/"+m+" 2")
		}
		t.wantStored(0)
	}},
	{name: "methods that a rule allows are stored, each for itself", run: func(t *T) {
		methods := []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
		t.rule(larder.Rule{TTL: time.Minute, Methods: methods})
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(r.Method)) })
		for _, m := range methods {
			t.do(m, "/a").want(larder.Miss, m)
		}
		for _, m := range methods {
			t.do(m, "/a").want(larder.Hit, m)
		}
	}},
	{name: "a rule that lists GET alone keeps HEAD out", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Minute, Methods: []string{"GET"}})
		t.origin.numbered("/a")
		t.do("HEAD", "/a")
		t.do("HEAD", "/a").wantStatus(larder.Miss, 200) // by the standard, to which nothing here is fresh
		t.get("/a").want(larder.Miss, "/a 3")
		t.get("/a").want(larder.Hit, "/a 3")
	}},
	{name: "ignored query parameters make no difference", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Minute, Ignore: larder.Ignore{Query: []string{"utm_*", "token"}}})
		t.origin.numbered("/a")
		t.get("/a?id=1&token=x&utm_source=mail").want(larder.Miss, "/a 1")
		t.get("/a?id=1&token=y").want(larder.Hit, "/a 1")
		t.get("/a?utm_medium=z&id=1").want(larder.Hit, "/a 1")
		t.get("/a?id=2&token=x").want(larder.Miss, "/a 2")
		t.get("/a?id=1&Token=x").want(larder.Miss, "/a 3")
	}},
	{name: "the origin still gets what the key ignores", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Minute, Ignore: larder.Ignore{Query: []string{"token"}, Header: []string{"X-Trace"}}})
		t.origin.numbered("/a")
		t.get("/a?token=x", header("X-Trace", "7"))
		equal(t, "query", t.origin.last("/a").URL.RawQuery, "token=x")
		equal(t, "header", t.origin.last("/a").Header.Get("X-Trace"), "7")
	}},
	{name: "the order of the query counts unless a rule says otherwise", run: func(t *T) {
		t.cache.Rules = []larder.Rule{{Match: "**/sorted", TTL: time.Minute, SortQuery: true}, {TTL: time.Minute}}
		t.origin.numbered("/a")
		t.origin.numbered("/sorted")
		t.get("/a?x=1&y=2")
		t.get("/a?y=2&x=1").want(larder.Miss, "/a 2")
		t.get("/sorted?x=1&y=2")
		t.get("/sorted?y=2&x=1").want(larder.Hit, "/sorted 1")
	}},
	{name: "headers in the key keep requests apart, others do not", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Minute, KeyHeaders: []string{"x-tenant"}})
		t.origin.numbered("/a")
		t.get("/a", header("X-Tenant", "one")).want(larder.Miss, "/a 1")
		t.get("/a", header("X-Tenant", "two")).want(larder.Miss, "/a 2")
		t.get("/a").want(larder.Miss, "/a 3")
		t.get("/a", header("X-Tenant", "one"), header("X-Other", "z")).want(larder.Hit, "/a 1")
	}},
	{name: "all headers in the key but the ignored ones", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Minute, KeyHeaders: []string{"*"}, Ignore: larder.Ignore{Header: []string{"x-trace*"}}})
		t.origin.numbered("/a")
		t.get("/a", header("X-One", "1"), header("X-Trace-Id", "a")).want(larder.Miss, "/a 1")
		t.get("/a", header("X-One", "1"), header("X-Trace-Id", "b")).want(larder.Hit, "/a 1")
		t.get("/a", header("X-One", "2")).want(larder.Miss, "/a 2")
	}},
	{name: "an ignored header takes no part in Vary", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Minute, Ignore: larder.Ignore{Header: []string{"User-Agent"}}})
		t.origin.varies("/a", "User-Agent")
		t.get("/a", header("User-Agent", "one")).want(larder.Miss, `for "one"`)
		t.get("/a", header("User-Agent", "two")).want(larder.Hit, `for "one"`)
	}},
	{name: "a filter keeps out what it turns away", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Minute, Filter: func(r *http.Response) bool { return r.Header.Get("X-Keep") != "" }})
		t.origin.numbered("/no")
		t.origin.numbered("/yes", "X-Keep", "1")
		t.get("/no")
		t.get("/yes")
		t.get("/no").want(larder.Miss, "/no 2")
		t.get("/yes").want(larder.Hit, "/yes 1")
	}},
	{name: "a filter knows what was asked for, on a hit too", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Minute, Filter: func(r *http.Response) bool { return r.Request != nil && r.Request.URL.Path == "/yes" }})
		t.origin.numbered("/no")
		t.origin.numbered("/yes")
		t.get("/no")
		t.get("/yes")
		t.get("/no").want(larder.Miss, "/no 2")
		t.get("/yes").want(larder.Hit, "/yes 1")
	}},
	{name: "a filter that changes its mind removes what is stored", run: func(t *T) {
		allowed := true
		t.rule(larder.Rule{TTL: time.Minute, Filter: func(*http.Response) bool { return allowed }})
		t.origin.numbered("/a")
		t.get("/a")
		t.get("/a").want(larder.Hit, "/a 1")
		allowed = false
		t.get("/a").want(larder.Miss, "/a 2")
		t.wantStored(0)
		allowed = true
		t.get("/a").want(larder.Miss, "/a 3")
	}},
	{name: "stripped fields reach the caller but not the store", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Minute, Strip: []string{"set-cookie"}})
		t.origin.page("/a", "hello", "Set-Cookie", "sid=1")
		equal(t, "Set-Cookie from the origin", t.get("/a").header.Get("Set-Cookie"), "sid=1")
		equal(t, "Set-Cookie from the store", t.get("/a").header.Get("Set-Cookie"), "")
	}},
	{name: "a stripped field still counts for whether the response may be stored", run: func(t *T) {
		t.rule(larder.Rule{Strip: []string{"Cache-Control"}})
		t.origin.numbered("/a", "Cache-Control", "no-store", "Expires", t.date(time.Hour))
		t.get("/a")
		t.get("/a").want(larder.Miss, "/a 2")
	}},
	{name: "what a 304 says counts before anything is stripped of it", run: func(t *T) {
		t.rule(larder.Rule{Strip: []string{"Vary"}})
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			language := r.Header.Get("Accept-Language")
			set(w.Header(), []string{"Cache-Control", "max-age=60", "Vary", "Accept-Language", "ETag", `"` + language + `"`})
			if r.Header.Get("If-None-Match") == `"`+language+`"` {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			io.WriteString(w, language)
		})
		t.get("/a", header("Accept-Language", "de"))
		t.clock.advance(time.Hour)
		t.get("/a", header("Accept-Language", "de")).want(larder.Revalidated, "de")
		t.get("/a", header("Accept-Language", "de")).want(larder.Hit, "de")
		t.get("/a", header("Accept-Language", "fr")).want(larder.Miss, "fr")

		u := t.shared()
		u.rule(larder.Rule{Strip: []string{"Cache-Control"}})
		u.origin.handle("/b", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"1"`)
			if r.Header.Get("If-None-Match") == "" {
				set(w.Header(), []string{"Cache-Control", "max-age=0", "Last-Modified", t.date(-time.Hour)})
				io.WriteString(w, "b")
				return
			}
			set(w.Header(), []string{"Cache-Control", "private", "X-User", "alice"})
			w.WriteHeader(http.StatusNotModified)
		})
		u.get("/b")
		u.clock.advance(time.Hour)
		equal(t, "X-User for alice", u.get("/b").header.Get("X-User"), "alice")
		u.settle()
		u.wantStored(0)
	}},
	{name: "what is not stored of a 304 reaches the caller whose request it answers", run: func(t *T) {
		for path, c := range map[string]struct {
			cacheControl string
			rule         larder.Rule
		}{
			"/fields":   {`max-age=0, no-cache="Set-Cookie"`, larder.Rule{}},
			"/stripped": {"no-cache", larder.Rule{Strip: []string{"Set-Cookie"}}},
			"/redacted": {"no-cache", larder.Rule{Redact: []string{"Set-Cookie"}}},
		} {
			u := t.through(t.newCache())
			u.rule(c.rule)
			u.origin.handle(path, func(w http.ResponseWriter, r *http.Request) {
				set(w.Header(), []string{"ETag", `"1"`, "Cache-Control", c.cacheControl, "Set-Cookie", fmt.Sprint("n=", u.origin.hits(path))})
				if r.Header.Get("If-None-Match") != "" {
					w.WriteHeader(http.StatusNotModified)
					return
				}
				io.WriteString(w, "page")
			})
			for n := range 3 {
				equal(t, path+": Set-Cookie", u.get(path).header.Get("Set-Cookie"), fmt.Sprint("n=", n+1))
			}
			for _, r := range u.records() {
				if strings.Contains(fmt.Sprint(r.Header), "n=") {
					t.Errorf("%s: stored is %v", path, r.Header)
				}
			}
		}
	}},
	{name: "what the request asks of the cache is heard whatever is ignored", run: func(t *T) {
		t.rule(larder.Rule{Ignore: larder.Ignore{Header: []string{"*"}}})
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.get("/a", header("Cache-Control", "no-store")).want(larder.Miss, "/a 1")
		t.get("/a").want(larder.Miss, "/a 2")
		t.get("/a", header("Cache-Control", "no-cache")).want(larder.Miss, "/a 3")
		t.get("/a", header("Pragma", "no-cache")).want(larder.Miss, "/a 4")
	}},
	{name: "a body longer than MaxBody passes through", run: func(t *T) {
		t.cache.MaxBody = 10
		t.cache.Rules = []larder.Rule{{Match: "**/small/**", TTL: time.Minute, MaxBody: 5}, {TTL: time.Minute}}
		t.origin.page("/ten", strings.Repeat("x", 10))
		t.origin.page("/eleven", strings.Repeat("x", 11))
		t.origin.page("/small/six", strings.Repeat("x", 6))
		t.origin.handle("/unknown", func(w http.ResponseWriter, r *http.Request) {
			w.Write([]byte("12345678"))
			w.(http.Flusher).Flush()
			w.Write([]byte("12345678"))
		})
		for path, want := range map[string]larder.Outcome{"/ten": larder.Hit, "/eleven": larder.Miss, "/small/six": larder.Miss, "/unknown": larder.Miss} {
			first := t.get(path)
			t.get(path).want(want, first.body)
		}
	}},
	{name: "a custom key takes the place of URL and body", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Minute, Methods: []string{"GET", "POST"}})
		t.cache.Key = func(r *http.Request) string { return r.Header.Get("X-Key") }
		t.origin.numbered("/a")
		t.origin.numbered("/b")
		t.get("/a", header("X-Key", "k")).want(larder.Miss, "/a 1")
		t.get("/b", header("X-Key", "k")).want(larder.Hit, "/a 1")
		t.get("/b").want(larder.Miss, "/b 1")
		t.post("/a", header("X-Key", "k"), body("text/plain", "x")).want(larder.Miss, "/a 2")
		t.post("/b", header("X-Key", "k"), body("text/plain", "y")).want(larder.Hit, "/a 2")
	}},
	{name: "URLs that mean the same are the same, others are not", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Minute})
		t.origin.numbered("/a/b")
		t.origin.numbered("/a/b/")
		t.get("http://example.com/a/b").want(larder.Miss, "/a/b 1")
		for _, same := range []string{"http://EXAMPLE.com/a/b", "http://example.com:80/a/b", "http://example.com/a/./b", "http://example.com/a/c/../b",
			"http://example.com/%61/b", "http://example.com/a/b#part"} {
			t.get(same).want(larder.Hit, "/a/b 1")
		}
		for _, other := range []string{"http://example.com:8080/a/b", "http://example.com/a/b?", "http://example.com/a/b?x", "http://example.com/a/b?x=", "http://example.org/a/b", "http://example.com/a/b/"} {
			if a := t.get(other); a.Outcome != larder.Miss {
				t.Errorf("%s: got %v", other, a.Outcome)
			}
		}
	}},
	{name: "a request that names another host than its URL is for that host", run: func(t *T) {
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			io.WriteString(w, r.Host)
		})
		t.get("/a", host("one.example")).want(larder.Miss, "one.example")
		t.get("/a", host("two.example")).want(larder.Miss, "two.example")
		t.get("/a", host("ONE.example:80")).want(larder.Hit, "one.example")
		t.get("/a").want(larder.Miss, strings.TrimPrefix(t.origin.url, "http://"))
		t.post("/a", host("one.example"))
		t.get("/a", host("one.example")).want(larder.Miss, "one.example")
		t.get("/a", host("two.example")).want(larder.Hit, "two.example")
	}},
	{name: "what an opaque URL asks for is not guessed", run: func(t *T) {
		for _, path := range []string{"/a/b", "/c/d"} {
			t.origin.numbered(path, "Cache-Control", "max-age=60")
			t.get("/", opaque("/"+url.PathEscape(path[1:]))).want(larder.Bypassed, path+" 1")
		}
	}},
}
