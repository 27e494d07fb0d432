package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

// totals are what stats tells in JSON, of the store and of each host.
type totals struct {
	Store     string   `json:"store,omitempty"`
	Host      string   `json:"host,omitempty"`
	Responses int      `json:"responses"`
	Fresh     int      `json:"fresh"`
	Stale     int      `json:"stale"`
	BodyBytes int64    `json:"body_bytes"`
	Bytes     *int64   `json:"bytes,omitempty"` // with all that the store counts
	Hosts     []totals `json:"hosts,omitempty"`
}

func (t *totals) add(r *store.Record, now time.Time) {
	t.Responses++
	t.BodyBytes += r.Size
	if fresh(r, now) {
		t.Fresh++
	} else {
		t.Stale++
	}
}

func newStats(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "stats",
		Short:   "Count what is stored, by host",
		Long:    "Count the stored responses and their bytes, in all and by host, the largest first.",
		Example: `  larder stats --json | jq .hosts[0]`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, closeStore, err := a.cache(cmd, false)
			if err != nil {
				return err
			}
			defer closeStore()
			at, _, err := a.location()
			if err != nil {
				return err
			}
			t := totals{Store: at.String()}
			now := time.Now()
			hosts := make(map[string]*totals)
			err = each(cmd, c, store.Query{}, func(r *store.Record) error {
				t.add(r, now)
				host := store.Host(r.URL)
				if hosts[host] == nil {
					hosts[host] = &totals{Host: host}
				}
				hosts[host].add(r, now)
				return nil
			})
			if err != nil {
				return err
			}
			for _, h := range slices.SortedFunc(maps.Values(hosts), func(a, b *totals) int {
				return cmp.Or(cmp.Compare(b.BodyBytes, a.BodyBytes), cmp.Compare(a.Host, b.Host))
			}) {
				t.Hosts = append(t.Hosts, *h)
			}
			switch _, size, err := c.Size(cmd.Context()); {
			case err == nil:
				t.Bytes = &size
			case !errors.Is(err, larder.ErrUnsupported):
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), t)
			}
			return buffered(cmd, t.write)
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (t totals) write(w io.Writer) error {
	detail(w, "store", "%s", t.Store)
	detail(w, "responses", "%d (%d fresh, %d stale)", t.Responses, t.Fresh, t.Stale)
	detail(w, "bodies", "%s", bytesText(t.BodyBytes))
	if t.Bytes != nil {
		detail(w, "in all", "%s", bytesText(*t.Bytes))
	}
	if len(t.Hosts) > 0 {
		fmt.Fprintln(w)
	}
	out := table{w: w, columns: []column{{"RESPONSES", 9}, {"FRESH", 6}, {"STALE", 6}, {"BODIES", 8}, {"HOST", 0}}}
	for _, h := range t.Hosts {
		if err := out.row(fmt.Sprint(h.Responses), fmt.Sprint(h.Fresh), fmt.Sprint(h.Stale), bytesText(h.BodyBytes), h.Host); err != nil {
			return err
		}
	}
	return nil
}
