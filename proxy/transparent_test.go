package proxy_test

import (
	"crypto/tls"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/larder/proxy"
	"github.com/larder-go/larder/store/disk"
)

var (
	transparent     = flag.Duration("transparent", 2*time.Second, "how long TestTransparency goes on")
	transparentSeed = flag.Uint64("transparent.seed", 1, "the seed of the first script of TestTransparency; 0: something new")
)

// way is by which versions of HTTP a request goes, to the proxy and from there to the origin.
type way struct {
	from, to string   // 1.0, 1.1, 2.0
	host     string   // that the origin is asked by
	tells    []string // what the proxy tells it of the client
	direct   client   // asks the origin
	through  client   // asks the proxy
}

// TestTransparency plays random exchanges without the proxy and through it, where the answer may come from the store.
// Origin and client have to get the same, but for what a gateway has to change.
func TestTransparency(t *testing.T) {
	a, one, two := perform(t)
	var proxies [][]way
	for _, secure := range []bool{false, true} {
		for _, kind := range kinds {
			proxies = append(proxies, ways(t, one, two, one, secure, kind), ways(t, one, two, two, secure, kind))
		}
	}
	seed := *transparentSeed
	if seed == 0 {
		seed = rand.Uint64N(1 << 40)
	}
	begun, n, hits := time.Now(), 0, 0
	for ; n == 0 || time.Since(begun) < *transparent; n++ {
		r := rand.New(rand.NewPCG(seed, 0))
		s, ways := newScript(r, seed), pick(r, proxies...)
		a.script.Store(s)
		for i := range 3 {
			w := pick(r, ways...)
			if url, ok := strings.CutPrefix(s.request.start, "GET "); ok && i == 2 && !s.answer.broken && percent(r, 30) {
				head := *s
				head.request.start = "HEAD " + url
				s = &head
				a.script.Store(s)
			}
			differences, hit := w.differences(a, s)
			if len(differences) > 0 {
				t.Fatalf("seed %d (replay it with -transparent.seed=%[1]d -transparent=1ns), request %d, HTTP/%s to HTTP/%s:\n%s\n%v",
					seed, i+1, w.from, w.to, strings.Join(differences, "\n"), s)
			}
			if hit {
				hits++
			}
		}
		seed++
	}
	t.Logf("%d scripts, up to seed %d; %d hits", n, seed-1, hits)
}

// kinds are the proxies that are tried.
var kinds = []setup{inMemory, onDisk, ofOneUser, tellingWhoAsks}

func inMemory(*running) {}

func onDisk(p *running) {
	s, err := disk.Open(p.t.TempDir(), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { s.Close() })
	p.p.Cache.Store = s
}

func ofOneUser(p *running) { p.p.Cache.Shared = false }

func tellingWhoAsks(p *running) {
	p.p.PreserveHost, p.p.Forwarded = true, true
	p.p.Cache.Rules = proxy.KeyForwarded(nil)
}

// ways are those through a proxy for origin, which is at one or at two.
func ways(t *testing.T, one, two, origin string, secure bool, kind setup) (ways []way) {
	p := run(t, origin, kind, func(p *running) {
		p.base.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
		if secure {
			p.s.TLS = certificate(t)
		}
	})
	to := "1.1"
	if origin == two {
		to = "2.0"
	}
	_, host, _ := strings.Cut(origin, "://")
	if p.p.PreserveHost {
		host = p.addr
	}
	var tells []string
	if p.p.Forwarded {
		proto, _, _ := strings.Cut(p.url, ":")
		tells = []string{"forwarded: for=127.0.0.1;proto=" + proto + `;host="` + p.addr + `"`, "x-forwarded-for: 127.0.0.1",
			"x-forwarded-host: " + p.addr, "x-forwarded-proto: " + proto}
	}
	for _, from := range []string{"1.0", "1.1"} {
		direct := &client1{t: t, address: strings.TrimPrefix(one, "http://"), version: from}
		through := &client1{t: t, address: p.addr, version: from, secure: secure}
		t.Cleanup(direct.close)
		t.Cleanup(through.close)
		ways = append(ways, way{from, to, host, tells, direct, through})
	}
	transport := &http.Transport{ForceAttemptHTTP2: true, DisableCompression: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(transport.CloseIdleConnections)
	return append(ways, way{"2.0", to, host, tells, &client2{t, two, transport}, &client2{t, p.url, p.client(true).Transport}})
}

// differences plays s without the proxy and through it, and tells what is not the same.
func (w way) differences(a *actor, s *script) (differences []string, hit bool) {
	different := func(what string, got, want []string) {
		if !slices.Equal(got, want) {
			differences = append(differences, fmt.Sprintf("%s:\n  got  %.600s\n  want %.600s", what, fmt.Sprintf("%q", got), fmt.Sprintf("%q", want)))
		}
	}
	direct, wantHeard := w.direct.ask(s), a.hasHeard(s)
	got, heard := w.through.ask(s), a.hasHeard(s)
	if s.request.broken { // it may end before the origin hears of it
		for _, h := range append(wantHeard, heard...) {
			if !h.broken {
				different("what breaks off", h.content(), nil)
			}
		}
		return differences, false
	}
	if w.mayReset(s) && (got.err != nil || got.answer.broken) {
		return nil, false
	}
	if direct.err != nil || got.err != nil || len(wantHeard) != 1 {
		return []string{fmt.Sprintf("errors %v with the proxy, %v without, where the origin is asked %d times", got.err, direct.err, len(wantHeard))}, false
	}
	status := got.answer.take("cache-status")
	own := len(status) - 1
	if own < 0 || !strings.HasPrefix(status[own], "larder; ") {
		return []string{fmt.Sprintf("the answer is the proxy's: %q %q", got.answer.fields, got.answer.body)}, false
	}
	got.answer.add("cache-status", status[:own]...)
	hit = strings.HasPrefix(status[own], "larder; hit") || strings.Contains(status[own], "; collapsed")
	switch {
	case hit != (len(heard) == 0) || len(heard) > 1:
		return []string{fmt.Sprintf("the origin is asked %d times: %s", len(heard), status[own])}, hit
	case hit && s.conditional(): // it is answered from the whole that is stored (RFC 9111 §4.3.2)
		return nil, hit
	case !hit:
		got, want := heard[0], w.toOrigin(wantHeard[0])
		if usesStored(status[own]) {
			for _, name := range []string{"if-none-match", "if-modified-since", "if-range", "range"} { // the cache's (RFC 9111 §4.3.1)
				want.take(name)
				want.add(name, got.values(name)...)
			}
		}
		got, want = w.alike(s, got), w.alike(s, want)
		different("the request", []string{got.start, got.host}, []string{want.start, want.host})
		different("the request's fields", got.fields, want.fields)
		different("the request's content", got.content(), want.content())
		different("the request's trailers", got.trailers, want.trailers)
	}
	want := w.toClient(s, direct, got.answer, hit)
	got = w.received(got)
	different("interim responses", got.interim, want.interim)
	different("the response", []string{got.answer.start}, []string{want.answer.start})
	different("the response's fields", got.answer.fields, want.answer.fields)
	different("the response's content", got.answer.content(), want.answer.content())
	different("the response's trailers", got.answer.trailers, want.answer.trailers)
	return differences, hit
}
