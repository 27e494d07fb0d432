package behaviour

import (
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
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
}, append(targeted, digestTests...)...)

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
	{name: "must-understand limits each cache by the field that it follows", run: func(t *T) {
		for i, c := range []struct {
			status          int
			private, shared larder.Outcome
			header          []string
		}{
			{299, larder.Miss, larder.Miss, []string{"Cache-Control", "max-age=60, must-understand"}},
			{299, larder.Hit, larder.Miss, []string{"Cache-Control", "max-age=60", "CDN-Cache-Control", "max-age=60, must-understand"}},
			{299, larder.Miss, larder.Hit, []string{"Cache-Control", "max-age=60, must-understand", "CDN-Cache-Control", "max-age=60"}},
			{404, larder.Hit, larder.Hit, []string{"Cache-Control", "max-age=60, must-understand, no-store"}},
			{404, larder.Miss, larder.Hit, []string{"Cache-Control", "max-age=60, no-store", "CDN-Cache-Control", "max-age=60, must-understand, no-store"}},
			{404, larder.Hit, larder.Miss, []string{"Cache-Control", "max-age=60, must-understand, no-store", "CDN-Cache-Control", "max-age=60, no-store"}},
		} {
			for _, u := range []*T{t, t.shared()} {
				path, want := fmt.Sprint("/", i, "/", u.cache.Shared), c.private
				if u.cache.Shared {
					want = c.shared
				}
				u.origin.status(path, c.status, c.header...)
				u.get(path)
				if a := u.get(path); a.Outcome != want || a.status != c.status {
					t.Errorf("%d %q, shared %v: got %v %d (%s), want %v", c.status, c.header, u.cache.Shared, a.Outcome, a.status, a.Reason, want)
				}
			}
		}
	}},
	{name: "a targeted field says for how long a POST answers a later GET", run: func(t *T) {
		u := t.shared()
		u.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			set(w.Header(), []string{"Content-Location", "/a", "CDN-Cache-Control", "max-age=60", "Cache-Control", "no-store"})
			io.WriteString(w, "by "+r.Method)
		})
		u.post("/a").wantStatus(larder.Bypassed, 200)
		u.get("/a").want(larder.Hit, "by POST")
		u.clock.advance(time.Minute)
		u.get("/a").want(larder.Miss, "by GET")
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
	{name: "a 304 for what another cache has stored is no leave to use it", run: func(t *T) {
		shared := t.through(t.newCache())
		shared.cache.Shared = true
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			tag, says := `"1"`, "max-age=60"
			if r.Header.Get("Accept") == "b/b" {
				tag, says = `"2"`, "private, max-age=60"
			}
			if strings.Contains(r.Header.Get("If-None-Match"), `"2"`) {
				w.Header().Set("ETag", `"2"`)
				w.WriteHeader(http.StatusNotModified)
				return
			}
			set(w.Header(), []string{"Vary", "Accept", "ETag", tag, "Cache-Control", says, "X-Says", says})
			io.WriteString(w, "hello")
		})
		t.get("/a", header("Accept", "b/b"))
		shared.get("/a", header("Accept", "a/a"))
		t.clock.advance(time.Minute)
		a := shared.get("/a", header("Accept", "a/a"))
		a.want(larder.Miss, "hello")
		equal(t, "the field of the answer", a.header.Get("X-Says"), "max-age=60")
	}},
	{name: "a part is completed by no cache that may not use it", run: func(t *T) {
		shared := t.through(t.newCache())
		shared.cache.Shared = true
		for i, says := range [][]string{{"Cache-Control", "private, max-age=60"}, {"Cache-Control", "max-age=60", "CDN-Cache-Control", "no-store"}} {
			path := fmt.Sprint("/", i)
			t.origin.content(path, "hello", append(says, "ETag", `"1"`)...)
			t.get(path, header("Range", "bytes=0-1")).want(larder.Miss, "he")
			a := shared.get(path)
			a.want(larder.Miss, "hello")
			equal(t, "Range at the origin", t.origin.last(path).Header.Get("Range"), "")
			equal(t, "why", a.Forwarded, "miss")
			equal(t, "the origin's status", a.ForwardStatus, 200)
		}
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

// digestTests are tests of Content-Digest and Repr-Digest (RFC 9530).
var digestTests = []test{
	{name: "what differs from its digest is not stored, and reaches its caller as it came", run: func(t *T) {
		t.cache.VerifyDigests = true
		long := strings.Repeat("hello", 20000)
		right, wrong := sha256Of("hello"), sha256Of("other")
		for i, c := range []struct {
			body, field, value string
			stored             bool
		}{
			{"hello", "Content-Digest", "sha-256=" + right, true},
			{"hello", "Repr-Digest", "sha-256=" + right, true},
			{"hello", "Content-Digest", "sha-512=" + sha512Of("hello") + ", sha-256=" + right, true},
			{"hello", "Content-Digest", "md5=" + wrong + ", x=" + wrong, true},
			{"hello", "Content-Digest", "sha-256=" + wrong + " &", true},
			{long, "Content-Digest", "sha-256=" + sha256Of(long), true},
			{"", "Content-Digest", "sha-256=" + sha256Of(""), true},
			{"hello", "Content-Digest", "sha-256=" + wrong, false},
			{"hello", "Repr-Digest", "sha-256=" + wrong, false},
			{"hello", "Content-Digest", "sha-512=" + sha512Of("other") + ", sha-256=" + right, false},
			{"hello", "Content-Digest", "sha-256=:YQ==:", false},
			{long, "Content-Digest", "sha-256=" + right, false},
			{"", "Content-Digest", "sha-256=" + wrong, false},
		} {
			path := fmt.Sprint("/", i)
			t.origin.page(path, c.body, "Cache-Control", "max-age=60", c.field, c.value)
			before := len(t.journal.of(larder.Discarded))
			t.get(path).want(larder.Miss, c.body)
			told := t.journal.of(larder.Discarded)[before:]
			want := larder.Hit
			if !c.stored {
				want = larder.Miss
			}
			t.get(path).want(want, c.body)
			if c.stored != (len(told) == 0) || len(told) > 0 && !errors.Is(told[0].Err, larder.ErrDigest) {
				t.Errorf("%s: %s of %.10q: events %v", c.field, c.value, c.body, told)
			}
		}
	}},
	{name: "a digest in the trailer is verified, too", run: func(t *T) {
		t.cache.VerifyDigests = true
		for path, of := range map[string]string{"/right": "hello", "/wrong": "other"} {
			t.origin.handle(path, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=60")
				w.Header().Set("Trailer", "Content-Digest")
				io.WriteString(w, "hello")
				w.Header().Set("Content-Digest", "sha-512="+sha512Of(of))
			})
			t.get(path).want(larder.Miss, "hello")
		}
		t.get("/right").want(larder.Hit, "hello")
		t.get("/wrong").want(larder.Miss, "hello")
	}},
	{name: "a digest is of the coded content, and not verified where that was unpacked on the way", run: func(t *T) {
		t.cache.VerifyDigests = true
		packed := gzipped("hello")
		for path, of := range map[string]string{"/packed": packed, "/plain": "hello", "/other": "hello"} {
			t.origin.page(path, packed, "Cache-Control", "max-age=60", "Content-Encoding", "gzip", "Content-Digest", "sha-256="+sha256Of(of))
		}
		t.get("/plain").want(larder.Miss, "hello")
		t.get("/plain").want(larder.Hit, "hello")
		t.get("/packed", header("Accept-Encoding", "gzip")).want(larder.Miss, packed)
		t.get("/packed", header("Accept-Encoding", "gzip")).want(larder.Hit, packed)
		t.get("/other", header("Accept-Encoding", "gzip")).want(larder.Miss, packed)
		t.get("/other", header("Accept-Encoding", "gzip")).want(larder.Miss, packed)
	}},
	{name: "what is stored stays when its successor differs from its digest", run: func(t *T) {
		t.cache.VerifyDigests = true
		t.numberedStale("/a", "max-age=60")
		t.origin.page("/a", "broken", "Cache-Control", "max-age=60", "Content-Digest", "sha-256="+sha256Of("whole"))
		t.get("/a").want(larder.Miss, "broken")
		t.get("/a", mode(larder.OfflineStale)).want(larder.Stale, "/a 1")
	}},
	{name: "digests are not looked at unless that is asked for", run: func(t *T) {
		t.origin.page("/a", "hello", "Cache-Control", "max-age=60", "Content-Digest", "sha-256="+sha256Of("other"))
		t.get("/a")
		t.get("/a").want(larder.Hit, "hello")
	}},
	{name: "Content-Digest goes where other content is sent, Repr-Digest stays", run: func(t *T) {
		t.origin.page("/a", "hello", "Cache-Control", "max-age=60", "ETag", `"1"`, "Content-Digest", "sha-256="+sha256Of("hello"), "Repr-Digest", "sha-256="+sha256Of("hello"))
		t.get("/a")
		for _, c := range []struct {
			method  string
			options []option
			status  int
			content bool
		}{
			{"GET", nil, 200, true},
			{"GET", []option{header("Range", "bytes=0-1")}, 206, false},
			{"GET", []option{header("Range", "bytes=0-0,2-3")}, 206, false},
			{"GET", []option{header("Range", "bytes=9-")}, 416, false},
			{"GET", []option{header("If-None-Match", `"1"`)}, 304, false},
			{"HEAD", nil, 200, false},
			{"GET", nil, 200, true},
		} {
			a := t.do(c.method, "/a", c.options...)
			a.wantStatus(larder.Hit, c.status)
			if _, has := a.header["Content-Digest"]; has != c.content || a.header.Get("Repr-Digest") == "" {
				t.Errorf("%s %d: %v", c.method, c.status, a.header)
			}
		}
	}},
	{name: "what is put together of parts has their Repr-Digest, which is verified, and no Content-Digest", run: func(t *T) {
		t.cache.VerifyDigests = true
		for path, of := range map[string]string{"/right": "hello", "/wrong": "other"} {
			t.origin.handle(path, func(w http.ResponseWriter, r *http.Request) {
				content := map[string]string{"bytes=0-1": "he", "bytes=2-": "llo", "": "hello"}[r.Header.Get("Range")]
				set(w.Header(), []string{"Cache-Control", "max-age=60", "ETag", `"1"`, "Content-Digest", "sha-256=" + sha256Of(content), "Repr-Digest", "sha-256=" + sha256Of(of)})
				http.ServeContent(w, r, "", time.Time{}, strings.NewReader("hello"))
			})
			t.get(path, header("Range", "bytes=0-1")).want(larder.Miss, "he")
			a := t.get(path)
			a.want(larder.Miss, "hello")
			equal(t, "the origin's status", a.ForwardStatus, 206)
			equal(t, "Repr-Digest", a.header.Get("Repr-Digest"), "sha-256="+sha256Of(of))
			equal(t, "Content-Digest", a.header.Get("Content-Digest"), "")
		}
		a := t.get("/right")
		a.want(larder.Hit, "hello")
		equal(t, "Content-Digest of the whole", a.header.Get("Content-Digest"), "")
		t.get("/wrong").wantStatus(larder.Miss, 200)

		t.origin.content("/parts", "hello", "Cache-Control", "max-age=60", "ETag", `"1"`, "Content-Digest", "sha-256="+sha256Of("he"))
		t.get("/parts", header("Range", "bytes=0-1")).want(larder.Miss, "he")
		part := t.get("/parts", header("Range", "bytes=0-0"))
		part.want(larder.Hit, "h")
		equal(t, "Content-Digest of a smaller part", part.header.Get("Content-Digest"), "")
	}},
	{name: "a part that does not go with the rest is told by the digest of the whole, and does not spoil it again", run: func(t *T) {
		t.cache.VerifyDigests = true
		says := []string{"Cache-Control", "max-age=60", "ETag", `"1"`}
		t.origin.content("/a", "HELLO", says...)
		t.get("/a", header("Range", "bytes=0-1")).want(larder.Miss, "HE")
		t.origin.content("/a", "hello", append(says, "Repr-Digest", "sha-256="+sha256Of("hello"))...) // by the same ETag
		t.get("/a").want(larder.Miss, "HEllo")
		t.get("/a").want(larder.Miss, "hello")
		t.get("/a").want(larder.Hit, "hello")
	}},
	{name: "the Content-Digest of several parts is not that of each", run: func(t *T) {
		t.cache.VerifyDigests = true
		t.origin.content("/a", "hello", "Cache-Control", "max-age=60", "ETag", `"1"`, "Content-Digest", "sha-256="+sha256Of("multipart"))
		t.get("/a", header("Range", "bytes=0-1,3-4"))
		t.settle()
		a := t.get("/a", header("Range", "bytes=3-4"))
		a.want(larder.Hit, "lo")
		equal(t, "Content-Digest", a.header.Get("Content-Digest"), "")
	}},
	{name: "a beginning that is kept has no Content-Digest of the whole", run: func(t *T) {
		g := t.origin.cut("/a", "hello, world", "Cache-Control", "max-age=60", "ETag", `"1"`, "Content-Length", "12", "Content-Digest", "sha-256="+sha256Of("hello, world"))
		g.open()
		t.try("GET", "/a")
		t.settle()
		t.wantStored(1)
		for _, r := range t.records() {
			equal(t, "status", r.Status, 206)
			equal(t, "Content-Digest", r.Header.Get("Content-Digest"), "")
		}
	}},
	{name: "a 304 brings no Content-Digest, as it has other content", run: func(t *T) {
		t.origin.page("/a", "hello", "Cache-Control", "max-age=60", "ETag", `"1"`, "Content-Digest", "sha-256="+sha256Of("hello"))
		t.get("/a")
		t.clock.advance(time.Minute)
		t.origin.status("/a", 304, "Cache-Control", "max-age=60", "ETag", `"1"`, "Content-Digest", "sha-256="+sha256Of(""))
		a := t.get("/a")
		a.want(larder.Revalidated, "hello")
		equal(t, "Content-Digest", a.header.Get("Content-Digest"), "sha-256="+sha256Of("hello"))
	}},
}

func sha256Of(s string) string {
	sum := sha256.Sum256([]byte(s))
	return ":" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

func sha512Of(s string) string {
	sum := sha512.Sum512([]byte(s))
	return ":" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

func gzipped(s string) string {
	var b strings.Builder
	z := gzip.NewWriter(&b)
	io.WriteString(z, s)
	z.Close()
	return b.String()
}
