package integration

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/larder"
	"github.com/mccutchen/go-httpbin/v2/httpbin"
)

// step is one request to httpbin, after some time, and what becomes of it. A response that is not from the origin has
// the body that the origin sent last for that path.
type step struct {
	after  time.Duration
	get    string
	header []string // names and values in turn
	want   larder.Outcome
	status int
}

const gone = time.Hour // long enough for everything to be stale

var stories = []struct {
	name  string
	rule  larder.Rule // without a TTL: the standard
	steps []step
}{
	{"max-age is heeded", larder.Rule{}, []step{
		{0, "/cache/60", nil, larder.Miss, 200},
		{59 * time.Second, "/cache/60", nil, larder.Hit, 200},
		{2 * time.Second, "/cache/60", nil, larder.Miss, 200},
	}},
	{"an entity tag is validated", larder.Rule{}, []step{
		{0, "/etag/abc", nil, larder.Miss, 200},
		{gone, "/etag/abc", nil, larder.Revalidated, 200},
		{gone, "/etag/abc", []string{"If-None-Match", `"abc"`}, larder.Revalidated, 304},
		{gone, "/etag/abc", []string{"If-None-Match", `"x"`}, larder.Revalidated, 200},
		{gone, "/etag/abc", []string{"If-Match", `"x"`}, larder.Bypassed, 412},
	}},
	{"a tag without quotes validates", larder.Rule{}, []step{
		{0, "/cache", nil, larder.Miss, 200},
		{gone, "/cache", nil, larder.Revalidated, 200},
	}},
	{"the caller's own condition on a cold URL is not stored", larder.Everything(time.Minute), []step{
		{0, "/cache", []string{"If-None-Match", `"x"`}, larder.Miss, 304},
		{0, "/cache", nil, larder.Miss, 200},
		{0, "/cache", nil, larder.Hit, 200},
	}},
	{"ranges are cut from the whole", larder.Rule{TTL: time.Minute}, []step{
		{0, "/range/100000", []string{"Range", "bytes=0-9"}, larder.Miss, 206},
		{0, "/range/100000", nil, larder.Miss, 200},
		{0, "/range/100000", []string{"Range", "bytes=0-99999"}, larder.Hit, 206},
		{0, "/range/100000", []string{"Range", "bytes=100000-"}, larder.Hit, 416},
		{0, "/range/100000", nil, larder.Hit, 200},
		{gone, "/range/100000", []string{"Range", "bytes=1-2"}, larder.Miss, 206},
		{0, "/range/100000", nil, larder.Miss, 200},
	}},
	{"everything is stored, but for errors", larder.Everything(time.Minute), []step{
		{0, "/uuid", nil, larder.Miss, 200},
		{0, "/uuid", nil, larder.Hit, 200},
		{gone, "/uuid", nil, larder.Miss, 200},
		{0, "/response-headers?Cache-Control=no-store", nil, larder.Miss, 200},
		{0, "/response-headers?Cache-Control=no-store", nil, larder.Hit, 200},
		{0, "/status/404", nil, larder.Miss, 404},
		{0, "/status/404", nil, larder.Miss, 404},
		{0, "/status/503", nil, larder.Miss, 503},
		{0, "/status/503", nil, larder.Miss, 503},
	}},
	{"nothing is stored that does not say for how long", larder.Rule{}, []step{
		{0, "/uuid", nil, larder.Miss, 200},
		{0, "/uuid", nil, larder.Miss, 200},
		{0, "/response-headers?Cache-Control=no-store,max-age=60", nil, larder.Miss, 200},
		{0, "/response-headers?Cache-Control=no-store,max-age=60", nil, larder.Miss, 200},
	}},
	{"statuses that a rule lists are stored", larder.Rule{TTL: time.Minute, Statuses: []int{404, 418}}, []step{
		{0, "/status/404", nil, larder.Miss, 404},
		{0, "/status/404", nil, larder.Hit, 404},
		{0, "/status/418", nil, larder.Miss, 418},
		{0, "/status/418", nil, larder.Hit, 418},
		{0, "/status/410", nil, larder.Miss, 410},
		{0, "/status/410", nil, larder.Miss, 410},
		{0, "/get", nil, larder.Miss, 200},
		{0, "/get", nil, larder.Miss, 200},
	}},
	{"bodies that come slowly, in pieces, packed or long", larder.Everything(time.Minute), []step{
		{0, "/stream/20", nil, larder.Miss, 200},
		{0, "/stream/20", nil, larder.Hit, 200},
		{0, "/drip?duration=100ms&numbytes=5&delay=10ms", nil, larder.Miss, 200},
		{0, "/drip?delay=10ms&numbytes=5&duration=100ms", nil, larder.Hit, 200},
		{0, "/delay/0.1", nil, larder.Miss, 200},
		{0, "/delay/0.1", nil, larder.Hit, 200},
		{0, "/gzip", nil, larder.Miss, 200},
		{0, "/gzip", nil, larder.Hit, 200},
		{0, "/deflate", nil, larder.Miss, 200},
		{0, "/deflate", nil, larder.Hit, 200},
		{0, "/stream-bytes/100000?chunk_size=777", nil, larder.Miss, 200},
		{0, "/stream-bytes/100000?chunk_size=777", nil, larder.Hit, 200},
		{0, "/bytes/90000", nil, larder.Miss, 200},
		{0, "/bytes/90000", nil, larder.Hit, 200},
		{0, "/sse?count=3&duration=30ms&delay=0s", nil, larder.Miss, 200},
		{0, "/sse?count=3&duration=30ms&delay=0s", nil, larder.Hit, 200},
		{0, "/trailers?x-sum=1", nil, larder.Miss, 200},
		{0, "/trailers?x-sum=1", nil, larder.Hit, 200},
		{0, "/image/png", nil, larder.Miss, 200},
		{0, "/image/png", nil, larder.Hit, 200},
	}},
	{"redirects are stored hop by hop", larder.Everything(time.Minute), []step{
		{0, "/redirect/3", nil, larder.Miss, 200},
		{0, "/redirect/3", nil, larder.Hit, 200},
		{0, "/relative-redirect/2", nil, larder.Hit, 200},
		{0, "/redirect-to?url=/uuid&status_code=308", nil, larder.Miss, 200},
		{0, "/redirect-to?url=/uuid&status_code=308", nil, larder.Hit, 200},
	}},
	{"users are kept apart", larder.Everything(time.Minute), []step{
		{0, "/basic-auth/user/pass", []string{"Authorization", "Basic dXNlcjpwYXNz"}, larder.Miss, 200},
		{0, "/basic-auth/user/pass", []string{"Authorization", "Basic dXNlcjpwYXNz"}, larder.Hit, 200},
		{0, "/basic-auth/user/pass", []string{"Authorization", "Basic dXNlcjpwcm9iZQ=="}, larder.Miss, 401},
		{0, "/basic-auth/user/pass", nil, larder.Miss, 401},
		{0, "/bearer", []string{"Authorization", "Bearer one"}, larder.Miss, 200},
		{0, "/bearer", []string{"Authorization", "Bearer two"}, larder.Miss, 200},
		{0, "/bearer", nil, larder.Miss, 401},
		{0, "/cookies", []string{"Cookie", "who=one"}, larder.Miss, 200},
		{0, "/cookies", []string{"Cookie", "who=two"}, larder.Miss, 200},
		{0, "/cookies", []string{"Cookie", "who=two"}, larder.Hit, 200},
		{0, "/cookies", nil, larder.Miss, 200},
	}},
}

