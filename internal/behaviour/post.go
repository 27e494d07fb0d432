package behaviour

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

// represents makes path a page, numbered, whose answer to a POST or PATCH says that it is what a GET would bring from
// now on.
func (o *origin) represents(path string, header ...string) {
	o.handle(path, func(w http.ResponseWriter, r *http.Request) {
		set(w.Header(), append([]string{"Cache-Control", "max-age=60"}, header...))
		if r.Method != http.MethodGet {
			w.Header().Set("Content-Location", r.URL.RequestURI())
		}
		fmt.Fprintf(w, "%s %d", path, o.hits(path))
	})
}

// newRepresentations are tests of answers to unsafe requests that answer a later GET (RFC 9110 §9.3.3).
var newRepresentations = []test{
	{name: "a POST whose answer is the new representation answers a later GET and HEAD", run: func(t *T) {
		for _, u := range []*T{t, t.shared()} {
			for _, method := range []string{"POST", "PATCH"} {
				path := fmt.Sprint("/", method, u.cache.Shared)
				t.origin.represents(path)
				u.get(path).want(larder.Miss, path+" 1")
				a := u.do(method, path, body(text, "x"))
				a.want(larder.Bypassed, path+" 2")
				equal(t, "stored", a.Stored, true)
				a = u.get(path)
				a.want(larder.Hit, path+" 2")
				equal(t, "Content-Location", a.header.Get("Content-Location"), path)
				u.do("HEAD", path).wantStatus(larder.Hit, 200)
			}
		}
		t.wantStored(2)
	}},
	{name: "it answers the GET for the same query alone, and never another POST", run: func(t *T) {
		t.origin.represents("/a")
		t.post("/a?q=%7e1")
		t.post("/a?q=%7e1").want(larder.Bypassed, "/a 2")
		t.get("/a").want(larder.Miss, "/a 3")
		t.get("/a?q=~1").want(larder.Hit, "/a 2")
	}},
	{name: "other answers to a POST are no answer to a later GET", run: func(t *T) {
		for i, c := range []struct {
			method string
			status int
			header []string
		}{
			{"POST", 200, []string{"Cache-Control", "max-age=60"}},
			{"POST", 200, []string{"Content-Location", ""}},
			{"POST", 200, []string{"Content-Location", "", "Cache-Control", "max-age=60, no-store"}},
			{"POST", 200, []string{"Content-Location", "/other", "Cache-Control", "max-age=60"}},
			{"POST", 200, []string{"Content-Location", "?q", "Cache-Control", "max-age=60"}},
			{"POST", 200, []string{"Content-Location", "http://other.test/", "Cache-Control", "max-age=60"}},
			{"POST", 201, []string{"Content-Location", "", "Cache-Control", "max-age=60"}},
			{"POST", 404, []string{"Content-Location", "", "Cache-Control", "max-age=60"}},
			{"PUT", 200, []string{"Content-Location", "", "Cache-Control", "max-age=60"}},
			{"DELETE", 200, []string{"Content-Location", "", "Cache-Control", "max-age=60"}},
		} {
			path := fmt.Sprint("/", i)
			t.origin.status(path, c.status, c.header...)
			t.do(c.method, path).wantStatus(larder.Bypassed, c.status)
			if a := t.get(path); a.Outcome != larder.Miss {
				t.Errorf("%s %d with %q: got %v, want a miss", c.method, c.status, c.header, a.Outcome)
			}
		}
	}},
	{name: "what the caller or a rule wants of a GET holds for it", run: func(t *T) {
		t.cache.Rules = []larder.Rule{{Match: "**/never", TTL: larder.Never}, {Match: "**/tagged", Tags: []string{"x"}, Strip: []string{"X-Secret"}},
			{Match: "**/mine", Methods: []string{"GET", "POST"}}}
		for _, path := range []string{"/never", "/tagged", "/mine", "/bypass", "/no-store"} {
			t.origin.represents(path, "X-Secret", "1")
		}
		t.post("/never")
		t.get("/never").want(larder.Bypassed, "/never 2")
		t.post("/bypass", mode(larder.Bypass))
		t.get("/bypass").want(larder.Miss, "/bypass 2")
		t.post("/no-store", header("Cache-Control", "no-store"))
		t.get("/no-store").want(larder.Miss, "/no-store 2")
		t.post("/mine", body(text, "x"))
		t.post("/mine", body(text, "x")).want(larder.Hit, "/mine 1")
		t.get("/mine").want(larder.Miss, "/mine 2")
		t.post("/tagged")
		a := t.get("/tagged")
		a.want(larder.Hit, "/tagged 1")
		equal(t, "X-Secret", a.header.Get("X-Secret"), "")
		for _, r := range t.records() {
			if strings.HasSuffix(r.URL, "/tagged") {
				equal(t, "tags", fmt.Sprint(r.Tags, " ", r.Method), "[x] GET")
			}
		}
	}},
	{name: "it is meant by the host that the request names, as what it invalidates is", run: func(t *T) {
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			set(w.Header(), []string{"Cache-Control", "max-age=60", "Content-Location", "http://one.test/a", "Location", "http://one.test/b"})
			fmt.Fprint(w, r.Host)
		})
		t.origin.numbered("/b", "Cache-Control", "max-age=60")
		t.get("/b", host("one.test"))
		t.get("/b", host("two.test"))
		t.post("/a", host("two.test")).want(larder.Bypassed, "two.test")
		t.get("/b", host("one.test")).want(larder.Hit, "/b 1")
		t.get("/a", host("two.test")).want(larder.Miss, "two.test")
		t.post("/a", host("one.test")).want(larder.Bypassed, "one.test")
		t.get("/a", host("one.test")).want(larder.Hit, "one.test")
		t.get("/a", host("two.test")).want(larder.Hit, "two.test")
		t.get("/b", host("one.test")).want(larder.Miss, "/b 3")
		t.get("/b", host("two.test")).want(larder.Hit, "/b 2")
	}},
	{name: "users are kept apart as for a GET", run: func(t *T) {
		for path, as := range credentials {
			t.origin.represents(path)
			t.get(path, as("bob")).want(larder.Miss, path+" 1")
			t.post(path, as("alice"))
			t.get(path, as("alice")).want(larder.Hit, path+" 2")
			t.get(path, as("bob")).want(larder.Hit, path+" 1")
		}
		u := t.shared()
		t.origin.represents("/own")
		t.origin.represents("/all", "Cache-Control", "public")
		u.post("/own", header("Authorization", "x"))
		u.get("/own").want(larder.Miss, "/own 2")
		u.post("/all", header("Authorization", "x"))
		u.get("/all").want(larder.Hit, "/all 1")
	}},
	{name: "it is a variant as any other", run: func(t *T) {
		t.origin.represents("/a", "Vary", "Accept")
		t.post("/a", header("Accept", "a/a"))
		t.get("/a", header("Accept", "b/b")).want(larder.Miss, "/a 2")
		t.get("/a", header("Accept", "a/a")).want(larder.Hit, "/a 1")
	}},
	{name: "the first byte is not held back, and what is cut is not stored", run: func(t *T) {
		for path, whole := range map[string]bool{"/whole": true, "/cut": false} {
			t.origin.numbered(path, "Cache-Control", "max-age=60")
			t.get(path)
			var g gate
			if whole {
				g = t.origin.halves(path, "hello world!", "Content-Location", path, "Cache-Control", "max-age=60", "Content-Length", "12")
			} else {
				g = t.origin.cut(path, "hello world!", "Content-Location", path, "Cache-Control", "max-age=60", "Content-Length", "12")
			}
			a := t.send("POST", path)
			half := make([]byte, 6)
			if _, err := io.ReadFull(a.resp.Body, half); err != nil || string(half) != "hello " {
				t.Errorf("%s: got %q, error %v, before the rest was there", path, half, err)
			}
			g.open()
			_, err := io.ReadAll(a.resp.Body)
			a.resp.Body.Close()
			if (err == nil) != whole {
				t.Errorf("%s: reading the rest: %v", path, err)
			}
			t.settle()
			t.origin.page(path, "new")
			if whole {
				t.get(path).want(larder.Hit, "hello world!")
			} else {
				t.get(path).want(larder.Miss, "new")
			}
		}
	}},
	{name: "a caller who leaves early ends the request, also in the middle of a read", run: func(t *T) {
		gone := make(chan struct{})
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			set(w.Header(), []string{"Content-Location", "/a", "Cache-Control", "max-age=60", "Content-Length", "200000"})
			io.WriteString(w, "hello")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			close(gone)
		})
		a := t.send("POST", "/a")
		p := t.start(1, func(int) answer { return t.read(a) })
		t.settle() // it waits for more
		a.resp.Body.Close()
		<-gone
		p.done()
		t.settle()
		t.wantStored(0)
	}},
	{name: "a GET that was under way before it does not take its place", run: func(t *T) {
		t.origin.represents("/a")
		page := t.origin.pages["/a"]
		g := make(gate)
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				w.Header().Set("Cache-Control", "max-age=60")
				g.wait(r)
				fmt.Fprint(w, "old")
				return
			}
			page(w, r)
		})
		p := t.start(1, func(int) answer { return t.try("GET", "/a") })
		t.settle()
		t.post("/a").want(larder.Bypassed, "/a 2")
		g.open()
		p.done()[0].want(larder.Miss, "old")
		t.get("/a").want(larder.Hit, "/a 2")
		t.wantStored(1)
	}},
	{name: "of two at once the one is stored that nothing has changed since", run: func(t *T) {
		g := t.origin.halves("/a", "first of all", "Content-Location", "/a", "Cache-Control", "max-age=60")
		first := t.send("POST", "/a")
		t.origin.represents("/a")
		t.post("/a").want(larder.Bypassed, "/a 2")
		g.open()
		t.read(first).want(larder.Bypassed, "first of all")
		t.get("/a").want(larder.Hit, "/a 2")
		t.wantStored(1)
	}},
	{name: "what has been changed while it was under way is not stored", run: func(t *T) {
		t.origin.represents("/a", "Cache-Groups", `"g"`)
		t.origin.status("/b", 204, "Cache-Group-Invalidation", `"g"`)
		page := t.origin.pages["/a"]
		for _, c := range []struct {
			method, path string
			stored       bool
		}{{"PUT", "/a", false}, {"POST", "/b", false}, {"POST", "/c", true}, {"GET", "/b", true}} {
			g := make(gate)
			t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					g.wait(r)
				}
				page(w, r)
			})
			p := t.start(1, func(int) answer { return t.try("POST", "/a") })
			t.settle()
			t.do(c.method, c.path)
			g.open()
			if a := p.done()[0]; a.Outcome != larder.Bypassed || a.status != 200 {
				t.Errorf("%s %s meanwhile: %v, status %d", c.method, c.path, a.Outcome, a.status)
			}
			if got := t.get("/a").Outcome == larder.Hit; got != c.stored {
				t.Errorf("%s %s meanwhile: the new representation is stored: %v, want %v", c.method, c.path, got, c.stored)
			}
			if _, err := t.cache.Purge(t.Context(), store.Query{}); err != nil {
				t.Fatal(err)
			}
		}
	}},
}
