package store

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// Query selects records: those that satisfy every field that is set. The zero Query selects all.
type Query struct {
	Key    Key       // this key
	ID     ID        // this one record
	URL    string    // this URL, in every variant, method and partition
	Prefix string    // URLs that begin with it
	Host   string    // URLs of this host, with its port if it is not the default one
	Tag    string    // records with this tag
	Stale  time.Time // FreshUntil is set and before this
	Ended  time.Time // KeepUntil is set and before this
	Before time.Time // received before this

	// Filter, if set, must return true as well. It sees the record without its body.
	Filter func(*Record) bool

	Limit int // stop after so many; 0: no limit. Match does not look at it
}

// Match reports whether q selects r.
func (q *Query) Match(r *Record) bool {
	return (q.Key == "" || r.Key == q.Key) &&
		(q.ID == ID{} || r.ID == q.ID) &&
		(q.URL == "" || r.URL == q.URL) &&
		strings.HasPrefix(r.URL, q.Prefix) &&
		(q.Host == "" || strings.EqualFold(Host(r.URL), q.Host)) &&
		(q.Tag == "" || slices.Contains(r.Tags, q.Tag)) &&
		(q.Stale.IsZero() || !r.FreshUntil.IsZero() && r.FreshUntil.Before(q.Stale)) &&
		(q.Ended.IsZero() || !r.KeepUntil.IsZero() && r.KeepUntil.Before(q.Ended)) &&
		(q.Before.IsZero() || r.Received.Before(q.Before)) &&
		(q.Filter == nil || q.Filter(r))
}

// Host returns the host of a record's URL, with its port if it has one; "" if there is no host.
func Host(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return u.Host
}
