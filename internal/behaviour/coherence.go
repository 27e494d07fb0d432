package behaviour

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

// coherence are tests of callers who ask for what others change, all at once: who asks after a change was answered does
// not get what was there before it.
var coherence = []test{
	{name: "nobody gets what was there before a change", network: true, run: func(t *T) { t.changes() }},
	{name: "nor in a shared cache", network: true, run: func(t *T) { t.shared().changes() }},
	{name: "nor from a store that is slow now and then", network: true, run: func(t *T) { t.changesOn(near, dawdle) }},
	{name: "nor from a distant one", network: true, run: func(t *T) { t.changesOn(distant, dawdle) }},
	{name: "nor from a store that fails now and then", network: true, run: func(t *T) { t.changesOn(near, every(15, with(errBroken))) }},
	{name: "nor from a distant one that does", network: true, run: func(t *T) { t.changesOn(distant, every(15, with(errBroken))) }},
}

const (
	near    = true
	distant = false
)

// findingStore is distant, or near, with a store that is a store.Finder.
func (t *T) findingStore(near bool) (*T, *faults) {
	u, f := t.distant()
	u.cache.Store = finding{f}
	if near {
		u.cache.Store = struct {
			finding
			store.Local
		}{finding{f}, local{}}
	}
	return u, f
}

// changesOn is changes on a store with faults at all that it does.
func (t *T) changesOn(near bool, fault func(context.Context) error) {
	u, f := t.findingStore(near)
	f.at(fault, lookup, open, create, write, commit, update, remove, find)
	u.changes()
}

// dawdle is a fault that takes its time, now and then.
func dawdle(context.Context) error {
	if rand.IntN(3) == 0 {
		<-time.After(time.Duration(rand.IntN(1500)) * time.Microsecond)
	}
	return nil
}

// topic is what pages of the origin are about. A PUT or POST gives it a new version, and each answer says which it is of.
type topic struct {
	urls    []string // of the pages about it
	fields  []string // of their answers
	put     []string // to where a change is sent; nil: to one of urls
	said    []string // fields of the answer to a change
	lines   int      // of a body
	shown   bool     // a change is a POST, and its answer what the page says from now on
	version atomic.Int64
	known   atomic.Int64 // the newest version that somebody has been told of who has made it
}

func topics() []*topic {
	fresh := []string{"Cache-Control", "max-age=600"}
	and := func(more ...string) []string { return append(fresh[:2:2], more...) }
	return []*topic{
		{urls: []string{"/plain"}, fields: fresh, lines: 40},
		{urls: []string{"/shown"}, fields: fresh, lines: 400, shown: true},
		{urls: []string{"/large"}, fields: fresh, lines: 4000},
		{urls: []string{"/behind"}, fields: []string{"Cache-Control", "max-age=1, stale-while-revalidate=600"}, lines: 40},
		{urls: []string{"/failing"}, fields: []string{"Cache-Control", "max-age=1, stale-if-error=600"}, lines: 40},
		{urls: []string{"/checked"}, fields: []string{"Cache-Control", "no-cache"}, lines: 40},
		{urls: []string{"/varies"}, fields: and("Vary", "X-Mode"), lines: 40},
		{urls: []string{"/alike", "/alike?utm=1", "/alike?utm=2"}, fields: and("No-Vary-Search", `params=("utm")`), lines: 40},
		{urls: []string{"/group/1", "/group/2"}, fields: and("Cache-Groups", `"g"`), said: []string{"Cache-Group-Invalidation", `"g"`}, lines: 40},
		{urls: []string{"/located"}, fields: fresh, put: []string{"/elsewhere"}, said: []string{"Content-Location", "/located"}, lines: 40},
	}
}

// text is what a page says of one version of its topic.
func (p *topic) text(version int64, mode, question string) string {
	if p.urls[0] != "/varies" {
		mode = ""
	}
	return strings.Repeat(fmt.Sprintf("%08d %s %s %s\n", version, p.urls[0], mode, question), p.lines)
}

func (p *topic) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	pause := func() { dawdle(r.Context()) }
	question, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	pause()
	defer pause()
	version, mode := p.version.Load(), r.Header.Get("X-Mode")
	changes := r.Method == http.MethodPut || r.Method == http.MethodPost
	if changes {
		version = p.version.Add(1)
		set(w.Header(), p.said)
		w.Header().Set("X-Version", fmt.Sprint(version))
	}
	pause()
	switch {
	case changes && p.shown:
		w.Header().Set("Content-Location", r.URL.RequestURI())
	case changes:
		w.WriteHeader(http.StatusNoContent)
		return
	case rand.IntN(20) == 0:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	set(w.Header(), p.fields)
	w.Header().Set("Content-Type", text)
	w.Header().Set("ETag", fmt.Sprintf(`"%d-%s"`, version, mode))
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(p.text(version, mode, string(question))))
}

