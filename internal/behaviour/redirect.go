package behaviour

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"time"

	"github.com/larder-go/larder"
)

// redirects are tests of responses that lead elsewhere: each hop is a response of its own.
var redirects = []test{
	{name: "every hop comes from the cache", run: func(t *T) {
		t.rule(larder.Everything(time.Minute))
		for _, kind := range []struct {
			name     string
			location func(to string) string
		}{
			{"absolute", func(to string) string { return t.origin.url + to }},
			{"relative", func(to string) string { return to }},
		} {
			for hops := 1; hops <= 4; hops++ {
				page := func(n int) string { return fmt.Sprintf("/%s/%d/%d", kind.name, hops, n) }
				for n := range hops {
					t.origin.status(page(n), http.StatusFound, "Location", kind.location(page(n+1)))
				}
				t.origin.numbered(page(hops))
				t.get(page(0)).want(larder.Miss, page(hops)+" 1")
				t.get(page(0)).want(larder.Hit, page(hops)+" 1")
				t.get(page(hops)).want(larder.Hit, page(hops)+" 1")
				for n := range hops {
					t.wantHits(page(n), 1)
				}
			}
		}
		t.wantStored(2 * (2 + 3 + 4 + 5))
	}},
	{name: "what one request's TTL keeps is found offline, temporary hops included", run: func(t *T) {
		for i, status := range []int{http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect} {
			from, to := fmt.Sprint("/from/", i), fmt.Sprint("/to/", i)
			t.origin.status(from, status, "Location", to)
			t.origin.numbered(to)
			t.get(from, ttl(time.Hour)).want(larder.Miss, to+" 1")
			t.get(from, mode(larder.Offline)).want(larder.Hit, to+" 1")
		}
	}},
	{name: "in a shared cache a TTL keeps no temporary hop that sets a cookie, unless the rule lists its status", run: func(t *T) {
		t.origin.status("/login", http.StatusFound, "Location", "/page", "Set-Cookie", "session=1")
		t.origin.numbered("/page")
		u := t.shared()
		u.get("/login", ttl(time.Hour))
		u.get("/login", ttl(time.Hour))
		equal(t, "asked", t.origin.hits("/login"), 2)
		u = t.shared()
		u.cache.Rules = []larder.Rule{{TTL: time.Hour, Statuses: []int{http.StatusOK, http.StatusFound}}}
		u.get("/login")
		u.get("/login")
		equal(t, "asked", t.origin.hits("/login"), 3)
	}},
	{name: "a hop that may not be stored is asked for each time", run: func(t *T) {
		t.origin.status("/a", http.StatusFound, "Location", "/b", "Cache-Control", "no-store")
		t.origin.numbered("/b", "Cache-Control", "max-age=60")
		t.get("/a").want(larder.Miss, "/b 1")
		t.get("/a").want(larder.Hit, "/b 1")
		t.wantHits("/a", 2)
	}},
	{name: "a caller who does not follow gets the redirect itself", run: func(t *T) {
		t.rule(larder.Everything(time.Minute))
		t.origin.status("/a", http.StatusMovedPermanently, "Location", "/b")
		t.origin.numbered("/b")
		t.get("/a")
		resp, err := t.cache.RoundTrip(t.request("GET", "/a"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		equal(t, "status", resp.StatusCode, http.StatusMovedPermanently)
		equal(t, "outcome", larder.Info(resp).Outcome, larder.Hit)
	}},
	{name: "by the standard a permanent redirect needs freshness like anything else", run: func(t *T) {
		t.origin.status("/a", http.StatusMovedPermanently, "Location", "/b", "Cache-Control", "max-age=60")
		t.origin.numbered("/b", "Cache-Control", "max-age=600")
		t.get("/a")
		t.clock.advance(time.Minute)
		t.get("/a").want(larder.Hit, "/b 1")
		t.wantHits("/a", 2)
	}},
	{name: "a redirect to the same path of another host is stored", run: func(t *T) {
		t.origin.status("/b", http.StatusMovedPermanently, "Location", "http://other.example/%62", "Cache-Control", "max-age=60")
		for range 2 {
			resp, err := t.cache.RoundTrip(t.request("GET", "/b"))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
		t.wantHits("/b", 1)
	}},
	{name: "cookies of a stored redirect reach the jar again", run: func(t *T) {
		t.rule(larder.Everything(time.Minute))
		t.origin.status("/login", http.StatusFound, "Location", "/home", "Set-Cookie", "sid=1; Path=/")
		t.origin.numbered("/home")
		for range 2 {
			jar, err := cookiejar.New(nil)
			if err != nil {
				t.Fatal(err)
			}
			client := &http.Client{Transport: t.cache, Jar: jar}
			resp, err := client.Do(t.request("GET", "/login"))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if cookies := jar.Cookies(resp.Request.URL); len(cookies) != 1 || cookies[0].Value != "1" {
				t.Errorf("the jar has %v, want sid=1", cookies)
			}
		}
		t.wantHits("/login", 1)
	}},
	{name: "Everything(ttl) keeps 200 and redirects of GET and HEAD, whatever the headers say", run: func(t *T) {
		t.rule(larder.Everything(time.Minute))
		t.origin.numbered("/a", "Cache-Control", "no-store", "Vary", "*")
		t.get("/a?x=1&y=2")
		t.get("/a?y=2&x=1").want(larder.Hit, "/a 1")
		for _, status := range []int{301, 302, 303, 307, 308} {
			path := fmt.Sprint("/", status)
			t.origin.status(path, status, "Location", "/a", "Cache-Control", "no-store")
			t.get(path)
			t.get(path)
			t.wantHits(path, 1)
		}
		for _, status := range []int{201, 204, 404, 500} {
			path := fmt.Sprint("/", status)
			t.origin.status(path, status, "Cache-Control", "max-age=60")
			t.get(path)
			t.get(path)
			t.wantHits(path, 2)
		}
		t.origin.numbered("/post")
		t.post("/post")
		t.post("/post").want(larder.Bypassed, "/post 2")
		t.origin.numbered("/head")
		t.do("HEAD", "/head")
		t.do("HEAD", "/head").wantStatus(larder.Hit, 200)
		t.clock.advance(time.Minute)
		t.get("/a?x=1&y=2").wantStatus(larder.Miss, 200)
	}},
}
