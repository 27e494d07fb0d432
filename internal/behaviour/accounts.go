package behaviour

import (
	"bytes"
	"encoding/base64"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

// secrets are what must not be found in what is written down.
var secrets = []string{"tOkEn-a1b2", "cOoKiE-c3d4", "pRoXy-e5f6", "qUeRy-a7b8", "pAsSwOrD-c9d0", "aPiKeY-e1f2", "sEt-a3b4",
	base64.StdEncoding.EncodeToString([]byte("alice:pAsSwOrD-c9d0"))}

// confide sends requests that hold every secret, and that are stored.
func (t *T) confide() {
	t.Helper()
	t.rule(larder.Rule{TTL: time.Hour, KeyHeaders: []string{"*"}, Methods: []string{"GET", "HEAD", "POST"},
		Redact: []string{"api_key", "x-api-key", "Set-Cookie"}})
	t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Authorization, Cookie, Proxy-Authorization, X-Api-Key")
		w.Header().Set("Set-Cookie", "sEt-a3b4")
		w.Header().Set("Trailer", "X-Api-Key")
		io.WriteString(w, "confidential but stored")
		w.Header().Set("X-Api-Key", "aPiKeY-e1f2")
	})
	all := []option{header("Authorization", "Bearer tOkEn-a1b2"), header("Cookie", "sid=cOoKiE-c3d4"),
		header("Proxy-Authorization", "pRoXy-e5f6"), header("X-Api-Key", "aPiKeY-e1f2")}
	for range 2 {
		t.get("/a?page=1&api_key=qUeRy-a7b8", all...)
		t.post("/a?API_KEY=qUeRy-a7b8", append(all, body(text, "cOoKiE-c3d4"))...)
		t.get("/a?page=2", func(r *http.Request) *http.Request {
			r.URL.User = url.UserPassword("alice", "pAsSwOrD-c9d0")
			return r
		})
	}
	t.wantStored(3)
}

// accounts are tests of what is written down, and of what is told.
var accounts = append([]test{
	{name: "no secret is in a record", run: func(t *T) {
		t.confide()
		for _, r := range t.records() {
			if !strings.Contains(r.URL, "/a?") {
				t.Errorf("the URL is %q", r.URL)
			}
			wantNoSecret(t, "a head", store.AppendHead(nil, r))
			rc, err := t.cache.Body(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(rc)
			rc.Close()
			if err != nil || !bytes.Contains(b, []byte("confidential")) {
				t.Errorf("body %q, error %v", b, err)
			}
			wantNoSecret(t, "a body", b)
		}
	}},
	{name: "no secret is in a file of the store", run: func(t *T) {
		dir := filepath.Dir(t.TempDir()) // all that the test makes is below it
		t.confide()
		files, found := 0, false
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			files++
			found = found || bytes.Contains(b, []byte("confidential but stored"))
			wantNoSecret(t, path, append(b, path...))
			return err
		})
		if err != nil || files > 0 && !found {
			t.Errorf("looking through %d files: the body found: %v, error %v", files, found, err)
		}
	}},
	{name: "no secret is in an event, a log line or an explanation", run: func(t *T) {
		var log lockedBuffer
		t.cache.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		t.cache.Name = "larder"
		t.confide()
		down := t.down()
		down.cache.Logger = t.cache.Logger
		down.try("GET", "/b?api_key=qUeRy-a7b8", header("Authorization", "tOkEn-a1b2"))
		e, err := t.cache.Explain(t.Context(), t.request("GET", "/a?api_key=qUeRy-a7b8", header("Authorization", "tOkEn-a1b2")))
		if err != nil {
			t.Fatal(err)
		}
		told := log.String() + fmt.Sprintf("%+v %+v", t.journal.of(larder.Answered), e)
		if !strings.Contains(told, "api_key=REDACTED") {
			t.Errorf("told: %.500s", told)
		}
		wantNoSecret(t, "what is told", []byte(told))
	}},
	{name: "secrets still tell requests apart", run: func(t *T) {
		t.rule(larder.Rule{TTL: time.Hour, Redact: []string{"api_key", "X-Api-Key"}, KeyHeaders: []string{"X-Api-Key"}})
		t.origin.numbered("/a")
		t.get("/a?api_key=1").want(larder.Miss, "/a 1")
		t.get("/a?api_key=2").want(larder.Miss, "/a 2")
		t.get("/a?api_key=1").want(larder.Hit, "/a 1")
		t.get("/a?Api_Key=1").want(larder.Miss, "/a 3")
		t.get("/a?api_key=1", header("X-Api-Key", "1")).want(larder.Miss, "/a 4")
		t.get("/a?api_key=1", header("X-Api-Key", "2")).want(larder.Miss, "/a 5")
		t.get("/a?api_key=1", header("X-Api-Key", "1")).want(larder.Hit, "/a 4")
	}},
	{name: "the origin and its first caller get secrets as they are", run: func(t *T) {
		t.confide()
		equal(t, "Authorization", t.origin.seen["/a"][0].Header.Get("Authorization"), "Bearer tOkEn-a1b2")
		equal(t, "query", t.origin.seen["/a"][0].URL.RawQuery, "page=1&api_key=qUeRy-a7b8")
		equal(t, "Set-Cookie at first", t.get("/a?first").header.Get("Set-Cookie"), "sEt-a3b4")
		equal(t, "Set-Cookie from the store", t.get("/a?first").header.Get("Set-Cookie"), "REDACTED")
	}},
	{name: "no field of the request comes back in the response", run: func(t *T) {
		t.origin.page("/a", "hello", "Vary", "Authorization, X-Secret", "Cache-Control", "max-age=60")
		for range 2 {
			a := t.get("/a", header("Authorization", "tOkEn-a1b2"), header("X-Secret", "aPiKeY-e1f2"))
			wantNoSecret(t, "the response's header", []byte(fmt.Sprint(a.header)))
		}
	}},
}, tellings...)

