package rfc9111_test

import (
	"bytes"
	"crypto/sha256"
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

func ExamplePolicy_Storable() {
	req := &rfc9111.Request{Header: http.Header{"Authorization": {"Bearer abc"}}}
	for _, cc := range []string{"max-age=60", "public, max-age=60", "private, max-age=60", "no-store"} {
		resp := rfc9111.Parse(rfc9111.Response{Status: http.StatusOK, Header: http.Header{"Cache-Control": {cc}}, Received: time.Now()})
		ok, why := rfc9111.Policy{Shared: true}.Storable(req, resp)
		fmt.Printf("%s: %v, %v\n", cc, ok, why)
	}
	// Output:
	// max-age=60: false, the request has Authorization and the cache is shared
	// public, max-age=60: true, may be stored
	// private, max-age=60: false, the response is private and the cache shared
	// no-store: false, the response says no-store
}

func ExamplePolicy_StaleWindows() {
	for _, cc := range []string{"max-age=60, stale-while-revalidate=30, stale-if-error=3600", "max-age=60, stale-if-error=3600, must-revalidate"} {
		resp := rfc9111.Parse(rfc9111.Response{Status: http.StatusOK, Header: http.Header{"Cache-Control": {cc}}, Received: time.Now()})
		fmt.Println(rfc9111.Policy{}.StaleWindows(resp))
	}
	// Output:
	// 30s 1h0m0s
	// 0s 0s
}

// The origin can't be reached; may what is stored stand in?
func ExamplePolicy_StaleIfError() {
	var cache rfc9111.Policy
	noon := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	h := http.Header{"Cache-Control": {"max-age=60, stale-if-error=3600"}}
	resp := rfc9111.Parse(rfc9111.Response{Status: http.StatusOK, Header: h, Received: noon})
	fmt.Println(cache.StaleIfError(&rfc9111.Request{}, resp, noon.Add(30*time.Minute)))
	fmt.Println(cache.StaleIfError(&rfc9111.Request{}, resp, noon.Add(3*time.Hour)))
	fmt.Println(cache.UsableUntil(resp).Format(time.TimeOnly))
	// Output:
	// true
	// false
	// 13:01:00
}

func ExamplePolicy_StoredHeader() {
	received := http.Header{
		"Cache-Control": {`max-age=60, no-cache="Set-Cookie"`},
		"Connection":    {"close, X-Trace"},
		"Content-Type":  {"text/plain"},
		"Set-Cookie":    {"id=1"},
		"X-Trace":       {"7"},
	}
	fmt.Println(rfc9111.Policy{}.StoredHeader(received))
	// Output:
	// map[Cache-Control:[max-age=60, no-cache="Set-Cookie"] Content-Type:[text/plain]]
}

// Two variants are stored, and the request matches the first. The origin is asked about both, and says that the second
// is the one.
func ExampleFreshens() {
	variant := func(tag string) *rfc9111.Response {
		return rfc9111.Parse(rfc9111.Response{Status: http.StatusOK, Header: http.Header{"Etag": {tag}}})
	}
	stored := []*rfc9111.Response{variant(`"en"`), variant(`"de"`)}
	fmt.Println(rfc9111.Conditions(stored, 0))

	notModified := rfc9111.Parse(rfc9111.Response{Status: http.StatusNotModified, Header: http.Header{"Etag": {`"de"`}}})
	fmt.Println(rfc9111.Freshens(notModified, stored, 0))
	// Output:
	// map[If-None-Match:["en", "de"]]
	// [1]
}

// The origin said 304: the stored response has its new freshness, and keeps what describes its content.
func ExamplePolicy_Freshen() {
	stored := http.Header{"Cache-Control": {"max-age=60"}, "Content-Length": {"1024"}, "Age": {"30"}}
	notModified := http.Header{"Cache-Control": {"max-age=120"}, "Content-Length": {"0"}}
	fmt.Println(rfc9111.Policy{}.Freshen(stored, notModified))
	// Output:
	// map[Cache-Control:[max-age=120] Content-Length:[1024]]
}

// A HEAD went to the origin; its answer shows that the stored GET has changed.
func ExampleByHead() {
	stored := rfc9111.Parse(rfc9111.Response{Status: http.StatusOK, Header: http.Header{"Etag": {`"v1"`}}})
	head := rfc9111.Parse(rfc9111.Response{Method: http.MethodHead, Status: http.StatusOK, Header: http.Header{"Etag": {`"v2"`}}})
	fmt.Println(rfc9111.ByHead(stored, head) == rfc9111.HeadInvalidates)
	// Output:
	// true
}

// The caller has a copy of its own, and asks whether it still holds.
func ExampleNotModified() {
	resp := rfc9111.Parse(rfc9111.Response{Status: http.StatusOK, Header: http.Header{"Etag": {`W/"v2"`}}})
	fmt.Println(rfc9111.NotModified(http.Header{"If-None-Match": {`"v1", "v2"`}}, resp))
	fmt.Println(rfc9111.NotModified(http.Header{"If-None-Match": {`"v1"`}}, resp))
	// Output:
	// true
	// false
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

// How long a response is fresh, how long it may be of use, and how old it is. (s-maxage forbids shared caches to serve
// it stale.)
func ExamplePolicy_Lifetime() {
	noon := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	resp := rfc9111.Parse(rfc9111.Response{
		Status:   http.StatusOK,
		Header:   http.Header{"Cache-Control": {"max-age=60, s-maxage=600, stale-while-revalidate=30"}, "Age": {"10"}},
		Received: noon, Requested: noon,
	})
	for _, p := range []rfc9111.Policy{{}, {Shared: true}} {
		fmt.Println(p.Lifetime(resp), p.FreshUntil(resp).Format(time.TimeOnly), p.UsableUntil(resp).Format(time.TimeOnly))
	}
	fmt.Println(resp.Age(noon.Add(5 * time.Second)))
	// Output:
	// 1m0s 12:00:50 12:01:20
	// 10m0s 12:09:50 12:09:50
	// 15s
}

func ExampleHeuristicallyCacheable() {
	fmt.Println(rfc9111.HeuristicallyCacheable(http.StatusNotFound), rfc9111.HeuristicallyCacheable(http.StatusCreated))
	// Output: true false
}

// A targeted field stands in place of Cache-Control in the caches that it is for.
func ExamplePolicy_targeted() {
	h := http.Header{"Cache-Control": {"no-store"}, "Cdn-Cache-Control": {"max-age=600"}}
	for _, p := range []rfc9111.Policy{{Shared: true}, {Shared: true, Targeted: []string{rfc9111.CDNCacheControl}}} {
		resp := rfc9111.Parse(rfc9111.Response{Status: http.StatusOK, Header: h, Targeted: p.Targeted})
		fmt.Println(p.Storable(&rfc9111.Request{}, resp))
	}
	// Output:
	// false the response says no-store
	// true may be stored
}

func ExampleDigests() {
	content := []byte("hello")
	h := http.Header{"Content-Digest": {"sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:, md5=:XUFAKrxLKna5cZ2REBfFkg==:"}}
	for _, d := range rfc9111.Digests(http.MethodGet, http.StatusOK, h) {
		sum := sha256.Sum256(content)
		fmt.Println(d.Field, d.Algorithm, bytes.Equal(d.Sum, sum[:]))
	}
	// Output: Content-Digest sha-256 true
}
