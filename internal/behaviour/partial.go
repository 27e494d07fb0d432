package behaviour

import (
	"context"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

// partial are tests of responses that are stored in part (RFC 9111 §3.3 and §3.4).
var partial = []test{
	{name: "what the rest of a body says to its caller alone is not stored, whatever a targeted field says", run: func(t *T) {
		for _, targeted := range [][]string{nil, {}} {
			u := t.shared()
			u.cache.Targeted = targeted
			page := long("/a", 1000)
			u.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("ETag", `"1"`)
				if r.Header.Get("Range") == "bytes=0-499" {
					set(w.Header(), []string{"Cache-Control", "max-age=60", "CDN-Cache-Control", "max-age=60"})
				} else {
					set(w.Header(), []string{"Cache-Control", `max-age=60, private="X-User"`, "X-User", "alice"})
				}
				http.ServeContent(w, r, "", time.Time{}, strings.NewReader(page))
			})
			u.get("/a", header("Range", "bytes=0-499"))
			a := u.get("/a")
			a.want(larder.Miss, page)
			equal(t, "alice's X-User", a.header.Get("X-User"), "alice")
			a = u.get("/a")
			a.want(larder.Hit, page)
			equal(t, "another's X-User", a.header.Get("X-User"), "")
		}
	}},
	{name: "a part is stored, and answers for itself and what is in it", run: func(t *T) {
		for path, whole := range t.files() {
			n := len(whole)
			says := func(first, last int) option { return header("Range", fmt.Sprintf("bytes=%d-%d", first, last)) }
			t.get(path, says(10, n-10)).want(larder.Miss, whole[10:n-9])
			for _, r := range [][2]int{{10, n - 10}, {10, 10}, {n - 10, n - 10}, {15, 20}, {12, n - 12}} {
				a := t.get(path, says(r[0], r[1]))
				a.wantStatus(larder.Hit, 206)
				equal(t, "body", a.body, whole[r[0]:r[1]+1])
				equal(t, "Content-Range", a.header.Get("Content-Range"), fmt.Sprintf("bytes %d-%d/%d", r[0], r[1], n))
				equal(t, "length", a.resp.ContentLength, int64(r[1]-r[0]+1))
				equal(t, "ETag", a.header.Get("ETag"), `"1"`)
			}
			t.get(path, header("Range", fmt.Sprintf("bytes=%d-", n))).wantStatus(larder.Hit, 416)
			several := t.get(path, header("Range", "bytes=20-24,11-13"))
			several.wantStatus(larder.Hit, 206)
			if !strings.Contains(several.body, whole[20:25]) || !strings.Contains(several.body, whole[11:14]) {
				t.Errorf("two ranges of a part are %q", several.body)
			}
			t.wantHits(path, 1)
			t.get(path, mode(larder.Offline)).wantStatus(larder.Refused, 504)
		}
	}},
	{name: "of several ranges what is there is no answer, nor of a whole that is fetched anew", run: func(t *T) {
		t.origin.content("/a", "0123456789", "Cache-Control", "max-age=60", "ETag", `"1"`)
		t.get("/a", header("Range", "bytes=0-3"))
		a := t.get("/a", header("Range", "bytes=2-5,8-9"))
		a.wantStatus(larder.Miss, 206)
		equal(t, "Range at the origin", t.origin.last("/a").Header.Get("Range"), "bytes=2-5,8-9")
		if !strings.Contains(a.body, "2345") || !strings.Contains(a.body, "89") {
			t.Errorf("two ranges are %q", a.body)
		}
		t.get("/a", mode(larder.ForceRefresh)).want(larder.Miss, "0123456789")
		equal(t, "Range at the origin", t.origin.last("/a").Header.Get("Range"), "")
	}},
	{name: "parts of two representations that come at once are not put together", run: func(t *T) {
		for path, tags := range map[string][2]string{"/other": {`"1"`, `"2"`}, "/longer": {`"1"`, `"1"`}} {
			g := make(gate)
			t.origin.handle(path, func(w http.ResponseWriter, r *http.Request) {
				tag, page := `"3"`, strings.Repeat("c", 12)
				switch asked := r.Header.Get("Range"); {
				case t.origin.hits(path) > 2: // it has changed once more
				case asked == "bytes=0-4":
					tag, page = tags[0], strings.Repeat("a", map[string]int{"/other": 12, "/longer": 10}[path])
				default:
					tag, page = tags[1], strings.Repeat("b", 12)
				}
				g.wait(r)
				set(w.Header(), []string{"Cache-Control", "max-age=60", "ETag", tag})
				http.ServeContent(w, r, "", time.Time{}, strings.NewReader(page))
			})
			p := t.start(2, func(i int) answer { return t.try("GET", path, header("Range", []string{"bytes=0-4", "bytes=5-"}[i])) })
			t.settle()
			g.open()
			p.done()
			t.settle()
			t.get(path).want(larder.Miss, strings.Repeat("c", 12))
		}
	}},
	{name: "a rule that lists 200 lets parts of it be stored", run: func(t *T) {
		t.rule(larder.Everything(time.Minute))
		t.origin.content("/a", "0123456789", "ETag", `"1"`)
		t.get("/a", header("Range", "bytes=0-3")).want(larder.Miss, "0123")
		t.get("/a", header("Range", "bytes=1-2")).want(larder.Hit, "12")
	}},
	{name: "what parts come to has the fields that a targeted field lets be stored", run: func(t *T) {
		t = t.shared()
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			set(w.Header(), []string{"ETag", `"1"`, "CDN-Cache-Control", "max-age=60", "Cache-Control", `no-cache="x-a"`, "X-A", "1"})
			http.ServeContent(w, r, "a.txt", time.Time{}, strings.NewReader("0123456789"))
		})
		t.get("/a", header("Range", "bytes=0-3"))
		t.get("/a", header("Range", "bytes=4-9"))
		a := t.get("/a")
		a.want(larder.Hit, "0123456789")
		equal(t, "X-A", a.header.Get("X-A"), "1")
	}},
	{name: "parts come to more than each of them, and at last to the whole", run: func(t *T) {
		for path, whole := range t.files() {
			n := len(whole)
			third := n / 3
			parts := []string{fmt.Sprintf("bytes=%d-%d", third, 2*third), fmt.Sprintf("bytes=%d-", 2*third+1), fmt.Sprintf("bytes=0-%d", third-1)}
			for i, r := range parts {
				t.get(path, header("Range", r)).wantStatus(larder.Miss, 206)
				t.wantHits(path, i+1)
			}
			a := t.get(path)
			a.want(larder.Hit, whole)
			equal(t, "length", a.resp.ContentLength, int64(n))
			equal(t, "Content-Range", a.header.Get("Content-Range"), "")
			t.get(path, header("Range", fmt.Sprintf("bytes=%d-%d", third-5, 2*third+5))).want(larder.Hit, whole[third-5:2*third+6])
			t.get(path, header("Range", "bytes=-7")).want(larder.Hit, whole[n-7:])
			t.do("HEAD", path).want(larder.Hit, "")
			t.get(path, header("If-None-Match", `"1"`)).wantStatus(larder.Hit, 304)
			t.wantHits(path, 3)
		}
	}},
	{name: "what is missing of the whole is fetched, and the whole is stored", run: func(t *T) {
		for path, whole := range t.files() {
			n := len(whole)
			for _, c := range []struct{ part, asked string }{
				{fmt.Sprintf("bytes=0-%d", n/2), fmt.Sprintf("bytes=%d-", n/2+1)},
				{fmt.Sprintf("bytes=%d-", n/2), fmt.Sprintf("bytes=0-%d", n/2-1)},
			} {
				t.get(path, header("Range", c.part)).wantStatus(larder.Miss, 206)
				a := t.get(path)
				a.want(larder.Miss, whole)
				equal(t, "length", a.resp.ContentLength, int64(n))
				equal(t, "Content-Range", a.header.Get("Content-Range"), "")
				asked := t.origin.last(path)
				equal(t, "Range at the origin", asked.Header.Get("Range"), c.asked)
				if c.asked != "" {
					equal(t, "If-Range at the origin", asked.Header.Get("If-Range"), `"1"`)
					equal(t, "why", a.Forwarded, "partial")
					equal(t, "reason", a.Reason, "only a part of it is stored")
					equal(t, "the origin's status", a.ForwardStatus, 206)
				}
				hit := t.get(path)
				hit.want(larder.Hit, whole)
				equal(t, "length of the hit", hit.resp.ContentLength, int64(n))
				equal(t, "records", len(t.lookup(path)), 1)
				t.wantPurged(store.Query{}, 1)
			}
		}
	}},
	{name: "a gap in the middle is fetched alone", run: func(t *T) {
		for path, whole := range t.files() {
			n := len(whole)
			t.get(path, header("Range", "bytes=0-9"))
			t.get(path, header("Range", "bytes=-10"))
			a := t.get(path)
			a.want(larder.Miss, whole)
			equal(t, "Range at the origin", t.origin.last(path).Header.Get("Range"), fmt.Sprintf("bytes=10-%d", n-11))
			t.get(path).want(larder.Hit, whole)
		}
	}},
	{name: "what is missing of a range is fetched, and the range is stored", run: func(t *T) {
		for path, whole := range t.files() {
			n := len(whole)
			t.get(path, header("Range", "bytes=5-9"))
			a := t.get(path, header("Range", "bytes=7-15"))
			a.wantStatus(larder.Miss, 206)
			equal(t, "body", a.body, whole[7:16])
			equal(t, "Content-Range", a.header.Get("Content-Range"), fmt.Sprintf("bytes 7-15/%d", n))
			equal(t, "Range at the origin", t.origin.last(path).Header.Get("Range"), "bytes=10-15")
			t.get(path, header("Range", "bytes=5-15")).want(larder.Hit, whole[5:16])
			t.get(path, header("Range", "bytes=20-24")).want(larder.Miss, whole[20:25])
			equal(t, "Range at the origin", t.origin.last(path).Header.Get("Range"), "bytes=20-24")
			equal(t, "If-Range at the origin", t.origin.last(path).Header.Get("If-Range"), "")
			t.get(path, header("Range", "bytes=6-24")).want(larder.Miss, whole[6:25])
			equal(t, "Range at the origin", t.origin.last(path).Header.Get("Range"), "bytes=16-19")
			equal(t, "records", len(t.lookup(path)), 2) // 5-9 and 6-24
		}
	}},
	{name: "the parts of a multipart/byteranges response are stored one by one, and the caller gets it as it came", run: func(t *T) {
		for path, whole := range t.files() {
			n := len(whole)
			r := header("Range", fmt.Sprintf("bytes=0-9,20-%d", n-3))
			first := t.get(path, r)
			first.wantStatus(larder.Miss, 206)
			kind, params, _ := mime.ParseMediaType(first.header.Get("Content-Type"))
			equal(t, "type", kind, "multipart/byteranges")
			equal(t, "length", first.resp.ContentLength, int64(len(first.body)))
			parts := multipart.NewReader(strings.NewReader(first.body), params["boundary"])
			for _, want := range []string{whole[:10], whole[20 : n-2]} {
				p, err := parts.NextPart()
				if err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(p); string(got) != want || err != nil {
					t.Errorf("a part has %d bytes, error %v, want %d", len(got), err, len(want))
				}
			}
			t.backgroundDone()
			equal(t, "records", len(t.lookup(path)), 2)
			t.get(path, r).wantStatus(larder.Hit, 206)
			a := t.get(path, header("Range", "bytes=2-4"))
			a.want(larder.Hit, whole[2:5])
			equal(t, "type of the page", a.header.Get("Content-Type"), "text/plain; charset=utf-8")
			t.get(path, header("Range", fmt.Sprintf("bytes=20-%d", n-3))).want(larder.Hit, whole[20:n-2])
			t.wantHits(path, 1)
			t.get(path).want(larder.Miss, whole)
			equal(t, "Range at the origin", t.origin.last(path).Header.Get("Range"), "bytes=10-")
		}
	}},
	{name: "a multipart/byteranges response that breaks off, or is none, passes as it came", run: func(t *T) {
		page := func(body string, cut bool) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				set(w.Header(), []string{"Cache-Control", "max-age=60", "ETag", `"1"`, "Content-Type", "multipart/byteranges; boundary=x"})
				w.WriteHeader(http.StatusPartialContent)
				io.WriteString(w, body)
				w.(http.Flusher).Flush()
				if cut {
					panic(http.ErrAbortHandler)
				}
			}
		}
		several := header("Range", "bytes=0-4,6-9")
		t.origin.handle("/none", page("01234\n6789", false))
		t.get("/none", several).want(larder.Miss, "01234\n6789")
		t.backgroundDone()
		t.wantStored(0)
		begun := "--x\r\nContent-Range: bytes 0-4/10\r\n\r\n01234\r\n--x\r\nContent-Range: bytes 6-9/10\r\n\r\n67"
		t.origin.handle("/cut", page(begun, true))
		if a := t.try("GET", "/cut", several); a.err == nil || a.body != begun {
			t.Errorf("got %q, error %v", a.body, a.err)
		}
		t.backgroundDone()
		t.get("/cut", header("Range", "bytes=1-3")).want(larder.Hit, "123")
		t.origin.handle("/lies", page(strings.Replace(begun, "6-9/10", "6-9/11", 1)+"89\r\n--x\r\nContent-Range: bytes 3-2/10\r\n\r\n!\r\n--x--", false))
		t.get("/lies", several).wantStatus(larder.Miss, 206)
		t.backgroundDone()
		t.get("/lies", header("Range", "bytes=6-9"), mode(larder.Offline)).want(larder.Hit, "6789")
		t.get("/lies", header("Range", "bytes=0-9"), mode(larder.Offline)).wantStatus(larder.Refused, 504)
		left := t.begin("/lies", several)
		left.resp.Body.Close()
		t.backgroundDone()
	}},
	{name: "the parts of a multipart/byteranges response are stored for whoever asked, though the request is used again by then", run: func(t *T) {
		u, f := t.near()
		as := credentials["/token"]
		t.origin.content("/a", long("x", 1000), "Cache-Control", "max-age=60", "ETag", `"1"`, "No-Vary-Search", "key-order")
		storing := make(chan struct{})
		f.at(func(context.Context) error { <-storing; return nil }, create)
		req := t.request("GET", "/a", as("alice"), header("Range", "bytes=0-9,20-29,40-49"), under(context.Background()))
		resp, err := u.cache.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Read(make([]byte, 4<<10)) // all of it
		resp.Body.Close()
		req.Header.Set("Authorization", "Bearer bob")
		close(storing)
		u.backgroundDone()
		for _, r := range []string{"bytes=0-9", "bytes=20-29", "bytes=40-49"} {
			u.get("/a", header("Range", r), as("bob"), mode(larder.Offline)).wantStatus(larder.Refused, 504)
			u.get("/a", header("Range", r), as("alice"), mode(larder.Offline)).wantStatus(larder.Hit, 206)
		}
	}},
	{name: "what has changed is fetched as a whole, and takes the place of its parts", run: func(t *T) {
		for path, whole := range t.files() {
			changed := strings.ToUpper(whole)
			for _, r := range []option{header("X-Whole", ""), header("Range", "bytes=0-20")} {
				t.origin.content(path, whole, "Cache-Control", "max-age=60", "ETag", `"1"`)
				t.get(path, header("Range", "bytes=0-9")).want(larder.Miss, whole[:10])
				t.origin.content(path, changed, "Cache-Control", "max-age=60", "ETag", `"2"`)
				t.get(path, r).want(larder.Miss, changed)
				t.get(path).want(larder.Hit, changed)
				t.get(path, header("Range", "bytes=0-20")).want(larder.Hit, changed[:21])
				equal(t, "records", len(t.lookup(path)), 1)
				t.wantPurged(store.Query{}, 1)
			}
		}
	}},
	{name: "a part of another representation is not put together with what is stored, whatever was asked for", run: func(t *T) {
		for path, whole := range t.files() {
			changed := strings.ToUpper(whole)
			t.get(path, header("Range", "bytes=0-9")).want(larder.Miss, whole[:10])
			t.origin.handle(path, func(w http.ResponseWriter, r *http.Request) {
				set(w.Header(), []string{"Cache-Control", "max-age=60", "ETag", `"2"`})
				r.Header.Del("If-Range") // as one that knows no If-Range
				http.ServeContent(w, r, "", time.Time{}, strings.NewReader(changed))
			})
			t.get(path).want(larder.Miss, changed)
			t.wantHits(path, 3) // the rest was of another one
			t.get(path).want(larder.Hit, changed)
		}
	}},
	{name: "an origin that has another size, or sends another part, is asked anew", run: func(t *T) {
		whole := long("x", 1000)
		for i, says := range []string{"bytes 500-999/1001", "bytes 501-999/1000", "bytes 500-998/1000", "bytes 400-899/1000", "bytes 0-999/1000", "bytes */1000", "x", ""} {
			path := fmt.Sprint("/", i)
			t.origin.content(path, whole, "Cache-Control", "max-age=60", "ETag", `"1"`)
			t.get(path, header("Range", "bytes=0-499"))
			t.origin.handle(path, func(w http.ResponseWriter, r *http.Request) {
				set(w.Header(), []string{"Cache-Control", "max-age=60", "ETag", `"1"`})
				if r.Header.Get("Range") == "" {
					io.WriteString(w, whole)
					return
				}
				w.Header().Set("Content-Range", says)
				w.WriteHeader(http.StatusPartialContent)
				io.WriteString(w, strings.Repeat("!", 500))
			})
			t.get(path).want(larder.Miss, whole)
			t.wantHits(path, 3)
		}
	}},
	{name: "parts without a strong validator stand for themselves alone", run: func(t *T) {
		for i, fields := range [][]string{nil, {"ETag", `W/"1"`}, {"Last-Modified", t.clock.Now().UTC().Format(http.TimeFormat)}} {
			path := fmt.Sprint("/", i)
			t.origin.handle(path, func(w http.ResponseWriter, r *http.Request) {
				set(w.Header(), append(fields, "Cache-Control", "max-age=60"))
				http.ServeContent(w, r, "", time.Time{}, strings.NewReader("0123456789"))
			})
			t.get(path, header("Range", "bytes=0-4")).want(larder.Miss, "01234")
			t.get(path, header("Range", "bytes=5-9")).want(larder.Miss, "56789")
			t.get(path, header("Range", "bytes=6-8")).want(larder.Hit, "678")
			t.get(path).want(larder.Miss, "0123456789")
			equal(t, "Range at the origin", t.origin.last(path).Header.Get("Range"), "")
			t.wantHits(path, 3)
		}
	}},
	{name: "a weak Last-Modified does not become strong by a 304 or HEAD that is younger", run: func(t *T) {
		for i, ask := range []struct {
			method string
			option option
			want   larder.Outcome
		}{{"GET", header("Range", "bytes=0-4"), larder.Revalidated}, {"HEAD", header("X", ""), larder.Miss}} {
			path := fmt.Sprint("/", i)
			content, changed := "0123456789", t.clock.Now()
			t.origin.handle(path, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=60")
				http.ServeContent(w, r, "", changed, strings.NewReader(content))
			})
			t.get(path, header("Range", "bytes=0-4")).want(larder.Miss, "01234")
			content = "abcdefghij"
			t.clock.advance(time.Hour)
			equal(t, ask.method, t.do(ask.method, path, ask.option).Outcome, ask.want)
			t.backgroundDone()
			t.get(path).want(larder.Miss, "abcdefghij")
		}
	}},
	{name: "parts that are stale are validated together", run: func(t *T) {
		for path, whole := range t.files() {
			t.get(path, header("Range", "bytes=0-9"))
			t.get(path, header("Range", "bytes=10-19"))
			t.clock.advance(time.Hour)
			t.get(path, header("Range", "bytes=5-14")).want(larder.Revalidated, whole[5:15])
			equal(t, "If-None-Match at the origin", t.origin.last(path).Header.Get("If-None-Match"), `"1"`)
			t.backgroundDone()
			t.get(path, header("Range", "bytes=0-19")).want(larder.Hit, whole[:20])
			t.wantHits(path, 3)
		}
	}},
	{name: "a new part makes the older ones of the same representation fresh", run: func(t *T) {
		for path, whole := range t.files() {
			t.get(path, header("Range", "bytes=0-9"))
			t.clock.advance(time.Hour)
			t.get(path, header("Range", "bytes=10-19"))
			t.get(path, header("Range", "bytes=0-19")).want(larder.Hit, whole[:20])
		}
	}},
	{name: "a part makes the stored whole fresh, and is not stored beside it", run: func(t *T) {
		for path, whole := range t.files() {
			t.get(path).want(larder.Miss, whole)
			t.clock.advance(time.Hour)
			t.origin.handle(path, func(w http.ResponseWriter, r *http.Request) {
				set(w.Header(), []string{"Cache-Control", "max-age=60", "ETag", `"1"`})
				r.Header.Del("If-None-Match") // as one that knows no conditions
				http.ServeContent(w, r, "", time.Time{}, strings.NewReader(whole))
			})
			t.get(path, header("Range", "bytes=0-9")).want(larder.Miss, whole[:10])
			t.get(path).want(larder.Hit, whole)
			equal(t, "records", len(t.lookup(path)), 1)
		}
	}},
	{name: "what broke off is told as such, kept, and completed", run: func(t *T) {
		whole := long("x", 300_000)
		t.origin.cut("/a", whole, "Content-Length", "300000", "Cache-Control", "max-age=60", "ETag", `"1"`).open()
		if a := t.try("GET", "/a"); a.err == nil || a.body != whole[:150_000] {
			t.Errorf("got %d bytes, error %v", len(a.body), a.err)
		}
		t.backgroundDone()
		t.get("/a", mode(larder.Offline)).wantStatus(larder.Refused, 504)
		t.get("/a", header("Range", "bytes=1000-2000"), mode(larder.Offline)).want(larder.Hit, whole[1000:2001])
		t.origin.content("/a", whole, "Cache-Control", "max-age=60", "ETag", `"1"`)
		t.get("/a").want(larder.Miss, whole)
		equal(t, "Range at the origin", t.origin.last("/a").Header.Get("Range"), "bytes=150000-")
		t.get("/a").want(larder.Hit, whole)
		t.wantStored(1)
	}},
	{name: "what the caller left is kept as far as it came, and completed", run: func(t *T) {
		whole := long("x", 1<<20)
		t.origin.content("/a", whole, "Cache-Control", "max-age=60", "ETag", `"1"`)
		a := t.begin("/a")
		io.CopyN(io.Discard, a.resp.Body, 500_000)
		a.resp.Body.Close()
		t.backgroundDone()
		t.wantStored(1)
		t.get("/a", header("Range", "bytes=0-400000")).want(larder.Hit, whole[:400_001])
		t.get("/a").want(larder.Miss, whole)
		var from int
		fmt.Sscanf(t.origin.last("/a").Header.Get("Range"), "bytes=%d-", &from)
		if from < 400_001 || from > 600_000 {
			t.Errorf("the origin was asked for %s", t.origin.last("/a").Header.Get("Range"))
		}
		t.get("/a").want(larder.Hit, whole)
		t.wantStored(1)
	}},
	{name: "a part that broke off is kept, and completed", run: func(t *T) {
		whole := long("x", 400_000)
		t.origin.cutPart("/a", whole, 100_000, 299_999)
		if a := t.try("GET", "/a", header("Range", "bytes=100000-299999")); a.err == nil || a.body != whole[100_000:200_000] {
			t.Errorf("got %d bytes, error %v", len(a.body), a.err)
		}
		t.backgroundDone()
		t.origin.content("/a", whole, "Cache-Control", "max-age=60", "ETag", `"1"`)
		t.get("/a", header("Range", "bytes=150000-250000")).want(larder.Miss, whole[150_000:250_001])
		equal(t, "Range at the origin", t.origin.last("/a").Header.Get("Range"), "bytes=200000-250000")
	}},
	{name: "what broke off of a page that has no strong validator, or takes no ranges, is not kept", run: func(t *T) {
		for i, fields := range [][]string{nil, {"ETag", `W/"1"`}, {"ETag", `"1"`, "Accept-Ranges", "none"}, {"ETag", `"1"`, "Cache-Control", "no-store"}} {
			path := fmt.Sprint("/", i)
			t.origin.cut(path, long("x", 300_000), append(fields, "Content-Length", "300000", "Cache-Control", "max-age=60")...).open()
			t.try("GET", path)
			t.backgroundDone()
			t.wantStored(0)
		}
	}},
	{name: "nor is what broke off of the answer to a QUERY", run: func(t *T) {
		t.origin.cut("/a", long("x", 300_000), "ETag", `"1"`, "Content-Length", "300000", "Cache-Control", "max-age=60").open()
		t.try("QUERY", "/a", body(text, "x"))
		t.backgroundDone()
		t.wantStored(0)
	}},
	{name: "the rest that breaks off leaves what is stored, and what has come of it", run: func(t *T) {
		whole := long("x", 300_000)
		t.origin.content("/a", whole, "Cache-Control", "max-age=60", "ETag", `"1"`)
		t.get("/a", header("Range", "bytes=0-99999"))
		t.origin.cutPart("/a", whole, 100_000, 299_999)
		if a := t.try("GET", "/a"); a.err == nil || a.body != whole[:200_000] {
			t.Errorf("got %d bytes, error %v", len(a.body), a.err)
		}
		t.backgroundDone()
		t.origin.content("/a", whole, "Cache-Control", "max-age=60", "ETag", `"1"`)
		t.get("/a", header("Range", "bytes=0-150000")).want(larder.Hit, whole[:150_001])
		t.get("/a").want(larder.Miss, whole)
		equal(t, "Range at the origin", t.origin.last("/a").Header.Get("Range"), "bytes=200000-")
		t.wantStored(1)
	}},
	{name: "parts of one variant are not those of another", run: func(t *T) {
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			set(w.Header(), []string{"Cache-Control", "max-age=60", "ETag", `"1"`, "Vary", "X-Mode"})
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(strings.Repeat(r.Header.Get("X-Mode"), 10)))
		})
		t.get("/a", header("X-Mode", "a"), header("Range", "bytes=0-4")).want(larder.Miss, "aaaaa")
		t.get("/a", header("X-Mode", "b"), header("Range", "bytes=0-4")).want(larder.Miss, "bbbbb")
		t.get("/a", header("X-Mode", "b"), header("Range", "bytes=5-9")).want(larder.Miss, "bbbbb")
		t.get("/a", header("X-Mode", "b")).want(larder.Hit, "bbbbbbbbbb")
		t.get("/a", header("X-Mode", "a")).want(larder.Miss, "aaaaaaaaaa")
		equal(t, "Range at the origin", t.origin.last("/a").Header.Get("Range"), "bytes=5-")
		t.get("/a", header("X-Mode", "c")).want(larder.Miss, "cccccccccc")
		equal(t, "Range at the origin", t.origin.last("/a").Header.Get("Range"), "")
	}},
	{name: "no more parts are kept than there is room for, the latest", run: func(t *T) {
		whole := long("x", 1000)
		t.origin.content("/a", whole, "Cache-Control", "max-age=60", "ETag", `"1"`)
		for i := range 40 {
			t.get("/a", header("Range", fmt.Sprintf("bytes=%d-%d", i*20, i*20+9)))
			t.clock.advance(time.Millisecond)
		}
		t.wantStored(32)
		t.get("/a", header("Range", "bytes=780-789")).want(larder.Hit, whole[780:790])
		t.get("/a", header("Range", "bytes=0-9")).want(larder.Miss, whole[:10])
	}},
	{name: "nor with those of several at once", run: func(t *T) {
		t.origin.content("/a", long("x", 1000), "Cache-Control", "max-age=60", "ETag", `"1"`)
		for i := range 31 {
			t.get("/a", header("Range", fmt.Sprintf("bytes=%d-%d", i*20, i*20+9)))
			t.clock.advance(time.Millisecond)
		}
		t.get("/a", header("Range", "bytes=701-702,711-712,721-722,731-732"))
		t.backgroundDone()
		t.wantStored(32)
		t.get("/a", header("Range", "bytes=701-702"), mode(larder.Offline)).wantStatus(larder.Hit, 206)
		t.get("/a", header("Range", "bytes=731-732"), mode(larder.Offline)).wantStatus(larder.Hit, 206)

		t.origin.content("/weak", long("x", 1000), "Cache-Control", "max-age=60", "ETag", `W/"1"`) // which do not take each other's place
		t.get("/weak", header("Range", "bytes=0-9,20-29"))
		t.backgroundDone()
		t.get("/weak", header("Range", "bytes=0-9")).wantStatus(larder.Hit, 206)
		t.get("/weak", header("Range", "bytes=20-29")).wantStatus(larder.Hit, 206)
	}},
	{name: "several callers of a whole that is stored in part wait for one rest", run: func(t *T) {
		whole := long("x", 300_000)
		t.origin.content("/a", whole, "Cache-Control", "max-age=60", "ETag", `"1"`)
		t.get("/a", header("Range", "bytes=0-99999"))
		g := t.origin.hold("/a")
		p := t.start(10, func(int) answer { return t.try("GET", "/a") })
		t.settle()
		g.open()
		t.wantAll(p.done(), whole)
		t.wantHits("/a", 2)
	}},
	{name: "several callers of one part wait for one answer, those of another part for another", run: func(t *T) {
		whole := long("x", 300_000)
		shared := t.through(t.newCache())
		shared.cache.Shared = true
		for path, u := range map[string]*T{"/private": t, "/shared": shared} {
			t.origin.content(path, whole, "Cache-Control", "max-age=60", "ETag", `"1"`)
			g := t.origin.hold(path)
			p := u.start(10, func(i int) answer {
				return u.try("GET", path, header("Range", fmt.Sprintf("bytes=%d-199999", i%2)))
			})
			t.settle()
			g.open()
			for i, a := range p.done() {
				if a.err != nil || a.status != 206 || a.body != whole[i%2:200_000] {
					t.Errorf("%s, caller %d: got %d with %d bytes, error %v", path, i, a.status, len(a.body), a.err)
				}
			}
			t.wantHits(path, 2)
		}
	}},
	{name: "several callers of a part that is not there, or is not to be shared, ask by themselves", run: func(t *T) {
		shared := t.through(t.newCache())
		shared.cache.Shared = true
		for r, want := range map[string]string{"bytes=0-4": "206 01234", "bytes=20-": "416 invalid range: failed to overlap\n"} {
			t.origin.content("/"+r, "0123456789", "Cache-Control", "no-cache", "ETag", `"1"`)
			for _, a := range shared.start(5, func(int) answer { return shared.try("GET", "/"+r, header("Range", r)) }).done() {
				if got := fmt.Sprint(a.status, " ", a.body); got != want || a.err != nil {
					t.Errorf("%s: got %q, error %v", r, got, a.err)
				}
			}
		}
	}},
	{name: "who changes the page removes its parts", run: func(t *T) {
		t.origin.content("/a", "0123456789", "Cache-Control", "max-age=60", "ETag", `"1"`)
		t.get("/a", header("Range", "bytes=0-4"))
		t.do("DELETE", "/a")
		t.wantStored(0)
		t.get("/a", header("Range", "bytes=0-4")).want(larder.Miss, "01234")
	}},
	{name: "the caller's If-Range is for what is stored in part, too", run: func(t *T) {
		t.origin.content("/a", "0123456789", "Cache-Control", "max-age=60", "ETag", `"1"`)
		t.get("/a", header("Range", "bytes=0-4"))
		t.get("/a", header("Range", "bytes=0-2"), header("If-Range", `"1"`)).want(larder.Hit, "012")
		t.get("/a", header("Range", "bytes=0-2"), header("If-Range", `"2"`)).want(larder.Miss, "0123456789")
	}},
	{name: "a part whose bytes are gone is fetched", run: func(t *T) {
		u, f := t.near()
		t.origin.content("/a", large, "Cache-Control", "max-age=60", "ETag", `"1"`)
		but1 := header("Range", fmt.Sprintf("bytes=0-%d", len(large)-2))
		u.get("/a", but1)
		want := larder.Miss
		if t.lookup("/a")[0].Body != nil { // with their head they are not gone
			want = larder.Hit
		}
		f.at(with(errBroken), open)
		u.get("/a", but1).want(want, large[:len(large)-1])
		u.get("/a").want(larder.Miss, large)
		equal(t, "bodies that are open", f.inUse(), 0)
	}},
	{name: "what a server counts one too many is what it sends", run: func(t *T) {
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			set(w.Header(), []string{"Cache-Control", "max-age=60", "Content-Range", "bytes 4-9/10", "Content-Length", "5"})
			w.WriteHeader(http.StatusPartialContent)
			io.WriteString(w, "45678")
		})
		t.get("/a", header("Range", "bytes=4-")).want(larder.Miss, "45678")
		a := t.get("/a", header("Range", "bytes=6-"))
		a.want(larder.Hit, "678")
		equal(t, "Content-Range", a.header.Get("Content-Range"), "bytes 6-8/9")
	}},
	{name: "a part whose length is not that of its Content-Range is not stored", run: func(t *T) {
		for i, flush := range []bool{false, true} {
			path := fmt.Sprint("/", i)
			t.origin.handle(path, func(w http.ResponseWriter, r *http.Request) {
				set(w.Header(), []string{"Cache-Control", "max-age=60", "ETag", `"1"`, "Content-Range", "bytes 0-4/10"})
				w.WriteHeader(http.StatusPartialContent)
				if flush {
					w.(http.Flusher).Flush() // so that the length is not told
				}
				io.WriteString(w, "0123")
			})
			t.get(path, header("Range", "bytes=0-4")).want(larder.Miss, "0123")
			t.wantStored(0)
		}
	}},
	{name: "several parts leave the whole its type", run: func(t *T) {
		t.origin.content("/a", "0123456789", "Cache-Control", "max-age=60", "ETag", `"1"`, "Content-Type", text)
		t.get("/a")
		t.get("/a", header("Range", "bytes=0-1,4-5"), mode(larder.ForceRefresh)).wantStatus(larder.Miss, 206)
		t.backgroundDone()
		a := t.get("/a")
		a.want(larder.Hit, "0123456789")
		equal(t, "type", a.header.Get("Content-Type"), text)
	}},
	{name: "a part that turns out to be damaged when it is completed is asked for anew", run: func(t *T) {
		u, f := t.near()
		whole := long("x", 1<<20)
		t.origin.content("/a", whole, "Cache-Control", "max-age=60", "ETag", `"1"`)
		u.get("/a", header("Range", "bytes=0-1000000"))
		if t.lookup("/a")[0].Body == nil { // else its store has nothing to read that could be damaged
			f.at(with(store.ErrCorrupt), read)
			if a := u.try("GET", "/a"); a.body != whole || a.err != nil {
				t.Errorf("got %d bytes, error %v", len(a.body), a.err)
			}
			f.mended()
			t.backgroundDone()
			u.get("/a").want(larder.Hit, whole)
		} else {
			u.get("/a").want(larder.Miss, whole)
		}
	}},
	{name: "a HEAD or a part that must not be stored leaves nothing of what it is of", run: func(t *T) {
		for path, o := range map[string]option{"/head": header("X-Head", ""), "/part": header("Range", "bytes=0-1")} {
			t.origin.content(path, "0123456789", "Cache-Control", "max-age=60", "ETag", `"1"`)
			t.get(path)
			t.origin.content(path, "0123456789", "Cache-Control", "no-store", "ETag", `"1"`)
			t.do(map[string]string{"/head": "HEAD", "/part": "GET"}[path], path, o, mode(larder.ForceRefresh))
			t.wantStored(0)
		}
	}},
	{name: "the answer to a request that must not be stored changes nothing that is", run: func(t *T) {
		t.origin.content("/a", "0123456789", "Cache-Control", "max-age=60", "ETag", `"1"`)
		t.get("/a")
		t.clock.advance(time.Hour)
		secret := header("Cache-Control", "no-store")
		t.get("/a", secret).want(larder.Revalidated, "0123456789")
		t.do("HEAD", "/a", secret, mode(larder.ForceRefresh))
		t.get("/a", secret, header("Range", "bytes=0-1"), mode(larder.ForceRefresh))
		t.backgroundDone()
		t.get("/a").want(larder.Revalidated, "0123456789")
	}},
	{name: "a 304 renews of several variants with its tag those that the request could have selected", run: func(t *T) {
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			set(w.Header(), []string{"Cache-Control", "max-age=60", "ETag", `"1"`, "Vary", "X-Mode", "X-For", r.Header.Get("X-Mode")})
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader("same"))
		})
		for range 2 {
			for _, mode := range []string{"a", "b"} {
				a := t.get("/a", header("X-Mode", mode))
				equal(t, "X-For", a.header.Get("X-For"), mode)
				t.clock.advance(20 * time.Second)
			}
			t.clock.advance(time.Hour)
		}
		t.wantHits("/a", 4)
	}},
	{name: "a HEAD that tells of a change removes parts that are not all, one that does not makes them fresh", run: func(t *T) {
		t.origin.content("/a", "0123456789", "Cache-Control", "max-age=60", "ETag", `"1"`)
		t.get("/a", header("Range", "bytes=0-4"))
		t.clock.advance(time.Hour)
		t.do("HEAD", "/a", mode(larder.ForceRefresh))
		t.get("/a", header("Range", "bytes=0-4")).want(larder.Hit, "01234")
		t.origin.content("/a", "0123456789", "Cache-Control", "max-age=60", "ETag", `"2"`)
		t.do("HEAD", "/a", mode(larder.ForceRefresh))
		for _, r := range t.lookup("/a") {
			equal(t, "what is left is of", r.Method, "HEAD")
		}
	}},
	{name: "a stored HEAD, or another variant, does not stand for the whole of a part", run: func(t *T) {
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			set(w.Header(), []string{"Cache-Control", "max-age=60", "ETag", `"1"`, "Vary", "X-Mode"})
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader("0123456789"))
		})
		t.do("HEAD", "/a", header("X-Mode", "a"))
		t.get("/a", header("X-Mode", "b"))
		t.get("/a", header("X-Mode", "a"), header("Range", "bytes=0-4")).want(larder.Miss, "01234")
		t.get("/a", header("X-Mode", "a"), header("Range", "bytes=0-4")).want(larder.Hit, "01234")
	}},
	{name: "the parts of another variant are one variant", run: func(t *T) {
		t.cache.MaxVariants = 3
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			set(w.Header(), []string{"Cache-Control", "max-age=60", "ETag", `"1"`, "Vary", "X-Mode"})
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader("0123456789"))
		})
		get := func(mode string, first int) answer {
			t.clock.advance(time.Millisecond)
			return t.get("/a", header("X-Mode", mode), header("Range", fmt.Sprintf("bytes=%d-%d", first, first)))
		}
		for i := range 5 {
			get("a", 2*i)
		}
		get("b", 0)
		get("c", 0)
		for i := range 5 {
			equal(t, "a part of the oldest", get("a", 2*i).Outcome, larder.Hit)
		}
		get("d", 0)
		equal(t, "records", len(t.lookup("/a")), 3)
	}},
	{name: "a beginning is completed also while an older whole is stored", run: func(t *T) {
		t.origin.content("/a", "before", "Cache-Control", "max-age=60", "ETag", `"1"`)
		t.get("/a")
		t.clock.advance(time.Hour)
		whole := long("x", 300_000)
		t.origin.cut("/a", whole, "Content-Length", "300000", "Cache-Control", "max-age=60", "ETag", `"2"`).open()
		t.try("GET", "/a")
		t.backgroundDone()
		t.origin.content("/a", whole, "Cache-Control", "max-age=60", "ETag", `"2"`)
		t.get("/a").want(larder.Miss, whole)
		equal(t, "Range at the origin", t.origin.last("/a").Header.Get("Range"), "bytes=150000-")
		t.wantStored(1)
	}},
	{name: "half a body that no caller wanted is no trouble", run: func(t *T) {
		t.origin.content("/a", long("x", 1<<20), "Cache-Control", "max-age=60", "ETag", `"1"`)
		ctx, cancel := context.WithCancel(t.Context())
		a := t.begin("/a", under(ctx))
		cancel()
		wantCancelled(t, []answer{t.read(a)})
		t.backgroundDone()
		t.get("/a").want(larder.Miss, long("x", 1<<20))
		t.wantStored(1)
	}},
}

// cutPart makes path answer with a part of whole, from first to last, of which half comes before the connection breaks.
func (o *origin) cutPart(path, whole string, first, last int) {
	o.handle(path, func(w http.ResponseWriter, r *http.Request) {
		length := last + 1 - first
		set(w.Header(), []string{"Cache-Control", "max-age=60", "ETag", `"1"`, "Content-Length", strconv.Itoa(length),
			"Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(whole))})
		w.WriteHeader(http.StatusPartialContent)
		io.WriteString(w, whole[first:first+length/2])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
}

// lookup returns what is stored for path.
func (t *T) lookup(path string) []*store.Record {
	t.Helper()
	records, err := t.cache.Lookup(t.Context(), t.request("GET", path))
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// files are two pages that know ranges, a small one and one whose body is not kept with its head; by path.
func (t *T) files() map[string]string {
	pages := map[string]string{"/small": "0123456789abcdefghijklmnopqrstuvwxyz", "/large": long("large", 300_000)}
	for path, whole := range pages {
		t.origin.content(path, whole, "Cache-Control", "max-age=60", "ETag", `"1"`)
	}
	return pages
}
