package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/larder-go/larder/conformance/suite"
)

// report is what a run came to.
type report struct {
	file     *suite.File
	private  bool
	results  map[string]suite.Result
	outcomes map[string]suite.Outcome
	again    []string // the tests that were tried a second time
}

// fewEnough is how many tests may be tried a second time: where more fail, it is not the machine.
const fewEnough = 10

// run runs the tests. Those that passed before and do not now are tried once more, each alone, and so is what they
// depend on: they go by seconds, which a busy machine does not always keep.
func (r *report) run(ctx context.Context, runner *suite.Runner, before, only []string) {
	tests := r.file.Tests(r.private)
	if len(only) > 0 {
		tests = withDependencies(tests, only)
	}
	r.results = runner.Run(ctx, tests)
	r.outcomes = r.file.Outcomes(r.results)
	again := slices.DeleteFunc(withDependencies(tests, r.worse(before)), func(t suite.Test) bool { return r.results[t.ID].Failure == nil })
	if len(again) == 0 || len(again) > fewEnough {
		return
	}
	alone := *runner
	alone.Parallel = 1
	for id, result := range alone.Run(ctx, again) {
		r.results[id] = result
		r.again = append(r.again, id)
	}
	slices.Sort(r.again)
	r.outcomes = r.file.Outcomes(r.results)
}

// withDependencies returns those of tests that have one of the ids, and what they depend on.
func withDependencies(tests []suite.Test, ids []string) []suite.Test {
	wanted := make(map[string]bool)
	var want func(id string)
	want = func(id string) {
		wanted[id] = true
		for _, t := range tests {
			if t.ID == id {
				for _, other := range t.DependsOn {
					want(other)
				}
			}
		}
	}
	for _, id := range ids {
		want(id)
	}
	return slices.DeleteFunc(slices.Clone(tests), func(t suite.Test) bool { return !wanted[t.ID] })
}

// score counts the tests of one kind.
type score struct{ passed, of, excluded int }

func (s *score) add(o suite.Outcome) {
	s.of++
	if o.Passed() {
		s.passed++
	}
	if o.Excluded() {
		s.excluded++
	}
}

func (s score) String() string {
	if s.of == 0 {
		return "–"
	}
	if s.excluded > 0 {
		return fmt.Sprintf("%d of %d (%d excluded)", s.passed, s.of, s.excluded)
	}
	return fmt.Sprintf("%d of %d", s.passed, s.of)
}

// scores counts the required and the optional tests of a suite, and those that only ask.
func (r *report) scores(s suite.Suite) (scores [3]score) {
	for _, t := range s.Tests {
		if r.counts(&t) {
			kind := slices.Index([]string{suite.Required, suite.Optimal, suite.Check}, t.Kind)
			scores[kind].add(r.outcomes[t.ID])
		}
	}
	return scores
}

// totals is scores of all suites.
func (r *report) totals() [3]score {
	whole := suite.Suite{}
	for _, s := range r.file.Suites {
		whole.Tests = append(whole.Tests, s.Tests...)
	}
	return r.scores(whole)
}

// write writes the table, and the tests that did not pass.
func (r *report) write(w io.Writer) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "suite\trequired\toptional\tyes, of the questions")
	for _, s := range r.file.Suites {
		if scores := r.scores(s); scores != [3]score{} {
			fmt.Fprintf(table, "%s\t%v\t%v\t%v\n", s.ID, scores[0], scores[1], scores[2])
		}
	}
	totals := r.totals()
	fmt.Fprintf(table, "all\t%v\t%v\t%v\n", totals[0], totals[1], totals[2])
	table.Flush()

	missed := false
	for _, s := range r.file.Suites {
		for _, t := range s.Tests {
			if o := r.outcomes[t.ID]; r.counts(&t) && !o.Passed() {
				if !missed {
					fmt.Fprintln(w, "\nnot passed:")
				}
				missed = true
				fmt.Fprintf(w, "%-8s  %-10s  %s: %s\n", t.Kind, o, t.ID, r.why(&t))
			}
		}
	}
	for _, s := range r.file.Suites {
		for _, t := range s.Tests {
			for _, fault := range r.results[t.ID].Beyond {
				fmt.Fprintf(w, "beyond the score: %s: %s\n", t.ID, fault)
			}
		}
	}
	for _, id := range r.again {
		came := "passed"
		if r.results[id].Failure != nil {
			came = "failed again"
		}
		fmt.Fprintf(w, "tried a second time, alone: %s %s\n", id, came)
	}
}

// counts reports whether a test is scored here.
func (r *report) counts(t *suite.Test) bool {
	_, ran := r.results[t.ID]
	return ran && slices.Contains(r.file.Counted, t.ID)
}

func (r *report) why(t *suite.Test) string {
	if f := r.results[t.ID].Failure; f != nil {
		return f.Kind + ": " + f.Message
	}
	var missing []string
	for _, id := range t.DependsOn {
		if !r.outcomes[id].Passed() {
			missing = append(missing, id)
		}
	}
	return "passes, but depends on " + strings.Join(missing, ", ")
}

// passed returns the ids of required and optional tests that passed, and those of before that were not run.
func (r *report) passed(before []string) []string {
	var ids []string
	for _, s := range r.file.Suites {
		for _, t := range s.Tests {
			if t.Kind != suite.Check && r.outcomes[t.ID] == suite.Pass {
				ids = append(ids, t.ID)
			}
		}
	}
	for _, id := range before {
		if _, ran := r.results[id]; !ran {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// worse returns what passed before, was run, and did not pass.
func (r *report) worse(before []string) []string {
	var ids []string
	for _, id := range before {
		if _, ran := r.results[id]; ran && r.outcomes[id] != suite.Pass {
			ids = append(ids, id)
		}
	}
	return ids
}

func readPassed(path string) ([]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("what passed before: %w", err)
	}
	return strings.Fields(string(data)), nil
}

func writePassed(path string, ids []string) error {
	return os.WriteFile(path, []byte(strings.Join(ids, "\n")+"\n"), 0o666)
}
