package tiered_test

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/memory"
)

// BenchmarkHit measures a hit of 1 KB in turns with one in memory, and reports how many times as long it takes.
func BenchmarkHit(b *testing.B) {
	roundTrip := func(c *larder.Cache) doer { return c.RoundTrip }
	client := func(c *larder.Cache) doer { return c.Client().Do }
	local := func(b *testing.B) store.Store { return openDisk(b, b.TempDir()) }
	far := func(b *testing.B) store.Store {
		d := openDisk(b, b.TempDir())
		return distant{d, d, d, d}
	}
	for _, c := range []struct {
		name string
		by   func(*larder.Cache) doer
		back func(*testing.B) store.Store
	}{
		{"RoundTrip, over disk", roundTrip, local},
		{"RoundTrip, over a store far away", roundTrip, far},
		{"Client, over disk", client, local},
		{"Client, over a store far away", client, far},
	} {
		b.Run(c.name, func(b *testing.B) {
			inMemory, inFront := hits(b, c.by, new(memory.Store)), hits(b, c.by, open(b, nil, c.back(b), nil))
			var times, took []float64
			for b.Loop() {
				t, m := inFront(), inMemory()
				times, took = append(times, float64(t)/float64(m)), append(took, float64(t)/turn)
			}
			slices.Sort(times)
			slices.Sort(took)
			b.ReportMetric(times[len(times)/2], "×memory")
			b.ReportMetric(took[len(took)/2], "ns/hit")
			b.ReportMetric(0, "ns/op")
		})
	}
}

const turn = 200

// distant is a store that larder sets a timer for, as those behind a network.
type distant struct {
	store.Store
	store.Finder
	store.Sweeper
	store.Sizer
}

type doer func(*http.Request) (*http.Response, error)

// hits returns a function that makes one turn of hits of the same response, and tells how long that took.
func hits(b *testing.B, by func(*larder.Cache) doer, s store.Store) func() time.Duration {
	c := &larder.Cache{Store: s, Base: api{body: make([]byte, 1<<10), header: http.Header{
		"Date": {time.Now().UTC().Format(http.TimeFormat)}, "Content-Type": {"application/json; charset=utf-8"},
		"Content-Length": {"1024"}, "Cache-Control": {"public, max-age=3600"}, "Etag": {`"0123456789abcdef"`},
		"Last-Modified": {"Mon, 02 Jan 2023 15:04:05 GMT"}, "Server": {"nginx"}, "X-Request-Id": {"0123-4567"},
		"X-Ratelimit-Limit": {"5000"}, "X-Ratelimit-Remaining": {"4999"}, "Strict-Transport-Security": {"max-age=31536000"},
		"X-Content-Type-Options": {"nosniff"},
	}}}
	do := by(c)
	req, err := http.NewRequest("GET", "http://api.example.com/v1/things?page=2&size=50", nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if n := c.Stats().Misses; n != 1 {
			b.Errorf("%d misses, want 1", n)
		}
	})
	return func() time.Duration {
		began := time.Now()
		for range turn {
			resp, err := do(req)
			if err != nil {
				b.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		return time.Since(began)
	}
}

// api answers every request with the same fresh response.
type api struct {
	header http.Header
	body   []byte
}

func (a api) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{Status: "200 OK", StatusCode: 200, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.header.Clone(), Body: io.NopCloser(bytes.NewReader(a.body)), ContentLength: int64(len(a.body)), Request: req}, nil
}
