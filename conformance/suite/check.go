package suite

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Failure is why a test did not pass.
type Failure struct {
	Kind    string // Assertion, Setup, AbortError or TypeError
	Message string
}

// The kinds of failures, by the engine's names.
const (
	assertion = "Assertion"  // the cache did something else than the test wants
	setup     = "Setup"      // the test could not be made
	aborted   = "AbortError" // no complete response in time
	broken    = "TypeError"  // no response at all
)

// judge makes the checks of one request.
type judge struct {
	script *Request
	number int // counted from 1
}

func (j judge) fail(isSetup bool, format string, args ...any) *Failure {
	kind := assertion
	if isSetup {
		kind = setup
	}
	return &Failure{kind, fmt.Sprintf(format, args...)}
}

// response checks what the client got.
func (j judge) response(got *response, run string) *Failure {
	for _, check := range []func(*response) *Failure{j.retry, j.cached, j.status, j.header, j.missing, j.interim} {
		if f := check(got); f != nil {
			return f
		}
	}
	return j.body(got, run)
}

func (j judge) retry(got *response) *Failure {
	v, _ := got.get("Request-Numbers")
	numbers := strings.Fields(v)
	slices.Sort(numbers)
	if len(slices.Compact(numbers)) != len(strings.Fields(v)) {
		return j.fail(true, "retry")
	}
	return nil
}

func (j judge) cached(got *response) *Failure {
	count, ok := got.number("Server-Request-Count")
	isSetup := j.script.setup("expected_type")
	switch j.script.Type {
	case cached:
		if !(ok && count < int64(j.number) || !ok && got.status == http.StatusNotModified) {
			return j.fail(isSetup, "Response %d does not come from cache", j.number)
		}
	case notCached:
		if !ok || count != int64(j.number) {
			return j.fail(isSetup, "Response %d comes from cache", j.number)
		}
	}
	return nil
}

func (j judge) status(got *response) *Failure {
	want, isSetup := http.StatusOK, true
	switch {
	case j.script.ExpectedStatus.Null:
		return nil
	case j.script.ExpectedStatus.Set:
		want, isSetup = j.script.ExpectedStatus.Value, j.script.setup("expected_status")
	case j.script.Status != nil:
		want = j.script.Status.Code
	case got.status == 999:
		return j.fail(j.script.setup("expected_type"), "Request %d should have been conditional, but it was not.", j.number)
	}
	if got.status != want {
		return j.fail(isSetup, "Response %d status is %d, not %d", j.number, got.status, want)
	}
	return nil
}

func (j judge) header(got *response) *Failure {
	isSetup := j.script.setup("expected_response_headers")
	for _, e := range j.script.ExpectedHeaders {
		v, ok := got.get(e.Name)
		if !ok {
			return j.fail(isSetup, "Response %d %s header not present.", j.number, e.Name)
		}
		switch e.Op {
		case "is":
			want := e.Value.Text
			if now, ok := got.number("Server-Now"); ok {
				want = e.Value.at(e.Name, now, j.script.RFC850)
			}
			if v != want {
				return j.fail(isSetup, "Response %d header %s is %q, not %q", j.number, e.Name, v, want)
			}
		case "=":
			if other, ok := got.get(e.Other); !ok || v != other {
				return j.fail(isSetup, "Response %d header %s is %q, should match %s (%q)", j.number, e.Name, v, e.Other, other)
			}
		case ">":
			if n, ok := leading(v); !ok || n <= int64(e.Least) {
				return j.fail(isSetup, "Response %d header %s is %q, should be bigger than %d", j.number, e.Name, v, e.Least)
			}
		}
	}
	return nil
}

// missing leaves out [name, value], which the engine never checks; see beyond.
func (j judge) missing(got *response) *Failure {
	for _, e := range j.script.MissingHeaders {
		if v, ok := got.get(e.Name); ok && e.Op == "" {
			return j.fail(j.script.setup("expected_response_headers_missing"), "Response %d includes unexpected header %s: %q", j.number, e.Name, v)
		}
	}
	return nil
}

// beyond returns what the suite's documentation calls a fault, and its engine does not see.
func (j judge) beyond(got *response) []string {
	var faults []string
	for _, e := range j.script.MissingHeaders {
		if v, ok := got.get(e.Name); ok && e.Op == "is" && strings.Contains(v, e.Value.Text) {
			faults = append(faults, fmt.Sprintf("Response %d header %s still has value %q", j.number, e.Name, v))
		}
	}
	return faults
}

