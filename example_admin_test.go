package larder_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

// filled returns a cache in which the given paths of an origin are stored, and the origin's URL.
func filled(paths ...string) (*larder.Cache, string) {
	origin := newOrigin("Cache-Control", "max-age=60")
	defer origin.Close()
	cache := &larder.Cache{}
	for _, path := range paths {
		resp, err := cache.Client().Get(origin.URL + path)
		if err != nil {
			panic(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	return cache, origin.URL
}

func request(url string) *http.Request {
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		panic(err)
	}
	return req
}

func ExampleCache_Entries() {
	ctx := context.Background()
	cache, origin := filled("/a", "/b", "/c/1")
	var paths []string
	for r, err := range cache.Entries(ctx, store.Query{}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		paths = append(paths, strings.TrimPrefix(r.URL, origin))
	}
	slices.Sort(paths)
	fmt.Println(paths)
	// Output: [/a /b /c/1]
}

func ExampleCache_Purge() {
	ctx := context.Background()
	cache, origin := filled("/a", "/b", "/c/1", "/c/2")
	n, err := cache.Purge(ctx, store.Query{Prefix: origin + "/c/"})
	fmt.Println(n, err)
	n, err = cache.Purge(ctx, store.Query{}) // all there is
	fmt.Println(n, err)
	// Output:
	// 2 <nil>
	// 2 <nil>
}

func ExampleMatchURL() {
	ctx := context.Background()
	cache, _ := filled("/a", "/users/1/avatar", "/users/2/avatar", "/users/2")
	avatars, err := larder.MatchURL("**/users/*/avatar")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(cache.Purge(ctx, store.Query{Filter: avatars}))
	// Output: 2 <nil>
}

func ExampleCache_Delete() {
	ctx := context.Background()
	cache, origin := filled("/a", "/b")
	if err := cache.Delete(ctx, request(origin+"/a")); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(cache.Has(ctx, request(origin+"/a")))
	fmt.Println(cache.Has(ctx, request(origin+"/b")))
	// Output:
	// false <nil>
	// true <nil>
}

func ExampleCache_Has() {
	ctx := context.Background()
	cache, origin := filled("/a")
	fmt.Println(cache.Has(ctx, request(origin+"/a")))
	fmt.Println(cache.Has(ctx, request(origin+"/a?b")))
	// Output:
	// true <nil>
	// false <nil>
}

func ExampleCache_Lookup() {
	ctx := context.Background()
	cache, origin := filled("/a")
	records, err := cache.Lookup(ctx, request(origin+"/a"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range records {
		fmt.Println(r.Status, r.Header.Get("Cache-Control"), r.Size)
	}
	// Output: 200 max-age=60 4
}

func ExampleCache_Body() {
	ctx := context.Background()
	cache, _ := filled("/a")
	for r, err := range cache.Entries(ctx, store.Query{}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		body, err := cache.Body(ctx, r)
		if err != nil {
			fmt.Println(err)
			return
		}
		b, err := io.ReadAll(body)
		body.Close()
		fmt.Println(string(b), err)
	}
	// Output: 1 /a <nil>
}

func ExampleCache_Explain() {
	ctx := context.Background()
	cache, origin := filled("/a")
	for _, path := range []string{"/a", "/b"} {
		e, err := cache.Explain(ctx, request(origin+path))
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Verdict.Action, "since:", e.Verdict.Reason, "–", e.Verdict.Reason.Section())
	}
	// Output:
	// serve since: fresh – RFC 9111 §4.2
	// forward since: nothing is stored – RFC 9111 §4
}

func ExampleCache_NormalURL() {
	cache := &larder.Cache{Rules: []larder.Rule{{SortQuery: true, Redact: []string{"token"}}}}
	fmt.Println(cache.NormalURL("HTTPS://API.example.com:443/a/../%7Euser?token=secret&b=2&a=1#top"))
	// Output: https://api.example.com/~user?a=1&b=2&token=REDACTED <nil>
}

func ExampleCache_Sweep() {
	ctx := context.Background()
	cache, _ := filled("/a", "/b")
	fmt.Println(cache.Sweep(ctx))
	cache.Now = func() time.Time { return time.Now().AddDate(0, 1, 0) } // long after KeepStale
	fmt.Println(cache.Sweep(ctx))
	// Output:
	// 0 <nil>
	// 2 <nil>
}

func ExampleCache_Size() {
	cache, _ := filled("/a", "/b")
	records, bytes, err := cache.Size(context.Background())
	fmt.Println(records, bytes > 0, err)
	// Output: 2 true <nil>
}

// Close waits for what is stored or refreshed for nobody any more; then the store can be closed.
func ExampleCache_Close() {
	cache, _ := filled("/a")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	fmt.Println(cache.Close(ctx))
	// Output: <nil>
}

func ExampleExplanation_Steps() {
	ctx := context.Background()
	cache, origin := filled("/a")
	e, err := cache.Explain(ctx, request(origin+"/a"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range e.Steps() {
		fmt.Printf("%s %s [%s]\n", s.Question, s.Answer, s.Section)
	}
	// Output:
	// which rule applies? none: the standard decides []
	// does the cache take part? yes: responses to GET may be stored [RFC 9111 §3]
	// is anything stored under its key? yes: 1 [RFC 9111 §4]
	// does one of them match the request? yes [RFC 9111 §4.1]
	// may it be used without validation? yes: neither the response nor the request says no-cache [RFC 9111 §5.2]
	// is it fresh? yes, its age is 0s, its lifetime 1m0s: fresh [RFC 9111 §4.2]
	// what then? it is the answer []
}
