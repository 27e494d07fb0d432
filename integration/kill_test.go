package integration

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

var (
	kills    = flag.Int("kills", 15, "how often TestKilledClient kills on each store; on those of slow servers a tenth of it")
	killSeed = flag.Uint64("kill-seed", 1, "of what the clients do and when they are killed, in TestKilledClient")
)

func init() { children["killed"] = killedChild }

const (
	killedOrigin = "http://origin.test" // of all children: the same URLs, whatever their port
	maxOpen      = time.Second
)

// TestKilledClient kills processes while they store, update, purge and sweep, and looks each time at what the next one
// finds: whatever is visible is whole, and what is not goes by Sweep.
func TestKilledClient(t *testing.T) {
	for kind, slower := range map[string]int{"disk": 1, "sqlite": 1, "redis": 1, "mongodb": 10, "dynamodb": 10} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			needServer(t, kind, dir)
			var found afterwards
			for round := range (*kills + slower - 1) / slower {
				killClient(t, kind, dir, round, time.Duration(slower)*100*time.Millisecond, func() {})
				found.look(t, kind, dir, pages/slower, fmt.Sprintf("kill %d of seed %d", round, *killSeed))
				if t.Failed() {
					return
				}
			}
			t.Log(&found)
			if found.records == 0 || found.loose == 0 && *kills/slower >= 25 { // so many that leave nothing miss the writes
				t.Error("nothing was tested")
			}
		})
	}
}

// killClient starts a client and kills it, mostly when it has been at work for a moment. It calls before just before
// that.
func killClient(t *testing.T, kind, dir string, round int, within time.Duration, before func()) {
	random := rand.New(rand.NewPCG(*killSeed, uint64(round)))
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, kind, dir, strconv.FormatUint(*killSeed, 10), strconv.Itoa(round))
	cmd.Env = append(os.Environ(), childVar+"=killed")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines, said := bufio.NewScanner(out), make(chan string)
	go func() {
		defer close(said)
		for lines.Scan() {
			said <- lines.Text()
		}
	}()
	if random.IntN(8) == 0 { // while it opens the store, or is about to
		<-time.After(time.Duration(random.Int64N(int64(50 * time.Millisecond))))
	} else if line := <-said; line != "ready" {
		t.Errorf("the client says %q", line)
	} else {
		<-time.After(time.Duration(random.Int64N(int64(within))))
	}
	before()
	cmd.Process.Kill()
	for line := range said {
		if line != "ready" {
			t.Errorf("the client says %q", line)
		}
	}
	cmd.Wait() // was killed
}

// killedChild works until it is killed.
func killedChild(args []string) (any, error) {
	kind, dir := args[0], args[1]
	seed, err := strconv.ParseUint(args[2], 10, 64)
	if err != nil {
		return nil, err
	}
	round, err := strconv.Atoi(args[3])
	if err != nil {
		return nil, err
	}
	s, err := openStore(kind, dir)
	if err != nil {
		return nil, err
	}
	fmt.Println("ready")
	cache := &larder.Cache{Store: s, Base: startOrigin(round)}
	faults := make(chan error)
	do := func(n int, one func(*larder.Cache, *rand.Rand) error) {
		random := rand.New(rand.NewPCG(seed, uint64(round)<<8|uint64(n)))
		for {
			if err := one(cache, random); err != nil {
				faults <- err
			}
		}
	}
	for i := range writers {
		go do(i, func(c *larder.Cache, random *rand.Rand) error { return askSomething(c, killedOrigin, random) })
	}
	go do(writers, lookAfter)
	select {
	case err = <-faults:
	case <-time.After(time.Minute):
		err = errors.New("nobody kills this process")
	}
	return nil, err
}

// lookAfter does one of the things that an administrator does.
func lookAfter(cache *larder.Cache, random *rand.Rand) (err error) {
	switch random.IntN(4) {
	case 0:
		_, err = cache.Purge(context.Background(), store.Query{Limit: 5})
	case 1:
		_, err = cache.Purge(context.Background(), store.Query{URL: fmt.Sprint(killedOrigin, "/", random.IntN(pages))})
	case 2:
		for _, err = range cache.Entries(context.Background(), store.Query{}) {
			if err != nil {
				break
			}
		}
	default:
		_, err = cache.Sweep(context.Background())
	}
	return err
}