// tellings are tests of events, counts and Cache-Status.
var tellings = []test{
	{name: "counts and events add up", run: func(t *T) {
		t.cache.Rules = []larder.Rule{{Match: "**/never", TTL: larder.Never}, {}}
		t.busyDay()
		s := t.cache.Stats()
		want := larder.Stats{Requests: 17, Hits: 3, Stale: 2, Revalidated: 1, Misses: 5, Bypassed: 2, Refused: 2, Errors: 2,
			Stored: 3, Updated: 1, Discarded: 1, Invalidated: 1}
		s.Collapsed = 0
		if s != want {
			t.Errorf("stats:\n got %+v\nwant %+v", s, want)
		}
		byOutcome := make(map[larder.Outcome]int64)
		for _, e := range t.journal.of(larder.Answered) {
			byOutcome[e.Decision.Outcome]++
		}
		for outcome, n := range map[larder.Outcome]int64{larder.Hit: s.Hits, larder.Stale: s.Stale, larder.Revalidated: s.Revalidated,
			larder.Miss: s.Misses, larder.Bypassed: s.Bypassed, larder.Refused: s.Refused, larder.None: 0} {
			equal(t, "events of "+outcome.String(), byOutcome[outcome], n)
		}
		for kind, n := range map[larder.EventKind]int64{larder.StoredResponse: s.Stored, larder.Updated: s.Updated, larder.Discarded: s.Discarded,
			larder.Invalidated: s.Invalidated, larder.StoreFailed: 0, larder.Damaged: 0, larder.Failed: s.Errors} {
			equal(t, "events of "+kind.String(), int64(len(t.journal.of(kind))), n)
		}
	}},
	{name: "counts add up when many ask at once", run: func(t *T) {
		for i := range 5 {
			t.origin.numbered(fmt.Sprint("/", i), "Cache-Control", "max-age=60")
		}
		t.start(200, func(i int) answer { return t.try("GET", fmt.Sprint("/", i%5)) }).done()
		t.settle()
		s := t.cache.Stats()
		equal(t, "requests", s.Requests, 200)
		equal(t, "stored", s.Stored, 5)
		if alone := s.Misses - s.Collapsed; alone > 5 || s.Hits+s.Misses != 200 {
			t.Errorf("stats of 5 requests to the origin: %+v", s)
		}
		equal(t, "events", len(t.journal.of(larder.Answered)), 200)
	}},
	{name: "an answer's event says all about it", run: func(t *T) {
		t.rule(larder.Rule{Match: "**/a", KeyHeaders: []string{"X"}})
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			t.clock.advance(3 * time.Second)
			w.Header().Set("Cache-Control", "max-age=60")
			w.WriteHeader(203)
		})
		t.get("/a?q")
		e := t.journal.of(larder.Answered)[0]
		equal(t, "method", e.Method, "GET")
		equal(t, "URL", e.URL, t.origin.url+"/a?q")
		equal(t, "status", e.Status, 203)
		equal(t, "duration", e.Duration, 3*time.Second)
		equal(t, "time", e.Time.Equal(t.clock.Now()), true)
		equal(t, "rule", e.Decision.Rule, "**/a")
		equal(t, "forwarded", e.Decision.Forwarded, "uri-miss")
		equal(t, "the origin's status", e.Decision.ForwardStatus, 203)
		equal(t, "lifetime", e.Decision.Lifetime, time.Minute)
		equal(t, "stored", e.Decision.Stored, true)
	}},
	{name: "an answer's event says how long the body is", run: func(t *T) {
		t.origin.page("/five", "12345", "Cache-Control", "max-age=60", "ETag", `"v"`)
		t.origin.handle("/unknown", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			w.(http.Flusher).Flush()
			io.WriteString(w, "1234567")
		})
		sizes := func() (s []int64) {
			for _, e := range t.journal.of(larder.Answered) {
				s = append(s, e.Size)
			}
			return s
		}
		t.get("/five")
		t.get("/five")
		t.get("/five", header("Range", "bytes=1-3"))
		t.get("/five", header("If-None-Match", `"v"`))
		t.do("HEAD", "/five")
		t.get("/unknown")
		t.get("/unknown")
		equal(t, "sizes", fmt.Sprint(sizes()), "[5 5 3 0 0 -1 7]")
	}},
	{name: "an answer says why it is not stored", run: func(t *T) {
		t.cache.MaxBody = 100
		t.cache.Rules = []larder.Rule{{Match: "**/filtered", Filter: func(*http.Response) bool { return false }}, {Match: "**/status", Statuses: []int{404}}}
		t.origin.page("/no-store", "", "Cache-Control", "no-store")
		t.origin.page("/long", strings.Repeat("x", 101), "Cache-Control", "max-age=60")
		t.origin.page("/filtered", "", "Cache-Control", "max-age=60")
		t.origin.page("/status", "", "Cache-Control", "max-age=60")
		t.origin.page("/vague", "")
		for path, why := range map[string]string{"/no-store": "no-store", "/long": "MaxBody", "/filtered": "filter", "/status": "status", "/vague": "fresh"} {
			a := t.get(path)
			if a.Stored || !strings.Contains(a.NotStored, why) && path != "/vague" || a.NotStored == "" {
				t.Errorf("%s: stored %v, since %q; want %s", path, a.Stored, a.NotStored, why)
			}
		}
	}},
	{name: "Cache-Status says what happened", run: func(t *T) {
		t.cache.Name = "larder"
		t.origin.tagged("/a", `"1"`, "one", "Cache-Control", "max-age=60, stale-while-revalidate=60")
		t.origin.page("/no-store", "", "Cache-Control", "no-store")
		t.origin.varies("/v", "Accept")
		t.get("/v")
		for _, c := range []struct {
			path, how string
			wait      time.Duration
			want      string
		}{
			{"/a", "", 0, "larder; fwd=uri-miss; fwd-status=200; ttl=60; stored"},
			{"/a", "", 20 * time.Second, "larder; hit; ttl=40"},
			{"/a", "max-age=0", 0, "larder; fwd=request; fwd-status=304; ttl=60"},
			{"/a", "", 70 * time.Second, "larder; hit; ttl=-10"},
			{"/a", "", 121 * time.Second, "larder; fwd=stale; fwd-status=304; ttl=60"},
			{"/no-store", "", 0, "larder; fwd=uri-miss; fwd-status=200"},
			{"/v?", "", 0, "larder; fwd=uri-miss; fwd-status=200; ttl=60; stored"},
			{"/absent", "only-if-cached", 0, ""}, // not of the origin, nor of the store
		} {
			t.clock.advance(c.wait)
			a := t.get(c.path, header("Cache-Control", c.how))
			t.settle()
			got, detail, _ := strings.Cut(a.header.Get("Cache-Status"), "; detail=")
			if got != c.want || detail == "" && c.want != "" {
				t.Errorf("%s %s: got %q, detail %q, want %q", c.path, c.how, got, detail, c.want)
			}
			if a.Outcome != larder.Refused {
				equal(t, "the same as Info", a.CacheStatus("larder"), a.header.Get("Cache-Status"))
			}
		}
		vary := t.get("/v", header("Accept", "x/y")).header.Get("Cache-Status")
		if !strings.HasPrefix(vary, "larder; fwd=vary-miss; ") {
			t.Errorf("another variant: %q", vary)
		}
		post := t.post("/a").header.Get("Cache-Status")
		if !strings.HasPrefix(post, "larder; fwd=method; fwd-status=200") {
			t.Errorf("POST: %q", post)
		}
		bypass := t.get("/a", mode(larder.Bypass)).header.Get("Cache-Status")
		if !strings.HasPrefix(bypass, "larder; fwd=bypass; fwd-status=200") {
			t.Errorf("Bypass: %q", bypass)
		}
	}},
	{name: "Cache-Status tells of a stale answer in place of the origin's as of one that was forwarded", run: func(t *T) {
		t.numberedStale("/a", "max-age=60, stale-if-error=600")
		t.origin.status("/a", 503)
		named := t.through(t.newCache())
		named.cache.Name = "c"
		for _, u := range []*T{named, named.down()} {
			u.cache.Name = "c"
			a := u.get("/a")
			a.want(larder.Stale, "/a 1")
			got, _, _ := strings.Cut(a.header.Get("Cache-Status"), "; ttl=")
			equal(t, "Cache-Status", got, map[int]string{503: "c; fwd=stale; fwd-status=503", 0: "c; fwd=stale"}[a.ForwardStatus])
		}
	}},
	{name: "Cache-Status tells who shared a request, and who could not", run: func(t *T) {
		t.cache.Name = "c"
		for path, cc := range map[string]string{"/shared": "max-age=60", "/alone": "no-store"} {
			t.origin.numbered(path, "Cache-Control", cc)
			g := t.origin.hold(path)
			p := t.start(2, func(int) answer { return t.try("GET", path) })
			t.settle()
			g.open()
			seen := map[string]int{}
			for _, a := range p.done() {
				for _, how := range []string{"; collapsed;", "; collapsed=?0;"} {
					if strings.Contains(a.header.Get("Cache-Status"), how) {
						seen[how]++
					}
				}
			}
			want := map[string]int{"; collapsed;": 1}
			if path == "/alone" {
				want = map[string]int{"; collapsed=?0;": 1}
			}
			if !maps.Equal(seen, want) {
				t.Errorf("%s: got %v, want %v", path, seen, want)
			}
		}
	}},
	{name: "Cache-Status comes after those of caches nearer to the origin, and not without a name", run: func(t *T) {
		t.origin.page("/a", "", "Cache-Control", "max-age=60", "Cache-Status", "edge; hit")
		equal(t, "without a name", strings.Join(t.get("/a").header["Cache-Status"], ", "), "edge; hit")
		named := t.through(t.newCache())
		named.cache.Name = "my cache"
		for range 2 {
			got := named.get("/a").header["Cache-Status"]
			if len(got) != 2 || got[0] != "edge; hit" || !strings.HasPrefix(got[1], `"my cache"; hit; ttl=60`) {
				t.Errorf("got %q", got)
			}
		}
	}},
	{name: "Info works through a client with a Timeout, and says None of other responses", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.get("/a")
		client := t.cache.Client()
		client.Timeout = time.Minute
		resp, err := client.Get(t.origin.url + "/a")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		equal(t, "outcome", larder.Info(resp).Outcome, larder.Hit)
		plain, err := (&http.Client{Transport: t.origin.transport}).Get(t.origin.url + "/a")
		if err != nil {
			t.Fatal(err)
		}
		plain.Body.Close()
		equal(t, "outcome without a cache", larder.Info(plain).Outcome, larder.None)
		equal(t, "outcome of nothing", larder.Info(nil).Outcome, larder.None)
	}},
	{name: "each event is a line in the log", run: func(t *T) {
		var log lockedBuffer
		t.cache.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		t.origin.tagged("/a", `"1"`, "one", "Cache-Control", "max-age=60")
		t.get("/a")
		t.get("/a")
		t.clock.advance(time.Minute)
		t.get("/a")
		t.settle()
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		equal(t, "lines", len(lines), len(t.journal.events))
		kinds := make(map[string]int)
		for _, line := range lines {
			var l struct{ Level, Msg, Event, Method, URL, Outcome string }
			if err := stdjson.Unmarshal([]byte(line), &l); err != nil {
				t.Fatal(err)
			}
			if l.Level != "DEBUG" || l.Msg != "larder" || l.Method != "GET" || l.URL != t.origin.url+"/a" {
				t.Errorf("line %s", line)
			}
			kinds[l.Event+" "+l.Outcome]++
		}
		equal(t, "kinds", fmt.Sprint(kinds), "map[answered hit:1 answered miss:1 answered revalidated:1 stored :1 updated :1]")
	}},
	{name: "trouble is a warning in the log", run: func(t *T) {
		u, f := t.near()
		var log lockedBuffer
		u.cache.Logger = slog.New(slog.NewTextHandler(&log, nil))
		f.at(with(errBroken), lookup)
		u.get("/a")
		if s := log.String(); strings.Count(s, "\n") != 1 || !strings.Contains(s, "level=WARN") || !strings.Contains(s, errBroken.Error()) {
			t.Errorf("the log says %q", s)
		}
	}},
}

