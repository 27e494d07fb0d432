package integration

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/disk"
	"github.com/larder-go/larder/store/memory"
	"github.com/larder-go/larder/store/sqlite"
)

var soak = flag.Duration("soak", 3*time.Second, "how long TestSoak goes on, on each store")

const (
	soakCallers = 200
	soakURLs    = 10_000
	soakLimit   = 16 << 20 // of the stores that have one; all pages are 100 MB
	soakSamples = 40
)

func init() { children["soak"] = soakChild }

// soaked is what a process saw of itself while it soaked.
type soaked struct {
	Requests, Hits, Stored, StoreFailures int64
	Samples                               []sample
	Before, After                         sample // the cache was made, and has ended
	Wrong                                 []string
}

type sample struct {
	Heap        uint64 // in use after a collection
	Goroutines  int
	Descriptors int
	Records     int
	Bytes       int64 // of the store
}

// TestSoak lets 200 callers ask for 10,000 URLs, some far more often than others, for as long as -soak says: when it
// has warmed up, nothing grows, what is stored stays within its limit, and in the end nothing is left.
func TestSoak(t *testing.T) {
	for _, kind := range []string{"memory", "disk", "sqlite", "redis", "mongodb", "dynamodb"} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			needServer(t, kind, dir)
			var s soaked
			if err := runChild(t, &s, nil, "soak", kind, dir, soak.String()); err != nil {
				t.Fatal(err)
			}
			for _, wrong := range s.Wrong {
				t.Error(wrong)
			}
			early, late := middle(s.Samples[soakSamples/4:soakSamples/2]), middle(s.Samples[soakSamples*3/4:])
			t.Logf("%v: %d requests, %d hits, %d stored, %d store failures; heap %d → %d KiB, goroutines %d → %d, descriptors %d → %d; %d records, %d KiB; left %d, %d", *soak,
				s.Requests, s.Hits, s.Stored, s.StoreFailures, early.Heap>>10, late.Heap>>10, early.Goroutines, late.Goroutines, early.Descriptors, late.Descriptors,
				late.Records, late.Bytes>>10, s.After.Goroutines-s.Before.Goroutines, s.After.Descriptors-s.Before.Descriptors)
			if local := servers[kind] == ""; s.Requests == 0 || local && (s.Hits == 0 || s.Stored == 0) { // a slow server may be left alone for seconds
				t.Errorf("%d requests, %d hits, %d stored: nothing was tested", s.Requests, s.Hits, s.Stored)
			}
			// What callers leave is finished behind them, in waves where the store is far away: 512 bodies at most.
			if late.Heap > early.Heap*5/4+16<<20 || late.Goroutines > early.Goroutines*5/4+20*soakCallers || late.Descriptors > early.Descriptors*5/4+soakCallers {
				t.Errorf("it grows: %+v, and later %+v", early, late)
			}
			if s.After.Goroutines > s.Before.Goroutines || s.After.Descriptors > s.Before.Descriptors {
				t.Errorf("%+v is left of %+v", s.After, s.Before)
			}
		})
	}
}

