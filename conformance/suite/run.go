package suite

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"
)

const parallel = 25

// Runner runs tests.
type Runner struct {
	Origin   *Origin
	Cache    Cache
	Parallel int           // how many tests run at a time; 0: 25
	Timeout  time.Duration // for one request; 0: 10 s
	Pause    time.Duration // between two requests, where the test has one; 0: 3 s
}

// Result is what a test came to.
type Result struct {
	Failure *Failure // nil: it passed
	Beyond  []string // faults that the suite's own engine does not see, and which count for nothing
}

// MarshalJSON writes r as the suite's engine does: true, or [kind, message].
func (r Result) MarshalJSON() ([]byte, error) {
	if r.Failure == nil {
		return []byte("true"), nil
	}
	return json.Marshal([]string{r.Failure.Kind, r.Failure.Message})
}

// Run runs tests, and returns what each came to, by id. If ctx ends, those that were not through are not among them.
func (r *Runner) Run(ctx context.Context, tests []Test) map[string]Result {
	var mu sync.Mutex
	results := make(map[string]Result, len(tests))
	next := make(chan *Test)
	var workers sync.WaitGroup
	for range cmp.Or(r.Parallel, parallel) {
		workers.Go(func() {
			for t := range next {
				if result := r.test(ctx, t); ctx.Err() == nil {
					mu.Lock()
					results[t.ID] = result
					mu.Unlock()
				}
			}
		})
	}
	for i := range tests {
		if ctx.Err() == nil {
			next <- &tests[i]
		}
	}
	close(next)
	workers.Wait()
	return results
}

func (r *Runner) test(ctx context.Context, t *Test) (result Result) {
	id := newID()
	run := r.Origin.script(id, t.Requests)
	defer r.Origin.forget(id)
	var responses []*response
	var last *response
	for i := range t.Requests {
		got, failure := r.exchange(ctx, t, i, id, last)
		if failure == nil {
			j := judge{&t.Requests[i], i + 1}
			result.Beyond = append(result.Beyond, j.beyond(got)...)
			failure = j.response(got, id)
		}
		if failure != nil {
			result.Failure = failure
			return result
		}
		responses = append(responses, got)
		last = got
		if t.Requests[i].Pause {
			select {
			case <-time.After(cmp.Or(r.Pause, 3*time.Second)):
			case <-ctx.Done():
				return result
			}
		}
	}
	result.Failure = checkLog(t, responses, run.heard())
	return result
}

func (r *Runner) exchange(ctx context.Context, t *Test, i int, id string, last *response) (*response, *Failure) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(r.Timeout, 10*time.Second))
	defer cancel()
	got, err := r.Cache.send(ctx, t, i, id, last)
	switch {
	case err == nil:
		return got, nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, &Failure{aborted, err.Error()}
	default:
		return nil, &Failure{broken, err.Error()}
	}
}
