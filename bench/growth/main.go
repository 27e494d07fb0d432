// Command growth measures what work costs with a thousand, a hundred thousand and a million entries in a store, and
// prints one table in Markdown:
//
//	./scripts/bench growth
//
// The stores of all sizes are filled first, and then take turns, so that a busy machine slows down all of them.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/bench/internal/report"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/disk"
	"github.com/larder-go/larder/store/memory"
	"github.com/larder-go/larder/store/sqlite"
)

func main() {
	rounds := flag.Int("rounds", 9, "rounds in which every size has a turn")
	most := flag.Int("most", 1_000_000, "entries in the largest store")
	into := flag.String("into", "", "put the table into this document, in the place of the one before")
	flag.Parse()
	if err := run(*rounds, *most, *into); err != nil {
		fmt.Fprintln(os.Stderr, "growth:", err)
		os.Exit(1)
	}
}

func run(rounds, most int, into string) error {
	if rounds < 1 || most <= 100_000 {
		return errors.New("want -rounds of at least 1, and -most of more than 100000")
	}
	scratch, err := os.MkdirTemp("", "growth")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	sizes := []int{1000, 100_000, most}
	head := []string{"work", "store"}
	for _, n := range sizes {
		head = append(head, fmt.Sprintf("%d entries", n))
	}
	rows := [][]string{append(head, "largest ÷ smallest", "")}
	for _, kind := range []string{"memory", "disk", "SQLite"} {
		more, err := measure(kind, filepath.Join(scratch, kind), sizes, rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		rows = append(rows, more...)
	}
	order := func(row []string) int { return slices.IndexFunc(works, func(w work) bool { return w.name == row[0] }) }
	slices.SortStableFunc(rows[1:], func(a, b []string) int { return order(a) - order(b) })
	text := report.Preface(fmt.Sprintf("%d rounds, medians, in µs by the clock", rounds)) + "\n" + report.Table(rows, 2)
	fmt.Print(text)
	if into != "" {
		return report.Insert(into, "./scripts/bench growth", text)
	}
	return nil
}

// work is something to be done with a store, which returns how long it took, once or on average.
type work struct {
	name   string
	once   bool // it cannot be done again
	kept   bool // it is for stores that outlive the process
	do     func(*filled) (time.Duration, error)
	target float64 // what the largest may take of the smallest; 0: anything
}

const (
	inTag   = 10  // entries with the same tag
	ended   = 100 // entries that a sweep removes
	hot     = 250 // entries that are asked for again and again
	bodyLen = 1 << 10
)

var works = []work{
	{name: fmt.Sprintf("hit, the same %d entries", hot), do: (*filled).hitHot, target: 1.5},
	{name: "hit, any of the first half", do: (*filled).hit, target: 1.5},
	{name: "bare read, any", do: (*filled).readBare},
	{name: "store", do: (*filled).store},
	{name: fmt.Sprintf("purge a tag, %d entries", inTag), do: (*filled).purge},
	{name: "ls, first 50", do: (*filled).list},
	{name: "ls, 50 of a host", do: (*filled).listHost},
	{name: "count and size", do: (*filled).size},
	{name: fmt.Sprintf("sweep, %d to remove", ended), once: true, do: (*filled).sweep},
	{name: "sweep, none to remove", do: (*filled).sweep},
	{name: "close and open", once: true, kept: true, do: (*filled).reopen},
}

// filled is a store with so many entries, and a cache in front of it.
type filled struct {
	kind, dir string
	n         int // as filled
	next      int // the next URL that is new
	tag       int // the next tag to purge
	swept     int // entries
	s         store.Store
	c         *larder.Cache
	closeIt   func() error
	bare      *bare // while that is measured
}

func measure(kind, dir string, sizes []int, rounds int) (rows [][]string, err error) {
	var stores []*filled
	defer func() {
		for _, f := range stores {
			err = errors.Join(err, f.end(), f.closeIt())
		}
	}()
	for _, n := range sizes {
		f := &filled{kind: kind, dir: filepath.Join(dir, strconv.Itoa(n)), n: n}
		if err := f.open(); err != nil {
			return nil, err
		}
		stores = append(stores, f)
		start := time.Now()
		if err := f.fill(); err != nil {
			return nil, err
		}
		fmt.Fprintf(os.Stderr, "%s: filled with %d entries in %.1f s\n", kind, n, time.Since(start).Seconds())
	}
	if kind == "disk" {
		time.Sleep(4 * time.Second) // it trusts a file, and a folder, whose last change is 3 s ago
	}
	for _, w := range works {
		if w.kept && kind == "memory" {
			continue
		}
		row, err := w.measure(stores, rounds)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// measure returns a row of the table: what w takes in each of the stores, and how that grows.
func (w *work) measure(stores []*filled, rounds int) (row []string, err error) {
	if w.once {
		rounds = 1
	}
	times := make([][]float64, len(stores))
	for range rounds {
		for _, i := range rand.Perm(len(stores)) {
			runtime.GC()
			took, err := w.do(stores[i])
			if err != nil {
				return nil, fmt.Errorf("%s of %d: %w", w.name, stores[i].n, err)
			}
			times[i] = append(times[i], float64(took)/1e3)
		}
	}
	row = []string{w.name, stores[0].kind}
	for i, f := range stores {
		if err := f.end(); err != nil {
			return nil, err
		}
		row = append(row, report.Number(report.Median(times[i])))
	}
	ratios := make([]float64, rounds)
	for i := range ratios {
		ratios[i] = times[len(times)-1][i] / times[0][i]
	}
	ratio, verdict := report.Median(ratios), ""
	if w.target > 0 {
		verdict = fmt.Sprintf("✓ ≤ %v", w.target)
		if ratio > w.target {
			verdict = fmt.Sprintf("✗ ≤ %v", w.target)
		}
	}
	return append(row, report.Number(ratio), verdict), nil
}

func (f *filled) open() error {
	f.closeIt = func() error { return nil }
	switch f.kind {
	case "memory":
		if f.s == nil {
			f.s = &memory.Store{MaxBytes: 64 << 30}
		}
	case "disk":
		s, err := disk.Open(f.dir, &disk.Options{MaxBytes: -1})
		if err != nil {
			return err
		}
		f.s, f.closeIt = s, s.Close
	case "SQLite":
		if err := os.MkdirAll(f.dir, 0o700); err != nil {
			return err
		}
		s, err := sqlite.Open(filepath.Join(f.dir, "cache.db"), &sqlite.Options{MaxBytes: 64 << 30})
		if err != nil {
			return err
		}
		f.s, f.closeIt = s, s.Close
	}
	f.c = &larder.Cache{Store: f.s, Base: origin{}}
	return nil
}

// origin answers with 1 KB and 13 fields. The number in the URL says which tag the response has, and when it ends.
type origin struct{}

var body = bytes.Repeat([]byte(`{"name":"value"}`), bodyLen/16)

func (origin) RoundTrip(req *http.Request) (*http.Response, error) {
	i, err := strconv.Atoi(strings.TrimPrefix(req.URL.Path, "/v1/things/"))
	if err != nil {
		return nil, err
	}
	age := "max-age=86400"
	if i < ended {
		age = "max-age=60"
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{
			"Date":                      {time.Now().UTC().Format(http.TimeFormat)},
			"Content-Type":              {"application/json; charset=utf-8"},
			"Content-Length":            {strconv.Itoa(bodyLen)},
			"Cache-Control":             {age},
			"Cache-Groups":              {`"` + strconv.Itoa(i/inTag) + `"`},
			"Etag":                      {`"0123456789abcdef"`},
			"Vary":                      {"Accept"},
			"Server":                    {"nginx"},
			"X-Request-Id":              {"4c2f0d1e-93f7-4f0b-a3b1-5f5b8f2f8f11"},
			"X-Ratelimit-Limit":         {"5000"},
			"X-Ratelimit-Remaining":     {"4999"},
			"Strict-Transport-Security": {"max-age=31536000"},
			"X-Content-Type-Options":    {"nosniff"},
		},
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: bodyLen, Request: req,
	}, nil
}

const host = "api.example.com"

func url(i int) string { return "http://" + host + "/v1/things/" + strconv.Itoa(i) }

// get asks for the resource numbered i and says whether it came from the store.
func (f *filled) get(i int) (hit bool, err error) {
	req, err := http.NewRequest(http.MethodGet, url(i), nil)
	if err != nil {
		return false, err
	}
	resp, err := f.c.RoundTrip(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); n != bodyLen || err != nil {
		return false, fmt.Errorf("%d bytes: %w", n, err)
	}
	return larder.Info(resp).Outcome == larder.Hit, nil
}

func (f *filled) fill() error {
	workers := runtime.GOMAXPROCS(0)
	errs := make([]error, workers)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := w; i < f.n && errs[w] == nil; i += workers {
				_, errs[w] = f.get(i)
			}
		})
	}
	all.Wait()
	f.next, f.tag = f.n, f.firstTag()
	return errors.Join(errs...)
}

