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

// users are tests of several users of one cache: nobody gets somebody else's answer.
var users = []test{
	{name: "a 304 to one who says who he is goes to nobody else", run: func(t *T) {
		t.cache.Shared = true
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			set(w.Header(), []string{"ETag", `"1"`, "Cache-Control", "max-age=60"})
			if r.Header.Get("If-None-Match") == "" {
				io.WriteString(w, "page")
				return
			}
			if user := r.Header.Get("Authorization"); user != "" {
				w.Header().Set("Set-Cookie", "session="+user)
			}
			w.WriteHeader(http.StatusNotModified)
		})
		t.get("/a")
		t.clock.advance(time.Hour)
		g := t.origin.hold("/a")
		first := t.start(1, func(int) answer { return t.try("GET", "/a", header("Authorization", "alice")) })
		t.settle()
		second := t.start(1, func(int) answer { return t.try("GET", "/a") })
		t.settle()
		g.open()
		alice, nobody := first.done()[0], second.done()[0]
		alice.want(larder.Revalidated, "page")
		nobody.want(larder.Revalidated, "page")
		equal(t, "alice's Set-Cookie", alice.header.Get("Set-Cookie"), "session=alice")
		equal(t, "nobody's Set-Cookie", nobody.header.Get("Set-Cookie"), "")
	}},
	{name: "whoever says who he is gets his own answers", run: func(t *T) {
		for path, as := range credentials {
			t.personal(path, "Cache-Control", "max-age=60, public")
			t.get(path, as("alice")).want(larder.Miss, path+" for alice")
			t.get(path, as("bob")).want(larder.Miss, path+" for bob")
			t.get(path).want(larder.Miss, path+" for nobody")
			t.get(path, as("alice")).want(larder.Hit, path+" for alice")
			t.get(path, as("bob")).want(larder.Hit, path+" for bob")
			t.get(path).want(larder.Hit, path+" for nobody")
		}
	}},
	{name: "a rule that stores whatever the headers say keeps users apart, too", run: func(t *T) {
		t.rule(larder.Everything(larder.Forever))
		for path, as := range credentials {
			t.personal(path)
			t.get(path, as("alice")).want(larder.Miss, path+" for alice")
			t.get(path, as("bob")).want(larder.Miss, path+" for bob")
		}
	}},
	{name: "a user in the URL is one, without a client that makes a field of it", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		for i, user := range []string{"alice:x@", "bob:x@", "alice:y@", "", "alice:x@"} {
			resp, err := t.cache.RoundTrip(t.request("GET", strings.Replace(t.origin.url, "//", "//"+user, 1)+"/a"))
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if want := fmt.Sprint("/a ", i%4+1); string(b) != want || err != nil {
				t.Errorf("%q got %q, error %v, want %q", user, b, err, want)
			}
		}
	}},
	{name: "users who ask at once do not share a request", run: func(t *T) {
		for path, as := range credentials {
			t.personal(path, "Cache-Control", "max-age=60")
			names := []string{"alice", "bob"}
			for i, a := range t.start(50, func(i int) answer { return t.try("GET", path, as(names[i%2])) }).done() {
				if want := path + " for " + names[i%2]; a.err != nil || a.body != want {
					t.Errorf("got %v %q, error %v, want %q", a.Outcome, a.body, a.err, want)
				}
			}
			t.wantHits(path, 2)
		}
	}},
	{name: "one user's stale response is neither served nor validated for another", run: func(t *T) {
		as := credentials["/token"]
		t.origin.tagged("/a", `"alice"`, "alice's", "Cache-Control", "max-age=60, stale-while-revalidate=600, stale-if-error=600")
		t.get("/a", as("alice"))
		t.clock.advance(2 * time.Minute)
		if a := t.down().try("GET", "/a", as("bob")); a.err == nil {
			t.Errorf("got %v %q", a.Outcome, a.body)
		}
		t.get("/a", as("bob"), mode(larder.OfflineStale)).wantStatus(larder.Refused, 504)
		t.get("/a", as("bob")).wantStatus(larder.Miss, 200)
		equal(t, "If-None-Match", t.origin.last("/a").Header.Get("If-None-Match"), "")
	}},
	{name: "looking, deleting and asking are for one user", run: func(t *T) {
		as := credentials["/token"]
		t.personal("/a", "Cache-Control", "max-age=60")
		t.get("/a", as("alice"))
		t.wantHas("/a", false)
		found, err := t.cache.Lookup(t.Context(), t.request("GET", "/a", as("bob")))
		if len(found) != 0 || err != nil {
			t.Errorf("bob finds %d responses, error %v", len(found), err)
		}
		if err := t.cache.Delete(t.Context(), t.request("GET", "/a", as("bob"))); err != nil {
			t.Error(err)
		}
		t.get("/a", as("alice")).want(larder.Hit, "/a for alice")
		if err := t.cache.Delete(t.Context(), t.request("GET", "/a", as("alice"))); err != nil {
			t.Error(err)
		}
		t.wantStored(0)
	}},
	{name: "two values of one field are not one value of both", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.get("/a", header("Cookie", "a=1"), header("Cookie", "b=2")).want(larder.Miss, "/a 1")
		t.get("/a", header("Cookie", "a=1b=2")).want(larder.Miss, "/a 2")
		t.get("/a", header("Authorization", "a=1"), header("Cookie", "b=2")).want(larder.Miss, "/a 3")
		t.get("/a", header("Cookie", "a=1"), header("Authorization", "b=2")).want(larder.Miss, "/a 4")
	}},
	{name: "Partition says who shares", run: func(t *T) {
		t.cache.Partition = func(r *http.Request) string { return r.Header.Get("X-Tenant") }
		as := credentials["/token"]
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.get("/a", as("alice"), header("X-Tenant", "1")).want(larder.Miss, "/a 1")
		t.get("/a", as("bob"), header("X-Tenant", "1")).want(larder.Hit, "/a 1")
		t.get("/a", as("bob"), header("X-Tenant", "2")).want(larder.Miss, "/a 2")
		t.get("/a", as("bob")).want(larder.Miss, "/a 3")
	}},
	{name: "an ignored credential keeps nobody apart", run: func(t *T) {
		t.rule(larder.Rule{Ignore: larder.Ignore{Header: []string{"cookie"}}})
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.get("/a", header("Cookie", "a=1")).want(larder.Miss, "/a 1")
		t.get("/a", header("Cookie", "a=2")).want(larder.Hit, "/a 1")
		t.get("/a", header("Cookie", "a=2"), header("Authorization", "x")).want(larder.Miss, "/a 2")
	}},
	{name: "Vary on a credential works", run: func(t *T) {
		t.cache.Partition = func(*http.Request) string { return "" }
		t.origin.varies("/a", "Authorization")
		t.get("/a", header("Authorization", "alice")).want(larder.Miss, `for "alice"`)
		t.get("/a", header("Authorization", "bob")).want(larder.Miss, `for "bob"`)
		t.get("/a", header("Authorization", "alice")).want(larder.Hit, `for "alice"`)
		t.get("/a", header("Authorization", "bob")).want(larder.Hit, `for "bob"`)
	}},
	{name: "Set-Cookie is replayed to its user, and to nobody else", run: func(t *T) {
		as := credentials["/token"]
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("Set-Cookie", "sid="+r.Header.Get("Authorization"))
		})
		for _, outcome := range []larder.Outcome{larder.Miss, larder.Hit} {
			for _, user := range []string{"alice", "bob"} {
				a := t.get("/a", as(user))
				a.wantStatus(outcome, 200)
				equal(t, "Set-Cookie", a.header.Get("Set-Cookie"), "sid=Bearer "+user)
			}
		}
	}},
	{name: "a shared cache stores an authorised answer only where that is allowed, and then for everybody", run: func(t *T) {
		t.cache.Shared = true
		as := credentials["/token"]
		for i, c := range []struct {
			says string
			want larder.Outcome
		}{
			{"max-age=60", larder.Miss},
			{"private, max-age=60", larder.Miss},
			{"max-age=60, private=\"x\"", larder.Miss},
			{"no-store, s-maxage=60", larder.Miss},
			{"public, max-age=60", larder.Hit},
			{"s-maxage=60", larder.Hit},
			{"max-age=60, must-revalidate", larder.Hit},
		} {
			path := fmt.Sprint("/", i)
			t.origin.numbered(path, "Cache-Control", c.says)
			t.get(path, as("alice"))
			if a := t.get(path, as("bob")); a.Outcome != c.want {
				t.Errorf("%s: bob got %v (%s), want %v", c.says, a.Outcome, a.Reason, c.want)
			}
		}
	}},
	{name: "a shared cache keeps users apart where a TTL stands in place of what the headers say of them", run: func(t *T) {
		t.cache.Shared = true
		t.rule(larder.Everything(time.Hour))
		for path, as := range credentials {
			t.personal(path)
			t.get(path, as("alice")).want(larder.Miss, path+" for alice")
			t.get(path, as("bob")).want(larder.Miss, path+" for bob")
			t.get(path, as("alice")).want(larder.Hit, path+" for alice")
		}
	}},
	{name: "in a shared cache what the origin forbids to share is for those alone who ask with a TTL, too", run: func(t *T) {
		t.cache.Shared = true
		for path, fields := range map[string][]string{
			"/private": {"Cache-Control", "private"}, "/no-store": {"Cache-Control", "no-store"}, "/star": {"Vary", "*"},
			"/cookie": {"Set-Cookie", "session=1"},
		} {
			t.personal(path, fields...)
			t.get(path, ttl(time.Hour)).want(larder.Miss, path+" for nobody")
			t.get(path, ttl(time.Hour)).want(larder.Hit, path+" for nobody")
			t.get(path, credentials["/cookie"]("bob")).want(larder.Miss, path+" for bob")
			t.get(path).want(larder.Miss, path+" for nobody")
		}
		t.origin.numbered("/page", "Cache-Control", "max-age=60")
		t.get("/page", ttl(time.Hour))
		t.get("/page").want(larder.Hit, "/page 1")
	}},
	{name: "a shared cache gives nobody's cookie to others, unless the origin says so or a rule withholds it", run: func(t *T) {
		t.cache.Shared = true
		sets := func(path string, fields ...string) {
			t.origin.handle(path, func(w http.ResponseWriter, r *http.Request) {
				for i := 0; i < len(fields); i += 2 {
					w.Header().Set(fields[i], fields[i+1])
				}
				if r.Header.Get("If-None-Match") != "" {
					w.WriteHeader(http.StatusNotModified)
					return
				}
				w.Header().Set("Set-Cookie", "session=1")
				io.WriteString(w, path)
			})
		}
		sets("/old", "Last-Modified", "Mon, 02 Jan 1995 15:04:05 GMT")
		sets("/tagged", "Etag", `"a"`, "Cache-Control", "max-age=0")
		sets("/checked", "Etag", `"a"`, "Cache-Control", "no-cache, max-age=60")
		sets("/public", "Last-Modified", "Mon, 02 Jan 1995 15:04:05 GMT", "Cache-Control", "public")
		sets("/fresh", "Cache-Control", "max-age=60")
		for path, outcome := range map[string]larder.Outcome{"/old": larder.Miss, "/tagged": larder.Miss, "/checked": larder.Miss, "/public": larder.Hit, "/fresh": larder.Hit} {
			t.get(path).want(larder.Miss, path)
			t.get(path).want(outcome, path)
		}
		t.cache.SetRules(larder.Rule{Strip: []string{"Set-Cookie"}})
		t.get("/old").want(larder.Miss, "/old")
		stripped := t.get("/old")
		stripped.want(larder.Hit, "/old")
		equal(t, "Set-Cookie", stripped.header.Get("Set-Cookie"), "")
		sets("/redacted", "Last-Modified", "Mon, 02 Jan 1995 15:04:05 GMT")
		t.cache.SetRules(larder.Rule{Redact: []string{"Set-Cookie"}})
		redacted := t.get("/redacted")
		if redacted.Stored {
			t.Error("what no request can be answered with is stored")
		}
		redacted.want(larder.Miss, "/redacted")
	}},
	{name: "in a shared cache an answer to one user does not remove what is stored for all", run: func(t *T) {
		t.cache.Shared = true
		as := credentials["/token"]("alice")
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.get("/a").want(larder.Miss, "/a 1")
		t.get("/a", as, header("Cache-Control", "no-cache")).want(larder.Miss, "/a 2")
		t.get("/a").want(larder.Hit, "/a 1")
		t.origin.numbered("/a", "Cache-Control", "no-store")
		t.get("/a", as, header("Cache-Control", "no-cache"))
		t.get("/a").wantStatus(larder.Miss, http.StatusOK)

		t.cache.SetRules(larder.Rule{Strip: []string{"Set-Cookie"}})
		t.origin.numbered("/b", "Set-Cookie", "session=1", "Last-Modified", "Mon, 02 Jan 1995 15:04:05 GMT")
		t.get("/b").want(larder.Miss, "/b 1")
		t.get("/b", as, header("Cache-Control", "no-cache")).want(larder.Miss, "/b 2")
		t.get("/b").want(larder.Hit, "/b 1")
	}},
	{name: "in a shared cache one that is private, or not to be stored, does, unless Vary tells users apart: the page may be for all no more", run: func(t *T) {
		t.cache.Shared = true
		for _, says := range []string{"private, max-age=60", "no-store"} {
			for _, field := range []string{"Authorization", "Cookie"} {
				for vary, want := range map[string]larder.Outcome{"": larder.Miss, field: larder.Hit} {
					path := fmt.Sprint("/", says, field, vary)
					t.origin.numbered(path, "Cache-Control", "max-age=60", "Vary", vary)
					t.get(path)
					t.origin.numbered(path, "Cache-Control", says, "Vary", vary)
					t.get(path, header(field, "alice"), header("Cache-Control", "no-cache"))
					if a := t.get(path); a.Outcome != want {
						t.Errorf("%s to one with %s, Vary %q: then got %v, want %v", says, field, vary, a.Outcome, want)
					}
				}
			}
		}
	}},
	{name: "in a shared cache neither does a cookie that is set anew", run: func(t *T) {
		t.cache.Shared = true
		t.origin.tagged("/a", `"1"`, "one", "Cache-Control", "max-age=60")
		t.get("/a").want(larder.Miss, "one")
		for _, tag := range []string{`"2"`, `"1"`} { // a new page, and a 304
			t.origin.tagged("/a", tag, "with a cookie", "Cache-Control", "no-cache", "Set-Cookie", "session=1")
			a := t.get("/a", header("Cache-Control", "no-cache"))
			equal(t, "Set-Cookie", a.header.Get("Set-Cookie"), "session=1")
			t.settle()
			a = t.get("/a")
			a.want(larder.Hit, "one")
			equal(t, "Set-Cookie", a.header.Get("Set-Cookie"), "")
		}
		t.origin.tagged("/a", `"2"`, "with a cookie", "Cache-Control", "no-store", "Set-Cookie", "session=1")
		t.get("/a", header("Cache-Control", "no-cache")).want(larder.Miss, "with a cookie")
		t.wantStored(0)
	}},
	{name: "what is wrong with the request or with who asks removes nothing", run: func(t *T) {
		shared := t.through(t.newCache())
		shared.cache.Shared = true
		for name, u := range map[string]*T{"private": t, "shared": shared} {
			for status, removes := range map[int]bool{400: false, 401: u == t, 403: u == t, 404: true, 406: false, 410: true, 421: false, 431: false, 451: true} {
				path := fmt.Sprint("/", name, status)
				t.origin.numbered(path, "Cache-Control", "max-age=60")
				u.get(path)
				t.origin.status(path, status, "Cache-Control", "no-store")
				u.get(path, header("Cache-Control", "no-cache")).wantStatus(larder.Miss, status)
				want := map[bool]larder.Outcome{true: larder.Miss, false: larder.Hit}[removes]
				if a := u.get(path); a.Outcome != want {
					t.Errorf("%s cache: after a %d got %v, want %v", name, status, a.Outcome, want)
				}
			}
		}
	}},
	{name: "in a shared cache an answer for all that is not stored removes the old one, whoever asked", run: func(t *T) {
		t.cache.Shared = true
		t.rule(larder.Rule{Filter: func(r *http.Response) bool { return r.Header.Get("X-Broken") == "" }})
		t.origin.numbered("/a", "Cache-Control", "public, max-age=60")
		t.get("/a").want(larder.Miss, "/a 1")
		t.origin.numbered("/a", "Cache-Control", "public, max-age=60", "X-Broken", "1")
		t.get("/a", credentials["/token"]("alice"), header("Cache-Control", "no-cache")).want(larder.Miss, "/a 2")
		t.get("/a").want(larder.Miss, "/a 3")
	}},
	{name: "in a shared cache a change invalidates also what the same user, or everybody, has for another TTL", run: func(t *T) {
		t.cache.Shared = true
		as := credentials["/token"]("alice")
		t.origin.numbered("/a", "Cache-Control", "public, max-age=60")
		for i, change := range []option{header("X", "1"), ttl(time.Hour)} {
			t.get("/a", as).want(larder.Miss, fmt.Sprint("/a ", 3*i+1))
			t.get("/a", as, ttl(time.Hour)).want(larder.Miss, fmt.Sprint("/a ", 3*i+2))
			t.do("PUT", "/a", as, change)
		}
		t.get("/a", as).want(larder.Miss, "/a 7")
		t.get("/a", as, ttl(time.Hour)).want(larder.Miss, "/a 8")
	}},
	{name: "users of a shared cache who ask at once share nothing that must be validated", run: func(t *T) {
		t.cache.Shared = true
		as, names := credentials["/cookie"], []string{"alice", "bob"}
		t.origin.handle("/cookie", func(w http.ResponseWriter, r *http.Request) {
			tag := `"` + r.Header.Get("Cookie") + `"`
			set(w.Header(), []string{"Cache-Control", "no-cache", "ETag", tag})
			if strings.Contains(r.Header.Get("If-None-Match"), tag) {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			io.WriteString(w, r.Header.Get("Cookie"))
		})
		for range 2 { // the second time the first of them is answered 304
			g := t.origin.hold("/cookie")
			first := t.start(1, func(int) answer { return t.try("GET", "/cookie", as("alice")) })
			t.settle()
			rest := t.start(9, func(i int) answer { return t.try("GET", "/cookie", as(names[i%2])) })
			t.settle()
			g.open()
			t.wantAll(first.done(), "user=alice")
			for i, a := range rest.done() {
				t.wantAll([]answer{a}, "user="+names[i%2])
			}
			t.get("/cookie", as("alice"))
		}
	}},
	{name: "a shared cache with a Partition keeps its parts apart", run: func(t *T) {
		t.cache.Shared, t.cache.Partition = true, larder.Credentials
		as := credentials["/token"]
		t.personal("/a", "Cache-Control", "s-maxage=60")
		t.get("/a", as("alice")).want(larder.Miss, "/a for alice")
		t.get("/a", as("bob")).want(larder.Miss, "/a for bob")
		t.get("/a", as("alice")).want(larder.Hit, "/a for alice")
	}},
	{name: "a shared cache keeps private answers and fields to itself", run: func(t *T) {
		t.cache.Shared = true
		t.origin.numbered("/private", "Cache-Control", "private, max-age=60")
		t.get("/private")
		t.get("/private").want(larder.Miss, "/private 2")
		t.origin.page("/field", "hello", "Cache-Control", `max-age=60, private="set-cookie"`, "Set-Cookie", "sid=1")
		equal(t, "Set-Cookie at first", t.get("/field").header.Get("Set-Cookie"), "sid=1")
		again := t.get("/field")
		again.want(larder.Hit, "hello")
		equal(t, "Set-Cookie from the store", again.header.Get("Set-Cookie"), "")
	}},
}

// credentials are the ways in which a request says on whose behalf it is.
var credentials = map[string]func(user string) option{
	"/token":  func(user string) option { return header("Authorization", "Bearer "+user) },
	"/cookie": func(user string) option { return header("Cookie", "user="+user) },
	"/url": func(user string) option {
		return func(r *http.Request) *http.Request {
			r.URL.User = url.UserPassword(user, "open sesame")
			return r
		}
	},
}

// personal makes path a page that says who asked.
func (t *T) personal(path string, fields ...string) {
	t.origin.handle(path, func(w http.ResponseWriter, r *http.Request) {
		set(w.Header(), fields)
		who := "nobody"
		for _, name := range []string{"alice", "bob"} {
			user, _, _ := r.BasicAuth()
			if user == name || strings.HasSuffix(r.Header.Get("Authorization")+r.Header.Get("Cookie"), name) {
				who = name
			}
		}
		fmt.Fprintf(w, "%s for %s", path, who)
	})
}
