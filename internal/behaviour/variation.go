package behaviour

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

// says makes path a numbered page with No-Vary-Search.
func (o *origin) says(path, noVarySearch string, header ...string) {
	o.numbered(path, append([]string{"Cache-Control", "max-age=60", "No-Vary-Search", noVarySearch}, header...)...)
}

// variations are tests of No-Vary-Search.
var variations = []test{
	{name: "a response answers the queries that it says are the same, and no others", run: func(t *T) {
		for i, c := range []struct {
			says     string
			one, two string
			want     larder.Outcome
		}{
			{"key-order", "?a=1&b=2", "?b=2&a=1", larder.Hit},
			{"key-order", "?a=1&b=2", "?b=2&a=2", larder.Miss},
			{"key-order", "?a=1&a=2", "?a=2&a=1", larder.Miss},
			{"key-order", "", "?", larder.Hit},
			{"key-order", "?a=x", "?%61=%78&&", larder.Hit},
			{"key-order", "?%%34%31=1", "?%41=1", larder.Miss},
			{`params=("utm" "x")`, "?a=1&utm=1", "?x=3&a=1", larder.Hit},
			{`params=("utm" "x")`, "?a=1&utm=1", "?a=1&Utm=1", larder.Miss},
			{`params=("utm")`, "", "?utm=1", larder.Hit},
			{`params=("utm")`, "?utm=1", "", larder.Hit},
			{`params=("utm")`, "?a=1&b=2", "?b=2&a=1", larder.Miss},
			{`except=("id")`, "?id=1&a", "?b&id=1", larder.Hit},
			{`except=("id")`, "?id=1", "?id=2", larder.Miss},
			{`except=()`, "?id=1", "?id=2", larder.Hit},
			{`key-order, params=("a")`, "?b=1&c=2&a=1", "?c=2&b=1", larder.Hit},
			{`params`, "?a=1", "?a=2", larder.Miss},
			{`params, except=("id")`, "?a=1", "?a=2", larder.Miss},
			{`params=("a"`, "?a=1", "?a=2", larder.Miss},
			{`params=()`, "?a=1", "?a=1&", larder.Miss},
			{`unknown`, "?a=1", "?a=1&", larder.Miss},
		} {
			for _, u := range []*T{t, t.shared()} {
				path := fmt.Sprint("/", i, "/", u.cache.Shared)
				u.origin.says(path, c.says)
				u.get(path+c.one).want(larder.Miss, path+" 1")
				u.get(path+c.one).want(larder.Hit, path+" 1")
				if a := u.get(path + c.two); a.Outcome != c.want {
					t.Errorf("%s, %q then %q: got %v (%s), want %v", c.says, c.one, c.two, a.Outcome, a.Reason, c.want)
				}
				u.get(path+c.one).want(larder.Hit, path+" 1")
				u.get(path+"/other"+c.two).wantStatus(larder.Miss, 404)
			}
		}
	}},
	{name: "HEAD, conditions and ranges are answered from it, too", run: func(t *T) {
		t.origin.says("/a", `params=("u")`, "ETag", `"1"`)
		t.get("/a?u=1")
		t.do("HEAD", "/a?u=2").wantStatus(larder.Hit, 200)
		t.get("/a?u=3", header("If-None-Match", `"1"`)).wantStatus(larder.Hit, 304)
		a := t.get("/a?u=4", header("Range", "bytes=0-1"))
		a.want(larder.Hit, "/a")
		equal(t, "status", a.status, 206)
		t.wantHits("/a", 1)
		t.wantStored(1)
	}},
	{name: "a stale one is validated under another query, and replaced under another", run: func(t *T) {
		t.origin.tagged("/a", `"1"`, "hello", "Cache-Control", "max-age=60", "No-Vary-Search", `params=("u")`)
		t.get("/a?u=1").want(larder.Miss, "hello")
		t.clock.advance(time.Minute)
		t.get("/a?u=2").want(larder.Revalidated, "hello")
		t.settle()
		t.get("/a?u=3").want(larder.Hit, "hello")
		t.clock.advance(time.Minute)
		t.origin.tagged("/a", `"2"`, "world", "Cache-Control", "max-age=60", "No-Vary-Search", `params=("u")`)
		t.get("/a?u=4").want(larder.Miss, "world")
		t.get("/a?u=1").want(larder.Hit, "world")
		t.wantStored(1)
		t.get("/a?u=1", mode(larder.ForceRefresh)).want(larder.Miss, "world")
		t.wantStored(1)
	}},
	{name: "variants and users are kept apart as ever", run: func(t *T) {
		t.origin.varies("/a", "Accept", "No-Vary-Search", `params=("u")`)
		t.get("/a?u=1", header("Accept", "a/a"))
		t.get("/a?u=2", header("Accept", "b/b")).want(larder.Miss, `for "b/b"`)
		t.get("/a?u=3", header("Accept", "a/a")).want(larder.Hit, `for "a/a"`)
		t.get("/a?u=3", header("Accept", "b/b")).want(larder.Hit, `for "b/b"`)
		for path, as := range credentials {
			t.origin.says(path, `params=("u")`)
			t.get(path+"?u=1", as("alice"))
			t.get(path+"?u=2", as("bob")).want(larder.Miss, path+" 2")
			t.get(path+"?u=3", as("alice")).want(larder.Hit, path+" 1")
		}
	}},
	{name: "when the origin changes its mind, the newest answer counts for its own query", run: func(t *T) {
		t.origin.says("/a", `params=("u")`)
		t.get("/a?u=1").want(larder.Miss, "/a 1")
		t.clock.advance(time.Minute)
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.get("/a?u=1").want(larder.Miss, "/a 2")
		t.get("/a?u=1").want(larder.Hit, "/a 2")
		t.get("/a?u=2").want(larder.Miss, "/a 3")
		t.origin.says("/a", `params=("v")`)
		t.get("/a?u=1", mode(larder.ForceRefresh)).want(larder.Miss, "/a 4")
		t.get("/a?u=1&v=1").want(larder.Hit, "/a 4")
		t.get("/a?u=2").want(larder.Hit, "/a 3")
		t.wantStored(2)
	}},
	{name: "a 304 that changes what it says takes effect", run: func(t *T) {
		t.origin.tagged("/a", `"1"`, "hello", "Cache-Control", "max-age=60", "No-Vary-Search", `params=("u")`)
		t.get("/a?u=1")
		t.clock.advance(time.Minute)
		t.origin.tagged("/a", `"1"`, "hello", "Cache-Control", "max-age=60", "No-Vary-Search", `params=("v")`)
		t.get("/a?u=1").want(larder.Revalidated, "hello")
		t.settle()
		t.get("/a?u=2").want(larder.Miss, "hello")
	}},
	{name: "another process on the same store, and a later one, find it", run: func(t *T) {
		t.origin.says("/a", `params=("u")`)
		early := t.through(t.newCache())
		t.get("/a?u=1").want(larder.Miss, "/a 1")
		later := t.through(t.newCache())
		later.get("/a?u=2").want(larder.Hit, "/a 1")
		early.get("/a?u=3").want(larder.Hit, "/a 1")
		t.origin.says("/b", `params=("u")`)
		t.origin.pages["/b"] = nil
		early.get("/b?u=1").wantStatus(larder.Miss, 404)
		t.origin.says("/b", `params=("u")`)
		t.get("/b?u=2").want(larder.Miss, "/b 2")
		t.clock.advance(59 * time.Second)
		early.get("/b?u=3").wantStatus(larder.Miss, 200) // it knew of nothing, a minute ago
		t.clock.advance(time.Second)
		early.get("/b?u=4").wantStatus(larder.Hit, 200)
	}},
	{name: "invalidation and Delete reach it by its own URL and by an equivalent one", run: func(t *T) {
		t.origin.says("/a", `params=("u")`)
		later := t.through(t.newCache())
		for _, remove := range []func(url string){
			func(u string) { t.post(u) },
			func(u string) { later.do("DELETE", u) },
			func(u string) {
				if err := t.cache.Delete(t.Context(), t.request("GET", u)); err != nil {
					t.Error(err)
				}
			},
		} {
			for _, u := range []string{"/a?u=1", "/a?u=2", "/a"} {
				t.get("/a?u=1", mode(larder.ForceRefresh))
				t.wantStored(1)
				remove(u)
				t.wantStored(0)
			}
		}
		t.get("/a?u=1")
		t.post("/a?other")
		t.wantStored(1)
	}},
	{name: "what is under way when another query is invalidated, or deleted, is used afterwards only if it says nothing of other queries", run: func(t *T) {
		remove := map[string]func(url string){
			"PUT": func(url string) { t.do("PUT", url) },
			"Delete": func(url string) {
				if err := t.cache.Delete(t.Context(), t.request("GET", url)); err != nil {
					t.Error(err)
				}
			},
		}
		for by, remove := range remove {
			for i, c := range []struct{ says, want string }{{`params=("u")`, "after"}, {`params=()`, "before"}} {
				g := make(gate)
				path := fmt.Sprint("/", by, i)
				t.origin.handle(path, func(w http.ResponseWriter, r *http.Request) {
					set(w.Header(), []string{"Cache-Control", "max-age=60", "No-Vary-Search", c.says})
					if t.origin.hits(path) > 1 {
						fmt.Fprint(w, "after")
						return
					}
					g.wait(r)
					fmt.Fprint(w, "before")
				})
				first := t.start(1, func(int) answer { return t.try("GET", path+"?u=1") })
				t.settle()
				remove(path + "?u=2")
				later := t.start(2, func(int) answer { return t.try("GET", path+"?u=1") })
				t.settle()
				g.open()
				first.done()[0].want(larder.Miss, "before")
				t.wantAll(later.done(), c.want)
				t.get(path+"?u=1").want(larder.Hit, c.want)
				t.get(path+"?u=2").wantStatus(map[string]larder.Outcome{"after": larder.Hit, "before": larder.Miss}[c.want], 200)
			}
		}
	}},
	{name: "it says nothing of other methods than GET and HEAD", run: func(t *T) {
		t.rule(larder.Rule{Methods: []string{"GET", "OPTIONS"}, TTL: time.Minute})
		t.origin.says("/a", `params=("x")`)
		t.do("OPTIONS", "/a?x=1").want(larder.Miss, "/a 1")
		t.do("OPTIONS", "/a?x=2").want(larder.Miss, "/a 2")
	}},
	{name: "Has, Lookup and Explain know it; Entries and Purge do not show what leads to it", run: func(t *T) {
		t.origin.says("/a", `params=("u")`)
		t.get("/a?u=1")
		req := t.request("GET", "/a?u=2")
		if ok, err := t.cache.Has(t.Context(), req); !ok || err != nil {
			t.Errorf("Has: got %v, %v", ok, err)
		}
		records, err := t.cache.Lookup(t.Context(), req)
		if len(records) != 1 || err != nil {
			t.Errorf("Lookup: got %d records, error %v", len(records), err)
		}
		if e, err := t.cache.Explain(t.Context(), req); err != nil || e.Selected == nil {
			t.Errorf("Explain: got %+v, error %v", e, err)
		}
		equal(t, "Decision.Key", t.get("/a?u=3").Key, records[0].Key)
		t.wantStored(1)
		if n, err := t.cache.Purge(t.Context(), store.Query{URL: t.origin.url + "/a?u=1"}); n != 1 || err != nil {
			t.Errorf("purged %d, error %v, want 1", n, err)
		}
		t.get("/a?u=2").want(larder.Miss, "/a 2")
		t.get("/a?u=3").want(larder.Hit, "/a 2")
		if n, err := t.cache.Purge(t.Context(), store.Query{}); n != 1 || err != nil {
			t.Errorf("purged %d, error %v, want 1", n, err)
		}
		for _, err := range t.store.(store.Finder).Find(t.Context(), store.Query{}) {
			t.Errorf("something is left, error %v", err)
		}
		t.get("/a?u=2").want(larder.Miss, "/a 3")
		t.through(t.newCache()).get("/a?u=3").want(larder.Hit, "/a 3")
	}},
	{name: "a process that waits for another's answer finds it by what it says", run: func(t *T) {
		if _, ok := store.As[store.Leaser](t.store); !ok {
			t.Skip("the store is no Leaser")
		}
		t.origin.says("/a", `params=("u")`)
		g := t.origin.hold("/a")
		p := t.start(2, func(int) answer {
			u := t.through(t.newCache())
			u.cache.LeaseTime = time.Second
			return u.try("GET", "/a?u=1")
		})
		t.settle()
		t.wantHits("/a", 1)
		g.open()
		t.wantAll(p.done(), "/a 1")
		t.wantHits("/a", 1)
	}},
	{name: "where a rule says itself which queries are the same, the rule counts", run: func(t *T) {
		for i, r := range []larder.Rule{{SortQuery: true}, {Ignore: larder.Ignore{Query: []string{"i"}}}, {Redact: []string{"r"}}, {Strip: []string{"No-Vary-Search"}}} {
			u := t.through(t.newCache())
			u.rule(r)
			path := fmt.Sprint("/", i)
			t.origin.says(path, `params=("u")`)
			u.get(path + "?u=1")
			u.get(path+"?u=2").want(larder.Miss, path+" 2")
		}
		u := t.through(t.newCache())
		u.cache.Key = func(r *http.Request) string { return r.URL.RawQuery }
		t.origin.says("/key", `params=("u")`)
		u.get("/key?u=1")
		u.get("/key?u=2").want(larder.Miss, "/key 2")
	}},
	{name: "values without end are no more than a few keys", run: func(t *T) {
		for i := range 20 {
			t.origin.says("/a", fmt.Sprintf(`params=("u%d")`, i))
			url := fmt.Sprint("/a?q=", i)
			t.get(url)
			t.get(url).want(larder.Hit, fmt.Sprint("/a ", i+1))
		}
		t.origin.says("/b", `params=("`+strings.Repeat("x", 5000)+`")`)
		t.get("/b?a").want(larder.Miss, "/b 1")
		t.get("/b?a").want(larder.Hit, "/b 1")
	}},
	{name: "nor are those of answers that are all under way before the first of them is stored", run: func(t *T) {
		counted := &counting{Store: t.store}
		t.cache.Store = counted
		var bodies []answer
		var gates []gate
		for i := range 20 {
			gates = append(gates, t.origin.halves("/a", "hello", "Cache-Control", "max-age=60", "No-Vary-Search", fmt.Sprintf(`params=("u%d")`, i)))
			bodies = append(bodies, t.begin(fmt.Sprint("/a?", i)))
		}
		for i, a := range bodies {
			gates[i].open()
			t.read(a).want(larder.Miss, "hello")
		}
		t.origin.numbered("/a")
		counted.lookups.Store(0)
		t.get("/a?x=1")
		equal(t, "lookups for its own key, and for what is said", counted.lookups.Load(), 1+8)
	}},
	{name: "a hit without it looks into the store once, a miss not again for what it says", run: func(t *T) {
		counted := &counting{Store: t.store}
		t.cache.Store = counted
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.origin.says("/b", `params=("u")`)
		t.get("/a?x=0")
		t.settle()
		counted.lookups.Store(0)
		t.get("/c?x=1")
		equal(t, "lookups of a miss at an origin that has said nothing", counted.lookups.Load(), 1)
		t.get("/b?u=1")
		t.settle()
		t.get("/a?x=1")
		t.settle()
		for what, c := range map[string]struct {
			url  string
			want int32
		}{"a hit": {"/a?x=1", 1}, "a miss where nothing is said": {"/a?x=2", 1}, "an equivalent hit": {"/b?u=2", 2}} {
			counted.lookups.Store(0)
			t.get(c.url)
			t.settle()
			if n := counted.lookups.Load(); n != c.want {
				t.Errorf("%s: %d lookups, want %d", what, n, c.want)
			}
		}
	}},
	{name: "what leads to answers to QUERY is kept in use as they are, once a minute", run: func(t *T) {
		counted := &counting{Store: t.store}
		t.cache.Store = struct {
			store.Store
			store.Finder
		}{counted, t.store.(store.Finder)}
		t.origin.answersQueries("/a", "Cache-Control", "max-age=600")
		t.do("QUERY", "/a", body(text, "x"))
		t.settle()
		for _, want := range []int32{1, 3, 1} { // the second after a minute
			counted.lookups.Store(0)
			t.do("QUERY", "/a", body(text, "x")).wantStatus(larder.Hit, 200)
			t.settle()
			equal(t, "lookups", counted.lookups.Load(), want)
			if want == 1 {
				t.clock.advance(time.Minute)
			}
		}
	}},
	{name: "an answer to a POST that is the new representation is that for equivalent queries, too", run: func(t *T) {
		t.origin.represents("/a", "No-Vary-Search", `params=("u")`)
		t.post("/a?u=1").want(larder.Bypassed, "/a 1")
		t.get("/a?u=2").want(larder.Hit, "/a 1")
	}},
	{name: "a body that is cut is not stored under any query", run: func(t *T) {
		g := t.origin.cut("/a", "hello world!", "Cache-Control", "max-age=60", "No-Vary-Search", `params=("u")`, "Content-Length", "12")
		a := t.begin("/a?u=1")
		g.open()
		if _, err := io.ReadAll(a.resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("reading it: %v", err)
		}
		a.resp.Body.Close()
		t.settle()
		t.origin.says("/a", `params=("u")`)
		t.get("/a?u=2").want(larder.Miss, "/a 2")
	}},
}

// counting counts the lookups.
type counting struct {
	store.Store
	lookups atomic.Int32
}

func (c *counting) Lookup(ctx context.Context, key store.Key) ([]*store.Record, error) {
	c.lookups.Add(1)
	return c.Store.Lookup(ctx, key)
}
