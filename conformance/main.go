// Command conformance runs the public tests of HTTP caches against larder, or against a proxy; see docs/conformance.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/larder-go/larder/conformance/suite"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errWorse):
		os.Exit(1)
	default:
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(2)
	}
}

// errWorse says that a test that passed before does not any more.
var errWorse = errors.New("a test that passed before does not any more")

type options struct {
	tests, against, larder, store, listen, results, expect, into string
	only                                                         []string
	private, update, trace                                       bool
}

func parse(args []string, stderr io.Writer) (*options, error) {
	o := new(options)
	f := flag.NewFlagSet("conformance", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.tests, "tests", "", "the `file` of tests; "+testsVariable+" is where it is looked for otherwise")
	f.StringVar(&o.against, "against", "shared", "what is tested: "+strings.Join(targets, ", ")+", all of these, or the `URL` of a proxy")
	f.BoolVar(&o.private, "private", false, "the proxy at a URL is a private cache")
	f.StringVar(&o.larder, "larder", "", "the larder `command` for shared and private; if empty, it is built")
	f.StringVar(&o.store, "store", "memory:", "the `store` of shared and private")
	f.StringVar(&o.listen, "listen", "127.0.0.1:0", "the `address` of the origin, which a proxy at a URL has to know")
	f.StringVar(&o.results, "results", "", "write the results to this `file`, in the suite's format")
	f.StringVar(&o.expect, "expect", "", "fail if a test does not pass whose id is in this `file`, or in the one of this directory that is named for what is tested")
	f.BoolVar(&o.update, "update", false, "write what passed to the file of -expect")
	f.BoolVar(&o.trace, "trace", false, "tell what the client got and what the origin heard, on standard error")
	f.StringVar(&o.into, "into", "", "put a table of the results into this Markdown `file`, between its marks")
	only := f.String("only", "", "run these `tests` only, by id, with commas between, and what they depend on")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			f.SetOutput(stderr)
			f.Usage()
		}
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("%q is not expected: there are only flags", f.Arg(0))
	}
	if o.tests == "" {
		o.tests = os.Getenv(testsVariable)
	}
	if o.tests == "" {
		return nil, fmt.Errorf("-tests FILE, or %s, has to say where the tests are", testsVariable)
	}
	o.only = strings.FieldsFunc(*only, func(r rune) bool { return r == ',' })
	if o.results != "" && o.against == all {
		return nil, errors.New("-results is for one run, not for all")
	}
	if o.update && o.expect == "" {
		return nil, errors.New("-update needs -expect")
	}
	return o, nil
}

const testsVariable = "LARDER_CACHE_TESTS"

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	file, err := suite.Load(o.tests)
	if err != nil {
		return err
	}
	for _, id := range o.only {
		if !file.Has(id) {
			return fmt.Errorf("-only: there is no test %s", id)
		}
	}
	names := []string{o.against}
	if o.against == all {
		names = targets
	}
	reports := make(map[string]*report)
	var worse error
	for _, name := range names {
		if len(names) > 1 {
			fmt.Fprintf(stdout, "# %s\n", name)
		}
		if reports[name], err = o.test(ctx, file, name, stdout, stderr); errors.Is(err, errWorse) {
			worse = err
		} else if err != nil {
			return err
		}
	}
	if o.into != "" {
		if err := writeInto(o.into, file, reports); err != nil {
			return err
		}
	}
	return worse
}

// test runs the tests against what is named, and compares with what passed before.
func (o *options) test(ctx context.Context, file *suite.File, against string, stdout, stderr io.Writer) (*report, error) {
	expect := o.expect
	if info, err := os.Stat(expect); err == nil && info.IsDir() {
		expect = filepath.Join(expect, against+".txt")
	}
	var before []string
	if expect != "" {
		var err error
		if before, err = readPassed(expect); err != nil && !(o.update && errors.Is(err, os.ErrNotExist)) {
			return nil, err
		}
	}
	origin, err := suite.Listen(o.listen)
	if err != nil {
		return nil, err
	}
	defer origin.Close()
	target, err := start(ctx, o, against, origin.URL(), stderr)
	if err != nil {
		return nil, err
	}
	defer target.stop()

	runner := &suite.Runner{Origin: origin, Cache: target.cache}
	if o.trace {
		runner.Trace = &whole{w: stderr}
	}
	r := &report{file: file, private: target.private}
	r.run(ctx, runner, before, o.only)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	r.write(stdout)
	if o.results != "" {
		data, err := json.MarshalIndent(r.results, "", "  ")
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(o.results, append(data, '\n'), 0o666); err != nil {
			return nil, err
		}
	}
	if o.update {
		return r, writePassed(expect, r.passed(before))
	}
	if worse := r.worse(before); len(worse) > 0 {
		fmt.Fprintf(stdout, "\npassed before, and not now: %s\n", strings.Join(worse, ", "))
		return r, errWorse
	}
	return r, nil
}

// whole makes each Write one of its own, whoever else writes.
type whole struct {
	mu sync.Mutex
	w  io.Writer
}

func (w *whole) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.w.Write(p)
}
