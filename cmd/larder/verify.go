package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-go/larder/store"
)

// verified is the result of larder verify, in JSON.
type verified struct {
	Whole   int     `json:"whole"`
	Bytes   int64   `json:"bytes"` // of their bodies
	Damaged int     `json:"damaged"`
	Gone    int     `json:"gone"` // removed by somebody meanwhile
	Seconds float64 `json:"seconds"`
}

type verify struct {
	filter
	remove      bool
	quiet, json bool

	store store.Store
	bar   *progress
	verified
}

func newVerify(a *app) *cobra.Command {
	v := new(verify)
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Read all that is stored, and report what is damaged",
		Long: `Read every stored response, head and body, and compare it with its checksums. What is damaged is
reported and left where it is; with --remove it is removed, as it is when a request finds it. The
exit code is 1 if anything was damaged.`,
		Example: `  larder verify
  larder verify --store disk:/var/cache/larder --remove --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return v.run(cmd, a) },
	}
	v.flags(cmd, a)
	cmd.Flags().BoolVar(&v.remove, "remove", false, "remove what is damaged")
	quietFlag(cmd, &v.quiet, "")
	jsonFlag(cmd, &v.json)
	return cmd
}

func (v *verify) run(cmd *cobra.Command, a *app) error {
	began := time.Now()
	q, given, err := v.query(cmd, began)
	if err != nil {
		return err
	}
	c, closeStore, err := a.cache(cmd, false)
	if err != nil {
		return err
	}
	defer closeStore()
	finder, ok := store.As[store.Finder](c.Store)
	if !ok {
		return errors.New("the store cannot be listed, and so not verified")
	}
	v.store, v.bar = c.Store, newProgress(cmd, v.quiet, "verifying", "responses")
	defer v.bar.done()
	if !given {
		v.bar.totalOf(cmd.Context(), c.Store)
	}
	ctx := cmd.Context()
	if !v.remove {
		ctx = store.Inspect(ctx)
	}
	err = v.all(ctx, finder, q)
	v.bar.done()
	v.Seconds = secondsSince(began)
	err = errors.Join(err, writeResult(cmd, v.json, v.verified, v.write))
	if err == nil && v.Damaged > 0 {
		err = &exitError{code: exitFailed}
	}
	return err
}

// all reads what q means. It returns the error that ended it early.
func (v *verify) all(ctx context.Context, finder store.Finder, q store.Query) error {
	for r, err := range finder.Find(ctx, q) {
		if err := v.one(ctx, r, err); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// one reads r, and counts the result. err is an error of the store about r; then r may be nil.
func (v *verify) one(ctx context.Context, r *store.Record, err error) error {
	if err == nil {
		err = readAll(store.Inspect(ctx), v.store, r) // else a store may silently remove damaged records beside r
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil:
		v.Whole++
		v.Bytes += r.Size
		v.bar.add(r.Size)
	case errors.Is(err, errGone):
		v.Gone++
	case errors.Is(err, store.ErrCorrupt):
		v.Damaged++
		tell(v.bar, err)
		if v.remove && r != nil { // if r is nil, Find has removed it
			return v.store.Delete(ctx, r.Key, r.ID)
		}
	default:
		return err
	}
	return nil
}

// errGone says that a response has been removed since it was listed.
var errGone = errors.New("not there any more")

// readAll reads the body of r. Its error wraps store.ErrCorrupt if the body is damaged, and errGone if r was removed.
func readAll(ctx context.Context, s store.Store, r *store.Record) error {
	if r.Size == 0 {
		return nil
	}
	n, err := func() (int64, error) {
		body, err := s.Open(ctx, r)
		if err != nil {
			return 0, err
		}
		defer body.Close()
		return io.Copy(io.Discard, body)
	}()
	switch {
	case err == nil && n == r.Size:
		return nil
	case err == nil:
		err = fmt.Errorf("its body has %d bytes, want %d: %w", n, r.Size, store.ErrCorrupt)
	case errors.Is(err, store.ErrNotFound): // that is damage if the head is still there
		if there, _ := s.Lookup(ctx, r.Key); !slices.ContainsFunc(there, func(o *store.Record) bool { return o.ID == r.ID }) {
			return errGone
		}
		err = fmt.Errorf("its body is missing: %w", store.ErrCorrupt)
	}
	return fmt.Errorf("%s: %w", r.URL, err)
}

func (v *verify) write(w io.Writer) error {
	detailOf(w, "whole", v.Whole, v.Bytes, v.Seconds)
	if v.Damaged > 0 {
		what := "left; --remove removes it"
		if v.remove {
			what = "removed"
		}
		detail(w, "damaged", "%d, %s", v.Damaged, what)
	}
	if v.Gone > 0 {
		detail(w, "gone", "%d", v.Gone)
	}
	return nil
}
