package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/internal/view"
	"github.com/larder-go/larder/store"
)

// filter selects stored responses: those that satisfy every flag that is given.
type filter struct {
	host, prefix, match, tag, status string
	stale, fresh, expired            bool
	olderThan, newerThan             durationFlag
}

var filterFlags = []string{"host", "prefix", "match", "tag", "status", "stale", "fresh", "expired", "older-than", "newer-than"}

func (f *filter) flags(cmd *cobra.Command, a *app) {
	flags := cmd.Flags()
	flags.StringVar(&f.host, "host", "", "those of this `HOST`, with its port if it is not the default one")
	flags.StringVar(&f.prefix, "prefix", "", "those whose URL begins with this `TEXT`")
	flags.StringVar(&f.match, "match", "", "those whose URL matches this `PATTERN`, [scheme://]host[:port][/path]: * is one "+
		"label of the host or any part of one path segment, ** any number of them")
	flags.StringVar(&f.tag, "tag", "", "those with this `TAG`, which a program's rules have set")
	flags.StringVar(&f.status, "status", "", "those with this `STATUS`, such as 200, 4xx or 404,410")
	flags.BoolVar(&f.stale, "stale", false, "those that are stale")
	flags.BoolVar(&f.fresh, "fresh", false, "those that are fresh")
	flags.BoolVar(&f.expired, "expired", false, "those that are of no more use, and go with the next sweep")
	flags.Var(&f.olderThan, "older-than", "those that were received or last validated longer than `DURATION` ago")
	flags.Var(&f.newerThan, "newer-than", "those that were received or last validated within `DURATION`")
	complete(cmd, "status", oneOf("200", "2xx", "3xx", "4xx", "5xx"))
	complete(cmd, "newer-than", oneOf("1h", "1d", "7d", "30d"))
	complete(cmd, "host", a.completeHost)
	complete(cmd, "prefix", a.completeURL)
	complete(cmd, "tag", a.completeTag)
	complete(cmd, "older-than", oneOf("1h", "1d", "7d", "30d"))
}

// query returns what the flags mean, and whether any was given. An empty value is an error: it must not mean
// everything.
func (f *filter) query(cmd *cobra.Command, now time.Time) (q store.Query, given bool, err error) {
	for _, name := range filterFlags {
		flag := cmd.Flags().Lookup(name)
		if flag.Changed && flag.Value.String() == "" {
			return q, true, usagef("--%s is empty", name)
		}
		given = given || flag.Value.String() != flag.DefValue // --stale=false is no filter
	}
	q = store.Query{Host: f.host, Prefix: f.prefix, Tag: f.tag}
	match, err := larder.MatchURL(f.match)
	if err != nil {
		return q, true, usagef("--match: %w", err)
	}
	status, err := view.Statuses(f.status)
	if err != nil {
		return q, true, usagef("--status: %w", err)
	}
	if f.match != "" || f.status != "" || f.fresh || f.newerThan > 0 {
		q.Filter = func(r *store.Record) bool {
			return (f.match == "" || match(r)) && status(r.Status) && (!f.fresh || view.Fresh(r, now)) &&
				(f.newerThan == 0 || r.Received.After(now.Add(-time.Duration(f.newerThan))))
		}
	}
	if f.expired {
		q.Ended = now
	}
	if f.stale {
		q.Stale = now
	}
	if f.olderThan > 0 {
		q.Before = now.Add(-time.Duration(f.olderThan))
	}
	return q, given, nil
}
