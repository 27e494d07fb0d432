package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/larder-go/larder/conformance/suite"
)

// proxyVariable makes this program what stands for larder serve: a proxy without a cache, of the manner it names.
const proxyVariable = "LARDER_CONFORMANCE_PROXY"

func TestMain(m *testing.M) {
	manner := os.Getenv(proxyVariable)
	if manner == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := beProxy(ctx, manner, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func beProxy(ctx context.Context, manner string, args []string) error {
	if manner == "says nothing of use" {
		fmt.Println("hello")
		<-ctx.Done()
		return nil
	}
	if manner == "ends at once" {
		return errors.New("cannot start")
	}
	i := slices.Index(args, "--origin")
	if len(args) < 5 || args[0] != "serve" || i < 0 || manner != "both" && slices.Contains(args, "--private") != (manner == "private") {
		return fmt.Errorf("started with %q", args)
	}
	origin, err := url.Parse(args[i+1])
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	handler := httputil.NewSingleHostReverseProxy(origin)
	handler.ErrorLog = log.New(io.Discard, "", 0)
	server := &http.Server{Handler: handler}
	context.AfterFunc(ctx, func() { server.Close() })
	fmt.Printf("serving %s at http://%s\n", origin, l.Addr())
	if err := server.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return os.WriteFile(os.Getenv(proxyVariable+"_END"), nil, 0o666)
}

const ownTests = `{
	"counted": ["asks", "keeps", "after-keeps", "why", "browsers"],
	"suites": [
		{"id": "first", "tests": [
			{"id": "asks", "kind": "required", "requests": [{}, {"expected_type": "not_cached"}]},
			{"id": "keeps", "kind": "optimal", "requests": [{}, {"expected_type": "cached"}]},
			{"id": "not-counted", "kind": "required", "requests": [{"expected_status": 201}]}]},
		{"id": "second", "tests": [
			{"id": "after-keeps", "kind": "optimal", "depends_on": ["keeps"], "requests": [{}]},
			{"id": "why", "kind": "check", "requests": [{"expected_response_headers": ["Found"]}]},
			{"id": "browsers", "kind": "required", "browser_only": true,
				"requests": [{"response_headers": [["Found", "a, b"]], "expected_response_headers_missing": [["Found", "b"]]}]}]}]}`

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRun goes the whole way with a command that stands for larder serve.
func TestRun(t *testing.T) {
	tests, results, end := write(t, "tests.json", ownTests), filepath.Join(t.TempDir(), "results.json"), filepath.Join(t.TempDir(), "end")
	t.Setenv(proxyVariable, "shared")
	t.Setenv(proxyVariable+"_END", end)
	var out, errs bytes.Buffer
	if err := run(t.Context(), []string{"-tests", tests, "-larder", os.Args[0], "-results", results}, &out, &errs); err != nil || errs.Len() > 0 {
		t.Fatal(err, errs.String())
	}
	const want = `suite   required  optional             yes, of the questions
first   1 of 1    0 of 1               –
second  –         0 of 1 (1 excluded)  0 of 1
all     1 of 1    0 of 2 (1 excluded)  0 of 1

not passed:
optimal   fail        keeps: Assertion: Response 2 does not come from cache
optimal   dependency  after-keeps: passes, but depends on keeps
check     no          why: Assertion: Response 1 Found header not present.
`
	if out.String() != want {
		t.Errorf("it prints\n%s, want\n%s", &out, want)
	}
	data, err := os.ReadFile(results)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(data, &got); err != nil || got["asks"] != true || len(got) != 5 || fmt.Sprint(got["keeps"]) != "[Assertion Response 2 does not come from cache]" {
		t.Errorf("the results are %s, %v", data, err)
	}
	if _, err := os.Stat(end); err != nil {
		t.Error("the proxy was not told to end, or is not through:", err)
	}
}

func TestRunPrivate(t *testing.T) {
	t.Setenv(proxyVariable, "private")
	t.Setenv(proxyVariable+"_END", filepath.Join(t.TempDir(), "end"))
	var out, errs bytes.Buffer
	if err := run(t.Context(), []string{"-tests", write(t, "tests.json", ownTests), "-against", "private", "-larder", os.Args[0]}, &out, &errs); err != nil {
		t.Fatal(err, errs.String())
	}
	for _, want := range []string{"\nall     2 of 2", "\nbeyond the score: browsers: Response 1 header Found still has value \"a, b\"\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it prints\n%s, without %q", &out, want)
		}
	}
}

