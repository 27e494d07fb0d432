package behaviour

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/internal/errno"
	"github.com/larder-go/larder/store"
)

// flights are tests of many callers who want the same at once.
var flights = []test{
	{name: "a hundred callers of a cold URL are one request", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		g := t.origin.hold("/a")
		p := t.start(100, func(int) answer { return t.try("GET", "/a") })
		t.settle()
		t.wantHits("/a", 1)
		g.open()
		t.wantAll(p.done(), "/a 1")
		t.wantHits("/a", 1)
		t.wantStored(1)
	}},
	{name: "so are those who cannot leave", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		g := t.origin.hold("/a")
		p := t.start(100, func(int) answer { return t.try("GET", "/a", under(context.Background())) })
		t.settle()
		g.open()
		t.wantAll(p.done(), "/a 1")
		t.wantHits("/a", 1)
	}},
	{name: "all but one of them are told, and counted, as collapsed", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		g := t.origin.hold("/a")
		p := t.start(10, func(int) answer { return t.try("GET", "/a") })
		t.settle()
		g.open()
		collapsed := 0
		for _, a := range p.done() {
			if a.Outcome == larder.Miss && a.Collapsed {
				collapsed++
			}
		}
		equal(t, "collapsed answers", collapsed, 9)
		equal(t, "collapsed in the statistics", t.cache.Stats().Collapsed, 9)
	}},
	{name: "a hundred callers of a stale URL are one validation", run: func(t *T) {
		t.origin.tagged("/a", `"1"`, "one", "Cache-Control", "max-age=60")
		t.get("/a")
		t.clock.advance(time.Hour)
		g := t.origin.hold("/a")
		p := t.start(100, func(int) answer { return t.try("GET", "/a") })
		t.settle()
		t.wantHits("/a", 2)
		g.open()
		answers := p.done()
		t.wantAll(answers, "one")
		equal(t, "validated answers", outcomes(answers)[larder.Revalidated], 100)
		t.wantHits("/a", 2)
	}},
	{name: "a hundred callers of what has changed are one validation, too", run: func(t *T) {
		t.origin.tagged("/a", `"1"`, "one", "Cache-Control", "max-age=60")
		t.get("/a")
		t.clock.advance(time.Hour)
		t.origin.tagged("/a", `"2"`, "two", "Cache-Control", "max-age=60")
		g := t.origin.hold("/a")
		p := t.start(100, func(int) answer { return t.try("GET", "/a") })
		t.settle()
		g.open()
		t.wantAll(p.done(), "two")
		t.wantHits("/a", 2)
		t.wantStored(1)
	}},
	{name: "fifty callers each of two variants are two requests", run: func(t *T) {
		t.origin.varies("/a", "Accept-Language")
		languages := []string{"de", "en"}
		call := func(i int) answer { return t.try("GET", "/a", header("Accept-Language", languages[i%2])) }
		g := t.origin.hold("/a")
		p := t.start(100, call)
		t.settle()
		g.open()
		for i, a := range p.done() {
			equal(t, "body", a.body, fmt.Sprintf("for %q", languages[i%2]))
		}
		t.wantHits("/a", 2)

		t.clock.advance(time.Hour)
		g = t.origin.hold("/a")
		p = t.start(100, call)
		t.settle()
		t.wantHits("/a", 4) // both at once, now that the variants are known
		g.open()
		for i, a := range p.done() {
			equal(t, "body", a.body, fmt.Sprintf("for %q", languages[i%2]))
		}
		t.wantHits("/a", 4)
	}},
	{name: "a 304 that says for the first time by what it varies is for those alone who ask in the same words", run: func(t *T) {
		t.origin.tagged("/a", `"1"`, "hello", "Cache-Control", "max-age=60")
		t.get("/a")
		t.clock.advance(time.Hour)
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			set(w.Header(), []string{"Cache-Control", "max-age=60", "Vary", "X-Mode", "ETag", `"1"`})
			if r.Header.Get("X-Mode") == "a" {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			w.Header().Set("ETag", `"2"`)
			fmt.Fprint(w, "another")
		})
		g := t.origin.hold("/a")
		first := t.start(2, func(int) answer { return t.try("GET", "/a", header("X-Mode", "a")) })
		t.settle()
		rest := t.start(2, func(int) answer { return t.try("GET", "/a", header("X-Mode", "b")) })
		t.settle()
		t.wantHits("/a", 2)
		g.open()
		t.wantAll(first.done(), "hello")
		t.wantAll(rest.done(), "another")
		t.wantHits("/a", 3)
	}},
	{name: "what a 304 says and must not be stored is told to the one alone who asked", run: func(t *T) {
		t.origin.tagged("/a", `"1"`, "hello", "Cache-Control", "max-age=60")
		t.get("/a")
		t.clock.advance(time.Hour)
		t.origin.tagged("/a", `"1"`, "hello", "Cache-Control", `max-age=60, no-cache="x-own"`, "X-Own", "1")
		g := t.origin.hold("/a")
		p := t.start(5, func(int) answer { return t.try("GET", "/a") })
		t.settle()
		g.open()
		own := 0
		for _, a := range p.done() {
			own += len(a.header["X-Own"])
		}
		equal(t, "answers with X-Own", own, 1)
		t.wantHits("/a", 2)
	}},
	{name: "what a 304 forbids to store, in one piece or in parts, is for the one alone who asked: the others ask by themselves", run: func(t *T) {
		for path, ranges := range map[string][]string{"/whole": {"bytes=0-"}, "/parts": {"bytes=0-4", "bytes=5-9"}} {
			t.origin.content(path, "0123456789", "Cache-Control", "max-age=60", "ETag", `"1"`)
			for _, part := range ranges {
				t.get(path, header("Range", part))
			}
			t.clock.advance(time.Hour)
			t.origin.content(path, "0123456789", "Cache-Control", "no-store", "ETag", `"1"`)
			g := t.origin.hold(path)
			p := t.start(5, func(int) answer { return t.try("GET", path) })
			t.settle()
			g.open()
			t.wantAll(p.done(), "0123456789")
			t.wantHits(path, len(ranges)+5)
			t.settle()
			t.wantStored(0)
		}
	}},
	{name: "what a 304 forbids to store is removed, though all who asked have left before it came", run: func(t *T) {
		distant, _ := t.distant()
		for path, u := range map[string]*T{"/a": t, "/distant": distant} {
			t.origin.tagged(path, `"1"`, "hello", "Cache-Control", "max-age=60")
			u.get(path)
			t.clock.advance(time.Hour)
			t.origin.tagged(path, `"1"`, "hello", "Cache-Control", "no-store")
			came := make(gate)
			base := u.cache.Base
			u.cache.Base = transport(func(r *http.Request) (*http.Response, error) { // does not look whether somebody waits
				<-came
				return base.RoundTrip(r.WithContext(context.WithoutCancel(r.Context())))
			})
			ctx, cancel := context.WithCancel(t.Context())
			p := t.start(1, func(int) answer { return u.try("GET", path, under(ctx)) })
			t.settle()
			cancel()
			if a := p.done()[0]; !errors.Is(a.err, context.Canceled) {
				t.Errorf("got %v %d, error %v", a.Outcome, a.status, a.err)
			}
			came.open()
			t.settle()
			t.wantStored(0)
		}
	}},
	{name: "a response that is to be validated each time is shared by those who ask at once, unless they may be several users", run: func(t *T) {
		for _, u := range []*T{t, t.shared()} {
			path, want := fmt.Sprint("/", u.cache.Shared), 1
			if u.cache.Shared {
				want = 5
			}
			t.origin.numbered(path, "Cache-Control", "no-cache", "ETag", `"1"`)
			g := t.origin.hold(path)
			p := t.start(5, func(int) answer { return u.try("GET", path) })
			t.settle()
			g.open()
			p.done()
			t.wantHits(path, want)
		}
	}},
	{name: "many callers of many URLs are one request each", run: func(t *T) {
		path := func(i int) string { return fmt.Sprint("/", i%20) }
		var pages [20]string
		for i := range pages {
			pages[i] = long(path(i), 50_000)
			t.origin.page(path(i), pages[i], "Cache-Control", "max-age=60")
		}
		for i, a := range t.start(200, func(i int) answer { return t.try("GET", path(i)) }).done() {
			if a.err != nil || a.body != pages[i%20] {
				t.Errorf("caller %d got %d bytes, error %v", i, len(a.body), a.err)
			}
		}
		for i := range pages {
			t.wantHits(path(i), 1)
		}
	}},
	{name: "who asks for something else does not wait", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.origin.numbered("/b", "Cache-Control", "max-age=60")
		g := t.origin.hold("/a")
		p := t.start(6, func(i int) answer {
			return [...]func() answer{
				func() answer { return t.try("GET", "/a") },
				func() answer { return t.try("HEAD", "/a") },
				func() answer { return t.try("GET", "/a?x") },
				func() answer { return t.try("GET", "/a", header("Authorization", "Bearer b")) },
				func() answer { return t.try("GET", "/a", mode(larder.ForceRefresh)) },
				func() answer { return t.try("GET", "/a", header("Range", "bytes=0-1")) },
			}[i]()
		})
		t.settle()
		t.wantHits("/a", 6)
		t.get("/b").want(larder.Miss, "/b 1")
		g.open()
		p.done()
	}},
	{name: "the first caller may leave before the head", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		g := t.origin.hold("/a")
		ctx, cancel := context.WithCancel(t.Context())
		first := t.start(1, func(int) answer { return t.try("GET", "/a", under(ctx)) })
		t.settle()
		rest := t.start(9, func(int) answer { return t.try("GET", "/a") })
		t.settle()
		cancel()
		wantCancelled(t, first.done())
		g.open()
		t.wantAll(rest.done(), "/a 1")
		t.wantHits("/a", 1)
		t.get("/a").want(larder.Hit, "/a 1")
	}},
	{name: "the first caller may leave amid the body", run: func(t *T) {
		whole := long("a", 1<<20)
		g := t.origin.halves("/a", whole, "Cache-Control", "max-age=60")
		ctx, cancel := context.WithCancel(t.Context())
		first := t.begin("/a", under(ctx))
		rest := t.start(9, func(int) answer { return t.try("GET", "/a") })
		t.settle()
		cancel()
		wantCancelled(t, []answer{t.read(first)})
		g.open()
		t.wantAll(rest.done(), whole)
		t.wantHits("/a", 1)
		t.get("/a").want(larder.Hit, whole)
	}},
	{name: "a later caller may leave at any time, at once", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		g := t.origin.hold("/a")
		first := t.start(1, func(int) answer { return t.try("GET", "/a") })
		t.settle()
		ctx, cancel := context.WithCancel(t.Context())
		rest := t.start(9, func(int) answer { return t.try("GET", "/a", under(ctx)) })
		t.settle()
		cancel()
		wantCancelled(t, rest.done())
		g.open()
		t.wantAll(first.done(), "/a 1")
		t.wantHits("/a", 1)
	}},
	{name: "when all have left, before the head or amid the body, the origin is told", run: func(t *T) {
		t.origin.numbered("/head", "Cache-Control", "max-age=60")
		t.origin.hold("/head")
		t.origin.halves("/body", long("b", 1<<20), "Cache-Control", "max-age=60", "Content-Length", fmt.Sprint(1<<20))
		for _, path := range []string{"/head", "/body"} {
			ctx, cancel := context.WithCancel(t.Context())
			p := t.start(5, func(int) answer { return t.try("GET", path, under(ctx)) })
			t.settle()
			t.wantHits(path, 1)
			cancel()
			wantCancelled(t, p.done())
			t.settle()
			if t.origin.last(path).Context().Err() == nil {
				t.Errorf("%s: the origin still works for nobody", path)
			}
		}
		t.wantStored(0)
		t.origin.numbered("/head")
		t.get("/head").want(larder.Miss, "/head 2")
	}},
	{name: "a deadline is the caller's own", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		g := t.origin.hold("/a")
		first := t.start(1, func(int) answer { return t.try("GET", "/a") })
		t.settle()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if a := t.try("GET", "/a", under(ctx)); !errors.Is(a.err, context.DeadlineExceeded) {
			t.Errorf("got %d, error %v, want a deadline exceeded", a.status, a.err)
		}
		g.open()
		t.wantAll(first.done(), "/a 1")
	}},
	{name: "a client's Timeout is its own caller's, too", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		g := t.origin.hold("/a")
		hasty := &http.Client{Transport: t.cache, Timeout: time.Second}
		first := make(chan error)
		go func() { _, err := hasty.Get(t.origin.url + "/a"); first <- err }()
		t.settle()
		rest := t.start(9, func(int) answer { return t.try("GET", "/a") })
		if err := <-first; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the hasty caller got error %v, want a deadline exceeded", err)
		}
		t.settle()
		g.open()
		t.wantAll(rest.done(), "/a 1")
		t.wantHits("/a", 1)
	}},
	{name: "what its context carries reaches the transport below", run: func(t *T) {
		type traceKey struct{}
		t.origin.numbered("/a")
		var got any
		t.cache.Base = transport(func(r *http.Request) (*http.Response, error) {
			got = r.Context().Value(traceKey{})
			return t.origin.transport.RoundTrip(r)
		})
		t.get("/a", under(context.WithValue(t.Context(), traceKey{}, "trace")))
		equal(t, "value", got, any("trace"))
	}},
	{name: "answers that may not be shared are not waited for in line", run: func(t *T) {
		var asked atomic.Int64
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "no-store")
			n := asked.Add(1)
			<-time.After(200 * time.Millisecond)
			fmt.Fprint(w, n)
		})
		// The first time nobody can know that it is so: one goes ahead. From then on all go at once.
		for _, want := range []time.Duration{400 * time.Millisecond, 200 * time.Millisecond, 200 * time.Millisecond} {
			begun := time.Now()
			bodies := make(map[string]bool)
			for _, a := range t.start(5, func(int) answer { return t.try("GET", "/a") }).done() {
				a.wantStatus(larder.Miss, 200)
				bodies[a.body] = true
			}
			equal(t, "different answers", len(bodies), 5)
			equal(t, "time for five", time.Since(begun), want)
		}
		t.wantStored(0)
	}},
	{name: "answers that become sharable again are waited for again", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "no-store")
		t.get("/a")
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.get("/a")
		t.clock.advance(time.Hour)
		g := t.origin.hold("/a")
		p := t.start(10, func(int) answer { return t.try("GET", "/a") })
		t.settle()
		t.wantHits("/a", 3)
		g.open()
		t.wantAll(p.done(), "/a 3")
	}},
	{name: "what one caller asks for itself alone says nothing of the others", run: func(t *T) {
		down := func(path string) { t.origin.status(path, http.StatusServiceUnavailable) }
		for path, c := range map[string]struct {
			origin func(path string)
			says   option
		}{
			"/range":     {nil, header("Range", "bytes=0-1")},
			"/condition": {nil, header("If-None-Match", `"1"`)},
			"/no-store":  {nil, header("Cache-Control", "no-store")},
			"/refresh":   {nil, mode(larder.ForceRefresh)},
			"/down":      {down, header("X", "1")},
		} {
			t.origin.content(path, "hello", "Cache-Control", "max-age=60", "ETag", `"1"`)
			if c.origin != nil {
				c.origin(path)
			}
			t.get(path, c.says)
			t.clock.advance(time.Hour)
			t.origin.content(path, "hello", "Cache-Control", "max-age=60", "ETag", `"1"`)
			g := t.origin.hold(path)
			p := t.start(20, func(int) answer { return t.try("GET", path) })
			t.settle()
			t.wantHits(path, 2)
			g.open()
			t.wantAll(p.done(), "hello")
		}
	}},
	{name: "a slow reader holds nobody back", run: func(t *T) {
		whole := long("a", 1<<20)
		t.origin.page("/a", whole, "Cache-Control", "max-age=60")
		slow := t.begin("/a")
		t.get("/a").want(larder.Miss, whole)
		t.get("/a").want(larder.Hit, whole)
		t.read(slow).want(larder.Miss, whole)
		t.wantHits("/a", 1)
	}},
	{name: "who comes amid the body reads it from its beginning", run: func(t *T) {
		whole := long("a", 1<<20)
		g := t.origin.halves("/a", whole, "Cache-Control", "max-age=60")
		first := t.begin("/a")
		if _, err := io.CopyN(io.Discard, first.resp.Body, 1<<19); err != nil {
			t.Fatal(err)
		}
		late := t.start(5, func(int) answer { return t.try("GET", "/a") })
		t.settle()
		g.open()
		t.wantAll(late.done(), whole)
		t.read(first).want(larder.Miss, whole[1<<19:])
		t.wantHits("/a", 1)
	}},
	{name: "a body that is cut is an error for every reader, and is not stored", run: func(t *T) {
		told := 0
		for path, length := range map[string][]string{"/chunked": nil, "/known": {"Content-Length", "100000"}} {
			g := t.origin.cut(path, long(path, 100_000), append(length, "Cache-Control", "max-age=60")...)
			p := t.start(10, func(int) answer { return t.try("GET", path) })
			t.settle()
			g.open()
			for i, a := range p.done() {
				if !errors.Is(a.err, io.ErrUnexpectedEOF) || a.body != long(path, 100_000)[:50_000] {
					t.Errorf("%s: caller %d got %d bytes, error %v, want half of them and an unexpected EOF", path, i, len(a.body), a.err)
				}
			}
			t.wantHits(path, 1)
			t.wantStored(0)
			told++
			equal(t, "events that it was not stored", len(t.journal.of(larder.Discarded)), told)
			t.origin.numbered(path)
			t.get(path).want(larder.Miss, path+" 2")
		}
	}},
	{name: "who joins late is told the age of what it joins, and the date where there was none", run: func(t *T) {
		g := t.origin.halves("/a", "12", "Cache-Control", "max-age=60", "Age", "10")
		first := t.begin("/a")
		t.clock.advance(5 * time.Second)
		second := t.begin("/a")
		g.open()
		t.read(first).want(larder.Miss, "12")
		t.read(second).want(larder.Miss, "12")
		equal(t, "Age", second.header.Get("Age"), "15")
		t.origin.handle("/undated", func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Date"] = nil
			w.Header().Set("Cache-Control", "max-age=60")
		})
		equal(t, "Date from the origin", t.get("/undated").header.Get("Date"), "")
		equal(t, "Date from the store", t.get("/undated").header.Get("Date"), t.clock.Now().UTC().Format(http.TimeFormat))
	}},
	{name: "an answer under way that another request did not want is outdated all the same", run: func(t *T) {
		g := make(gate)
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			n := t.origin.hits("/a")
			w.Header().Set("Cache-Control", "max-age=60")
			fmt.Fprint(w, n)
			if n == 1 {
				w.(http.Flusher).Flush()
				g.wait(r)
			}
		})
		first := t.begin("/a")
		t.get("/a", header("Cache-Control", "min-fresh=100")).want(larder.Miss, "2")
		t.do("PUT", "/a")
		g.open()
		t.read(first).want(larder.Miss, "1")
		t.get("/a").want(larder.Miss, "4")
	}},
	{name: "an origin that breaks off before the head is an error for every caller, once", run: func(t *T) {
		t.origin.handle("/a", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		g := t.origin.hold("/a")
		p := t.start(10, func(int) answer { return t.try("GET", "/a") })
		t.settle()
		g.open()
		for i, a := range p.done() {
			if a.err == nil {
				t.Errorf("caller %d got %d", i, a.status)
			}
		}
		t.wantHits("/a", 1)
	}},
	{name: "what fails since the first caller asked badly fails for that one alone", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		asked := make(gate)
		t.cache.Base = transport(func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("X-Bad") != "" {
				asked.wait(r)
			}
			resp, err := t.origin.transport.RoundTrip(r)
			if err != nil { // as of a client in Base
				err = &url.Error{Op: "Get", URL: r.URL.String(), Err: err}
			}
			return resp, err
		})
		bad := t.start(1, func(int) answer { return t.try("GET", "/a", header("X-Bad", "a\nb")) })
		t.settle()
		rest := t.start(5, func(int) answer { return t.try("GET", "/a") })
		t.settle()
		t.wantHits("/a", 0)
		asked.open()
		if a := bad.done()[0]; a.err == nil {
			t.Errorf("who asks badly got %d", a.status)
		}
		for _, a := range rest.done() {
			if a.err != nil || a.status != http.StatusOK { // a miss, or a hit for who asked later
				t.Errorf("got %d, error %v", a.status, a.err)
			}
		}
	}},
	{name: "what fails for whatever reason fails for all who ask in the same words, and once for who sends a body", run: func(t *T) {
		t.rule(larder.Rule{Methods: []string{"GET", "POST"}, TTL: time.Minute})
		errOdd := errors.New("odd")
		for want, call := range map[int64]func(int) answer{
			1: func(int) answer { return t.try("GET", "/a") },
			3: func(int) answer { return t.try("POST", "/a", body(text, "x")) },
		} {
			asked := make(gate)
			var calls atomic.Int64
			t.cache.Base = transport(func(r *http.Request) (*http.Response, error) {
				calls.Add(1)
				asked.wait(r)
				return nil, errOdd
			})
			p := t.start(3, call)
			t.settle()
			asked.open()
			for _, a := range p.done() {
				if !errors.Is(a.err, errOdd) {
					t.Errorf("got %d, error %v", a.status, a.err)
				}
			}
			equal(t, "calls", calls.Load(), want)
		}
	}},
	{name: "an unsafe request outdates what is under way for the same key, by whatever URL", run: func(t *T) {
		t.rule(larder.Rule{Redact: []string{"token"}})
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		g := t.origin.hold("/a")
		p := t.start(1, func(int) answer { return t.try("GET", "/a?id=1&token=x") })
		t.settle()
		t.origin.status("/a", 204)
		t.do("PUT", "/a?token=x&id=1")
		g.open()
		p.done()[0].want(larder.Miss, "/a 2")
		t.settle()
		t.wantStored(0)
	}},
	{name: "it outdates answers to QUERY for the URL with another query, and nothing of another path", run: func(t *T) {
		for _, c := range []struct {
			method, path string
			stored       int
		}{{"QUERY", "/a?x=1", 0}, {"QUERY", "/a", 0}, {"QUERY", "/ab", 1}, {"QUERY", "/b", 1}, {"GET", "/a?x=1", 1}, {"HEAD", "/a?x=1", 1}} {
			page, _, _ := strings.Cut(c.path, "?")
			t.origin.page(page, "hello", "Cache-Control", "max-age=60")
			g := t.origin.hold(page)
			p := t.start(1, func(int) answer { return t.try(c.method, c.path, body(text, "x")) })
			t.settle()
			t.origin.status("/a", 204)
			t.do("PUT", "/a?y=2")
			g.open()
			p.done()[0].wantStatus(larder.Miss, 200)
			t.settle()
			if n := len(t.records()); n != c.stored {
				t.Errorf("%s %s: %d stored, want %d", c.method, c.path, n, c.stored)
			}
			if _, err := t.cache.Purge(t.Context(), store.Query{}); err != nil {
				t.Fatal(err)
			}
		}
	}},
	{name: "Request.Cancel ends the caller's own request, before the head and amid the body, and nobody else's", run: func(t *T) {
		g := t.origin.halves("/a", "12", "Cache-Control", "max-age=60")
		canceled := make(chan struct{})
		byCancel := func(r *http.Request) *http.Request {
			r = r.WithContext(context.Background())
			//lint:ignore SA1019 callers still use it
			r.Cancel = canceled
			return r
		}
		first := t.begin("/a", byCancel)
		rest := t.start(5, func(int) answer { return t.try("GET", "/a") })
		t.settle()
		close(canceled)
		if first = t.read(first); first.err == nil || first.body != "1" {
			t.Errorf("who has left got %q, error %v", first.body, first.err)
		}
		g.open()
		t.wantAll(rest.done(), "12")

		t.origin.numbered("/b", "Cache-Control", "max-age=60")
		g, canceled = t.origin.hold("/b"), make(chan struct{})
		p := t.start(1, func(int) answer { return t.try("GET", "/b", byCancel) })
		t.settle()
		rest = t.start(5, func(int) answer { return t.try("GET", "/b") })
		t.settle()
		close(canceled)
		if a := p.done()[0]; a.err == nil {
			t.Errorf("who has left got %d", a.status)
		}
		g.open()
		t.wantAll(rest.done(), "/b 2")
	}},
	{name: "what fails in the network fails for all who wait, whatever they say beside", run: func(t *T) {
		refused := &net.OpError{Op: "dial", Net: "tcp", Err: errno.ECONNREFUSED}
		for _, fault := range []error{refused, &url.Error{Op: "Get", URL: "/a", Err: refused}, fmt.Errorf("tls: %w", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}),
			&url.Error{Op: "Get", URL: "/a", Err: tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}}, io.EOF, fmt.Errorf("broken: %w", io.ErrUnexpectedEOF)} {
			asked := make(gate)
			var calls atomic.Int64
			t.cache.Base = transport(func(r *http.Request) (*http.Response, error) {
				calls.Add(1)
				asked.wait(r)
				return nil, fault
			})
			p := t.start(5, func(i int) answer { return t.try("GET", "/a", header("Traceparent", fmt.Sprint(i))) })
			t.settle()
			asked.open()
			for _, a := range p.done() {
				if !errors.Is(a.err, fault) {
					t.Errorf("got %d, error %v", a.status, a.err)
				}
			}
			equal(t, "calls that fail by "+fault.Error(), calls.Load(), 1)
		}
	}},
	{name: "an error page is nobody else's", run: func(t *T) {
		t.origin.status("/a", http.StatusServiceUnavailable)
		g := t.origin.hold("/a")
		p := t.start(5, func(int) answer { return t.try("GET", "/a") })
		t.settle()
		g.open()
		for _, a := range p.done() {
			a.wantStatus(larder.Miss, http.StatusServiceUnavailable)
		}
		t.wantHits("/a", 5)
	}},
	{name: "a redirect is one request for all, and so is its target", run: func(t *T) {
		t.origin.status("/from", http.StatusMovedPermanently, "Location", "/to", "Cache-Control", "max-age=60")
		t.origin.numbered("/to", "Cache-Control", "max-age=60")
		g := t.origin.hold("/from")
		p := t.start(20, func(int) answer { return t.try("GET", "/from") })
		t.settle()
		g.open()
		t.wantAll(p.done(), "/to 1")
		t.wantHits("/from", 1)
		t.wantHits("/to", 1)
	}},
}

func wantCancelled(t *T, answers []answer) {
	t.Helper()
	for i, a := range answers {
		if !errors.Is(a.err, context.Canceled) {
			t.Errorf("caller %d got %d %.60q, error %v, want its context's", i, a.status, a.body, a.err)
		}
	}
}
