package libraries

import (
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-github/v89/github"
	"github.com/larder-go/larder"
)

// fromCache marks what did not come from the origin now by the field for which go-github looks before it takes a
// response's rate limit for the present one.
func fromCache(cache http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		resp, err := cache.RoundTrip(req)
		if err == nil {
			switch larder.Info(resp).Outcome {
			case larder.Hit, larder.Stale:
				resp.Header.Set("X-From-Cache", "1")
			}
		}
		return resp, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestGitHubConditionalRequestsSpareTheRateLimit(t *testing.T) {
	var remaining atomic.Int64
	remaining.Store(10)
	o := serve(t, func(w http.ResponseWriter, r *http.Request) {
		notModified := r.Header.Get("If-None-Match") == `"v1"`
		if !notModified {
			remaining.Add(-1) // GitHub counts no 304
		}
		w.Header().Set("X-RateLimit-Limit", "10")
		w.Header().Set("X-RateLimit-Remaining", strconv.FormatInt(remaining.Load(), 10))
		w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10))
		w.Header().Set("ETag", `"v1"`)
		w.Header().Set("Cache-Control", "private, max-age=60")
		if notModified {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		fmt.Fprintf(w, `{"name":%q}`, r.URL.Path)
	})
	url := o.URL + "/"
	client, err := github.NewClient(github.WithTransport(fromCache(newCache(t))), github.WithAuthToken("secret"), github.WithURLs(&url, &url))
	if err != nil {
		t.Fatal(err)
	}
	get := func(mode larder.Mode, repo string, outcome larder.Outcome, rate int) {
		t.Helper()
		_, resp, err := client.Repositories.Get(larder.WithMode(t.Context(), mode), "larder-go", repo)
		if err != nil {
			t.Fatal(err)
		}
		if got := larder.Info(resp.Response).Outcome; got != outcome || resp.Rate.Remaining != rate {
			t.Errorf("%s: %v with %d remaining, want %v with %d", repo, got, resp.Rate.Remaining, outcome, rate)
		}
	}
	get(larder.Standard, "a", larder.Miss, 9)
	get(larder.Standard, "b", larder.Miss, 8)
	get(larder.Standard, "a", larder.Hit, 9) // what was true when it was stored
	get(larder.Refresh, "a", larder.Revalidated, 8)
	o.want(t, 3)
}