func TestHTTPBin(t *testing.T) {
	onEachStore(t, func(t *testing.T, open opener) {
		for _, story := range stories {
			t.Run(story.name, func(t *testing.T) { tell(t, open, story.rule, story.steps) })
		}
	})
}

func tell(t *testing.T, open opener, rule larder.Rule, steps []step) {
	var asked atomic.Int64
	bin := httpbin.New()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		bin.ServeHTTP(w, r)
	}))
	defer srv.Close()
	var late time.Duration
	cache := newCache(t, open(t))
	cache.Now = func() time.Time { return time.Now().Add(late) }
	if rule.TTL != 0 {
		cache.Rules = []larder.Rule{rule}
	}
	client := cache.Client()
	bodies := make(map[string]string)
	for i, s := range steps {
		late += s.after
		before := asked.Load()
		req, err := http.NewRequest(http.MethodGet, srv.URL+s.get, nil)
		if err != nil {
			t.Fatal(err)
		}
		for h := s.header; len(h) > 0; h = h[2:] {
			req.Header.Set(h[0], h[1])
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatalf("step %d, %s: %v", i, s.get, err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		d := larder.Info(resp)
		if d.Outcome != s.want || resp.StatusCode != s.status || err != nil {
			t.Errorf("step %d, %s: got %v %d (%s), error %v, want %v %d", i, s.get, d.Outcome, resp.StatusCode, d.Reason, err, s.want, s.status)
		}
		if s.want == larder.Hit && asked.Load() != before {
			t.Errorf("step %d, %s: the origin was asked all the same", i, s.get)
		}
		switch name := resp.Request.URL.Path + strings.Join(s.header, ""); {
		case resp.StatusCode != http.StatusOK:
		case s.want == larder.Hit && bodies[name] != string(body):
			t.Errorf("step %d, %s: the origin sent %.80q, the hit is %.80q", i, s.get, bodies[name], body)
		default:
			bodies[name] = string(body)
		}
	}
}

func TestHTTPBinGivesEachJarItsOwnCookies(t *testing.T) {
	onEachStore(t, func(t *testing.T, open opener) {
		srv := httptest.NewServer(httpbin.New())
		defer srv.Close()
		cache := newCache(t, open(t))
		cache.Rules = []larder.Rule{larder.Everything(time.Minute)}
		for _, who := range []string{"one", "two", "one"} {
			jar, err := cookiejar.New(nil)
			if err != nil {
				t.Fatal(err)
			}
			client := &http.Client{Transport: cache, Jar: jar}
			resp, err := client.Get(srv.URL + "/cookies/set?who=" + who)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if !strings.Contains(string(body), `"who": "`+who+`"`) || err != nil {
				t.Errorf("%s got %s, error %v", who, body, err)
			}
		}
	})
}

func TestHTTPBinIsReadableForWhoeverDidNotAskForACoding(t *testing.T) {
	onEachStore(t, func(t *testing.T, open opener) {
		srv := httptest.NewServer(httpbin.New())
		defer srv.Close()
		cache := newCache(t, open(t))
		cache.Rules = []larder.Rule{larder.Everything(time.Minute)}
		for _, coding := range []string{"gzip", "", "gzip", ""} {
			req, err := http.NewRequest(http.MethodGet, srv.URL+"/gzip", nil) // which says nothing of Vary
			if err != nil {
				t.Fatal(err)
			}
			if coding != "" {
				req.Header.Set("Accept-Encoding", coding)
			}
			resp, err := cache.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if coding == "" && !strings.Contains(string(body), `"gzipped": true`) || err != nil {
				t.Errorf("Accept-Encoding %q: got %.80q, Content-Encoding %q, error %v", coding, body, resp.Header.Get("Content-Encoding"), err)
			}
		}
	})
}
