package page

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/internal/view"
	"github.com/larder-go/larder/store"
)

// filter is which stored responses are meant: those that satisfy every field that is set.
type filter struct {
	id     store.ID
	url    string // this URL, as it is stored
	text   string // is in the URL, whatever the case
	match  string // a pattern; see larder.Rule
	host   string
	tag    string
	method string
	status string // 404, 4xx, or several
	state  string // fresh or stale
}

func readFilter(v url.Values) (f filter, err error) {
	f = filter{url: v.Get("url"), text: v.Get("text"), match: v.Get("match"), host: v.Get("host"), tag: v.Get("tag"),
		method: v.Get("method"), status: v.Get("status"), state: v.Get("state")}
	if id := v.Get("id"); id != "" {
		if f.id, err = store.ParseID(id); err != nil {
			return f, &fault{http.StatusBadRequest, err.Error()}
		}
	}
	if _, err := view.Statuses(f.status); err != nil {
		return f, faultf(http.StatusBadRequest, "status %v", err)
	}
	if f.state != "" && f.state != "fresh" && f.state != "stale" {
		return f, faultf(http.StatusBadRequest, "state is %q, want fresh or stale", f.state)
	}
	if _, err := larder.MatchURL(f.match); err != nil {
		return f, &fault{http.StatusBadRequest, err.Error()}
	}
	return f, nil
}

// query returns what f means at asOf. It leaves out what came later.
func (f filter) query(asOf time.Time) store.Query {
	q := store.Query{ID: f.id, Prefix: f.url, Host: f.host, Tag: f.tag, Before: asOf}
	if f.state == "stale" {
		q.Stale = asOf
	}
	text := strings.ToLower(f.text)
	match, _ := larder.MatchURL(f.match) // readFilter has looked at both
	status, _ := view.Statuses(f.status)
	q.Filter = func(r *store.Record) bool {
		return (f.url == "" || r.URL == f.url) &&
			(text == "" || strings.Contains(strings.ToLower(r.URL), text)) &&
			(f.match == "" || match(r)) &&
			(f.method == "" || r.Method == f.method) &&
			status(r.Status) &&
			(f.state != "fresh" || view.Fresh(r, asOf))
	}
	return q
}

func (f filter) isZero() bool { return f == filter{} }
