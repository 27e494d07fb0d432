package behaviour

import (
	"fmt"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

// fieldTests are tests of the header fields that came after RFC 9111, and of odd ones.
var fieldTests = append([]test{
	{name: "preferences that mean the same get the same variant, others do not", run: func(t *T) {
		for i, c := range []struct {
			field, stored, next string
			want                larder.Outcome
		}{
			{"Accept-Language", "en, de;q=0.50", "DE;q=0.5 ,en;q=1.0", larder.Hit},
			{"Accept-Language", "en, de;q=0.5", "de, en;q=0.5", larder.Miss},
			{"Accept-Encoding", "gzip, br, zstd", "br,GZIP;q=1,zstd,br", larder.Hit},
			{"Accept-Encoding", "gzip, br;q=0", "gzip, br", larder.Miss},
			{"Accept", "text/html, */*;q=0.80", "*/*;q=0.8,Text/HTML", larder.Hit},
			{"Accept", "text/html, text/plain", "text/plain, text/html", larder.Miss},
			{"Accept", `text/html;p="a"`, `text/html;p="A"`, larder.Miss},
		} {
			path := fmt.Sprint("/", i)
			t.origin.varies(path, c.field)
			t.get(path, header(c.field, c.stored))
			if a := t.get(path, header(c.field, c.next)); a.Outcome != c.want {
				t.Errorf("%s: %s, then %s: got %v, want %v", c.field, c.stored, c.next, a.Outcome, c.want)
			}
		}
	}},
	{name: "an ETag without quotes validates as it is, and vouches for no part", run: func(t *T) {
		t.origin.tagged("/a", "v1", "hello", "Cache-Control", "max-age=60")
		t.get("/a").want(larder.Miss, "hello")
		t.get("/a", header("If-None-Match", "v1")).wantStatus(larder.Hit, 304)
		t.get("/a", header("If-None-Match", `"v1"`)).want(larder.Hit, "hello")
		t.get("/a", header("Range", "bytes=0-1"), header("If-Range", "v1")).want(larder.Hit, "hello")
		t.get("/a", header("Range", "bytes=0-1"), header("If-Range", `"v1"`)).want(larder.Hit, "hello")
		t.clock.advance(time.Minute)
		t.get("/a").want(larder.Revalidated, "hello")
		equal(t, "If-None-Match", t.origin.last("/a").Header.Get("If-None-Match"), "v1")
		t.settle()
		t.get("/a").want(larder.Hit, "hello")
		t.clock.advance(time.Minute)
		t.origin.tagged("/a", "v2", "changed", "Cache-Control", "max-age=60")
		t.get("/a").want(larder.Miss, "changed")
	}},
}, targeted...)

// targeted are tests of targeted fields (RFC 9213).
var targeted = []test{
	{name: "CDN-Cache-Control stands in place of Cache-Control and Expires in a shared cache, and is nothing to a private one", run: func(t *T) {
		for i, c := range []struct {
			private, shared larder.Outcome
			header          []string
		}{
			{larder.Miss, larder.Hit, []string{"CDN-Cache-Control", "max-age=60"}},
			{larder.Miss, larder.Hit, []string{"CDN-Cache-Control", "max-age=99999999999"}},
			{larder.Miss, larder.Hit, []string{"CDN-Cache-Control", "max-age=60", "Cache-Control", "no-store"}},
			{larder.Miss, larder.Hit, []string{"CDN-Cache-Control", "max-age=60", "Expires", "0"}},
			{larder.Hit, larder.Miss, []string{"CDN-Cache-Control", "no-store", "Cache-Control", "max-age=60"}},
			{larder.Hit, larder.Miss, []string{"CDN-Cache-Control", "private", "Cache-Control", "max-age=60"}},
			{larder.Hit, larder.Miss, []string{"CDN-Cache-Control", "no-cache", "Cache-Control", "max-age=60"}},
			{larder.Hit, larder.Miss, []string{"CDN-Cache-Control", "max-age=0", "Expires", t.date(time.Hour)}},
			{larder.Hit, larder.Miss, []string{"CDN-Cache-Control", "max-age=60", "Age", "60", "Cache-Control", "max-age=90"}},
			{larder.Hit, larder.Hit, []string{"CDN-Cache-Control", "no-store &", "Cache-Control", "max-age=60"}},
			{larder.Miss, larder.Miss, []string{"CDN-Cache-Control", "max-age=60 &", "Cache-Control", "no-store"}},
			{larder.Miss, larder.Miss, []string{"CDN-Cache-Control", `max-age="60"`, "Cache-Control", "no-store"}},
			{larder.Hit, larder.Hit, []string{"Other-Cache-Control", "no-store", "Cache-Control", "max-age=60"}},
		} {
			for _, u := range []*T{t, t.shared()} {
				path, want := fmt.Sprint("/", i, "/", u.cache.Shared), c.private
				if u.cache.Shared {
					want = c.shared
				}
				u.origin.page(path, "hello", c.header...)
				u.get(path)
				a := u.get(path)
				if a.Outcome != want {
					t.Errorf("%q, shared %v: got %v (%s), want %v", c.header, u.cache.Shared, a.Outcome, a.Reason, want)
				}
				equal(t, "the field, passed on", a.header.Get(c.header[0]), c.header[1])
			}
		}
	}},
	{name: "the user says which targeted fields count, in which order, or that none does", run: func(t *T) {
		for i, c := range []struct {
			names []string
			want  int // seconds of the lifetime
		}{
			{nil, 60}, {[]string{}, 30}, {[]string{"mine-cache-control"}, 90}, {[]string{"CDN-Cache-Control", "Mine-Cache-Control"}, 60},
			{[]string{"Absent", "Mine-Cache-Control"}, 90},
		} {
			u := t.shared()
			u.cache.Targeted = c.names
			path := fmt.Sprint("/", i)
			u.origin.page(path, "hello", "CDN-Cache-Control", "max-age=60", "Mine-Cache-Control", "max-age=90", "Cache-Control", "max-age=30")
			if a := u.get(path); a.Lifetime != time.Duration(c.want)*time.Second {
				t.Errorf("%q: got a lifetime of %v, want %d s", c.names, a.Lifetime, c.want)
			}
		}
		t.cache.Targeted = []string{"Mine-Cache-Control"}
		equal(t, "the lifetime in a private cache that is told to", t.get("/0").Lifetime, 90*time.Second)
	}},
	{name: "a 304 brings a new targeted field", run: func(t *T) {
		u := t.shared()
		u.origin.tagged("/a", `"1"`, "one", "CDN-Cache-Control", "max-age=60", "Cache-Control", "max-age=1")
		u.get("/a").want(larder.Miss, "one")
		u.clock.advance(time.Minute)
		u.origin.tagged("/a", `"1"`, "one", "CDN-Cache-Control", "max-age=600", "Cache-Control", "max-age=1")
		u.get("/a").want(larder.Revalidated, "one")
		u.settle()
		u.clock.advance(599 * time.Second)
		a := u.get("/a")
		a.want(larder.Hit, "one")
		equal(t, "CDN-Cache-Control", a.header.Get("CDN-Cache-Control"), "max-age=600")
		u.origin.tagged("/a", `"1"`, "one", "CDN-Cache-Control", "no-store")
		u.clock.advance(time.Second)
		u.get("/a").want(larder.Revalidated, "one")
		u.settle()
		u.wantStored(0)
	}},
	{name: "a private and a shared cache on one store follow each its own field", run: func(t *T) {
		shared := t.through(t.newCache())
		shared.cache.Shared = true
		for _, c := range []struct {
			path, cdn, all  string
			private, shared larder.Outcome // of what the other has stored
		}{
			{"/cdn", "max-age=60", "no-store", larder.Miss, larder.Miss},
			{"/private", "no-store", "max-age=60", larder.Miss, larder.Miss},
			{"/both", "max-age=60", "max-age=60", larder.Hit, larder.Hit},
			{"/longer", "max-age=90", "max-age=1", larder.Miss, larder.Hit},
			{"/shorter", "max-age=1", "max-age=90", larder.Hit, larder.Miss},
		} {
			t.origin.page(c.path, "hello", "CDN-Cache-Control", c.cdn, "Cache-Control", c.all, "ETag", `"1"`)
			for first, second := range map[*T]*T{t: shared, shared: t} {
				path, want := c.path, c.private
				if second == shared {
					want = c.shared
				}
				if _, err := t.cache.Purge(t.Context(), store.Query{}); err != nil {
					t.Fatal(err)
				}
				first.get(path)
				t.clock.advance(2 * time.Second)
				if a := second.get(path); a.Outcome != want {
					t.Errorf("%s, stored by the cache with Shared %v: got %v (%s), want %v", path, first.cache.Shared, a.Outcome, a.Reason, want)
				}
				t.settle()
			}
		}
	}},
}
