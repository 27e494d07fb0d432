package behaviour

import (
	"fmt"
	"net/http"
	"time"

	"github.com/larder-go/larder"
)

// lifetimes are tests of how long a response is used, and of who decides that.
var lifetimes = []test{
	{name: "max-age counts from the response on", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.get("/a").want(larder.Miss, "/a 1")
		t.clock.advance(59 * time.Second)
		t.get("/a").want(larder.Hit, "/a 1")
		t.clock.advance(time.Second)
		t.get("/a").want(larder.Miss, "/a 2")
	}},
	{name: "a rule's TTL stands in place of no freshness at all", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Minute})
		t.origin.numbered("/a")
		t.freshFor("/a", time.Minute)
	}},
	{name: "a rule's TTL stands in place of a shorter and a longer one", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Minute})
		t.origin.numbered("/short", "Cache-Control", "max-age=1")
		t.origin.numbered("/long", "Cache-Control", "max-age=86400")
		t.freshFor("/short", time.Minute)
		t.freshFor("/long", time.Minute)
	}},
	{name: "a rule's TTL overrides what forbids to store", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Minute})
		for i, forbids := range []string{"no-store", "no-cache", "private", "max-age=0, must-revalidate"} {
			path := fmt.Sprint("/", i)
			t.origin.numbered(path, "Cache-Control", forbids)
			t.freshFor(path, time.Minute)
		}
	}},
	{name: "a rule's TTL keeps no error page", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Minute})
		t.origin.status("/a", http.StatusInternalServerError)
		t.get("/a").wantStatus(larder.Miss, 500)
		t.get("/a").wantStatus(larder.Miss, 500)
		t.wantStored(0)
	}},
	{name: "a rule's Expires is a moment", run: func(t *T) {
		t.rule(larder.Rule{Expires: t.clock.Now().Add(time.Hour)})
		t.origin.numbered("/a")
		t.get("/a")
		t.clock.advance(time.Hour - time.Second)
		t.get("/a").want(larder.Hit, "/a 1")
		t.clock.advance(time.Second)
		t.get("/a").wantStatus(larder.Bypassed, 200)
	}},
	{name: "Forever is forever", run: func(t *T) {
		t.rule(larder.Rule{TTL: larder.Forever})
		t.origin.numbered("/a", "Cache-Control", "max-age=1")
		t.get("/a")
		t.clock.advance(90 * 365 * 24 * time.Hour)
		a := t.get("/a")
		a.want(larder.Hit, "/a 1")
		equal(t, "its TTL", a.TTL(), larder.Forever)
		removed, err := t.cache.Sweep(t.Context())
		if removed != 0 || err != nil {
			t.Errorf("sweep removed %d, error %v", removed, err)
		}
	}},
	{name: "Never is neither stored nor looked for", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.get("/a")
		never := t.newCache()
		never.Rules = []larder.Rule{{TTL: larder.Never}}
		t.through(never).get("/a").want(larder.Bypassed, "/a 2")
		t.get("/a").want(larder.Hit, "/a 1")
	}},
	{name: "the first rule that matches applies", run: func(t *T) {
		t.cache.Rules = []larder.Rule{
			{Match: "**/static/**", TTL: larder.Forever},
			{Match: "**/feeds/*.xml", TTL: 10 * time.Second},
			{Match: "**/live/**", TTL: larder.Never},
			{TTL: time.Minute},
		}
		for _, path := range []string{"/static/a/b", "/feeds/a.xml", "/live/a", "/other"} {
			t.origin.numbered(path)
			t.get(path)
		}
		t.clock.advance(30 * time.Second)
		t.get("/static/a/b").want(larder.Hit, "/static/a/b 1")
		t.get("/feeds/a.xml").want(larder.Miss, "/feeds/a.xml 2")
		t.get("/live/a").want(larder.Bypassed, "/live/a 2")
		t.get("/other").want(larder.Hit, "/other 1")
	}},
	{name: "a pattern is anchored at the host", run: func(t *T) {
		t.cache.Rules = []larder.Rule{{Match: "good.example", TTL: time.Minute}}
		t.origin.numbered("/a")
		for _, c := range []struct {
			url  string
			want larder.Outcome
		}{
			{"http://good.example/a", larder.Hit},
			{"http://good.example.evil.org/a", larder.Miss},
			{"http://evil.org/a?next=http://good.example/", larder.Miss},
			{"http://notgood.example/a", larder.Miss},
		} {
			t.get(c.url)
			if got := t.get(c.url).Outcome; got != c.want {
				t.Errorf("%s the second time: got %v, want %v", c.url, got, c.want)
			}
		}
	}},
	{name: "one request's TTL beats the rule's and the header's", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Hour})
		t.origin.numbered("/a", "Cache-Control", "max-age=7200")
		t.get("/a", ttl(time.Second)).want(larder.Miss, "/a 1")
		t.get("/a").want(larder.Hit, "/a 1")
		t.clock.advance(time.Second)
		t.get("/a").want(larder.Miss, "/a 2")
		t.clock.advance(time.Minute)
		t.get("/a").want(larder.Hit, "/a 2")
	}},
	{name: "one request's expiry is a moment, and one in the past is Never", run: func(t *T) {
		t.origin.numbered("/a")
		t.get("/a", expiry(t.clock.Now().Add(time.Minute))).want(larder.Miss, "/a 1")
		t.get("/a").want(larder.Hit, "/a 1")
		t.get("/a", expiry(t.clock.Now().Add(-time.Minute))).want(larder.Bypassed, "/a 2")
		t.clock.advance(time.Minute)
		t.get("/a").want(larder.Miss, "/a 3")
	}},
	{name: "an expiry that passes before the answer comes is Never", run: func(t *T) {
		t.origin.handle("/a", func(http.ResponseWriter, *http.Request) { t.clock.advance(time.Minute) })
		t.get("/a", expiry(t.clock.Now().Add(time.Minute))).wantStatus(larder.Miss, 200)
		t.wantStored(0)
	}},
	{name: "a validation gives what is stored the TTL that holds by then", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Minute})
		t.origin.tagged("/a", `"1"`, "hello")
		t.get("/a")
		t.clock.advance(time.Minute)
		if err := t.cache.SetRules(larder.Rule{TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
		t.get("/a").want(larder.Revalidated, "hello")
		t.settle()
		t.clock.advance(time.Hour - time.Second)
		t.get("/a").want(larder.Hit, "hello")
		t.clock.advance(time.Second)
		if err := t.cache.SetRules(); err != nil {
			t.Fatal(err)
		}
		for range 2 { // none
			t.get("/a").want(larder.Revalidated, "hello")
			t.settle()
		}
	}},
	{name: "one request can be Never and another Forever", run: func(t *T) {
		t.origin.numbered("/a")
		t.get("/a", ttl(larder.Never)).want(larder.Bypassed, "/a 1")
		t.get("/a", ttl(larder.Forever)).want(larder.Miss, "/a 2")
		t.clock.advance(10 * 365 * 24 * time.Hour)
		t.get("/a").want(larder.Hit, "/a 2")
	}},
	{name: "one request's TTL that is over already is Never", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "no-store")
		t.get("/a", ttl(-5*time.Second)).want(larder.Bypassed, "/a 1")
		t.wantStored(0)
	}},
	{name: "a TTL taken back leaves it to the rule", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Minute})
		t.origin.numbered("/a")
		t.get("/a", ttl(time.Second), ttl(0))
		t.clock.advance(30 * time.Second)
		t.get("/a").want(larder.Hit, "/a 1")
	}},
	{name: "the TTL counts from arrival, whatever Age the response has by then", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Minute})
		t.origin.numbered("/a", "Age", "3600")
		t.freshFor("/a", time.Minute)
	}},
	{name: "a new rule changes what is stored from then on, not what is stored", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Hour})
		t.origin.numbered("/a")
		t.origin.numbered("/b")
		t.get("/a")
		if err := t.cache.SetRules(larder.Rule{TTL: time.Minute}); err != nil {
			t.Fatal(err)
		}
		t.get("/b")
		t.clock.advance(time.Minute)
		t.get("/a").want(larder.Hit, "/a 1")
		t.get("/b").want(larder.Miss, "/b 2")
	}},
	{name: "a faulty rule is turned away and the old ones stay", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Minute})
		if err := t.cache.SetRules(larder.Rule{TTL: -5}); err == nil {
			t.Error("a TTL of -5 ns was accepted")
		}
		t.origin.numbered("/a")
		t.freshFor("/a", time.Minute)
	}},
	{name: "a faulty rule in the field fails every request", run: func(t *T) {
		t.rule(larder.Rule{Match: "a***b"})
		if a := t.try(http.MethodGet, "/a"); a.err == nil {
			t.Errorf("got %d, want an error", a.status)
		}
		t.wantHits("/a", 0)
	}},
	{name: "rules may change while requests run", run: func(t *T) {
		t.origin.numbered("/a")
		p := t.start(8, func(i int) answer {
			if i == 0 {
				for n := range 100 {
					if err := t.cache.SetRules(larder.Rule{TTL: time.Duration(n+1) * time.Second}); err != nil {
						return answer{t: t, err: err}
					}
				}
			}
			var a answer
			for range 20 {
				if a = t.try(http.MethodGet, "/a"); a.err != nil || a.status != 200 {
					return a
				}
			}
			return a
		})
		for _, a := range p.done() {
			if a.err != nil || a.status != 200 {
				t.Errorf("got %d, error %v", a.status, a.err)
			}
		}
	}},
	{name: "the lifetime and the age are told", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.get("/a")
		t.clock.advance(20 * time.Second)
		a := t.get("/a")
		equal(t, "age", a.Age, 20*time.Second)
		equal(t, "lifetime", a.Lifetime, time.Minute)
		equal(t, "TTL", a.TTL(), 40*time.Second)
		equal(t, "Age field", a.header.Get("Age"), "20")
	}},
}

// freshFor checks that a numbered page is used for d after it came, and not any longer.
func (t *T) freshFor(path string, d time.Duration) {
	t.Helper()
	first := t.get(path)
	first.wantStatus(larder.Miss, 200)
	t.clock.advance(d - time.Second)
	t.get(path).want(larder.Hit, first.body)
	t.clock.advance(time.Second)
	if a := t.get(path); a.Outcome != larder.Miss || a.body == first.body {
		t.Errorf("%s after %v: got %v %q, want a new response", path, d, a.Outcome, a.body)
	}
}
