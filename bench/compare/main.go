// Command compare measures larder beside other HTTP caches for Go, beside the least that a hit can cost, and beside no
// cache, all in one run, and prints one table in Markdown:
//
//	./scripts/bench
//
// Those that are compared take turns, a short while each, in every round; a ratio is the median of the ratios within
// the rounds, so that a busy machine, which slows down all of a round, moves it little. docs/performance.md tells how
// to read the table.
package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/larder-go/larder/bench/internal/report"
)

func main() {
	rounds := flag.Int("rounds", 9, "rounds in which everyone has a turn")
	turn := flag.Duration("turn", 40*time.Millisecond, "length of a turn, roughly")
	only := flag.String("run", "", "only the work whose name matches this regular expression")
	into := flag.String("into", "", "put the table into this document, in the place of the one that a run of the same -run put there before")
	larder := flag.String("larder", "larder", "the command, for the proxies")
	flag.Parse()
	match, err := regexp.Compile(*only)
	if err == nil {
		err = run(*rounds, *turn, match, *into, *larder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// run measures, and prints what could be measured even if somebody did not do the work as it should be done.
func run(rounds int, turn time.Duration, match *regexp.Regexp, into, larder string) error {
	if rounds < 1 {
		return errors.New("want -rounds of at least 1")
	}
	var faults []error
	var err error
	if scratch, err = os.MkdirTemp("", "compare"); err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	t := newTable()
	for _, c := range slices.Concat(contests(), proxyContests(larder), databaseContests()) {
		if !match.MatchString(c.name) || len(c.entries) == 0 {
			continue
		}
		fmt.Fprintln(os.Stderr, "measuring:", c.name)
		if err := c.run(rounds, turn); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", c.name, err))
			t.fail(c.name)
			continue
		}
		t.add(&c)
	}
	for _, s := range stampedes {
		if !match.MatchString(s.name) {
			continue
		}
		fmt.Fprintln(os.Stderr, "counting:", s.name)
		if err := s.run(t); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", s.name, err))
		}
	}
	text := report.Preface(fmt.Sprintf("%d rounds, turns of %v", rounds, turn)) + "\n" + report.Table(t.rows, 2)
	fmt.Print(text)
	if into != "" && len(faults) == 0 {
		command := "./scripts/bench"
		if run := match.String(); run != "" {
			command += " -run '" + run + "'"
		}
		faults = append(faults, report.Insert(into, command, text))
	}
	return errors.Join(faults...)
}

// contest is one kind of work, and those that do it.
type contest struct {
	name    string
	entries []*entry
	workers int                  // goroutines; 0: one
	kept    bool                 // everyone stays open; false: opened anew each round, so that no store grows and luck evens out
	most    int                  // operations a turn at most; 0: as many as fit into it
	rounds  int                  // at most; 0: as many as are wanted
	by      func(sample) float64 // what ratios compare; nil: cpu
	base    string               // what an entry costs beyond this one is set against its bare one; "": all that it costs
}

// entry is one way to do the work.
type entry struct {
	name    string
	open    func() (*job, error)
	bare    string // name of the entry that reads or writes the same bytes without a cache around it
	targets []target

	job     *job // nil: it is not at work
	n       int  // operations a turn
	samples []sample
}

// end ends e's job, if it is at work.
func (e *entry) end() error {
	j := e.job
	if j == nil {
		return nil
	}
	e.job = nil
	return j.close()
}

// job is an entry at work.
type job struct {
	worker func() func(i int) error // returns what does operation i, for one goroutine
	turn   func() (sample, error)   // for work that others do: a turn of it, in place of worker
	close  func() error             // says, too, whether the work was done as it should be
	done   int                      // operations so far, none of which is asked for again
}

func (c *contest) entry(name string) *entry {
	for _, e := range c.entries {
		if e.name == name {
			return e
		}
	}
	return nil
}

func (c *contest) run(rounds int, turn time.Duration) (err error) {
	defer func() {
		for _, e := range c.entries {
			if closing := e.end(); closing != nil && err == nil {
				err = fmt.Errorf("%s: %w", e.name, closing)
			}
		}
	}()
	if c.rounds > 0 {
		rounds = min(rounds, c.rounds)
	}
	for round := range rounds {
		for _, i := range rand.Perm(len(c.entries)) {
			if err := c.turn(c.entries[i], turn, round == 0); err != nil {
				return fmt.Errorf("%s: %w", c.entries[i].name, err)
			}
		}
	}
	return nil
}

// turn is one turn of e.
func (c *contest) turn(e *entry, turn time.Duration, first bool) (err error) {
	if e.job == nil {
		if e.job, err = e.open(); err != nil {
			return fmt.Errorf("open: %w", err)
		}
		if err := c.warmUp(e, turn, first); err != nil {
			return err
		}
	}
	s, err := measure(e.job, e.n, max(c.workers, 1))
	if err != nil {
		return err
	}
	e.samples = append(e.samples, s)
	if c.kept {
		return nil
	}
	return e.end()
}

// warmUp does a few operations, and for the first time more, to find out how many fit into a turn.
func (c *contest) warmUp(e *entry, turn time.Duration, first bool) error {
	j := e.job
	if j.turn != nil {
		return nil
	}
	workers := max(c.workers, 1)
	few := 2 * workers
	if c.most > 0 {
		few = min(few, c.most)
	}
	if _, err := measure(j, few, workers); err != nil {
		return err
	}
	if !first {
		return nil
	}
	for e.n = few; ; e.n *= 2 {
		s, err := measure(j, e.n, workers)
		if err != nil {
			return err
		}
		took := s.wall * float64(e.n)
		if c.most > 0 && e.n >= c.most || took >= float64(turn.Nanoseconds())/4 {
			e.n = max(few, int(float64(turn.Nanoseconds())/s.wall))
			break
		}
	}
	if c.most > 0 {
		e.n = min(e.n, c.most)
	}
	return nil
}
