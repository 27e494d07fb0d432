package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/internal/har"
	"github.com/larder-go/larder/rfc9111"
	"github.com/larder-go/larder/store"
)

// imported is the result of an import, in JSON.
type imported struct {
	Entries   int     `json:"entries"` // that were read
	Imported  int     `json:"imported"`
	Bytes     int64   `json:"bytes"`   // of their bodies
	Present   int     `json:"present"` // a response as new was there
	Seconds   float64 `json:"seconds"`
	NotStored counts  `json:"not_stored"` // by reason
}

func newImport(a *app) *cobra.Command {
	i := &importing{imported: imported{NotStored: make(counts)}}
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Store what is in a HAR",
		Long: `Store the responses in HTTP archives (HAR): those of browsers, proxies and larder export; - is
standard input. Each GET and HEAD goes through the cache as if it were made now. A response that may
be stored is stored with the time at which it was recorded; or, with --ttl, as fresh from now on. A
stored response that is as new stays.

Browsers keep content without its coding: then Content-Encoding goes, too. Cookies and Authorization
are part of a request, so that what was recorded with them does not answer requests without them.

If a HAR is wrong, the entries before that place are stored, and the exit code is 1, as it is if the
store fails.`,
		Example: `  larder import page.har
  larder import --ttl forever --store disk:testdata/http recorded.har
  larder export --host example.com | larder import --store sqlite:other.sqlite -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("no HAR file is given; - is standard input")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return i.run(cmd, a, args)
		},
	}
	f := cmd.Flags()
	f.Var(&i.ttl, "ttl", "keep them as fresh for `DURATION` from now on: 90s, 15m, 2h, 7d or forever")
	quietFlag(cmd, &i.quiet, "")
	jsonFlag(cmd, &i.json)
	complete(cmd, "ttl", oneOf("1h", "1d", "7d", "forever"))
	return cmd
}

// importing is an import of HARs.
type importing struct {
	imported
	ttl   ttlFlag
	quiet bool
	json  bool

	app       *app
	cache     *larder.Cache
	began     time.Time
	bar       *progress
	ruled     bool // a rule for the last exchange is in force
	discarded discarded
	failed    bool // the store has failed

	now     atomic.Pointer[time.Time] // the time that the cache sees
	playing *har.Exchange             // what Base answers with
}

func (i *importing) run(cmd *cobra.Command, a *app, files []string) (err error) {
	if i.ttl < 0 {
		return usagef("--ttl never stores nothing")
	}
	c, closeStore, err := a.cache(cmd, true)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, closeCache(cmd.Context(), c, closeStore)) }()
	i.app, i.cache, i.began = a, c, time.Now()
	i.bar = newProgress(cmd, i.quiet, "importing", "entries")
	defer i.bar.done()
	trouble := &teller{err: i.bar}
	c.Observe = func(e larder.Event) {
		i.discarded.observe(e)
		trouble.observe(e)
	}
	c.Base = i
	i.now.Store(&i.began)
	c.Now = func() time.Time { return *i.now.Load() }

	wrong, err := i.files(cmd, files)
	i.bar.done()
	i.Seconds = secondsSince(i.began)
	err = errors.Join(err, writeResult(cmd, i.json, i.imported, i.write))
	if err == nil && (wrong || i.failed) {
		err = &exitError{code: exitFailed}
	}
	return err
}

// files imports HARs one after the other, and reports whether any was wrong. An error is the store's, or an interrupt.
func (i *importing) files(cmd *cobra.Command, names []string) (wrong bool, err error) {
	for _, name := range names {
		err := i.file(cmd, name)
		var inFile *fileError
		switch {
		case errors.As(err, &inFile):
			wrong = true
			tell(i.bar, err)
		case err != nil:
			return wrong, err
		}
	}
	return wrong, nil
}

// fileError is a fault of one HAR, which does not stop the others.
type fileError struct{ error }

func (e *fileError) Unwrap() error { return e.error }

// file imports one HAR.
func (i *importing) file(cmd *cobra.Command, name string) error {
	ctx := cmd.Context()
	var in io.Reader = &interruptible{ctx: ctx, r: cmd.InOrStdin()}
	if name == "-" {
		name = "standard input"
	} else {
		f, err := openInterruptible(ctx, name)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return &fileError{err}
		}
		defer f.Close()
		in = f
	}
	r := har.NewReader(in)
	for {
		e, err := r.Next()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == io.EOF:
			return nil
		case err != nil:
			return &fileError{fmt.Errorf("%s: %w", name, err)}
		}
		if err := i.entry(ctx, e); err != nil {
			return err
		}
	}
}

// entry stores the response in an entry, and counts the result. An error is the store's.
func (i *importing) entry(ctx context.Context, e *har.Entry) error {
	i.Entries++
	x, err := e.Exchange(decode)
	if err != nil {
		i.NotStored.add(err.Error())
		i.bar.add(0)
		return nil
	}
	now := time.Now()
	if i.ttl != 0 || x.Received.After(now) { // a clock that was ahead of this one is not trusted
		x.Requested, x.Received = now, now
	}
	why, err := i.play(ctx, x)
	switch {
	case err != nil:
		return err
	case why == isPresent:
		i.Present++
	case why != "":
		i.NotStored.add(why)
	default:
		i.Imported++
		i.Bytes += int64(len(x.Body))
	}
	i.bar.add(int64(len(x.Body)))
	return nil
}

// Why a response is not stored, beside what the cache says.
const (
	isPresent = "it is stored already"
	isEnded   = "it is stale for too long to be kept; --ttl keeps it"
	isGone    = "the store has not kept it"
	isFailed  = "the store failed"
)

// play sends the request of x through the cache, with the response of x as the origin's answer. It returns why that was
// not stored; "": it was.
func (i *importing) play(ctx context.Context, x *har.Exchange) (why string, err error) {
	if err := i.setRules(x); err != nil {
		return "", err
	}
	ctx = larder.WithTTL(ctx, cmp.Or(time.Duration(i.ttl), x.TTL))
	req := x.Request.Clone(larder.WithMode(ctx, larder.ForceRefresh))
	userToHeader(req)
	i.now.Store(&x.Requested)
	known, err := i.cache.Explain(ctx, req)
	if err != nil {
		return "", err
	}
	if known.Bypass != "" {
		return known.Bypass, nil
	}
	for _, r := range known.Records {
		answers := rfc9111.Selects(r.Selecting, req.Header) && (r.Method != http.MethodHead || req.Method == http.MethodHead)
		if answers && !r.Received.Before(x.Received) {
			return isPresent, nil
		}
	}
	i.playing = x
	i.discarded.expect(known.URL)
	resp, err := i.cache.RoundTrip(req)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	of := i.discarded.fate(known.URL)
	if err != nil {
		return "", err
	}
	i.failed = i.failed || of.storeFailed
	if of.storeFailed && of.notStored != "" {
		return isFailed, nil
	}
	d := larder.Info(resp)
	if why := cmp.Or(d.NotStored, of.notStored); why != "" {
		return why, nil
	}
	return i.kept(ctx, d)
}

// kept looks up what was stored, and removes it if its KeepUntil has passed.
func (i *importing) kept(ctx context.Context, d larder.Decision) (why string, err error) {
	records, err := i.cache.Store.Lookup(ctx, d.Key)
	if err != nil && !errors.Is(err, store.ErrCorrupt) {
		return "", err
	}
	at := slices.IndexFunc(records, func(r *store.Record) bool { return r.ID == d.ID })
	switch {
	case at < 0:
		return isGone, nil
	case records[at].KeepUntil.IsZero() || records[at].KeepUntil.After(time.Now()):
		return "", nil
	}
	return isEnded, i.cache.Store.Delete(ctx, d.Key, d.ID)
}

// setRules adds to the rules of the configuration file one with what larder had set for x.
func (i *importing) setRules(x *har.Exchange) error {
	own := larder.Rule{StaleWhileRevalidate: x.StaleWhileRevalidate, StaleIfError: x.StaleIfError}
	for _, tag := range x.Tags {
		if !strings.HasPrefix(tag, "cache-group:") { // those come from the header
			own.Tags = append(own.Tags, tag)
		}
	}
	wanted := len(own.Tags) > 0 || own.StaleWhileRevalidate != 0 || own.StaleIfError != 0
	if !wanted && !i.ruled {
		return nil
	}
	i.ruled = wanted
	return i.cache.SetRules(i.app.file.LarderRules(own)...)
}

// RoundTrip is the origin: it answers with the exchange that is being played.
func (i *importing) RoundTrip(req *http.Request) (*http.Response, error) {
	x := i.playing
	i.now.Store(&x.Received)
	resp := x.Response
	resp.Request = req
	resp.Body = io.NopCloser(bytes.NewReader(x.Body))
	if len(x.Body) == 0 {
		resp.Body = http.NoBody
	}
	return &resp, nil
}

func (i *imported) write(out io.Writer) error {
	sumUp(out, "imported", i.Imported, "  "+bytesText(i.Bytes))
	if i.Present > 0 {
		sumUp(out, "present", i.Present, "")
	}
	if n := i.NotStored.sum(); n > 0 {
		sumUp(out, "not stored", n, "")
		i.NotStored.write(out)
	}
	return sumUp(out, "time", tookText(i.Seconds), "")
}
