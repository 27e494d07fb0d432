package rfc9111_test

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/larder-go/larder/rfc9111"
)

// A response is stored, served while it is fresh, and validated from then on.
func ExamplePolicy_Reuse() {
	var cache rfc9111.Policy // a private one
	noon := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	req := &rfc9111.Request{Method: http.MethodGet, Header: http.Header{}}
	resp := rfc9111.Parse(rfc9111.Response{
		Status:    http.StatusOK,
		Header:    http.Header{"Cache-Control": {"max-age=60"}, "Etag": {`"v1"`}},
		Requested: noon,
		Received:  noon,
	})
	stored := []*rfc9111.Response{resp}

	ok, why := cache.Storable(req, resp)
	fmt.Println(ok, why)
	for _, after := range []time.Duration{30 * time.Second, 90 * time.Second} {
		v := cache.Reuse(req, stored, noon.Add(after))
		fmt.Printf("%v: %v, since it is %v (%s)\n", v.Age, v.Action, v.Reason, v.Reason.Section())
	}
	fmt.Println(rfc9111.Conditions(stored, 0))
	// Output:
	// true may be stored
	// 30s: serve, since it is fresh (RFC 9111 §4.2)
	// 1m30s: validate, since it is stale (RFC 9111 §4.2.4)
	// map[If-None-Match:["v1"]]
}

// The origin said 304: the stored response has its new freshness, and keeps what describes its content.
func ExampleFreshen() {
	stored := http.Header{"Cache-Control": {"max-age=60"}, "Content-Length": {"1024"}, "Age": {"30"}}
	notModified := http.Header{"Cache-Control": {"max-age=120"}, "Content-Length": {"0"}}
	fmt.Println(rfc9111.Freshen(stored, notModified))
	// Output:
	// map[Cache-Control:[max-age=120] Content-Length:[1024]]
}

func ExampleSelecting() {
	resp := http.Header{"Vary": {"Accept-Language"}}
	selecting, _ := rfc9111.Selecting(resp, http.Header{"Accept-Language": {"en, de"}})
	fmt.Println(rfc9111.Selects(selecting, http.Header{"Accept-Language": {"de,en"}}))
	fmt.Println(rfc9111.Selects(selecting, http.Header{"Accept-Language": {"fr"}}))
	fmt.Println(rfc9111.Selects(selecting, http.Header{}))
	// Output:
	// true
	// false
	// false
}

func ExampleInvalidates() {
	u, _ := url.Parse("https://example.com/articles")
	req := &rfc9111.Request{Method: http.MethodPost, URL: u}
	for _, s := range rfc9111.Invalidates(req, http.StatusCreated, http.Header{"Location": {"/articles/7"}}) {
		fmt.Println(s)
	}
	// Output:
	// https://example.com/articles
	// https://example.com/articles/7
}

func ExampleRanges() {
	resp := rfc9111.Parse(rfc9111.Response{Status: http.StatusOK})
	fmt.Println(rfc9111.Ranges(http.Header{"Range": {"bytes=0-99, -100"}}, resp, 1000))
	fmt.Println(rfc9111.Ranges(http.Header{"Range": {"bytes=5000-"}}, resp, 1000))
	// Output:
	// [{0 100} {900 100}] 206
	// [] 416
}
