package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

func newLs(a *app) *cobra.Command {
	var f filter
	var limit countFlag
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List what is stored",
		Long: `List the stored responses, in the order in which the store has them, as they are found.

AGE is that of RFC 9111: since the origin made or last validated the response. FRESH is how long it
is still fresh, or has been stale.`,
		Example: `  larder ls --host api.example.com --stale
  larder ls --match 'api.example.com/v1/**' --limit 20
  larder ls --json | jq -r 'select(.size > 1e6) | .url'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			now := time.Now()
			q, _, err := f.query(cmd, now)
			if err != nil {
				return err
			}
			q.Limit = int(limit)
			c, closeStore, err := a.cache(cmd, false)
			if err != nil {
				return err
			}
			defer closeStore()
			return buffered(cmd, func(w io.Writer) error {
				return list(cmd, c, q, w, asJSON, now, func(*store.Record) {})
			})
		},
	}
	f.flags(cmd, a)
	cmd.Flags().Var(&limit, "limit", "stop after `N` responses; 0: never")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func jsonFlag(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVar(to, "json", false, "write JSON, one object a line")
}

// buffered gives do a buffered standard output.
func buffered(cmd *cobra.Command, do func(io.Writer) error) error {
	w := bufio.NewWriter(cmd.OutOrStdout())
	return errors.Join(do(w), w.Flush())
}

// list writes a line for each response that q means, and calls also with it.
func list(cmd *cobra.Command, c *larder.Cache, q store.Query, w io.Writer, asJSON bool, now time.Time, also func(*store.Record)) error {
	t := table{w: w, columns: entryColumns}
	return each(cmd, c, q, func(r *store.Record) error {
		also(r)
		if asJSON {
			return writeJSON(w, newEntry(r, now))
		}
		return t.row(entryCells(r, now)...)
	})
}

// each calls do with the responses that q means. It passes over damaged ones, and tells of them.
func each(cmd *cobra.Command, c *larder.Cache, q store.Query, do func(*store.Record) error) error {
	for r, err := range c.Entries(cmd.Context(), q) {
		if errors.Is(err, store.ErrCorrupt) {
			tell(cmd.ErrOrStderr(), err)
			continue
		}
		if err != nil {
			return err
		}
		if err := do(r); err != nil {
			return err
		}
	}
	return cmd.Context().Err()
}

// mostCompletions bounds what the shell is offered, and completionTime how long it waits for it.
const (
	mostCompletions = 100
	completionTime  = time.Second
)

// completeURL offers the URLs that are stored.
func (a *app) completeURL(cmd *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.completeFrom(cmd, store.Query{Prefix: word}, word, func(r *store.Record) []string { return []string{r.URL} })
}

// completeHost offers the hosts of what is stored.
func (a *app) completeHost(cmd *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.completeFrom(cmd, store.Query{}, word, func(r *store.Record) []string { return []string{store.Host(r.URL)} })
}

// completeTag offers the tags of what is stored.
func (a *app) completeTag(cmd *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.completeFrom(cmd, store.Query{}, word, func(r *store.Record) []string { return r.Tags })
}

// completeFrom offers those words of the records that begin with word.
func (a *app) completeFrom(cmd *cobra.Command, q store.Query, word string, words func(*store.Record) []string) (
	[]cobra.Completion, cobra.ShellCompDirective,
) {
	cmd.SetErr(io.Discard) // the shell shows it amid what is being typed
	c, closeStore, err := a.cache(cmd, false)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	defer closeStore()
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	seen := make(map[string]bool)
	var out []cobra.Completion
	for r, err := range c.Entries(ctx, q) {
		if err != nil || len(out) == mostCompletions {
			break
		}
		for _, s := range words(r) {
			if strings.HasPrefix(s, word) && !seen[s] {
				seen[s] = true
				out = append(out, printable(s))
			}
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
