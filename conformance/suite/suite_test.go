package suite

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
)

// TestParseErrors gives files that are none, each of which must be told of in one sentence that says where and what.
func TestParseErrors(t *testing.T) {
	request := func(r string) string { return test(`{"id": "a", "kind": "check", "requests": [{}, ` + r + `]}`) }
	const at = "suite s, test 1: a, request 2: "
	for _, c := range []struct{ file, want string }{
		{``, "want a JSON object with suites and counted: EOF"},
		{`[]`, "want a JSON object with suites and counted: json: cannot unmarshal array"},
		{`{"suites": [], "counted": []}`, "it has no suites"},
		{`{"tests": []}`, `want a JSON object with suites and counted: json: unknown field "tests"`},
		{test(`{"id": "a", "kind": "check", "requests": [{}]}`) + "{}", "want a JSON object with suites and counted: something follows the JSON value"},
		{`{"suites": [{"tests": []}]}`, "suite 1 has no id"},
		{test(`{"kind": "check", "requests": [{}]}`), "suite s, test 1: it has no id"},
		{test(`{"id": "a", "requests": [{}]}`), `suite s, test 1: a: kind is "", want required, optimal or check`},
		{test(`{"id": "a", "kind": "check", "requests": []}`), "suite s, test 1: a: it has no requests"},
		{test(`{"id": "a", "kind": "check", "requests": [{}], "only": 1}`), `suite s, test 1: json: unknown field "only"`},
		{test(`{"id": "a", "kind": "check", "requests": [{}]}, {"id": "a", "kind": "check", "requests": [{}]}`), "suite s, test 2: the id a is taken by another test"},
		{test(`{"id": "a", "kind": "check", "requests": [{}], "depends_on": ["b"]}, {"id": "b", "kind": "check", "requests": [{}], "depends_on": ["a"]}`), "depends on itself"},
		{strings.Replace(test(`{"id": "a", "kind": "check", "requests": [{}]}`), `"counted": []`, `"counted": ["b"]`, 1), "counted names the test b, which is not there"},
		{request(`{"expected_typo": "cached"}`), at + `json: unknown field "expected_typo"`},
		{request(`{"expected_type": "warm"}`), at + `expected_type is "warm", want cached, not_cached, lm_validated or etag_validated`},
		{request(`{"response_pause": -1}`), at + "response_pause is -1, want seconds"},
		{request(`{"response_status": 200}`), at + "response_status: want [code, phrase]: json: cannot unmarshal number"},
		{request(`{"response_status": [200]}`), at + "response_status: want [code, phrase]: wrong number of elements"},
		{request(`{"response_status": [20, ""]}`), at + "response_status is 20, want three digits"},
		{request(`{"response_headers": [["A"]]}`), at + `header ["A"]: want [name, value] or [name, value, boolean], where the value is text or an integer`},
		{request(`{"response_headers": [["A", null]]}`), at + `header ["A", null]: want [name, value]`},
		{request(`{"response_headers": [["A", 1.5]]}`), at + `header ["A", 1.5]: want [name, value]`},
		{request(`{"response_headers": [["", "x"]]}`), at + `header ["", "x"]: want [name, value]`},
		{request(`{"expected_response_headers": [["A", "<", 1]]}`), at + `header ["A", "<", 1]: want "name", [name, value], [name, "=", name] or [name, ">", number]`},
		{request(`{"expected_response_headers": [null]}`), at + `header null: want "name"`},
		{request(`{"expected_interim_responses": [[200]]}`), at + "interim response [200]: want [1xx] or [1xx, headers]"},
		{request(`{"expected_status": "200"}`), at + "json: cannot unmarshal string"},
		{test(`{"id": "a", "kind": "check", "requests": [{"expected_type": "etag_validated"}]}`), "suite s, test 1: a, request 1: expected_type is etag_validated, and there is no request before it"},
	} {
		_, err := Parse([]byte(c.file))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("for %s the error is %v, want %q", c.file, err, c.want)
		}
	}
	if _, err := Load("testdata/none.json"); !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "cache tests: open testdata/none.json") {
		t.Errorf("for a file that is not there the error is %v", err)
	}
}

func test(tests string) string {
	return `{"counted": [], "suites": [{"id": "s", "tests": [` + tests + `]}]}`
}

// TestSelection is which tests are asked of which caches.
func TestSelection(t *testing.T) {
	file := ownTests(t)
	for _, c := range []struct {
		private bool
		want    string
	}{{true, "private-only"}, {false, "shared-only targeted-only"}} {
		var only []string
		for _, test := range file.Tests(c.private) {
			if strings.HasSuffix(test.ID, "-only") {
				only = append(only, test.ID)
			}
		}
		if got := strings.Join(only, " "); got != c.want {
			t.Errorf("private %v: of those for one sort of cache %q are run, want %q", c.private, got, c.want)
		}
	}
}

// TestOutcomes is the table of outcomes, where the first that applies counts.
func TestOutcomes(t *testing.T) {
	file, err := Parse([]byte(test(`
		{"id": "root", "kind": "check", "requests": [{}]},
		{"id": "untested", "kind": "required", "requests": [{}], "depends_on": ["root"]},
		{"id": "child", "kind": "required", "requests": [{}], "depends_on": ["root"]},
		{"id": "grandchild", "kind": "optimal", "requests": [{}], "depends_on": ["child", "root"]},
		{"id": "orphan", "kind": "optimal", "requests": [{}], "depends_on": ["elsewhere"]}`)))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		root                     *Failure
		rootOutcome, child, also Outcome
	}{
		{nil, Yes, Pass, Pass},
		{&Failure{assertion, ""}, No, Dependency, Dependency},
		{&Failure{broken, ""}, No, Dependency, Dependency},
		{&Failure{setup, "retry"}, Retry, Dependency, Dependency},
		{&Failure{setup, "retry later"}, SetupFault, Dependency, Dependency},
		{&Failure{aborted, ""}, Harness, Dependency, Dependency},
		{&Failure{assertion, "retry"}, No, Dependency, Dependency},
	} {
		got := file.Outcomes(map[string]Result{"root": {Failure: c.root}, "child": {}, "grandchild": {}, "orphan": {}})
		want := map[string]Outcome{"root": c.rootOutcome, "untested": Untested, "child": c.child, "grandchild": c.also, "orphan": Dependency}
		for id, o := range want {
			if got[id] != o {
				t.Errorf("with root %v the outcome of %s is %s, want %s", c.root, id, got[id], o)
			}
		}
	}
	got := file.Outcomes(map[string]Result{"root": {}, "child": {Failure: &Failure{assertion, ""}}, "grandchild": {}})
	if got["child"] != Fail || got["grandchild"] != Dependency {
		t.Errorf("where the child fails, it is %s, and the grandchild %s", got["child"], got["grandchild"])
	}
	if o := Untested; !o.Excluded() || Fail.Excluded() || No.Excluded() || Pass.Excluded() || !Yes.Passed() || No.Passed() {
		t.Error("what is counted is mixed up with what is not")
	}
}
