package behaviour

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/internal/errno"
)

const whileRevalidate = "max-age=60, stale-while-revalidate=60"

// stale are tests of stale-while-revalidate; those of stale-if-error are in staleiferror.go.
var stale = append([]test{
	{name: "a hundred callers are served at once, and one validation goes on behind them", run: func(t *T) {
		open := t.slowly("/a", whileRevalidate)
		p := t.start(100, func(i int) answer { return t.try("GET", "/a") })
		equal(t, "answers by outcome", fmt.Sprint(outcomes(p.done())), "map[stale:100]")
		t.settle()
		t.wantHits("/a", 2)
		open()
		t.get("/a").want(larder.Hit, "one")
		t.wantHits("/a", 2)
	}},
	{name: "callers who come while the validation is under way do not begin another", run: func(t *T) {
		open := t.slowly("/a", whileRevalidate)
		for range 10 {
			t.get("/a").want(larder.Stale, "one")
			t.settle()
		}
		t.wantHits("/a", 2)
		open()
		t.clock.advance(time.Minute)
		t.get("/a").want(larder.Stale, "one")
		t.settle()
		t.wantHits("/a", 3)
	}},
	{name: "the validation survives its caller's context and deadline", run: func(t *T) {
		open := t.slowly("/a", whileRevalidate)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		t.get("/a", under(ctx)).want(larder.Stale, "one")
		<-ctx.Done()
		t.settle()
		open()
		t.get("/a").want(larder.Hit, "one")
		t.wantHits("/a", 2)
	}},
	{name: "the validation survives its caller's client", run: func(t *T) {
		open := t.slowly("/a", whileRevalidate)
		client := t.cache.Client()
		client.Timeout = time.Second
		resp, err := client.Get(t.origin.url + "/a")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		<-time.After(2 * time.Second) // the deadline has passed
		open()
		t.get("/a").want(larder.Hit, "one")
	}},
	{name: "Close waits for the validation", run: func(t *T) {
		open := t.slowly("/a", whileRevalidate)
		t.get("/a").want(larder.Stale, "one")
		closed := make(chan error, 1)
		go func() { closed <- t.cache.Close(context.Background()) }()
		t.settle()
		select {
		case err := <-closed:
			t.Fatalf("Close returned %v while the validation was under way", err)
		default:
		}
		open()
		if err := <-closed; err != nil {
			t.Error(err)
		}
		t.through(t.newCache()).get("/a").want(larder.Hit, "one")
	}},
	{name: "Close waits no longer than its context, and ends the validation then", run: func(t *T) {
		t.slowly("/a", whileRevalidate)
		t.get("/a").want(larder.Stale, "one")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := t.cache.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: got %v, want the context's error", err)
		}
		t.settle()
		equal(t, "refreshes that failed", len(t.journal.of(larder.RefreshFailed)), 1)
	}},
	{name: "a new response takes the place of the stale one", run: func(t *T) {
		t.numberedStale("/a", whileRevalidate)
		t.get("/a").want(larder.Stale, "/a 1")
		t.settle()
		t.get("/a").want(larder.Hit, "/a 2")
		t.wantStored(1)
	}},
	{name: "a caller still reading gets the old body whole, whatever the validation brings", run: func(t *T) {
		one, two := strings.Repeat("1", 300_000), strings.Repeat("2", 200_000)
		for path, second := range map[string]func(path string){
			"/same": func(path string) { t.origin.tagged(path, `"1"`, one, "Cache-Control", whileRevalidate) },
			"/new":  func(path string) { t.origin.tagged(path, `"2"`, two, "Cache-Control", whileRevalidate) },
		} {
			t.origin.tagged(path, `"1"`, one, "Cache-Control", whileRevalidate)
			t.get(path)
			t.clock.advance(time.Minute)
			second(path)
			reading := t.begin(path)
			some := make([]byte, 1000)
			if _, err := io.ReadFull(reading.resp.Body, some); err != nil {
				t.Fatal(err)
			}
			t.settle()
			t.wantHits(path, 2)
			now := t.get(path)
			if now.Outcome != larder.Hit || now.body != one && now.body != two {
				t.Errorf("%s meanwhile: got %v with %d bytes", path, now.Outcome, len(now.body))
			}
			if rest := t.read(reading); rest.err != nil || string(some)+rest.body != one {
				t.Errorf("%s: the reader got %d bytes, error %v", path, len(some)+len(rest.body), rest.err)
			}
		}
	}},
	{name: "the validation of one variant leaves the others", run: func(t *T) {
		t.origin.varies("/a", "Accept", "Cache-Control", "stale-while-revalidate=60")
		t.get("/a", header("Accept", "a/a"))
		t.get("/a", header("Accept", "b/b"))
		t.clock.advance(time.Minute)
		t.get("/a", header("Accept", "a/a")).want(larder.Stale, `for "a/a"`)
		t.settle()
		t.get("/a", header("Accept", "a/a")).want(larder.Hit, `for "a/a"`)
		t.get("/a", header("Accept", "b/b")).want(larder.Stale, `for "b/b"`)
		t.settle()
		t.wantStored(2)
	}},
	{name: "what a POST brought is asked for again with its body", run: func(t *T) {
		t.rule(larder.Rule{Methods: []string{"POST"}, TTL: time.Minute, StaleWhileRevalidate: time.Hour})
		t.origin.handle("/a", echo)
		for i, with := range []func(string, string) option{body, once} {
			question := fmt.Sprint("question ", i)
			t.post("/a", with(text, question)).want(larder.Miss, question)
			t.clock.advance(10 * time.Minute)
			t.post("/a", with(text, question)).want(larder.Stale, question)
			t.settle()
			t.post("/a", with(text, question)).want(larder.Hit, question)
		}
		t.wantHits("/a", 4)
	}},
	{name: "behind a range or a condition, too, the whole is fetched anew", run: func(t *T) {
		for name, value := range map[string]string{"Range": "bytes=0-1", "If-None-Match": `"one"`, "If-Modified-Since": longAgo} {
			path := "/" + name
			t.origin.content(path, "one", "Cache-Control", whileRevalidate, "ETag", `"one"`)
			t.get(path)
			t.clock.advance(time.Minute)
			t.origin.content(path, "two", "Cache-Control", whileRevalidate, "ETag", `"two"`)
			equal(t, name+": outcome", t.get(path, header(name, value)).Outcome, larder.Stale)
			t.settle()
			t.get(path).want(larder.Hit, "two")
		}
	}},
	{name: "a validation whose answer cannot be stored holds nobody back", run: func(t *T) {
		for path, length := range map[string][]string{"/chunked": nil, "/known": {"Content-Length", fmt.Sprint(len(large))}} {
			u, f := t.near()
			t.origin.page(path, large, append(length, "Cache-Control", whileRevalidate)...)
			u.get(path, patient)
			t.clock.advance(time.Minute)
			f.at(with(errBroken), create)
			began := time.Now()
			u.get(path, patient).want(larder.Stale, large)
			t.clock.advance(time.Hour)
			u.get(path, patient).want(larder.Miss, large)
			if err := u.cache.Close(t.Context()); err != nil {
				t.Error(err)
			}
			equal(t, path+": time until all is done", time.Since(began), 0)
		}
	}},
	{name: "a validation that fails leaves the stale one, and is told", run: func(t *T) {
		t.numberedStale("/a", whileRevalidate)
		down := t.down()
		down.get("/a").want(larder.Stale, "/a 1")
		t.settle()
		failed := t.journal.of(larder.RefreshFailed)
		if len(failed) != 1 || !errors.Is(failed[0].Err, errno.ECONNREFUSED) || failed[0].URL != t.origin.url+"/a" {
			t.Errorf("events: %+v", failed)
		}
		t.origin.status("/a", http.StatusInternalServerError)
		t.get("/a").want(larder.Stale, "/a 1")
		t.settle()
		t.get("/a").want(larder.Stale, "/a 1")
		t.settle()
		equal(t, "failures", len(t.journal.of(larder.RefreshFailed)), 3)
	}},
	{name: "a validation that takes too long is given up, and may begin again", run: func(t *T) {
		t.cache.RefreshTimeout = 5 * time.Second
		open := t.slowly("/a", whileRevalidate)
		began := time.Now()
		t.get("/a").want(larder.Stale, "one")
		if err := t.cache.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		equal(t, "time until it is given up", time.Since(began), 5*time.Second)
		failed := t.journal.of(larder.RefreshFailed)
		if len(failed) != 1 || !errors.Is(failed[0].Err, context.DeadlineExceeded) {
			t.Errorf("events: %+v", failed)
		}
		again := t.through(t.newCache())
		again.get("/a").want(larder.Stale, "one")
		open()
		again.get("/a").want(larder.Hit, "one")
	}},
	{name: "there is a limit to the validations under way", run: func(t *T) {
		const pages = 100
		g := make(gate)
		for i := range pages {
			t.numberedStale(fmt.Sprint("/", i), "max-age=60, stale-while-revalidate=86400")
		}
		asked := 0
		for i := range pages {
			path := fmt.Sprint("/", i)
			t.origin.handle(path, func(w http.ResponseWriter, r *http.Request) { g.wait(r) })
			t.get(path).wantStatus(larder.Stale, 200)
			t.settle()
			asked += t.origin.hits(path) - 1
		}
		equal(t, "validations under way", asked, 64)
		g.open()
	}},
	{name: "past its window it is validated first", run: func(t *T) {
		t.origin.tagged("/a", `"1"`, "one", "Cache-Control", whileRevalidate)
		t.get("/a")
		t.clock.advance(2 * time.Minute)
		t.get("/a").want(larder.Stale, "one")
		t.settle()
		t.clock.advance(2*time.Minute + time.Second)
		t.get("/a").want(larder.Revalidated, "one")
	}},
	{name: "what must be validated is not served stale", run: func(t *T) {
		for i, more := range []string{"must-revalidate", "no-cache"} {
			path := fmt.Sprint("/", i)
			t.numberedStale(path, whileRevalidate+", "+more)
			t.get(path).want(larder.Miss, path+" 2")
		}
		shared := t.through(t.newCache())
		shared.cache.Shared = true
		for i, more := range []string{"proxy-revalidate", "s-maxage=60"} {
			path := fmt.Sprint("/shared", i)
			shared.numberedStale(path, whileRevalidate+", "+more)
			shared.get(path).want(larder.Miss, path+" 2")
		}
	}},
	{name: "a caller who limits freshness is not served stale", run: func(t *T) {
		for i, says := range []string{"no-cache", "max-age=3600", "min-fresh=1", "max-stale=5"} {
			path := fmt.Sprint("/", i)
			t.numberedStale(path, whileRevalidate)
			t.clock.advance(10 * time.Second)
			t.get(path, header("Cache-Control", says)).want(larder.Miss, path+" 2")
		}
	}},
	{name: "a rule's window stands in place of the header's", run: func(t *T) {
		t.rule(larder.Rule{StaleWhileRevalidate: 10 * time.Second})
		for path, says := range map[string]string{"/none": "max-age=60", "/longer": whileRevalidate} {
			t.numberedStale(path, says)
			t.clock.advance(5 * time.Second)
			t.get(path).want(larder.Stale, path+" 1")
			t.settle()
			t.get(path).want(larder.Hit, path+" 2")
			t.clock.advance(71 * time.Second)
			t.get(path).want(larder.Miss, path+" 3")
		}
	}},
	{name: "offline it is served, and nobody is asked", run: func(t *T) {
		t.numberedStale("/a", whileRevalidate)
		t.get("/a", mode(larder.Offline)).want(larder.Stale, "/a 1")
		t.get("/a", header("Cache-Control", "only-if-cached")).want(larder.Stale, "/a 1")
		t.settle()
		t.wantHits("/a", 1)
	}},
	{name: "a HEAD is served stale, too, and the GET is still whole afterwards", run: func(t *T) {
		t.numberedStale("/a", whileRevalidate)
		t.do("HEAD", "/a").wantStatus(larder.Stale, 200)
		t.settle()
		if a := t.get("/a"); a.body != "/a 1" && a.body != "/a 2" && a.body != "/a 3" {
			t.Errorf("got %v %q", a.Outcome, a.body)
		}
	}},
}, staleIfError...)

