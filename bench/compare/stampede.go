package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/larder-go/larder/bench/internal/report"
)

// stampede is many callers that ask for the same at once; what counts is how often the origin is asked.
type stampede struct {
	name         string
	cacheControl string
	stored       bool // it is in the cache before they come
}

var stampedes = []stampede{
	{"100 callers at once, cold", fresh, false},
	{"100 callers at once, stale with ETag", stale, true},
	{"100 callers at once, stale-while-revalidate", "max-age=0, stale-while-revalidate=86400", true},
}

const (
	callers = 100
	// originTakes is long enough for all callers to come before the first has its answer.
	originTakes = 50 * time.Millisecond
	// lateWork is how long requests in the background are waited for.
	lateWork = 250 * time.Millisecond
)

// slow is an origin that takes its time.
type slow struct{ *origin }

func (s slow) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := s.origin.RoundTrip(req)
	time.Sleep(originTakes)
	if err == nil && req.Header.Get("If-None-Match") == s.header.Get("Etag") {
		resp.StatusCode, resp.Status = http.StatusNotModified, "304 Not Modified"
		resp.Body, resp.ContentLength = http.NoBody, 0
		resp.Header.Del("Content-Length")
	}
	return resp, err
}

func (s stampede) run(t *table) error {
	for _, c := range slices.Concat(ours(kb), peers) {
		n, took, err := s.count(c)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		row := make([]string, len(t.rows[0]))
		row[0], row[1] = s.name, c.name
		row[len(row)-1] = fmt.Sprintf("the origin was asked %d times", n)
		if strings.HasPrefix(c.name, "larder ") {
			row[len(row)-1] = fmt.Sprintf("%s the origin was asked %d ≤ 1 times", mark(n <= 1), n)
		}
		row[4] = report.Number(float64(took.Microseconds()))
		t.rows = append(t.rows, row)
	}
	return nil
}

// count returns how often the origin was asked, and how long it took until all callers were served.
func (s stampede) count(c cache) (asked int64, took time.Duration, err error) {
	o := newOrigin(kb, s.cacheControl)
	x, err := c.start(o, slow{o}, byClient)
	if err != nil {
		return 0, 0, err
	}
	if s.stored {
		if err := newGetter(x.do, kb)(request(0)); err != nil {
			return 0, 0, errors.Join(err, x.close())
		}
	}
	before := o.asked.Load()
	errs := make([]error, callers)
	gate := make(chan struct{})
	var wg sync.WaitGroup
	for i := range errs {
		get, req := newGetter(x.do, kb), request(0)
		wg.Go(func() {
			<-gate
			errs[i] = get(req)
		})
	}
	start := time.Now()
	close(gate)
	wg.Wait()
	took = time.Since(start)
	time.Sleep(lateWork)
	asked = o.asked.Load() - before
	return asked, took, errors.Join(append(errs, x.close())...)
}
