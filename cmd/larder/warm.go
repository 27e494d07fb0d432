package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-go/larder"
)

type warm struct {
	request
	list     urlList
	crew     crew
	jobs     numberFlag
	perHost  numberFlag
	delay    durationFlag
	patience durationFlag
	timeout  durationFlag
	grace    durationFlag
	follow   bool
	resume   textFlag
	quiet    bool
	json     bool

	cache     *larder.Cache
	client    *http.Client
	work      context.Context         // of what is under way; it outlives an interrupt for a while
	stop      context.CancelCauseFunc // begins nothing more
	state     *warmState              // nil: without --resume
	progress  *progress
	tally     tally
	discarded discarded
}

func newWarm(a *app) *cobra.Command {
	w := &warm{jobs: 16, perHost: 4, patience: durationFlag(time.Minute), timeout: durationFlag(time.Minute), grace: durationFlag(10 * time.Second)}
	cmd := &cobra.Command{
		Use:   "warm [URL...]",
		Short: "Fetch many URLs into the cache",
		Long: `Fetch URLs so that they are stored: those given, those in a file or on standard input (-), one a
line, and those in a sitemap or an index of sitemaps. What is stored and fresh is not fetched, so a
run that was interrupted goes on when it is begun again. What may not be stored, or is stale at
once, would be fetched again: --resume keeps in a file what is done.

Few requests go to a host at once, and none while it wants to be left alone (429 or 503 with
Retry-After). After an interrupt nothing is begun, and what is under way is finished (--grace).
robots.txt is not asked for. If a URL fails, with a status of 400 or above too, the exit code is 1.`,
		Example: `  larder warm --sitemap https://example.com/sitemap.xml
  larder ls --json --stale | jq -r .url | larder warm --delay 200ms -
  larder warm --from urls.txt --force-refresh --resume urls.done`,
		ValidArgsFunction: a.completeURL,
		RunE: func(cmd *cobra.Command, args []string) error {
			return w.run(cmd, a, args)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&w.list.files, "from", nil, "the URLs in `FILE`, one a line; - is standard input; may be repeated")
	f.StringArrayVar(&w.list.sitemaps, "sitemap", nil, "the URLs in the sitemap at `URL`; may be repeated")
	f.Var(&w.jobs, "jobs", "fetch `NUMBER` at once")
	f.Var(&w.perHost, "per-host", "of these, `NUMBER` at most of one host")
	f.Var(&w.delay, "delay", "`DURATION` from one request to a host to the next (default none)")
	f.Var(&w.patience, "patience", "wait for `DURATION` at most when a host wants to be left alone; if it is longer, give its URLs up")
	f.Var(&w.timeout, "timeout", "give up on a URL of which nothing comes for `DURATION`")
	f.Var(&w.grace, "grace", "after an interrupt, finish what is under way within `DURATION`")
	f.Var(&w.resume, "resume", "keep in `FILE` which URLs are done, and pass over those that were")
	f.BoolVarP(&w.follow, "location", "L", false, "follow redirects, at most 10")
	f.StringArrayVarP(&w.headers, "header", "H", nil, "a `FIELD` of the requests, \"Name: value\"; \"Name;\" is an empty one, \"Name:\" leaves out what larder would send; may be repeated")
	f.Var(&w.ttl, "ttl", "keep them as fresh for `DURATION`: 90s, 15m, 2h, 7d or forever")
	f.BoolVar(&w.refresh, "refresh", false, "ask the origin whether what is stored still holds, even what is fresh")
	f.BoolVar(&w.forceRefresh, "force-refresh", false, "fetch everything anew")
	f.BoolVar(&w.stale, "stale", false, "fetch only what is not stored at all, however stale")
	exclusive(cmd, "refresh", "force-refresh", "stale")
	quietFlag(cmd, &w.quiet, ", and no line for each failure")
	jsonFlag(cmd, &w.json)
	complete(cmd, "ttl", oneOf("5m", "1h", "1d", "7d", "forever"))
	complete(cmd, "delay", oneOf("100ms", "1s", "5s"))
	return cmd
}

func (w *warm) run(cmd *cobra.Command, a *app, args []string) (err error) {
	if len(args)+len(w.list.files)+len(w.list.sitemaps) == 0 {
		return usagef("no URL is given; there are also --from FILE and --sitemap URL")
	}
	for _, s := range slices.Concat(args, w.list.sitemaps) {
		if _, err := parseURL(s); err != nil && s != "-" {
			return err
		}
	}
	if w.ttl < 0 {
		return usagef("--ttl never stores nothing")
	}
	if err := w.prepare(cmd); err != nil {
		return err
	}
	if w.resume != "" {
		if w.state, err = openState(string(w.resume)); err != nil {
			return err
		}
	}
	c, closeStore, err := a.cache(cmd, true)
	if err != nil {
		return err
	}
	c.FailClosed = true // nothing is fetched that could not be stored
	defer func() { err = cmp.Or(err, closeCache(cmd.Context(), c, closeStore)) }()
	w.progress = newProgress(cmd, w.quiet, "warming", "URLs")
	defer w.progress.done()
	trouble := &teller{err: w.progress}
	c.Base = transport(int(w.perHost))
	c.Observe = func(e larder.Event) { // a.count observes, too
		w.discarded.observe(e)
		if e.Kind != larder.StoreFailed || !w.quiet { // the URL fails, which --quiet counts only
			trouble.observe(e)
		}
	}
	endCount, err := a.count(c, func(err error) { tell(w.progress, err) })
	if err != nil {
		return err
	}
	defer endCount()
	w.cache = c
	w.client = &http.Client{Transport: c, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	w.list.args, w.list.stdin = args, cmd.InOrStdin()
	return w.all(cmd)
}

// transport is http.DefaultTransport, as larder get has it, with idle connections for perHost requests to a host.
func transport(perHost int) http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = perHost
	return t
}

// all fetches everything, and writes the summary.
func (w *warm) all(cmd *cobra.Command) error {
	ctx := cmd.Context()
	work, abandon := graceful(ctx, time.Duration(w.grace))
	defer abandon()
	w.work = work
	w.tally = tally{began: time.Now(), NotStored: make(counts), FailedHosts: make(counts)}
	w.crew = crew{jobs: int(w.jobs), perHost: int(w.perHost), delay: time.Duration(w.delay), patience: time.Duration(w.patience),
		do: func(e errand) report { return w.once(work, e) }}

	errands := make(chan errand)
	going, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	w.stop = stop
	listed := make(chan struct{})
	go func() {
		defer close(listed)
		defer close(errands)
		if err := w.feed(going, errands); err != nil {
			stop(err)
		}
	}()
	telling := context.AfterFunc(ctx, func() {
		fmt.Fprintf(w.progress, "larder: finishing what is under way, within %s; a second interrupt ends it at once\n", &w.grace)
	})
	w.crew.run(going, errands, w.settle)
	telling()
	err := context.Cause(going)
	stop(nil)
	<-listed
	w.progress.done()
	if w.state != nil {
		err = errors.Join(err, w.state.save(true))
	}
	if fault := w.tell(cmd); err == nil {
		err = fault
	}
	if err == nil && w.tally.Failed > 0 {
		return &exitError{code: exitFailed}
	}
	return err
}

// graceful returns a context that ends grace after ctx.
func graceful(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	later, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		alarm := time.NewTimer(grace)
		defer alarm.Stop()
		select {
		case <-alarm.C:
			cancel()
		case <-later.Done():
		}
	})
	return later, func() { stop(); cancel() }
}

