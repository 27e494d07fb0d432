package larder_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/larder"
)

// halfBody gives the first half of ten bytes, and then stands still until it is closed.
type halfBody struct {
	given  bool
	once   sync.Once
	ended  chan struct{}
	closed *atomic.Int64
}

func (b *halfBody) Read(p []byte) (int, error) {
	if !b.given {
		b.given = true
		return copy(p, "hello"), nil
	}
	<-b.ended
	return 0, io.ErrUnexpectedEOF
}

func (b *halfBody) Close() error {
	b.once.Do(func() {
		b.closed.Add(1)
		close(b.ended)
	})
	return nil
}

type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// What callers leave unread is waited for after them, but not of any number of callers.
func TestWhatCallersLeaveIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const callers, bound = 600, 512
		var closed atomic.Int64
		c := &larder.Cache{Base: roundTripFunc(func(req *http.Request) (*http.Response, error) {
			body := &halfBody{ended: make(chan struct{}), closed: &closed}
			context.AfterFunc(req.Context(), func() { body.Close() })
			return &http.Response{StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: 10,
				Header: http.Header{"Cache-Control": {"max-age=60"}}, Body: body, Request: req}, nil
		})}
		for i := range callers {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://example.com/%d", i), nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := c.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(resp.Body, make([]byte, 5)); err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
		synctest.Wait()
		if n := closed.Load(); n != callers-bound {
			t.Errorf("%d bodies were dropped at once, want %d", n, callers-bound)
		}
		time.Sleep(3 * time.Second) // of the bubble's clock
		synctest.Wait()
		if n := closed.Load(); n != callers {
			t.Errorf("%d bodies were dropped in the end, want all %d", n, callers)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Who reads slowly what cannot be stored is waited for as long as he likes, once nobody else wants what comes next.
func TestASlowReaderAloneIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := strings.Repeat("larder ", 30_000)
		c := &larder.Cache{MaxBody: 1000, Base: roundTripFunc(func(req *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: -1,
				Header: http.Header{"Cache-Control": {"max-age=60"}}, Body: io.NopCloser(strings.NewReader(page)), Request: req}, nil
		})}
		var bodies [2]io.ReadCloser
		for i := range bodies {
			resp, err := c.Client().Get("http://example.com/")
			if err != nil {
				t.Fatal(err)
			}
			bodies[i] = resp.Body
		}
		quick, slow := bodies[0], bodies[1]
		done := make(chan struct{})
		go func() {
			defer close(done)
			io.Copy(io.Discard, quick)
		}()
		synctest.Wait() // it has the first chunk, and wants the next
		quick.Close()
		<-done
		time.Sleep(time.Hour) // of the bubble's clock
		got, err := io.ReadAll(slow)
		if err != nil || string(got) != page {
			t.Errorf("got %d bytes, error %v, want %d", len(got), err, len(page))
		}
		slow.Close()
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
