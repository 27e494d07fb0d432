package behaviour

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"time"

	"github.com/larder-go/larder"
)

const (
	text = "text/plain"
	form = "application/x-www-form-urlencoded"
	json = "application/json"
)

// posts is the rule under which POST is stored.
var posts = larder.Rule{TTL: time.Minute, Methods: []string{"POST"}}

// requestBodies are tests of responses that are keyed by what the request says.
var requestBodies = []test{
	{name: "bodies that differ are kept apart, the same body hits", run: func(t *T) {
		t.rule(posts)
		t.origin.handle("/a", echo)
		t.origin.handle("/ab", echo)
		t.post("/a", body(text, "one")).want(larder.Miss, "one")
		t.post("/a", body(text, "two")).want(larder.Miss, "two")
		t.post("/a").want(larder.Miss, "")
		t.post("/a", body(text, "one")).want(larder.Hit, "one")
		t.post("/a", body(text, "two")).want(larder.Hit, "two")
		t.post("/a").want(larder.Hit, "")
		t.post("/a", body(text, "b")).want(larder.Miss, "b")
		t.post("/ab").want(larder.Miss, "")
	}},
	{name: "what a body means decides, where its type says how to read it", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Minute, Methods: []string{"POST"},
			Ignore: larder.Ignore{Form: []string{"nonce"}, JSON: []string{"meta.id", "items.*.at"}}})
		t.origin.handle("/a", echo)
		for _, c := range []struct {
			name     string
			one, two option
			want     larder.Outcome
		}{
			{"form in another order", body(form, "a=1&b=2"), body(form, "b=2&a=1"), larder.Hit},
			{"form, other value", body(form, "a=1&b=2"), body(form, "a=1&b=3"), larder.Miss},
			{"form, values of one name in another order", body(form, "c=1&c=2"), body(form, "c=2&c=1"), larder.Miss},
			{"form, ignored field", body(form, "d=1&nonce=2"), body(form, "d=1&nonce=3"), larder.Hit},
			{"JSON keys in another order", body(json, `{"a":1,"b":{"c":2,"d":3}}`), body(json, ` {"b": {"d": 3,"c":2},"a":1}`), larder.Hit},
			{"JSON, other value", body(json, `{"e":1}`), body(json, `{"e":2}`), larder.Miss},
			{"JSON, list in another order", body(json, `[1,2]`), body(json, `[2,1]`), larder.Miss},
			{"JSON, number and string", body(json, `{"f":1}`), body(json, `{"f":"1"}`), larder.Miss},
			{"JSON, large numbers", body(json, `9007199254740993`), body(json, `9007199254740992`), larder.Miss},
			{"JSON, ignored path", body(json, `{"g":1,"meta":{"id":1}}`), body(json, `{"g":1,"meta":{"id":2}}`), larder.Hit},
			{"JSON, ignored path in a list", body(json, `{"items":[{"n":1,"at":5}]}`), body(json, `{"items":[{"n":1,"at":6}]}`), larder.Hit},
			{"JSON, beside the ignored path", body(json, `{"h":1,"meta":{"is":1}}`), body(json, `{"h":1,"meta":{"is":2}}`), larder.Miss},
			{"the same bytes as form and as text", body(form, "i=1"), body(text, "i=1"), larder.Miss},
			{"text in another order", body(text, "j=1&k=2"), body(text, "k=2&j=1"), larder.Miss},
			{"form and query", body(form, "l=1"), query("l=1"), larder.Miss},
			{"empty JSON values", body(json, `{}`), body(json, `[]`), larder.Miss},
			{"multipart with another boundary", parts2("AAA", "m", "1"), parts2("BBB", "m", "1"), larder.Hit},
			{"multipart, other value", parts2("AAA", "n", "1"), parts2("AAA", "n", "2"), larder.Miss},
			{"multipart without an end", body("multipart/form-data; boundary=X", "o"), body("multipart/form-data; boundary=X", "p"), larder.Miss},
		} {
			t.post("/a", c.one)
			if a := t.post("/a", c.two); a.Outcome != c.want {
				t.Errorf("%s: got %v, want %v", c.name, a.Outcome, c.want)
			}
		}
	}},
	{name: "the origin gets the body untouched, whether it can be read again or not", run: func(t *T) {
		t.rule(posts)
		t.origin.handle("/a", echo)
		const odd = "b=2&a=1&a=%61 \x00\xff"
		t.post("/a", body(form, odd)).want(larder.Miss, odd)
		t.post("/a", once(text, odd)).want(larder.Miss, odd)
		t.post("/a", once(text, odd)).want(larder.Hit, odd)
	}},
	{name: "a redirect after a keyed body sends the body again", run: func(t *T) {
		t.rule(posts)
		t.origin.status("/a", http.StatusTemporaryRedirect, "Location", "/b", "Cache-Control", "no-store")
		t.origin.handle("/b", echo)
		t.post("/a", body(text, "hello")).want(larder.Miss, "hello")
		t.post("/a", body(text, "hello")).want(larder.Hit, "hello")
	}},
	{name: "GetBody is not used up and the request is as it was", run: func(t *T) {
		t.rule(posts)
		t.origin.handle("/a", echo)
		req := t.request("POST", "/a", body(text, "hello"))
		resp, err := t.cache.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		again, err := req.GetBody()
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(again); string(b) != "hello" || err != nil {
			t.Errorf("GetBody gave %q, error %v", b, err)
		}
		equal(t, "fields in the caller's header", len(req.Header), 1)
	}},
	{name: "a body over the limit is sent whole and not cached", run: func(t *T) {
		t.rule(posts)
		t.cache.MaxKeyBody = 1000
		t.origin.handle("/a", echo)
		for name, with := range map[string]func(string, string) option{"again": body, "once": once} {
			fits, long := name+strings.Repeat("x", 1000-len(name)), name+strings.Repeat("x", 100_000)
			t.post("/a", with(text, fits)).want(larder.Miss, fits)
			t.post("/a", with(text, fits)).want(larder.Hit, fits)
			t.post("/a", with(text, long)).want(larder.Bypassed, long)
			t.post("/a", with(text, long)).want(larder.Bypassed, long)
		}
	}},
	{name: "a body that fails while it is read is an error, as without a cache", run: func(t *T) {
		t.rule(posts)
		t.origin.handle("/a", echo)
		broken := errors.New("broken")
		a := t.try("POST", "/a", func(r *http.Request) *http.Request {
			r.Body, r.ContentLength = io.NopCloser(io.MultiReader(strings.NewReader("half"), failing{broken})), -1
			return r
		})
		if !errors.Is(a.err, broken) {
			t.Errorf("got %d %q, error %v, want %v", a.status, a.body, a.err, broken)
		}
		t.wantStored(0)
	}},
	{name: "the body is closed, on a hit too", run: func(t *T) {
		t.rule(posts)
		t.origin.handle("/a", echo)
		for range 2 {
			c := newBody("hello")
			t.post("/a", func(r *http.Request) *http.Request { r.Body, r.ContentLength = c, 5; return r })
			t.settle()
			equal(t, "body closed", c.closed.Load(), true)
		}
	}},
	{name: "a keyed POST is asked for again without a condition, which would be answered 412", run: func(t *T) {
		t.rule(posts)
		t.origin.content("/a", "hello", "ETag", `"1"`)
		t.post("/a", body(text, "x")).want(larder.Miss, "hello")
		t.clock.advance(time.Hour)
		t.post("/a", body(text, "x")).want(larder.Miss, "hello")
		t.post("/a", body(text, "x"), mode(larder.Refresh)).want(larder.Miss, "hello")
		t.post("/a", body(text, "x")).want(larder.Hit, "hello")
	}},
	{name: "a POST that no rule allows is neither read nor cached", run: func(t *T) {
		t.origin.handle("/a", echo)
		t.post("/a", once(text, "one")).want(larder.Bypassed, "one")
		t.post("/a", once(text, "one")).want(larder.Bypassed, "one")
	}},
	{name: "a keyed POST invalidates nothing, another does", run: func(t *T) {
		t.cache.Rules = []larder.Rule{{Match: "**/search", Methods: []string{"GET", "POST"}, TTL: time.Minute}}
		for _, path := range []string{"/search", "/things"} {
			t.origin.numbered(path, "Cache-Control", "max-age=60")
			t.get(path)
			t.post(path, body(text, "x"))
		}
		t.post("/search", body(text, "y"), mode(larder.Bypass)).want(larder.Bypassed, "/search 3")
		t.get("/search").want(larder.Hit, "/search 1")
		t.get("/things").want(larder.Miss, "/things 3")
	}},
	{name: "an unsafe request that no rule allows invalidates the answers to keyed POSTs", run: func(t *T) {
		t.rule(posts)
		t.origin.numbered("/a")
		t.origin.numbered("/b")
		for _, path := range []string{"/a", "/b"} {
			t.post(path, body(text, "x"))
			t.post(path, body(text, "y"))
		}
		t.do("DELETE", "/a")
		t.post("/a", body(text, "x")).want(larder.Miss, "/a 4")
		t.post("/a", body(text, "y")).want(larder.Miss, "/a 5")
		t.post("/b", body(text, "x")).want(larder.Hit, "/b 1")
	}},
	{name: "it leaves another user's GET of the same URL", run: func(t *T) {
		t.rule(posts)
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		alice := header("Authorization", "Bearer alice")
		t.get("/a", alice)
		t.post("/a", body(text, "x"))
		t.do("DELETE", "/a")
		t.get("/a", alice).want(larder.Hit, "/a 1")
		t.post("/a", body(text, "x")).want(larder.Miss, "/a 4")
	}},
	{name: "a hundred keyed POSTs at once are one request", run: func(t *T) {
		t.rule(posts)
		g := make(gate)
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) { g.wait(r); echo(w, r) })
		p := t.start(100, func(i int) answer { return t.try("POST", "/a", body(json, `{"a":1}`)) })
		t.settle()
		t.wantHits("/a", 1)
		g.open()
		t.wantAll(p.done(), `{"a":1}`)
		t.wantHits("/a", 1)
	}},
}

func echo(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body) // a server reads the rest away when it begins to answer
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	w.Write(b)
}

func query(q string) option {
	return func(r *http.Request) *http.Request { r.URL.RawQuery = q; return r }
}

// parts2 is a multipart form of two fields.
func parts2(boundary, name, value string) option {
	var b strings.Builder
	w := multipart.NewWriter(&b)
	w.SetBoundary(boundary)
	w.WriteField(name, value)
	w.WriteField("other", "x")
	w.Close()
	return body(w.FormDataContentType(), b.String())
}
