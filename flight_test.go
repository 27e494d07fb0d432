package larder

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/memory"
)

// unheeding is a Base that answers even when nobody waits any more.
type unheeding http.Header

func (u unheeding) RoundTrip(*http.Request) (*http.Response, error) {
	h := http.Header{"Cache-Control": {"max-age=60"}}
	maps.Copy(h, u)
	return &http.Response{StatusCode: http.StatusOK, Header: h, ContentLength: -1, Body: http.NoBody}, nil
}

func TestKeysWhoseAnswersCannotBeSharedAreBounded(t *testing.T) {
	var fs flights
	key := func(i int) store.Key { return store.Key(fmt.Sprint(i)) }
	for i := range maxUnshared {
		fs.note(key(i), false)
	}
	if fs.worthWaiting(key(0)) || fs.worthWaiting(key(maxUnshared-1)) || !fs.worthWaiting(key(maxUnshared)) {
		t.Errorf("of %d keys some are forgotten, or one more is known", maxUnshared)
	}
	if fs.note(key(maxUnshared), false); len(fs.unshared) > maxUnshared || fs.worthWaiting(key(maxUnshared)) {
		t.Errorf("%d keys are remembered", len(fs.unshared))
	}
}

// TestPanicAfterTheEnd shows that a panic after a flight has been settled is told of as it is, and settles nothing once
// more.
func TestPanicAfterTheEnd(t *testing.T) {
	c := &Cache{Base: unheeding{}, Observe: func(e Event) {
		if e.Kind == Discarded {
			panic("a bug")
		}
	}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://example.com/", nil)
	if err != nil {
		t.Fatal(err)
	}
	x, err := c.exchangeFor(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.look(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	f := c.flights.alone(t.Context(), flightKey{key: x.key, method: http.MethodGet}, x.target.url)
	f.done()
	f.leave(true)
	defer func() {
		if p := fmt.Sprint(recover()); !strings.Contains(p, "a bug") {
			t.Errorf("the panic is %q", p)
		}
	}()
	c.lead(f, x)
}

// TestPanicInAPost shows that a panic in a rule's filter, too, ends the flight by which a POST answers later GETs.
func TestPanicInAPost(t *testing.T) {
	c := &Cache{Base: unheeding{"Content-Location": {"http://example.com/"}}, Rules: []Rule{{Filter: func(*http.Response) bool { panic("a bug") }}}}
	resp, err := c.Client().Post("http://example.com/", "text/plain", strings.NewReader("a"))
	if err == nil {
		resp.Body.Close()
		t.Fatalf("got %d", resp.StatusCode)
	}
	if !strings.Contains(err.Error(), "a bug") || len(c.flights.under) != 0 {
		t.Errorf("%d flights are left after %v", len(c.flights.under), err)
	}
}

// inParts is an origin that answers with two parts, and does not say of what type they are. It gives no more than that
// many bytes.
type inParts int

const twoParts = "--b\r\nContent-Range: bytes 0-1/9\r\n\r\nab\r\n--b\r\nContent-Range: bytes 4-5/9\r\n\r\nef\r\n--b--\r\n"

func (n inParts) RoundTrip(*http.Request) (*http.Response, error) {
	h := http.Header{"Cache-Control": {"max-age=60"}, "Etag": {`"1"`}, "Content-Type": {"multipart/byteranges; boundary=b"}}
	return &http.Response{StatusCode: http.StatusPartialContent, Header: h, ContentLength: -1, Body: io.NopCloser(strings.NewReader(twoParts[:n]))}, nil
}

// askForParts returns c's answer to a request for two parts.
func askForParts(t *testing.T, c *Cache) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://example.com/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Range", "bytes=0-1,4-5")
	resp, err := c.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// TestPanicInAPart shows that a panic in a rule's filter, when the parts of a response are stored behind the caller's
// back, is told of, and ends no more than that.
func TestPanicInAPart(t *testing.T) {
	var told []error
	c := &Cache{
		Base:  inParts(len(twoParts)),
		Rules: []Rule{{Filter: func(r *http.Response) bool { return r.Header["Content-Type"][0] != "" }}},
		Observe: func(e Event) {
			if e.Kind == Discarded {
				told = append(told, e.Err)
			}
		},
	}
	resp := askForParts(t, c)
	if got, err := io.ReadAll(resp.Body); err != nil || string(got) != twoParts {
		t.Errorf("got %q, %v", got, err)
	}
	resp.Body.Close()
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if len(told) != 1 || !strings.Contains(told[0].Error(), "index out of range") || len(c.flights.under) != 0 {
		t.Errorf("%d flights are left after %v", len(c.flights.under), told)
	}
}

// TestPartsThatBreakOff shows that nothing waits for more of a multipart response that its caller has read to its early
// end, and not closed.
func TestPartsThatBreakOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Cache{Base: inParts(len(twoParts) / 2)}
		resp := askForParts(t, c)
		io.Copy(io.Discard, resp.Body)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			t.Error(err)
			resp.Body.Close()
		}
	})
}

// piecemeal is an origin whose bodies come as somebody writes them, in parts; to other requests than GET it answers that
// all is well.
type piecemeal struct{ body io.ReadCloser }

