//go:build unix

package main_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestProcessesShareAStore runs several gets at once on one store, which none of them has made before.
func TestProcessesShareAStore(t *testing.T) {
	for _, store := range []string{"sqlite:HOME/cache.sqlite", "disk:HOME/files"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			u, o := newUser(t, store), newOrigin(t)
			const processes = 4
			var runs [processes]*exec.Cmd
			var out, errs [processes]bytes.Buffer
			for i := range runs {
				runs[i] = u.command("get", "--ttl", "1h", o.URL+"/bytes/300000?seed=1", fmt.Sprint(o.URL, "/bytes/50000?seed=", i+2))
				runs[i].Stdout, runs[i].Stderr = &out[i], &errs[i]
				if err := runs[i].Start(); err != nil {
					t.Fatal(err)
				}
			}
			for i, run := range runs {
				if err := run.Wait(); err != nil || errs[i].Len() > 0 {
					t.Errorf("process %d: %v, %s", i, err, errs[i].String())
				}
			}
			o.Close()
			for i := range runs {
				again := u.ok("get", "--offline", o.URL+"/bytes/300000?seed=1", fmt.Sprint(o.URL, "/bytes/50000?seed=", i+2))
				if again != out[i].String() || len(again) != 350000 {
					t.Errorf("from the store come %d bytes, and they differ from the %d of before", len(again), out[i].Len())
				}
			}
		})
	}
}

// TestInterruptLeavesNothing ends downloads in the middle.
func TestInterruptLeavesNothing(t *testing.T) {
	for _, test := range []struct {
		store  string
		signal syscall.Signal
		code   int // -1: killed
	}{
		{"sqlite:HOME/cache.sqlite", syscall.SIGINT, 130},
		{"sqlite:HOME/cache.sqlite", syscall.SIGTERM, 130},
		{"sqlite:HOME/cache.sqlite", syscall.SIGKILL, -1},
		{"disk:HOME/files", syscall.SIGINT, 130},
		{"disk:HOME/files", syscall.SIGKILL, -1},
	} {
		t.Run(fmt.Sprint(test.store, " ", test.signal), func(t *testing.T) {
			t.Parallel()
			u, o := newUser(t, test.store), newOrigin(t)
			url := o.URL + "/drip?numbytes=20000&duration=9s&delay=0"
			cmd := u.command("get", "--ttl", "1h", "-v", url)
			var errs bytes.Buffer
			cmd.Stderr = &errs
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(out, make([]byte, 100)); err != nil { // the first byte is not held back
				t.Fatal(err, errs.String())
			}
			if err := cmd.Process.Signal(test.signal); err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, out)
			cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if test.code == 130 && !strings.HasSuffix(errs.String(), "larder: interrupted\n") {
				t.Errorf("says %s", errs.String())
			}
			if left := u.stored(); len(left) != 0 {
				t.Errorf("stored: %v", left)
			}
			if r := u.run("get", "--offline", "--stale", url); r.code != 3 || r.out != "" {
				t.Errorf("then --offline ends with %d and %d bytes", r.code, len(r.out))
			}
			u.ok("get", "--ttl", "1h", o.URL+"/drip?numbytes=200&duration=0&delay=0") // whole, it would be stored
			if left := u.stored(); len(left) != 1 {
				t.Errorf("then stored: %v", left)
			}
		})
	}
}

// TestInterruptWhileOthersWait interrupts commands that wait for who writes their input, or reads their output.
func TestInterruptWhileOthersWait(t *testing.T) {
	t.Parallel()
	u, o := newUser(t, ""), newOrigin(t)
	url := o.URL + "/bytes/1000000?seed=1"
	u.ok("get", "--ttl", "1h", "-o", "out", url)
	for _, test := range []struct {
		args  string
		until string // what has been read or written before
	}{
		{"get -d @- " + url, "stdin"},
		{"why -d @- " + url, "stdin"},
		{"show -d @- " + url, "stdin"},
		{"rm -d @- " + url, "stdin"},
		{"get -d @PIPE " + url, "pipe"},
		{"warm --from PIPE", "pipe"},
		{"import PIPE", "pipe"},
		{"ls --config PIPE", "pipe"},
		{"config check PIPE", "pipe"},
		{"ls --encrypt-key-file PIPE", "pipe"},
		{"get -v -o PIPE " + url, "stderr"},
		{"get " + url, "stdout"},
		{"show --body " + url, "stdout"},
		{"export", "stdout"},
		{"ls --format {{printf\t`%01000000d`\t.Size}}", "stdout"},
	} {
		t.Run(test.args, func(t *testing.T) {
			t.Parallel()
			pipe := filepath.Join(t.TempDir(), "pipe")
			if err := syscall.Mkfifo(pipe, 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := u.command(strings.Split(strings.ReplaceAll(test.args, "PIPE", pipe), " ")...)
			in, err1 := cmd.StdinPipe()
			out, err2 := cmd.StdoutPipe()
			errs, err3 := cmd.StderrPipe()
			if err := errors.Join(err1, err2, err3, cmd.Start()); err != nil {
				t.Fatal(err)
			}
			var err error
			switch test.until {
			case "stdin":
				_, err = in.Write(make([]byte, 1<<20)) // more than a pipe takes
			case "stdout":
				_, err = io.ReadFull(out, make([]byte, 10))
			case "stderr":
				_, err = io.ReadFull(errs, make([]byte, 10))
			default:
				var f *os.File
				f, err = os.OpenFile(pipe, os.O_WRONLY, 0) // which waits for the reader
				defer f.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
			<-time.After(100 * time.Millisecond) // until it waits, which cannot be seen from here
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			giveUp := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
			defer giveUp.Stop()
			told, _ := io.ReadAll(errs)
			cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != 130 || !strings.HasSuffix(string(told), "larder: interrupted\n") {
				t.Errorf("exit code %d, says %s", code, told)
			}
		})
	}
}

// TestBrokenPipe shows that larder get | head ends quietly, and leaves the store whole.
func TestBrokenPipe(t *testing.T) {
	t.Parallel()
	u, o := newUser(t, ""), newOrigin(t)
	u.intoABrokenPipe("get", "--ttl", "1h", o.URL+"/bytes/1000000?seed=1")
	for _, e := range u.stored() {
		if e.Size != 1000000 {
			t.Errorf("stored are %d bytes, want all or nothing", e.Size)
		}
	}
}

// intoABrokenPipe runs a command whose output nobody reads any more after a few bytes: it must end quietly.
func (u *user) intoABrokenPipe(args ...string) {
	u.t.Helper()
	cmd := u.command(args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		u.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		u.t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 10)); err != nil {
		u.t.Fatal(err)
	}
	out.Close()
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 141 || errs.Len() > 0 {
		u.t.Errorf("exit code %d, %q", code, errs.String())
	}
}