// changes lets callers ask for pages and change them until stressTime is over.
func (t *T) changes() {
	seed := *stressSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.cache.Base, t.cache.Observe = t.again(), nil
	t.origin.forgets = true
	all := topics()
	for _, p := range all {
		for _, u := range append(p.urls[:len(p.urls):len(p.urls)], p.put...) {
			path, _, _ := strings.Cut(u, "?")
			t.origin.handle(path, p.ServeHTTP)
		}
	}
	end := time.Now().Add(*stressTime)
	t.start(16, func(i int) answer {
		for random := rand.New(rand.NewPCG(seed, uint64(i))); time.Now().Before(end) && !t.Failed(); {
			t.askOrChange(all[random.IntN(len(all))], random)
		}
		return answer{}
	}).done()
	t.backgroundDone()
	if t.Failed() {
		t.Logf("to make the same choices again: -stress.seed=%d", seed)
	}
}

// asking is a request about a topic.
type asking struct {
	about                       *topic
	method, url, mode, question string
	options                     []option
}

// some returns a request about p of any kind.
func (p *topic) some(ctx context.Context, random *rand.Rand) asking {
	a := asking{about: p, method: http.MethodGet, url: p.urls[random.IntN(len(p.urls))], mode: fmt.Sprint(random.IntN(2))}
	a.options = []option{under(ctx), header("X-Mode", a.mode)}
	switch random.IntN(16) {
	case 0:
		a.method = http.MethodPut
		if p.shown {
			a.method = http.MethodPost
		}
		if len(p.put) > 0 {
			a.url = p.put[random.IntN(len(p.put))]
		}
	case 1, 2:
		if p.urls[0] != "/alike" { // a QUERY is answered by what is stored for its own URL alone
			a.method, a.question = "QUERY", fmt.Sprint("question ", random.IntN(2))
			a.options = append(a.options, body(text, a.question))
		}
	case 3:
		a.method = http.MethodHead
	case 4, 5:
		a.options = append(a.options, header("Range", "bytes=5-700"))
	case 6:
		a.options = append(a.options, mode(larder.Mode(random.IntN(int(larder.Bypass)+1))))
	}
	return a
}

// askOrChange makes one request about p, and checks that what it brings is as new as what was known when it was made.
func (t *T) askOrChange(p *topic, random *rand.Rand) {
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	if random.IntN(8) == 0 {
		ctx, leave = context.WithTimeout(ctx, time.Duration(random.IntN(4000))*time.Microsecond)
		defer leave()
	}
	if random.IntN(20) == 0 {
		t.clock.advance(time.Second)
	}
	a, known := p.some(ctx, random), p.known.Load()
	resp, err := t.cache.RoundTrip(t.request(a.method, a.url, a.options...))
	if err != nil {
		if ctx.Err() == nil {
			t.Errorf("%s %s: error %v", a.method, a.url, err)
		}
		return
	}
	defer resp.Body.Close()
	if version := resp.Header.Get("X-Version"); version != "" && ctx.Err() == nil {
		p.learn(version)
	}
	got, err := readSomehow(resp.Body, random)
	if err != nil && !errors.Is(err, errEnough) {
		if ctx.Err() == nil {
			t.Errorf("%s %s: error %v", a.method, a.url, err)
		}
		return
	}
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusPartialContent {
		t.checkVersion(a, resp, known, got, err == nil)
	}
}

// checkVersion checks what was read of the body, all of it or not.
func (t *T) checkVersion(a asking, resp *http.Response, known int64, got []byte, all bool) {
	part := resp.StatusCode == http.StatusPartialContent
	line, more, _ := bytes.Cut(got, []byte("\n"))
	if part {
		line, more, _ = bytes.Cut(more, []byte("\n"))
	}
	var version int64
	if n, _ := fmt.Sscanf(string(line), "%d", &version); n == 0 || more == nil {
		return // as after HEAD, or it was not read so far
	}
	whole := a.about.text(version, a.mode, a.question)
	if part {
		whole = whole[5:701]
	}
	info := larder.Info(resp)
	if version < known {
		t.Errorf("%s %s (%v, %s): got version %d, when %d was known", a.method, a.url, info.Outcome, info.Reason, version, known)
	}
	if !strings.HasPrefix(whole, string(got)) || all && len(got) < len(whole) {
		t.Errorf("%s %s (%v): got %d bytes, %.60q, want %d bytes, %.60q", a.method, a.url, info.Outcome, len(got), got, len(whole), whole)
	}
}

// learn takes in that a change was made that led to this version.
func (p *topic) learn(version string) {
	var n int64
	fmt.Sscan(version, &n)
	for known := p.known.Load(); known < n && !p.known.CompareAndSwap(known, n); known = p.known.Load() {
	}
}
