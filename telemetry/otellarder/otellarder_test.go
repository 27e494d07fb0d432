package otellarder_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/disk"
	"github.com/larder-go/larder/store/memory"
	"github.com/larder-go/larder/store/storetest"
	"github.com/larder-go/larder/telemetry/otellarder"
)

// distant is a store that is not store.Local, as one across a network.
type distant struct{ store.Store }

// told is what an instrumented cache tells.
type told struct {
	t     *testing.T
	cache *larder.Cache
	spans *tracetest.SpanRecorder
	meter *metric.ManualReader
	rt    *otellarder.Transport
	trace *trace.TracerProvider
}

func instrument(t *testing.T, c *larder.Cache) *told {
	t.Helper()
	x := &told{t: t, cache: c, spans: tracetest.NewSpanRecorder(), meter: metric.NewManualReader()}
	x.trace = trace.NewTracerProvider(trace.WithSpanProcessor(x.spans))
	var err error
	x.rt, err = otellarder.Instrument(c, &otellarder.Options{TracerProvider: x.trace,
		MeterProvider: metric.NewMeterProvider(metric.WithReader(x.meter))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.rt.Close(); err != nil {
			t.Error(err)
		}
	})
	return x
}

// get asks as a client whose own span is the root, and waits for what goes on in the background.
func (x *told) get(url string) larder.Decision {
	x.t.Helper()
	ctx, span := x.trace.Tracer("test").Start(x.t.Context(), "caller")
	defer span.End()
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		x.t.Fatal(err)
	}
	resp, err := x.rt.RoundTrip(req)
	if err != nil {
		return larder.Decision{Err: err}
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		x.t.Error(err)
	}
	resp.Body.Close()
	closing, cancel := context.WithTimeout(x.t.Context(), 10*time.Second)
	defer cancel()
	if err := x.cache.Close(closing); err != nil {
		x.t.Error(err)
	}
	return larder.Info(resp)
}

// tree returns the spans that have ended since the last call, each as its path from the root, sorted.
func (x *told) tree() []string {
	ended := x.spans.Ended()
	byID := make(map[string]trace.ReadOnlySpan)
	for _, s := range ended {
		byID[s.SpanContext().SpanID().String()] = s
	}
	var out []string
	for _, s := range ended {
		path := s.Name()
		for p := byID[s.Parent().SpanID().String()]; p != nil; p = byID[p.Parent().SpanID().String()] {
			path = p.Name() + " > " + path
		}
		out = append(out, path)
	}
	x.spans.Reset()
	slices.Sort(out)
	return out
}

