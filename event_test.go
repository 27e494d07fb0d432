package larder_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/memory"
)

// A request that ends in an error is told of, without what is secret in its URL.
func TestFailedRequestIsTold(t *testing.T) {
	fault := errors.New("no route to host")
	down := roundTripper(func(*http.Request) (*http.Response, error) { return nil, fault })
	for _, c := range []struct {
		name   string
		method string
		mode   larder.Mode
		want   string
		rules  []larder.Rule
	}{
		{"by a flight", "GET", larder.Standard, "http://example.com/a?api_key=REDACTED", []larder.Rule{{Redact: []string{"api_key"}}}},
		{"past it", "GET", larder.Bypass, "http://example.com/a?api_key=REDACTED", []larder.Rule{{Redact: []string{"api_key"}}}},
		{"of a method that the rule does not mean", "DELETE", larder.Standard, "http://example.com/a?api_key=REDACTED", []larder.Rule{{Redact: []string{"api_key"}}}},
		{"by a faulty rule, which does not tell what is secret", "GET", larder.Standard, "", []larder.Rule{{Match: "[", Redact: []string{"api_key"}}}},
	} {
		var told []larder.Event
		cache := &larder.Cache{Base: down, Rules: c.rules, Observe: func(e larder.Event) { told = append(told, e) }}
		req, err := http.NewRequestWithContext(larder.WithMode(t.Context(), c.mode), c.method, "http://example.com/a?api_key=secret", nil)
		if err != nil {
			t.Fatal(err)
		}
		_, failure := cache.RoundTrip(req)
		if len(told) != 1 || told[0].Kind != larder.Failed || told[0].Err != failure || told[0].Method != c.method || told[0].URL != c.want {
			t.Errorf("%s: got %+v, want one failed %s %s with %v", c.name, told, c.method, c.want, failure)
		}
	}
}

// TestSecretsAreNotTold shows that no event has what is secret by a rule for the URL, whatever the method.
func TestSecretsAreNotTold(t *testing.T) {
	rules := []larder.Rule{{Match: "other.example", Redact: []string{"page"}}, {Match: "example.com/a", Redact: []string{"api_key"}}, {Redact: []string{"token"}}}
	for _, method := range []string{"GET", "HEAD", "QUERY", "POST", "PUT", "DELETE", "OPTIONS"} {
		var told []string
		cache := &larder.Cache{Rules: rules, Observe: func(e larder.Event) { told = append(told, e.URL) },
			Base: roundTripper(func(req *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
			})}
		req, err := http.NewRequestWithContext(t.Context(), method, "http://example.com/a?page=1&API_KEY=secret", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := cache.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if err := cache.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(told) == 0 {
			t.Errorf("%s: nothing is told", method)
		}
		for _, url := range told {
			if url != "http://example.com/a?page=1&API_KEY=REDACTED" {
				t.Errorf("%s: told is %s", method, url)
			}
		}
	}
}

// TestLogIsDocumented shows that docs/events.md lists the attributes of the log's lines, with their types, and no
// others.
func TestLogIsDocumented(t *testing.T) {
	text, err := os.ReadFile("docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || !strings.HasPrefix(cells[1], " `") {
			continue
		}
		names, types := strings.Split(cells[1], ","), strings.Split(cells[2], ",")
		for i, name := range names {
			documented[strings.Trim(name, " `")] = strings.TrimSpace(types[min(i, len(types)-1)])
		}
	}
	log := &recordingLog{types: make(map[string]string), kinds: make(map[string]bool)}
	provoke(t, slog.New(log))
	for name, kind := range log.types {
		if documented[name] != kind {
			t.Errorf("%s is %s, in the document %q", name, kind, documented[name])
		}
	}
	for name := range documented {
		if log.types[name] == "" {
			t.Errorf("%s is in the document, and in no line", name)
		}
	}
	for kind := larder.Answered; kind <= larder.Failed; kind++ {
		if !log.kinds[kind.String()] || !strings.Contains(string(text), "`"+kind.String()+"`") {
			t.Errorf("%s: told %v; in the document %v", kind, log.kinds[kind.String()], strings.Contains(string(text), "`"+kind.String()+"`"))
		}
	}
}

// recordingLog remembers which attributes and events there were.
type recordingLog struct {
	mu    sync.Mutex
	types map[string]string
	kinds map[string]bool
}

func (l *recordingLog) Enabled(context.Context, slog.Level) bool { return true }
func (l *recordingLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *recordingLog) WithGroup(string) slog.Handler            { return l }

func (l *recordingLog) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for a := range r.Attrs {
		kind := strings.ToLower(a.Value.Kind().String())
		switch kind {
		case "int64":
			kind = "int"
		case "any":
			kind = "string" // an error
		}
		l.types[a.Key] = kind
		if a.Key == "event" {
			l.kinds[a.Value.String()] = true
		}
	}
	return nil
}

// provoke makes a cache tell of every kind of event.
func provoke(t *testing.T, log *slog.Logger) {
	status, broken := http.StatusOK, false
	body := "hello"
	base := roundTripper(func(r *http.Request) (*http.Response, error) {
		h := http.Header{"Cache-Control": {"max-age=60, stale-while-revalidate=600"}, "Etag": {`"1"`}}
		switch {
		case broken:
			return nil, errors.New("no route to host")
		case r.URL.Path == "/cut":
			return &http.Response{StatusCode: 200, Header: h, Body: io.NopCloser(io.MultiReader(strings.NewReader(body), iotest.ErrReader(io.ErrUnexpectedEOF))), ContentLength: -1}, nil
		case r.URL.Path == "/no-store":
			return &http.Response{StatusCode: 200, Header: http.Header{"Cache-Control": {"no-store"}}, Body: http.NoBody}, nil
		case r.Header.Get("If-None-Match") != "":
			return &http.Response{StatusCode: 304, Header: h, Body: http.NoBody}, nil
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}, nil
	})
	s := &failingLookups{Store: new(memory.Store)}
	now := time.Now()
	cache := &larder.Cache{Base: base, Store: s, Logger: log, Rules: []larder.Rule{{Match: "example.com"}}, Now: func() time.Time { return now }}
	ask := func(method, path string) {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://example.com"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := cache.RoundTrip(req); err == nil {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		if err := cache.Close(t.Context()); err != nil { // what is done in the background is told of by then
			t.Fatal(err)
		}
	}
	ask("GET", "/a")         // answered, stored
	ask("GET", "/cut")       // discarded
	ask("GET", "/no-store")  // not_stored
	now = now.Add(time.Hour) // beyond the window
	ask("GET", "/a")         // updated
	now = now.Add(2 * time.Minute)
	broken = true
	ask("GET", "/a") // refresh failed
	ask("GET", "/b") // failed
	broken = false
	s.err = store.ErrCorrupt
	ask("GET", "/a") // damaged
	s.err = errors.New("no such table")
	ask("GET", "/a") // store failed
	s.err = nil
	ask("DELETE", "/a") // invalidated
}

// failingLookups is a store that fails to look up when it is told to.
type failingLookups struct {
	store.Store
	err error
}

func (f *failingLookups) Lookup(ctx context.Context, key store.Key) ([]*store.Record, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.Store.Lookup(ctx, key)
}
