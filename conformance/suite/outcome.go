package suite

// Outcome is what a result counts for.
type Outcome string

// The outcomes. Only the first four are counted; the others say that the test could not be made.
const (
	Pass Outcome = "pass"
	Fail Outcome = "fail"
	Yes  Outcome = "yes" // of a test that only asks
	No   Outcome = "no"

	Untested   Outcome = "untested"   // there is no result
	Dependency Outcome = "dependency" // a test that it depends on did not pass
	Retry      Outcome = "retry"      // a request was sent twice
	SetupFault Outcome = "setup"      // what the test needs first did not happen
	Harness    Outcome = "harness"    // there was no response in time
)

// Passed reports whether the cache did what the test wants.
func (o Outcome) Passed() bool { return o == Pass || o == Yes }

// Excluded reports whether the outcome says nothing about the cache.
func (o Outcome) Excluded() bool { return !o.Passed() && o != Fail && o != No }

// Outcomes returns the outcome of each test of f.
func (f *File) Outcomes(results map[string]Result) map[string]Outcome {
	tests := make(map[string]*Test)
	for _, s := range f.Suites {
		for i := range s.Tests {
			tests[s.Tests[i].ID] = &s.Tests[i]
		}
	}
	outcomes := make(map[string]Outcome, len(tests))
	var find func(id string) Outcome
	find = func(id string) Outcome {
		if o, ok := outcomes[id]; ok {
			return o
		}
		o := Untested
		if t := tests[id]; t != nil {
			if result, ok := results[id]; ok {
				o = result.outcome(t.Kind)
				for _, other := range t.DependsOn {
					if !find(other).Passed() {
						o = Dependency
					}
				}
			}
		}
		outcomes[id] = o
		return o
	}
	for id := range tests {
		find(id)
	}
	return outcomes
}

func (r Result) outcome(kind string) Outcome {
	switch f := r.Failure; {
	case f != nil && f.Kind == setup && f.Message == "retry":
		return Retry
	case f != nil && f.Kind == setup:
		return SetupFault
	case f != nil && f.Kind == aborted:
		return Harness
	case kind == Check && f == nil:
		return Yes
	case kind == Check:
		return No
	case f == nil:
		return Pass
	default:
		return Fail
	}
}