func (j judge) interim(got *response) *Failure {
	if !j.script.ExpectedInterim.Set {
		return nil
	}
	isSetup := j.script.setup("expected_interim_responses")
	want := j.script.ExpectedInterim.Value
	for i, w := range want {
		if i >= len(got.interim) {
			return j.fail(isSetup, "Interim response %d not received", i+1)
		}
		if code := got.interim[i].code; code != w.Code {
			return j.fail(isSetup, "Interim response %d status is %d, not %d", i+1, code, w.Code)
		}
		for _, f := range w.Headers {
			if len(got.interim[i].header.Values(f.Name)) == 0 {
				return j.fail(isSetup, "Interim response %d %s header not present.", i+1, f.Name)
			}
		}
	}
	if len(got.interim) > len(want) {
		return j.fail(isSetup, "There are %d interim responses, not %d", len(got.interim), len(want))
	}
	return nil
}

func (j judge) body(got *response, run string) *Failure {
	want, isSetup := run, true
	switch {
	case !j.script.checksBody() || j.script.ExpectedText.Null:
		return nil
	case j.script.ExpectedText.Set:
		want, isSetup = j.script.ExpectedText.Value, j.script.setup("expected_response_text")
	case j.script.ResponseBody != nil:
		want = *j.script.ResponseBody
	case got.status == http.StatusNoContent, got.status == http.StatusNotModified, j.script.method() == http.MethodHead:
		return nil
	}
	if got.body != want {
		return j.fail(isSetup, "Response %d body is %q, not %q", j.number, got.body, want)
	}
	return nil
}

// log checks what the origin heard of all requests of a test.
func checkLog(t *Test, got []*response, log []entry) *Failure {
	next := 0
	for i := range t.Requests {
		j := judge{&t.Requests[i], i + 1}
		if j.script.Type == cached {
			continue // the origin does not hear of it
		}
		var heard *entry
		if next < len(log) {
			heard = &log[next]
		}
		next++
		if f := j.request(heard, got[i]); f != nil {
			return f
		}
	}
	return nil
}

// request checks what the origin heard of a request; nil: nothing.
func (j judge) request(heard *entry, got *response) *Failure {
	isSetup := j.script.setup("expected_type")
	if j.script.validated() {
		name := "If-None-Match"
		if j.script.Type == lmValidated {
			name = "If-Modified-Since"
		}
		if heard == nil {
			return j.fail(isSetup, "request %d wasn't sent to server", j.number)
		}
		if len(heard.header.Values(name)) == 0 {
			return j.fail(isSetup, "request %d doesn't have %s header", j.number, strings.ToLower(name))
		}
	}
	if heard == nil {
		if j.script.Type == notCached || j.script.ExpectedMethod != "" || len(j.script.ExpectedRequest)+len(j.script.MissingRequestHeaders) > 0 {
			return &Failure{broken, fmt.Sprintf("request %d is not in the server's log", j.number)}
		}
		return nil
	}
	if j.script.Type == notCached && heard.number != j.number {
		return j.fail(isSetup, "Response %d comes from cache (%d on server)", j.number, heard.number)
	}
	if f := j.requestHeader(heard); f != nil {
		return f
	}
	for _, l := range heard.response {
		if v, ok := got.get(l.name); !strings.EqualFold(l.name, "Date") && (!ok || v != strings.TrimSpace(l.value)) {
			return j.fail(true, "Response %d header %s is %q, not %q", j.number, l.name, v, l.value)
		}
	}
	if j.script.ExpectedMethod != "" && heard.method != j.script.ExpectedMethod {
		return j.fail(j.script.setup("expected_method"), "Request %d had method %s, not %s", j.number, heard.method, j.script.ExpectedMethod)
	}
	return nil
}

func (j judge) requestHeader(heard *entry) *Failure {
	for _, e := range j.script.ExpectedRequest {
		values := heard.header.Values(e.Name)
		v := strings.Join(values, ", ")
		if len(values) == 0 || e.Op == "is" && v != e.Value.Text {
			return j.fail(j.script.setup("expected_request_headers"), "Request %d header %s is %q, not %q", j.number, e.Name, v, e.Value.Text)
		}
	}
	for _, e := range j.script.MissingRequestHeaders {
		values := heard.header.Values(e.Name)
		v := strings.Join(values, ", ")
		if len(values) > 0 && (e.Op == "" || v == e.Value.Text) {
			return j.fail(j.script.setup("expected_request_headers_missing"), "Request %d header %s is %q", j.number, e.Name, v)
		}
	}
	return nil
}
