package behaviour

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/rfc9111"
)

// modes are tests of what one request asks of the cache.
var modes = []test{
	{name: "Bypass neither reads nor writes", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.get("/a", mode(larder.Bypass)).want(larder.Bypassed, "/a 1")
		t.wantStored(0)
		t.get("/a").want(larder.Miss, "/a 2")
		t.get("/a", mode(larder.Bypass)).want(larder.Bypassed, "/a 3")
		t.get("/a").want(larder.Hit, "/a 2")
		t.wantStored(1)
	}},
	{name: "Bypass ends with its context, after an error too, and is nobody else's", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.get("/a")
		ctx, cancel := context.WithCancel(larder.WithMode(t.Context(), larder.Bypass))
		cancel()
		if a := t.try("GET", "/a", under(ctx)); !errors.Is(a.err, context.Canceled) {
			t.Errorf("got error %v, want the context's", a.err)
		}
		for i, a := range t.start(20, func(i int) answer {
			if i%2 == 0 {
				return t.try("GET", "/a", mode(larder.Bypass))
			}
			return t.try("GET", "/a")
		}).done() {
			if want := []larder.Outcome{larder.Bypassed, larder.Hit}[i%2]; a.Outcome != want {
				t.Errorf("caller %d: got %v, want %v", i, a.Outcome, want)
			}
		}
	}},
	{name: "Refresh validates what is fresh", run: func(t *T) {
		t.origin.tagged("/a", `"1"`, "one", "Cache-Control", "max-age=60")
		t.get("/a")
		t.get("/a", mode(larder.Refresh)).want(larder.Revalidated, "one")
		t.origin.tagged("/a", `"2"`, "two", "Cache-Control", "max-age=60")
		t.get("/a").want(larder.Hit, "one")
		t.get("/a", mode(larder.Refresh)).want(larder.Miss, "two")
		t.get("/a").want(larder.Hit, "two")
	}},
	{name: "Refresh fetches anew what cannot be validated", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.get("/a")
		t.get("/a", mode(larder.Refresh)).want(larder.Miss, "/a 2")
		t.get("/a").want(larder.Hit, "/a 2")
	}},
	{name: "ForceRefresh fetches the whole and stores it", run: func(t *T) {
		t.origin.tagged("/a", `"1"`, "one", "Cache-Control", "max-age=60")
		t.get("/a")
		t.get("/a", mode(larder.ForceRefresh)).want(larder.Miss, "one")
		equal(t, "If-None-Match", t.origin.last("/a").Header.Get("If-None-Match"), "")
		t.get("/a").want(larder.Hit, "one")
		t.wantStored(1)
	}},
	{name: "a refresh that fails leaves what is stored", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.get("/a")
		t.origin.status("/a", http.StatusBadGateway)
		t.get("/a", mode(larder.ForceRefresh)).wantStatus(larder.Miss, 502)
		t.get("/a").want(larder.Hit, "/a 1")
	}},
	{name: "Offline is answered from the store or with 504", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.get("/a", mode(larder.Offline)).wantStatus(larder.Refused, 504)
		t.get("/a")
		t.get("/a", mode(larder.Offline)).want(larder.Hit, "/a 1")
		t.clock.advance(time.Hour)
		t.get("/a", mode(larder.Offline)).wantStatus(larder.Refused, 504)
		t.get("/a", mode(larder.OfflineStale)).want(larder.Stale, "/a 1")
		t.get("/b", mode(larder.OfflineStale)).wantStatus(larder.Refused, 504)
		t.wantHits("/a", 1)
	}},
	{name: "offline nothing is asked of the origin, whatever the method", run: func(t *T) {
		for _, m := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
			t.do(m, "/a", mode(larder.Offline)).wantStatus(larder.Refused, 504)
			t.do(m, "/a", mode(larder.OfflineStale)).wantStatus(larder.Refused, 504)
		}
		t.wantHits("/a", 0)
	}},
	{name: "only-if-cached asks for the same", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.get("/a", header("Cache-Control", "only-if-cached")).wantStatus(larder.Refused, 504)
		t.get("/a")
		t.get("/a", header("Cache-Control", "only-if-cached")).want(larder.Hit, "/a 1")
		t.clock.advance(time.Hour)
		t.get("/a", header("Cache-Control", "only-if-cached, max-stale")).want(larder.Stale, "/a 1")
		t.wantHits("/a", 1)
	}},
	{name: "only-if-cached keeps from the origin what the cache takes no part in, too, but for other methods", run: func(t *T) {
		only := header("Cache-Control", "only-if-cached")
		t.cache.MaxKeyBody = 4
		for _, send := range []func() answer{
			func() answer { return t.try("GET", "/a", only, header("If-Match", `"1"`)) },
			func() answer {
				return t.try("GET", "/a", only, header("If-Unmodified-Since", "Mon, 02 Jan 2006 15:04:05 GMT"))
			},
			func() answer { return t.try("GET", "/a", only, header("Upgrade", "websocket")) },
			func() answer { return t.try("GET", "/a", only, ttl(larder.Never)) },
			func() answer { return t.try("GET", "/a", only, once("text/plain", "hello")) },
		} {
			send().wantStatus(larder.Refused, 504)
		}
		t.wantHits("/a", 0)
		e, err := t.cache.Explain(t.Context(), t.request("GET", "/a", only, header("If-Match", `"1"`)))
		if err != nil || e.Verdict.Action != rfc9111.Refuse {
			t.Errorf("Explain says %v, error %v", e.Verdict.Action, err)
		}
		t.get("/a", only, mode(larder.Bypass)).wantStatus(larder.Bypassed, 404)
		t.post("/a", only).wantStatus(larder.Bypassed, 404)
	}},
	{name: "PreferStored takes the stale one, and asks only if there is none", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60, must-revalidate")
		t.get("/a", mode(larder.PreferStored)).want(larder.Miss, "/a 1")
		t.clock.advance(time.Hour)
		t.get("/a", mode(larder.PreferStored)).want(larder.Stale, "/a 1")
		t.wantHits("/a", 1)
	}},
	{name: "request directives are heeded", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.get("/a")
		t.clock.advance(30 * time.Second)
		for _, c := range []struct {
			says string
			want larder.Outcome
		}{
			{"max-age=30", larder.Hit},
			{"max-age=29", larder.Miss},
			{"min-fresh=60", larder.Hit}, // the one just fetched
			{"min-fresh=61", larder.Miss},
			{"no-cache", larder.Miss},
			{"no-store", larder.Hit},
		} {
			if a := t.get("/a", header("Cache-Control", c.says)); a.Outcome != c.want {
				t.Errorf("%s: got %v (%s), want %v", c.says, a.Outcome, a.Reason, c.want)
			}
		}
		t.clock.advance(90 * time.Second)
		t.get("/a", header("Cache-Control", "max-stale=30")).wantStatus(larder.Stale, 200)
		t.get("/a", header("Cache-Control", "max-stale=29")).wantStatus(larder.Miss, 200)
	}},
	{name: "the caller's no-store is not stored, and leaves what is", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.get("/a", header("Cache-Control", "no-store")).want(larder.Miss, "/a 1")
		t.wantStored(0)
		t.get("/a")
		t.clock.advance(2 * time.Minute)
		t.get("/a", header("Cache-Control", "no-store")).want(larder.Miss, "/a 3")
		t.get("/a", mode(larder.OfflineStale)).want(larder.Stale, "/a 2")
	}},
	{name: "Pragma: no-cache counts where there is no Cache-Control", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.get("/a")
		t.get("/a", header("Pragma", "no-cache")).want(larder.Miss, "/a 2")
		t.get("/a", header("Pragma", "no-cache"), header("Cache-Control", "max-age=60")).want(larder.Hit, "/a 2")
	}},
	{name: "the last mode set counts, and keeps the TTL", run: func(t *T) {
		t.origin.numbered("/a")
		t.get("/a", mode(larder.Bypass), ttl(time.Minute), mode(larder.Standard)).want(larder.Miss, "/a 1")
		t.get("/a").want(larder.Hit, "/a 1")
	}},
}