// middle returns a sample of the medians.
func middle(samples []sample) (m sample) {
	of := func(value func(sample) int64) int64 {
		values := make([]int64, len(samples))
		for i, s := range samples {
			values[i] = value(s)
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return sample{
		Heap:       uint64(of(func(s sample) int64 { return int64(s.Heap) })),
		Goroutines: int(of(func(s sample) int64 { return int64(s.Goroutines) })), Descriptors: int(of(func(s sample) int64 { return int64(s.Descriptors) })),
		Records: int(of(func(s sample) int64 { return int64(s.Records) })), Bytes: of(func(s sample) int64 { return s.Bytes }),
	}
}

// openLimited opens a store that has a limit of its own with this one, and any other as openStore does.
func openLimited(kind, dir string, limit int64) (s closer, limited bool, err error) {
	switch kind {
	case "memory":
		return memoryStore{&memory.Store{MaxBytes: limit}}, true, nil
	case "disk":
		s, err = disk.Open(dir+"/cache", &disk.Options{MaxBytes: limit})
		return s, true, err
	case "sqlite":
		s, err = sqlite.Open(dir+"/cache.db", &sqlite.Options{MaxBytes: limit})
		return s, true, err
	}
	s, err = openStore(kind, dir)
	return s, false, err
}

// memoryStore is one with nothing to close.
type memoryStore struct{ *memory.Store }

func (memoryStore) Close() error { return nil }

// pageAt is what the origin says to a path at a version. Its length is up to the path.
func pageAt(path, version string) string {
	n, _ := strconv.Atoi(strings.TrimPrefix(path, "/"))
	unit := path + " " + version + "\n"
	return strings.Repeat(unit, 1+n%20_000/len(unit))
}

// soakOrigin is asked in the same process. A page has another version each second.
type soakOrigin struct{}

func (soakOrigin) RoundTrip(r *http.Request) (*http.Response, error) {
	now := time.Now()
	version := strconv.FormatInt(now.Unix(), 10)
	h := http.Header{"Date": {now.UTC().Format(http.TimeFormat)}, "Cache-Control": {"max-age=" + strconv.Itoa(len(r.URL.Path)%3)}, "Etag": {`"` + version + `"`}, "X-Version": {version}}
	resp := &http.Response{StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h, Request: r}
	if r.Header.Get("If-None-Match") == h.Get("Etag") {
		resp.StatusCode, resp.Body = http.StatusNotModified, http.NoBody
		return resp, nil
	}
	page := pageAt(r.URL.Path, version)
	resp.ContentLength, resp.Body = int64(len(page)), io.NopCloser(strings.NewReader(page))
	return resp, nil
}

func soakChild(args []string) (any, error) {
	kind, dir := args[0], args[1]
	length, err := time.ParseDuration(args[2])
	if err != nil {
		return nil, err
	}
	out := new(soaked)
	out.Before = look(nil)
	s, limited, err := openLimited(kind, dir, soakLimit)
	if err != nil {
		return nil, err
	}
	cache := &larder.Cache{Store: s, Base: soakOrigin{}}
	var mu sync.Mutex
	wrong := func(format string, a ...any) {
		mu.Lock()
		defer mu.Unlock()
		if len(out.Wrong) < 10 {
			out.Wrong = append(out.Wrong, fmt.Sprintf(format, a...))
		}
	}
	var stop atomic.Bool
	var callers sync.WaitGroup
	for i := range soakCallers {
		callers.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			urls := rand.NewZipf(random, 1.1, 1, soakURLs-1)
			for !stop.Load() {
				if err := askForPage(cache, fmt.Sprintf("/%d", urls.Uint64()), random.IntN(20) == 0); err != nil {
					wrong("%v", err)
				}
			}
		})
	}
	for range soakSamples {
		<-time.After(length / soakSamples)
		looked := store.Store(s)
		if !limited {
			looked = nil // to count what is in a database takes longer than all else
		}
		now := look(looked)
		out.Samples = append(out.Samples, now)
		if limited && now.Bytes > soakLimit {
			wrong("%d bytes are stored, the limit is %d", now.Bytes, int64(soakLimit))
		}
		if now.Records > soakURLs {
			wrong("%d records of %d URLs", now.Records, soakURLs)
		}
	}
	stop.Store(true)
	callers.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := cache.Close(ctx); err != nil {
		wrong("work goes on in the background: %v", err)
	}
	if limited {
		if last := look(s); last.Bytes > soakLimit {
			wrong("%d bytes are stored in the end, the limit is %d", last.Bytes, soakLimit)
		}
	}
	if err := s.Close(); err != nil {
		wrong("close the store: %v", err)
	}
	for range 100 { // what ends by itself has ended within a second
		if out.After = look(nil); out.After.Goroutines <= out.Before.Goroutines && out.After.Descriptors <= out.Before.Descriptors {
			break
		}
		<-time.After(20 * time.Millisecond)
	}
	counts := cache.Stats()
	out.Requests, out.Hits, out.Stored, out.StoreFailures = counts.Requests, counts.Hits, counts.Stored, counts.StoreFailures
	return out, nil
}

// askForPage gets a page, and reads it to its end or leaves it early.
func askForPage(cache *larder.Cache, path string, leave bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://soak.example"+path, nil)
	if err != nil {
		return err
	}
	resp, err := cache.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer resp.Body.Close()
	if leave {
		return nil
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if want := pageAt(path, resp.Header.Get("X-Version")); string(body) != want {
		return fmt.Errorf("%s at %s: %d bytes that are not those of the origin, want %d", path, resp.Header.Get("X-Version"), len(body), len(want))
	}
	return nil
}

// look takes a sample of the process, and of s unless it is nil.
func look(s store.Store) (now sample) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	now.Heap, now.Goroutines = m.HeapInuse, runtime.NumGoroutine()
	if files, err := os.ReadDir("/proc/self/fd"); err == nil {
		now.Descriptors = len(files)
	}
	if s != nil {
		if sizer, ok := store.As[store.Sizer](s); ok {
			now.Records, now.Bytes, _ = sizer.Size(context.Background())
		}
	}
	return now
}

// TestLimitAfterAHundredTimesAsMuch stores a hundred times what a store takes, validates each page once, and looks at
// it all the while.
func TestLimitAfterAHundredTimesAsMuch(t *testing.T) {
	const limit = 256 << 10
	for _, kind := range []string{"memory", "disk", "sqlite"} {
		t.Run(kind, func(t *testing.T) {
			s, _, err := openLimited(kind, t.TempDir(), limit)
			if err != nil {
				t.Fatal(err)
			}
			closeAtEnd(t, s)
			cache := newCache(t, s)
			cache.Base = soakOrigin{}
			sizer, _ := store.As[store.Sizer](s)
			var stored int64
			for n := 0; stored < 100*limit; n++ {
				path := fmt.Sprintf("/%d", 15_000+n%5_000+n/5_000*20_000) // of 15 to 20 KB each
				for range 2 {
					if err := askForPage(cache, path, false); err != nil {
						t.Fatal(err)
					}
				}
				stored += int64(len(pageAt(path, "1234567890")))
				if n%10 == 0 {
					if records, size, err := sizer.Size(t.Context()); err != nil || size > limit || records > limit/15_000 {
						t.Fatalf("after %d pages %d records with %d bytes, want %d at most; %v", n+1, records, size, limit, err)
					}
				}
			}
			if counts := cache.Stats(); counts.StoreFailures > 0 || counts.Updated == 0 {
				t.Errorf("%+v", counts)
			}
		})
	}
}
