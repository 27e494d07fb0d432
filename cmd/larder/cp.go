package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-go/larder/internal/view"
	"github.com/larder-go/larder/store"
)

// copiers is how many responses are copied at once, since a distant store takes its time for each.
const copiers = 8

// copying is a copy of one store into another.
type copying struct {
	filter
	quiet, json bool

	from, to store.Store
	now      time.Time
	bar      *progress

	mu sync.Mutex
	copied
}

// copied is the result of a copy, in JSON.
type copied struct {
	Copied  int     `json:"copied"`
	Bytes   int64   `json:"bytes"`   // of their bodies
	Present int     `json:"present"` // were there already
	Updated int     `json:"updated"` // were there with an older head
	Ended   int     `json:"ended"`   // are not kept any longer
	Damaged int     `json:"damaged"` // in the store that is copied
	Refused int     `json:"refused"` // larger than the other store takes
	Failed  int     `json:"failed"`
	Seconds float64 `json:"seconds"`
}

func newCp(a *app) *cobra.Command {
	c := new(copying)
	cmd := &cobra.Command{
		Use:     "cp FROM TO",
		Aliases: []string{"copy"},
		Short:   "Copy one store into another",
		Long: `Copy the stored responses of one store into another, of whatever kind, as they are: with their IDs,
times and tags. What is there already is passed over, so that a copy that was interrupted can be
continued. Each response is read back and compared.

What is encrypted stays so, with the same key. What is damaged is reported and passed over.`,
		Example: `  larder cp sqlite:~/.cache/larder/cache.sqlite redis://localhost:6379/0
  larder cp --host api.example.com disk:/var/cache/old sqlite:new.sqlite`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("%s given, want two: FROM and TO", countText(len(args), "store"))
			}
			return nil
		},
		ValidArgsFunction: completeStore,
		RunE:              func(cmd *cobra.Command, args []string) error { return c.run(cmd, a, args) },
	}
	c.flags(cmd, a)
	quietFlag(cmd, &c.quiet, "")
	jsonFlag(cmd, &c.json)
	return cmd
}

func (c *copying) run(cmd *cobra.Command, a *app, args []string) error {
	c.now = time.Now()
	q, given, err := c.query(cmd, c.now)
	if err != nil {
		return err
	}
	if a.wrappers.compress || len(a.wrappers.keyFiles) > 0 {
		return usagef("cp copies what is stored as it is: --compress and --encrypt-key-file are not for it")
	}
	from, closeFrom, err := openFor(cmd, args[0], false)
	if err != nil {
		return err
	}
	defer closeFrom()
	to, closeTo, err := openFor(cmd, args[1], true)
	if err != nil {
		return err
	}
	c.from, c.to, c.bar = from, to, newProgress(cmd, c.quiet, "copying", "responses")
	defer c.bar.done()
	if !given {
		c.bar.totalOf(cmd.Context(), from)
	}
	err = c.all(cmd.Context(), q)
	c.Seconds = secondsSince(c.now)
	c.bar.done()
	err = errors.Join(err, writeResult(cmd, c.json, c.copied, c.copied.write))
	if err := errors.Join(err, closeTo()); err != nil {
		return err
	}
	if c.Damaged+c.Refused+c.Failed > 0 {
		return &exitError{code: exitFailed}
	}
	return nil
}

// openFor opens the store that an argument names. Unless create is set, it has to be there: to copy nothing would look
// like a copy.
func openFor(cmd *cobra.Command, spec string, create bool) (store.Store, func() error, error) {
	at, err := parseLocation(spec)
	if err != nil {
		return nil, nil, &exitError{exitUsage, err}
	}
	var missing error
	warn := warner(cmd)
	if !create {
		warn = func(what string) { missing = errors.New(what) }
	}
	s, err := at.open(cmd.Context(), create, warn)
	if err != nil {
		return nil, nil, fmt.Errorf("the store %s cannot be used: %w", at, err)
	}
	return s, closeOf(s), missing
}

