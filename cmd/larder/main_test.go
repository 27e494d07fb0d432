package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mccutchen/go-httpbin/v2/httpbin"
)

// binary is the command, built once.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "larder-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "larder.exe") // the suffix is for Windows, and harmless elsewhere
		if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// user is somebody who runs larder: with a home of their own, and so with a cache of their own.
type user struct {
	t     *testing.T
	home  string
	store string   // $LARDER_STORE
	env   []string // what else is in the environment
}

func newUser(t *testing.T, store string) *user {
	home := t.TempDir()
	return &user{t: t, home: home, store: strings.ReplaceAll(store, "HOME", home)}
}

// result is what a run of the program left.
type result struct {
	out, err string
	code     int
}

func (u *user) command(args ...string) *exec.Cmd { return u.program(binary, args...) }

// program is another program that the user runs.
func (u *user) program(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(u.t.Context(), name, args...)
	cmd.Dir = u.home
	cmd.Env = append(os.Environ(), "HOME="+u.home, "XDG_CACHE_HOME="+u.home, "XDG_CONFIG_HOME="+u.home, "LARDER_CONFIG=",
		"USERPROFILE="+u.home, "LocalAppData="+u.home, "LARDER_STORE="+u.store, "NO_PROXY=*", "LC_ALL=C", "TZ=UTC")
	cmd.Env = append(cmd.Env, u.env...)
	return cmd
}

func (u *user) run(args ...string) result {
	u.t.Helper()
	return u.finish(u.command(args...))
}

func (u *user) finish(cmd *exec.Cmd) result {
	u.t.Helper()
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	if e := cmd.Run(); cmd.ProcessState == nil {
		u.t.Fatal(e)
	}
	return result{out.String(), err.String(), cmd.ProcessState.ExitCode()}
}

// ok runs a command that must succeed, and returns its standard output.
func (u *user) ok(args ...string) string {
	u.t.Helper()
	r := u.run(args...)
	if r.code != 0 {
		u.t.Fatalf("larder %s: exit code %d\n%s", strings.Join(args, " "), r.code, r.err)
	}
	return r.out
}

// answer runs larder get --json, which must end with code, and returns what it tells of its last response.
func (u *user) answer(code int, args ...string) answer {
	u.t.Helper()
	r := u.run(append([]string{"get", "--json"}, args...)...)
	if r.code != code {
		u.t.Fatalf("larder get %s: exit code %d, want %d\n%s", strings.Join(args, " "), r.code, code, r.err)
	}
	var last answer
	for line := range strings.Lines(r.err) {
		if strings.HasPrefix(line, "{") {
			decode(u.t, line, &last)
		}
	}
	return last
}

type answer struct {
	URL     string
	Status  int
	Outcome string
	Age     *float64
	TTL     *float64
	Stored  bool
	ID      string
}

// stored returns what larder ls lists, by URL.
func (u *user) stored(filter ...string) []entry {
	u.t.Helper()
	var all []entry
	for line := range strings.Lines(u.ok(append([]string{"ls", "--json"}, filter...)...)) {
		var e entry
		decode(u.t, line, &e)
		all = append(all, e)
	}
	return all
}

type entry struct {
	ID, Method, URL string
	Status          int
	Size            int64
	Fresh           bool
}

func decode(t *testing.T, line string, to any) {
	t.Helper()
	if err := json.Unmarshal([]byte(line), to); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
}

// origin is httpbin, and the number of requests that reached it.
type origin struct {
	*httptest.Server
	requests atomic.Int64
}

func newOrigin(t *testing.T) *origin {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return newOriginAt(t, l)
}

func newOriginAt(t *testing.T, l net.Listener) *origin {
	o := new(origin)
	bin := httpbin.New()
	o.Server = &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.requests.Add(1)
		bin.ServeHTTP(w, r)
	})}}
	o.Start()
	t.Cleanup(func() {
		o.CloseClientConnections()
		o.Close()
	})
	return o
}

// plain returns the body that the origin sends without any cache.
func (o *origin) plain(t *testing.T, path string) string {
	t.Helper()
	_, body := fetchURL(t, o.URL+path)
	return string(body)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// path returns a path in the user's home, or below CACHE, the user's cache folder.
func (u *user) path(path string) string {
	cache := u.home
	if runtime.GOOS == "darwin" {
		cache = filepath.Join(u.home, "Library", "Caches")
	}
	return filepath.FromSlash(strings.NewReplacer("HOME", u.home, "CACHE", cache).Replace(path))
}
