package behaviour

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/internal/errno"
)

const ifError = "max-age=60, stale-if-error=60"

// staleIfError are tests of stale responses that stand in for an origin in trouble.
var staleIfError = []test{
	{name: "the stale one stands in for a server error", run: func(t *T) {
		for _, status := range []int{500, 502, 503, 504} {
			path := fmt.Sprint("/", status)
			t.numberedStale(path, ifError)
			t.origin.status(path, status)
			a := t.get(path)
			a.want(larder.Stale, path+" 1")
			equal(t, "the origin's status", a.ForwardStatus, status)
			t.wantHits(path, 2)
		}
	}},
	{name: "it is kept for as long as that, though KeepStale is shorter", run: func(t *T) {
		t.cache.KeepStale = time.Second
		t.numberedStale("/a", ifError)
		t.clock.advance(30 * time.Second)
		if _, err := t.cache.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.origin.status("/a", 500)
		t.get("/a").want(larder.Stale, "/a 1")
	}},
	{name: "it stands in for no other status", run: func(t *T) {
		for _, status := range []int{400, 403, 404, 429, 501} {
			path := fmt.Sprint("/", status)
			t.numberedStale(path, ifError)
			t.origin.status(path, status)
			t.get(path).wantStatus(larder.Miss, status)
		}
	}},
	{name: "it stands in for an origin that cannot be reached", run: func(t *T) {
		t.numberedStale("/a", ifError)
		a := t.down().get("/a")
		a.want(larder.Stale, "/a 1")
		if !errors.Is(a.Err, errno.ECONNREFUSED) {
			t.Errorf("the decision's error is %v, want that of the connection", a.Err)
		}
	}},
	{name: "it stands in where the connection is really refused", network: true, run: func(t *T) {
		t.numberedStale("/a", ifError)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		down := t.down()
		down.cache.Base = &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, l.Addr().String())
		}}
		down.get("/a").want(larder.Stale, "/a 1")
		if a := down.try("GET", "/b"); !errors.Is(a.err, errno.ECONNREFUSED) {
			t.Errorf("what is not stored: got %d, error %v", a.status, a.err)
		}
	}},
	{name: "it stands in for an origin that hangs up before it answers", run: func(t *T) {
		t.numberedStale("/a", ifError)
		t.origin.handle("/a", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		t.get("/a").want(larder.Stale, "/a 1")
	}},
	{name: "it stands in for a hundred callers after one request", run: func(t *T) {
		t.numberedStale("/a", ifError)
		g := make(gate)
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) { g.wait(r); w.WriteHeader(503) })
		p := t.start(100, func(int) answer { return t.try("GET", "/a") })
		t.settle()
		g.open()
		t.wantAll(p.done(), "/a 1")
		t.wantHits("/a", 2)
	}},
	{name: "never against must-revalidate or no-cache", run: func(t *T) {
		shared := t.through(t.newCache())
		shared.cache.Shared = true
		for i, c := range []struct {
			t    *T
			more string
		}{{t, "must-revalidate"}, {t, "no-cache"}, {shared, "proxy-revalidate"}, {shared, "s-maxage=60"}} {
			path := fmt.Sprint("/", i)
			c.t.numberedStale(path, ifError+", "+c.more)
			t.origin.status(path, 503)
			c.t.get(path).wantStatus(larder.Miss, 503)
			if a := c.t.down().try("GET", path); !errors.Is(a.err, errno.ECONNREFUSED) {
				t.Errorf("%s: got %v %d, error %v, want the connection's", c.more, a.Outcome, a.status, a.err)
			}
		}
	}},
	{name: "never past its window", run: func(t *T) {
		t.numberedStale("/a", ifError)
		t.clock.advance(time.Minute)
		t.down().get("/a").want(larder.Stale, "/a 1")
		t.clock.advance(time.Second)
		if a := t.down().try("GET", "/a"); a.err == nil {
			t.Errorf("got %v %d", a.Outcome, a.status)
		}
	}},
	{name: "without a window it stands in for an origin that gives no answer, not for one that tells of its failure", run: func(t *T) {
		t.numberedStale("/a", "max-age=60")
		t.clock.advance(24 * time.Hour)
		a := t.down().get("/a")
		a.want(larder.Stale, "/a 1")
		equal(t, "section", a.Section, "RFC 9111 §4.2.4")
		for _, cc := range []string{"no-cache", "max-age=3600", "max-stale=3600", "min-fresh=1", "stale-if-error=3600"} {
			if a := t.down().try("GET", "/a", header("Cache-Control", cc)); !errors.Is(a.err, errno.ECONNREFUSED) {
				t.Errorf("%s: got %v %d, error %v", cc, a.Outcome, a.status, a.err)
			}
		}
		t.origin.status("/a", 500)
		t.get("/a").wantStatus(larder.Miss, 500)
		t.get("/a", mode(larder.OfflineStale)).want(larder.Stale, "/a 1")
	}},
	{name: "without a window must-revalidate and the like leave the trouble to the caller", run: func(t *T) {
		shared := t.through(t.newCache())
		shared.cache.Shared = true
		for i, c := range []struct {
			t    *T
			more string
		}{{t, "must-revalidate"}, {t, "no-cache"}, {shared, "proxy-revalidate"}, {shared, "s-maxage=60"}, {t, "stale-if-error=0"}} {
			path := fmt.Sprint("/", i)
			c.t.numberedStale(path, "max-age=60, "+c.more)
			if a := c.t.down().try("GET", path); !errors.Is(a.err, errno.ECONNREFUSED) {
				t.Errorf("%s: got %v %d, error %v, want the connection's", c.more, a.Outcome, a.status, a.err)
			}
		}
	}},
	{name: "a rule may leave the trouble to the caller", run: func(t *T) {
		t.rule(larder.Rule{StaleIfError: larder.Never})
		t.numberedStale("/a", ifError)
		t.origin.status("/a", 503)
		t.get("/a").wantStatus(larder.Miss, 503)
		if a := t.down().try("GET", "/a"); !errors.Is(a.err, errno.ECONNREFUSED) {
			t.Errorf("got %v %d, error %v", a.Outcome, a.status, a.err)
		}
	}},
	{name: "the caller may name the window", run: func(t *T) {
		t.numberedStale("/a", "max-age=60")
		t.clock.advance(10 * time.Second)
		t.down().get("/a", header("Cache-Control", "stale-if-error=10")).want(larder.Stale, "/a 1")
		if a := t.down().try("GET", "/a", header("Cache-Control", "stale-if-error=9")); a.err == nil {
			t.Errorf("got %v %d", a.Outcome, a.status)
		}
	}},
	{name: "a rule's window stands in place of the header's", run: func(t *T) {
		t.rule(larder.Rule{StaleIfError: time.Hour})
		t.numberedStale("/a", ifError)
		t.clock.advance(58 * time.Minute)
		t.down().get("/a").want(larder.Stale, "/a 1")
		t.clock.advance(3 * time.Minute)
		if a := t.down().try("GET", "/a"); a.err == nil {
			t.Errorf("got %v %d", a.Outcome, a.status)
		}
	}},
	{name: "with a rule's TTL, its window counts from there", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Minute, StaleIfError: time.Minute})
		t.numberedStale("/a", "no-store")
		t.down().get("/a").want(larder.Stale, "/a 1")
		t.origin.status("/a", 502)
		t.get("/a").want(larder.Stale, "/a 1")
	}},
	{name: "an error page takes nobody's place, and recovery is noticed", run: func(t *T) {
		t.origin.tagged("/a", `"1"`, "one", "Cache-Control", ifError)
		t.get("/a")
		t.clock.advance(time.Minute)
		t.origin.page("/a", "sorry", "Cache-Control", "no-store")
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=3600")
			w.WriteHeader(500)
			io.WriteString(w, "sorry")
		})
		t.get("/a").want(larder.Stale, "one")
		t.wantStored(1)
		t.origin.tagged("/a", `"1"`, "one", "Cache-Control", ifError)
		t.get("/a").want(larder.Revalidated, "one")
		t.get("/a").want(larder.Hit, "one")
	}},
	{name: "a fresh one stands in when a refresh fails", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", ifError)
		t.get("/a")
		t.down().get("/a", mode(larder.PreferStored)).want(larder.Hit, "/a 1")
		t.down().get("/a").want(larder.Hit, "/a 1")
	}},
	{name: "a HEAD and a Range are answered from it, too", run: func(t *T) {
		t.origin.page("/a", "0123456789", "Cache-Control", ifError)
		t.get("/a")
		t.clock.advance(time.Minute)
		t.down().do("HEAD", "/a").wantStatus(larder.Stale, 200)
		part := t.down().get("/a", header("Range", "bytes=2-4"))
		part.wantStatus(larder.Stale, 206)
		equal(t, "part", part.body, "234")
	}},
}
