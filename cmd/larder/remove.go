package main

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

// removal is the result of rm, purge and sweep, in JSON.
type removal struct {
	Removed int  `json:"removed"`
	DryRun  bool `json:"dry_run,omitempty"`
}

// removed writes how many responses were removed, even if err ended that early, and returns err. After an error it
// writes a 0 in JSON only.
func removed(cmd *cobra.Command, n int, asJSON bool, err error) error {
	var written error
	switch {
	case asJSON:
		written = writeJSON(cmd.OutOrStdout(), removal{Removed: n})
	case n > 0 || err == nil:
		_, written = fmt.Fprintf(cmd.OutOrStdout(), "removed %s\n", countText(n, "response"))
	}
	return cmp.Or(err, written)
}

type rm struct {
	request
	json bool
}

func newRm(a *app) *cobra.Command {
	r := new(rm)
	cmd := &cobra.Command{
		Use:   "rm URL...",
		Short: "Remove what is stored of URLs",
		Long: `Remove the stored responses of URLs: all variants, methods and credentials.

With -X, -H, -d or -I only those to exactly that request. It is an error (exit code 1) if there is
nothing to remove of a URL.`,
		Example: `  larder rm https://api.example.com/v1/things
  larder rm -H 'Authorization: Bearer s3cret' https://api.example.com/v1/things`,
		Args:              urlArgs(-1),
		ValidArgsFunction: a.completeURL,
		RunE:              func(cmd *cobra.Command, args []string) error { return r.run(cmd, a, args) },
	}
	r.flags(cmd)
	jsonFlag(cmd, &r.json)
	return cmd
}

func (r *rm) run(cmd *cobra.Command, a *app, args []string) error {
	urls, err := parseURLs(args)
	if err != nil {
		return err
	}
	if err := r.prepare(cmd); err != nil {
		return err
	}
	c, closeStore, err := a.cache(cmd, false)
	if err != nil {
		return err
	}
	defer closeStore()
	n, err := r.remove(cmd, a, c, urls)
	return removed(cmd, n, r.json, err)
}

// remove removes what is stored of urls, and returns the number of responses.
func (r *rm) remove(cmd *cobra.Command, a *app, c *larder.Cache, urls []*url.URL) (total int, missing error) {
	for _, u := range urls {
		records, err := r.find(cmd, a, c, u, store.ID{})
		if err != nil {
			return total, err
		}
		for _, stored := range records {
			n, err := c.Purge(cmd.Context(), store.Query{Key: stored.Key, ID: stored.ID})
			total += n
			if err != nil {
				return total, err
			}
		}
		if len(records) == 0 {
			tell(cmd.ErrOrStderr(), fmt.Errorf("nothing is stored of %s%s", u.Redacted(), r.orElse()))
			missing = &exitError{code: exitFailed}
		}
	}
	return total, missing
}

type purge struct {
	filter
	all, dryRun, json bool
}

func newPurge(a *app) *cobra.Command {
	p := new(purge)
	cmd := &cobra.Command{
		Use:   "purge",
		Short: "Remove what satisfies all of the given filters",
		Long: `Remove the stored responses that satisfy all of the given filters; at least one must be given, or
--all.`,
		Example: `  larder purge --stale --dry-run
  larder purge --host api.example.com --older-than 7d
  larder purge --all`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.run(cmd, a) },
	}
	p.flags(cmd, a)
	cmd.Flags().BoolVar(&p.all, "all", false, "everything")
	cmd.Flags().BoolVar(&p.dryRun, "dry-run", false, "list what would be removed, and remove nothing")
	jsonFlag(cmd, &p.json)
	return cmd
}

func (p *purge) run(cmd *cobra.Command, a *app) error {
	now := time.Now()
	q, given, err := p.query(cmd, now)
	switch {
	case err != nil:
		return err
	case p.all && given:
		return usagef("--all goes with no filter")
	case !p.all && !given:
		return usagef("say what to remove: --%s, or --all", strings.Join(filterFlags, ", --"))
	}
	c, closeStore, err := a.cache(cmd, false)
	if err != nil {
		return err
	}
	defer closeStore()
	if p.dryRun {
		return wouldRemove(cmd, c, q, p.json, now)
	}
	n, err := c.Purge(cmd.Context(), q)
	return removed(cmd, n, p.json, err)
}

// wouldRemove lists what q means; in JSON it writes the number alone.
func wouldRemove(cmd *cobra.Command, c *larder.Cache, q store.Query, asJSON bool, now time.Time) error {
	n, size := 0, int64(0)
	count := func(r *store.Record) {
		n++
		size += r.Size
	}
	if asJSON {
		if err := each(cmd, c, q, func(r *store.Record) error { count(r); return nil }); err != nil {
			return err
		}
		return writeJSON(cmd.OutOrStdout(), removal{Removed: n, DryRun: true})
	}
	return buffered(cmd, func(w io.Writer) error {
		write := entryWriter(w, false, nil, now)
		if err := each(cmd, c, q, func(r *store.Record) error { count(r); return write(r) }); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w, "would remove %s, %s\n", countText(n, "response"), bytesText(size))
		return err
	})
}

func newSweep(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "sweep",
		Short: "Remove what has ended, and make the store keep its limit",
		Long: `Remove responses that are of no more use to anybody, what interrupted writes have left, and, if the
store is above its limit, the least recently used responses.`,
		Example: `  larder sweep
  larder sweep --store 'sqlite:~/cache.sqlite?max-bytes=500MiB'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, closeStore, err := a.cache(cmd, false)
			if err != nil {
				return err
			}
			defer closeStore()
			n, err := c.Sweep(cmd.Context())
			return removed(cmd, n, asJSON, err)
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}
