//go:build unix

package main_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestServeEnds shows how an interrupt ends it: what is under way is let through, within --grace, unless there is a
// second one.
func TestServeEnds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		flags   []string
		signals []syscall.Signal
		ends    bool // the download comes to its end by itself
		code    int
		stored  int
	}{
		{"SIGTERM", nil, []syscall.Signal{syscall.SIGTERM}, true, 0, 1},
		{"SIGINT", nil, []syscall.Signal{syscall.SIGINT}, true, 0, 1},
		{"grace is over", []string{"--grace", "200ms"}, []syscall.Signal{syscall.SIGTERM}, false, 1, 0},
		{"twice", nil, []syscall.Signal{syscall.SIGTERM, syscall.SIGTERM}, false, -1, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			next := make(chan struct{})
			o := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=600")
				io.WriteString(w, "one ")
				http.NewResponseController(w).Flush()
				select {
				case <-next:
					io.WriteString(w, "two")
				case <-r.Context().Done():
				}
			}))
			defer o.Close()
			u := newUser(t, "sqlite:HOME/cache.sqlite")
			s := u.serve(append(test.flags, "--origin", o.URL)...)
			resp, err := http.Get(s.url)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if _, err := io.ReadFull(resp.Body, make([]byte, 4)); err != nil {
				t.Fatal(err)
			}
			for i, signal := range test.signals {
				if err := s.cmd.Process.Signal(signal); err != nil {
					t.Fatal(err)
				}
				for i == 0 && (test.ends || len(test.signals) > 1) { // until it has heard of it
					again, err := http.Get(s.url)
					if err != nil {
						break
					}
					again.Body.Close()
				}
			}
			if test.ends {
				close(next)
			}
			gone := make(chan struct{})
			var impatient sync.WaitGroup
			if len(test.signals) > 1 { // the second may come before the first is wholly dealt with
				impatient.Go(func() {
					for {
						select {
						case <-gone:
							return
						case <-time.After(100 * time.Millisecond):
							s.cmd.Process.Signal(test.signals[1])
						}
					}
				})
			}
			rest, err := io.ReadAll(resp.Body)
			if (err == nil && string(rest) == "two") != test.ends {
				t.Errorf("then come %q, %v", rest, err)
			}
			code := s.code()
			close(gone)
			impatient.Wait()
			if code != test.code {
				t.Errorf("exit code %d, want %d: %s", code, test.code, s.err.String())
			}
			if left := u.stored(); len(left) != test.stored {
				t.Errorf("stored: %v", left)
			}
		})
	}
}
