package integration

import (
	"bytes"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

var duration = flag.Duration("duration", 2*time.Second, "how long the processes of TestProcessesShareAStore write")

const (
	processes = 2
	writers   = 8
	pages     = 60
)

// writersResult is what one process, or all together, saw.
type writersResult struct {
	Requests, Hits, Stored, Discarded, StoreFailures int64
	Faults                                           []string // what no caller should have seen
}

// TestProcessesShareAStore lets several processes read and write one store through caches of their own, in front of
// an origin whose pages change all the time. Every body tells what URL and what version it is.
func TestProcessesShareAStore(t *testing.T) {
	for _, kind := range []string{"sqlite", "disk", "redis", "dynamodb"} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			needServer(t, kind, dir)
			var asked atomic.Int64
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				changing(w, r, asked.Add(1))
			}))
			defer srv.Close()
			var results [processes]writersResult
			var wg sync.WaitGroup
			for i := range results {
				wg.Go(func() {
					if err := runChild(t, &results[i], nil, "writers", kind, dir, srv.URL, duration.String(), strconv.Itoa(i)); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			var all writersResult
			for _, r := range results {
				all.add(r)
			}
			t.Logf("%v: %d requests, %d hits, %d asked of the origin, %d stored, %d discarded, %d store failures",
				*duration, all.Requests, all.Hits, asked.Load(), all.Stored, all.Discarded, all.StoreFailures)
			for _, fault := range all.Faults {
				t.Error(fault)
			}
			if all.Hits == 0 || all.Stored == 0 {
				t.Errorf("%d hits, %d stored: nothing was tested", all.Hits, all.Stored)
			}
			s, err := openStore(kind, dir)
			if err != nil {
				t.Fatal(err)
			}
			closeAtEnd(t, s)
			cache := newCache(t, s)
			for n := range pages {
				if err := readChanging(cache, srv.URL, n, larder.PreferStored); err != nil {
					t.Errorf("afterwards: %v", err)
				}
			}
		})
	}
}

func (r *writersResult) add(o writersResult) {
	r.Requests += o.Requests
	r.Hits += o.Hits
	r.Stored += o.Stored
	r.Discarded += o.Discarded
	r.StoreFailures += o.StoreFailures
	r.Faults = append(r.Faults, o.Faults...)
}

// changing answers with a page that is another version after a while. Some are always stale and validate.
func changing(w http.ResponseWriter, r *http.Request, asked int64) {
	n, err := strconv.Atoi(r.URL.Path[1:])
	if err != nil {
		http.NotFound(w, r)
		return
	}
	version, variant := fmt.Sprint(asked/500), r.Header.Get("X-Variant")
	w.Header().Set("X-Version", version)
	w.Header().Set("ETag", strconv.Quote(version+variant))
	w.Header().Set("Vary", "X-Variant")
	w.Header().Set("Cache-Control", []string{"max-age=1", "no-cache", "max-age=1, stale-while-revalidate=1"}[n%3])
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(changingBody(r.URL.Path, variant, version)))
}

// changingBody is what a page says: for one path, variant and version always the same, for two never.
func changingBody(path, variant, version string) []byte {
	random := rand.NewChaCha8(sha256.Sum256([]byte(path + " " + variant + " " + version)))
	body := make([]byte, []int{100, 1000, 10_000, 40_000, 100_000, 300_000}[random.Uint64()%6]+int(random.Uint64()%1000))
	random.Read(body)
	return body
}

// inProcess is an origin that needs no socket.
type inProcess http.HandlerFunc

func (h inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h(w, r)
	return w.Result(), nil
}

