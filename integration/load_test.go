//go:build linux

package integration

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mccutchen/go-httpbin/v2/httpbin"
)

var (
	load = flag.Duration("load", 3*time.Second, "how long TestLoad asks; from 30s on it must keep up with -rate")
	rate = flag.Int("rate", 1000, "how many requests TestLoad makes in a second")
)

// maxRSS is what larder serve may take under load, in bytes.
const maxRSS = 256 << 20

// TestLoad asks for a mixture of everything at a steady rate, through larder serve in front of httpbin, and checks
// every answer.
func TestLoad(t *testing.T) {
	bin := httpbin.New()
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("vary") {
			w.Header().Set("Vary", "Accept-Language")
		}
		bin.ServeHTTP(w, r)
	}))
	defer origin.Close()
	p := larderServe(t, "--origin", origin.URL, "--store", "disk:"+t.TempDir()+"?max-bytes=64MiB")
	l := &loader{base: p.url, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
		Timeout: 20 * time.Second}, outcomes: make(map[string]int)}
	defer l.client.CloseIdleConnections()
	for _, path := range []string{"/bytes/4096?seed=1", "/bytes/200000?seed=2", "/stream-bytes/50000?seed=3", "/range/20000"} {
		resp, err := http.Get(origin.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		l.bodies = append(l.bodies, page{path, body})
	}

	most := watchMemory(p.cmd.Process.Pid)
	took := l.run(*load, *rate)
	rss := most()

	slices.Sort(l.times)
	answered := len(l.times)
	t.Logf("%d requests in %.1f s: %.0f a second; half within %s, 99%% within %s; larder serve took at most %d MiB of memory; %v", answered, took.Seconds(),
		float64(answered)/took.Seconds(), l.times[answered/2].Round(10*time.Microsecond), l.times[answered*99/100].Round(10*time.Microsecond), rss>>20, l.outcomes)
	for _, fault := range l.faults {
		t.Error(fault)
	}
	if n := l.wrong.Load(); n > 0 {
		t.Errorf("%d answers are wrong", n)
	}
	if hits := l.outcomes["hit"]; hits+110 < answered/4 { // five in twelve ask for one of a hundred pages and ten variants
		t.Errorf("only %d of %d answers are hits", hits, answered)
	}
	if rss == 0 || rss > maxRSS {
		t.Errorf("larder serve took %d MiB of memory, want at most %d", rss>>20, maxRSS>>20)
	}
	if got := float64(answered) / took.Seconds(); *load >= 30*time.Second && got < 0.98*float64(*rate) {
		t.Errorf("%.0f requests a second, want %d", got, *rate)
	}
}

// watchMemory watches how much memory a process holds, until most is asked for the most it was.
func watchMemory(pid int) (most func() int64) {
	done, rss := make(chan struct{}), int64(0)
	var watching sync.WaitGroup
	watching.Go(func() {
		every := time.NewTicker(100 * time.Millisecond)
		defer every.Stop()
		for {
			rss = max(rss, resident(pid))
			select {
			case <-done:
				return
			case <-every.C:
			}
		}
	})
	return func() int64 {
		close(done)
		watching.Wait()
		return rss
	}
}

// resident returns how much memory a process holds, in bytes.
func resident(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "\nVmRSS:")
	kilobytes, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, _ := strconv.ParseInt(kilobytes, 10, 64)
	return n << 10
}

type page struct {
	path string
	body []byte
}

// loader makes requests and checks what comes back.
type loader struct {
	base   string
	client *http.Client
	bodies []page // always the same, and not fresh
	wrong  atomic.Int64

	mu       sync.Mutex
	times    []time.Duration
	outcomes map[string]int
	faults   []error
}

// run makes so many requests a second, and returns how long it took until the last one was answered.
func (l *loader) run(during time.Duration, perSecond int) time.Duration {
	ticks := make(chan int, perSecond)
	var workers sync.WaitGroup
	for range 64 {
		workers.Go(func() {
			for n := range ticks {
				l.one(n)
			}
		})
	}
	every := time.NewTicker(5 * time.Millisecond)
	defer every.Stop()
	begun := time.Now()
	for n := 0; time.Since(begun) < during; <-every.C {
		for due := int(time.Since(begun).Seconds() * float64(perSecond)); n < due; n++ {
			ticks <- n
		}
	}
	close(ticks)
	workers.Wait()
	return time.Since(begun)
}

func (l *loader) one(n int) {
	kinds := []func(*loader, int) (string, error){
		(*loader).hit, (*loader).hit, (*loader).hit, (*loader).hit, (*loader).miss, (*loader).plain, (*loader).post, (*loader).condition,
		(*loader).part, (*loader).variant, (*loader).user, (*loader).missing,
	}
	begun := time.Now()
	outcome, err := kinds[n%len(kinds)](l, n)
	took := time.Since(begun)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times = append(l.times, took)
	l.outcomes[outcome]++
	if err != nil {
		l.wrong.Add(1)
		if len(l.faults) < 10 {
			l.faults = append(l.faults, err)
		}
	}
}

