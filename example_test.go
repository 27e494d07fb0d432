package larder_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store/disk"
)

// newOrigin starts a server that counts its answers: each is "NUMBER PATH".
func newOrigin(header ...string) *httptest.Server {
	n := 0
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Add(header[i], header[i+1])
		}
		n++
		fmt.Fprintf(w, "%d %s", n, r.URL.Path)
	}))
}

// get prints how the cache answered, and with what.
func get(ctx context.Context, client *http.Client, url string) {
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	show(client.Do(req))
}

func show(resp *http.Response, err error) {
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%v %d %q\n", larder.Info(resp).Outcome, resp.StatusCode, body)
}

// A cache in memory that goes by what the origin says.
func Example() {
	origin := newOrigin("Cache-Control", "max-age=60")
	defer origin.Close()

	cache := &larder.Cache{}
	client := cache.Client()
	for range 2 {
		resp, err := client.Get(origin.URL + "/things")
		if err != nil {
			fmt.Println(err)
			return
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Println(string(body), larder.Info(resp).Outcome)
	}
	// Output:
	// 1 /things miss
	// 1 /things hit
}

// A cache in a directory outlives the program, and the origin.
func ExampleCache_store() {
	origin := newOrigin("Cache-Control", "max-age=60")
	dir, err := os.MkdirTemp("", "larder")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	for range 2 { // two runs of a program
		files, err := disk.Open(filepath.Join(dir, "cache"), nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		cache := &larder.Cache{Store: files}
		get(context.Background(), cache.Client(), origin.URL+"/things")
		cache.Close(context.Background())
		files.Close()
		origin.Close()
	}
	// Output:
	// miss 200 "1 /things"
	// hit 200 "1 /things"
}

// A cache beneath a client that has a transport, a timeout or a cookie jar of its own.
func ExampleCache_RoundTrip() {
	origin := newOrigin("Cache-Control", "max-age=60")
	defer origin.Close()

	client := &http.Client{
		Timeout:   10 * time.Second,
		Transport: &larder.Cache{Base: &http.Transport{MaxConnsPerHost: 4}},
	}
	get(context.Background(), client, origin.URL)
	get(context.Background(), client, origin.URL)
	// Output:
	// miss 200 "1 /"
	// hit 200 "1 /"
}

func ExampleCache_Client() {
	origin := newOrigin("Cache-Control", "no-store")
	defer origin.Close()

	client := new(larder.Cache).Client()
	get(context.Background(), client, origin.URL)
	get(context.Background(), client, origin.URL)
	// Output:
	// miss 200 "1 /"
	// miss 200 "2 /"
}

// Rules say what the headers do not: the first that matches applies.
func ExampleRule() {
	origin := newOrigin()
	defer origin.Close()

	cache := &larder.Cache{Rules: []larder.Rule{
		{Match: "**/live/**", TTL: larder.Never},
		{Match: "**/search", TTL: time.Minute, Ignore: larder.Ignore{Query: []string{"utm_*"}}},
	}}
	for _, path := range []string{"/live/1", "/live/1", "/search?q=a&utm_source=mail", "/search?q=a"} {
		get(context.Background(), cache.Client(), origin.URL+path)
	}
	// Output:
	// bypassed 200 "1 /live/1"
	// bypassed 200 "2 /live/1"
	// miss 200 "3 /search"
	// hit 200 "3 /search"
}

// A search by POST is kept by what its body says: the order of JSON keys makes no difference.
func ExampleRule_methods() {
	origin := newOrigin()
	defer origin.Close()

	cache := &larder.Cache{Rules: []larder.Rule{{Methods: []string{"POST"}, TTL: time.Minute}}}
	for _, query := range []string{`{"q": "go", "page": 1}`, `{"page":1,"q":"go"}`, `{"page":2,"q":"go"}`} {
		show(cache.Client().Post(origin.URL+"/search", "application/json", strings.NewReader(query)))
	}
	// Output:
	// miss 200 "1 /search"
	// hit 200 "1 /search"
	// miss 200 "2 /search"
}

func ExampleRule_Check() {
	fmt.Println(larder.Rule{Match: "api.example.com/**", TTL: -time.Second}.Check())
	// Output: rule "api.example.com/**": TTL is -1s, want a positive duration, Forever or Never
}

// Everything keeps what no header asks to keep.
func ExampleEverything() {
	origin := newOrigin()
	defer origin.Close()

	cache := &larder.Cache{Rules: []larder.Rule{larder.Everything(time.Hour)}}
	get(context.Background(), cache.Client(), origin.URL+"/?a=1&b=2")
	get(context.Background(), cache.Client(), origin.URL+"/?b=2&a=1")
	// Output:
	// miss 200 "1 /"
	// hit 200 "1 /"
}

func ExampleCache_SetRules() {
	origin := newOrigin()
	defer origin.Close()

	cache := &larder.Cache{}
	get(context.Background(), cache.Client(), origin.URL)
	if err := cache.SetRules(larder.Everything(time.Hour)); err != nil {
		fmt.Println(err)
	}
	get(context.Background(), cache.Client(), origin.URL)
	get(context.Background(), cache.Client(), origin.URL)
	fmt.Println(cache.SetRules(larder.Rule{Match: "ftp://example.com"}))
	// Output:
	// miss 200 "1 /"
	// miss 200 "2 /"
	// hit 200 "2 /"
	// URL pattern "ftp://example.com": scheme is "ftp", want http, https or *
}

// What one request wants is said by its context.
func ExampleWithMode() {
	origin := newOrigin()
	defer origin.Close()

	client := (&larder.Cache{Rules: []larder.Rule{larder.Everything(time.Hour)}}).Client()
	ctx := context.Background()
	get(larder.WithMode(ctx, larder.Offline), client, origin.URL)
	get(ctx, client, origin.URL)
	get(larder.WithMode(ctx, larder.Offline), client, origin.URL)
	get(larder.WithMode(ctx, larder.ForceRefresh), client, origin.URL)
	get(larder.WithMode(ctx, larder.Bypass), client, origin.URL)
	get(ctx, client, origin.URL)
	// Output:
	// refused 504 ""
	// miss 200 "1 /"
	// hit 200 "1 /"
	// miss 200 "2 /"
	// bypassed 200 "3 /"
	// hit 200 "2 /"
}

func ExampleWithTTL() {
	origin := newOrigin()
	defer origin.Close()

	client := new(larder.Cache).Client()
	get(larder.WithTTL(context.Background(), larder.Forever), client, origin.URL)
	get(context.Background(), client, origin.URL)
	// Output:
	// miss 200 "1 /"
	// hit 200 "1 /"
}

func ExampleWithExpiry() {
	origin := newOrigin()
	defer origin.Close()

	client := new(larder.Cache).Client()
	midnight := time.Now().Truncate(24 * time.Hour).Add(24 * time.Hour)
	get(larder.WithExpiry(context.Background(), midnight), client, origin.URL)
	get(context.Background(), client, origin.URL)
	// Output:
	// miss 200 "1 /"
	// hit 200 "1 /"
}

// Requests with different credentials never share a response, unless Partition says that they may.
func ExampleCredentials() {
	origin := newOrigin("Cache-Control", "max-age=60")
	defer origin.Close()

	perHost := &larder.Cache{Partition: func(r *http.Request) string { return "" }}
	for _, cache := range []*larder.Cache{{}, {Partition: larder.Credentials}, perHost} {
		for _, token := range []string{"alice", "bob"} {
			req, _ := http.NewRequest("GET", origin.URL, nil)
			req.Header.Set("Authorization", "Bearer "+token)
			show(cache.Client().Do(req))
		}
	}
	// Output:
	// miss 200 "1 /"
	// miss 200 "2 /"
	// miss 200 "3 /"
	// miss 200 "4 /"
	// miss 200 "5 /"
	// hit 200 "5 /"
}

func ExampleInfo() {
	origin := newOrigin("Cache-Control", "max-age=60")
	defer origin.Close()

	client := new(larder.Cache).Client()
	for range 2 {
		resp, err := client.Get(origin.URL)
		if err != nil {
			fmt.Println(err)
			return
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		d := larder.Info(resp)
		fmt.Printf("%v, because: %s (%s)\n", d.Outcome, d.Reason, d.Section)
	}
	// Output:
	// miss, because: nothing is stored (RFC 9111 §4)
	// hit, because: fresh (RFC 9111 §4.2)
}

func ExampleDecision_CacheStatus() {
	d := larder.Decision{Outcome: larder.Miss, Forwarded: "uri-miss", ForwardStatus: 200, Stored: true, Reason: "nothing is stored"}
	fmt.Println(d.CacheStatus("larder"))
	// Output: larder; fwd=uri-miss; fwd-status=200; stored; detail="nothing is stored"
}

func ExampleDecision_TTL() {
	fmt.Println(larder.Decision{Lifetime: time.Hour, Age: 20 * time.Minute}.TTL())
	// Output: 40m0s
}

func ExampleCache_observe() {
	origin := newOrigin("Cache-Control", "max-age=60")
	defer origin.Close()

	cache := &larder.Cache{
		Observe: func(e larder.Event) { fmt.Println("event:", e.Kind) },
		Logger:  slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	get(context.Background(), cache.Client(), origin.URL)
	// Output:
	// event: answered
	// event: stored
	// miss 200 "1 /"
}

func ExampleCache_Stats() {
	origin := newOrigin("Cache-Control", "max-age=60")
	defer origin.Close()

	cache := &larder.Cache{}
	for range 3 {
		get(context.Background(), cache.Client(), origin.URL)
	}
	s := cache.Stats()
	fmt.Println(s.Requests, "requests,", s.Misses, "miss,", s.Hits, "hits")
	// Output:
	// miss 200 "1 /"
	// hit 200 "1 /"
	// hit 200 "1 /"
	// 3 requests, 1 miss, 2 hits
}

// A fault of the origin while something stored may stand in for it, and one while there is nothing.
func ExampleRule_staleIfError() {
	origin := newOrigin("Cache-Control", "max-age=60")
	now := time.Now()
	cache := &larder.Cache{
		Rules: []larder.Rule{{StaleIfError: 24 * time.Hour}},
		Now:   func() time.Time { return now },
	}
	get(context.Background(), cache.Client(), origin.URL+"/a")
	origin.Close()
	now = now.Add(time.Hour)
	get(context.Background(), cache.Client(), origin.URL+"/a")
	_, err := cache.Client().Get(origin.URL + "/b")
	fmt.Println(err != nil, errors.Is(err, context.Canceled))
	// Output:
	// miss 200 "1 /a"
	// stale 200 "1 /a"
	// true false
}
