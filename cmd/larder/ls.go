package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/internal/view"
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
		Long: `List the stored responses, in the store's order, as they are found.

AGE is that of RFC 9111: since the origin made or last validated the response. FRESH is how long it
is still fresh, or has been stale.

--sort reads all before it writes, and with --limit N keeps no more than twice N. --format has the
fields of the JSON form in Go's spelling: .URL .Status .Size .Age .Fresh .FreshUntil .Header ...`,
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
	order, err := ordering(l.sort, now)
	if err != nil {
		return usagef("--sort: %w", err)
	}
	var shape *template.Template
	if l.format != "" {
		if shape, err = template.New("--format").Parse(l.format); err != nil {
			return usagef("%w", err)
		}
	}
	if order == nil {
		q.Limit = int(l.limit)
	}
	c, closeStore, err := a.cache(cmd, false)
	if err != nil {
		return err
	}
	defer closeStore()
	return buffered(cmd, func(w io.Writer) error {
		write := entryWriter(w, l.json, shape, now)
		if order == nil {
			return each(cmd, c, q, write)
		}
		top := view.Top{Limit: int(l.limit), Order: order}
		if err := each(cmd, c, q, func(r *store.Record) error { top.Add(r); return nil }); err != nil {
			return err
		}
		for _, r := range top.First() {
			if err := write(r); err != nil {
				return err
			}
		}
		return nil
	})
}

// entryWriter returns a function that writes a line for a response.
func entryWriter(w io.Writer, asJSON bool, shape *template.Template, now time.Time) func(*store.Record) error {
	t := table{w: w, columns: entryColumns}
	return func(r *store.Record) error {
		switch {
		case asJSON:
			return writeJSON(w, view.NewEntry(r, now))
		case shape == nil:
			return t.row(entryCells(r, now)...)
		}
		var line strings.Builder
		if err := shape.Execute(&line, view.NewEntry(r, now)); err != nil {
			return usagef("%s", strings.Replace(err.Error(), "in type view.Entry", "of a response; ls --json has them all", 1))
		}
		cells := strings.Split(line.String(), "\t")
		for i, cell := range cells {
			cells[i] = printable(cell)
		}
		_, err := fmt.Fprintln(w, strings.Join(cells, "\t"))
		return err
	}
}

// ordering reads the value of --sort; nil: the store's order.
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
		by = func(a, b *store.Record) int { return cmp.Compare(view.Age(a, now), view.Age(b, now)) }
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

// each calls do with the responses that q means. It reports damaged ones, and passes over them.
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