// TestRunErrors has the program refuse what it cannot do, in one sentence.
func TestRunErrors(t *testing.T) {
	tests := write(t, "tests.json", ownTests)
	for _, c := range []struct{ manner, args, want string }{
		{"", "", "-tests FILE, or LARDER_CACHE_TESTS, has to say where the tests are"},
		{"", "-tests TESTS -agains x", "flag provided but not defined: -agains"},
		{"", "-tests TESTS more", `"more" is not expected: there are only flags`},
		{"", "-tests TESTS -update", "-update needs -expect"},
		{"", "-tests TESTS -against all -results x", "-results is for one run, not for all"},
		{"", "-tests TESTS -against roundtripper-shared -into TESTS", `tests.json: a line "<!-- measured: written by go run ./conformance -into -->" and a line`},
		{"", "-tests TESTS -against squid", "-against squid: want shared, private, roundtripper-shared, roundtripper-private, or an http URL"},
		{"", "-tests TESTS -against ftp://localhost", "-against ftp://localhost: want "},
		{"", "-tests TESTS -against http://127.0.0.1:1 -listen nowhere", "origin: listen tcp: address nowhere"},
		{"", "-tests /none -against shared", "cache tests: open /none"},
		{"", "-tests TESTS -against roundtripper-shared -expect /none", "what passed before: open /none"},
		{"", "-tests TESTS -against roundtripper-shared -only keep", "-only: there is no test keep"},
		{"", "-tests TESTS -larder /none", "fork/exec /none"},
		{"says nothing of use", "-tests TESTS -larder SELF", `its first line of output is "hello\n", which does not end with a URL`},
		{"ends at once", "-tests TESTS -larder SELF", `its first line of output is "", which does not end with a URL`},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Setenv(proxyVariable, c.manner)
			t.Setenv(testsVariable, "")
			var args []string
			for _, arg := range strings.Fields(c.args) {
				args = append(args, strings.NewReplacer("TESTS", tests, "SELF", os.Args[0]).Replace(arg))
			}
			var out, errs bytes.Buffer
			if err := run(t.Context(), args, &out, &errs); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(c.args, "-into") && out.Len() > 0 {
				t.Errorf("the error is %v, want %q; the output is %q", err, c.want, &out)
			}
		})
	}
}

// TestExpect keeps what passed, and finds what does not any more.
func TestExpect(t *testing.T) {
	args := func(tests, expect string, more ...string) []string {
		return append([]string{"-tests", write(t, "tests.json", tests), "-against", "roundtripper-private", "-expect", expect}, more...)
	}
	expect := write(t, "passed.txt", "elsewhere\n")
	if err := run(t.Context(), args(ownTests, expect, "-update"), io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(expect); err != nil || string(got) != "asks\nbrowsers\nelsewhere\n" {
		t.Errorf("what passed is kept as %q, %v", got, err)
	}
	var out bytes.Buffer
	if err := run(t.Context(), args(ownTests, expect), &out, io.Discard); err != nil {
		t.Errorf("where all passes that did before, the error is %v", err)
	}
	out.Reset()
	worse := strings.Replace(ownTests, `"not_cached"`, `"cached"`, 1)
	err := run(t.Context(), args(worse, expect), &out, io.Discard)
	if !errors.Is(err, errWorse) {
		t.Errorf("where a test does not pass any more, the error is %v", err)
	}
	if want := "tried a second time, alone: asks failed again\n\npassed before, and not now: asks\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("it prints\n%s, want it to end with %q", &out, want)
	}
	if got, err := os.ReadFile(expect); err != nil || string(got) != "asks\nbrowsers\nelsewhere\n" {
		t.Errorf("without -update, what passed is now %q, %v", got, err)
	}
	fresh := filepath.Join(t.TempDir(), "passed.txt")
	if err := run(t.Context(), args(ownTests, fresh, "-update"), io.Discard, io.Discard); err != nil {
		t.Errorf("a list that is not there yet cannot be written: %v", err)
	}
	if err := run(t.Context(), args(ownTests, filepath.Join(t.TempDir(), "no.txt")), io.Discard, io.Discard); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("for a list that is not there the error is %v", err)
	}
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// TestSecondTry has a test fail once that passed before: it is tried again, and that is told. What never passed is not.
func TestSecondTry(t *testing.T) {
	file, err := suite.Parse([]byte(ownTests))
	if err != nil {
		t.Fatal(err)
	}
	origin, err := suite.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer origin.Close()
	base := suite.Connect()
	defer base.CloseIdleConnections()
	var asked, kept atomic.Int32
	cache := suite.Cache{URL: origin.URL(), Direct: true, Transport: tripper(func(req *http.Request) (*http.Response, error) {
		switch req.Header.Get("Test-ID") {
		case "asks":
			if asked.Add(1) == 1 {
				return nil, errors.New("busy")
			}
		case "keeps":
			kept.Add(1)
		}
		return base.RoundTrip(req)
	})}
	r := &report{file: file}
	r.run(t.Context(), &suite.Runner{Origin: origin, Cache: cache}, []string{"asks"}, nil)
	var out bytes.Buffer
	r.write(&out)
	if !strings.HasSuffix(out.String(), "\ntried a second time, alone: asks passed\n") {
		t.Errorf("it prints\n%s, and nothing of a second try at its end", &out)
	}
	if worse := r.worse([]string{"asks", "keeps", "elsewhere"}); !slices.Equal(worse, []string{"keeps"}) {
		t.Errorf("worse is %q, want keeps", worse)
	}
	if asked.Load() != 3 || kept.Load() != 2 {
		t.Errorf("asks sent %d requests and keeps %d, want 3 and 2", asked.Load(), kept.Load())
	}
}

