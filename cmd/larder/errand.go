package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/rfc9111"
)

// result is the outcome of a URL.
type result struct {
	outcome   larder.Outcome
	notStored string // why; "": it was, or is
	bytes     int64  // fetched
	err       error
}

var (
	errSilent  = errors.New("nothing came any more")
	errNotKept = errors.New("the store failed")
)

const (
	mostHops  = 10
	mostTries = 3
)

// once does an errand until it is settled or must wait.
func (w *warm) once(ctx context.Context, e errand) report {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(time.Duration(w.timeout), func() { cancel(errSilent) })
	defer silence.Stop()
	r := report{errand: e}
	if r.err = w.fetch(ctx, &r, silence); r.err != nil && context.Cause(ctx) == errSilent {
		r.err = fmt.Errorf("nothing came for %s", &w.timeout)
	}
	return r
}

// fetch asks the cache, unless the errand needs a turn for that, and notes the result in r.
func (w *warm) fetch(ctx context.Context, r *report, silence *time.Timer) error {
	req, err := w.trusting(ctx, r.url, r.trusted)
	if err != nil {
		return err
	}
	if r.turn == "" {
		if err := w.askForTurn(ctx, req, r); err != nil || r.next == needsTurn {
			return err
		}
	}
	if r.refresh { // not in the background, since the turn is for this
		req = req.WithContext(larder.WithMode(ctx, larder.Refresh))
	}
	w.discarded.expect(r.shown)
	resp, err := w.receive(req, r, silence)
	switch of := w.discarded.fate(r.shown); {
	case of.storeFailed:
		return errNotKept
	case err != nil:
		return err
	default:
		r.notStored = cmp.Or(r.notStored, of.notStored)
	}
	return w.heed(r, resp)
}

// receive sends req, reads a body from the origin to its end, and notes the result in r. It closes the response.
func (w *warm) receive(req *http.Request, r *report, silence *time.Timer) (*http.Response, error) {
	resp, err := w.client.Do(req)
	if err != nil {
		return nil, errors.Unwrap(err) // of a *url.Error, which begins with the URL
	}
	defer resp.Body.Close()
	d := larder.Info(resp)
	r.outcome, r.notStored = d.Outcome, d.NotStored
	if d.Outcome == larder.Bypassed {
		r.notStored = d.Reason
	}
	if r.asked() {
		r.bytes, err = io.Copy(alive{silence, time.Duration(w.timeout)}, resp.Body)
	}
	return resp, err
}

// asked reports whether the origin was asked.
func (r *report) asked() bool { return r.outcome != larder.Hit && r.outcome != larder.Stale }

// trusting returns the request to u. Like http.Client, it sends credentials only to the host that they were given for.
func (r *request) trusting(ctx context.Context, u *url.URL, host string) (*http.Request, error) {
	req, err := r.to(ctx, u)
	if err == nil && !strings.EqualFold(u.Host, host) {
		req.Header.Del("Authorization")
		req.Header.Del("Cookie")
	}
	return req, err
}

// askForTurn makes r ask for a turn, unless what is stored answers req.
func (w *warm) askForTurn(ctx context.Context, req *http.Request, r *report) error {
	x, err := w.cache.Explain(ctx, req)
	if err != nil {
		w.stop(err) // without the store there is nothing to do
		return err
	}
	if x.Bypass != "" || x.Verdict.Action != rfc9111.Serve {
		r.next, r.shown, r.refresh = needsTurn, x.URL, x.Verdict.Action == rfc9111.ServeAndRefresh
	}
	return nil
}

// heed does what a response asks for: leave its host alone, if the origin was asked, or follow a redirect.
func (w *warm) heed(r *report, resp *http.Response) error {
	if r.after = retryAfter(resp, time.Now()); r.asked() && r.after > 0 && r.tries < mostTries {
		r.next = putOff
		r.tries++
		return nil
	}
	if to := resp.Header.Get("Location"); w.follow && to != "" && slices.Contains([]int{301, 302, 303, 307, 308}, resp.StatusCode) {
		return r.goTo(to)
	}
	if resp.StatusCode >= 400 {
		return fmt.Errorf("the answer is %s", resp.Status)
	}
	return nil
}

// goTo sends the errand to where a redirect leads.
func (r *report) goTo(location string) error {
	to, err := r.url.Parse(location)
	if err == nil {
		to, err = parseURL(to.String())
	}
	switch {
	case err != nil:
		return fmt.Errorf("it redirects to %q: %w", location, err)
	case r.hops == mostHops:
		return fmt.Errorf("it redirects more than %d times", mostHops)
	}
	if to.User == nil && to.Host == r.first.Host { // as larder get does, which has put the user into a header field
		to.User = r.first.User
	}
	r.hops++
	r.url, r.shown, r.refresh, r.next = to, "", false, sentElse
	return nil
}

// retryAfter returns how long the host asks to be left alone (RFC 9110 §10.2.3); 0: it does not ask.
func retryAfter(resp *http.Response, now time.Time) time.Duration {
	if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return 0
	}
	value := resp.Header.Get("Retry-After")
	if s, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(s) * time.Second
	}
	if t, err := http.ParseTime(value); err == nil {
		return max(0, t.Sub(now))
	}
	return 0
}

// alive is a writer that puts an alarm off with each write.
type alive struct {
	alarm *time.Timer
	by    time.Duration
}

func (a alive) Write(p []byte) (int, error) {
	a.alarm.Reset(a.by)
	return len(p), nil
}
