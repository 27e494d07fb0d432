package libraries

import (
	"context"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"sync/atomic"
	"testing"
	"time"

	resty2 "github.com/go-resty/resty/v2"
	"github.com/hashicorp/go-retryablehttp"
	"github.com/larder-go/larder"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"golang.org/x/oauth2"
	"k8s.io/client-go/rest"
	resty3 "resty.dev/v3"
)

const body = `{"path":"/a"}`

func TestNetHTTPWithAJarAndRedirects(t *testing.T) {
	o := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/login":
			http.SetCookie(w, &http.Cookie{Name: "user", Value: r.URL.RawQuery})
			w.Header().Set("Cache-Control", "max-age=60")
			http.Redirect(w, r, "/a", http.StatusSeeOther)
		case "/from":
			w.Header().Set("Cache-Control", "max-age=60")
			http.Redirect(w, r, "/a", http.StatusMovedPermanently)
		default:
			fresh(w, r)
		}
	})
	cache := newCache(t)
	clients := make(map[string]*http.Client)
	for i, test := range []struct {
		user, path string
		outcome    larder.Outcome
		asked      int64
	}{
		{"nobody", "/from", larder.Miss, 2},
		{"nobody", "/from", larder.Hit, 2},
		{"alice", "/login?alice", larder.Miss, 4},
		{"alice", "/from", larder.Hit, 5}, // with a cookie she is somebody: the redirect is asked for, what it leads to is hers already
		{"alice", "/from", larder.Hit, 5},
		{"bob", "/login?bob", larder.Miss, 7}, // hers is not his
		{"bob", "/a", larder.Hit, 7},
		{"nobody", "/a", larder.Hit, 7},
	} {
		client := clients[test.user]
		if client == nil {
			jar, err := cookiejar.New(nil)
			if err != nil {
				t.Fatal(err)
			}
			client = &http.Client{Transport: cache, Jar: jar}
			clients[test.user] = client
		}
		if got, outcome := read(t, client, o.URL+test.path); got != body || outcome != test.outcome {
			t.Errorf("request %d: %s, %v, want %s, %v", i+1, got, outcome, body, test.outcome)
		}
		o.want(t, test.asked)
	}
}

func TestRestyV2(t *testing.T) {
	o := serve(t, fresh)
	client := resty2.New().SetTransport(newCache(t))
	for i, want := range []larder.Outcome{larder.Miss, larder.Hit} {
		resp, err := client.R().Get(o.URL + "/a")
		if err != nil {
			t.Fatal(err)
		}
		if got := larder.Info(resp.RawResponse).Outcome; resp.String() != body || got != want {
			t.Errorf("request %d: %s, %v, want %s, %v", i+1, resp, got, body, want)
		}
	}
	o.want(t, 1)
}

func TestRestyV3(t *testing.T) {
	o := serve(t, fresh)
	client := resty3.New().SetTransport(newCache(t))
	defer client.Close()
	for i, want := range []larder.Outcome{larder.Miss, larder.Hit} {
		resp, err := client.R().Get(o.URL + "/a")
		if err != nil {
			t.Fatal(err)
		}
		if got := larder.Info(resp.RawResponse).Outcome; resp.String() != body || got != want {
			t.Errorf("request %d: %s, %v, want %s, %v", i+1, resp, got, body, want)
		}
	}
	o.want(t, 1)
}

// What resty tries again above the cache comes from it as soon as it is stored; a context that has ended asks for
// nothing.
func TestRestyRetriesAndContexts(t *testing.T) {
	o := serve(t, flaky())
	client := resty2.New().SetTransport(newCache(t)).SetRetryCount(2).SetRetryWaitTime(time.Millisecond).
		AddRetryCondition(func(r *resty2.Response, err error) bool { return err != nil || r.StatusCode() >= 500 })
	for i := range 2 {
		resp, err := client.R().Get(o.URL + "/a")
		if err != nil || resp.String() != body {
			t.Errorf("request %d: %s, %v", i+1, resp, err)
		}
		o.want(t, 2)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if resp, err := client.R().SetContext(ctx).Get(o.URL + "/b"); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %s, %v", resp, err)
	}
	o.want(t, 2)
}

// flaky fails every first of two requests.
func flaky() http.HandlerFunc {
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1)%2 == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fresh(w, r)
	}
}

func retrying(base http.RoundTripper) *retryablehttp.Client {
	c := retryablehttp.NewClient()
	c.HTTPClient.Transport = base
	c.RetryWaitMin, c.RetryWaitMax, c.Logger = time.Millisecond, time.Millisecond, nil
	return c
}

