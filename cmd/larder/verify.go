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

// verified is what larder verify found, in JSON.
type verified struct {
	Whole   int     `json:"whole"`
	Bytes   int64   `json:"bytes"` // of their bodies
	Damaged int     `json:"damaged"`
	Gone    int     `json:"gone"` // removed by somebody meanwhile
	Seconds float64 `json:"seconds"`
}

func newVerify(a *app) *cobra.Command {
	var f filter
	var quiet, asJSON, remove bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Read all that is stored, and tell what is damaged",
		Long: `Read every stored response, head and body, and compare it with its checksums. What is damaged is
told and left where it is; with --remove it is removed, as it is when a request comes upon it. The
exit code is 1 if anything was damaged.`,
		Example: `  larder verify
  larder verify --store disk:/var/cache/larder --remove --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			began := time.Now()
			q, given, err := f.query(cmd, began)
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
			bar := newProgress(cmd, quiet, "verifying", "responses")
			defer bar.done()
			if n, _, err := c.Size(store.Inspect(cmd.Context())); err == nil && !given {
				bar.total(int64(n))
			}
			ctx := cmd.Context()
			if !remove {
				ctx = store.Inspect(ctx)
			}
			var v verified
			for r, err := range finder.Find(ctx, q) {
				if err == nil {
					err = readAll(ctx, c.Store, r)
				} else if !errors.Is(err, store.ErrCorrupt) {
					return err
				}
				switch {
				case cmd.Context().Err() != nil:
					return cmd.Context().Err()
				case err == nil:
					v.Whole++
					v.Bytes += r.Size
					bar.add(r.Size)
				case errors.Is(err, errGone):
					v.Gone++
				case errors.Is(err, store.ErrCorrupt):
					v.Damaged++
					tell(bar, err)
					if remove && r != nil { // else Find has removed it
						if err := c.Store.Delete(ctx, r.Key, r.ID); err != nil {
							return err
						}
					}
				default:
					return err
				}
			}
			bar.done()
			v.Seconds = secondsSince(began)
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), v)
			} else {
				err = v.write(cmd.OutOrStdout(), remove)
			}
			if err == nil && v.Damaged > 0 {
				err = &exitError{code: exitFailed}
			}
			return err
		},
	}
	f.flags(cmd, a)
	cmd.Flags().BoolVar(&remove, "remove", false, "remove what is damaged")
	quietFlag(cmd, &quiet)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// errGone says that a response has been removed since it was listed.
var errGone = errors.New("not there any more")

// readAll reads the body of r. What is wrong with it is an error that wraps store.ErrCorrupt, or errGone.
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
	case errors.Is(err, store.ErrNotFound): // damage, too, if the head is still there
		if there, _ := s.Lookup(ctx, r.Key); !slices.ContainsFunc(there, func(o *store.Record) bool { return o.ID == r.ID }) {
			return errGone
		}
		err = fmt.Errorf("its body is missing: %w", store.ErrCorrupt)
	}
	return fmt.Errorf("%s: %w", r.URL, err)
}

func (v *verified) write(w io.Writer, removed bool) error {
	err := detailOf(w, "whole", v.Whole, v.Bytes, v.Seconds)
	if v.Damaged > 0 {
		what := "left; --remove removes it"
		if removed {
			what = "removed"
		}
		err = errors.Join(err, detail(w, "damaged", "%d, %s", v.Damaged, what))
	}
	if v.Gone > 0 {
		err = errors.Join(err, detail(w, "gone", "%d", v.Gone))
	}
	return err
}
