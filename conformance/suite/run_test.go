package suite

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
)

func ownTests(t *testing.T) *File {
	t.Helper()
	f, err := Load("testdata/own.json")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func newOrigin(t *testing.T) *Origin {
	t.Helper()
	o, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	return o
}

func (f *File) find(id string) *Test {
	for _, s := range f.Suites {
		for i := range s.Tests {
			if s.Tests[i].ID == id {
				return &s.Tests[i]
			}
		}
	}
	return nil
}

// TestEveryCheck has each check pass on a cache that obeys, and fail on one that does not.
func TestEveryCheck(t *testing.T) {
	const passes = ""
	cases := []struct {
		test, cache string
		failure     string // begins with its kind; passes: none
		outcome     Outcome
	}{
		{"reuse", "keeps", passes, Pass},
		{"reuse", "passes on", "Assertion: Response 2 does not come from cache", Fail},
		{"reuse", "asks twice", "Setup: retry", Retry},
		{"reuse", "breaks", "TypeError: broken", Fail}, // though its first request is setup
		{"reuse", "breaks off", "TypeError: reading the response: broken off", Fail},
		{"reuse", "hangs", "AbortError: ", Harness},
		{"reuse", "keeps and answers 200 without the count", "Assertion: Response 2 does not come from cache", Fail},
		{"reuse", "keeps and answers 304", "Setup: Response 2 status is 304, not 200", SetupFault}, // but it comes from cache
		{"ask-again", "passes on", passes, Pass},
		{"ask-again", "keeps", "Assertion: Response 2 comes from cache", Fail},
		{"ask-again", "keeps and answers 200 without the count", "Assertion: Response 2 comes from cache", Fail},
		{"ask-again", "keeps and pretends", "TypeError: request 2 is not in the server's log", Fail},
		{"ask-again", "asks in another's name", "Assertion: Response 2 comes from cache (1 on server)", Fail},
		{"ask-again-or-not", "passes on", passes, Yes},
		{"ask-again-or-not", "keeps", "Assertion: Response 2 comes from cache", No},
		{"ask-again-or-not", "breaks", "TypeError: broken", No},
		{"needs-reuse", "keeps", passes, Pass},
		{"needs-reuse", "passes on", "Setup: Response 2 does not come from cache", Dependency},

		{"etag", "validates", passes, Pass},
		{"etag", "validates and forgets the 304", `Setup: Response 2 header Changed is "1", not "2"`, SetupFault},
		{"etag", "passes on", "Assertion: Request 2 should have been conditional, but it was not.", Fail},
		{"etag", "validates by ETag, as if it were weak", "Assertion: Request 2 should have been conditional, but it was not.", Fail},
		{"etag", "validates by a list", "Assertion: Request 2 should have been conditional, but it was not.", Fail},
		{"etag", "keeps", "Assertion: request 2 wasn't sent to server", Fail},
		{"etag-as-setup", "validates", passes, Pass},
		{"etag-as-setup", "passes on", "Setup: Request 2 should have been conditional, but it was not.", SetupFault},
		{"etag-as-setup", "keeps", "Setup: request 2 wasn't sent to server", SetupFault},
		{"etag-any", "validates", passes, Pass},
		{"etag-any", "validates by a list", passes, Pass},
		{"etag-any", "passes on", "Assertion: request 2 doesn't have if-none-match header", Fail},
		{"date", "validates", passes, Pass},
		{"date", "keeps", "Assertion: request 2 wasn't sent to server", Fail},
		{"date", "passes on", "Assertion: Request 2 should have been conditional, but it was not.", Fail},
		{"date-850", "validates", passes, Pass},
		{"date-850", "passes on", "Assertion: Request 2 should have been conditional, but it was not.", Fail},

		{"status-scripted", "passes on", passes, Pass},
		{"status-scripted", "answers 200", "Setup: Response 1 status is 200, not 418", SetupFault},
		{"status-expected", "answers 203", passes, Pass},
		{"status-expected", "passes on", "Assertion: Response 1 status is 500, not 203", Fail},
		{"status-expected-as-setup", "answers 203", passes, Pass},
		{"status-expected-as-setup", "passes on", "Setup: Response 1 status is 200, not 203", SetupFault},
		{"status-any", "passes on", passes, Pass},
		{"status-any", "breaks", passes, Pass}, // as it has no log entry to be checked
		{"status-any", "invents an answer", `Assertion: Response 1 includes unexpected header Server-Now: "1000"`, Fail},
		{"body-unchecked", "answers 304", "Setup: Response 1 status is 304, not 200", SetupFault},

		{"header-there", "passes on", passes, Pass},
		{"header-there", "drops Found", "Assertion: Response 1 found header not present.", Fail},
		{"header-is", "passes on", passes, Pass},
		{"header-is", "Found is a", `Assertion: Response 1 header Found is "a", not "a, b"`, Fail},
		{"header-is", "drops Found", "Assertion: Response 1 Found header not present.", Fail},
		{"header-date", "passes on", passes, Pass},
		{"header-date", "Expires is another", `Assertion: Response 1 header Expires is "Thu, 01 Jan 1970`, Fail},
		{"header-date", "drops Server-Now", `Assertion: Response 1 header Expires is `, Fail},
		{"header-same", "passes on", passes, Pass},
		{"header-same", "Found is a", `Assertion: Response 1 header Found is "a", should match Other ("same")`, Fail},
		{"header-same", "drops Other", `Assertion: Response 1 header Found is "same", should match Other ("")`, Fail},
		{"header-more", "passes on", passes, Pass},
		{"header-more", "Age is 30", `Assertion: Response 1 header Age is "30", should be bigger than 30`, Fail},
		{"header-more", "drops Age", "Assertion: Response 1 Age header not present.", Fail},
		{"header-as-setup", "passes on", passes, Pass},
		{"header-as-setup", "drops Found", "Setup: Response 1 Found header not present.", SetupFault},
		{"header-gone", "drops Found", passes, Pass},
		{"header-gone", "passes on", `Assertion: Response 1 includes unexpected header Found: "x"`, Fail},
		{"header-gone-as-setup", "drops Found", passes, Pass},
		{"header-gone-as-setup", "passes on", `Setup: Response 1 includes unexpected header Found: "x"`, SetupFault},
		{"interim-none", "swallows 1xx", passes, Pass},
		{"interim-none", "passes on", "Assertion: There are 1 interim responses, not 0", Fail},
		{"interim-some", "passes on", passes, Pass},
		{"interim-some", "swallows 1xx", "Assertion: Interim response 1 not received", Fail},
		{"interim-some", "says 103", "Assertion: Interim response 1 status is 103, not 102", Fail},
		{"interim-some", "says 102 and 103, and no more", "Assertion: Interim response 2 hint header not present.", Fail},
		{"interim-as-setup", "passes on", passes, Pass},
		{"interim-as-setup", "swallows 1xx", "Setup: Interim response 1 not received", SetupFault},
		{"text", "answers part", passes, Pass},
		{"text", "passes on", `Assertion: Response 1 body is "whole", not "part"`, Fail},
		{"text-as-setup", "answers part", passes, Pass},
		{"text-as-setup", "passes on", `Setup: Response 1 body is "whole", not "part"`, SetupFault},
		{"text-any", "answers part", passes, Pass},
		{"text-any", "answers 203", "Setup: Response 1 status is 203, not 200", SetupFault},
		{"body-scripted", "passes on", passes, Pass},
		{"body-scripted", "answers part", `Setup: Response 1 body is "part", not "whole"`, SetupFault},
		{"ground", "answers part", `Setup: Response 1 body is "part", not "`, SetupFault}, // its run's id
		{"ground", "passes on", passes, Yes},
		{"body-unchecked", "answers part", passes, Pass},
		{"body-of-head", "passes on", passes, Pass},
		{"body-of-head", "answers whole", passes, Pass},
		{"body-of-head", "answers 203", "Setup: Response 1 status is 203, not 200", SetupFault},
		{"body-of-304", "answers 304", passes, Pass},
		{"body-of-304", "passes on", "Assertion: Response 1 status is 200, not 304", Fail},

		{"sent-there", "passes on", passes, Yes},
		{"sent-there", "drops Asked", `Assertion: Request 1 header Asked is "", not ""`, No},
		{"sent-is", "passes on", passes, Yes},
		{"sent-is", "Asked is x", `Assertion: Request 1 header Asked is "x", not "x, y"`, No},
		{"sent-as-setup", "passes on", passes, Yes},
		{"sent-as-setup", "drops Asked", `Setup: Request 1 header Asked is "", not ""`, SetupFault},
		{"sent-gone", "drops Asked", passes, Yes},
		{"sent-gone", "passes on", `Assertion: Request 1 header Asked is "x"`, No},
		{"method", "passes on", passes, Yes},
		{"method", "asks by another", "Assertion: Request 1 had method POST, not PUT", No},
		{"method-as-setup", "passes on", passes, Yes},
		{"method-as-setup", "asks by another", "Setup: Request 1 had method POST, not GET", SetupFault},
		{"arrives", "passes on", passes, Pass},
		{"arrives", "drops Found", `Setup: Response 1 header Found is "", not "a, b"`, SetupFault},
		{"arrives", "Found is a", `Setup: Response 1 header Found is "a", not "a, b"`, SetupFault},
		{"arrives", "drops Quiet", passes, Pass},
		{"arrives", "drops Date", passes, Pass},
		{"arrives", "Date is another", passes, Pass},
		{"after-a-hit", "keeps", passes, Yes},
		{"after-a-hit", "passes on", "Assertion: Response 2 does not come from cache", No},
		{"magic-date", "passes on", passes, Yes},
		{"magic-date", "drops conditions", `Assertion: Request 2 header If-Modified-Since is "", not ""`, No},
		{"magic-date", "drops Server-Now", "TypeError: magic_ims: the response before it has no Server-Now", No},
		{"magic-location", "passes on", passes, Yes},
		{"magic-location", "Content-Location is full", `Setup: Response 1 header Content-Location is "http://localhost/x"`, SetupFault},
		{"magic-location", "Location is full", `Assertion: Response 1 header Location is "http://localhost/x", should match Server-Base-Url ("/test/`, No},
		{"slow", "passes on", passes, Pass},
		{"slow", "answers 203", "Setup: Response 1 status is 203, not 200", SetupFault},
		{"lines", "passes on", passes, Pass},
		{"lines", "Vary is *", `Setup: Response 1 header Vary is "*", not ""`, SetupFault},
		{"lines", "says nothing", `Setup: Response 1 body is "", not "`, SetupFault},
	}
	file, origin := ownTests(t), newOrigin(t)
	good, bad := make(map[string]bool), make(map[string]bool)
	for _, c := range cases {
		if good[c.test] = good[c.test] || c.failure == passes; c.failure != passes {
			bad[c.test] = true
		}
		t.Run(c.test+"/"+c.cache, func(t *testing.T) {
			t.Parallel()
			test, cache := file.find(c.test), caches(t)[c.cache]
			if test == nil || cache == nil {
				t.Fatal("there is no such test or cache")
			}
			tests := []Test{*test}
			for _, id := range test.DependsOn {
				tests = append(tests, *file.find(id))
			}
			timeout := 30 * time.Second
			if c.outcome == Harness {
				timeout = 50 * time.Millisecond
			}
			r := &Runner{Origin: origin, Cache: Cache{Transport: cache, URL: origin.URL(), Direct: true}, Pause: time.Nanosecond, Timeout: timeout}
			results := r.Run(t.Context(), tests)
			got := passes
			if f := results[c.test].Failure; f != nil {
				got = f.Kind + ": " + f.Message
			}
			if !strings.HasPrefix(got, c.failure) || c.failure == passes && got != passes {
				t.Errorf("it came to %q, want %q", got, c.failure)
			}
			if got := file.Outcomes(results)[c.test]; got != c.outcome {
				t.Errorf("the outcome is %s, want %s", got, c.outcome)
			}
		})
	}
	for _, s := range file.Suites {
		for _, test := range s.Tests {
			if strings.HasSuffix(test.ID, "-only") || test.ID == "header-without" {
				continue
			}
			if !good[test.ID] || !bad[test.ID] {
				t.Errorf("%s is not seen both to pass and to fail", test.ID)
			}
		}
	}
}

// TestBeyond is the one check that the suite describes and its engine does not make.
func TestBeyond(t *testing.T) {
	file, origin := ownTests(t), newOrigin(t)
	for cache, want := range map[string]int{"passes on": 1, "Found is a": 0, "drops Found": 0} {
		r := &Runner{Origin: origin, Cache: Cache{Transport: caches(t)[cache], URL: origin.URL(), Direct: true}}
		result := r.Run(t.Context(), []Test{*file.find("header-without")})["header-without"]
		if result.Failure != nil || len(result.Beyond) != want {
			t.Errorf("%s: it came to %v and %q, want a pass with %d findings", cache, result.Failure, result.Beyond, want)
		}
	}
}

// TestThroughAProxy sends all through a proxy that stores nothing.
func TestThroughAProxy(t *testing.T) {
	file, origin := ownTests(t), newOrigin(t)
	u, err := url.Parse(origin.URL())
	if err != nil {
		t.Fatal(err)
	}
	reverse := httputil.NewSingleHostReverseProxy(u)
	reverse.Transport = Connect()
	reverse.ErrorLog = log.New(io.Discard, "", 0)
	proxy := httptest.NewServer(reverse)
	defer proxy.Close()
	transport := Connect()
	defer transport.CloseIdleConnections()
	r := &Runner{Origin: origin, Cache: Cache{Transport: transport, URL: proxy.URL}, Pause: time.Nanosecond}
	results := r.Run(t.Context(), file.Tests(false))
	if _, ran := results["private-only"]; ran || len(results) != len(file.Tests(false)) {
		t.Errorf("%d tests were run, want %d, and not private-only", len(results), len(file.Tests(false)))
	}
	wanted := map[string]Outcome{
		"reuse": Fail, "after-a-hit": No, "etag-any": Fail, "needs-reuse": Dependency, "etag": Fail, "etag-as-setup": SetupFault, "date": Fail, "date-850": Fail, "status-expected": Fail,
		"status-expected-as-setup": SetupFault, "header-gone": Fail, "header-gone-as-setup": SetupFault, "text": Fail, "text-as-setup": SetupFault,
		"body-of-304": Fail, "sent-gone": No, "interim-none": Fail, "private-only": Untested,
	}
	for id, got := range file.Outcomes(results) {
		want, ok := wanted[id]
		if !ok {
			if want = Pass; file.find(id).Kind == Check {
				want = Yes
			}
		}
		if got != want {
			t.Errorf("%s: the outcome is %s, want %s: %v", id, got, want, results[id].Failure)
		}
	}
}

// TestClientSends is what of a request a cache sees.
func TestClientSends(t *testing.T) {
	origin, through := newOrigin(t), caches(t)["passes on"]
	requests := script(t, `[
		{"request_method": "PATCH", "request_body": "text", "filename": "name", "query_arg": "a=b", "pause_after": true,
			"request_headers": [["cache-control", " max-age=0 "], ["Content-Type", "a/b"], ["Accept-Language", "de"], ["Obs", "é"], ["If-Modified-Since", -5]]},
		{"request_headers": [["Range", "bytes=0-1"]]}]`)
	var sent []*http.Request
	var at []time.Time
	cache := tripper(func(req *http.Request) (*http.Response, error) {
		sent, at = append(sent, req), append(at, time.Now())
		return through(req)
	})
	const pause = 200 * time.Millisecond
	r := &Runner{Origin: origin, Pause: pause, Cache: Cache{Transport: cache, URL: origin.URL(), Direct: true}}
	if f := r.Run(t.Context(), []Test{{ID: "sent", Name: "Ünicode", Kind: Check, Requests: requests}})["sent"].Failure; f != nil {
		t.Fatal(f)
	}
	if got := at[1].Sub(at[0]); got < pause {
		t.Errorf("between the requests %v passed, want %v", got, pause)
	}
	always := func(more http.Header) http.Header {
		h := http.Header{
			"Pragma": {"foo"}, "Cache-Control": {"nothing-to-see-here"}, "Test-Id": {"sent"}, "Test-Name": {"\xdcnicode"}, "Accept": {"*/*"}, "Accept-Language": {"*"},
			"Sec-Fetch-Mode": {"cors"}, "User-Agent": {"node"}, "Accept-Encoding": {"gzip, deflate"},
		}
		maps.Copy(h, more)
		return h
	}
	for i, want := range []struct {
		method, url string
		header      http.Header
	}{
		{"PATCH", "/name?a=b", always(http.Header{
			"Req-Num": {"1"}, "Cache-Control": {"nothing-to-see-here, max-age=0"}, "Content-Type": {"a/b"}, "Accept-Language": {"de"}, "Obs": {"\xe9"}, "If-Modified-Since": {"-5"},
		})},
		{"GET", "", always(http.Header{"Req-Num": {"2"}, "Range": {"bytes=0-1"}, "Accept-Encoding": {"identity"}})},
	} {
		id := strings.TrimPrefix(sent[i].URL.String(), origin.URL()+"/test/")
		if len(id) < 36 || sent[i].Method != want.method || id[36:] != want.url {
			t.Errorf("request %d is %s %s, want %s of a run's id and %q", i+1, sent[i].Method, sent[i].URL, want.method, want.url)
		}
		if !reflect.DeepEqual(sent[i].Header, want.header) {
			t.Errorf("request %d has\n%q, want\n%q", i+1, sent[i].Header, want.header)
		}
	}
}

func TestResultFormat(t *testing.T) {
	got, err := json.Marshal(map[string]Result{"a": {Beyond: []string{"x"}}, "b": {Failure: &Failure{"Setup", "retry"}}})
	if want := `{"a":true,"b":["Setup","retry"]}`; err != nil || string(got) != want {
		t.Errorf("the results are written as %s, %v, want %s", got, err, want)
	}
}

// TestInterrupted ends a run in the middle.
func TestInterrupted(t *testing.T) {
	file, origin := ownTests(t), newOrigin(t)
	ctx, cancel := context.WithCancel(t.Context())
	through := caches(t)["passes on"]
	r := &Runner{Origin: origin, Parallel: 1, Cache: Cache{URL: origin.URL(), Direct: true, Transport: tripper(func(req *http.Request) (*http.Response, error) {
		if req.Header.Get("Test-ID") == "ask-again" {
			cancel()
		}
		return through(req)
	})}, Pause: time.Nanosecond}
	results := r.Run(ctx, file.Tests(false))
	if _, ran := results["reuse"]; !ran || len(results) != 2 {
		t.Errorf("results are there for %d tests, want those of ground and reuse", len(results))
	}
}

func TestTrace(t *testing.T) {
	file, origin := ownTests(t), newOrigin(t)
	var out strings.Builder
	r := &Runner{Origin: origin, Parallel: 1, Trace: &out, Cache: Cache{Transport: caches(t)["passes on"], URL: origin.URL(), Direct: true}}
	r.Run(t.Context(), []Test{*file.find("interim-none"), *file.find("header-gone")})
	for _, want := range []string{
		"\ninterim-none\nclient, response 1: interim 102", "\nclient, response 1: 200 \"", "\n\tFound: x\n", "\norigin, request 1: GET\n", "\tTest-Id: header-gone\n",
		"\nAssertion: Response 1 includes unexpected header Found: \"x\"\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the trace has no %q:\n%s", want, &out)
		}
	}
}
