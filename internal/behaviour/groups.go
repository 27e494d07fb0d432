package behaviour

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

// grouped makes path a numbered page in cache groups, which are given as Cache-Groups has them.
func (o *origin) grouped(path, groups string, header ...string) {
	o.numbered(path, append([]string{"Cache-Control", "max-age=60", "Cache-Groups", groups}, header...)...)
}

// cacheGroups are tests of RFC 9875.
var cacheGroups = []test{
	{name: "an answer to an unsafe request removes the groups it names, in every variant, and no others", run: func(t *T) {
		for _, u := range []*T{t, t.shared()} {
			pre := fmt.Sprint("/", u.cache.Shared)
			u.origin.grouped(pre+"/a", `"g"`, "Vary", "Accept")
			u.origin.grouped(pre+"/b", `"x", "g";p=1`)
			u.origin.grouped(pre+"/capital", `"G"`)
			u.origin.grouped(pre+"/longer", `"gg", "g/"`)
			u.origin.numbered(pre+"/none", "Cache-Control", "max-age=60")
			u.get(pre+"/a", header("Accept", "a/a"))
			u.get(pre+"/a", header("Accept", "b/b"))
			for _, p := range []string{"/b", "/capital", "/longer", "/none"} {
				u.get(pre + p)
			}
			u.get("http://other.test" + pre + "/b")
			u.origin.page(pre+"/do", "done", "Cache-Group-Invalidation", `"unknown", "g"`)
			u.post(pre+"/do").want(larder.Bypassed, "done")
			u.get(pre+"/a", header("Accept", "a/a")).wantStatus(larder.Miss, 200)
			u.get(pre+"/a", header("Accept", "b/b")).wantStatus(larder.Miss, 200)
			u.get(pre+"/b").wantStatus(larder.Miss, 200)
			for _, p := range []string{pre + "/capital", pre + "/longer", pre + "/none", "http://other.test" + pre + "/b"} {
				if a := u.get(p); a.Outcome != larder.Hit {
					t.Errorf("%s: got %v, want a hit", p, a.Outcome)
				}
			}
		}
	}},
	{name: "safe methods invalidate no group, nor does a field that is no list of strings; a failed request may", run: func(t *T) {
		for i, c := range []struct {
			method string
			status int
			field  string
			want   larder.Outcome
		}{
			{"GET", 200, `"g"`, larder.Hit},
			{"HEAD", 200, `"g"`, larder.Hit},
			{"OPTIONS", 200, `"g"`, larder.Hit},
			{"PROPFIND", 207, `"g"`, larder.Hit},
			{"QUERY", 200, `"g"`, larder.Hit},
			{"POST", 200, `g`, larder.Hit},
			{"POST", 200, `"g`, larder.Hit},
			{"POST", 200, `"g", 1`, larder.Hit},
			{"POST", 200, `("g")`, larder.Hit},
			{"POST", 200, `"g"`, larder.Miss},
			{"DELETE", 204, `"g"`, larder.Miss},
			{"PATCH", 303, `"g"`, larder.Miss},
			{"M-SEARCH", 200, `"g"`, larder.Miss},
			{"POST", 500, `"g"`, larder.Miss},
		} {
			path := fmt.Sprint("/", i)
			t.origin.grouped(path, `"g"`)
			t.get(path)
			t.origin.status("/do", c.status, "Cache-Group-Invalidation", c.field)
			t.do(c.method, "/do")
			if a := t.get(path); a.Outcome != c.want {
				t.Errorf("%s %d with %s: got %v, want %v", c.method, c.status, c.field, a.Outcome, c.want)
			}
		}
	}},
	{name: "what an unsafe request invalidates takes its groups along, and they no others", run: func(t *T) {
		t.origin.grouped("/list", `"things", "pages"`)
		t.origin.grouped("/thing", `"things"`)
		t.origin.grouped("/page", `"pages"`)
		for _, p := range []string{"/list", "/thing", "/page"} {
			t.get(p)
		}
		t.do("DELETE", "/thing")
		t.get("/list").want(larder.Miss, "/list 2")
		t.get("/page").want(larder.Hit, "/page 1")
	}},
	{name: "a group is one for all users, as the origin has it", run: func(t *T) {
		as := credentials["/token"]
		t.origin.grouped("/a", `"g"`)
		t.get("/a", as("alice"))
		t.get("/a", as("bob"))
		t.origin.page("/do", "done", "Cache-Group-Invalidation", `"g"`)
		t.post("/do", as("alice"))
		t.wantStored(0)
	}},
	{name: "a host that is named apart from the URL is an origin of its own", run: func(t *T) {
		t.origin.grouped("/a", `"g"`)
		t.get("/a", host("one.test"))
		t.get("/a", host("two.test"))
		t.origin.page("/do", "done", "Cache-Group-Invalidation", `"g"`)
		t.post("/do", host("one.test"))
		t.get("/a", host("one.test")).want(larder.Miss, "/a 3")
		t.get("/a", host("two.test")).want(larder.Hit, "/a 2")
	}},
	{name: "a 304 moves it to other groups", run: func(t *T) {
		t.origin.tagged("/a", `"1"`, "hello", "Cache-Control", "max-age=60", "Cache-Groups", `"old"`)
		t.get("/a")
		t.origin.tagged("/a", `"1"`, "hello", "Cache-Control", "max-age=60", "Cache-Groups", `"new", "newer"`)
		t.clock.advance(time.Minute)
		t.get("/a").want(larder.Revalidated, "hello")
		t.settle()
		t.origin.page("/old", "", "Cache-Group-Invalidation", `"old"`)
		t.post("/old")
		t.get("/a").want(larder.Hit, "hello")
		t.origin.page("/new", "", "Cache-Group-Invalidation", `"new"`)
		t.post("/new")
		t.get("/a").want(larder.Miss, "hello")
	}},
	{name: "a 304 under way renews nothing when the group that it names becomes invalid", run: func(t *T) {
		t.origin.tagged("/a", `"1"`, "hello", "Cache-Control", "max-age=60")
		t.get("/a")
		t.origin.tagged("/a", `"1"`, "hello", "Cache-Control", "max-age=60", "Cache-Groups", `"g"`)
		late := t.origin.hold("/a")
		t.clock.advance(time.Minute)
		p := t.start(1, func(int) answer { return t.try("GET", "/a") })
		t.settle()
		t.origin.page("/do", "done", "Cache-Group-Invalidation", `"g"`)
		t.post("/do")
		late.open()
		p.done()[0].want(larder.Revalidated, "hello")
		t.settle()
		t.get("/a").want(larder.Revalidated, "hello")
	}},
	{name: "a 304 that says nothing of groups leaves it where it was, and keeps the tags of its rule", run: func(t *T) {
		t.rule(larder.Rule{Tags: []string{"mine"}})
		t.origin.tagged("/a", `"1"`, "hello", "Cache-Control", "max-age=60", "Cache-Groups", `"g"`)
		t.get("/a")
		t.origin.tagged("/a", `"1"`, "hello", "Cache-Control", "max-age=60")
		t.clock.advance(time.Minute)
		t.get("/a").want(larder.Revalidated, "hello")
		t.settle()
		equal(t, "tags", strings.Join(t.records()[0].Tags, " "), "mine cache-group:"+t.origin.url+"/g")
		if n, err := t.cache.Purge(t.Context(), store.Query{Tag: "cache-group:" + t.origin.url + "/g"}); n != 1 || err != nil {
			t.Errorf("purged %d by the group's tag, error %v, want 1", n, err)
		}
	}},
	{name: "what is under way is not stored if it is in the group, or nobody knows yet", run: func(t *T) {
		for path, groups := range map[string]string{"/in": `"g"`, "/out": `"x"`, "/unknown": `"g"`} {
			t.origin.grouped(path, groups)
		}
		unknown := t.origin.hold("/unknown")
		halves := make(map[string]gate)
		for path, group := range map[string]string{"/in": `"g"`, "/out": `"x"`} {
			halves[path] = t.origin.halves(path, "hello "+path, "Cache-Control", "max-age=60", "Cache-Groups", group)
		}
		p := t.start(3, func(i int) answer { return t.try("GET", []string{"/in", "/out", "/unknown"}[i]) })
		t.settle()
		t.origin.page("/do", "done", "Cache-Group-Invalidation", `"g"`)
		t.post("/do")
		t.origin.grouped("/in", `"g"`)
		t.get("/in").want(larder.Miss, "/in 2") // it does not join what is outdated
		unknown.open()
		for _, g := range halves {
			g.open()
		}
		for i, want := range []string{"hello /in", "hello /out", "/unknown 1"} {
			p.done()[i].want(larder.Miss, want)
		}
		t.get("/in").want(larder.Hit, "/in 2")
		t.get("/out").want(larder.Hit, "hello /out")
		t.get("/unknown").wantStatus(larder.Miss, 200)
	}},
	{name: "32 groups of 32 characters are kept, and each is enough", run: func(t *T) {
		var names []string
		for i := range 32 {
			names = append(names, fmt.Sprintf(`"%032d"`, i))
		}
		for _, name := range names {
			t.origin.grouped("/a", strings.Join(names, ", "))
			t.get("/a")
			t.origin.page("/do", "done", "Cache-Group-Invalidation", name)
			t.post("/do")
			t.get("/a").wantStatus(larder.Miss, 200)
		}
	}},
	{name: "a new representation is stored after the groups that it invalidates are gone", run: func(t *T) {
		t.origin.grouped("/list", `"g"`)
		t.get("/list")
		t.origin.represents("/a", "Cache-Groups", `"g"`, "Cache-Group-Invalidation", `"g"`)
		t.post("/a").want(larder.Bypassed, "/a 1")
		t.get("/a").want(larder.Hit, "/a 1")
		t.get("/list").want(larder.Miss, "/list 2")
	}},
	{name: "a store that can list nothing does without groups", run: func(t *T) {
		t.cache.Store = struct{ store.Store }{t.store}
		t.origin.grouped("/a", `"g"`)
		t.get("/a")
		t.settle()
		t.origin.page("/do", "done", "Cache-Group-Invalidation", `"g"`)
		t.post("/do").want(larder.Bypassed, "done")
		t.get("/a").want(larder.Hit, "/a 1")
		equal(t, "store failures", len(t.journal.of(larder.StoreFailed)), 0)
		t.do("DELETE", "/a")
		t.get("/a").want(larder.Miss, "/a 3")
	}},
	{name: "a store that is slow to list holds an answer up no longer than one call may take, or the caller waits", run: func(t *T) {
		t.origin.page("/do", "done", "Cache-Group-Invalidation", `"g"`)
		for patience, want := range map[time.Duration]time.Duration{time.Second: time.Second, time.Hour: 2 * time.Second} {
			u := t.through(t.newCache())
			u.cache.Store = &slowList{Store: t.store}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			begun := time.Now()
			a := u.send("POST", "/do", under(ctx))
			if a.err != nil {
				t.Fatal(a.err)
			}
			a.resp.Body.Close()
			equal(t, fmt.Sprint("time until the answer to a caller who waits for ", patience), time.Since(begun), want)
		}
	}},
	{name: "nor is it asked for more groups than at once, and what is in the others is not used", run: func(t *T) {
		u := t.through(t.newCache())
		slow := &slowList{Store: t.store}
		u.cache.Store = slow
		var names, pages []string
		for i := range 20 {
			names, pages = append(names, fmt.Sprintf(`"%d"`, i)), append(pages, fmt.Sprint("/", i))
			t.origin.grouped(pages[i], names[i])
			u.get(pages[i])
		}
		t.origin.page("/do", "done", "Cache-Group-Invalidation", strings.Join(names, ", "))
		begun := time.Now()
		u.post("/do")
		equal(t, "time until the answer", time.Since(begun), 2*time.Second)
		equal(t, "calls", slow.calls.Load(), 8)
		for _, page := range pages {
			u.get(page).want(larder.Miss, page+" 2")
		}
	}},
}

// slowList is a distant store whose listing never comes.
type slowList struct {
	store.Store
	calls atomic.Int32
}

func (s *slowList) Find(ctx context.Context, _ store.Query) iter.Seq2[*store.Record, error] {
	s.calls.Add(1)
	return func(yield func(*store.Record, error) bool) {
		<-ctx.Done()
		yield(nil, ctx.Err())
	}
}