func writersChild(args []string) (any, error) {
	kind, dir, url := args[0], args[1], args[2]
	length, err := time.ParseDuration(args[3])
	if err != nil {
		return nil, err
	}
	seed, err := strconv.ParseUint(args[4], 10, 64)
	if err != nil {
		return nil, err
	}
	s, err := openStore(kind, dir)
	if err != nil {
		return nil, err
	}
	cache := &larder.Cache{Store: s}
	var mu sync.Mutex
	var result writersResult
	var wg sync.WaitGroup
	end := time.Now().Add(length)
	for i := range writers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			for time.Now().Before(end) {
				if err := askSomething(cache, url, random); err != nil {
					mu.Lock()
					result.Faults = append(result.Faults, err.Error())
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if err := cache.Close(context.Background()); err != nil {
		return nil, err
	}
	stats := cache.Stats()
	result.Requests, result.Hits = stats.Requests, stats.Hits+stats.Stale+stats.Revalidated
	result.Stored, result.Discarded, result.StoreFailures = stats.Stored, stats.Discarded, stats.StoreFailures
	return result, s.Close()
}

// askSomething makes one request of many kinds, or now and then removes something, and checks what comes.
func askSomething(cache *larder.Cache, url string, random *rand.Rand) error {
	switch k := random.IntN(100); {
	case k < 96:
		return requestSomething(cache, url, random)
	case k < 98:
		req, err := http.NewRequest(http.MethodGet, fmt.Sprint(url, "/", random.IntN(pages)), nil)
		if err == nil {
			err = cache.Delete(req.Context(), req)
		}
		return err
	case k < 99:
		_, err := cache.Purge(context.Background(), store.Query{Stale: time.Now(), Limit: 3})
		return err
	default:
		_, err := cache.Sweep(context.Background())
		return err
	}
}

// requestSomething makes one request of many kinds, and checks what comes.
func requestSomething(cache *larder.Cache, url string, random *rand.Rand) error {
	n, variant := random.IntN(pages), []string{"", "", "one", "two"}[random.IntN(4)]
	ask := func(m larder.Mode, header ...string) error {
		return readChanging(cache, url, n, m, append(header, "X-Variant", variant)...)
	}
	switch k := random.IntN(96); {
	case k < 70:
		return ask(larder.Standard)
	case k < 78:
		return ask(larder.ForceRefresh)
	case k < 86:
		return ask(larder.Refresh)
	default:
		return ask(larder.Standard, "Range", "bytes=10-59")
	}
}

// readChanging asks for a page and checks that it is what the origin says of that URL, variant and version.
func readChanging(cache *larder.Cache, url string, n int, mode larder.Mode, header ...string) error {
	req, err := http.NewRequestWithContext(larder.WithMode(context.Background(), mode), http.MethodGet, fmt.Sprint(url, "/", n), nil)
	if err != nil {
		return err
	}
	for h := header; len(h) > 0; h = h[2:] {
		req.Header.Set(h[0], h[1])
	}
	resp, err := cache.Client().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	d := larder.Info(resp)
	want := changingBody(req.URL.Path, req.Header.Get("X-Variant"), resp.Header.Get("X-Version"))
	if resp.StatusCode == http.StatusPartialContent {
		want = want[10:60]
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent {
		return fmt.Errorf("%v %s: status %s", d.Outcome, req.URL, resp.Status)
	}
	return sameBytes(resp.Body, want, fmt.Sprintf("%v %s, version %s", d.Outcome, req.URL, resp.Header.Get("X-Version")))
}

// sameBytes reads all of body and compares it. The error is a brokenOff if what was read before it is right.
func sameBytes(body io.Reader, want []byte, what string) error {
	got, err := io.ReadAll(body)
	switch {
	case !bytes.HasPrefix(want, got) || err == nil && len(got) != len(want):
		return fmt.Errorf("%s: %d wrong bytes, want %d; %v", what, len(got), len(want), err)
	case err != nil:
		return brokenOff{fmt.Errorf("%s: %d of %d bytes read: %w", what, len(got), len(want), err)}
	}
	return nil
}

// brokenOff is the fault of a body that ended too early, with an error.
type brokenOff struct{ error }

func (b brokenOff) Unwrap() error { return b.error }
