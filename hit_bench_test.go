package larder

import (
	"bytes"
	"github.com/larder-go/larder/store"
	"io"
	"net/http"
	"testing"
	"time"
)

// oneOrigin answers everything with the same fresh response.
type oneOrigin struct {
	header http.Header
	body   []byte
}

func (o oneOrigin) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{Status: "200 OK", StatusCode: 200, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: o.header.Clone(), Body: io.NopCloser(bytes.NewReader(o.body)), ContentLength: int64(len(o.body)), Request: req}, nil
}

func apiHeader() http.Header {
	return http.Header{
		"Date": {time.Now().UTC().Format(http.TimeFormat)}, "Content-Type": {"application/json; charset=utf-8"},
		"Content-Length": {"1024"}, "Cache-Control": {"public, max-age=3600"}, "Etag": {`"0123456789abcdef"`},
		"Last-Modified": {"Mon, 02 Jan 2023 15:04:05 GMT"}, "Server": {"nginx"}, "X-Request-Id": {"0123-4567"},
		"X-Ratelimit-Limit": {"5000"}, "X-Ratelimit-Remaining": {"4999"}, "Strict-Transport-Security": {"max-age=31536000"},
		"X-Content-Type-Options": {"nosniff"},
	}
}

func BenchmarkRoundTripHit(b *testing.B) {
	c := &Cache{Base: oneOrigin{apiHeader(), make([]byte, 1024)}}
	req, _ := http.NewRequest("GET", "http://api.example.com/v1/things?page=2&size=50", nil)
	do := func() {
		resp, err := c.RoundTrip(req)
		if err != nil {
			b.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	do()
	b.ReportAllocs()
	for b.Loop() {
		do()
	}
	if c.Stats().Misses != 1 {
		b.Fatal(c.Stats())
	}
}

func BenchmarkHeaderClone(b *testing.B) {
	h := apiHeader()
	b.ReportAllocs()
	for b.Loop() {
		_ = h.Clone()
	}
}

func BenchmarkNewHeader(b *testing.B) {
	v := read(&store.Record{Head: store.Head{Header: apiHeader()}}, nil)
	b.ReportAllocs()
	for b.Loop() {
		_ = v.newHeader(time.Second)
	}
}

func BenchmarkStore(b *testing.B) {
	c := &Cache{Base: oneOrigin{apiHeader(), make([]byte, 1024)}}
	req, _ := http.NewRequest("GET", "http://api.example.com/v1/things?page=2&size=50", nil)
	req = req.WithContext(WithMode(req.Context(), ForceRefresh))
	b.ReportAllocs()
	for b.Loop() {
		resp, err := c.RoundTrip(req)
		if err != nil {
			b.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}
