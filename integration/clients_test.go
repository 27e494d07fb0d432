//go:build unix

package integration

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// site is an origin with a bit of everything, and how often each of its pages was asked for.
type site struct {
	*httptest.Server
	mu    sync.Mutex
	asked map[string]int
}

func newSite(t *testing.T) *site {
	s := &site{asked: make(map[string]int)}
	pages := s.pages()
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked[r.URL.Path]++
		s.mu.Unlock()
		w.Header().Add("X-Double", "one")
		w.Header().Add("X-Double", "two")
		if page := pages[r.URL.Path]; page != nil {
			page(w, r)
		} else {
			w.Header().Set("Cache-Control", "max-age=600")
			http.Error(w, "there is no "+r.URL.RequestURI(), http.StatusNotFound)
		}
	}))
	s.Config.Protocols = new(http.Protocols) // for curl, which is told to speak HTTP/2
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// count returns how often paths were asked for.
func (s *site) count(paths ...string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, path := range paths {
		n += s.asked[path]
	}
	return n
}

func (s *site) pages() map[string]http.HandlerFunc {
	fresh := func(kind string, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=600")
			w.Header().Set("Content-Type", kind)
			w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(body)))
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
		}
	}
	var picture bytes.Buffer
	png.Encode(&picture, image.NewGray(image.Rect(0, 0, 4, 7)))
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	io.WriteString(z, strings.Repeat("packed ", 1000))
	z.Close()
	return map[string]http.HandlerFunc{
		"/text": fresh("text/plain", []byte("some text")),
		"/big":  fresh("application/octet-stream", bytes.Repeat([]byte("0123456789abcdef"), 200<<10)),
		"/page": fresh("text/html", []byte(`<!doctype html><title>page</title><p id=said>nothing</p><img id=pic src=/pic.png><script src=/app.js></script>`)),
		"/app.js": fresh("text/javascript", []byte(`onload = () => {
	const pic = document.getElementById("pic");
	document.getElementById("said").textContent = "a picture of " + pic.naturalWidth + " by " + pic.naturalHeight;
};`)),
		"/pic.png":     fresh("image/png", picture.Bytes()),
		"/grüße":       fresh("text/plain", []byte("to you, too")),
		"/favicon.ico": fresh("image/png", picture.Bytes()),
		"/gzip": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=600")
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Vary", "Accept-Encoding")
			if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				w.Header().Set("Content-Encoding", "gzip")
				w.Write(packed.Bytes())
			} else {
				io.WriteString(w, strings.Repeat("packed ", 1000))
			}
		},
		"/chunked": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=600")
			for i := range 100 {
				fmt.Fprintf(w, "chunk %d\n", i)
				http.NewResponseController(w).Flush()
			}
		},
		"/redirect": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "http://"+r.Host+"/text")
			w.WriteHeader(http.StatusFound)
		},
		"/echo": func(w http.ResponseWriter, r *http.Request) {
			sum := sha256.New()
			n, err := io.Copy(sum, r.Body)
			kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
			form := kind == "multipart/form-data" // whose boundary differs each time
			if form {
				sum.Reset()
			}
			fmt.Fprintf(w, "%s %s %x %v %s", r.Method, kind, sum.Sum(nil), err, r.Header.Get("Cookie"))
			if !form {
				fmt.Fprint(w, n)
			}
		},
		"/cookie": func(w http.ResponseWriter, r *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "user", Value: "me", Path: "/"})
		},
		"/events": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range 3 {
				fmt.Fprintf(w, "data: %d\n\n", i)
				http.NewResponseController(w).Flush()
			}
		},
		"/broken": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, "part")
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
	}
}

// stored are the pages that a second run must get from the cache.
var stored = []string{"/text", "/big", "/gzip", "/chunked", "/grüße", "/missing"}

// TestClients shows that programs get from the proxy what they get from the origin, and from the cache what they got
// before.
func TestClients(t *testing.T) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, base string) string
	}{
		{"curl", curl},
		{"requests", func(t *testing.T, base string) string { return output(t, python(t), "testdata/client.py", base) }},
		{"fetch", func(t *testing.T, base string) string {
			return output(t, program(t, "CLIENT_NODE", "node"), "testdata/client.mjs", base)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t)
			want := test.run(t, s.URL)
			p := larderServe(t, "--origin", s.URL, "--store", "disk:"+t.TempDir())
			direct := s.count(stored...)
			if got := test.run(t, p.url); got != want {
				t.Fatalf("through the proxy it gets\n%s\nand from the origin\n%s", got, want)
			}
			first := s.count(stored...)
			if got := test.run(t, p.url); got != want {
				t.Fatalf("through the proxy it gets the second time\n%s\nand from the origin\n%s", got, want)
			}
			if n := s.count(stored...) - first; n != 0 || first == direct {
				t.Errorf("the first time %d requests reach the origin, the second time %d, want 0", first-direct, n)
			}
		})
	}
}

