package proxy_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// changing is an origin whose resources get a new version by each unsafe request. What it answers says which one it is
// of, in X-Version and in each word of the body.
type changing [8]atomic.Int64

// directives are what the resources say of themselves, by turns; the odd ones have variants as well.
var directives = [...]string{"max-age=60", "max-age=60", "max-age=0, stale-while-revalidate=60", "max-age=0, stale-while-revalidate=60", "no-cache"}

func (c *changing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	linger := func() {
		for range rand.IntN(50) * rand.IntN(50) {
			runtime.Gosched()
		}
	}
	i, _ := strconv.Atoi(r.URL.Path[1:])
	linger()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		version := c[i].Add(1)
		linger()
		w.Header().Set("X-Version", fmt.Sprint(version))
		return
	}
	version := c[i].Load()
	linger()
	h := w.Header()
	h.Set("X-Version", fmt.Sprint(version))
	h.Set("Cache-Control", directives[i%len(directives)])
	h.Set("ETag", fmt.Sprintf(`"%d%s"`, version, r.Header.Get("Accept-Language")))
	if i%2 == 1 {
		h.Set("Vary", "Accept-Language")
	}
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(words(version, 1000)))
}

func words(version int64, n int) string { return strings.Repeat(fmt.Sprintf("%9d\n", version), n) }

// TestChangesAreSeen shows that whoever asks once a change has been answered gets what it has changed, or something
// later, and never parts of two versions: with many clients, over HTTP/1.1 and HTTP/2, with variants, HEAD, parts and
// refreshes in the background.
func TestChangesAreSeen(t *testing.T) {
	origin := new(changing)
	p := run(t, serve(t, origin.ServeHTTP))
	clients := [...]*http.Client{p.client(false), p.client(true)}
	var answered changing // the versions of which somebody knows
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 150 {
				i, c := rand.IntN(len(answered)), clients[rand.IntN(len(clients))]
				path := fmt.Sprint("/", i)
				if rand.IntN(6) == 0 {
					resp, _ := p.do(c, [...]string{"PUT", "POST", "DELETE"}[rand.IntN(3)], path, strings.NewReader("x"))
					version := versionOf(resp)
					for known := answered[i].Load(); known < version && !answered[i].CompareAndSwap(known, version); {
						known = answered[i].Load()
					}
					continue
				}
				want := answered[i].Load()
				method, fields := "GET", []string{"Accept-Language: " + [...]string{"de", "en"}[rand.IntN(2)]}
				switch rand.IntN(5) {
				case 0:
					method = "HEAD"
				case 1:
					fields = append(fields, "Range: bytes=100-")
				}
				resp, body := p.do(c, method, path, nil, fields...)
				version := versionOf(resp)
				if version < want || body != words(version, len(body)/10) {
					t.Errorf("%s %s %q brings version %d, want %d: %.30q, %v", method, path, fields, version, want, body, resp.Header)
				}
			}
		})
	}
	all.Wait()
}

func versionOf(resp *http.Response) int64 {
	version, _ := strconv.ParseInt(resp.Header.Get("X-Version"), 10, 64)
	return version
}
