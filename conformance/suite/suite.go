// Package suite runs the public tests of HTTP caches (http-tests/cache-tests) as data: it scripts the origin, sends the
// requests through the cache under test, and judges what comes back. Where the suite's own engine differs from its
// documentation, this follows the engine, so that results can be compared with those it publishes.
package suite

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// File is a file of tests.
type File struct {
	Counted []string // the ids of the tests that are scored; the others are there since these depend on them
	Suites  []Suite
}

// Suite is tests about one subject.
type Suite struct {
	ID, Name string
	Tests    []Test
}

// The kinds of tests.
const (
	Required = "required" // a MUST of the specification
	Optimal  = "optimal"  // allowed, and better
	Check    = "check"    // a question: neither answer is wrong
)

// Test is one test: requests that are sent one after the other, and what is expected of each.
type Test struct {
	ID, Name  string
	Kind      string
	Requests  []Request
	DependsOn []string

	BrowserOnly bool // binds private caches only
	BrowserSkip bool // is not asked of private caches
	CDNOnly     bool // is about CDN-Cache-Control, which private caches ignore
}

// For reports whether the test is asked of a cache of that sort.
func (t *Test) For(private bool) bool {
	if private {
		return !t.BrowserSkip && !t.CDNOnly
	}
	return !t.BrowserOnly
}

// Tests returns the tests of f that are asked of a cache of that sort.
func (f *File) Tests(private bool) []Test {
	var tests []Test
	for _, s := range f.Suites {
		for _, t := range s.Tests {
			if t.For(private) {
				tests = append(tests, t)
			}
		}
	}
	return tests
}

// Has reports whether f has a test of that id.
func (f *File) Has(id string) bool {
	return slices.ContainsFunc(f.Suites, func(s Suite) bool {
		return slices.ContainsFunc(s.Tests, func(t Test) bool { return t.ID == id })
	})
}

// Load reads a file of tests. What it cannot make sense of, a member that it does not know included, is an error: a
// check that is passed over would make its test pass.
func Load(path string) (*File, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cache tests: %w", err)
	}
	f, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("cache tests %s: %w", path, err)
	}
	return f, nil
}

// Parse is Load for what has been read.
func Parse(data []byte) (*File, error) {
	var raw struct {
		About   json.RawMessage `json:"about"`
		Source  json.RawMessage `json:"source"`
		License json.RawMessage `json:"license"`
		Part    json.RawMessage `json:"part"`
		Counted []string        `json:"counted"`
		Support json.RawMessage `json:"supporting"`
		Suites  []rawSuite      `json:"suites"`
	}
	if err := strictly(data, &raw); err != nil {
		return nil, fmt.Errorf("want a JSON object with suites and counted: %w", err)
	}
	if len(raw.Suites) == 0 {
		return nil, errors.New("it has no suites")
	}
	f := &File{Counted: raw.Counted}
	tests := make(map[string]*Test)
	for i, s := range raw.Suites {
		if s.ID == "" {
			return nil, fmt.Errorf("suite %d has no id", i+1)
		}
		made := Suite{ID: s.ID, Name: s.Name}
		for i, data := range s.Tests {
			t, err := parseTest(data)
			if err != nil {
				return nil, fmt.Errorf("suite %s, test %d: %w", s.ID, i+1, err)
			}
			if tests[t.ID] != nil {
				return nil, fmt.Errorf("suite %s, test %d: the id %s is taken by another test", s.ID, i+1, t.ID)
			}
			tests[t.ID] = t
			made.Tests = append(made.Tests, *t)
		}
		f.Suites = append(f.Suites, made)
	}
	for _, id := range f.Counted {
		if tests[id] == nil {
			return nil, fmt.Errorf("counted names the test %s, which is not there", id)
		}
	}
	for id := range tests {
		if err := circle(tests, id, nil); err != nil {
			return nil, err
		}
	}
	return f, nil
}

type rawSuite struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Description string            `json:"description"`
	SpecAnchors []string          `json:"spec_anchors"`
	Tests       []json.RawMessage `json:"tests"`
}

func parseTest(data []byte) (*Test, error) {
	var raw struct {
		ID          string            `json:"id"`
		Name        string            `json:"name"`
		Description string            `json:"description"`
		Kind        string            `json:"kind"`
		Requests    []json.RawMessage `json:"requests"`
		DependsOn   []string          `json:"depends_on"`
		BrowserOnly bool              `json:"browser_only"`
		BrowserSkip bool              `json:"browser_skip"`
		CDNOnly     bool              `json:"cdn_only"`
		SpecAnchors []string          `json:"spec_anchors"`
	}
	if err := strictly(data, &raw); err != nil {
		return nil, err
	}
	if raw.ID == "" {
		return nil, errors.New("it has no id")
	}
	if !slices.Contains([]string{Required, Optimal, Check}, raw.Kind) {
		return nil, fmt.Errorf("%s: kind is %q, want required, optimal or check", raw.ID, raw.Kind)
	}
	if len(raw.Requests) == 0 {
		return nil, fmt.Errorf("%s: it has no requests", raw.ID)
	}
	t := &Test{
		ID: raw.ID, Name: raw.Name, Kind: raw.Kind, DependsOn: raw.DependsOn,
		BrowserOnly: raw.BrowserOnly, BrowserSkip: raw.BrowserSkip, CDNOnly: raw.CDNOnly,
	}
	for i, data := range raw.Requests {
		var r Request
		err := strictly(data, &r)
		if err == nil {
			err = r.check(i)
		}
		if err != nil {
			return nil, fmt.Errorf("%s, request %d: %w", raw.ID, i+1, err)
		}
		t.Requests = append(t.Requests, r)
	}
	return t, nil
}

// circle returns an error if a test depends on itself by way of those in path.
func circle(tests map[string]*Test, id string, path []string) error {
	if slices.Contains(path, id) {
		return fmt.Errorf("test %s depends on itself", id)
	}
	if t := tests[id]; t != nil {
		for _, other := range t.DependsOn {
			if err := circle(tests, other, append(path, id)); err != nil {
				return err
			}
		}
	}
	return nil
}

// strictly decodes one JSON value that has no members but those of into.
func strictly(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the JSON value")
	}
	return nil
}
