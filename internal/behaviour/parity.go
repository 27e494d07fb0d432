package behaviour

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing/iotest"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

// fiveMethods are those that aiohttp-client-cache's own tests store.
var fiveMethods = []string{"GET", "PUT", "POST", "PATCH", "DELETE"}

// sendings are the ways in which a name and a value can be part of a request.
var sendings = map[string]func(name, value string) option{
	"query": func(name, value string) option { return query(url.Values{name: {value}}.Encode()) },
	"form":  func(name, value string) option { return body(form, url.Values{name: {value}}.Encode()) },
	"JSON":  func(name, value string) option { return body(json, fmt.Sprintf("{%q:%q}", name, value)) },
}

// parity are tests that other caches have, as far as no other subject has them; docs/parity.md lists them all.
var parity = []test{
	{name: "five methods, by query, form or JSON: the same again hits, another value does not", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Hour, Methods: fiveMethods})
		for how, with := range sendings {
			for _, m := range fiveMethods {
				path := fmt.Sprint("/", m, "/", how)
				t.origin.numbered(path)
				t.do(m, path, with("a", "1")).want(larder.Miss, path+" 1")
				t.do(m, path, with("a", "2")).want(larder.Miss, path+" 2")
				t.do(m, path, with("b", "1")).want(larder.Miss, path+" 3")
				t.do(m, path, with("a", "1")).want(larder.Hit, path+" 1")
				t.do(m, path, with("a", "2")).want(larder.Hit, path+" 2")
			}
		}
	}},
	{name: "five methods, with an ignored name and a header: only what counts is told apart", run: func(t *T) {
		secret := []string{"ignored"}
		t.rule(larder.Rule{TTL: time.Hour, Methods: fiveMethods, KeyHeaders: []string{"*"},
			Ignore: larder.Ignore{Query: secret, Form: secret, JSON: secret, Header: secret}})
		also := map[string]func(value string) option{
			"query": func(v string) option { return query("a=1&ignored=" + v) },
			"form":  func(v string) option { return body(form, "a=1&ignored="+v) },
			"JSON":  func(v string) option { return body(json, `{"a":1,"ignored":"`+v+`"}`) },
		}
		for how, with := range also {
			for _, m := range fiveMethods {
				path := fmt.Sprint("/", m, "/", how)
				t.origin.numbered(path)
				t.do(m, path, with("1"), header("Ignored", "1"), header("X", "1")).want(larder.Miss, path+" 1")
				t.do(m, path, with("2"), header("Ignored", "2"), header("X", "1")).want(larder.Hit, path+" 1")
				t.do(m, path, with("2"), header("Ignored", "2"), header("X", "2")).want(larder.Miss, path+" 2")
				t.do(m, path, sendings[how]("a", "3"), header("X", "1")).want(larder.Miss, path+" 3")
			}
		}
	}},
	{name: "five hundred URLs, a hundred at a time: all missed, then all hit", run: func(t *T) {
		const urls, callers = 500, 100
		t.rule(larder.Rule{TTL: time.Hour})
		for i := range urls {
			t.origin.numbered(fmt.Sprint("/", i))
		}
		for _, want := range []larder.Outcome{larder.Miss, larder.Hit} {
			t.start(callers, func(caller int) answer {
				for i := caller; i < urls; i += callers {
					path := fmt.Sprint("/", i)
					t.try("GET", path).want(want, path+" 1")
				}
				return answer{}
			}).done()
		}
		t.wantStored(urls)
	}},
	{name: "what has ended is removed, redirects included, and what has not stays with its redirects", run: func(t *T) {
		t.cache.KeepStale = time.Minute
		kept := []int{200, 302}
		t.cache.Rules = []larder.Rule{{Match: "**/short/**", TTL: time.Minute, Statuses: kept}, {TTL: time.Hour, Statuses: kept}}
		for _, life := range []string{"/short", "/long"} {
			t.origin.status(life+"/from", http.StatusFound, "Location", life+"/to")
			t.origin.numbered(life + "/to")
			t.origin.numbered(life + "/alone")
		}
		for _, life := range []string{"/short", "/long"} {
			t.get(life + "/from")
			t.get(life + "/alone")
		}
		t.wantStored(6)
		t.clock.advance(3 * time.Minute)
		t.wantSwept(3)
		t.get("/long/from").want(larder.Hit, "/long/to 1")
		t.get("/long/alone").want(larder.Hit, "/long/alone 1")
	}},
	{name: "deleting many takes those given, and misses nothing that is not there", run: func(t *T) {
		t.fill(20)
		for i := range 30 {
			if i%2 == 0 {
				if err := t.cache.Delete(t.Context(), t.request("GET", fmt.Sprint("/", i))); err != nil {
					t.Error(err)
				}
			}
		}
		t.wantStored(10)
		odd := func(r *store.Record) bool { return strings.HasSuffix(r.URL, "1") }
		t.wantPurged(store.Query{Filter: odd}, 2)
		t.wantPurged(store.Query{Filter: odd}, 0)
		t.wantStored(8)
	}},
	{name: "a stored body can be read in every way, each caller's from its start", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Hour})
		for path, size := range map[string]int{"/small": 50, "/large": 20_000} {
			lines := strings.Repeat("one line\n", size)
			t.origin.page(path, lines)
			t.get(path)
			for how, read := range map[string]func(io.Reader) (string, error){
				"at once": func(r io.Reader) (string, error) { b, err := io.ReadAll(r); return string(b), err },
				"by the byte": func(r io.Reader) (string, error) {
					b, err := io.ReadAll(iotest.OneByteReader(r))
					return string(b), err
				},
				"by copying": func(r io.Reader) (string, error) {
					var b bytes.Buffer
					_, err := io.Copy(&b, r)
					return b.String(), err
				},
				"by the line": byLine,
				"by the block": func(r io.Reader) (string, error) {
					b := make([]byte, len(lines))
					_, err := io.ReadFull(r, b)
					return string(b), err
				},
			} {
				a := t.begin(path)
				got, err := read(a.resp.Body)
				if a.Outcome != larder.Hit || got != lines || err != nil {
					t.Errorf("%s %s: got %v with %d bytes, error %v, want %d", path, how, a.Outcome, len(got), err, len(lines))
				}
				for range 2 {
					if n, err := a.resp.Body.Read(make([]byte, 10)); n != 0 || err != io.EOF {
						t.Errorf("%s %s: after the end %d bytes, error %v", path, how, n, err)
					}
				}
				a.resp.Body.Close()
			}
		}
	}},
	{name: "what is never stored can be read all the same", run: func(t *T) {
		t.rule(larder.Rule{TTL: larder.Never})
		t.origin.page("/a", large)
		t.get("/a").want(larder.Bypassed, large)
		t.wantStored(0)
	}},
	{name: "the order is: the request's context, its header, the rule, the response's header, a guess", run: func(t *T) {
		modified := t.date(-100 * time.Hour)
		for i, c := range []struct {
			rule, context time.Duration
			response      string
			want          time.Duration
		}{
			{want: 10 * time.Hour},
			{response: "max-age=60", want: time.Minute},
			{rule: time.Hour, want: time.Hour},
			{rule: time.Hour, response: "max-age=60", want: time.Hour},
			{rule: time.Hour, response: "no-store", want: time.Hour},
			{rule: larder.Forever, response: "max-age=60", want: larder.Forever},
			{context: time.Second, want: time.Second},
			{context: time.Second, response: "max-age=60", want: time.Second},
			{context: time.Second, rule: time.Hour, response: "max-age=60", want: time.Second},
			{context: larder.Forever, rule: time.Hour, response: "no-store", want: larder.Forever},
		} {
			if err := t.cache.SetRules(larder.Rule{TTL: c.rule}); err != nil {
				t.Fatal(err)
			}
			path := fmt.Sprint("/", i)
			t.origin.numbered(path, "Cache-Control", c.response, "Last-Modified", modified)
			t.get(path, ttl(c.context), header("Cache-Control", "max-age=360"))
			a := t.get(path)
			if a.Outcome != larder.Hit || a.Lifetime != c.want {
				t.Errorf("%+v: got %v for %v", c, a.Outcome, a.Lifetime)
			}
			t.get(path, header("Cache-Control", "no-cache")).want(larder.Miss, path+" 2")
		}
	}},
	{name: "the request's max-age limits the age and sets no lifetime, Expires in a request says nothing", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.get("/a", header("Cache-Control", "max-age=360"), header("Expires", t.date(time.Hour))).want(larder.Miss, "/a 1")
		t.clock.advance(time.Minute)
		t.get("/a", header("Cache-Control", "max-age=360")).want(larder.Miss, "/a 2")
	}},
	{name: "no-cache of the caller is not answered from the store, but stored", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Hour})
		t.origin.numbered("/a")
		t.get("/a")
		t.get("/a", header("Cache-Control", "no-cache")).want(larder.Miss, "/a 2")
		t.get("/a", header("Cache-Control", "max-age=0")).want(larder.Miss, "/a 3")
		t.get("/a").want(larder.Hit, "/a 3")
	}},
	{name: "max-age=0 of the origin is stored only to be validated", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=0")
		t.get("/a")
		t.wantStored(0)
		t.origin.tagged("/b", `"1"`, "one", "Cache-Control", "max-age=0")
		t.get("/b")
		t.get("/b").want(larder.Revalidated, "one")
	}},
	{name: "one request may be sent again and again", run: func(t *T) {
		t.rule(posts)
		t.origin.handle("/a", echo)
		req := t.request("POST", "/a", body(text, "hello"))
		for _, want := range []larder.Outcome{larder.Miss, larder.Hit, larder.Hit} {
			t.do("POST", "/a", func(*http.Request) *http.Request {
				again := req.Clone(req.Context())
				again.Body, _ = req.GetBody()
				return again
			}).want(want, "hello")
		}
		get := t.request("GET", "/b")
		t.origin.numbered("/b", "Cache-Control", "max-age=60")
		for _, want := range []larder.Outcome{larder.Miss, larder.Hit, larder.Hit} {
			t.do("GET", "/b", func(*http.Request) *http.Request { return get }).want(want, "/b 1")
		}
		equal(t, "fields in the request", len(get.Header), 0)
	}},
	{name: "a client's own fields are part of the key where a rule wants all of them", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Hour, KeyHeaders: []string{"*"}})
		t.origin.numbered("/a")
		for i, language := range []string{"de", "en", "de"} {
			client := &http.Client{Transport: withField{t.cache, "Accept-Language", language}}
			resp, err := client.Get(t.origin.url + "/a")
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if want := fmt.Sprint("/a ", i%2+1); string(b) != want || err != nil {
				t.Errorf("%s: got %q, error %v, want %q", language, b, err, want)
			}
		}
	}},
	{name: "a URL in a query is no host, and a longer host is another", run: func(t *T) {
		t.rule(larder.Rule{Match: "b.example", TTL: time.Hour})
		t.origin.numbered("/")
		t.origin.numbered("/r/")
		t.origin.numbered("/z")
		for url, want := range map[string]larder.Outcome{"http://b.example/z": larder.Hit, "http://B.example/z": larder.Hit,
			"http://b.example.evil.org/z": larder.Miss, "http://e.example/r/?next=http://b.example/z": larder.Miss} {
			t.get(url)
			if a := t.get(url); a.Outcome != want {
				t.Errorf("%s: got %v, want %v", url, a.Outcome, want)
			}
		}
	}},
	{name: "distinct URLs stay distinct", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Hour})
		long := "/" + strings.Repeat("x", 4000)
		urls := []string{"/a?q=%E9", "/a?q=%C3%A9", "/a?q=e", "/a", "/a?", "/ab", "/a/", "/a%2Fb", "/a/b", "/A", "/a?b", "/a%3Fb", "/a?x=1&y=2", "/a?x=1%26y=2",
			"/a?x=1;y=2", "/a+b", "/a%20b", long, long + "y", long + "?", "/a//b"}
		for _, u := range urls {
			t.origin.handle(t.request("GET", u).URL.Path, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RequestURI) })
		}
		for range 2 {
			for _, u := range urls {
				if a := t.get(u); a.body != u {
					t.Errorf("%.60s: got %.60q", u, a.body)
				}
			}
		}
		t.wantStored(len(urls))
	}},
}

func byLine(r io.Reader) (string, error) {
	var b strings.Builder
	s := bufio.NewScanner(r)
	for s.Scan() {
		b.WriteString(s.Text() + "\n")
	}
	return b.String(), s.Err()
}

// withField is a client's layer above the cache that adds a field to each request.
type withField struct {
	next        http.RoundTripper
	name, value string
}

func (w withField) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(w.name, w.value)
	return w.next.RoundTrip(r)
}
