package larder

import (
	"context"
	"io"
	"iter"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/memory"
)

// lateLookup gives what it has found under a key, the first time, when it is told to.
type lateLookup struct {
	memory.Store
	key  store.Key
	once atomic.Bool
	open chan struct{}
}

func (s *lateLookup) Lookup(ctx context.Context, key store.Key) ([]*store.Record, error) {
	records, err := s.Store.Lookup(ctx, key)
	if key == s.key && s.once.CompareAndSwap(false, true) {
		<-s.open
	}
	return records, err
}

// unhurried is a Base that answers when everything else waits.
type unhurried struct{ unheeding }

func (u unhurried) RoundTrip(req *http.Request) (*http.Response, error) {
	synctest.Wait()
	return u.unheeding.RoundTrip(req)
}

// TestNotesFoundLate shows that a look for notes which began before one was taken does not make it forgotten, and with
// it what an unsafe request has to remove.
func TestNotesFoundLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &lateLookup{open: make(chan struct{}), key: noteKey("http://example.com/a")}
		c := &Cache{Base: unhurried{}, Store: s}
		send(t, c, "QUERY", "/other") // so that the origin is known to have notes
		send(t, c, "QUERY", "/a")
		close(s.open)
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := send(t, c, "QUERY", "/a"); got != Hit {
			t.Fatalf("the second QUERY was a %v, want a hit", got)
		}
		send(t, c, "DELETE", "/a")
		if got := send(t, c, "QUERY", "/a"); got != Miss {
			t.Errorf("the QUERY after the DELETE was a %v, want a miss", got)
		}
	})
}

// lateCreate begins the first write under a key when it is told to.
type lateCreate struct {
	memory.Store
	key  store.Key
	once atomic.Bool
	open chan struct{}
}

func (s *lateCreate) Create(ctx context.Context, r *store.Record) (store.Writer, error) {
	if r.Key == s.key && s.once.CompareAndSwap(false, true) {
		<-s.open
	}
	return s.Store.Create(ctx, r)
}

// freeOf is a Base whose answers are the same whatever the parameter has for a value that the request's fragment names.
type freeOf struct{ unheeding }

func (f freeOf) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := f.unheeding.RoundTrip(req)
	resp.Header.Set(noVarySearch, `params=("`+req.URL.Fragment+`")`)
	return resp, err
}

// TestNotesTakenAtOnce shows that of two notes which are taken for one URL at the same time neither is forgotten.
func TestNotesTakenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &lateCreate{open: make(chan struct{}), key: noteKey("http://example.com/")}
		c := &Cache{Base: freeOf{}, Store: s}
		get := func(query string) Decision {
			resp, err := c.Client().Get("http://example.com/?" + query)
			if err != nil {
				t.Error(err)
				return Decision{}
			}
			resp.Body.Close()
			return Info(resp)
		}
		go get("id=1&a=1#a")
		synctest.Wait() // it is about to take its note
		get("id=2&b=1#b")
		close(s.open)
		synctest.Wait()
		for _, query := range []string{"id=1&a=2#a", "id=2&b=2#b"} {
			if got := get(query).Outcome; got != Hit {
				t.Errorf("%s was a %v, want a hit", query, got)
			}
		}
	})
}

// busyList is a store whose listings end when something has been done meanwhile, and tell their numbers to it.
type busyList struct {
	memory.Store
	lists     int
	meanwhile func(list int)
}

func (s *busyList) Find(ctx context.Context, q store.Query) iter.Seq2[*store.Record, error] {
	return func(yield func(*store.Record, error) bool) {
		for r, err := range s.Store.Find(ctx, q) {
			if !yield(r, err) {
				return
			}
		}
		s.lists++
		s.meanwhile(s.lists)
	}
}

// TestNotesPurgedMeanwhile shows that an unsafe request removes also what was stored while everything was purged.
func TestNotesPurgedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for when := 1; when <= 2; when++ {
			s := new(busyList)
			c := &Cache{Base: unheeding{"Cache-Control": {"max-age=600"}}, Store: s}
			s.meanwhile = func(list int) {
				if list == when {
					send(t, c, "QUERY", "/a?new")
				}
			}
			send(t, c, "QUERY", "/a")
			if n, err := c.Purge(t.Context(), store.Query{}); n == 0 || err != nil {
				t.Errorf("purged %d, error %v", n, err)
			}
			s.meanwhile = func(int) {}
			time.Sleep(2 * noteAge) // of the bubble's clock
			send(t, c, "DELETE", "/a?new")
			if got := send(t, c, "QUERY", "/a?new"); got != Miss {
				t.Errorf("stored during list %d: the QUERY after the DELETE was a %v, want a miss", when, got)
			}
		}
	})
}

// TestKeyOfAFinishedRequest shows that Cache.Key is not called with a request whose response's body the caller has
// closed: it may be in use for something else.
func TestKeyOfAFinishedRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body, origin := io.Pipe()
		base := unheeding{}
		c := &Cache{Shared: true, Base: withBody{base, body}, Key: func(req *http.Request) string {
			if req.Header["Reused"] != nil {
				t.Error("it is called with a request that is used again")
			}
			return ""
		}}
		req, err := http.NewRequest(http.MethodGet, "http://example.com/%61", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		go io.WriteString(origin, "one")
		io.ReadFull(resp.Body, make([]byte, 3))
		resp.Body.Close()
		req.Header.Set("Reused", "yes")
		origin.Close()
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if n := c.Stats().Stored; n != 1 {
			t.Errorf("%d responses were stored, want 1", n)
		}
	})
}

// withBody is a Base with another's answers, which have that body.
type withBody struct {
	http.RoundTripper
	body io.ReadCloser
}

func (w withBody) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := w.RoundTripper.RoundTrip(req)
	resp.Body = w.body
	return resp, err
}