// slowly stores "one" for path, which is stale then, and makes the origin hold back its next answers, 304, until open
// is called.
func (t *T) slowly(path, cacheControl string) (open func()) {
	t.Helper()
	t.origin.tagged(path, `"1"`, "one", "Cache-Control", cacheControl)
	t.get(path).want(larder.Miss, "one")
	t.clock.advance(time.Minute)
	g := make(gate)
	t.origin.handle(path, func(w http.ResponseWriter, r *http.Request) {
		g.wait(r)
		w.Header().Set("Cache-Control", cacheControl)
		w.Header().Set("ETag", `"1"`)
		w.WriteHeader(http.StatusNotModified)
	})
	return func() { g.open(); t.settle() }
}

// numberedStale stores a numbered page and lets a minute pass.
func (t *T) numberedStale(path, cacheControl string) {
	t.Helper()
	t.origin.numbered(path, "Cache-Control", cacheControl)
	t.get(path).want(larder.Miss, path+" 1")
	t.clock.advance(time.Minute)
}

// down returns t with a cache like its own whose origin cannot be reached.
func (t *T) down() *T {
	c := t.newCache()
	c.Base, c.Rules, c.Shared, c.Observe = fail{&net.OpError{Op: "dial", Err: errno.ECONNREFUSED}}, t.cache.Rules, t.cache.Shared, t.journal.note
	return t.through(c)
}
