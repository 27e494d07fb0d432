package behaviour

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/larder-go/larder"
)

var (
	stressTime = flag.Duration("stress", 150*time.Millisecond, "how long each stress test goes on")
	stressSeed = flag.Uint64("stress.seed", 0, "what the callers of a stress test choose by; 0: something new")
)

// stress are tests of callers of every kind, all at once: whoever is not in a hurry gets what it asked for.
var stress = []test{
	{name: "a crowd", network: true, run: func(t *T) { t.crowd() }},
	{name: "a crowd and a store that fails now and then", network: true, run: func(t *T) {
		u, f := t.near()
		f.at(every(15, with(errBroken)), lookup, open, create, write, commit, update, remove)
		u.crowd()
	}},
	{name: "a crowd and a distant store that fails now and then", network: true, run: func(t *T) {
		u, f := t.distant()
		f.at(every(15, with(errBroken)), lookup, open, create, write, commit, update, remove)
		u.crowd()
	}},
}

// crowd lets callers of every kind ask for pages of every kind until stressTime is over. Nothing must be left going
// on then.
func (t *T) crowd() {
	seed := *stressSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.cache.Base, t.cache.Observe = t.again(), nil
	t.rule(posts)
	t.origin.forgets = true
	for _, path := range crowdPages {
		t.origin.handle(path, t.crowdPage(path))
	}
	before := runtime.NumGoroutine()
	end := time.Now().Add(*stressTime)
	t.start(24, func(i int) answer {
		for random := rand.New(rand.NewPCG(seed, uint64(i))); time.Now().Before(end) && !t.Failed(); {
			t.oneOfCrowd(random)
		}
		return answer{}
	}).done()
	t.backgroundDone()
	t.origin.transport.CloseIdleConnections()
	for n := 0; runtime.NumGoroutine() > before; n++ {
		if n == 500 {
			stacks := make([]byte, 1<<20)
			t.Errorf("%d goroutines are left over:\n%s", runtime.NumGoroutine()-before, stacks[:runtime.Stack(stacks, true)])
			break
		}
		<-time.After(10 * time.Millisecond)
	}
	if t.Failed() {
		t.Logf("to make the same choices again: -stress.seed=%d", seed)
	}
}

// crowdPages are named for what they are: their Cache-Control or Vary, and whether their length is told.
var crowdPages = []string{"/fresh/known", "/fresh/chunked", "/checked/known", "/checked/chunked", "/varies/known", "/varies/chunked",
	"/behind/known", "/behind/chunked", "/secret/known", "/secret/chunked"}

// crowdText is what path says to a request with that X-Mode and that body.
func crowdText(path, mode, question string) string {
	if !strings.HasPrefix(path, "/varies") {
		mode = ""
	}
	return strings.Repeat(fmt.Sprint(path, " ", mode, " ", question, "\n"), 4000)
}

func (t *T) crowdPage(path string) http.HandlerFunc {
	fields := map[string][]string{
		"fresh":   {"Cache-Control", "max-age=5"},
		"checked": {"Cache-Control", "no-cache", "ETag", `"1"`},
		"varies":  {"Cache-Control", "max-age=5", "Vary", "X-Mode"},
		"behind":  {"Cache-Control", "max-age=0, stale-while-revalidate=600"},
		"secret":  {"Cache-Control", "no-store"},
	}[strings.Split(path, "/")[1]]
	return func(w http.ResponseWriter, r *http.Request) {
		question, err := io.ReadAll(r.Body)
		whole := crowdText(path, r.Header.Get("X-Mode"), string(question))
		switch n := rand.IntN(30); {
		case err != nil:
			panic(http.ErrAbortHandler)
		case r.Method == http.MethodPut:
			return
		case n == 0:
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		set(w.Header(), fields)
		if strings.HasSuffix(path, "/known") {
			w.Header().Set("Content-Type", text)
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(whole))
			return
		}
		for len(whole) > 0 {
			n := min(len(whole), 20_000)
			io.WriteString(w, whole[:n])
			whole = whole[n:]
			if rand.IntN(4) == 0 {
				w.(http.Flusher).Flush()
				<-time.After(time.Duration(rand.IntN(2000)) * time.Microsecond)
			}
		}
	}
}

