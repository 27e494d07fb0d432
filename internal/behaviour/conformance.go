package behaviour

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

// conformance are tests of what RFC 9111 and RFC 9110 ask of a cache that no other test shows;
// docs/conformance-rfc9111.md names the test of each rule.
var conformance = []test{
	{name: "a GET is not answered from a HEAD whose tag a 304 names", run: func(t *T) {
		t.origin.content("/a", "0123456789", "Cache-Control", "max-age=60", "ETag", `"1"`)
		t.get("/a", header("Range", "bytes=0-4"))
		t.origin.content("/a", "abcdefghij", "Cache-Control", "max-age=60", "ETag", `"2"`)
		t.do("HEAD", "/a")
		t.clock.advance(time.Hour)
		t.get("/a", header("Range", "bytes=0-4")).want(larder.Miss, "abcde")
	}},
	{name: "nor is it where the HEAD's tag is strong and the GET's weak, as behind a server that compresses", run: func(t *T) {
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			set(w.Header(), []string{"Cache-Control", "max-age=60", "Vary", "Accept-Encoding", "ETag", `"1"`})
			if strings.Contains(r.Header.Get("If-None-Match"), `"1"`) {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			if r.Method == http.MethodGet {
				w.Header().Set("ETag", `W/"1"`)
			}
			io.WriteString(w, "hello")
		})
		br := header("Accept-Encoding", "br")
		t.get("/a", br).want(larder.Miss, "hello")
		t.do("HEAD", "/a").want(larder.Miss, "")
		t.clock.advance(time.Hour)
		t.get("/a", br).want(larder.Revalidated, "hello")
	}},
	{name: "fields of the connection are in no answer from the store, whichever way they came", run: func(t *T) {
		hop := []string{"Connection", "X-Hop, X-Other", "X-Hop", "1", "X-Other", "2", "Keep-Alive", "timeout=5", "Proxy-Connection", "keep-alive",
			"Te", "trailers", "Upgrade", "h2c", "Proxy-Authenticate", "Basic", "Proxy-Authentication-Info", "x=1", "Proxy-Authorization", "Basic eA=="}
		t.origin.content("/a", "hello world", append(hop, "Cache-Control", "max-age=60", "ETag", `"1"`, "X-End", "1")...)
		absent := func(what string, a answer) {
			t.Helper()
			for i := 0; i < len(hop); i += 2 {
				if v, ok := a.header[hop[i]]; ok {
					t.Errorf("%s: %s: %q is there", what, hop[i], v)
				}
			}
			equal(t, what+": X-End", a.header.Get("X-End"), "1")
		}
		for _, first := range []string{"bytes=0-4", ""} {
			t.get("/a", header("Range", first))
			absent("a hit after Range "+first, t.get("/a", header("Range", "bytes=1-2")))
			t.get("/a", header("Range", "bytes=1-2"), mode(larder.Refresh))
			t.backgroundDone()
			absent("after a 304 and Range "+first, t.get("/a", header("Range", "bytes=1-2")))
		}
		t.do("HEAD", "/a", mode(larder.ForceRefresh))
		absent("after a HEAD", t.get("/a"))
	}},
	{name: "trailers stay trailers", run: func(t *T) {
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			set(w.Header(), []string{"Cache-Control", "max-age=60", "Trailer", "X-Sum"})
			io.WriteString(w, "hello")
			w.(http.Flusher).Flush()
			w.Header().Set("X-Sum", "5")
		})
		t.get("/a")
		a := t.get("/a")
		a.want(larder.Hit, "hello")
		equal(t, "X-Sum in the header", a.header.Get("X-Sum"), "")
		equal(t, "Trailer in the header", a.header.Get("Trailer"), "")
		equal(t, "X-Sum in the trailer", a.resp.Trailer.Get("X-Sum"), "5")
	}},
	{name: "Cache-Control passes through, both ways, known or not", run: func(t *T) {
		t.origin.page("/a", "hello", "Cache-Control", `max-age=60, private="x", foo=bar`, "Cache-Control", "community=UCI")
		asks := `max-age=5, no-transform, foo="a, b"`
		for range 2 {
			a := t.get("/a", header("Cache-Control", asks))
			equal(t, "of the response", strings.Join(a.header["Cache-Control"], " | "), `max-age=60, private="x", foo=bar | community=UCI`)
		}
		equal(t, "of the request", t.origin.last("/a").Header.Get("Cache-Control"), asks)
	}},
	{name: "a stored redirect keeps its Location, word for word", run: func(t *T) {
		for _, status := range []int{300, 301, 302, 303, 307, 308} {
			for i, to := range []string{"/b?x=%7e#y", "../c", "http://other.test/"} {
				path := fmt.Sprint("/", status, "/", i)
				t.origin.status(path, status, "Location", to, "Cache-Control", "max-age=60")
				for _, want := range []larder.Outcome{larder.Miss, larder.Hit} {
					resp, err := t.cache.RoundTrip(t.request("GET", path))
					if err != nil {
						t.Fatal(err)
					}
					resp.Body.Close()
					equal(t, path+": outcome", larder.Info(resp).Outcome, want)
					equal(t, path+": status", resp.StatusCode, status)
					equal(t, path+": Location", resp.Header.Get("Location"), to)
				}
			}
		}
	}},
	{name: "a private cache takes no orders that are for others", run: func(t *T) {
		for i, c := range []struct {
			want   larder.Outcome
			header []string
		}{
			{larder.Miss, []string{"CDN-Cache-Control", "max-age=60"}},
			{larder.Miss, []string{"CDN-Cache-Control", "max-age=60", "Cache-Control", "no-store"}},
			{larder.Hit, []string{"CDN-Cache-Control", "no-store", "Cache-Control", "max-age=60"}},
			{larder.Hit, []string{"Surrogate-Control", "no-store", "Cache-Control", "max-age=60"}},
			{larder.Miss, []string{"Surrogate-Control", "max-age=60", "Cache-Control", "max-age=0"}},
		} {
			path := fmt.Sprint("/", i)
			t.origin.page(path, "hello", c.header...)
			t.get(path)
			a := t.get(path)
			equal(t, strings.Join(c.header, " "), a.Outcome, c.want)
			equal(t, c.header[0], a.header.Get(c.header[0]), c.header[1])
		}
	}},
	{name: "If-Match, If-Unmodified-Since and * are answered by the origin, and stored for nobody", run: func(t *T) {
		for i, c := range []struct {
			name, value string
			status      int
		}{
			{"If-Match", `"1"`, 200}, {"If-Match", `"0"`, 412}, {"If-Match", "*", 200},
			{"If-Unmodified-Since", longAgo, 200}, {"If-Unmodified-Since", "Thu, 01 Jan 1998 15:04:05 GMT", 412},
		} {
			path := fmt.Sprint("/", i)
			t.origin.content(path, "hello", "Cache-Control", "max-age=60", "ETag", `"1"`)
			t.get(path)
			content := t.origin.pages[path]
			t.origin.handle(path, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("If-Unmodified-Since") != "" && r.Header.Get("If-Unmodified-Since") != longAgo {
					w.WriteHeader(http.StatusPreconditionFailed)
					return
				}
				content(w, r)
			})
			t.get(path, header(c.name, c.value)).wantStatus(larder.Bypassed, c.status)
			equal(t, c.name+" at the origin", t.origin.last(path).Header.Get(c.name), c.value)
			t.get(path).want(larder.Hit, "hello")
			t.wantHits(path, 2)
		}
	}},
	{name: "a full answer to a validation replaces what was stored, head and body", run: func(t *T) {
		for i, first := range [][]string{{"ETag", `"1"`}, {"ETag", `W/"1"`}, {"Last-Modified", longAgo}} {
			path := fmt.Sprint("/", i)
			t.origin.page(path, "one", append(first, "Cache-Control", "max-age=60", "X-One", "1")...)
			t.get(path)
			t.clock.advance(time.Minute)
			t.origin.page(path, "other", "Cache-Control", "max-age=60", "X-Two", "2")
			t.get(path).want(larder.Miss, "other")
			asked := t.origin.last(path).Header
			equal(t, "asked with a condition", asked.Get("If-None-Match") != "" || asked.Get("If-Modified-Since") != "", true)
			a := t.get(path)
			a.want(larder.Hit, "other")
			equal(t, "X-One", a.header.Get("X-One"), "")
			equal(t, "X-Two", a.header.Get("X-Two"), "2")
			equal(t, "records", len(t.lookup(path)), 1)
		}
	}},
	{name: "the tag of a part is no condition for the whole, nor beside the caller's", run: func(t *T) {
		t.origin.content("/a", "0123456789", "Cache-Control", "max-age=60", "ETag", `"1"`)
		t.get("/a", header("Range", "bytes=0-4"))
		t.get("/a", header("If-None-Match", `"0"`), header("Cache-Control", "no-cache")).want(larder.Miss, "0123456789")
		equal(t, "If-None-Match at the origin", t.origin.last("/a").Header.Get("If-None-Match"), `"0"`)
		t.wantPurged(store.Query{}, 1)
		t.get("/a", header("Range", "bytes=0-4"))
		t.get("/a", header("Cache-Control", "no-cache")).want(larder.Miss, "0123456789")
		equal(t, "If-None-Match at the origin", t.origin.last("/a").Header.Get("If-None-Match"), "")
	}},
	{name: "Range is for GET alone", run: func(t *T) {
		t.cache.Rules = []larder.Rule{{Match: "**/rule", Methods: []string{"POST"}, TTL: time.Minute}}
		t.origin.content("/a", "hello world", "Cache-Control", "max-age=60", "ETag", `"1"`)
		t.get("/a")
		head := t.do("HEAD", "/a", header("Range", "bytes=0-4"))
		head.wantStatus(larder.Hit, 200)
		equal(t, "length", head.resp.ContentLength, int64(11))
		equal(t, "Content-Range", head.header.Get("Content-Range"), "")
		t.origin.page("/rule", "hello world")
		t.post("/rule", header("Range", "bytes=0-4"))
		t.post("/rule", header("Range", "bytes=0-4")).want(larder.Hit, "hello world")
	}},
	{name: "a part has the fields of its whole, and several have no range of their own", run: func(t *T) {
		t.origin.page("/a", "hello world", "Cache-Control", "max-age=60", "ETag", `"1"`, "Expires", t.date(time.Hour), "Content-Location", "/b", "Vary", "X-Mode",
			"Content-Type", text)
		t.get("/a")
		whole := t.get("/a").header
		for ranges, differs := range map[string][]string{"bytes=0-4": {"Content-Range", "Content-Length"}, "bytes=0-1,5-6": {"Content-Type", "Content-Length"}} {
			a := t.get("/a", header("Range", ranges))
			a.wantStatus(larder.Hit, 206)
			equal(t, ranges+": has a Content-Range", a.header.Get("Content-Range") != "", differs[0] == "Content-Range")
			equal(t, ranges+": Content-Length", a.header.Get("Content-Length"), fmt.Sprint(len(a.body)))
			for _, name := range []string{"Date", "Cache-Control", "ETag", "Expires", "Content-Location", "Vary", "Content-Type", "Age"} {
				if !slices.Contains(differs, name) {
					equal(t, ranges+": "+name, a.header.Get(name), whole.Get(name))
				}
			}
		}
	}},
	{name: "what two parts come to is a 200 with its own length, and the newer one's fields", run: func(t *T) {
		t.origin.content("/a", "0123456789", "Cache-Control", "max-age=60", "ETag", `"1"`, "X-Part", "1", "X-First", "1")
		t.get("/a", header("Range", "bytes=0-4"))
		t.clock.advance(time.Second)
		t.origin.content("/a", "0123456789", "Cache-Control", "max-age=60", "ETag", `"1"`, "X-Part", "2")
		t.get("/a", header("Range", "bytes=5-9"))
		a := t.get("/a")
		a.want(larder.Hit, "0123456789")
		for name, want := range map[string]string{"Content-Length": "10", "Content-Range": "", "X-Part": "2", "X-First": "1"} {
			equal(t, name, a.header.Get(name), want)
		}
		t.wantHits("/a", 2)
	}},
	{name: "a part that may not be stored is not, and one of a stale whole is not the whole", run: func(t *T) {
		for i, says := range []string{"no-store", "private, max-age=60"} {
			u := t.shared()
			path := fmt.Sprint("/", i)
			u.origin.content(path, "0123456789", "Cache-Control", says, "ETag", `"1"`)
			u.get(path, header("Range", "bytes=0-4"))
			u.get(path, header("Range", "bytes=0-4")).want(larder.Miss, "01234")
			u.wantStored(0)
		}
		u := t.shared()
		u.origin.content("/key", "0123456789", "Cache-Control", "max-age=60", "ETag", `"1"`)
		alice := header("Authorization", "alice")
		u.get("/key", alice, header("Range", "bytes=0-4"))
		u.wantStored(0)
	}},
	{name: "stale parts are not served while the origin is there, and stand in for it when it is not", run: func(t *T) {
		t.origin.content("/a", "0123456789", "Cache-Control", "max-age=60", "ETag", `"1"`)
		t.origin.content("/strict", "0123456789", "Cache-Control", "max-age=60, must-revalidate", "ETag", `"1"`)
		part := header("Range", "bytes=1-3")
		for _, path := range []string{"/a", "/strict"} {
			t.get(path, header("Range", "bytes=0-4"))
		}
		t.clock.advance(time.Hour)
		t.down().get("/a", part).want(larder.Stale, "123")
		if a := t.down().try("GET", "/a"); a.err == nil {
			t.Errorf("the whole: got %v %q", a.Outcome, a.body)
		}
		if a := t.down().try("GET", "/strict", part); a.err == nil {
			t.Errorf("must-revalidate: got %v %q", a.Outcome, a.body)
		}
		t.origin.content("/a", "abcdefghij", "Cache-Control", "max-age=60", "ETag", `"2"`)
		t.get("/a", part).want(larder.Miss, "bcd")
	}},
	{name: "a failure of the origin while a part is completed is the caller's to see", run: func(t *T) {
		t.origin.content("/a", "0123456789", "Cache-Control", "max-age=60, stale-if-error=60", "ETag", `"1"`)
		t.get("/a", header("Range", "bytes=0-4"))
		t.origin.status("/a", http.StatusServiceUnavailable)
		t.get("/a").wantStatus(larder.Miss, 503)
		t.wantHits("/a", 2)
		t.get("/a", header("Range", "bytes=1-3")).want(larder.Hit, "123")
	}},
}
