package libraries

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/larder"
)

// origin is a server that counts what it is asked.
type origin struct {
	*httptest.Server
	asked atomic.Int64
}

func serve(t *testing.T, page http.HandlerFunc) *origin {
	o := new(origin)
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.asked.Add(1)
		page(w, r)
	}))
	t.Cleanup(o.Close)
	return o
}

// fresh is a page that may be reused for a minute.
func fresh(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "max-age=60")
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"path":%q}`, r.URL.Path)
}

// newCache returns a cache that nothing must be left of when the test ends.
func newCache(t *testing.T) *larder.Cache {
	transport := new(http.Transport)
	c := &larder.Cache{Base: transport, Name: "larder"}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			t.Errorf("work goes on in the background: %v", err)
		}
		transport.CloseIdleConnections()
	})
	return c
}

func (o *origin) want(t *testing.T, asked int64) {
	t.Helper()
	if got := o.asked.Load(); got != asked {
		t.Errorf("the origin was asked %d times, want %d", got, asked)
	}
}

func read(t *testing.T, client *http.Client, url string) (string, larder.Outcome) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body), larder.Info(resp).Outcome
}