func (f *filled) firstTag() int { return f.n / inTag / 2 }

// several does something so often and returns what it took on average.
func several(n int, do func() error) (time.Duration, error) {
	start := time.Now()
	for range n {
		if err := do(); err != nil {
			return 0, err
		}
	}
	return time.Since(start) / time.Duration(n), nil
}

// hit asks for what is in the first half, each entry as likely as any other; the tags that are purged are in the
// second.
func (f *filled) hit() (time.Duration, error) {
	return several(1000, func() error { return f.mustHit(ended + rand.IntN(f.n/2-ended)) })
}

// hitHot asks for a few entries that lie among the others.
func (f *filled) hitHot() (time.Duration, error) {
	step := (f.n/2 - ended) / hot
	return several(1000, func() error { return f.mustHit(ended + step*rand.IntN(hot)) })
}

func (f *filled) mustHit(i int) error {
	hit, err := f.get(i)
	if err == nil && !hit {
		err = fmt.Errorf("%d is no hit", i)
	}
	return err
}

func (f *filled) store() (time.Duration, error) {
	return several(100, func() error {
		f.next++
		_, err := f.get(f.next)
		return err
	})
}

// purge removes the entries of one tag.
func (f *filled) purge() (time.Duration, error) {
	tag := fmt.Sprintf("cache-group:http://%s/%d", host, f.tag)
	f.tag++
	start := time.Now()
	n, err := f.c.Purge(context.Background(), store.Query{Tag: tag})
	if n != inTag && err == nil {
		err = fmt.Errorf("%d entries with %s, want %d", n, tag, inTag)
	}
	return time.Since(start), err
}

