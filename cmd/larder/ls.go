package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

type ls struct {
	filter
	limit        countFlag
	sort, format string
	json         bool
}

func newLs(a *app) *cobra.Command {
	l := new(ls)
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List what is stored",
		Long: `List the stored responses, in the order in which the store has them, as they are found.

AGE is that of RFC 9111: since the origin made or last validated the response. FRESH is how long it
is still fresh, or has been stale.

--sort reads all before it writes, and with --limit N keeps no more than N. --format has the fields
of the JSON form in Go's spelling: .URL .Status .Size .Age .Fresh .FreshUntil .Header .Tags ...`,
		Example: `  larder ls --host api.example.com --stale
  larder ls --match 'api.example.com/v1/**' --limit 20
  larder ls --status 4xx,5xx --sort -size --limit 10
  larder ls --format '{{.Status}} {{.URL}}'
  larder ls --json | jq -r 'select(.size > 1e6) | .url'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return l.run(cmd, a) },
	}
	l.flags(cmd, a)
	cmd.Flags().Var(&l.limit, "limit", "stop after `N` responses; 0: never")
	cmd.Flags().StringVar(&l.sort, "sort", "", "by `KEY`: url, size, age, received, status or fresh; -size is the largest first")
	cmd.Flags().StringVar(&l.format, "format", "", "write each by a `TEMPLATE` of Go, such as '{{.Status}} {{.URL}}'")
	complete(cmd, "sort", oneOf("url", "-size", "size", "age", "-age", "-received", "status", "fresh", "-fresh"))
	jsonFlag(cmd, &l.json)
	exclusive(cmd, "json", "format")
	return cmd
}

func (l *ls) run(cmd *cobra.Command, a *app) error {
	now := time.Now()
	q, _, err := l.query(cmd, now)
	if err != nil {
		return err
	}
	before, err := ordering(l.sort, now)
	if err != nil {
		return usagef("--sort: %w", err)
	}
	var shape *template.Template
	if l.format != "" {
		if shape, err = template.New("--format").Parse(l.format); err != nil {
			return usagef("%w", err)
		}
	}
	if before == nil {
		q.Limit = int(l.limit)
	}
	c, closeStore, err := a.cache(cmd, false)
	if err != nil {
		return err
	}
	defer closeStore()
	return buffered(cmd, func(w io.Writer) error {
		write := entryWriter(w, l.json, shape, now)
		if before == nil {
			return each(cmd, c, q, write)
		}
		top := best{limit: int(l.limit), before: before}
		if err := each(cmd, c, q, top.add); err != nil {
			return err
		}
		for _, r := range top.records {
			if err := write(r); err != nil {
				return err
			}
		}
		return nil
	})
}

func jsonFlag(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVar(to, "json", false, "write JSON, one object a line")
}

// buffered gives do a buffered standard output.
func buffered(cmd *cobra.Command, do func(io.Writer) error) error {
	w := bufio.NewWriter(cmd.OutOrStdout())
	return errors.Join(do(w), w.Flush())
}

// entryWriter returns what writes a line for a response.
func entryWriter(w io.Writer, asJSON bool, shape *template.Template, now time.Time) func(*store.Record) error {
	t := table{w: w, columns: entryColumns}
	return func(r *store.Record) error {
		switch {
		case asJSON:
			return writeJSON(w, newEntry(r, now))
		case shape == nil:
			return t.row(entryCells(r, now)...)
		}
		var line strings.Builder
		if err := shape.Execute(&line, newEntry(r, now)); err != nil {
			return usagef("%w", err)
		}
		cells := strings.Split(line.String(), "\t")
		for i, cell := range cells {
			cells[i] = printable(cell)
		}
		_, err := fmt.Fprintln(w, strings.Join(cells, "\t"))
		return err
	}
}

// ordering reads the value of --sort; nil: as the store has them.
func ordering(key string, now time.Time) (func(a, b *store.Record) int, error) {
	name, descending := strings.CutPrefix(key, "-")
	var by func(a, b *store.Record) int
	switch name {
	case "":
		if descending {
			return nil, fmt.Errorf("%q: want url, size, age, received, status or fresh", key)
		}
		return nil, nil
	case "url":
		by = func(a, b *store.Record) int { return strings.Compare(a.URL, b.URL) }
	case "size":
		by = func(a, b *store.Record) int { return cmp.Compare(a.Size, b.Size) }
	case "age":
		by = func(a, b *store.Record) int { return cmp.Compare(ageOf(a, now), ageOf(b, now)) }
	case "received":
		by = func(a, b *store.Record) int { return a.Received.Compare(b.Received) }
	case "status":
		by = func(a, b *store.Record) int { return cmp.Compare(a.Status, b.Status) }
	case "fresh":
		by = func(a, b *store.Record) int { return freshEnd(a).Compare(freshEnd(b)) }
	default:
		return nil, fmt.Errorf("%q: want url, size, age, received, status or fresh, or -size and so on for the other way round", key)
	}
	return func(a, b *store.Record) int {
		order := by(a, b)
		if descending {
			order = -order
		}
		return cmp.Or(order, strings.Compare(a.URL, b.URL), slices.Compare(a.ID[:], b.ID[:]))
	}, nil
}

// freshEnd is when r turns stale; what never does comes last.
func freshEnd(r *store.Record) time.Time {
	if r.FreshUntil.IsZero() {
		return time.Unix(1<<40, 0)
	}
	return r.FreshUntil
}

// best keeps the records that come first in an order.
type best struct {
	limit   int // 0: all
	before  func(a, b *store.Record) int
	records []*store.Record
}

func (t *best) add(r *store.Record) error {
	i, _ := slices.BinarySearchFunc(t.records, r, t.before)
	if t.limit > 0 && len(t.records) == t.limit {
		if i == t.limit {
			return nil
		}
		t.records = t.records[:t.limit-1]
	}
	t.records = slices.Insert(t.records, i, r)
	return nil
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
