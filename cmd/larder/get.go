package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/internal/errno"
)

type get struct {
	request
	teller
	output  string
	include bool
	follow  bool
	fail    bool
	timeout durationFlag
	client  *http.Client
	out     io.Writer
}

func newGet(a *app) *cobra.Command {
	g := new(get)
	cmd := &cobra.Command{
		Use:   "get URL...",
		Short: "Fetch through the cache",
		Long: `Fetch URLs through the cache, and write the bodies to standard output as they come.

Responses are stored and reused as RFC 9111 allows, or for as long as --ttl says; with --ttl also
those to POST and other methods, by method, URL and body (up to 1 MiB). Requests with different
credentials (Authorization, Cookie) never share a response. What is cut off or interrupted is not
stored.

Exit codes: 0 done, 1 failed, 2 wrong command line, 3 --offline and nothing stored may be used,
22 --fail and the status is 400 or above, 130 interrupted.`,
		Example: `  larder get -v https://example.com/
  larder get --ttl 1h -o things.json https://api.example.com/v1/things
  larder get --ttl 1d -d q=bees https://search.example.com/
  larder get --offline --stale https://example.com/`,
		Args:              urlArgs(-1),
		ValidArgsFunction: a.completeURL,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.run(cmd, a, args)
		},
	}
	g.flags(cmd)
	g.modeFlags(cmd)
	f := cmd.Flags()
	f.StringVarP(&g.output, "output", "o", "", "write the body to `FILE`, when it is whole; - is standard output")
	f.BoolVarP(&g.include, "include", "i", false, "write the response's head, too, and those of redirects on the way")
	f.BoolVarP(&g.verbose, "verbose", "v", false, "tell on standard error how each response came about")
	f.BoolVar(&g.json, "json", false, "as --verbose, but one JSON object a line")
	f.BoolVarP(&g.follow, "location", "L", false, "follow redirects, at most 10")
	f.BoolVarP(&g.fail, "fail", "f", false, "for a status of 400 or above, write no body and exit with code 22")
	f.Var(&g.timeout, "timeout", "give up on a URL after `DURATION` (default never)")
	complete(cmd, "timeout", oneOf("10s", "1m", "10m"))
	return cmd
}

func (g *get) run(cmd *cobra.Command, a *app, args []string) (err error) {
	urls, err := parseURLs(args)
	if err != nil {
		return err
	}
	if g.output != "" && g.output != "-" && len(urls) > 1 {
		return usagef("--output takes the body of one URL, and %d are given", len(urls))
	}
	if err := g.prepare(cmd); err != nil {
		return err
	}
	c, closeStore, err := a.cache(cmd, true)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, closeCache(cmd.Context(), c, closeStore)) }()
	if err := g.setRules(a, c); err != nil {
		return err
	}
	g.out, g.err = cmd.OutOrStdout(), cmd.ErrOrStderr()
	c.Observe = g.observe
	endCount, err := a.count(c, func(err error) {
		if g.verbose {
			tell(g.err, err)
		}
	})
	if err != nil {
		return err
	}
	defer endCount()
	g.client = c.Client()
	if !g.follow {
		g.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return g.all(cmd.Context(), urls)
}

// all fetches the URLs one after the other. A fault of one is reported, and does not stop the others; the first fault
// gives the exit code.
func (g *get) all(ctx context.Context, urls []*url.URL) (first error) {
	for _, u := range urls {
		err := g.one(ctx, u)
		if err == nil {
			continue
		}
		if ctx.Err() != nil || errors.Is(err, errno.EPIPE) {
			return err
		}
		tell(g.err, err)
		if first == nil {
			first = &exitError{code: exitCode(ctx, ranError{err})}
		}
	}
	return first
}

// one fetches one URL.
func (g *get) one(ctx context.Context, u *url.URL) (err error) {
	whole := ctx
	if g.timeout > 0 {
		limited, cancel := context.WithTimeout(whole, time.Duration(g.timeout))
		defer cancel()
		defer func() {
			if err != nil && limited.Err() != nil && whole.Err() == nil {
				err = fmt.Errorf("%s: not answered in full within %s", u.Redacted(), &g.timeout)
			}
		}()
		ctx = limited
	}
	req, err := g.to(ctx, u)
	if err != nil {
		return err
	}
	resp, err := g.client.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", u.Redacted(), errors.Unwrap(err)) // without the *url.Error, which names the URL of a redirect
	}
	defer resp.Body.Close()
	d := larder.Info(resp)
	switch {
	case d.Outcome == larder.Refused:
		return &exitError{exitNotStored, fmt.Errorf("%s: %s", u.Redacted(), g.refusal())}
	case g.fail && resp.StatusCode >= 400:
		return &exitError{exitStatus, fmt.Errorf("%s: the answer is %s", u.Redacted(), resp.Status)}
	}
	if err := g.write(ctx, resp); err != nil {
		return fmt.Errorf("%s: %w", u.Redacted(), err)
	}
	return nil
}

// refusal says why the origin was not asked.
func (g *get) refusal() string {
	by := "--offline"
	if !g.offline {
		by = "only-if-cached" // given by --header
	}
	if g.stale {
		return "nothing is stored for this request, and " + by + " forbids asking the origin"
	}
	return "nothing fresh is stored for this request, and " + by + " forbids asking the origin; --stale takes a stale response, too"
}

// write writes the response to --output.
func (g *get) write(ctx context.Context, resp *http.Response) error {
	if g.output == "" || g.output == "-" {
		return g.writeTo(ctx, g.out, resp)
	}
	return writeFile(ctx, g.output, func(w io.Writer) error { return g.writeTo(ctx, w, resp) })
}

func (g *get) writeTo(ctx context.Context, w io.Writer, resp *http.Response) error {
	if g.include || g.head {
		if err := writeHeads(w, resp); err != nil {
			return err
		}
	}
	return copyBody(ctx, w, resp.Body)
}

// writeHeads writes the head of each response on the way to the last.
func writeHeads(w io.Writer, last *http.Response) error {
	if redirect := last.Request.Response; redirect != nil {
		if err := writeHeads(w, redirect); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(w, "%s %s\n", printable(last.Proto), printable(last.Status)); err != nil {
		return err
	}
	if err := writeHeader(w, "", last.Header); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}
