package main_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/sqlite"
)

// library is an origin with a response of each kind that a HAR has its own way with.
func library(t *testing.T) *httptest.Server {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	io.WriteString(z, strings.Repeat("zipped ", 1000))
	z.Close()
	coder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	standard := coder.EncodeAll([]byte(strings.Repeat("standard ", 1000)), nil)
	mux := http.NewServeMux()
	for path, answer := range map[string]func(h http.Header) (status int, body string){
		"/text": func(h http.Header) (int, string) {
			h.Set("Content-Type", "text/plain; charset=utf-8")
			return 200, "plain \"text\", \\ tab\t, é, \U0001f600, \x00\x1b[31m and \u2028\r\n"
		},
		"/binary": func(h http.Header) (int, string) { return 200, "\x89PNG\r\n\x1a\n\xff\xfe\x00" },
		"/large":  func(h http.Header) (int, string) { return 200, strings.Repeat("0123456789abcdé", 200_000) },
		"/empty":  func(h http.Header) (int, string) { return 200, "" },
		"/gzip": func(h http.Header) (int, string) {
			h.Set("Content-Encoding", "gzip")
			h.Set("Vary", "Accept-Encoding")
			return 200, zipped.String()
		},
		"/zstd": func(h http.Header) (int, string) { h.Set("Content-Encoding", "zstd"); return 200, string(standard) },
		"/no-gzip": func(h http.Header) (int, string) {
			h.Set("Content-Encoding", "gzip")
			return 200, "this is no gzip"
		},
		"/cut-gzip": func(h http.Header) (int, string) {
			h.Set("Content-Encoding", "gzip")
			return 200, zipped.String()[:20]
		},
		"/br":    func(h http.Header) (int, string) { h.Set("Content-Encoding", "br"); return 200, "\x1b\x02\x00" },
		"/moved": func(h http.Header) (int, string) { h.Set("Location", "/text"); return 301, "moved" },
		"/gone":  func(h http.Header) (int, string) { return 404, "gone" },
		"/fields": func(h http.Header) (int, string) {
			h["Set-Cookie"] = []string{"a=1; Path=/; HttpOnly", "b=2"}
			h["X-Latin"] = []string{"caf\xe9", "\xff"}
			return 200, "fields"
		},
		"/groups": func(h http.Header) (int, string) { h.Set("Cache-Groups", `"g"`); return 200, "groups" },
		"/search": func(h http.Header) (int, string) { h.Set("No-Vary-Search", `params=("utm")`); return 200, "search" },
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h.Set("Cache-Control", "max-age=3600")
			h.Set("Etag", `"`+path[1:]+`"`)
			status, body := answer(h)
			h.Set("Content-Length", fmt.Sprint(len(body)))
			w.WriteHeader(status)
			io.WriteString(w, body)
		})
	}
	mux.HandleFunc("/language", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		w.Header().Set("Vary", "Accept-Language, X-Other")
		io.WriteString(w, "in "+r.Header.Get("Accept-Language"))
	})
	mux.HandleFunc("/range", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		w.Header().Set("Etag", `"range"`)
		http.ServeContent(w, r, "x.txt", time.Unix(1e9, 0), strings.NewReader(strings.Repeat("0123456789", 100)))
	})
	mux.HandleFunc("/trailer", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		w.Header().Set("Trailer", "X-Sum")
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		io.WriteString(w, "with a trailer")
		w.Header().Set("X-Sum", "abc")
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// asked are the requests that fill and ask a cache of a library; the fields in a line each.
var asked = []struct {
	method, path string
	header       string
}{
	{"GET", "/text", ""}, {"GET", "/binary?a=1&b=%20x&a=2", ""}, {"GET", "/large", ""}, {"GET", "/empty", ""},
	{"GET", "/gzip", "Accept-Encoding: gzip"}, {"GET", "/gzip", ""}, {"GET", "/zstd", "Accept-Encoding: zstd"}, {"GET", "/no-gzip", "Accept-Encoding: gzip"},
	{"GET", "/cut-gzip", "Accept-Encoding: gzip"}, {"GET", "/br", "Accept-Encoding: br"}, {"GET", "/moved", ""}, {"GET", "/gone", ""}, {"HEAD", "/binary?head", ""},
	{"GET", "/fields", ""}, {"GET", "/groups", ""}, {"GET", "/search?utm=1&q=2", ""}, {"GET", "/language", "Accept-Language: de, en;q=0.5"},
	{"GET", "/language", "Accept-Language: fr\nX-Other: a, b"}, {"GET", "/language", ""}, {"GET", "/range", "Range: bytes=10-29"}, {"GET", "/trailer", ""},
	{"GET", "/text?secret", "Authorization: Basic eDp5"},
}

// answers are what a cache over a file says to all requests, and how much of that is from the store.
func answers(t *testing.T, path, origin string, mode larder.Mode) (all []string, hits int) {
	t.Helper()
	db, err := sqlite.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	wall := func() time.Time { return time.Now().Round(0) } // as what is stored: a monotonic clock differs from it by nanoseconds
	c := &larder.Cache{Store: db, Now: wall, Rules: []larder.Rule{
		{Match: "**/fields", Tags: []string{"one", "two"}, StaleIfError: time.Hour, StaleWhileRevalidate: larder.Never},
		{Match: "**/text", TTL: 90 * time.Minute}, {Match: "**/binary", TTL: larder.Forever}}}
	defer c.Close(t.Context())
	for _, a := range asked {
		req, err := http.NewRequestWithContext(larder.WithMode(t.Context(), mode), a.method, origin+a.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(a.header) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			req.Header.Set(name, value)
		}
		resp, err := c.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil && mode == larder.OfflineStale {
			t.Errorf("%s: %v", a.path, err)
		}
		if larder.Info(resp).Outcome == larder.Hit {
			hits++
		}
		resp.Header.Del("Age")
		all = append(all, fmt.Sprintf("%s %s %q: %s %s %q %q %d %v %q", a.method, a.path, a.header, resp.Proto, resp.Status, resp.Header, resp.Trailer, resp.ContentLength, resp.Uncompressed, body))
	}
	return all, hits
}

// heads are the heads in a store without what an import makes anew, the IDs.
func heads(t *testing.T, path string) map[string]string {
	t.Helper()
	db, err := sqlite.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	all := make(map[string]string)
	for r, err := range db.Find(t.Context(), store.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Status == 0 { // a note, which larder makes for itself
			continue
		}
		r = r.Clone()
		r.ID = store.ID{}
		all[fmt.Sprint(r.URL, r.Method, r.Selecting, r.Status)] = headText(t, r)
	}
	return all
}

type importedHAR struct {
	Entries, Imported, Present int
	Bytes                      int64
	NotStored                  map[string]int `json:"not_stored"`
}

func (u *user) imports(code int, args ...string) importedHAR {
	u.t.Helper()
	r := u.run(append([]string{"import", "--json"}, args...)...)
	var got importedHAR
	if err := json.Unmarshal([]byte(r.out), &got); err != nil || r.code != code {
		u.t.Fatalf("larder import %v: exit code %d, want %d\n%s%s", args, r.code, code, r.out, r.err)
	}
	return got
}

// TestExportAndImport shows that what is exported and imported answers the same requests with the same bytes, from
// records with the same heads.
func TestExportAndImport(t *testing.T) {
	t.Parallel()
	u, o := newUser(t, ""), library(t)
	first, second, file := filepath.Join(u.home, "first.sqlite"), filepath.Join(u.home, "second.sqlite"), filepath.Join(u.home, "all.har")
	answers(t, first, o.URL, larder.Standard)
	want, hits := answers(t, first, o.URL, larder.OfflineStale)
	if hits != len(asked) {
		t.Fatalf("%d of %d requests are hits at first: %q", hits, len(asked), want)
	}
	if out := u.ok("export", "--store", "sqlite:"+first, "-o", file); !strings.HasPrefix(out, fmt.Sprintf("exported   %d responses, ", len(asked))) {
		t.Errorf("export says %s", out)
	}
	got := u.imports(0, "--store", "sqlite:"+second, file)
	if got.Entries != len(asked) || got.Imported != len(asked)-1 || got.NotStored["the HAR does not tell for whom it was stored: credentials"] != 1 {
		t.Errorf("import says %+v", got)
	}
	o.Close()
	have, _ := answers(t, second, o.URL, larder.OfflineStale)
	for i := range want[:len(want)-1] { // the last is somebody's own
		if have[i] != want[i] {
			t.Errorf("answered is\n%.600s\nwant\n%.600s", have[i], want[i])
		}
	}
	if last := have[len(have)-1]; !strings.Contains(last, " 504 ") {
		t.Errorf("what was stored for credentials is answered with\n%s", last)
	}
	headsWant, headsGot := heads(t, first), heads(t, second)
	for _, name := range slices.Sorted(maps.Keys(headsGot)) {
		if headsGot[name] != headsWant[name] {
			t.Errorf("%s is stored as\n%s\nwant\n%s", name, headsGot[name], headsWant[name])
		}
	}
	again := u.imports(0, "--store", "sqlite:"+second, file)
	if again.Imported != 0 || again.Present != len(asked)-1 {
		t.Errorf("the second time import says %+v", again)
	}
	if b, err := os.ReadFile(file); err != nil || bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' && r != '\n' }) {
		t.Errorf("there are control characters in the HAR, %v", err)
	}
}

