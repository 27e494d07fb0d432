package behaviour

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/larder-go/larder"
)

// variants are tests of Vary: one URL, several responses.
var variants = []test{
	{name: "eight variants are kept, in whatever order they come and are read", run: func(t *T) {
		languages := []string{"de", "en", "fr", "it", "es", "pt", "nl", "pl"}
		random := rand.New(rand.NewPCG(1, 2))
		for round := range 6 {
			path := fmt.Sprint("/", round)
			t.origin.varies(path, "Accept-Language")
			for _, i := range random.Perm(len(languages)) {
				l := languages[i]
				t.get(path, header("Accept-Language", l)).want(larder.Miss, fmt.Sprintf("for %q", l))
			}
			for range 2 {
				for _, i := range random.Perm(len(languages)) {
					l := languages[i]
					t.get(path, header("Accept-Language", l)).want(larder.Hit, fmt.Sprintf("for %q", l))
				}
			}
			t.wantHits(path, len(languages))
		}
	}},
	{name: "no more variants than the cap are kept, the oldest go", run: func(t *T) {
		t.cache.MaxVariants = 3
		t.origin.varies("/a", "Accept")
		for i := range 6 {
			t.get("/a", header("Accept", fmt.Sprint("x/", i)))
			t.clock.advance(time.Second)
		}
		t.wantStored(3)
		for i := 3; i < 6; i++ {
			t.get("/a", header("Accept", fmt.Sprint("x/", i))).wantStatus(larder.Hit, 200)
		}
		t.get("/a", header("Accept", "x/0")).wantStatus(larder.Miss, 200)
		t.wantStored(3)
	}},
	{name: "a field that is absent is a variant, too", run: func(t *T) {
		t.origin.varies("/a", "X-Mode")
		t.get("/a").want(larder.Miss, `for ""`)
		t.get("/a", header("X-Mode", "1")).want(larder.Miss, `for "1"`)
		t.get("/a").want(larder.Hit, `for ""`)
		t.get("/a", header("X-Mode", "")).want(larder.Miss, `for ""`)
	}},
	{name: "values that mean the same select the same", run: func(t *T) {
		t.origin.varies("/a", "Accept-Language")
		t.get("/a", header("Accept-Language", "de, en;q=0.5"))
		t.get("/a", header("Accept-Language", "de,en;q=0.5")).want(larder.Hit, `for "de, en;q=0.5"`)
		t.get("/a", header("Accept-Language", "de"), header("Accept-Language", "en;q=0.5")).want(larder.Hit, `for "de, en;q=0.5"`)
		t.get("/a", header("Accept-Language", "EN;q=0.5,DE")).want(larder.Hit, `for "de, en;q=0.5"`)
		t.get("/a", header("Accept-Language", "de,en")).want(larder.Miss, `for "de,en"`)
	}},
	{name: "several fields select together", run: func(t *T) {
		t.origin.page("/a", "hello", "Vary", "Accept, X-One", "Vary", "x-two", "Cache-Control", "max-age=60")
		t.get("/a", header("X-One", "1"), header("X-Two", "2"))
		t.get("/a", header("X-Two", "2"), header("X-One", "1")).want(larder.Hit, "hello")
		t.get("/a", header("X-One", "1"), header("X-Two", "3")).want(larder.Miss, "hello")
		t.get("/a", header("X-One", "1"), header("X-Two", "2"), header("Accept", "*/*")).want(larder.Miss, "hello")
	}},
	{name: "Vary: * is never reused", run: func(t *T) {
		for i, vary := range [][]string{{"Vary", "*"}, {"Vary", "Accept, *"}, {"Vary", "Accept", "Vary", "*"}} {
			path := fmt.Sprint("/", i)
			t.origin.numbered(path, append(vary, "Cache-Control", "max-age=60")...)
			t.get(path)
			t.get(path).want(larder.Miss, path+" 2")
		}
	}},
	{name: "a new response replaces its own variant alone", run: func(t *T) {
		t.origin.varies("/a", "Accept", "X-Version", "1")
		t.get("/a", header("Accept", "a/a"))
		t.get("/a", header("Accept", "b/b"))
		t.origin.varies("/a", "Accept", "X-Version", "2")
		t.get("/a", header("Accept", "a/a"), mode(larder.ForceRefresh))
		t.wantStored(2)
		equal(t, "version of a", t.get("/a", header("Accept", "a/a")).header.Get("X-Version"), "2")
		equal(t, "version of b", t.get("/a", header("Accept", "b/b")).header.Get("X-Version"), "1")
	}},
	{name: "validation names the tags of all variants, and a 304 picks one", run: func(t *T) {
		t.origin.varies("/a", "Accept", "ETag", `"html"`)
		t.get("/a", header("Accept", "text/html"))
		t.origin.varies("/a", "Accept", "ETag", `"json"`)
		t.get("/a", header("Accept", "text/json"))
		t.clock.advance(time.Minute)
		t.origin.status("/a", 304, "ETag", `"html"`, "Cache-Control", "max-age=60", "Vary", "Accept")
		t.get("/a", header("Accept", "text/html")).want(larder.Revalidated, `for "text/html"`)
		equal(t, "If-None-Match", t.origin.last("/a").Header.Get("If-None-Match"), `"html", "json"`)
		t.settle()
		t.get("/a", header("Accept", "text/html")).want(larder.Hit, `for "text/html"`)
		t.wantStored(2)
	}},
	{name: "no tag of another variant is sent where none matches", run: func(t *T) {
		t.origin.varies("/a", "Accept-Language", "ETag", `"all"`)
		t.get("/a", header("Accept-Language", "de"))
		t.get("/a", header("Accept-Language", "en")).want(larder.Miss, `for "en"`)
		equal(t, "If-None-Match", t.origin.last("/a").Header.Get("If-None-Match"), "")
		t.wantStored(2)
	}},
	{name: "a 304 that brings a Vary makes a variant of what was none", run: func(t *T) {
		t.origin.tagged("/a", `"1"`, "english", "Cache-Control", "max-age=0")
		t.get("/a", header("Accept-Language", "en"))
		t.clock.advance(time.Second)
		t.origin.status("/a", 304, "ETag", `"1"`, "Cache-Control", "max-age=60", "Vary", "Accept-Language")
		t.get("/a", header("Accept-Language", "en")).want(larder.Revalidated, "english")
		t.settle()
		t.origin.page("/a", "deutsch", "Cache-Control", "max-age=60", "Vary", "Accept-Language")
		t.get("/a", header("Accept-Language", "de")).want(larder.Miss, "deutsch")
		t.get("/a", header("Accept-Language", "en")).want(larder.Hit, "english")
	}},
	{name: "codings are variants: each caller gets the one it asked for", run: func(t *T) {
		t.origin.varies("/a", "Accept-Encoding")
		t.get("/a", header("Accept-Encoding", "br")).want(larder.Miss, `for "br"`)
		t.get("/a", header("Accept-Encoding", "identity")).want(larder.Miss, `for "identity"`)
		t.get("/a", header("Accept-Encoding", "br")).want(larder.Hit, `for "br"`)
	}},
}
