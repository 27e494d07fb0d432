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
	"github.com/larder-go/larder/internal/figures"
	"github.com/larder-go/larder/internal/view"
	"github.com/larder-go/larder/store"
)

// totals are the counts of the store or of a host, as stats writes them in JSON.
type totals struct {
	Store     string    `json:"store,omitempty"`
	Host      string    `json:"host,omitempty"`
	Responses int       `json:"responses"`
	Fresh     int       `json:"fresh"`
	Stale     int       `json:"stale"`
	BodyBytes int64     `json:"body_bytes"`
	Bytes     *int64    `json:"bytes,omitempty"` // with all else that the store counts
	Answered  *answered `json:"answered,omitempty"`
	Hours     spans     `json:"hours,omitempty"`
	Days      spans     `json:"days,omitempty"`
	Hosts     []*totals `json:"hosts,omitempty"`

	counts figures.Counts
}

// hostDays is how many days the sparkline of a host shows.
const hostDays = 7

func (t *totals) add(r *store.Record, now time.Time) {
	t.Responses++
	t.BodyBytes += r.Size
	if view.Fresh(r, now) {
		t.Fresh++
	} else {
		t.Stale++
	}
}

// answer adds the counts of an hour.
func (t *totals) answer(h *hourOf) {
	t.counts.Add(&h.Counts)
	t.Hours.add(h.hour, &h.Counts)
	t.Days.add(h.hour, &h.Counts)
	t.Answered = newAnswered(&t.counts)
}

func newStats(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "Count what is stored and what was answered, by host",
		Long: `Count the stored responses and their bytes, and what was answered in the last 31 days: in all and by
host, the largest first.

The answers of larder get, warm and serve are counted by hour and host in larder/history.sqlite in
the user's cache folder. $LARDER_HISTORY names another file; with none, nothing is counted.`,
		Example: `  larder stats --json | jq .answered.hit_ratio`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, closeStore, err := a.cache(cmd, false)
			if err != nil {
				return err
			}
			defer closeStore()
			t, err := a.totals(cmd, c, time.Now())
			if err != nil {
				return err
			}
			return writeResult(cmd, asJSON, t, t.write)
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

// totals counts what c stores, and adds the history.
func (a *app) totals(cmd *cobra.Command, c *larder.Cache, now time.Time) (*totals, error) {
	at, _, err := a.location()
	if err != nil {
		return nil, err
	}
	t := &totals{Store: at.String()}
	hosts := make(map[string]*totals)
	of := func(host string) *totals {
		if hosts[host] == nil {
			hosts[host] = &totals{Host: host, Days: daysUntil(now, hostDays)}
		}
		return hosts[host]
	}
	err = each(cmd, c, store.Query{}, func(r *store.Record) error {
		t.add(r, now)
		of(store.Host(r.URL)).add(r, now)
		return nil
	})
	if err != nil {
		return nil, err
	}
	h, err := a.history()
	if err != nil {
		return nil, err
	}
	if h.path != "" {
		t.Answered, t.Hours, t.Days = new(answered), hoursUntil(now, 24), daysUntil(now, historyDays)
	}
	past, err := h.read(cmd.Context(), now.AddDate(0, 0, -historyDays))
	if err != nil {
		return nil, err
	}
	for _, hour := range past {
		t.answer(&hour)
		of(hour.host).answer(&hour)
	}
	t.Hosts = slices.SortedFunc(maps.Values(hosts), func(a, b *totals) int {
		return cmp.Or(cmp.Compare(b.BodyBytes, a.BodyBytes), cmp.Compare(b.counts.Requests(), a.counts.Requests()), cmp.Compare(a.Host, b.Host))
	})
	switch _, size, err := c.Size(cmd.Context()); {
	case err == nil:
		t.Bytes = &size
	case !errors.Is(err, larder.ErrUnsupported):
		return nil, err
	}
	return t, nil
}

func (t *totals) write(w io.Writer) error {
	detail(w, "store", "%s", t.Store)
	detail(w, "responses", "%d (%d fresh, %d stale)", t.Responses, t.Fresh, t.Stale)
	detail(w, "bodies", "%s", bytesText(t.BodyBytes))
	if t.Bytes != nil {
		detail(w, "in all", "%s", bytesText(*t.Bytes))
	}
	if t.Answered != nil {
		fmt.Fprintln(w)
		t.Answered.write(w, historyDays)
	}
	if t.counts.Requests() > 0 {
		for _, past := range []struct {
			name string
			spans
		}{{"24 hours", t.Hours}, {fmt.Sprint(historyDays, " days"), t.Days}} {
			requests, hits := past.sparklines()
			detail(w, past.name, "%s  requests", requests)
			detail(w, "", "%s  from the store", hits)
		}
	}
	if len(t.Hosts) > 0 {
		fmt.Fprintln(w)
	}
	out := table{w: w, columns: []column{{"RESPONSES", 9}, {"FRESH", 6}, {"BODIES", 8}, {"REQUESTS", 8}, {"HITS", 5}, {"SAVED", 8},
		{fmt.Sprint(hostDays, " DAYS"), hostDays}, {"HOST", 0}}}
	for _, h := range t.Hosts {
		ratio := "-"
		if h.counts.Requests() > 0 {
			ratio = fmt.Sprintf("%.0f %%", 100*h.counts.HitRatio())
		}
		requests, _ := h.Days.sparklines()
		if err := out.row(fmt.Sprint(h.Responses), fmt.Sprint(h.Fresh), bytesText(h.BodyBytes), fmt.Sprint(h.counts.Requests()), ratio,
			bytesText(h.counts.Saved), requests, h.Host); err != nil {
			return err
		}
	}
	return nil
}