// ask returns what comes back, and which of hit, fwd=… it was.
func (l *loader) ask(method, path string, body []byte, status int, fields ...string) (*http.Response, []byte, string, error) {
	req, err := http.NewRequest(method, l.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, "error", err
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return nil, nil, "error", err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != status {
		err = fmt.Errorf("%s %s: %s, want %d", method, path, resp.Status, status)
	}
	words := strings.Split(resp.Header.Get("Cache-Status"), "; ")
	if len(words) < 2 {
		return resp, got, "none", errors.Join(err, fmt.Errorf("%s %s: Cache-Status %q", method, path, words))
	}
	return resp, got, words[1], err
}

func holds(what string, body []byte, part string) error {
	if !bytes.Contains(body, []byte(part)) {
		return fmt.Errorf("%s: no %q in the body %s", what, part, body)
	}
	return nil
}

// hit asks for one of 100 pages that are fresh for an hour.
func (l *loader) hit(n int) (string, error) {
	page := rand.IntN(100)
	path := fmt.Sprint("/cache/3600?page=", page)
	_, body, outcome, err := l.ask("GET", path, nil, 200)
	if err == nil {
		err = holds(path, body, fmt.Sprintf("%q: [\n      %q", "page", fmt.Sprint(page)))
	}
	return outcome, err
}

// miss asks for a page that nobody has asked for.
func (l *loader) miss(n int) (string, error) {
	path := fmt.Sprint("/cache/3600?only=", n)
	_, body, outcome, err := l.ask("GET", path, nil, 200)
	if err == nil && outcome != "fwd=uri-miss" {
		err = fmt.Errorf("%s: %s", path, outcome)
	}
	if err == nil {
		err = holds(path, body, fmt.Sprintf("%q: [\n      %q", "only", fmt.Sprint(n)))
	}
	return outcome, err
}

// plain asks for what is never stored, up to 200 kB of it.
func (l *loader) plain(n int) (string, error) {
	page := l.bodies[rand.IntN(3)]
	_, body, outcome, err := l.ask("GET", page.path, nil, 200)
	if err == nil && !bytes.Equal(body, page.body) {
		err = fmt.Errorf("%s: %d bytes that differ", page.path, len(body))
	}
	return outcome, err
}

func (l *loader) post(n int) (string, error) {
	said := fmt.Sprint("said ", n)
	_, body, outcome, err := l.ask("POST", "/post", []byte(said), 200, "Content-Type", "text/plain")
	if err == nil {
		err = holds("/post", body, fmt.Sprintf("%q: %q", "data", said))
	}
	return outcome, err
}

// condition asks whether a page still holds.
func (l *loader) condition(n int) (string, error) {
	tag := fmt.Sprint("tag", rand.IntN(20))
	if n%2 == 0 {
		resp, body, outcome, err := l.ask("GET", "/etag/"+tag, nil, 304, "If-None-Match", `"`+tag+`"`)
		if err == nil && (len(body) > 0 || resp.Header.Get("ETag") != `"`+tag+`"`) {
			err = fmt.Errorf("a 304 with %d bytes and ETag %s", len(body), resp.Header.Get("ETag"))
		}
		return outcome, err
	}
	resp, body, outcome, err := l.ask("GET", "/etag/"+tag, nil, 200, "If-None-Match", `"other"`)
	if err == nil {
		err = errors.Join(holds("/etag", body, "/etag/"+tag), holds("its ETag", []byte(resp.Header.Get("ETag")), tag))
	}
	return outcome, err
}

// part asks for some bytes.
func (l *loader) part(n int) (string, error) {
	page := l.bodies[3]
	from := rand.IntN(19000)
	to := from + rand.IntN(900)
	_, body, outcome, err := l.ask("GET", page.path, nil, 206, "Range", fmt.Sprintf("bytes=%d-%d", from, to))
	if err == nil && !bytes.Equal(body, page.body[from:to+1]) {
		err = fmt.Errorf("bytes %d-%d of %s differ", from, to, page.path)
	}
	return outcome, err
}

// variant asks for a page in one of ten languages.
func (l *loader) variant(n int) (string, error) {
	language := fmt.Sprint("l", rand.IntN(10))
	_, body, outcome, err := l.ask("GET", "/cache/3600?vary=1", nil, 200, "Accept-Language", language)
	if err == nil {
		err = holds("a variant", body, fmt.Sprintf("%q", language))
	}
	return outcome, err
}

// user asks as somebody.
func (l *loader) user(n int) (string, error) {
	token := fmt.Sprint("token", n)
	_, body, outcome, err := l.ask("GET", "/bearer", nil, 200, "Authorization", "Bearer "+token)
	if err == nil {
		err = holds("/bearer", body, fmt.Sprintf("%q: %q", "token", token))
	}
	return outcome, err
}

func (l *loader) missing(n int) (string, error) {
	_, _, outcome, err := l.ask("GET", "/status/404", nil, 404)
	return outcome, err
}
