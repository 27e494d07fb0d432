package larder_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

// roundTripper is a Base made of a function.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRequestWithoutURLIsAnError(t *testing.T) {
	if resp, err := new(larder.Cache).RoundTrip(new(http.Request)); err == nil {
		t.Errorf("got %d, want an error", resp.StatusCode)
	}
}

// A RoundTripper other than net/http's may leave out what http.Client makes up for.
func TestBaseMayLeaveThingsOut(t *testing.T) {
	fresh := http.Header{"Cache-Control": {"max-age=60"}}
	hi := func() io.ReadCloser { return io.NopCloser(strings.NewReader("hi")) }
	for _, c := range []struct {
		name string
		resp func() *http.Response
		body string
		then larder.Outcome // of a second request
	}{
		{"the length", func() *http.Response { return &http.Response{StatusCode: 200, Header: fresh.Clone(), Body: hi()} }, "hi", larder.Hit},
		{"the body", func() *http.Response { return &http.Response{StatusCode: 200, Header: fresh.Clone()} }, "", larder.Hit},
		{"that there is no body", func() *http.Response { // as by HTTP/3
			return &http.Response{StatusCode: 204, Header: fresh.Clone(), ContentLength: 90, Body: io.NopCloser(strings.NewReader(""))}
		}, "", larder.Hit},
		{"the header", func() *http.Response { return &http.Response{StatusCode: 200, Body: hi()} }, "hi", larder.Miss},
	} {
		cache := &larder.Cache{Name: "c", Base: roundTripper(func(*http.Request) (*http.Response, error) { return c.resp(), nil })}
		for _, want := range []larder.Outcome{larder.Miss, c.then} {
			resp, err := cache.Client().Get("http://example.com/")
			if err != nil {
				t.Fatalf("without %s: %v", c.name, err)
			}
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if got := larder.Info(resp).Outcome; got != want || string(b) != c.body || err != nil {
				t.Errorf("without %s: got %v %q, error %v, want %v %q", c.name, got, b, err, want, c.body)
			}
		}
	}
}

func TestBaseMustAnswer(t *testing.T) {
	cache := &larder.Cache{Base: roundTripper(func(*http.Request) (*http.Response, error) { return nil, nil })}
	for _, method := range []string{"GET", "DELETE"} { // by a flight, and past it
		req, err := http.NewRequest(method, "http://example.com/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := cache.RoundTrip(req); err == nil {
			t.Errorf("%s: got %d, want an error", method, resp.StatusCode)
		}
	}
}

// What a HEAD says of the stored GET is kept; the response to it is the caller's to change.
func TestHeadOfCallerIsNotWhatIsStored(t *testing.T) {
	cache := &larder.Cache{Base: roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{"Cache-Control": {"no-cache"}, "Etag": {`"a"`}, "X-A": {"said"}}, Body: http.NoBody}, nil
	})}
	client := cache.Client()
	if _, err := client.Get("http://example.com/"); err != nil {
		t.Fatal(err)
	}
	resp, err := client.Head("http://example.com/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Header["X-A"][0] = "changed"
	for r, err := range cache.Entries(t.Context(), store.Query{}) {
		if err != nil || r.Header.Get("X-A") != "said" {
			t.Errorf("stored is %v, error %v", r.Header, err)
		}
	}
}

// closer is a Base with connections.
type closer struct {
	roundTripper
	closed int
}

func (c *closer) CloseIdleConnections() { c.closed++ }

// TestCloseIdleConnections shows that a client's reaches the Base.
func TestCloseIdleConnections(t *testing.T) {
	base := new(closer)
	(&larder.Cache{Base: base}).Client().CloseIdleConnections()
	(&larder.Cache{Base: base.roundTripper}).Client().CloseIdleConnections() // which has none
	if base.closed != 1 {
		t.Errorf("closed %d times", base.closed)
	}
}
