package page_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/page"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/memory"
)

// site is a page over a cache that holds what the test put there.
type site struct {
	t     *testing.T
	page  *page.Page
	cache *larder.Cache
	url   string // of the origin
}

// origin answers by path: what a test wants to see.
func newSite(t *testing.T, rules ...larder.Rule) *site {
	t.Helper()
	o := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "max-age=600")
		switch {
		case strings.HasSuffix(r.URL.Path, ".html"):
			h.Set("Content-Type", "text/html")
			io.WriteString(w, "<script>alert(1)</script>")
		case strings.HasSuffix(r.URL.Path, ".svg"):
			h.Set("Content-Type", "image/svg+xml")
			io.WriteString(w, `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`)
		case strings.HasSuffix(r.URL.Path, ".png"):
			h.Set("Content-Type", "image/png")
			io.WriteString(w, "\x89PNG\r\n\x1a\n")
		case strings.HasPrefix(r.URL.Path, "/404"):
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, "gone")
		case strings.HasPrefix(r.URL.Path, "/vary"):
			h.Set("Vary", "Accept-Language")
			io.WriteString(w, r.Header.Get("Accept-Language"))
		default:
			h.Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"path":%q}`, r.URL.Path)
		}
	}))
	t.Cleanup(o.Close)
	s := &site{t: t, cache: &larder.Cache{Rules: rules}, url: o.URL}
	s.page = &page.Page{Cache: s.cache}
	s.cache.Observe = s.page.Observe
	return s
}

func (s *site) fill(paths ...string) *site {
	s.t.Helper()
	for _, path := range paths {
		s.fetch(path, "")
	}
	return s
}

func (s *site) fetch(path, language string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), "GET", s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if language != "" {
		req.Header.Set("Accept-Language", language)
	}
	resp, err := s.cache.Client().Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		s.t.Fatal(err)
	}
}

// ask sends the page a request as its own script does; change may make another one of it.
func (s *site) ask(method, target, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host, r.RemoteAddr = "localhost:8090", "127.0.0.1:5000"
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	s.page.ServeHTTP(w, r)
	return w
}

// get asks for JSON.
func get[T any](s *site, target string) (v T) {
	s.t.Helper()
	w := s.ask("GET", target, "")
	if w.Code != http.StatusOK {
		s.t.Fatalf("%s: %d %s", target, w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		s.t.Fatalf("%s: %v", target, err)
	}
	return v
}

type listing struct {
	AsOf    time.Time `json:"as_of"`
	Entries []struct {
		ID, URL string
		Status  int
	}
	Next    string
	Matches int
	Whole   bool
	Hosts   []struct{ Name string }
}

func (l *listing) paths(s *site) (out []string) {
	for _, e := range l.Entries {
		out = append(out, strings.TrimPrefix(e.URL, s.url))
	}
	return out
}

func TestEntries(t *testing.T) {
	s := newSite(t, larder.Rule{Match: "**/tagged", Tags: []string{"mine"}}).fill("/a", "/b", "/tagged", "/404/x", "/page.html")
	inAnHour := "&as_of=" + time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	for query, want := range map[string]string{
		"order=url":                     "[/404/x /a /b /page.html /tagged]",
		"order=url&text=PAGE":           "[/page.html]",
		"order=url&status=4xx":          "[/404/x]",
		"order=url&status=200&text=b":   "[/b]",
		"order=url&tag=mine":            "[/tagged]",
		"order=url&match=**/a":          "[/a]",
		"order=url&state=stale":         "[]",
		"order=url&state=fresh&rows=1":  "[/404/x]",
		"order=url&host=elsewhere.test": "[]",
		"order=url&method=HEAD":         "[]",
		"order=url&method=GET&rows=1":   "[/404/x]",
		"order=url&rows=1" + inAnHour:   "[/404/x]",
		"state=stale&rows=1" + inAnHour: "[/page.html]",
		"state=fresh" + inAnHour:        "[]",
		"order=large&rows=1&status=2xx": "[/page.html]",
		"order=small&rows=1":            "[/404/x]",
		"order=old&rows=2":              "[/a /b]",
		"order=new&rows=2":              "[/page.html /404/x]",
		"url=" + s.url + "/a&order=url": "[/a]",
		"order=url&text=%3Cscript%3E":   "[]",
	} {
		l := get[listing](s, "/api/entries?"+query)
		if got := fmt.Sprint(l.paths(s)); got != want || !l.Whole {
			t.Errorf("%s: %s, whole %v; want %s", query, got, l.Whole, want)
		}
	}
}

func TestPagesHaveEachEntryOnce(t *testing.T) {
	s := newSite(t)
	for i := range 23 {
		s.fill(fmt.Sprint("/", i))
	}
	for _, order := range []string{"new", "old", "large", "small", "url", "fresh", "stale"} {
		seen := make(map[string]int)
		var asOf, after string
		for pages := 0; ; pages++ {
			l := get[listing](s, "/api/entries?rows=5&order="+order+asOf+after)
			for _, p := range l.paths(s) {
				seen[p]++
			}
			if l.Matches != 23 {
				t.Errorf("%s: %d matches", order, l.Matches)
			}
			if l.Next == "" {
				break
			}
			asOf, after = "&as_of="+l.AsOf.Format(time.RFC3339Nano), "&after="+l.Next
			if pages == 0 {
				s.fill("/late/" + order) // comes after the list was made, and so is in none of its pages
			}
			if pages > 10 {
				t.Fatalf("%s: no end", order)
			}
		}
		if len(seen) != 23 {
			t.Errorf("%s: %d entries", order, len(seen))
		}
		for p, n := range seen {
			if n != 1 {
				t.Errorf("%s: %s is seen %d times", order, p, n)
			}
		}
		if _, err := s.cache.Purge(t.Context(), store.Query{Prefix: s.url + "/late/"}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEntry(t *testing.T) {
	s := newSite(t)
	s.fetch("/vary", "de")
	s.fetch("/vary", "en")
	l := get[listing](s, "/api/entries")
	for _, e := range l.Entries {
		d := get[struct {
			Entry    struct{ URL string }
			Life     struct{ Moments []struct{ Name string } }
			Preview  struct{ Kind, Text string }
			Variants []struct{ ID string }
		}](s, "/api/entry?id="+e.ID+"&url="+e.URL)
		if d.Entry.URL != e.URL || len(d.Variants) != 2 || d.Preview.Kind != "text" || d.Preview.Text != "de" && d.Preview.Text != "en" || len(d.Life.Moments) < 3 {
			t.Errorf("got %+v", d)
		}
	}
}

// TestBodiesAreNeverRun shows that a body is given out as text, or as an image that runs nothing, in a sandbox.
func TestBodiesAreNeverRun(t *testing.T) {
	s := newSite(t).fill("/a.html", "/a.svg", "/a.png", "/a")
	for _, e := range get[listing](s, "/api/entries").Entries {
		w := s.ask("GET", "/api/body?id="+e.ID+"&url="+e.URL, "")
		want := "text/plain; charset=utf-8"
		if strings.HasSuffix(e.URL, ".png") {
			want = "image/png"
		}
		h := w.Header()
		if w.Code != 200 || h.Get("Content-Type") != want || h.Get("X-Content-Type-Options") != "nosniff" ||
			!strings.HasPrefix(h.Get("Content-Security-Policy"), "sandbox; default-src 'none'") {
			t.Errorf("%s: %d %v", e.URL, w.Code, h)
		}
	}
}

func TestPurge(t *testing.T) {
	s := newSite(t).fill("/a", "/b", "/c/1", "/c/2")
	l := get[listing](s, "/api/entries?match=**/c/*")
	s.fill("/c/3") // comes after the look
	w := s.ask("POST", "/api/purge?match=**/c/*&as_of="+l.AsOf.Format(time.RFC3339Nano), "")
	if w.Code != 200 || strings.TrimSpace(w.Body.String()) != `{"removed":2}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	left := get[listing](s, "/api/entries?order=url")
	if got := fmt.Sprint(left.paths(s)); got != "[/a /b /c/3]" {
		t.Errorf("left: %s", got)
	}
	for _, query := range []string{"", "?state=old", "?text=a&as_of=today", "?all=1&status=x"} {
		if w := s.ask("POST", "/api/purge"+query, ""); w.Code != 400 {
			t.Errorf("with the filter %q: %d %s", query, w.Code, w.Body)
		}
	}
	if w := s.ask("GET", "/api/purge?all=1", ""); w.Code != 405 {
		t.Errorf("by GET: %d %s", w.Code, w.Body)
	}
	if w := s.ask("POST", "/api/purge?all=1&as_of="+l.AsOf.Format(time.RFC3339Nano), ""); w.Code != 200 || !strings.Contains(w.Body.String(), ":3") {
		t.Errorf("all: %d %s", w.Code, w.Body)
	}
}

