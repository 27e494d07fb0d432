package page

import (
	"net/http"
	"net/url"
	"strconv"
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
	status string // 404, or 4xx
	state  string // fresh or stale
}

func readFilter(v url.Values) (f filter, err error) {
	f = filter{url: v.Get("url"), text: v.Get("text"), match: v.Get("match"), host: v.Get("host"), tag: v.Get("tag"),
		method: v.Get("method"), status: strings.ToLower(v.Get("status")), state: v.Get("state")}
	if id := v.Get("id"); id != "" {
		if f.id, err = store.ParseID(id); err != nil {
			return f, &fault{http.StatusBadRequest, err.Error()}
		}
	}
	if f.status != "" && !isStatus(f.status) {
		return f, faultf(http.StatusBadRequest, "status is %q, want one such as 404 or 4xx", f.status)
	}
	if f.state != "" && f.state != "fresh" && f.state != "stale" {
		return f, faultf(http.StatusBadRequest, "state is %q, want fresh or stale", f.state)
	}
	if _, err := larder.MatchURL(f.match); err != nil {
		return f, &fault{http.StatusBadRequest, err.Error()}
	}
	return f, nil
}

func isStatus(s string) bool {
	if len(s) != 3 || s[0] < '1' || s[0] > '9' {
		return false
	}
	_, err := strconv.Atoi(s)
	return err == nil || s[1:] == "xx"
}

// query returns what f means at asOf: of what has come since, nothing.
func (f filter) query(asOf time.Time) store.Query {
	q := store.Query{ID: f.id, Prefix: f.url, Host: f.host, Tag: f.tag, Before: asOf}
	if f.state == "stale" {
		q.Stale = asOf
	}
	text := strings.ToLower(f.text)
	match, _ := larder.MatchURL(f.match) // readFilter has looked at it
	q.Filter = func(r *store.Record) bool {
		return (f.url == "" || r.URL == f.url) &&
			(text == "" || strings.Contains(strings.ToLower(r.URL), text)) &&
			(f.match == "" || match(r)) &&
			(f.method == "" || r.Method == f.method) &&
			(f.status == "" || hasStatus(r.Status, f.status)) &&
			(f.state != "fresh" || view.Fresh(r, asOf))
	}
	return q
}

func (f filter) isZero() bool { return f == filter{} }

func hasStatus(status int, want string) bool {
	s := strconv.Itoa(status)
	return s == want || want[1:] == "xx" && s[:1] == want[:1]
}