// feed makes errands of the URLs that are listed.
func (w *warm) feed(ctx context.Context, errands chan<- errand) error {
	w.list.fetch = w.sitemap
	expected, taken := int64(0), int64(0)
	if w.progress.watched() {
		if expected = w.list.count(ctx); expected > 0 {
			w.progress.total(expected)
		}
	}
	w.list.found = func(n int) {
		expected = taken + int64(n)
		w.progress.atLeast(expected)
	}
	for item, err := range w.list.all(ctx) {
		if ctx.Err() != nil {
			return nil
		}
		var u *url.URL
		if err == nil {
			taken++
			u, err = parseURL(item.url)
		}
		if err != nil {
			w.fail("", fmt.Errorf("%s%w", item.at, err))
			continue
		}
		e := errand{first: u, url: u, trusted: cmp.Or(item.trusted, u.Host)}
		if w.state != nil {
			done := false
			if e.index, done, err = w.state.take(item.url); err != nil {
				return err
			}
			if done {
				w.before()
				continue
			}
		}
		select {
		case errands <- e:
		case <-ctx.Done():
			return nil
		}
	}
	if ctx.Err() == nil {
		w.progress.total(taken)
		if w.state != nil {
			return w.state.end()
		}
	}
	return nil
}

// sitemap fetches a sitemap through the cache, without --ttl and --stale, which are meant for the URLs in it.
func (w *warm) sitemap(ctx context.Context, at, trusted string) (*http.Response, error) {
	u, err := parseURL(at)
	if err != nil {
		return nil, err
	}
	of := w.request
	of.ttl, of.stale = 0, false
	req, err := of.trusting(ctx, u, trusted)
	if err != nil {
		return nil, err
	}
	return w.cache.Client().Do(req)
}
