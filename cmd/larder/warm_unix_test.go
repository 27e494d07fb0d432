//go:build unix

package main_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// TestWarmInterrupted is what larder warm promises: 10000 URLs, Ctrl-C in the middle, and again, and each is fetched
// exactly once. Those that are stored are hits the second time; of those that are not, --resume knows.
func TestWarmInterrupted(t *testing.T) {
	const all, middle = 10_000, 4_000
	for _, test := range []struct{ name, store, control, resume string }{
		{"sqlite", "sqlite:HOME/cache.sqlite", "max-age=3600", ""},
		{"files", "disk:HOME/files", "max-age=3600", ""},
		{"nothing stored", "sqlite:HOME/cache.sqlite", "no-store", "urls.done"},
		{"stale at once", "disk:HOME/files", "no-cache", "urls.done"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			u := newUser(t, test.store)
			o := newCounter(t, middle, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", test.control)
				w.Header().Set("Etag", `"1"`)
				fmt.Fprint(w, strings.Repeat(r.URL.Path, 20))
			})
			var list bytes.Buffer
			var paths []string
			for i := range all {
				paths = append(paths, fmt.Sprintf("/thing/%d", i))
				fmt.Fprintln(&list, o.URL+paths[i])
			}
			args := []string{"warm", "--json", "-"}
			if test.resume != "" {
				args = append(args, "--resume", test.resume)
			}

			cmd := u.command(args...)
			cmd.Stdin = bytes.NewReader(list.Bytes())
			go func() { <-o.reached; cmd.Process.Signal(syscall.SIGINT) }()
			first := u.finish(cmd)
			if first.code != 130 || !strings.HasSuffix(first.err, "larder: interrupted\n") || strings.Count(first.err, "\n") > 2 {
				t.Fatalf("interrupted: exit code %d, %s%s", first.code, first.out, first.err)
			}
			var before, after tally
			decode(t, first.out, &before)
			if before.Fetched < middle || before.Fetched > middle+100 || before.Unfinished+before.Failed > 0 {
				t.Errorf("interrupted: %+v", before)
			}

			cmd = u.command(args...)
			cmd.Stdin = bytes.NewReader(list.Bytes())
			second := u.finish(cmd)
			if second.code != 0 || second.err != "" {
				t.Fatalf("again: exit code %d, %s%s", second.code, second.out, second.err)
			}
			decode(t, second.out, &after)
			if after.Fetched != all-before.Fetched || after.Hits+after.DoneBefore != before.Fetched {
				t.Errorf("first %+v, then %+v", before, after)
			}
			o.once(t, paths)
		})
	}
}

// TestWarmGrace shows what becomes of a download that is under way at Ctrl-C: it is finished if that takes no longer
// than --grace, else it is given up, and nothing of it is left.
func TestWarmGrace(t *testing.T) {
	for _, test := range []struct {
		name, grace string
		finish      bool
	}{{"finished", "1m", true}, {"given up", "100ms", false}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			u := newUser(t, "sqlite:HOME/cache.sqlite")
			interrupted := make(chan struct{})
			o := newCounter(t, 1, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=3600")
				io.WriteString(w, "half")
				w.(http.Flusher).Flush()
				<-interrupted
				if test.finish {
					io.WriteString(w, ", and half")
				} else {
					<-r.Context().Done()
				}
			})
			cmd := u.command("warm", "--json", "--grace", test.grace, o.URL+"/slow")
			var out bytes.Buffer
			cmd.Stdout = &out
			errs, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			<-o.reached
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			said, err := bufio.NewReader(errs).ReadString('\n')
			if err != nil || !strings.HasPrefix(said, "larder: finishing what is under way, within "+test.grace) {
				t.Errorf("says %q, %v", said, err)
			}
			close(interrupted)
			io.Copy(io.Discard, errs)
			cmd.Wait()
			var got tally
			decode(t, out.String(), &got)
			if code := cmd.ProcessState.ExitCode(); code != 130 || got.Fetched+got.Unfinished != 1 || (got.Fetched == 1) != test.finish {
				t.Errorf("exit code %d, %s", code, out.String())
			}
			if left := u.stored(); len(left) != got.Fetched {
				t.Errorf("stored are %v", left)
			}
		})
	}
}