func (f *filled) list() (time.Duration, error) { return f.find(store.Query{Limit: 50}) }

func (f *filled) listHost() (time.Duration, error) { return f.find(store.Query{Host: host, Limit: 50}) }

func (f *filled) find(q store.Query) (time.Duration, error) {
	start, n := time.Now(), 0
	for _, err := range f.c.Entries(context.Background(), q) {
		if err != nil {
			return 0, err
		}
		n++
	}
	if n != q.Limit {
		return 0, fmt.Errorf("%d entries, want %d", n, q.Limit)
	}
	return time.Since(start), nil
}

func (f *filled) size() (time.Duration, error) {
	start := time.Now()
	n, _, err := f.c.Size(context.Background())
	if want := f.next - inTag*(f.tag-f.firstTag()); n != want && err == nil {
		err = fmt.Errorf("%d entries, want %d", n, want)
	}
	return time.Since(start), err
}

// sweep is one a week and an hour from now, when what was fresh for a minute is of no use any more.
func (f *filled) sweep() (time.Duration, error) {
	sweeper, ok := f.s.(interface {
		Sweep(context.Context, time.Time) (int, error)
	})
	if !ok {
		return 0, errors.New("it cannot sweep")
	}
	start := time.Now()
	n, err := sweeper.Sweep(context.Background(), start.Add((7*24+1)*time.Hour))
	took := time.Since(start)
	if want := ended - f.swept; n != want && err == nil {
		err = fmt.Errorf("%d entries are swept, want %d", n, want)
	}
	f.swept += n
	return took, err
}

// reopen closes the store and opens it again, until it has given an answer.
func (f *filled) reopen() (time.Duration, error) {
	start := time.Now()
	if err := errors.Join(f.c.Close(context.Background()), f.closeIt()); err != nil {
		return 0, err
	}
	if err := f.open(); err != nil {
		return 0, err
	}
	err := f.mustHit(ended)
	return time.Since(start), err
}