func TestRetryableAboveAndBelow(t *testing.T) {
	for _, where := range []string{"above", "below"} {
		t.Run(where, func(t *testing.T) {
			o := serve(t, flaky())
			cache := newCache(t)
			client := cache.Client()
			if where == "above" {
				client = retrying(cache).StandardClient()
			} else {
				cache.Base = &retryablehttp.RoundTripper{Client: retrying(cache.Base)}
			}
			for i := range 2 {
				if got, _ := read(t, client, o.URL+"/a"); got != body {
					t.Errorf("request %d: %s, want %s", i+1, got, body)
				}
			}
			o.want(t, 2)
		})
	}
}

// A 504 for want of a stored response is like any server error to who retries.
func TestRetryableTriesAgainWhatTheCacheRefuses(t *testing.T) {
	o := serve(t, fresh)
	client := retrying(newCache(t))
	client.RetryMax = 1
	tries := 0
	client.RequestLogHook = func(retryablehttp.Logger, *http.Request, int) { tries++ }
	req, err := retryablehttp.NewRequestWithContext(larder.WithMode(t.Context(), larder.Offline), http.MethodGet, o.URL+"/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := client.Do(req); err == nil {
		resp.Body.Close()
		t.Errorf("status %d, want an error after all tries", resp.StatusCode)
	}
	if tries != 2 {
		t.Errorf("%d tries, want 2", tries)
	}
	o.want(t, 0)
}

// Above the cache each request has a span, below it each that the origin is asked.
func TestOtelAboveAndBelow(t *testing.T) {
	for where, spans := range map[string]int{"above": 2, "below": 1} {
		t.Run(where, func(t *testing.T) {
			o := serve(t, fresh)
			recorder := tracetest.NewSpanRecorder()
			traced := func(rt http.RoundTripper) http.RoundTripper {
				return otelhttp.NewTransport(rt, otelhttp.WithTracerProvider(trace.NewTracerProvider(trace.WithSpanProcessor(recorder))))
			}
			cache := newCache(t)
			client := cache.Client()
			if where == "above" {
				client.Transport = traced(cache)
			} else {
				cache.Base = traced(cache.Base)
			}
			for i, want := range []larder.Outcome{larder.Miss, larder.Hit} {
				if got, outcome := read(t, client, o.URL+"/a"); got != body || outcome != want {
					t.Errorf("request %d: %s, %v, want %s, %v", i+1, got, outcome, body, want)
				}
			}
			o.want(t, 1)
			if got := len(recorder.Ended()); got != spans {
				t.Errorf("%d spans, want %d", got, spans)
			}
		})
	}
}

// Above the cache, oauth2 sets Authorization where the cache sees it; a refreshed token is another user to it, unless
// Partition says whose it is.
func TestOAuth2(t *testing.T) {
	as := func(cache http.RoundTripper, token string) *http.Client {
		source := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token})
		return &http.Client{Transport: &oauth2.Transport{Source: source, Base: cache}}
	}
	o := serve(t, fresh)
	cache := newCache(t)
	for i, want := range []struct {
		token   string
		outcome larder.Outcome
	}{{"alice 1", larder.Miss}, {"bob 1", larder.Miss}, {"alice 1", larder.Hit}, {"alice 2", larder.Miss}} {
		if _, got := read(t, as(cache, want.token), o.URL+"/a"); got != want.outcome {
			t.Errorf("request %d, by %s: %v, want %v", i+1, want.token, got, want.outcome)
		}
	}
	o.want(t, 3)

	mine := newCache(t)
	mine.Partition = func(*http.Request) string { return "alice" } // a cache of one user's own
	for i, want := range []larder.Outcome{larder.Miss, larder.Hit} {
		if _, got := read(t, as(mine, []string{"alice 1", "alice 2"}[i]), o.URL+"/a"); got != want {
			t.Errorf("with a Partition, request %d: %v, want %v", i+1, got, want)
		}
	}
	o.want(t, 4)
}

func TestClientGoWrap(t *testing.T) {
	o := serve(t, fresh)
	cache := newCache(t)
	config := &rest.Config{Host: o.URL}
	config.Wrap(func(rt http.RoundTripper) http.RoundTripper {
		cache.Base = rt
		return cache
	})
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []larder.Outcome{larder.Miss, larder.Hit} {
		if got, outcome := read(t, client, o.URL+"/a"); got != body || outcome != want {
			t.Errorf("request %d: %s, %v, want %s, %v", i+1, got, outcome, body, want)
		}
	}
	o.want(t, 1)
}