// oneOfCrowd makes one request, reads its answer in one way or another, and checks both.
func (t *T) oneOfCrowd(random *rand.Rand) {
	pick := func(n int) bool { return random.IntN(n) == 0 }
	ctx, leave := context.Background(), func() {}
	hasty := pick(3)
	switch {
	case hasty:
		ctx, leave = context.WithTimeout(ctx, time.Duration(random.IntN(8000))*time.Microsecond)
	case pick(2):
		ctx, leave = context.WithCancel(ctx)
	}
	defer leave()
	if pick(10) {
		ctx = larder.WithMode(ctx, larder.Mode(random.IntN(int(larder.Bypass)+1)))
	}

	path := crowdPages[random.IntN(len(crowdPages))]
	mode, question, method, options := fmt.Sprint(random.IntN(3)), "", http.MethodGet, []option{under(ctx)}
	switch random.IntN(12) {
	case 0:
		method, question = http.MethodPost, fmt.Sprint("question ", random.IntN(3))
		options = append(options, []func(string, string) option{body, once}[random.IntN(2)](text, question))
	case 1:
		method = http.MethodHead
	case 2:
		if pick(6) {
			method = http.MethodPut
		}
	case 3:
		options = append(options, header("Range", "bytes=5-20000"))
	case 4:
		t.clock.advance(time.Second)
	}
	options = append(options, header("X-Mode", mode))

	resp, err := t.cache.RoundTrip(t.request(method, path, options...))
	var got []byte
	if err == nil {
		got, err = readSomehow(resp.Body, random)
		resp.Body.Close()
	}
	whole := crowdText(path, mode, question)
	what := fmt.Sprintf("%s %s, X-Mode %s, body %q", method, path, mode, question)
	switch early := errors.Is(err, errEnough); {
	case err != nil && !early && !(hasty && errors.Is(err, context.DeadlineExceeded)):
		t.Errorf("%s: error %v", what, err)
		return
	case resp == nil || resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusGatewayTimeout:
		return
	case resp.StatusCode == http.StatusPartialContent:
		whole = whole[5:20_001]
	case resp.StatusCode != http.StatusOK:
		t.Errorf("%s: got %d", what, resp.StatusCode)
		return
	case method == http.MethodHead || method == http.MethodPut:
		whole = ""
	}
	if !strings.HasPrefix(whole, string(got)) || err == nil && len(got) < len(whole) {
		t.Errorf("%s: got %v with %d bytes, %.60q, error %v, want %d bytes, %.60q", what, larder.Info(resp).Outcome, len(got), got, err, len(whole), whole)
	}
}

// errEnough is why readSomehow read no further.
var errEnough = errors.New("enough")

// readSomehow reads a body at once, slowly, or in part.
func readSomehow(r io.Reader, random *rand.Rand) ([]byte, error) {
	var got strings.Builder
	switch random.IntN(5) {
	case 0:
		_, err := io.CopyN(&got, r, random.Int64N(60_000))
		if err == nil {
			err = errEnough
		} else if err == io.EOF {
			err = nil
		}
		return []byte(got.String()), err
	case 1:
		for {
			_, err := io.CopyN(&got, r, 3000)
			if err == io.EOF {
				return []byte(got.String()), nil
			}
			if err != nil {
				return []byte(got.String()), err
			}
			if random.IntN(10) == 0 {
				<-time.After(time.Millisecond)
			}
		}
	}
	return io.ReadAll(r)
}

// again returns the origin's transport, less a fault of it: net/http hands a connection on before it delivers a
// response without a body (persistConn.readLoop). If one of the two requests is given up in that moment, its
// context's error is the other's, too.
func (t *T) again() transport {
	return func(r *http.Request) (*http.Response, error) {
		for {
			resp, err := t.origin.transport.RoundTrip(r)
			if r.Context().Err() != nil || !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
				return resp, err
			}
			if r.GetBody != nil {
				if r.Body, err = r.GetBody(); err != nil {
					return nil, err
				}
			}
		}
	}
}

// every returns a fault that shows at each nth call.
func every(n int64, fault func(context.Context) error) func(context.Context) error {
	var calls atomic.Int64
	return func(ctx context.Context) error {
		if calls.Add(1)%n != 0 {
			return nil
		}
		return fault(ctx)
	}
}
