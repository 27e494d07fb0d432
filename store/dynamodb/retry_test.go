package dynamodb

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
)

// everyThird runs do for a third of what comes.
func everyThird(do func(w http.ResponseWriter, c call)) func(http.ResponseWriter, call) bool {
	var mu sync.Mutex
	rnd := rand.New(rand.NewPCG(1, 2))
	return func(w http.ResponseWriter, c call) bool {
		mu.Lock()
		hit := rnd.IntN(3) == 0
		mu.Unlock()
		if hit {
			do(w, c)
		}
		return hit
	}
}

// cut closes the connection of w, after a part of an answer if there is to be one.
func cut(w http.ResponseWriter, part string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	io.WriteString(conn, part)
	conn.Close()
}

func TestTroubleThatPassesIsNotSeen(t *testing.T) {
	for name, trouble := range map[string]func(w http.ResponseWriter, c call){
		"throttled": func(w http.ResponseWriter, c call) {
			fail(w, 400, "ProvisionedThroughputExceededException", "The level of configured provisioned throughput was exceeded.")
		},
		"throttled by the account": func(w http.ResponseWriter, c call) { fail(w, 400, "ThrottlingException", "Rate exceeded") },
		"a fault of the server": func(w http.ResponseWriter, c call) {
			fail(w, 500, "InternalServerError", "The request processing has failed")
		},
		"cut before the answer": func(w http.ResponseWriter, c call) { cut(w, "") },
		"cut in the answer": func(w http.ResponseWriter, c call) {
			cut(w, "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: 1000\r\n\r\n{\"Item\":{\"pk\":{\"S\":\"")
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFront(t)
			s := open(t, &Options{Endpoint: f.URL, Options: chunked.Options{Chunk: 32 << 10}})
			f.answer(everyThird(trouble))
			var old []store.ID
			for _, size := range []int{0, 10_000, 300_000, 700_000} {
				r := record("key")
				body := bytes.Repeat(r.ID[:], size)[:size]
				w, err := s.Create(ctx, r)
				if err == nil {
					_, err = w.Write(body)
				}
				if err == nil {
					r.Size = int64(size)
					err = w.Commit(r, old...)
				}
				if err == nil {
					err = w.Close()
				}
				if err != nil {
					t.Fatalf("store %d bytes: %v", size, err)
				}
				old = []store.ID{r.ID}
				found, err := s.Lookup(ctx, "key")
				if err != nil || len(found) != 1 || found[0].ID != r.ID {
					t.Fatalf("Lookup: %v, %v", found, err)
				}
				got := found[0].Body
				if got == nil && size > 0 {
					b, err := s.Open(ctx, found[0])
					if err != nil {
						t.Fatal(err)
					}
					if got, err = io.ReadAll(b); err != nil {
						t.Fatal(err)
					}
					b.Close()
				}
				if !bytes.Equal(got, body) {
					t.Errorf("%d bytes come back as %d, or as wrong ones", size, len(got))
				}
				if err := s.Update(ctx, found[0]); err != nil {
					t.Errorf("Update: %v", err)
				}
			}
			n := 0
			for _, err := range s.Find(ctx, store.Query{}) {
				if err != nil {
					t.Errorf("Find: %v", err)
				}
				n++
			}
			if n != 1 {
				t.Errorf("Find: %d records, want 1", n)
			}
			if err := s.Delete(ctx, "key"); err != nil {
				t.Errorf("Delete: %v", err)
			}
		})
	}
}

func TestThrottlingThatLasts(t *testing.T) {
	f := newFront(t)
	s := open(t, &Options{Endpoint: f.URL})
	f.answer(func(w http.ResponseWriter, c call) bool {
		fail(w, 400, "ProvisionedThroughputExceededException", "The level of configured provisioned throughput was exceeded.")
		return true
	})
	f.calls()
	_, err := s.Lookup(ctx, "key")
	if err == nil || !strings.Contains(err.Error(), "throttled: The level of") {
		t.Errorf("got %v, want that it is throttled", err)
	}
	if n := len(f.calls()); n != maxTries {
		t.Errorf("%d tries, want %d", n, maxTries)
	}
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	begun := time.Now()
	if _, err = s.Lookup(short, "key"); !errors.Is(err, context.DeadlineExceeded) && (err == nil || !strings.Contains(err.Error(), "throttled")) {
		t.Errorf("got %v, want that it is throttled or that the time is up", err)
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("with a deadline of 100 ms it took %v", took)
	}
}

func TestWhatIsFinalIsNotTriedAgain(t *testing.T) {
	f := newFront(t)
	s := open(t, &Options{Endpoint: f.URL})
	f.answer(func(w http.ResponseWriter, c call) bool {
		fail(w, 400, "AccessDeniedException", "no")
		return true
	})
	f.calls()
	if _, err := s.Lookup(ctx, "key"); err == nil || len(f.calls()) != 1 {
		t.Errorf("got %v; want one try that is refused", err)
	}

	foreign := httptest.NewUnstartedServer(http.NotFoundHandler())
	foreign.Config.ErrorLog = log.New(io.Discard, "", 0)
	foreign.StartTLS()
	defer foreign.Close()
	for want, at := range map[string]string{
		"connection refused": refused(t),
		"larder.invalid":     "http://larder.invalid",
		"certificate":        foreign.URL,
	} {
		client, sent := clientOf(t, at)
		s, err := New(client, "larder", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Lookup(ctx, "key"); err == nil || !strings.Contains(err.Error(), want) || sent.Load() != 1 {
			t.Errorf("got %v after %d tries, want %q after one", err, sent.Load(), want)
		}
	}
}

func TestAServerThatDoesNotAnswer(t *testing.T) {
	s := open(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s.table.client, _ = clientOf(t, "http://"+l.Addr().String())
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := s.Lookup(short, "key"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Lookup(cancelled, "key"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
