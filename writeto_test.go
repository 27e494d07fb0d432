//go:build linux || darwin

package larder_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store/disk"
)

// taker is a writer that, like a *net.TCPConn, can take from a file by itself.
type taker struct {
	bytes.Buffer
	files int64 // bytes that it took so
}

func (w *taker) ReadFrom(r io.Reader) (int64, error) {
	n, err := w.Buffer.ReadFrom(r)
	if l, ok := r.(*io.LimitedReader); ok {
		if _, ok := l.R.(*os.File); ok {
			w.files += n
		}
	}
	return n, err
}

// onDisk is a cache with one body in a file, and that file.
func onDisk(t *testing.T, size int) (ask func(...string) *http.Response, body []byte, file string) {
	t.Helper()
	body = make([]byte, size)
	for i := range body {
		body[i] = byte(rand.Uint32())
	}
	var asked atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Cache-Control", "max-age=600")
		w.Header().Set("ETag", `"x"`)
		w.Write(body)
	}))
	t.Cleanup(srv.Close)
	dir := t.TempDir()
	s, err := disk.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	c := &larder.Cache{Store: s}
	ask = func(fields ...string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(fields); i += 2 {
			req.Header.Set(fields[i], fields[i+1])
		}
		resp, err := c.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	resp := ask()
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := e.Info(); err == nil && !e.IsDir() && info.Size() > int64(size) {
			file = path
		}
		return nil
	})
	if file == "" {
		t.Fatal("there is no file with the body")
	}
	return ask, body, file
}

// known reads the body until the store hands out its file, which it does not before that has been at rest for a while.
func known(t *testing.T, ask func(...string) *http.Response, body []byte) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; {
		var w taker
		resp := ask()
		n, err := io.Copy(&w, resp.Body)
		resp.Body.Close()
		if err != nil || n != int64(len(body)) || !bytes.Equal(w.Bytes(), body) {
			t.Fatalf("%d bytes, %v, equal %v", n, err, bytes.Equal(w.Bytes(), body))
		}
		if w.files == n {
			return
		}
		if w.files > 0 || time.Now().After(end) {
			t.Fatalf("%d bytes of %d come from the file", w.files, n)
		}
		<-time.After(100 * time.Millisecond)
	}
}

// TestFilesAreHandedOut shows that io.Copy takes a verified body, and parts of it, from the file.
func TestFilesAreHandedOut(t *testing.T) {
	t.Parallel()
	ask, body, _ := onDisk(t, 1<<20+17)
	known(t, ask, body)
	for _, test := range []struct {
		ranges string
		from   int
		to     int
	}{
		{"bytes=0-0", 0, 1}, {"bytes=5-700000", 5, 700001}, {"bytes=1000000-", 1000000, len(body)}, {"bytes=-1", len(body) - 1, len(body)}, {"bytes=0-", 0, len(body)},
	} {
		var w taker
		resp := ask("Range", test.ranges)
		n, err := io.Copy(&w, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 206 || err != nil || !bytes.Equal(w.Bytes(), body[test.from:test.to]) || w.files != n {
			t.Errorf("%s: %s, %d bytes, %v, %d of them from the file", test.ranges, resp.Status, n, err, w.files)
		}
	}
	resp := ask("Range", "bytes=0-99999, 900000-999999, 500000-500000")
	var w taker
	_, err := io.Copy(&w, resp.Body)
	resp.Body.Close()
	if err != nil || w.files != 200001 || !bytes.Contains(w.Bytes(), body[900000:1000000]) || !bytes.Contains(w.Bytes(), body[:100000]) || int64(w.Len()) != resp.ContentLength {
		t.Errorf("several parts: %d bytes, %v, %d of them from the file", w.Len(), err, w.files)
	}
	resp = ask() // half by Read, half by WriteTo
	half := make([]byte, 500001)
	io.ReadFull(resp.Body, half)
	w = taker{}
	io.Copy(&w, resp.Body)
	if !bytes.Equal(append(half, w.Bytes()...), body) || w.files == 0 {
		t.Errorf("what is read in two ways differs, or does not come from the file: %d", w.files)
	}
	if n, err := resp.Body.Read(half); n != 0 || err != io.EOF {
		t.Errorf("after the end: %d, %v", n, err)
	}
	resp.Body.Close()
}

// TestAlteredFilesAreNotHandedOut shows that a file that was changed is verified again, whole or in part.
func TestAlteredFilesAreNotHandedOut(t *testing.T) {
	t.Parallel()
	for _, ranges := range []string{"", "bytes=600000-800000"} {
		ask, body, file := onDisk(t, 1<<20)
		known(t, ask, body)
		f, err := os.OpenFile(file, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte{body[700000] + 1}, 700000); err != nil {
			t.Fatal(err)
		}
		f.Close()
		var fields []string
		if ranges != "" {
			fields = []string{"Range", ranges}
		}
		var w taker
		resp := ask(fields...)
		_, err = io.Copy(&w, resp.Body)
		resp.Body.Close()
		want := body[:700000]
		if ranges != "" {
			want = body[600000:700000]
		}
		if err == nil || w.files > 0 || !bytes.HasPrefix(want, w.Bytes()) {
			t.Errorf("%q: %d bytes, %v, %d of them from the file", ranges, w.Len(), err, w.files)
		}
		if resp := ask(); larder.Info(resp).Outcome != larder.Miss {
			t.Errorf("%q: then %s, want a miss", ranges, larder.Info(resp).Outcome)
		}
	}
}

// stuck is a writer that takes nothing until it is let go.
type stuck struct {
	came, go_ chan struct{}
	taken     int
}

func (w *stuck) Write(p []byte) (int, error) {
	select {
	case w.came <- struct{}{}:
	default:
	}
	<-w.go_
	w.taken += len(p)
	return len(p), nil
}

// TestCloseDuringWriteTo shows that Close waits for nobody's writer, and ends the writing.
func TestCloseDuringWriteTo(t *testing.T) {
	t.Parallel()
	ask, body, _ := onDisk(t, 4<<20)
	for _, trusted := range []bool{false, true} {
		if trusted {
			known(t, ask, body)
		}
		resp := ask()
		w := &stuck{came: make(chan struct{}, 1), go_: make(chan struct{})}
		ended := make(chan error)
		go func() {
			_, err := io.Copy(w, resp.Body)
			ended <- err
		}()
		<-w.came
		if n, err := resp.Body.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("a Read meanwhile gets %d bytes, %v", n, err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		close(w.go_)
		if err := <-ended; !errors.Is(err, http.ErrBodyReadAfterClose) || w.taken >= len(body) {
			t.Errorf("trusted %v: %d bytes are written, then %v", trusted, w.taken, err)
		}
	}
}

// TestWritersFault shows that a writer's fault is its own: what is stored stays.
func TestWritersFault(t *testing.T) {
	t.Parallel()
	ask, body, file := onDisk(t, 1<<20)
	for _, trusted := range []bool{false, true} {
		if trusted {
			known(t, ask, body)
		}
		resp := ask()
		if _, err := io.Copy(&failingWriter{100000}, resp.Body); !errors.Is(err, errFull) || strings.Contains(err.Error(), "larder") {
			t.Errorf("trusted %v: %v", trusted, err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
	known(t, ask, body)
}
