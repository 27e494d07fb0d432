package recipes

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store/memory"
)

// origin counts the requests that reach it.
type origin struct {
	*httptest.Server
	asked, unchanged atomic.Int64
}

// serve answers by h, and counts what h has answered 304.
func serve(t *testing.T, h http.HandlerFunc) *origin {
	o := new(origin)
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.asked.Add(1)
		h(&counting{w, o}, r)
	}))
	t.Cleanup(o.Close)
	return o
}

type counting struct {
	http.ResponseWriter
	o *origin
}

func (c *counting) WriteHeader(status int) {
	if status == http.StatusNotModified {
		c.o.unchanged.Add(1)
	}
	c.ResponseWriter.WriteHeader(status)
}

// want checks how a client is answered.
func want(t *testing.T, client *http.Client, url, body string, outcome larder.Outcome) {
	t.Helper()
	var got strings.Builder
	how, err := fetch(client, url, &got)
	if err != nil || got.String() != body || how != outcome {
		t.Errorf("%s: %v, %q, error %v; want %v, %q", url, how, got.String(), err, outcome, body)
	}
}

func end(t *testing.T, f func(context.Context) error) {
	t.Helper()
	if err := f(t.Context()); err != nil {
		t.Error(err)
	}
}

func page(body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Add(header[i], header[i+1])
		}
		io.WriteString(w, body)
	}
}

func TestLasting(t *testing.T) {
	o := serve(t, page("hello", "Cache-Control", "max-age=60"))
	dir := filepath.Join(t.TempDir(), "made", "by it")
	for _, outcome := range []larder.Outcome{larder.Miss, larder.Hit} { // as two runs of a program
		client, stop, err := lasting(dir)
		if err != nil {
			t.Fatal(err)
		}
		want(t, client, o.URL, "hello", outcome)
		end(t, stop)
	}
	if _, _, err := lasting(os.Args[0]); err == nil || !strings.HasPrefix(err.Error(), "the cache: ") {
		t.Errorf("a file as the folder: %v", err)
	}
}

func TestGitHub(t *testing.T) {
	o := serve(t, func(w http.ResponseWriter, r *http.Request) {
		user := r.Header.Get("Authorization")
		w.Header().Set("ETag", fmt.Sprintf(`"%x"`, user))
		w.Header().Set("Cache-Control", "private, max-age=0")
		if r.Header.Get("If-None-Match") == w.Header().Get("ETag") {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		io.WriteString(w, user)
	})
	s := new(memory.Store)
	mine, others := github("mine", s), github("others", s)
	want(t, mine, o.URL, "Bearer mine", larder.Miss)
	want(t, others, o.URL, "Bearer others", larder.Miss)
	want(t, mine, o.URL, "Bearer mine", larder.Revalidated)
	want(t, others, o.URL, "Bearer others", larder.Revalidated)
	if n := o.unchanged.Load(); n != 2 {
		t.Errorf("%d answers were 304, want 2", n)
	}
}

func TestScraper(t *testing.T) {
	var down atomic.Bool
	o := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Cache-Control", "no-cache, no-store")
		w.Header().Set("Set-Cookie", "session=1")
		if r.URL.Path == "/gone" {
			w.WriteHeader(http.StatusGone)
		}
		io.WriteString(w, r.URL.Path)
	})
	client := scraper(new(memory.Store))
	client.Transport.(*larder.Cache).Now = func() time.Time {
		if down.Load() { // two days later
			return time.Now().Add(48 * time.Hour)
		}
		return time.Now()
	}
	want(t, client, o.URL+"/a?x=1&y=2&utm_source=z", "/a", larder.Miss)
	want(t, client, o.URL+"/a?y=2&x=1", "/a", larder.Hit)
	want(t, client, o.URL+"/gone", "/gone", larder.Miss)
	want(t, client, o.URL+"/gone", "/gone", larder.Hit)
	resp, err := client.Get(o.URL + "/a?y=2&x=1")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.Header["Set-Cookie"] != nil {
		t.Errorf("a stored page sets %q", resp.Header["Set-Cookie"])
	}
	down.Store(true)
	want(t, client, o.URL+"/a?x=1&y=2", "/a", larder.Stale)
}

func TestOnTrain(t *testing.T) {
	o := serve(t, page("hello", "Cache-Control", "max-age=0", "ETag", `"1"`))
	cache := new(larder.Cache)
	want(t, onTrain(cache, false), o.URL+"/a", "hello", larder.Miss)
	want(t, onTrain(cache, false), o.URL+"/a", "hello", larder.Stale)
	o.Close()
	offline := onTrain(cache, true)
	want(t, offline, o.URL+"/a", "hello", larder.Stale)
	want(t, offline, o.URL+"/b", "", larder.Refused)
}

