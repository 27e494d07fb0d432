package behaviour

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

// answersQueries makes path a page that answers a QUERY with its content and how often it was asked.
func (o *origin) answersQueries(path string, header ...string) {
	o.handle(path, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		set(w.Header(), header)
		if w.Header().Get("Cache-Control") == "" {
			w.Header().Set("Cache-Control", "max-age=60")
		}
		fmt.Fprintf(w, "%s %d", b, o.hits(path))
	})
}

// queries are tests of QUERY (RFC 10008), which is stored without any rule.
var queries = []test{
	{name: "a QUERY is stored by its content and type, and streams into the store as a GET", run: func(t *T) {
		for _, u := range []*T{t, t.shared()} {
			path := fmt.Sprint("/", u.cache.Shared)
			t.origin.answersQueries(path, "Accept-Query", `"text/plain"`)
			u.do("QUERY", path, body(text, "one")).want(larder.Miss, "one 1")
			u.do("QUERY", path, once(text, "two")).want(larder.Miss, "two 2")
			a := u.do("QUERY", path, body(text, "one"))
			a.want(larder.Hit, "one 1")
			equal(t, "Accept-Query", a.header.Get("Accept-Query"), `"text/plain"`)
			u.do("QUERY", path, once(text, "two")).want(larder.Hit, "two 2")
			u.do("QUERY", path, body(form, "one")).want(larder.Miss, "one 3")
			u.do("QUERY", path+"?q", body(text, "one")).want(larder.Miss, "one 4")
			u.get(path).want(larder.Miss, " 5")
			u.do("QUERY", path, body(text, "one")).want(larder.Hit, "one 1")
			t.clock.advance(time.Minute)
			u.do("QUERY", path, body(text, "one")).want(larder.Miss, "one 6")
		}
	}},
	{name: "what is the same to a reader may be another QUERY", run: func(t *T) {
		t.origin.answersQueries("/a")
		t.do("QUERY", "/a", body(json, `{"a":1,"b":2}`)).want(larder.Miss, `{"a":1,"b":2} 1`)
		t.do("QUERY", "/a", body(json, `{"b":2,"a":1}`)).want(larder.Miss, `{"b":2,"a":1} 2`)
		t.wantStored(2)
	}},
	{name: "it is safe: nothing is invalidated by it, nor by what its answer names", run: func(t *T) {
		t.origin.numbered("/mine", "Cache-Control", "max-age=60")
		t.get("/mine")
		t.origin.answersQueries("/a", "Location", "/mine", "Content-Location", "/mine", "Cache-Group-Invalidation", `"g"`)
		t.get("/a")
		t.do("QUERY", "/a", body(text, "x"))
		t.get("/mine").want(larder.Hit, "/mine 1")
		t.get("/a").want(larder.Hit, " 1")
	}},
	{name: "an unsafe request invalidates the answers for its URL, whatever they were asked, in whatever process", run: func(t *T) {
		for i, u := range []*T{t, t.through(t.newCache()), t.shared()} {
			path := fmt.Sprint("/", i)
			t.origin.answersQueries(path)
			t.origin.answersQueries(path + "/b")
			stored := t
			if u.cache.Shared {
				stored = u
			}
			for _, q := range []string{"one", "two"} {
				stored.do("QUERY", path, body(text, q))
				stored.do("QUERY", path+"?q", body(text, q))
				stored.do("QUERY", path+"/b", body(text, q))
			}
			u.do("PUT", path, body(text, "x"))
			for _, q := range []string{"one", "two"} {
				stored.do("QUERY", path, body(text, q)).wantStatus(larder.Miss, 200)
				stored.do("QUERY", path+"?q", body(text, q)).wantStatus(larder.Hit, 200)
				stored.do("QUERY", path+"/b", body(text, q)).wantStatus(larder.Hit, 200)
			}
			u.do("PUT", path, body(text, "x"))
			stored.do("QUERY", path, body(text, "one")).wantStatus(larder.Miss, 200)
		}
	}},
	{name: "that answers are stored is known for as long as they are, whatever was removed before", run: func(t *T) {
		t.origin.answersQueries("/a", "Cache-Control", "max-age=6000")
		for range 3 {
			t.do("QUERY", "/a", body(text, "one")).wantStatus(larder.Miss, 200)
			t.do("QUERY", "/a", body(text, "one")).wantStatus(larder.Hit, 200)
			t.clock.advance(2 * time.Minute)
			t.do("PUT", "/a")
		}
	}},
	{name: "what a failed or a safe request asks for stays", run: func(t *T) {
		t.origin.answersQueries("/a")
		t.do("QUERY", "/a", body(text, "one"))
		page := t.origin.pages["/a"]
		t.origin.status("/a", 500)
		t.post("/a")
		t.origin.handle("/a", page)
		t.get("/a")
		t.do("QUERY", "/a", body(text, "one")).want(larder.Hit, "one 1")
	}},
	{name: "one that is under way when it is invalidated is not used afterwards", run: func(t *T) {
		g := make(gate)
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			n := t.origin.hits("/a")
			if n == 1 {
				g.wait(r)
			}
			fmt.Fprint(w, n)
		})
		p := t.start(1, func(int) answer { return t.try("QUERY", "/a", body(text, "x")) })
		t.settle()
		t.do("PUT", "/a")
		t.do("QUERY", "/a", body(text, "x")).want(larder.Miss, "3")
		g.open()
		p.done()[0].want(larder.Miss, "1")
		t.do("QUERY", "/a", body(text, "x")).want(larder.Hit, "3")
	}},
	{name: "a store that can list nothing stores none, unless a rule says so", run: func(t *T) {
		t.cache.Store = struct{ store.Store }{t.store}
		t.origin.answersQueries("/a")
		t.do("QUERY", "/a", body(text, "x"))
		t.settle()
		t.do("QUERY", "/a", body(text, "x")).want(larder.Miss, "x 2")
		u := t.through(t.newCache())
		u.cache.Store = t.cache.Store
		u.rule(larder.Rule{Methods: []string{"QUERY"}})
		u.do("QUERY", "/a", body(text, "x")).want(larder.Miss, "x 3")
		t.settle()
		u.do("QUERY", "/a", body(text, "x")).want(larder.Hit, "x 3")
	}},
	{name: "users are kept apart, and a request that says no-store is heard", run: func(t *T) {
		for path, as := range credentials {
			t.origin.answersQueries(path)
			t.do("QUERY", path, as("alice"), body(text, "x")).want(larder.Miss, "x 1")
			t.do("QUERY", path, as("bob"), body(text, "x")).want(larder.Miss, "x 2")
			t.do("QUERY", path, as("alice"), body(text, "x")).want(larder.Hit, "x 1")
		}
		t.origin.answersQueries("/no-store")
		t.do("QUERY", "/no-store", header("Cache-Control", "no-store"), body(text, "x"))
		t.do("QUERY", "/no-store", body(text, "x")).want(larder.Miss, "x 2")
	}},
	{name: "content that is too long for a key is sent whole and not cached", run: func(t *T) {
		t.cache.MaxKeyBody = 1000
		t.origin.handle("/a", echo)
		for range 2 {
			t.do("QUERY", "/a", once(text, long("x", 2000))).want(larder.Bypassed, long("x", 2000))
		}
		t.wantStored(0)
	}},
	{name: "it is validated with its content, and the 304 renews the answer to that QUERY alone", run: func(t *T) {
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			tag := fmt.Sprintf("%q", b)
			set(w.Header(), []string{"Cache-Control", "max-age=60", "ETag", tag})
			if r.Header.Get("If-None-Match") == tag {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			w.Write(b)
		})
		t.do("QUERY", "/a", once(text, "one")).want(larder.Miss, "one")
		t.do("QUERY", "/a", once(text, "two")).want(larder.Miss, "two")
		t.clock.advance(time.Minute)
		t.do("QUERY", "/a", once(text, "one")).want(larder.Revalidated, "one")
		t.do("QUERY", "/a", once(text, "one")).want(larder.Hit, "one")
		t.do("QUERY", "/a", once(text, "two")).want(larder.Revalidated, "two")
	}},
	{name: "the caller's conditions and ranges are answered from the stored answer", run: func(t *T) {
		t.origin.answersQueries("/a", "ETag", `"1"`)
		t.do("QUERY", "/a", body(text, "hello"))
		t.do("QUERY", "/a", body(text, "hello"), header("If-None-Match", `"1"`)).wantStatus(larder.Hit, 304)
		a := t.do("QUERY", "/a", body(text, "hello"), header("Range", "bytes=1-3"))
		a.wantStatus(larder.Hit, 206)
		a.want(larder.Hit, "ell")
		t.wantHits("/a", 1)
	}},
	{name: "many at once are one request, for each content", run: func(t *T) {
		t.origin.answersQueries("/a")
		g := t.origin.hold("/a")
		p := t.start(20, func(i int) answer { return t.try("QUERY", "/a", body(text, fmt.Sprint("q", i%2))) })
		t.settle()
		t.wantHits("/a", 2)
		g.open()
		for i, a := range p.done() {
			if a.err != nil || !strings.HasPrefix(a.body, fmt.Sprint("q", i%2)) {
				t.Errorf("caller %d got %q, error %v", i, a.body, a.err)
			}
		}
		t.wantHits("/a", 2)
	}},
	{name: "a rule for a URL holds for QUERY, too", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Hour, Ignore: larder.Ignore{JSON: []string{"id"}}})
		t.origin.answersQueries("/a", "Cache-Control", "no-store")
		t.do("QUERY", "/a", body(json, `{"a":1,"id":1}`))
		t.do("QUERY", "/a", body(json, `{"id":2,"a":1}`)).want(larder.Hit, `{"a":1,"id":1} 1`)
		t.do("QUERY", "/a", body(json, `{"id":2,"a":1}`), header("Cache-Control", "no-transform")).wantStatus(larder.Miss, 200)
	}},
	{name: "a POST that a rule allows is not answered by a condition that means another thing there", run: func(t *T) {
		t.rule(posts)
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"1"`)
			echo(w, r)
		})
		t.post("/a", body(text, "x"))
		t.post("/a", body(text, "x"), header("If-None-Match", `"1"`)).want(larder.Hit, "x")
	}},
}