// TestSecondTryOfARoot has what a test depends on fail once.
func TestSecondTryOfARoot(t *testing.T) {
	file, err := suite.Parse([]byte(`{"counted": ["root", "leaf", "other"], "suites": [{"id": "s", "tests": [
		{"id": "root", "kind": "check", "requests": [{}]},
		{"id": "leaf", "kind": "required", "depends_on": ["root"], "requests": [{}]},
		{"id": "other", "kind": "check", "requests": [{"expected_status": 201}]}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	origin, err := suite.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer origin.Close()
	base := suite.Connect()
	defer base.CloseIdleConnections()
	var asked atomic.Int32
	cache := suite.Cache{URL: origin.URL(), Direct: true, Transport: tripper(func(req *http.Request) (*http.Response, error) {
		if req.Header.Get("Test-ID") == "root" && asked.Add(1) == 1 {
			return nil, errors.New("busy")
		}
		return base.RoundTrip(req)
	})}
	r := &report{file: file}
	r.run(t.Context(), &suite.Runner{Origin: origin, Cache: cache}, []string{"leaf"}, nil)
	if worse := r.worse([]string{"leaf"}); len(worse) > 0 || !slices.Equal(r.again, []string{"root"}) {
		t.Errorf("worse is %q and %q was tried again, want root tried again, and nothing worse", worse, r.again)
	}
}

// TestOnly runs one test, with what it depends on.
func TestOnly(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-tests", write(t, "tests.json", ownTests), "-against", "roundtripper-shared", "-only", "after-keeps", "-trace"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.Contains(got, "\nall     –         0 of 2") || strings.Contains(got, "asks") {
		t.Errorf("it prints\n%s, want after-keeps and keeps", got)
	}
}

// TestAll goes all ways, with lists in a directory, and puts a table into a page.
func TestAll(t *testing.T) {
	t.Setenv(proxyVariable, "both")
	t.Setenv(proxyVariable+"_END", filepath.Join(t.TempDir(), "end"))
	page, dir := write(t, "page.md", "before\n"+opening+"old\n"+closing+"after\n"), t.TempDir()
	var out, errs bytes.Buffer
	if err := run(t.Context(), []string{"-tests", write(t, "tests.json", ownTests), "-against", "all", "-larder", os.Args[0], "-into", page, "-expect", dir, "-update"}, &out, &errs); err != nil {
		t.Fatal(err, errs.String())
	}
	got, err := os.ReadFile(page)
	const want = "before\n" + opening + `| suite | shared, required | optional | private, required | optional | roundtripper-shared, required | optional | roundtripper-private, required | optional |
|---|---|---|---|---|---|---|---|---|
| first | 1 of 1 | 0 of 1 | 1 of 1 | 0 of 1 | 1 of 1 | 0 of 1 | 1 of 1 | 0 of 1 |
| second | – | 0 of 1 (1 excluded) | 1 of 1 | 0 of 1 (1 excluded) | – | 0 of 1 (1 excluded) | 1 of 1 | 0 of 1 (1 excluded) |
| **all** | **1 of 1** | **0 of 2 (1 excluded)** | **2 of 2** | **0 of 2 (1 excluded)** | **1 of 1** | **0 of 2 (1 excluded)** | **2 of 2** | **0 of 2 (1 excluded)** |
` + closing + "after\n"
	if err != nil || string(got) != want {
		t.Errorf("the page is %v\n%s, want\n%s", err, got, want)
	}
	for name, want := range map[string]string{"shared": "asks\n", "private": "asks\nbrowsers\n", "roundtripper-shared": "asks\n", "roundtripper-private": "asks\nbrowsers\n"} {
		if got, err := os.ReadFile(filepath.Join(dir, name+".txt")); err != nil || string(got) != want {
			t.Errorf("of %s is kept %q, %v, want %q", name, got, err, want)
		}
	}
}