func want(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// serve runs an origin whose pages are fresh for as long as their header says.
func serve(t *testing.T, header ...string) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		if r.Header.Get("If-None-Match") != "" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		io.WriteString(w, "hello")
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestSpans(t *testing.T) {
	url := serve(t, "Cache-Control", "max-age=60, stale-while-revalidate=600")
	now := time.Now()
	x := instrument(t, &larder.Cache{Store: distant{new(memory.Store)}, Now: func() time.Time { return now }})
	for _, c := range []struct {
		name    string
		after   time.Duration
		outcome larder.Outcome
		spans   []string
	}{
		{"a miss", 0, larder.Miss, []string{
			"caller", "caller > larder", "caller > larder > GET",
			"caller > larder > larder.store commit", "caller > larder > larder.store create", "caller > larder > larder.store lookup"}},
		{"a hit", 0, larder.Hit, []string{"caller", "caller > larder", "caller > larder > larder.store lookup"}},
		{"a refresh in the background", 2 * time.Minute, larder.Stale, []string{
			"caller", "caller > larder", "caller > larder > GET", "caller > larder > larder.store lookup", "caller > larder > larder.store update"}},
	} {
		now = now.Add(c.after)
		if d := x.get(url); d.Outcome != c.outcome {
			t.Errorf("%s: %v", c.name, d.Outcome)
		}
		var got []string // a look again after a flight is no matter here
		for _, s := range x.tree() {
			if len(got) == 0 || got[len(got)-1] != s {
				got = append(got, s)
			}
		}
		want(t, c.name, got, c.spans)
	}
}

// leaving is a sampler that leaves out the spans of requests to the cache.
type leaving struct{ trace.Sampler }

func (s leaving) ShouldSample(p trace.SamplingParameters) trace.SamplingResult {
	if p.Name == "larder" {
		return trace.NeverSample().ShouldSample(p)
	}
	return s.Sampler.ShouldSample(p)
}

// TestLeftOut shows that where a request's span is left out, those below are too, and are no traces of their own.
func TestLeftOut(t *testing.T) {
	url := serve(t, "Cache-Control", "max-age=60")
	spans := tracetest.NewSpanRecorder()
	cache := &larder.Cache{Store: distant{new(memory.Store)}}
	rt, err := otellarder.Instrument(cache, &otellarder.Options{TracerProvider: trace.NewTracerProvider(trace.WithSpanProcessor(spans),
		trace.WithSampler(trace.ParentBased(leaving{trace.AlwaysSample()})))})
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	resp, err := (&http.Client{Transport: rt}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if err := cache.Close(t.Context()); err != nil {
		t.Error(err)
	}
	for _, s := range spans.Ended() {
		t.Errorf("there is a span %s", s.Name())
	}
}

func TestLocalStoresHaveNoSpansOfReading(t *testing.T) {
	url := serve(t, "Cache-Control", "max-age=60")
	x := instrument(t, &larder.Cache{})
	x.get(url)
	x.tree()
	x.get(url)
	want(t, "a hit", x.tree(), []string{"caller", "caller > larder"})
}

func TestAttributes(t *testing.T) {
	url := serve(t, "Cache-Control", "max-age=60")
	x := instrument(t, &larder.Cache{Rules: []larder.Rule{{Match: "127.0.0.1"}}})
	x.get(url)
	for _, s := range x.spans.Ended() {
		if s.Name() != "larder" {
			continue
		}
		got := attribute.NewSet(s.Attributes()...)
		for name, value := range map[attribute.Key]attribute.Value{
			"larder.outcome":   attribute.StringValue("miss"),
			"larder.forwarded": attribute.StringValue("uri-miss"),
			"larder.section":   attribute.StringValue("RFC 9111 §4"),
			"larder.rule":      attribute.StringValue("127.0.0.1"),
			"larder.collapsed": attribute.BoolValue(false),
		} {
			if v, ok := got.Value(name); !ok || v != value {
				t.Errorf("%s is %v, want %v", name, v.String(), value.String())
			}
		}
		if ttl, _ := got.Value("larder.ttl"); ttl.AsFloat64() <= 50 || ttl.AsFloat64() > 60 {
			t.Errorf("larder.ttl is %v", ttl.String())
		}
	}
}

// TestSharedDownload shows that who reads what another caller's request brings has a link to its span.
func TestSharedDownload(t *testing.T) {
	half := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "hel")
		w.(http.Flusher).Flush()
		<-half
		io.WriteString(w, "lo")
	}))
	t.Cleanup(s.Close)
	x := instrument(t, &larder.Cache{})
	ask := func() *http.Response {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", s.URL, nil)
		resp, err := x.rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	first, second := ask(), ask()
	close(half)
	for _, resp := range []*http.Response{first, second} {
		if body, err := io.ReadAll(resp.Body); string(body) != "hello" || err != nil {
			t.Errorf("got %q, %v", body, err)
		}
		resp.Body.Close()
	}
	if !larder.Info(second).Collapsed {
		t.Fatal("the second is not answered by the first's request")
	}
	links := 0
	for _, s := range x.spans.Ended() {
		if s.Name() == "larder" {
			links += len(s.Links())
		}
	}
	if links != 1 {
		t.Errorf("%d links, want that of the second", links)
	}
}