// busyDay is 17 requests of every kind.
func (t *T) busyDay() {
	t.Helper()
	t.origin.numbered("/a", "Cache-Control", "max-age=60")
	t.origin.tagged("/tagged", `"1"`, "one", "Cache-Control", "max-age=60, stale-while-revalidate=10, stale-if-error=600")
	t.origin.numbered("/no-store", "Cache-Control", "no-store")
	t.get("/a").wantStatus(larder.Miss, 200)
	t.get("/a").wantStatus(larder.Hit, 200)
	t.do("HEAD", "/a").wantStatus(larder.Hit, 200)
	t.get("/tagged").wantStatus(larder.Miss, 200)
	t.get("/no-store").wantStatus(larder.Miss, 200)
	t.get("/never").wantStatus(larder.Bypassed, 404)
	t.get("/b", mode(larder.Offline)).wantStatus(larder.Refused, 504)
	t.get("/b", mode(larder.Offline)).wantStatus(larder.Refused, 504)
	t.clock.advance(59 * time.Second)
	t.get("/a").wantStatus(larder.Hit, 200)
	t.clock.advance(time.Minute)
	t.get("/tagged").wantStatus(larder.Revalidated, 200)
	t.settle()
	t.get("/a").wantStatus(larder.Miss, 200)
	t.clock.advance(2 * time.Minute)
	t.origin.status("/tagged", 503)
	t.get("/tagged").wantStatus(larder.Stale, 200)
	t.get("/tagged", mode(larder.PreferStored)).wantStatus(larder.Stale, 200)
	t.do("PUT", "/a").wantStatus(larder.Bypassed, 200)
	t.origin.handle("/cut", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "10")
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "half")
	})
	t.try("GET", "/cut")
	t.origin.handle("/gone", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	t.try("GET", "/gone")
	t.try("GET", "/gone")
	t.settle()
}

func wantNoSecret(t *T, where string, b []byte) {
	t.Helper()
	for _, s := range secrets {
		if bytes.Contains(b, []byte(s)) {
			t.Errorf("%s holds the secret %s", where, s)
		}
	}
}

// lockedBuffer is a buffer that several may write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