func TestRecorded(t *testing.T) {
	o := serve(t, page("hello", "Set-Cookie", "secret=1"))
	dir := t.TempDir()
	t.Run("record", func(t *testing.T) {
		t.Setenv("RECORD", "1")
		want(t, &http.Client{Transport: bearer{"s3cret", recorded(t, dir).Transport}}, o.URL+"/a?access_token=s3cret", "hello", larder.Miss)
	})
	o.Close()
	t.Run("play", func(t *testing.T) {
		client := recorded(t, dir)
		want(t, client, o.URL+"/a?access_token=s3cret", "hello", larder.Hit)
		if _, err := fetch(client, o.URL+"/b", io.Discard); err == nil || !strings.Contains(err.Error(), "/b is not recorded: run the test with RECORD=1") {
			t.Errorf("what is not recorded: %v", err)
		}
	})
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), "s3cret") || strings.Contains(string(b), "secret=1") {
			t.Errorf("%s holds a secret", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestFleet(t *testing.T) {
	url := os.Getenv("REDIS_URL")
	if url == "" {
		t.Skip("REDIS_URL names no Redis")
	}
	o := serve(t, page("hello", "Cache-Control", "max-age=60"))
	for i, outcome := range []larder.Outcome{larder.Miss, larder.Hit} { // as two machines
		cache, stop, err := fleet(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		want(t, cache.Client(), o.URL, "hello", outcome)
		if i == 1 {
			req, _ := http.NewRequestWithContext(t.Context(), "GET", o.URL, nil)
			if err := cache.Delete(t.Context(), req); err != nil {
				t.Error(err)
			}
		}
		end(t, stop)
	}
}

func TestFleetWithoutRedis(t *testing.T) {
	o := serve(t, page("hello", "Cache-Control", "max-age=60"))
	cache, stop, err := fleet(t.Context(), "redis://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	want(t, cache.Client(), o.URL, "hello", larder.Miss)
	end(t, stop)
}

func TestSearches(t *testing.T) {
	o := serve(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	rule := searches
	rule.Match = "" // the test's server has another name
	cache := &larder.Cache{Rules: []larder.Rule{rule}}
	for _, c := range []struct {
		sent, got string
		outcome   larder.Outcome
	}{
		{`{"q":"bees","page":1,"request_id":"a"}`, `{"q":"bees","page":1,"request_id":"a"}`, larder.Miss},
		{`{"request_id":"b","page":1,"q":"bees"}`, `{"q":"bees","page":1,"request_id":"a"}`, larder.Hit},
		{`{"q":"wasps","page":1}`, `{"q":"wasps","page":1}`, larder.Miss},
	} {
		resp, err := cache.Client().Post(o.URL, "application/json", strings.NewReader(c.sent))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(got) != c.got || larder.Info(resp).Outcome != c.outcome {
			t.Errorf("%s: %v, %s, error %v; want %v", c.sent, larder.Info(resp).Outcome, got, err, c.outcome)
		}
	}
}

func TestForUsers(t *testing.T) {
	o := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Vary", "Authorization")
		io.WriteString(w, r.Header.Get("Authorization"))
	})
	cache := forUsers()
	get := func(user, token string) (string, larder.Outcome) {
		req, _ := http.NewRequestWithContext(withUser(t.Context(), user), "GET", o.URL, nil)
		req.Header.Set("Authorization", token)
		resp, err := cache.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return string(body), larder.Info(resp).Outcome
	}
	for _, c := range []struct {
		user, token, got string
		outcome          larder.Outcome
	}{
		{"ann", "first", "first", larder.Miss},
		{"ann", "second", "first", larder.Hit}, // a token that was renewed
		{"bob", "third", "third", larder.Miss},
	} {
		if got, outcome := get(c.user, c.token); got != c.got || outcome != c.outcome {
			t.Errorf("%s with %s: %s, %v; want %s, %v", c.user, c.token, got, outcome, c.got, c.outcome)
		}
	}
}

func TestWatched(t *testing.T) {
	o := serve(t, page("hello", "Cache-Control", "max-age=60"))
	var log strings.Builder
	var bytes int64
	cache := watched(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), func(n int64) { bytes += n })
	want(t, cache.Client(), o.URL, "hello", larder.Miss)
	want(t, cache.Client(), o.URL, "hello", larder.Hit)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := cache.Close(ctx); err != nil {
		t.Error(err)
	}
	if bytes != 5 || !strings.Contains(log.String(), "outcome=hit") {
		t.Errorf("%d bytes saved; log:\n%s", bytes, log.String())
	}
}

func TestWithRules(t *testing.T) {
	for _, r := range withRules(nil).Rules {
		if err := r.Check(); err != nil {
			t.Error(err)
		}
	}
}

// What is in the documents and talks to hosts that are not there is compiled.
var _ = []any{things, serveAPI, contract}