func TestFigures(t *testing.T) {
	s := newSite(t).fill("/a", "/a", "/a", "/b")
	f := get[struct {
		Total struct{ Hits, Misses, Saved int64 }
		Hosts []struct {
			Host string
			Hits int64
		}
		Minutes   []struct{ Hits int64 }
		Responses int
	}](s, "/api/figures")
	if f.Total.Hits != 2 || f.Total.Misses != 2 || f.Total.Saved == 0 || len(f.Hosts) != 1 || f.Hosts[0].Hits != 2 || len(f.Minutes) == 0 || f.Responses != 2 {
		t.Errorf("got %+v", f)
	}
}

func TestWhy(t *testing.T) {
	s := newSite(t).fill("/a")
	for question, want := range map[string]string{
		`{"url":"` + s.url + `/a"}`:                                    "serve",
		`{"url":"` + s.url + `/b"}`:                                    "forward",
		`{"url":"` + s.url + `/a","mode":"bypass"}`:                    "bypass",
		`{"url":"` + s.url + `/b","mode":"offline"}`:                   "refuse",
		`{"url":"` + s.url + `/a","header":"Cache-Control: no-cache"}`: "forward",
	} {
		w := s.ask("POST", "/api/why", question)
		var e struct {
			Action string
			Steps  []struct{ Settles bool }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Action != want {
			t.Errorf("%s: %s %v %s", question, e.Action, err, w.Body)
		}
		settled := 0
		for _, step := range e.Steps {
			if step.Settles {
				settled++
			}
		}
		if settled != 1 {
			t.Errorf("%s: %d steps settle it", question, settled)
		}
	}
}

// plain is a store that cannot list what it holds.
type plain struct{ store.Store }

func TestWrongQuestions(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct {
		method, target, body string
		status               int
		want                 string
	}{
		{"GET", "/api/entries?status=abc", "", 400, `status "abc": want a status or a class, such as 404 or 4xx`},
		{"GET", "/api/entries?state=old", "", 400, `state is "old", want fresh or stale`},
		{"GET", "/api/entries?order=up", "", 400, `order is "up", want new, old`},
		{"GET", "/api/entries?rows=0", "", 400, `rows is "0", want a number from 1 to 200`},
		{"GET", "/api/entries?rows=100000", "", 400, "want a number from 1 to 200"},
		{"GET", "/api/entries?after=x", "", 400, "after is not a cursor"},
		{"GET", "/api/entries?as_of=today", "", 400, `as_of is "today"`},
		{"GET", "/api/entries?match=%5B", "", 400, ""},
		{"GET", "/api/entry?id=x", "", 400, ""},
		{"GET", "/api/entry?id=" + strings.Repeat("0", 32) + "&url=http://a.test/", "", 404, "not stored any more"},
		{"POST", "/api/why", "{", 400, "the question cannot be read"},
		{"POST", "/api/why", `{"url":"ftp://a"}`, 400, `the URL is "ftp://a", want http://host/path`},
		{"POST", "/api/why", `{"url":"http://a/","mode":"x"}`, 400, `mode is "x"`},
		{"POST", "/api/why", `{"url":"http://a/","header":"x"}`, 400, `a line of the header is "x", want Name: value`},
		{"GET", "/api/nothing", "", 404, "nothing at this address"},
		{"GET", "/../page.go", "", 404, "nothing at this address"},
		{"GET", "/vendor", "", 404, "nothing at this address"},
		{"POST", "/", "", 405, "want GET"},
	} {
		w := s.ask(c.method, c.target, c.body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s %s: %d %s, want %d %s", c.method, c.target, c.body, w.Code, w.Body, c.status, c.want)
		}
	}
	unlisted := &site{t: t, page: &page.Page{Cache: &larder.Cache{Store: plain{new(memory.Store)}}}}
	for target, method := range map[string]string{"/api/entries": "GET", "/api/purge?all=1": "POST"} {
		if w := unlisted.ask(method, target, ""); w.Code != 501 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
			t.Errorf("%s of what cannot be listed: %d %s, want 501 in plain text", target, w.Code, w.Body)
		}
	}
	without := &site{t: t, page: new(page.Page)}
	if w := without.ask("GET", "/api/figures", ""); w.Code != 500 || !strings.Contains(w.Body.String(), "Cache is nil") {
		t.Errorf("without a cache: %d %s", w.Code, w.Body)
	}
}
