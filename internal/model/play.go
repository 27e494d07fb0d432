package model

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

const host = "http://cache.test"

// subject is the cache that is tested: larder on some store, or something that a test of this package has spoilt.
type subject func(c *larder.Cache) http.RoundTripper

// play plays a sequence on a store, which it leaves empty, and returns at which step it went wrong, and how; an error
// with the step -1 is one of the store.
func play(s sequence, on store.Store, subject subject) (at int, err error) {
	o := &origin{now: epoch, pages: map[string]*page{}}
	for _, path := range paths {
		o.pages[path] = &page{path: path}
	}
	var trouble error
	newCache := func() *larder.Cache {
		return &larder.Cache{Base: o, Store: on, Shared: s.shared, Now: o.Now, Name: "model", KeepStale: 100 * 365 * 24 * time.Hour,
			Observe: func(e larder.Event) {
				if e.Kind == larder.StoreFailed || e.Kind == larder.Damaged {
					o.mu.Lock()
					trouble = errors.Join(trouble, e.Err)
					o.mu.Unlock()
				}
			}}
	}
	c := newCache()
	m := &ideal{shared: s.shared, gone: map[*kept]string{}}
	defer func() {
		if _, fault := c.Purge(context.Background(), store.Query{}); fault != nil {
			at, err = -1, errors.Join(err, fmt.Errorf("empty the store: %w", fault))
		}
	}()
	for i, step := range s.steps {
		switch {
		case step.page != nil:
			o.pages[step.page.path] = step.page
		case step.wait != 0:
			o.now = o.now.Add(step.wait)
		default:
			if s.restarts {
				c = newCache()
			}
			if err := ask(c, subject(c), o, m, step.request); err != nil {
				return i, err
			}
			if trouble != nil {
				return -1, fmt.Errorf("step %d: the store failed: %w", i+1, trouble)
			}
		}
	}
	return 0, nil
}

// ask sends a request and compares what comes of it, for the caller, the origin and the store, with what the model
// wants.
func ask(c *larder.Cache, rt http.RoundTripper, o *origin, m *ideal, q *request) error {
	came := o.Now()
	g := get(rt, q)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := c.Close(ctx); err != nil { // it waits for what goes on in the background
		return fmt.Errorf("background work goes on: %w", err)
	}
	records, err := listed(c)
	if err != nil {
		return err
	}
	log := o.takeLog()
	var all error // one for each way to choose
	var script []choice
	for {
		try := m.clone()
		try.script = script
		err := try.judge(q, came, log, g, records)
		if err == nil {
			*m = *try
			return nil
		}
		if all = errors.Join(all, err); !next(&try.script) {
			return fmt.Errorf("%w%s", all, told(log))
		}
		script = try.script
	}
}

// next makes script the one after it, of all there are.
func next(script *[]choice) bool {
	s := *script
	for len(s) > 0 && s[len(s)-1].taken+1 == s[len(s)-1].of {
		s = s[:len(s)-1]
	}
	if len(s) == 0 {
		return false
	}
	s[len(s)-1].taken++
	*script = s
	return true
}

// told says what went between cache and origin.
func told(log []exchange) string {
	var b strings.Builder
	for _, x := range log {
		fmt.Fprintf(&b, "\n    origin asked: %s %s, answered: ", x.method, show(x.sent))
		if x.err != nil {
			b.WriteString(x.err.Error())
		} else {
			fmt.Fprintf(&b, "%d %s %.80q", x.status, show(x.header), x.body)
		}
	}
	return b.String()
}

// show writes a header in one line.
func show(h http.Header) string {
	var all []string
	for name, lines := range h {
		for _, v := range lines {
			all = append(all, name+": "+v)
		}
	}
	slices.Sort(all)
	return "{" + strings.Join(all, "; ") + "}"
}

// got is what a caller got.
type got struct {
	err     error // in place of a response
	status  int
	header  http.Header
	length  int64
	body    []byte
	broken  error // what ended the body too soon
	outcome larder.Outcome
	says    string // Cache-Status
}

func get(rt http.RoundTripper, q *request) got {
	req, err := http.NewRequest(q.method, host+q.path, nil)
	if err != nil {
		panic(err)
	}
	req.Header = q.header()
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return got{err: err}
	}
	defer resp.Body.Close()
	g := got{status: resp.StatusCode, header: resp.Header, length: resp.ContentLength,
		outcome: larder.Info(resp).Outcome, says: resp.Header.Get("Cache-Status")}
	g.header.Del("Cache-Status")
	if !q.early {
		g.body, g.broken = io.ReadAll(resp.Body)
	}
	return g
}

func listed(c *larder.Cache) (all []*store.Record, err error) {
	for r, err := range c.Entries(context.Background(), store.Query{}) {
		if err != nil {
			return nil, fmt.Errorf("list the store: %w", err)
		}
		all = append(all, r)
	}
	return all, nil
}