// all copies what q means, and the notes that larder keeps for itself. It returns the error that ended it early.
func (c *copying) all(ctx context.Context, q store.Query) error {
	finder, ok := store.As[store.Finder](c.from)
	if !ok {
		return errors.New("the store cannot be listed, and so not copied")
	}
	work := make(chan *store.Record)
	var workers sync.WaitGroup
	for range copiers {
		workers.Go(func() {
			for r := range work {
				c.one(ctx, r)
			}
		})
	}
	err := c.list(ctx, finder, q, work)
	close(work)
	workers.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (c *copying) list(ctx context.Context, finder store.Finder, q store.Query, work chan<- *store.Record) error {
	for r, err := range finder.Find(ctx, q) {
		switch {
		case errors.Is(err, store.ErrCorrupt):
			c.tell(err, &c.Damaged)
		case err != nil:
			return fmt.Errorf("list the store: %w", err)
		default:
			select {
			case work <- r:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// one copies r, and counts the result.
func (c *copying) one(ctx context.Context, r *store.Record) {
	if !r.KeepUntil.IsZero() && !c.now.Before(r.KeepUntil) {
		c.count(&c.Ended, 0)
		return
	}
	was, err := c.copy(ctx, r)
	switch {
	case ctx.Err() != nil: // the next run finds out whether r is there
	case err == nil:
		c.count(was, r.Size)
	case errors.Is(err, errDamaged):
		c.tell(fmt.Errorf("%s: %w", r.URL, err), &c.Damaged)
	case errors.Is(err, store.ErrTooLarge):
		c.tell(fmt.Errorf("%s: %w", r.URL, err), &c.Refused)
	default:
		c.tell(fmt.Errorf("%s: %w", r.URL, err), &c.Failed)
	}
}

func (c *copying) count(what *int, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*what++
	if what == &c.Copied {
		c.Bytes += bytes
	}
	c.bar.add(bytes)
}

func (c *copying) tell(err error, what *int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*what++
	tell(c.bar, err)
}

// errDamaged says that a body in the store that is copied cannot be read.
var errDamaged = errors.New("its body cannot be read")

// copy copies r, unless it is there, and returns the counter to increase.
func (c *copying) copy(ctx context.Context, r *store.Record) (was *int, err error) {
	there, err := c.find(ctx, r)
	switch {
	case err != nil:
		return nil, fmt.Errorf("look it up: %w", err)
	case there == nil || there.Size != r.Size:
	case sameHead(there, r) || there.Received.After(r.Received):
		return &c.Present, nil
	default:
		if err := c.to.Update(ctx, r); err != nil {
			return nil, fmt.Errorf("update it: %w", err)
		}
		return &c.Updated, nil
	}
	sum, err := c.put(ctx, r)
	if err != nil {
		return nil, err
	}
	return &c.Copied, c.verify(ctx, r, sum)
}

// find returns what the other store has of r; nil: nothing.
func (c *copying) find(ctx context.Context, r *store.Record) (*store.Record, error) {
	all, err := c.to.Lookup(ctx, r.Key)
	if err != nil && !errors.Is(err, store.ErrCorrupt) {
		return nil, err
	}
	if i := slices.IndexFunc(all, func(o *store.Record) bool { return o.ID == r.ID }); i >= 0 {
		return all[i], nil
	}
	return nil, nil
}

// sameHead reports whether two records are the same but for their bodies. It compares them as encoded, since stores
// keep them so.
func sameHead(a, b *store.Record) bool {
	var d store.Decoder
	a, errA := d.Head(store.AppendHead(nil, a))
	b, errB := d.Head(store.AppendHead(nil, b))
	return errA == nil && errB == nil && a.Key == b.Key && a.ID == b.ID && a.Size == b.Size && slices.Equal(a.Tags, b.Tags) &&
		a.FreshUntil.Equal(b.FreshUntil) && a.KeepUntil.Equal(b.KeepUntil) && reflect.DeepEqual(a.Head, b.Head)
}

type digest = [sha256.Size]byte

// put stores r, and returns the digest of its body.
func (c *copying) put(ctx context.Context, r *store.Record) (sum digest, err error) {
	w, err := c.to.Create(ctx, r)
	if err != nil {
		return sum, fmt.Errorf("store it: %w", err)
	}
	defer w.Close()
	if r.Size > 0 {
		body, err := c.from.Open(ctx, r)
		if err != nil {
			return sum, fmt.Errorf("%w: %w", errDamaged, err)
		}
		defer body.Close()
		if sum, err = hashTo(w, body); err != nil {
			return sum, err
		}
	} else {
		sum = sha256.Sum256(nil)
	}
	if err := w.Commit(r); err != nil {
		return sum, fmt.Errorf("store it: %w", err)
	}
	return sum, nil
}

// hashTo copies a body to w, and returns its digest. An error of the body wraps errDamaged.
func hashTo(w io.Writer, body io.Reader) (sum digest, err error) {
	h := sha256.New()
	read := &view.Watched{Reader: body}
	if _, err := io.Copy(io.MultiWriter(w, h), read); err != nil {
		if read.Err != nil {
			return sum, fmt.Errorf("%w: %w", errDamaged, read.Err)
		}
		return sum, fmt.Errorf("store it: %w", err)
	}
	return digest(h.Sum(nil)), nil
}

// verify reads r back, and compares it.
func (c *copying) verify(ctx context.Context, r *store.Record, sum digest) error {
	there, err := c.find(ctx, r)
	switch {
	case err != nil:
		return fmt.Errorf("read it back: %w", err)
	case there == nil:
		return errors.New("read it back: it is not there any more; is the store too small?")
	case !sameHead(there, r):
		return errors.New("read it back: its head is another")
	}
	var got digest
	switch {
	case there.Size == 0, there.Body != nil:
		got = sha256.Sum256(there.Body)
	default:
		body, err := c.to.Open(ctx, there)
		if err != nil {
			return fmt.Errorf("read it back: %w", err)
		}
		defer body.Close()
		if got, err = hashTo(io.Discard, body); err != nil {
			return fmt.Errorf("read it back: %w", err)
		}
	}
	if got != sum {
		return errors.New("read it back: its body is another")
	}
	return nil
}

func (c *copied) write(w io.Writer) error {
	detailOf(w, "copied", c.Copied, c.Bytes, c.Seconds)
	for _, line := range []struct {
		name string
		n    int
	}{{"present", c.Present}, {"updated", c.Updated}, {"ended", c.Ended}, {"damaged", c.Damaged}, {"refused", c.Refused}, {"failed", c.Failed}} {
		if line.n > 0 {
			detail(w, line.name, "%d", line.n)
		}
	}
	return nil
}
