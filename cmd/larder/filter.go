package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

// filter is which stored responses are meant: those that satisfy every flag that is given.
type filter struct {
	host, prefix, match, tag string
	stale                    bool
	olderThan                durationFlag
}

var filterFlags = []string{"host", "prefix", "match", "tag", "stale", "older-than"}

func (f *filter) flags(cmd *cobra.Command, a *app) {
	flags := cmd.Flags()
	flags.StringVar(&f.host, "host", "", "those of this `HOST`, with its port if it is not the default one")
	flags.StringVar(&f.prefix, "prefix", "", "those whose URL begins with this `TEXT`")
	flags.StringVar(&f.match, "match", "", "those whose URL matches this `PATTERN`, [scheme://]host[:port][/path]: * is one "+
		"label of the host or any part of one path segment, ** any number of them")
	flags.StringVar(&f.tag, "tag", "", "those with this `TAG`, which a program's rules have set")
	flags.BoolVar(&f.stale, "stale", false, "those that are stale")
	flags.Var(&f.olderThan, "older-than", "those that were received or last validated longer than `DURATION` ago")
	complete(cmd, "host", a.completeHost)
	complete(cmd, "prefix", a.completeURL)
	complete(cmd, "tag", a.completeTag)
	complete(cmd, "older-than", oneOf("1h", "1d", "7d", "30d"))
}

// query returns what the flags mean, and whether any was given. An empty value is an error: it means nothing, not everything.
func (f *filter) query(cmd *cobra.Command, now time.Time) (q store.Query, given bool, err error) {
	for _, name := range filterFlags {
		flag := cmd.Flags().Lookup(name)
		if flag.Changed && flag.Value.String() == "" {
			return q, true, usagef("--%s is empty", name)
		}
		given = given || flag.Value.String() != flag.DefValue // --stale=false is no filter
	}
	q = store.Query{Host: f.host, Prefix: f.prefix, Tag: f.tag}
	if f.match != "" {
		if q.Filter, err = larder.MatchURL(f.match); err != nil {
			return q, true, usagef("--match: %w", err)
		}
	}
	if f.stale {
		q.Stale = now
	}
	if f.olderThan > 0 {
		q.Before = now.Add(-time.Duration(f.olderThan))
	}
	return q, given, nil
}