// startOrigin returns a way to an origin of changing pages, which has other versions than those of other rounds.
func startOrigin(round int) *http.Transport {
	var asked atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		changing(w, r, (int64(round)<<20+asked.Add(1)/20)*500)
	}))
	addr := srv.Listener.Addr().String()
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	return &http.Transport{MaxIdleConnsPerHost: 2 * writers, DialContext: dial}
}

// afterwards sums up what was found after all the kills.
type afterwards struct {
	rounds, records, loose int
	opened                 time.Duration // the longest
}

func (a *afterwards) String() string {
	return fmt.Sprintf("%d times: %d records, all whole; opened within %v; %d remains before Sweep, none after it",
		a.rounds, a.records, a.opened, a.loose)
}

// look opens the store as the next process would, checks all that is in it, and asks for some pages.
func (a *afterwards) look(t *testing.T, kind, dir string, pages int, when string) {
	t.Helper()
	began := time.Now()
	s, err := openStore(kind, dir)
	took := time.Since(began)
	a.opened = max(a.opened, took)
	if err != nil {
		t.Fatalf("%s: open: %v", when, err)
	}
	if took > maxOpen {
		t.Errorf("%s: it took %v to open the store, want %v at most", when, took, maxOpen)
	}
	cache := &larder.Cache{Store: s, Base: startOrigin(1000)}
	for r, err := range cache.Entries(t.Context(), store.Query{}) {
		if err == nil {
			err = errors.Join(wholeRecord(cache, r), foundByURL(cache, r))
			a.records++
		}
		if err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	for n := range pages {
		if err := readChanging(cache, killedOrigin, n, larder.PreferStored); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	if st := cache.Stats(); st.Damaged != 0 || st.StoreFailures != 0 {
		t.Errorf("%s: %d damaged, %d failures of the store", when, st.Damaged, st.StoreFailures)
	}
	if err := errors.Join(cache.Close(t.Context()), s.Close()); err != nil {
		t.Errorf("%s: close: %v", when, err)
	}
	before, _ := remains(t, kind, dir)
	a.loose += len(before)
	sweepLater(t, kind, dir)
	if after, off := remains(t, kind, dir); len(after) > 0 || off != 0 {
		t.Errorf("%s: after Sweep there is left of no record: %q; Size is off by %d", when, after, off)
	}
	a.rounds++
}

// foundByURL checks that the store's index has a record.
func foundByURL(cache *larder.Cache, r *store.Record) error {
	for by, err := range cache.Entries(context.Background(), store.Query{URL: r.URL}) {
		if err != nil {
			return err
		}
		if by.ID == r.ID {
			return nil
		}
	}
	return fmt.Errorf("%s: a record is not found by its URL", r.URL)
}

// wholeRecord checks that a record is what the origin said of that URL, variant and version.
func wholeRecord(cache *larder.Cache, r *store.Record) error {
	version, variant := r.Header.Get("X-Version"), r.Selecting.Get("X-Variant")
	path := strings.TrimPrefix(r.URL, killedOrigin)
	want := changingBody(path, variant, version)
	if r.Status == http.StatusPartialContent {
		var first, last int
		if _, err := fmt.Sscanf(r.Header.Get("Content-Range"), "bytes %d-%d/", &first, &last); err != nil || last >= len(want) {
			return fmt.Errorf("%s: Content-Range %q of %d bytes: %v", r.URL, r.Header.Get("Content-Range"), len(want), err)
		}
		want = want[first : last+1]
	}
	if tag := strconv.Quote(version + variant); r.Header.Get("ETag") != tag || r.Status/100 != 2 {
		return fmt.Errorf("%s: status %d, ETag %s, want %s", r.URL, r.Status, r.Header.Get("ETag"), tag)
	}
	body, err := cache.Body(context.Background(), r)
	if err != nil {
		return err
	}
	defer body.Close()
	return sameBytes(body, want, fmt.Sprintf("%s, version %s, status %d", r.URL, version, r.Status))
}
