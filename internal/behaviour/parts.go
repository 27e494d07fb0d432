package behaviour

import (
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

const longAgo = "Fri, 02 Jan 1998 15:04:05 GMT" // before the clock of a bubble begins

// parts are tests of requests for less than the whole: ranges, heads, and what the caller has already.
var parts = []test{
	{name: "a range is cut from the stored whole", run: func(t *T) {
		for path, whole := range t.wholes() {
			n := len(whole)
			for _, c := range []struct {
				says         string
				status       int
				body         string
				contentRange string
			}{
				{"bytes=0-4", 206, whole[:5], fmt.Sprintf("bytes 0-4/%d", n)},
				{"bytes=2-2", 206, whole[2:3], fmt.Sprintf("bytes 2-2/%d", n)},
				{fmt.Sprintf("bytes=%d-", n-7), 206, whole[n-7:], fmt.Sprintf("bytes %d-%d/%d", n-7, n-1, n)},
				{"bytes=-3", 206, whole[n-3:], fmt.Sprintf("bytes %d-%d/%d", n-3, n-1, n)},
				{"bytes=5-99999999", 206, whole[5:], fmt.Sprintf("bytes 5-%d/%d", n-1, n)},
				{"bytes=-99999999", 206, whole, fmt.Sprintf("bytes 0-%d/%d", n-1, n)},
				{"bytes=0-", 206, whole, fmt.Sprintf("bytes 0-%d/%d", n-1, n)},
				{"BYTES=0-4", 206, whole[:5], fmt.Sprintf("bytes 0-4/%d", n)},
				{"bytes=99999999-", 416, "", fmt.Sprintf("bytes */%d", n)},
				{"bytes=-0", 416, "", fmt.Sprintf("bytes */%d", n)},
				{"bytes=4-2", 200, whole, ""},
				{"lines=0-4", 200, whole, ""},
				{"bytes=x", 200, whole, ""},
				{"", 200, whole, ""},
			} {
				a := t.get(path, header("Range", c.says))
				a.wantStatus(larder.Hit, c.status)
				equal(t, c.says+": body", a.body, c.body)
				equal(t, c.says+": Content-Range", a.header.Get("Content-Range"), c.contentRange)
				equal(t, c.says+": length", a.resp.ContentLength, int64(len(c.body)))
				equal(t, c.says+": ETag", a.header.Get("ETag"), `"1"`)
			}
			t.wantHits(path, 1)
			t.get(path).want(larder.Hit, whole)
		}
	}},
	{name: "that no range is satisfiable is nothing to keep for as long as the whole", run: func(t *T) {
		fields := []string{"Cache-Control", "max-age=60", "Expires", longAgo, "CDN-Cache-Control", "max-age=60"}
		t.origin.content("/a", "hello world", append(fields, "ETag", `"1"`, "Vary", "X")...)
		t.get("/a")
		a := t.get("/a", header("Range", "bytes=99-"))
		a.wantStatus(larder.Hit, 416)
		for i := 0; i < len(fields); i += 2 {
			equal(t, fields[i], a.header.Get(fields[i]), "")
		}
		equal(t, "Vary", a.header.Get("Vary"), "X")
	}},
	{name: "several ranges come as multipart/byteranges", run: func(t *T) {
		for path, whole := range t.wholes() {
			n := len(whole)
			a := t.get(path, header("Range", "bytes=0-4, 10-19, -6"))
			a.wantStatus(larder.Hit, 206)
			equal(t, "length", a.resp.ContentLength, int64(len(a.body)))
			kind, params, err := mime.ParseMediaType(a.header.Get("Content-Type"))
			if kind != "multipart/byteranges" || err != nil {
				t.Fatalf("the type is %q, error %v", kind, err)
			}
			r := multipart.NewReader(strings.NewReader(a.body), params["boundary"])
			for _, want := range [][2]string{
				{fmt.Sprintf("bytes 0-4/%d", n), whole[:5]},
				{fmt.Sprintf("bytes 10-19/%d", n), whole[10:20]},
				{fmt.Sprintf("bytes %d-%d/%d", n-6, n-1, n), whole[n-6:]},
			} {
				p, err := r.NextPart()
				if err != nil {
					t.Fatal(err)
				}
				b, err := io.ReadAll(p)
				if p.Header.Get("Content-Range") != want[0] || string(b) != want[1] || err != nil {
					t.Errorf("got %s %q, error %v, want %s %q", p.Header.Get("Content-Range"), b, err, want[0], want[1])
				}
				equal(t, "type of the part", p.Header.Get("Content-Type"), text)
			}
			if _, err := r.NextPart(); err != io.EOF {
				t.Errorf("after the last part: %v", err)
			}
			t.wantHits(path, 1)
		}
	}},
	{name: "what several ranges come in is no range itself, whatever the origin said of the whole (RFC 9110 §15.3.7.2)", run: func(t *T) {
		t.origin.page("/a", "0123456789", "Cache-Control", "max-age=60", "Content-Range", "bytes 0-4/100")
		t.get("/a")
		a := t.get("/a", header("Range", "bytes=0-1, 4-5"))
		a.wantStatus(larder.Hit, 206)
		equal(t, "Content-Range", a.header.Get("Content-Range"), "")
	}},
	{name: "If-Range gives the part if nothing has changed, and the whole otherwise", run: func(t *T) {
		for path, whole := range t.wholes() {
			for value, status := range map[string]int{
				`"1"`: 206, `"2"`: 200, `W/"1"`: 200, longAgo: 206, "Fri, 02 Jan 1998 15:04:06 GMT": 200, "x": 200,
			} {
				a := t.get(path, header("Range", "bytes=1-3"), header("If-Range", value))
				a.wantStatus(larder.Hit, status)
				equal(t, value, a.body, map[int]string{200: whole, 206: whole[1:4]}[status])
			}
			t.wantHits(path, 1)
		}
	}},
	{name: "who ignores the range is stored as the whole that it sends", run: func(t *T) {
		t.origin.page("/a", "hello world", "Cache-Control", "max-age=60")
		t.get("/a", header("Range", "bytes=0-4")).want(larder.Miss, "hello world")
		t.get("/a").want(larder.Hit, "hello world")
		t.get("/a", header("Range", "bytes=0-4")).want(larder.Hit, "hello")
	}},
	{name: "a rule that stores whatever comes stores no part as the whole", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Minute, Statuses: []int{200, 416}})
		t.origin.content("/a", "hello world")
		for r, status := range map[string]int{"bytes=0-4": 206, "bytes=0-4,6-7": 206, "bytes=99-": 416} {
			t.get("/a", header("Range", r)).wantStatus(larder.Miss, status)
			t.backgroundDone() // several parts are stored beside the caller
			t.get("/a").want(larder.Miss, "hello world")
			t.get("/a", header("Range", "bytes=0-4")).want(larder.Hit, "hello")
			t.wantPurged(store.Query{}, 1)
		}
	}},
	{name: "a range of what is stale is cut from the stored whole once that is validated", run: func(t *T) {
		t.origin.content("/a", "hello world", "Cache-Control", "max-age=60", "ETag", `"1"`)
		t.get("/a")
		t.clock.advance(time.Hour)
		t.get("/a", header("Range", "bytes=0-4")).want(larder.Revalidated, "hello")
		t.backgroundDone()
		t.get("/a").want(larder.Hit, "hello world")
		t.wantHits("/a", 2)
	}},
	{name: "a range of what has changed passes through, and leaves the stored whole", run: func(t *T) {
		t.origin.content("/a", "hello world", "Cache-Control", "max-age=60", "ETag", `"1"`)
		t.get("/a")
		t.clock.advance(time.Hour)
		t.origin.content("/a", "HELLO WORLD", "Cache-Control", "max-age=60", "ETag", `"2"`)
		for r, want := range map[string]string{"bytes=0-4": "HELLO", "bytes=99-": "invalid range: failed to overlap\n"} {
			t.get("/a", header("Range", r), mode(larder.ForceRefresh)).want(larder.Miss, want)
			t.get("/a", mode(larder.OfflineStale)).want(larder.Stale, "hello world")
		}
		t.get("/a").want(larder.Miss, "HELLO WORLD")
		t.get("/a", header("Range", "bytes=0-4")).want(larder.Hit, "HELLO")
		t.wantStored(1)
	}},
	{name: "a range of a page that is no 200 is the page", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Minute, Statuses: []int{404}})
		t.get("/a")
		t.get("/a", header("Range", "bytes=0-2")).want(larder.Hit, "404 page not found\n")
	}},
	{name: "a HEAD is answered from the stored GET", run: func(t *T) {
		for path, whole := range t.wholes() {
			a := t.do("HEAD", path)
			a.want(larder.Hit, "")
			equal(t, "length", a.resp.ContentLength, int64(len(whole)))
			equal(t, "ETag", a.header.Get("ETag"), `"1"`)
			equal(t, "type", a.header.Get("Content-Type"), text)
			t.wantHits(path, 1)
			t.get(path).want(larder.Hit, whole)
		}
	}},
	{name: "a GET is not answered from a stored HEAD, nor replaced by it", run: func(t *T) {
		t.origin.content("/a", "hello", "Cache-Control", "max-age=60", "ETag", `"1"`)
		t.do("HEAD", "/a").want(larder.Miss, "")
		t.get("/a").want(larder.Miss, "hello")
		t.do("HEAD", "/a", mode(larder.ForceRefresh)).want(larder.Miss, "")
		t.get("/a").want(larder.Hit, "hello")
	}},
	{name: "a HEAD makes the stored GET fresh again, or shows that it has changed", run: func(t *T) {
		t.origin.content("/a", "hello", "Cache-Control", "max-age=60", "ETag", `"1"`)
		t.get("/a")
		t.clock.advance(time.Hour)
		t.do("HEAD", "/a", mode(larder.ForceRefresh))
		t.get("/a").want(larder.Hit, "hello")
		t.origin.content("/a", "HELLO", "Cache-Control", "max-age=60", "ETag", `"2"`)
		t.do("HEAD", "/a", mode(larder.ForceRefresh))
		t.get("/a").want(larder.Miss, "HELLO")
	}},
	{name: "the caller's own condition is answered from what is stored", run: func(t *T) {
		for path, whole := range t.wholes() {
			for _, c := range []struct {
				header, value string
				status        int
			}{
				{"If-None-Match", `"1"`, 304},
				{"If-None-Match", `W/"1"`, 304},
				{"If-None-Match", `"0", "1"`, 304},
				{"If-None-Match", `*`, 304},
				{"If-None-Match", `"0"`, 200},
				{"If-None-Match", `1`, 200},
				{"If-Modified-Since", longAgo, 304},
				{"If-Modified-Since", "Sat, 03 Jan 1998 15:04:05 GMT", 304},
				{"If-Modified-Since", "Thu, 01 Jan 1998 15:04:05 GMT", 200},
				{"If-Modified-Since", "x", 200},
			} {
				a := t.get(path, header(c.header, c.value))
				a.wantStatus(larder.Hit, c.status)
				equal(t, c.value+": body", a.body, map[int]string{200: whole, 304: ""}[c.status])
				equal(t, c.value+": ETag", a.header.Get("ETag"), `"1"`)
				t.do("HEAD", path, header(c.header, c.value)).wantStatus(larder.Hit, c.status)
			}
			t.get(path, header("If-None-Match", `"0"`), header("If-Modified-Since", longAgo)).want(larder.Hit, whole)
			t.get(path, header("If-None-Match", `"1"`), header("Range", "bytes=0-4")).wantStatus(larder.Hit, 304)
			t.get(path, header("If-None-Match", `"0"`), header("Range", "bytes=0-4")).want(larder.Hit, whole[:5])
			t.wantHits(path, 1)
		}
	}},
	{name: "a 304 for the caller's condition on what is not stored is not stored as the page", run: func(t *T) {
		everything := larder.Everything(time.Minute)
		everything.Match = "**/everything"
		t.rule(everything)
		for _, path := range []string{"/standard", "/everything"} {
			for name, value := range map[string]string{"If-None-Match": `"1"`, "If-Modified-Since": longAgo} {
				t.origin.handle(path, conditional("hello"))
				t.get(path, header(name, value)).wantStatus(larder.Miss, 304)
				t.wantStored(0)
				t.get(path).want(larder.Miss, "hello")
				t.get(path, header(name, value)).wantStatus(larder.Hit, 304)
				t.get(path).want(larder.Hit, "hello")
				t.wantPurged(store.Query{}, 1)
			}
		}
	}},
	{name: "the caller's condition that does not hold is stored as any other", run: func(t *T) {
		t.origin.handle("/a", conditional("hello"))
		t.get("/a", header("If-None-Match", `"0"`)).want(larder.Miss, "hello")
		t.get("/a").want(larder.Hit, "hello")
	}},
	{name: "what is stale is validated by its own tag, and then answers the caller's condition", run: func(t *T) {
		t.origin.handle("/a", conditional("hello"))
		t.get("/a")
		for tag, status := range map[string]int{`"0"`: 200, `"1"`: 304} {
			t.clock.advance(time.Hour)
			t.get("/a", header("If-None-Match", tag)).wantStatus(larder.Revalidated, status)
			equal(t, "If-None-Match at the origin", t.origin.last("/a").Header.Get("If-None-Match"), `"1"`)
			t.backgroundDone()
			t.get("/a").want(larder.Hit, "hello")
		}
	}},
	{name: "a hundred callers with conditions and ranges of a stored page get what each asked for", run: func(t *T) {
		whole := long("x", 200_000)
		t.origin.content("/a", whole, "Cache-Control", "max-age=60", "ETag", `"1"`)
		t.get("/a")
		for i, a := range t.start(100, func(i int) answer {
			if i%4 == 0 {
				return t.try("GET", "/a", header("If-None-Match", `"1"`))
			}
			return t.try("GET", "/a", header("Range", fmt.Sprintf("bytes=%d-%d", i*1000, i*1000+1500)))
		}).done() {
			want := whole[i*1000 : i*1000+1501]
			if i%4 == 0 {
				want = ""
			}
			a.want(larder.Hit, want)
		}
		t.wantHits("/a", 1)
	}},
	{name: "a precondition is the origin's to check", run: func(t *T) {
		t.origin.content("/a", "hello", "Cache-Control", "max-age=60", "ETag", `"1"`)
		t.get("/a")
		t.get("/a", header("If-Match", `"0"`)).wantStatus(larder.Bypassed, http.StatusPreconditionFailed)
		t.get("/a", header("If-Match", `"1"`)).want(larder.Bypassed, "hello")
		t.get("/a").want(larder.Hit, "hello")
	}},
	{name: "offline, a range and a condition are answered from what is stored, or with 504", run: func(t *T) {
		t.origin.content("/a", "hello", "Cache-Control", "max-age=60", "ETag", `"1"`)
		t.get("/a", header("Range", "bytes=0-1"), mode(larder.Offline)).wantStatus(larder.Refused, 504)
		t.get("/a")
		t.get("/a", header("Range", "bytes=0-1"), mode(larder.Offline)).want(larder.Hit, "he")
		t.get("/a", header("If-None-Match", `"1"`), mode(larder.Offline)).wantStatus(larder.Hit, 304)
		t.wantHits("/a", 1)
	}},
}

// wholes stores a page that is small and one that is not, and returns them by path.
func (t *T) wholes() map[string]string {
	t.Helper()
	pages := map[string]string{"/small": "hello, world of parts and pieces", "/large": long("large", 300_000)}
	for path, whole := range pages {
		t.origin.page(path, whole, "Cache-Control", "max-age=60", "ETag", `"1"`, "Last-Modified", longAgo, "Content-Type", text)
		t.get(path).want(larder.Miss, whole)
	}
	return pages
}

// conditional is a page with the tag "1" that has not changed for long.
func conditional(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Last-Modified", longAgo)
		if r.Header.Get("If-None-Match") == `"1"` || r.Header.Get("If-Modified-Since") == longAgo {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		io.WriteString(w, body)
	}
}
