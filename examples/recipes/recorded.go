package recipes

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store/disk"
)

// recorded returns a client for a test that is answered from what is stored in dir, such as testdata/http. With
// RECORD=1 what is not there yet is asked for and stored; without it a test fails that asks for something else, and
// nothing reaches the network.
func recorded(t testing.TB, dir string) *http.Client {
	t.Helper()
	files, err := disk.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	cache := &larder.Cache{
		Store:     files,
		Partition: func(*http.Request) string { return "" }, // so that it is found without the token with which it was recorded
		Rules: []larder.Rule{{
			TTL:    larder.Forever,
			Redact: []string{"Authorization", "Cookie", "access_token"},
			Strip:  []string{"Set-Cookie"},
			Ignore: larder.Ignore{Header: []string{"Authorization", "Cookie"}},
		}},
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		cache.Close(ctx)
		files.Close()
	})
	if os.Getenv("RECORD") != "" {
		return cache.Client()
	}
	return &http.Client{Transport: recording{mode{larder.OfflineStale, cache}}}
}

// recording makes an error of a response that is not recorded.
type recording struct{ next http.RoundTripper }

func (r recording) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.next.RoundTrip(req)
	if err == nil && larder.Info(resp).Outcome == larder.Refused {
		resp.Body.Close()
		return nil, fmt.Errorf("%s %s is not recorded: run the test with RECORD=1", req.Method, req.URL.Redacted())
	}
	return resp, err
}
