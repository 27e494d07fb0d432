package suite

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
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
	Trace    io.Writer     // gets what the client got and what the origin heard, of each test; nil: nobody does
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
	if r.Trace != nil {
		defer func() { r.trace(t, responses, run.heard(), result) }()
	}
	var last *response
	for i := range t.Requests {
		got, failure := r.exchange(ctx, t, i, id, last)
		if got != nil {
			responses = append(responses, got)
			j := judge{&t.Requests[i], i + 1}
			result.Beyond = append(result.Beyond, j.beyond(got)...)
			failure = j.response(got, id)
		}
		if failure != nil {
			result.Failure = failure
			return result
		}
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

// trace writes what happened in a test, in one piece.
func (r *Runner) trace(t *Test, got []*response, heard []entry, result Result) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "\n%s\n", t.ID)
	for i, g := range got {
		for _, in := range g.interim {
			fmt.Fprintf(&b, "client, response %d: interim %d %v\n", i+1, in.code, in.header)
		}
		fmt.Fprintf(&b, "client, response %d: %d %q\n", i+1, g.status, g.body)
		writeHeader(&b, g.header)
	}
	for _, e := range heard {
		fmt.Fprintf(&b, "origin, request %d: %s\n", e.number, e.method)
		writeHeader(&b, e.header)
	}
	if result.Failure != nil {
		fmt.Fprintf(&b, "%s: %s\n", result.Failure.Kind, result.Failure.Message)
	}
	r.Trace.Write(b.Bytes())
}

func writeHeader(b *bytes.Buffer, h http.Header) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[name] {
			fmt.Fprintf(b, "\t%s: %s\n", name, v)
		}
	}
}
