//go:build linux || darwin

package proxy_test

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/larder/store/disk"
)

// fileCounter counts the bytes that a response gets from a file, without anybody reading them in between.
type fileCounter struct {
	http.ResponseWriter
	files *atomic.Int64
}

func (w *fileCounter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *fileCounter) ReadFrom(r io.Reader) (int64, error) {
	to, ok := w.ResponseWriter.(io.ReaderFrom)
	if !ok { // HTTP/2
		return io.Copy(w.ResponseWriter, r)
	}
	n, err := to.ReadFrom(r)
	if l, ok := r.(*io.LimitedReader); ok {
		if _, ok := l.R.(*os.File); ok {
			w.files.Add(n)
		}
	}
	return n, err
}

// TestFilesAreSent shows that a hit in a verified file is sent from there, whole or in part, and that an altered one is
// not.
func TestFilesAreSent(t *testing.T) {
	t.Parallel()
	body := make([]byte, 3<<20)
	for i := range body {
		body[i] = byte(rand.Uint32())
	}
	dir := t.TempDir()
	s, err := disk.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	var files atomic.Int64
	p := run(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=600")
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Write(body)
	}), func(p *running) {
		p.p.Cache.Store = s
		t.Cleanup(func() { s.Close() })
		p.s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.p.ServeHTTP(&fileCounter{w, &files}, r) })
	})
	for end := time.Now().Add(patience); files.Load() == 0; {
		if _, got := p.get("/"); got != string(body) {
			t.Fatal("the body differs")
		}
		if time.Now().After(end) {
			t.Fatal("it is never sent from the file")
		}
		<-time.After(100 * time.Millisecond)
	}
	eventually(t, "that all of it is sent from the file", func() bool { return files.Load() == int64(len(body)) })
	files.Store(0)
	for _, test := range []struct {
		ranges   string
		from, to int
	}{{"", 0, len(body)}, {"bytes=0-999999", 0, 1000000}, {"bytes=2000000-", 2000000, len(body)}} {
		var fields []string
		if test.ranges != "" {
			fields = append(fields, "Range: "+test.ranges)
		}
		resp, got := p.get("/", fields...)
		want := string(body[test.from:test.to])
		if got != want || resp.ContentLength != int64(len(want)) {
			t.Errorf("%q: %s, the body differs", test.ranges, resp.Status)
		}
		eventually(t, fmt.Sprintf("%q: that all of it is sent from the file", test.ranges), func() bool { return files.Load() >= int64(len(want)) })
		if n := files.Swap(0); n != int64(len(want)) {
			t.Errorf("%q: %d bytes are sent from the file, want %d", test.ranges, n, len(want))
		}
	}
	if _, got := p.do(p.client(true), "GET", "/", nil); got != string(body) {
		t.Error("over HTTP/2 the body differs")
	}

	filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil && info.Size() > 3<<20 {
			_, err = f.WriteAt([]byte{body[1<<20] + 1}, 1<<20)
			return err
		}
		return nil
	})
	conn, r := p.dial()
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if got := head(r); !strings.Contains(got, "; hit") {
		t.Fatalf("comes %q", got)
	}
	got, err := io.ReadAll(r)
	if len(got) >= len(body) || !bytes.HasPrefix(body, got) {
		t.Errorf("of an altered file come %d bytes, %v", len(got), err)
	}
	if _, got := p.get("/"); got != string(body) {
		t.Error("then the body differs")
	}
}