// TestWithOtelhttp shows that otelhttp above and below nests, and that a Base which tells of itself is told of once.
func TestWithOtelhttp(t *testing.T) {
	url := serve(t, "Cache-Control", "no-store")
	x := instrument(t, &larder.Cache{Base: otelhttp.NewTransport(http.DefaultTransport)})
	client := &http.Client{Transport: otelhttp.NewTransport(x.rt, otelhttp.WithTracerProvider(x.trace),
		otelhttp.WithSpanNameFormatter(func(string, *http.Request) string { return "client" }))}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	want(t, "above", x.tree(), []string{"client", "client > larder", "client > larder > HTTP GET"})
}

func TestErrors(t *testing.T) {
	fault := errors.New("no route to host")
	x := instrument(t, &larder.Cache{Base: base(func(*http.Request) (*http.Response, error) { return nil, fault })})
	if d := x.get("http://example.com/"); !errors.Is(d.Err, fault) {
		t.Errorf("got %v", d.Err)
	}
	told := make(map[string]bool)
	for _, s := range x.spans.Ended() {
		told[s.Name()] = s.Status().Description != ""
	}
	if !told["larder"] || !told["GET"] {
		t.Errorf("an error is told of in %v", told)
	}
	if n := x.metrics()["larder.request.duration{error.type=_OTHER,larder.outcome=none}"]; n != 1 {
		t.Errorf("%v", x.metrics())
	}
}

// TestBrokenBodies shows that a span tells of a body that broke off, also where io.Copy takes it, but not of a writer
// that failed.
func TestBrokenBodies(t *testing.T) {
	const size = 64 << 10 // which a store on disk has in a file of its own
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(size))
		if r.URL.Path == "/cut" {
			io.WriteString(w, "hello")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Cache-Control", "max-age=600")
		w.Write(make([]byte, size))
	}))
	defer origin.Close()
	dir := t.TempDir()
	s, err := disk.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	x := instrument(t, &larder.Cache{Store: s})
	x.get(origin.URL + "/stored")
	copyTo := func(path string, w io.Writer) (told string) {
		t.Helper()
		x.spans.Reset()
		resp, err := x.rt.RoundTrip(httptest.NewRequest("GET", origin.URL+path, nil))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(w, resp.Body); n == size || err == nil {
			t.Errorf("%s is copied: %d, %v", path, n, err)
		}
		resp.Body.Close()
		for _, span := range x.spans.Ended() {
			if span.Name() == "larder" {
				told += span.Status().Code.String()
			}
		}
		return told
	}
	full, err := os.Open(dir) // which cannot be written to
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for _, w := range []io.Writer{full, struct{ io.Writer }{full}} {
		if told := copyTo("/stored", w); told != "Unset" {
			t.Errorf("a writer that fails: %s", told)
		}
	}
	if told := copyTo("/cut", io.Discard); told != "Error" {
		t.Errorf("a response that is cut: %s", told)
	}
	origin.Close()
	damage(t, dir, size)
	if told := copyTo("/stored", io.Discard); told != "Error" {
		t.Errorf("a stored body that is damaged: %s", told)
	}
}

// damage changes a byte of the file below dir that is at least so long.
func damage(t *testing.T, dir string, size int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err == nil && int64(len(b)) >= size {
			b[size/2]++
			err = os.WriteFile(path, b, 0o600)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

type base func(*http.Request) (*http.Response, error)

func (f base) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// pool is a way to the origin that counts how often it is told to close its connections.
type pool struct {
	base
	closed int
}

func (p *pool) CloseIdleConnections() { p.closed++ }

// TestCloseIdleConnections shows that a client reaches the connections through all that tells of it.
func TestCloseIdleConnections(t *testing.T) {
	p := new(pool)
	x := instrument(t, &larder.Cache{Base: p})
	(&http.Client{Transport: x.rt}).CloseIdleConnections()
	x.cache.Client().CloseIdleConnections()
	if p.closed != 2 {
		t.Errorf("they are closed %d times, want 2", p.closed)
	}
}

// metrics returns counts and gauges by name and attributes; of a histogram the count.
func (x *told) metrics() map[string]int64 {
	x.t.Helper()
	var all metricdata.ResourceMetrics
	if err := x.meter.Collect(x.t.Context(), &all); err != nil {
		x.t.Error(err)
	}
	out := make(map[string]int64)
	add := func(name string, set attribute.Set, n int64) {
		out[fmt.Sprintf("%s{%s}", name, set.Encoded(attribute.DefaultEncoder()))] = n
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Histogram[float64]:
				for _, p := range d.DataPoints {
					add(m.Name, p.Attributes, int64(p.Count))
				}
			case metricdata.Histogram[int64]:
				for _, p := range d.DataPoints {
					add(m.Name, p.Attributes, p.Sum)
				}
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					add(m.Name, p.Attributes, p.Value)
				}
			case metricdata.Gauge[int64]:
				for _, p := range d.DataPoints {
					add(m.Name, p.Attributes, p.Value)
				}
			}
		}
	}
	return out
}

