package behaviour

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

// admin are tests of looking after what is stored.
var admin = []test{
	{name: "Has says whether a request would be answered from the store", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.wantHas("/a", false)
		t.get("/a")
		t.wantHas("/a", true)
		t.wantHas("/a?x", false)
		t.clock.advance(time.Minute)
		t.wantHas("/a", false)
		t.wantHits("/a", 1)
	}},
	{name: "Delete removes a request's responses and no others", run: func(t *T) {
		t.origin.varies("/a", "Accept")
		t.origin.numbered("/b", "Cache-Control", "max-age=60")
		t.get("/a", header("Accept", "text/html"))
		t.get("/a", header("Accept", "text/plain"))
		t.get("/b")
		if err := t.cache.Delete(t.Context(), t.request("GET", "/a")); err != nil {
			t.Fatal(err)
		}
		t.wantStored(1)
		t.get("/a", header("Accept", "text/html")).want(larder.Miss, `for "text/html"`)
		t.get("/b").want(larder.Hit, "/b 1")
	}},
	{name: "a purge removes what others have put into the store, under whatever key", run: func(t *T) {
		for _, key := range []store.Key{"k", "\x01"} {
			r := &store.Record{Key: key, ID: store.NewID(t.clock.Now()), Head: store.Head{Method: "GET", URL: t.origin.url + "/a", Status: 200}}
			w, err := t.store.Create(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Commit(r); err != nil {
				t.Fatal(err)
			}
			w.Close()
		}
		t.wantPurged(store.Query{}, 2)
		t.wantStored(0)
	}},
	{name: "deleting what is not there is no error", run: func(t *T) {
		if err := t.cache.Delete(t.Context(), t.request("GET", "/a")); err != nil {
			t.Error(err)
		}
		t.wantPurged(store.Query{URL: t.origin.url + "/a"}, 0)
	}},
	{name: "Entries lists every URL once a response, stale ones too", run: func(t *T) {
		want := t.fill(20)
		t.clock.advance(time.Hour)
		var got []string
		for _, r := range t.records() {
			got = append(got, r.URL)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}},
	{name: "an empty cache lists nothing", run: func(t *T) {
		t.wantStored(0)
	}},
	{name: "Entries may stop early and begin again", run: func(t *T) {
		t.fill(5)
		for range 3 {
			n := 0
			for _, err := range t.cache.Entries(t.Context(), store.Query{}) {
				if err != nil {
					t.Fatal(err)
				}
				if n++; n == 2 {
					break
				}
			}
			equal(t, "entries until the break", n, 2)
		}
		t.wantStored(5)
	}},
	{name: "Purge takes a URL, a prefix, a host, a tag, an age, a pattern", run: func(t *T) {
		pattern, err := larder.MatchURL("**/p/*/x")
		if err != nil {
			t.Fatal(err)
		}
		t.cache.Rules = []larder.Rule{{Match: "**/tagged/**", TTL: time.Minute, Tags: []string{"news", "de"}}, {TTL: time.Minute}}
		paths := []string{"/p/1/x", "/p/1/y", "/q/1", "/q/2", "/tagged/1", "/plain"}
		for _, path := range paths {
			t.origin.numbered(path)
			t.get(path)
		}
		t.origin.numbered("/h")
		t.get("http://other.example/h")
		t.wantPurged(store.Query{URL: t.origin.url + "/plain"}, 1)
		t.wantPurged(store.Query{Prefix: t.origin.url + "/q/"}, 2)
		t.wantPurged(store.Query{Host: "other.example"}, 1)
		t.wantPurged(store.Query{Tag: "news"}, 1)
		t.wantPurged(store.Query{Filter: pattern}, 1)
		t.clock.advance(time.Second)
		t.wantPurged(store.Query{Before: t.clock.Now()}, 1)
		t.wantStored(0)
	}},
	{name: "Purge stops at its limit", run: func(t *T) {
		t.fill(5)
		t.wantPurged(store.Query{Limit: 3}, 3)
		t.wantStored(2)
	}},
	{name: "Purge of everything empties the cache", run: func(t *T) {
		t.fill(300)
		t.wantPurged(store.Query{}, 300)
		t.wantStored(0)
		records, _, err := t.cache.Size(t.Context())
		if records != 0 || err != nil {
			t.Errorf("size is %d records, error %v", records, err)
		}
		t.get("/0").want(larder.Miss, "/0 2")
	}},
	{name: "what is stale is purged, what is fresh stays", run: func(t *T) {
		t.origin.numbered("/short", "Cache-Control", "max-age=10")
		t.origin.numbered("/long", "Cache-Control", "max-age=100")
		t.get("/short")
		t.get("/long")
		t.clock.advance(50 * time.Second)
		t.wantPurged(store.Query{Stale: t.clock.Now()}, 1)
		t.get("/long").want(larder.Hit, "/long 1")
	}},
	{name: "Sweep removes what is of no use any more, and nothing before", run: func(t *T) {
		t.cache.KeepStale = time.Hour
		t.origin.numbered("/a", "Cache-Control", "max-age=10")
		t.origin.numbered("/b", "Cache-Control", "max-age=10000")
		t.get("/a")
		t.get("/b")
		t.clock.advance(time.Hour)
		t.wantSwept(0)
		t.get("/a", mode(larder.OfflineStale)).want(larder.Stale, "/a 1")
		t.clock.advance(time.Minute)
		t.wantSwept(1)
		t.wantStored(1)
		t.get("/b").want(larder.Hit, "/b 1")
	}},
	{name: "Size counts responses and their bytes", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Minute})
		noise := make([]byte, 100_000) // no store can make it shorter
		rand.NewChaCha8([32]byte{}).Read(noise)
		t.origin.page("/a", string(noise))
		records, empty, err := t.cache.Size(t.Context())
		if records != 0 || err != nil {
			t.Errorf("size of nothing: %d, error %v", records, err)
		}
		t.get("/a")
		records, bytes, err := t.cache.Size(t.Context())
		if records != 1 || bytes-empty < 100_000 || bytes-empty > 300_000 || err != nil {
			t.Errorf("size: %d records of %d bytes, error %v", records, bytes-empty, err)
		}
	}},
	{name: "the stored body can be read without a request", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Minute})
		big := strings.Repeat("0123456789", 50_000)
		t.origin.page("/small", "hello")
		t.origin.page("/big", big)
		t.origin.page("/none", "")
		for path, want := range map[string]string{"/small": "hello", "/big": big, "/none": ""} {
			t.get(path)
			found, err := t.cache.Lookup(t.Context(), t.request("GET", path))
			if len(found) != 1 || err != nil {
				t.Fatalf("%s: %d stored, error %v", path, len(found), err)
			}
			rc, err := t.cache.Body(t.Context(), found[0])
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(rc)
			rc.Close()
			if string(got) != want || err != nil {
				t.Errorf("%s: got %d bytes, error %v, want %d", path, len(got), err, len(want))
			}
		}
	}},
	{name: "Explain tells what would happen, and does nothing", run: func(t *T) {
		t.rule(larder.Rule{Match: "**/a", TTL: time.Minute})
		t.origin.numbered("/a")
		explain := func() larder.Explanation {
			e, err := t.cache.Explain(t.Context(), t.request("GET", "/a"))
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		equal(t, "verdict before", explain().Verdict.Action.String(), "forward")
		t.get("/a")
		e := explain()
		equal(t, "verdict after", e.Verdict.Action.String(), "serve")
		equal(t, "rule", e.Rule.Match, "**/a")
		equal(t, "fresh until", e.FreshUntil.UTC(), t.clock.Now().Add(time.Minute).UTC())
		t.wantHits("/a", 1)
	}},
	{name: "who looks keeps the body of his request, a longer one than any in a key, too", run: func(t *T) {
		t.rule(posts)
		t.cache.MaxKeyBody = 10
		for _, question := range []string{"short", "far too long"} {
			req := t.request("POST", "/a", once(text, question))
			t.cache.Lookup(t.Context(), req)
			t.cache.Explain(t.Context(), req)
			if b, err := io.ReadAll(req.Body); string(b) != question || err != nil {
				t.Errorf("%q is left of %q, error %v", b, question, err)
			}
		}
	}},
	{name: "a second cache on the same store sees what the first stored", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.get("/a")
		t.through(t.newCache()).get("/a").want(larder.Hit, "/a 1")
	}},
	{name: "Close waits, twice is fine, and the cache works on", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.get("/a")
		for range 2 {
			if err := t.cache.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
		t.get("/a").want(larder.Hit, "/a 1")
	}},
	{name: "a store that cannot list says so", run: func(t *T) {
		c := t.newCache()
		c.Store = struct{ store.Store }{t.store}
		for _, err := range c.Entries(t.Context(), store.Query{}) {
			if !errors.Is(err, larder.ErrUnsupported) {
				t.Errorf("got %v, want ErrUnsupported", err)
			}
		}
	}},
}

// fill stores n pages and returns their URLs, sorted.
func (t *T) fill(n int) []string {
	t.Helper()
	var urls []string
	for i := range n {
		path := fmt.Sprint("/", i)
		t.origin.numbered(path, "Cache-Control", "max-age=60")
		t.get(path).wantStatus(larder.Miss, http.StatusOK)
		urls = append(urls, t.origin.url+path)
	}
	slices.Sort(urls)
	return urls
}

func (t *T) wantHas(path string, want bool) {
	t.Helper()
	got, err := t.cache.Has(t.Context(), t.request("GET", path))
	if got != want || err != nil {
		t.Errorf("Has %s: got %v, error %v, want %v", path, got, err, want)
	}
}

func (t *T) wantPurged(q store.Query, want int) {
	t.Helper()
	got, err := t.cache.Purge(t.Context(), q)
	if got != want || err != nil {
		t.Errorf("purge: removed %d, error %v, want %d", got, err, want)
	}
}

func (t *T) wantSwept(want int) {
	t.Helper()
	got, err := t.cache.Sweep(t.Context())
	if got != want || err != nil {
		t.Errorf("sweep: removed %d, error %v, want %d", got, err, want)
	}
}