// curl runs curl with a command line for each request.
func curl(t *testing.T, base string) string {
	path := program(t, "CLIENT_CURL", "curl")
	upload := filepath.Join(t.TempDir(), "upload")
	if err := os.WriteFile(upload, bytes.Repeat([]byte("upload "), 100<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, line := range []string{
		"/text", "--compressed /gzip", "/gzip", "/big", "--http2-prior-knowledge /big", "/chunked", "--http1.0 /chunked", "/gr%C3%BC%C3%9Fe?a=1", "/missing",
		"-L /redirect", "-I /text", "-r 10-19 /big", "-r 10-19,30-39 /text", "-d a=b /echo", "-T UPLOAD /echo", "-H Transfer-Encoding:chunked -T UPLOAD /echo",
		"-H Expect:100-continue -T UPLOAD /echo", "--http2-prior-knowledge -T UPLOAD /echo", "-F f=@UPLOAD /echo", "-b user=me /echo", "-N /events",
		"-X PURGE /echo", "/broken",
	} {
		args := []string{"-sS", "-m", "20", "-w", " [%{http_code} %{content_type} %{num_redirects}]"}
		for _, arg := range strings.Fields(strings.ReplaceAll(line, "UPLOAD", upload)) {
			if strings.HasPrefix(arg, "/") && arg != upload {
				arg = base + arg
			}
			args = append(args, arg)
		}
		cmd := exec.CommandContext(t.Context(), path, args...)
		out, err := cmd.Output()
		if line == "-I /text" { // the fields of a connection and of a cache differ
			out = bytes.ReplaceAll(out[bytes.LastIndexByte(out, '\n')+1:], []byte("\r"), nil)
		}
		sum := sha256.Sum256(out)
		if strings.Contains(line, ",") { // the boundary differs
			out = out[bytes.LastIndexByte(out, '[')+1:][:3]
		} else if len(out) >= 200 {
			out = fmt.Appendf(nil, "%x %s", sum[:8], out[bytes.LastIndexByte(out, '[')-1:])
		}
		fmt.Fprintf(&all, "%s: %s %v\n", strings.ReplaceAll(line, upload, "UPLOAD"), out, err)
	}
	return all.String()
}

// TestBrowser shows that a browser loads a page with a script and a picture through the proxy, and that one with
// nothing in its own cache gets it a second time without the origin.
func TestBrowser(t *testing.T) {
	var browser string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			browser = path
		}
	}
	if path := os.Getenv("CLIENT_BROWSER"); path != "" {
		browser = path
	}
	if browser == "" {
		t.Skip("no Chromium here; scripts/clients installs one")
	}
	s := newSite(t)
	p := larderServe(t, "--origin", s.URL, "--store", "disk:"+t.TempDir())
	files := []string{"/page", "/app.js", "/pic.png"}
	for i := range 2 {
		got := output(t, browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
			"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--virtual-time-budget=10000", "--user-data-dir="+t.TempDir(), "--dump-dom", p.url+"/page")
		if !strings.Contains(got, `<p id="said">a picture of 4 by 7</p>`) {
			t.Errorf("time %d: the browser shows\n%s", i+1, got)
		}
		if n := s.count(files...); n != len(files) {
			t.Errorf("after time %d the origin was asked %d times, want %d", i+1, n, len(files))
		}
	}
}

// program returns the path of a program, or skips the test. A variable may name another one.
func program(t *testing.T, variable, name string) string {
	t.Helper()
	path, err := exec.LookPath(orElse(os.Getenv(variable), name))
	if err != nil {
		t.Skip(err)
	}
	return path
}

func orElse(s, other string) string {
	if s != "" {
		return s
	}
	return other
}

// python returns one that has requests.
func python(t *testing.T) string {
	t.Helper()
	path := program(t, "CLIENT_PYTHON", "python3")
	if out, err := exec.CommandContext(t.Context(), path, "-c", "import requests").CombinedOutput(); err != nil {
		t.Skipf("%s has no requests; scripts/clients installs one that does: %s", path, out)
	}
	return path
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "NO_PROXY=*", "no_proxy=*", "PYTHONUTF8=1")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", name, err, out, errs.String())
	}
	return string(out)
}
