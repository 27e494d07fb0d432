//go:build unix

package main_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/sqlite"
)

// heavySQLite makes a database whose export takes a while.
func heavySQLite(t *testing.T, path string) {
	t.Helper()
	db, err := sqlite.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	body := make([]byte, 2<<20)
	rand.Read(body)
	for range 40 {
		r := &store.Record{Key: store.Key(rand.Text()), ID: store.NewID(time.Now()), Size: int64(len(body)), FreshUntil: time.Now().Add(time.Hour)}
		r.Method, r.URL, r.Status, r.Proto, r.Header, r.Received = "GET", "http://a/"+rand.Text(), 200, "HTTP/1.1", http.Header{}, time.Now()
		w, err := db.Create(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(body); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(r); err != nil {
			t.Fatal(err)
		}
		w.Close()
	}
}

// TestInterruptedExport ends an export in the middle: the file of before is as it was, and there is no other.
func TestInterruptedExport(t *testing.T) {
	t.Parallel()
	u := newUser(t, "sqlite:HOME/cache.sqlite")
	heavySQLite(t, u.path("HOME/cache.sqlite"))
	file := u.path("HOME/all.har")
	write(t, file, "the old one")
	cmd := u.command("export", "-o", file)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for begun := false; !begun; {
		select {
		case <-ended:
			t.Fatalf("the export ended too soon to be interrupted: %s", errs.String())
		default:
			parts, _ := filepath.Glob(file + ".part-*")
			begun = len(parts) > 0
		}
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-ended
	if code := cmd.ProcessState.ExitCode(); code != 130 || errs.String() != "larder: interrupted\n" {
		t.Errorf("exit code %d, says %s", code, errs.String())
	}
	if left, err := filepath.Glob(file + "*"); err != nil || len(left) != 1 || read(t, file) != "the old one" {
		t.Errorf("there is %v, %v", left, err)
	}
	u.ok("export", "-o", file)
	if out := read(t, file); strings.Count(out, "startedDateTime") != 40 || !strings.HasSuffix(out, "]}}\n") {
		t.Errorf("a whole one has %d bytes", len(out))
	}
}

// TestExportIntoABrokenPipe shows that larder export | head ends quietly.
func TestExportIntoABrokenPipe(t *testing.T) {
	t.Parallel()
	u := newUser(t, "sqlite:HOME/cache.sqlite")
	heavySQLite(t, u.path("HOME/cache.sqlite"))
	u.intoABrokenPipe("export")
}

// TestImportIntoABrokenStore takes a store away in the middle of an import.
func TestImportIntoABrokenStore(t *testing.T) {
	t.Parallel()
	u := newUser(t, "disk:HOME/files")
	cmd := u.command("import", "-")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	whole := browserHAR("https://a.example", time.Now())
	begin := strings.Index(whole, "/image")
	if _, err := io.WriteString(in, whole[:begin]); err != nil {
		t.Fatal(err)
	}
	for len(u.stored()) == 0 { // each time a program is run for that
	}
	if err := os.RemoveAll(u.path("HOME/files")); err != nil {
		t.Fatal(err)
	}
	write(t, u.path("HOME/files"), "a file in the place of the folder")
	if _, err := io.WriteString(in, whole[begin:]); err != nil {
		t.Fatal(err)
	}
	in.Close()
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(errs.String(), "not a directory") {
		t.Errorf("exit code %d, says %s", code, errs.String())
	}
}

// TestInterruptedImport interrupts an import that waits for standard input: what has come is stored and told.
func TestInterruptedImport(t *testing.T) {
	t.Parallel()
	u := newUser(t, "sqlite:HOME/cache.sqlite")
	cmd := u.command("import", "-")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	whole := browserHAR("https://a.example", time.Now())
	if _, err := io.WriteString(in, whole[:strings.Index(whole, "/image")]); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for len(u.stored()) == 0 { // each time a program is run for that
		select {
		case <-ended:
			t.Fatalf("the import ended before its input: %s", errs.String())
		default:
		}
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-ended
	if code := cmd.ProcessState.ExitCode(); code != 130 || errs.String() != "larder: interrupted\n" || !strings.HasPrefix(out.String(), "imported           1  ") {
		t.Errorf("exit code %d, says %s%s", code, errs.String(), out.String())
	}
	if body := u.ok("get", "--offline", "https://a.example/page"); body != "<p>hé" {
		t.Errorf("stored is %q", body)
	}
}