// harSchema is that of HAR 1.2, the package har-schema 2.0.0 of npm.
func harSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	files, err := filepath.Glob("testdata/har-schema/*.json")
	if err != nil || len(files) < 15 {
		t.Fatalf("%v, %v", files, err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	for _, file := range files {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(read(t, file)))
		if err == nil {
			err = c.AddResource("https://har.example/"+filepath.Base(file), doc)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s, err := c.Compile("https://har.example/har.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestExportIsHAR holds an export against the schema of HAR, and its entries against what the origin sent.
func TestExportIsHAR(t *testing.T) {
	t.Parallel()
	u, o := newUser(t, "sqlite:HOME/cache.sqlite"), library(t)
	answers(t, u.path("HOME/cache.sqlite"), o.URL, larder.Standard)
	out := u.ok("export")
	schema := harSchema(t)
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(out))
	if err == nil {
		err = schema.Validate(doc)
	}
	if err != nil {
		t.Errorf("the export is no HAR: %v", err)
	}
	for _, broken := range []string{`{"log":{"version":"1.2","entries":[]}}`, strings.Replace(out, `"queryString":[`, `"queryString":[7`, 1), strings.Replace(out, `"time":`, `"tima":`, 1)} {
		if doc, err := jsonschema.UnmarshalJSON(strings.NewReader(broken)); err == nil && schema.Validate(doc) == nil {
			t.Errorf("the schema takes %.100s", broken)
		}
	}

	type pair struct{ Name, Value string }
	var har struct {
		Log struct {
			Version string
			Creator struct{ Name, Version string }
			Entries []struct {
				StartedDateTime time.Time
				Request         struct {
					Method, URL          string
					Headers, QueryString []pair
				}
				Response struct {
					Status      int
					RedirectURL string
					BodySize    int
					Cookies     []struct {
						Name, Value, Path string
						HTTPOnly          bool
					}
					Headers []pair
					Content struct {
						Size, Compression        int
						MimeType, Text, Encoding string
						Stored                   string `json:"_stored"`
					}
				}
				Cache struct {
					AfterRequest struct{ ETag, Expires string }
				}
			}
		}
	}
	decode(t, out, &har)
	if har.Log.Version != "1.2" || har.Log.Creator.Name != "larder" || len(har.Log.Entries) != len(asked) {
		t.Errorf("it is %q by %v, with %d entries", har.Log.Version, har.Log.Creator, len(har.Log.Entries))
	}
	got := make(map[string]string)
	for _, e := range har.Log.Entries {
		if age := time.Since(e.StartedDateTime); age < 0 || age > time.Hour {
			t.Errorf("%s was requested %v ago", e.Request.URL, age)
		}
		c, r := e.Response.Content, e.Response
		text := c.Text
		if len(text) > 60 {
			text = text[:14] + "..."
		}
		etag := e.Cache.AfterRequest.ETag
		got[e.Request.Method+" "+strings.TrimPrefix(e.Request.URL, o.URL)] = fmt.Sprint(r.Status, e.Request.QueryString, r.RedirectURL, r.BodySize, c.Size, c.Compression, " ", c.MimeType, c.Encoding, " ", text, " ",
			len(c.Stored) > 0, r.Cookies, etag, e.Cache.AfterRequest.Expires != "")
	}
	for name, want := range map[string]string{
		"GET /text":                  "200 []48 48 0 text/plain; charset=utf-8 plain \"text\", \\ tab\t, é, \U0001f600, \x00\x1b[31m and \u2028\r\n false []\"text\"true",
		"GET /binary?a=1&b=%20x&a=2": `200 [{a 1} {b  x} {a 2}]11 11 0 image/pngbase64 iVBORw0KGgr//gA= false []"binary"false`,
		"HEAD /binary?head":          `200 [{head }]0 0 0 image/png  false []"binary"false`,
		"GET /empty":                 `200 []0 0 0   false []"empty"true`,
		"GET /no-gzip":               `200 []15 15 0  this is no gzip false []"no-gzip"true`,
		"GET /cut-gzip":              `200 []20 20 0 base64 H4sIAAAAAAAA/+zFIQEAMAgEwCo= false []"cut-gzip"true`,
		"GET /zstd":                  `200 []32 9000 8968  standard stand... true []"zstd"true`,
		"GET /moved":                 `301 []/text5 5 0 text/plain; charset=utf-8 moved false []"moved"true`,
		"GET /gone":                  `404 []4 4 0 text/plain; charset=utf-8 gone false []"gone"true`,
		"GET /fields":                `200 []6 6 0 text/plain; charset=utf-8 fields false [{a 1 / true} {b 2  false}]"fields"true`,
	} {
		if got[name] != want {
			t.Errorf("%s is\n%s\nwant\n%s", name, got[name], want)
		}
	}
}

// browserHAR is what a browser records of a page: entries with this URL, started then.
func browserHAR(origin string, started time.Time) string {
	entry := func(method, path string, status int, request, response, content string) string {
		return fmt.Sprintf(`{"startedDateTime":%q,"time":12,"_resourceType":"fetch","request":{"method":%q,"url":"%s%s","httpVersion":"http/2.0","headers":[%s],
"cookies":[],"queryString":[]},"response":{"status":%d,"statusText":"","httpVersion":"http/2.0","headers":[%s],"bodySize":-1,"content":{%s}},
"cache":{},"timings":{"send":1,"wait":10,"receive":1}}`, started.Format(time.RFC3339Nano), method, origin, path, request, status, response, content)
	}
	const fresh = `{"name":"cache-control","value":"max-age=600"}`
	return `{"log":{"version":"1.2","creator":{"name":"WebInspector","version":"537.36"},"pages":[],"entries":[` + strings.Join([]string{
		entry("GET", "/page", 200, `{"name":":authority","value":"a"},{"name":"accept-encoding","value":"gzip, br"}`,
			fresh+`,{"name":"content-encoding","value":"br"},{"name":"vary","value":"Accept-Encoding"}`, `"size":5,"mimeType":"text/html","text":"<p>hé"`),
		entry("GET", "/image", 200, "", fresh, `"size":3,"text":"/wD+","encoding":"base64"`),
		entry("GET", "/old", 302, "", fresh+`,{"name":"location","value":"/page"},{"name":"content-length","value":"99"}`, `"size":0`),
		entry("GET", "/never", 200, "", `{"name":"cache-control","value":"no-store"}`, `"size":1,"text":"x"`),
		entry("GET", "/lost", 200, "", fresh, `"size":1`),
		entry("GET", "/checked", 304, "", fresh, `"size":0`),
		entry("POST", "/send", 200, "", fresh, `"size":1,"text":"x"`),
		entry("GET", "/blocked", 0, "", "", `"size":0`),
	}, ",\n") + "]}}"
}

// TestImportOfABrowser plays what a browser has recorded: with the time of then, for as long as --ttl says, twice, and
// in disorder.
func TestImportOfABrowser(t *testing.T) {
	t.Parallel()
	const origin = "https://a.example"
	u := newUser(t, "sqlite:HOME/cache.sqlite")
	file := u.path("HOME/page.har")
	write(t, file, browserHAR(origin, time.Now().Add(-5*time.Minute)))
	notStored := map[string]int{"the response says no-store": 1, "its content is not in the HAR": 1, "the status answers this request's conditions alone": 1,
		`its method is "POST", want GET or HEAD`: 1, "there is no response to it": 1}
	if got := u.imports(0, file); got.Entries != 8 || got.Imported != 3 || got.Bytes != 9 || !maps.Equal(got.NotStored, notStored) {
		t.Errorf("import says %+v", got)
	}
	for path, want := range map[string]string{"/page": "<p>hé", "/image": "\xff\x00\xfe", "/old": ""} {
		if body := u.ok("get", "--offline", origin+path); body != want {
			t.Errorf("%s is answered with %q, want %q", path, body, want)
		}
	}
	if a := u.answer(0, "--offline", "-o", "out", origin+"/page"); a.Outcome != "hit" || *a.Age < 299 || *a.Age > 330 || *a.TTL > 301 {
		t.Errorf("the answer is %+v, want a hit that is five minutes old", a)
	}
	if head := u.ok("get", "--offline", "-i", "-H", "Accept-Encoding: gzip", origin+"/image"); strings.Contains(head, "Content-Encoding") {
		t.Errorf("it has\n%s", head)
	}

	write(t, u.path("HOME/private.har"), browserHAR("https://me:secret@c.example", time.Now()))
	u.ok("import", u.path("HOME/private.har"))
	for _, test := range []struct {
		url  string
		code int
	}{{"https://me:secret@c.example/page", 0}, {"https://c.example/page", 3}} {
		if r := u.run("get", "--offline", test.url); r.code != test.code {
			t.Errorf("%s, recorded with a user in the URL: exit code %d, %s", test.url, r.code, r.err)
		}
	}

	write(t, u.path("HOME/older.har"), strings.ReplaceAll(browserHAR(origin, time.Now().Add(-6*time.Minute)), "<p>h", "<p>H"))
	write(t, u.path("HOME/newer.har"), strings.ReplaceAll(browserHAR(origin, time.Now().Add(-4*time.Minute)), "<p>h", "<p>N"))
	write(t, u.path("HOME/ancient.har"), strings.ReplaceAll(browserHAR("https://b.example", time.Now().AddDate(0, -2, 0)), "<p>h", "<p>A"))
	for _, test := range []struct {
		args              string
		imported, present int
		want              string // of /page
	}{
		{"HOME/page.har", 0, 3, "<p>hé"},
		{"HOME/older.har", 0, 3, "<p>hé"},
		{"HOME/newer.har HOME/page.har HOME/older.har", 3, 6, "<p>Né"},
		{"--ttl 1h HOME/older.har", 4, 0, "<p>Hé"}, // no-store, too
		{"HOME/newer.har", 0, 4, "<p>Hé"},
	} {
		if got := u.imports(0, strings.Fields(strings.ReplaceAll(test.args, "HOME", u.home))...); got.Imported != test.imported || got.Present != test.present {
			t.Errorf("import %s says %+v, want %d imported and %d present", test.args, got, test.imported, test.present)
		}
		if body := u.ok("get", "--offline", origin+"/page"); body != test.want {
			t.Errorf("after import %s the page is %s, want %s", test.args, body, test.want)
		}
	}
	if a := u.answer(0, "--offline", "-o", "out", origin+"/page"); *a.TTL < 3500 {
		t.Errorf("with --ttl 1h the answer is %+v", a)
	}

	ended := u.imports(0, u.path("HOME/ancient.har"))
	if ended.Imported != 0 || ended.NotStored["it is stale for too long to be kept; --ttl keeps it"] != 3 || len(u.stored("--host", "b.example")) != 0 {
		t.Errorf("of two months ago: %+v, %v", ended, u.stored())
	}
	if got := u.imports(0, "--ttl", "forever", u.path("HOME/ancient.har")); got.Imported != 4 || len(u.stored("--host", "b.example")) != 4 {
		t.Errorf("of two months ago, forever: %+v", got)
	}
}

// TestWrongHARs shows that a HAR which is wrong, or ends early, is told of in one line, and that what comes before is
// whole.
func TestWrongHARs(t *testing.T) {
	t.Parallel()
	u := newUser(t, "sqlite:HOME/cache.sqlite")
	whole := browserHAR("https://a.example", time.Now())
	for _, test := range []struct {
		name, har, want string
		stored          int
	}{
		{"cut off", whole[:strings.Index(whole, "/old")], "{file}: entry 3, about line 7: the document ends in the middle", 2},
		{"torn", strings.Replace(whole, `"/wD+"`, `/wD+"`, 1), "{file}: entry 2, about line 4: invalid character '/' looking for beginning of value", 1},
		{"of another kind", strings.Replace(whole, `"status":302`, `"status":"302"`, 1), "{file}: entry 3, about line ", 2},
		{"no HAR", `{"a":1}`, "{file}: about line 1: there is no log.entries in it", 0},
		{"empty", "", "{file}: there is nothing in it", 0},
	} {
		u.ok("purge", "--all")
		file := u.path("HOME/wrong.har")
		write(t, file, test.har)
		write(t, u.path("HOME/good.har"), browserHAR("https://b.example", time.Now()))
		r := u.run("import", file, u.path("HOME/good.har"))
		if r.code != 1 || !strings.HasPrefix(r.err, "larder: "+strings.ReplaceAll(test.want, "{file}", file)) || strings.Count(r.err, "\n") != 1 {
			t.Errorf("%s: exit code %d, says %s", test.name, r.code, r.err)
		}
		if n := len(u.stored("--host", "a.example")); n != test.stored {
			t.Errorf("%s: %d responses are stored, want %d", test.name, n, test.stored)
		}
		if n := len(u.stored("--host", "b.example")); n != 3 {
			t.Errorf("%s: %d responses are stored of the HAR after it, want 3", test.name, n)
		}
	}
	if r := u.run("import", u.path("HOME/none.har")); r.code != 1 || r.err != "larder: open "+u.path("HOME/none.har")+": no such file or directory\n" {
		t.Errorf("a file that is not there: exit code %d, says %s", r.code, r.err)
	}
}

// TestExportPassesOverDamage damages one body of a disk store, which is then left out.
func TestExportPassesOverDamage(t *testing.T) {
	t.Parallel()
	const all = 50
	u := newUser(t, "disk:HOME/files")
	filledSQLite(t, u.path("HOME/first.sqlite"), all)
	u.cp("sqlite:"+u.path("HOME/first.sqlite"), u.store)
	damageBody(t, u.path("HOME/files"))
	r := u.run("export", "-o", u.path("HOME/all.har"), "--json")
	var got struct{ Exported, Damaged, Gone int }
	decode(t, r.out, &got)
	if r.code != 1 || got.Exported != all-1 || got.Damaged != 1 || strings.Count(r.err, "\n") != 1 || !strings.Contains(r.err, "https://h") {
		t.Errorf("exit code %d, %+v, says %s", r.code, got, r.err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(read(t, u.path("HOME/all.har"))))
	if err == nil {
		err = harSchema(t).Validate(doc)
	}
	if err != nil {
		t.Error(err)
	}
	if err := json.Unmarshal([]byte(u.ok("export", "--host", "h1.example")), new(any)); err != nil {
		t.Error(err)
	}
}

// TestImportNeedsThePartition shows that what is bound to more than a HAR tells is not stored for others: answers to
// requests with secrets in URL or header, and to those that a rule tells apart by other fields.
func TestImportNeedsThePartition(t *testing.T) {
	t.Parallel()
	u, o := newUser(t, "sqlite:HOME/cache.sqlite"), library(t)
	write(t, u.path("HOME/larder.yaml"), `redact: [token, X-Secret]
rules:
  - match: "**/binary"
    key-headers: [X-Tenant]
`)
	with := func(args ...string) []string { return append(args, "--config", u.path("HOME/larder.yaml")) }
	u.ok(with("get", o.URL+"/text?token=sesame")...)
	u.ok(with("get", "-H", "X-Tenant: a", o.URL+"/binary")...)
	u.ok(with("get", "-H", "Cookie: a=b", o.URL+"/gone")...)
	u.ok(with("get", o.URL+"/moved")...)
	har := u.ok(with("export")...)
	if strings.Contains(har, "sesame") || !strings.Contains(har, "token=REDACTED") {
		t.Errorf("the secret is told: %s", har)
	}
	write(t, u.path("HOME/all.har"), har)
	got := u.imports(0, with("--store", "memory:", u.path("HOME/all.har"))...)
	const prefix = "the HAR does not tell for whom it was stored: "
	want := map[string]int{prefix + "secrets in the URL": 1, prefix + "request fields that a rule names": 1, prefix + "credentials": 1}
	if got.Imported != 1 || !maps.Equal(got.NotStored, want) {
		t.Errorf("import says %+v, want %v", got, want)
	}
}