func (o piecemeal) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := inParts(0).RoundTrip(req)
	if resp.Body = o.body; req.Method != http.MethodGet {
		resp.StatusCode, resp.Body = http.StatusNoContent, http.NoBody
	}
	return resp, err
}

// TestPartsThatAreOutdated shows that no part of a multipart response is stored that comes after an unsafe request has
// changed what it is of.
func TestPartsThatAreOutdated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body, origin := io.Pipe()
		c := &Cache{Base: piecemeal{body}}
		resp := askForParts(t, c)
		go io.Copy(io.Discard, resp.Body)
		io.WriteString(origin, twoParts[:len(twoParts)/2])
		synctest.Wait()
		send(t, c, "PUT", "/")
		io.WriteString(origin, twoParts[len(twoParts)/2:])
		origin.Close()
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
		for r := range c.Entries(t.Context(), store.Query{}) {
			t.Errorf("%s is stored", r.Header["Content-Range"])
		}
	})
}

// TestLandingTwice shows that a flight lands once, as where a panic follows.
// byTurns is a Base that answers with each of these statuses in turn; 0: not at all.
type byTurns []int

func (b *byTurns) RoundTrip(req *http.Request) (*http.Response, error) {
	status := (*b)[0]
	*b = (*b)[1:]
	if status == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	resp, err := oneOrigin{http.Header{"Cache-Control": {"max-age=60"}, "Content-Location": {"/a"}, "Etag": {`"1"`}}, []byte("hello")}.RoundTrip(req)
	if resp.StatusCode = status; status == http.StatusNotModified {
		resp.Body, resp.ContentLength = http.NoBody, 0
	}
	return resp, err
}

// TestEveryFlightLands shows that nothing is left of a flight when it is over, whatever came of it.
func TestEveryFlightLands(t *testing.T) {
	for _, s := range []store.Store{new(memory.Store), struct{ store.Store }{new(memory.Store)}} { // near, and distant
		synctest.Test(t, func(t *testing.T) {
			c := &Cache{Store: s, Base: &byTurns{200, 304, 500, 0, 200, 404, 200, 200, 200}}
			for _, method := range []string{"GET", "GET", "GET", "GET", "HEAD", "GET", "POST", "PUT", "QUERY"} {
				send(t, c, method, "/a")
				time.Sleep(time.Hour) // of the bubble's clock
				c.flights.mu.Lock()
				if n := len(c.flights.under); n > 0 {
					t.Errorf("%d flights are under way after a %s", n, method)
				}
				c.flights.mu.Unlock()
			}
			if err := c.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLandingTwice(t *testing.T) {
	var c Cache
	f := c.flights.alone(t.Context(), flightKey{}, "http://example.com/")
	defer f.cancel()
	f.landed = make(chan struct{})
	c.land(f)
	c.land(f)
	if n := c.flights.landed.Load(); n != 1 {
		t.Errorf("it has landed %d times", n)
	}
}

// TestPanicInAPull shows that whoever else reads a body gets an error, and does not wait for ever, when what one reader
// does panics: at the end of the body, or where it has grown too long to be stored.
func TestPanicInAPull(t *testing.T) {
	for _, at := range []EventKind{StoredResponse, Discarded} {
		synctest.Test(t, func(t *testing.T) {
			c := &Cache{Base: ofUnknownLength{oneOrigin{apiHeader(), make([]byte, 2*chunkSize)}}, Observe: func(e Event) {
				if e.Kind == at {
					panic("a bug")
				}
			}}
			if at == Discarded {
				c.MaxBody = chunkSize - 1
			}
			get := func() io.ReadCloser {
				resp, err := c.Client().Get("http://example.com/")
				if err != nil {
					t.Fatal(err)
				}
				return resp.Body
			}
			one, other := get(), get()
			defer other.Close()
			func() {
				defer func() { recover() }() // as a server does around its handlers
				io.Copy(io.Discard, one)
			}()
			if _, err := io.Copy(io.Discard, other); err == nil || !strings.Contains(err.Error(), "a bug") {
				t.Errorf("at %v: the other reader got %v", at, err)
			}
		})
	}
}

// ofUnknownLength is an origin that does not tell how long its bodies are.
type ofUnknownLength struct{ oneOrigin }

func (o ofUnknownLength) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := o.oneOrigin.RoundTrip(req)
	resp.ContentLength = -1
	resp.Header.Del("Content-Length")
	return resp, err
}

// TestPanicAtTheEnd shows that the origin's body is closed, and its flight over, when what is done for a body that
// nobody reads panics.
func TestPanicAtTheEnd(t *testing.T) {
	c := &Cache{Base: oneOrigin{apiHeader(), make([]byte, 1<<20)}, Observe: func(e Event) {
		if e.Kind == Discarded {
			panic("a bug")
		}
	}}
	resp, err := c.Client().Get("http://example.com/")
	if err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() { recover() }() // as a server does around its handlers
		resp.Body.Close()
	}()
	if n := len(c.flights.under); n != 0 {
		t.Errorf("%d flights are still under way", n)
	}
}