func TestMetrics(t *testing.T) {
	url := serve(t, "Cache-Control", "max-age=60")
	x := instrument(t, &larder.Cache{})
	for range 3 {
		x.get(url)
	}
	got := x.metrics()
	for name, n := range map[string]int64{
		"larder.request.duration{larder.collapsed=false,larder.forwarded=uri-miss,larder.outcome=miss}": 1,
		"larder.request.duration{larder.outcome=hit}":                                                   2,
		"larder.response.body.size{larder.outcome=hit}":                                                 10,
		"larder.events{larder.event=stored}":                                                            1,
		"larder.store.operation.duration{larder.store.operation=commit}":                                1,
		"larder.store.entries{}":                                                                        1,
	} {
		if got[name] != n {
			t.Errorf("%s is %d, want %d", name, got[name], n)
		}
	}
	if got["larder.store.usage{}"] < 5 {
		t.Errorf("the store holds %d bytes", got["larder.store.usage{}"])
	}
	if t.Failed() {
		for name, n := range got {
			t.Log(name, n)
		}
	}
}

// TestObserveGoesOn shows that who observed the cache before still does.
func TestObserveGoesOn(t *testing.T) {
	var n atomic.Int64
	x := instrument(t, &larder.Cache{Observe: func(e larder.Event) {
		if e.Kind == larder.Answered {
			n.Add(1)
		}
	}})
	x.get(serve(t))
	if n.Load() != 1 {
		t.Errorf("%d events", n.Load())
	}
}

// TestStoreContract shows that a store that is told of keeps all its promises.
func TestStoreContract(t *testing.T) {
	storetest.Run(t, storetest.Kit{Open: func(string) (store.Store, error) {
		c := &larder.Cache{Store: new(memory.Store)}
		if _, err := otellarder.Instrument(c, &otellarder.Options{TracerProvider: trace.NewTracerProvider()}); err != nil {
			return nil, err
		}
		return c.Store, nil
	}})
}

// BenchmarkHit is a hit from memory: without instruments, with them and no provider installed, and with the SDK.
func BenchmarkHit(b *testing.B) {
	run := func(name string, prepare func(*larder.Cache) http.RoundTripper) {
		c := &larder.Cache{Base: base(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{"Cache-Control": {"max-age=3600"}}, Request: r,
				Body: io.NopCloser(strings.NewReader("hello")), ContentLength: 5}, nil
		})}
		rt := prepare(c)
		req, _ := http.NewRequest("GET", "http://example.com/", nil)
		ask := func() {
			resp, err := rt.RoundTrip(req)
			if err != nil {
				b.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		ask()
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ask()
			}
		})
	}
	instrumented := func(o *otellarder.Options) func(*larder.Cache) http.RoundTripper {
		return func(c *larder.Cache) http.RoundTripper {
			rt, err := otellarder.Instrument(c, o)
			if err != nil {
				b.Fatal(err)
			}
			return rt
		}
	}
	run("bare", func(c *larder.Cache) http.RoundTripper { return c })
	run("no provider", instrumented(nil))
	run("sdk", instrumented(&otellarder.Options{TracerProvider: trace.NewTracerProvider(),
		MeterProvider: metric.NewMeterProvider(metric.WithReader(metric.NewManualReader()))}))
}
