package page

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/larder-go/larder/internal/view"
	"github.com/larder-go/larder/store"
)

const (
	defaultRows = 50
	mostRows    = 200
	// patience is how long the store is looked through for one answer, and longPatience how long if the user asks for it.
	patience, longPatience = 2 * time.Second, time.Minute
	mostNames              = 100 // hosts and tags that are counted by themselves
	scansAtOnce            = 2
)

// row is what a list tells of a stored response.
type row struct {
	ID         string     `json:"id"`
	Method     string     `json:"method"`
	URL        string     `json:"url"`
	Status     int        `json:"status"`
	Type       string     `json:"type"`
	Size       int64      `json:"size"`
	Age        float64    `json:"age"` // in seconds, by RFC 9111 §4.2.3
	Received   time.Time  `json:"received"`
	Fresh      bool       `json:"fresh"`
	FreshUntil *time.Time `json:"fresh_until"` // null: for ever
	Tags       []string   `json:"tags"`
	Vary       []string   `json:"vary"` // the names of the request fields that select it
}

func newRow(r *store.Record, now time.Time) row {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	out := row{ID: r.ID.String(), Method: r.Method, URL: r.URL, Status: r.Status, Type: strings.ToLower(strings.TrimSpace(kind)), Size: r.Size,
		Age: view.Age(r, now).Seconds(), Received: r.Received.UTC(), Fresh: view.Fresh(r, now),
		Tags: append([]string{}, r.Tags...), Vary: slices.AppendSeq([]string{}, maps.Keys(r.Selecting))}
	slices.Sort(out.Vary)
	if !r.FreshUntil.IsZero() {
		until := r.FreshUntil.UTC()
		out.FreshUntil = &until
	}
	return out
}

// listing is a page of a list, and what can be said of all that is meant.
type listing struct {
	AsOf    time.Time `json:"as_of"` // what came since is left out
	Entries []row     `json:"entries"`
	Next    string    `json:"next"` // the cursor of the next page; "": this is the last one
	Matches int       `json:"matches"`
	Bytes   int64     `json:"bytes"`
	Stale   int       `json:"stale"`
	Damaged int       `json:"damaged"`
	// Whole: all of the store was looked at. If not, there may be more, and they may come before those that are listed.
	Whole bool  `json:"whole"`
	Hosts []tie `json:"hosts"` // with the most matches first
	Tags  []tie `json:"tags"`
}

// tie is how many of the matches have a name in common.
type tie struct {
	Name    string `json:"name"`
	Matches int    `json:"matches"`
	Bytes   int64  `json:"bytes"`
}

// entries lists what matches a filter: the rows that follow a cursor, in an order. A store yields in no order, so it is looked
// through for each page, for as long as patience lasts; no more than the rows of two pages are held.
func (p *Page) entries(w http.ResponseWriter, r *http.Request) error {
	v := r.URL.Query()
	f, err := readFilter(v)
	if err != nil {
		return err
	}
	l, err := readList(v, time.Now())
	if err != nil {
		return err
	}
	leave, err := p.scanning.enter(r.Context())
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(r.Context(), l.patience)
	defer cancel()
	out := listing{AsOf: l.asOf, Whole: true}
	hosts, tags := make(names), make(names)
	top := view.Top{Limit: l.rows + 1, Order: l.order}
	for e, err := range p.Cache.Entries(ctx, f.query(l.asOf)) {
		switch {
		case errors.Is(err, store.ErrCorrupt):
			out.Damaged++
			continue
		case err != nil && ctx.Err() != nil && r.Context().Err() == nil:
			out.Whole = false
			continue // the listing ends
		case err != nil:
			return err
		}
		out.Matches++
		out.Bytes += e.Size
		if !view.Fresh(e, l.asOf) {
			out.Stale++
		}
		hosts.count(store.Host(e.URL), e.Size)
		for _, tag := range e.Tags {
			tags.count(tag, e.Size)
		}
		if l.after == nil || l.order(l.after, e) < 0 {
			top.Add(e)
		}
	}
	first := top.First()
	if len(first) > l.rows {
		first = first[:l.rows]
		out.Next = cursor(first[l.rows-1])
	}
	out.Entries = make([]row, len(first))
	for i, e := range first {
		out.Entries[i] = newRow(e, l.asOf)
	}
	out.Hosts, out.Tags = hosts.ties(), tags.ties()
	return writeJSON(w, out)
}

// list is which part of a list is wanted.
type list struct {
	asOf     time.Time
	order    func(a, b *store.Record) int
	after    *store.Record // the last one of the page before; nil: this is the first
	rows     int
	patience time.Duration
}

// orders say which of two records comes first. No two have the same id.
var orders = map[string]func(a, b *store.Record) int{
	"":      newest,
	"new":   newest,
	"old":   func(a, b *store.Record) int { return newest(b, a) },
	"large": func(a, b *store.Record) int { return cmp.Or(cmp.Compare(b.Size, a.Size), newest(a, b)) },
	"small": func(a, b *store.Record) int { return cmp.Or(cmp.Compare(a.Size, b.Size), newest(a, b)) },
	"url":   func(a, b *store.Record) int { return cmp.Or(cmp.Compare(a.URL, b.URL), newest(a, b)) },
	"fresh": func(a, b *store.Record) int { return cmp.Or(compareEnds(b.FreshUntil, a.FreshUntil), newest(a, b)) },
	"stale": func(a, b *store.Record) int { return cmp.Or(compareEnds(a.FreshUntil, b.FreshUntil), newest(a, b)) },
}

func newest(a, b *store.Record) int {
	return cmp.Or(compare(b.Received, a.Received), slices.Compare(b.ID[:], a.ID[:]))
}

// compare goes by the wall clock alone, since that is what a cursor has.
func compare(a, b time.Time) int { return a.Round(0).Compare(b.Round(0)) }

// compareEnds is time.Time.Compare with zero as the last moment.
func compareEnds(a, b time.Time) int {
	switch {
	case a.IsZero() && b.IsZero():
		return 0
	case a.IsZero():
		return 1
	case b.IsZero():
		return -1
	}
	return compare(a, b)
}

func readList(v map[string][]string, now time.Time) (l list, err error) {
	get := func(name string) string { return strings.Join(v[name], "") }
	l = list{asOf: now, order: orders[get("order")], rows: defaultRows, patience: patience}
	if l.order == nil {
		return l, faultf(http.StatusBadRequest, "order is %q, want new, old, large, small, url, fresh or stale", get("order"))
	}
	if s := get("rows"); s != "" {
		if l.rows, err = strconv.Atoi(s); err != nil || l.rows < 1 || l.rows > mostRows {
			return l, faultf(http.StatusBadRequest, "rows is %q, want a number from 1 to %d", s, mostRows)
		}
	}
	if l.asOf, err = readTime(get("as_of"), now); err != nil {
		return l, err
	}
	if s := get("after"); s != "" {
		if l.after, err = readCursor(s); err != nil {
			return l, err
		}
	}
	if get("patient") != "" {
		l.patience = longPatience
	}
	return l, nil
}

func readTime(s string, otherwise time.Time) (time.Time, error) {
	if s == "" {
		return otherwise, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return t, faultf(http.StatusBadRequest, "as_of is %q, want the time that a list told", s)
	}
	return t, nil
}

// position is what of a record the orders look at.
type position struct {
	ID                   store.ID
	URL                  string
	Size                 int64
	Received, FreshUntil time.Time
}

func cursor(r *store.Record) string {
	b, err := json.Marshal(position{r.ID, r.URL, r.Size, r.Received, r.FreshUntil})
	if err != nil {
		return "" // a year beyond 9999: the list ends there
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func readCursor(s string) (*store.Record, error) {
	var p position
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil {
		return nil, faultf(http.StatusBadRequest, "after is no cursor that a list told")
	}
	r := &store.Record{ID: p.ID, Size: p.Size, FreshUntil: p.FreshUntil}
	r.URL, r.Received = p.URL, p.Received
	return r, nil
}

// names counts by name: those that come first, up to mostNames.
type names map[string]*tie

func (n names) count(name string, bytes int64) {
	t := n[name]
	if t == nil {
		if len(n) == mostNames {
			return
		}
		t = &tie{Name: name}
		n[name] = t
	}
	t.Matches++
	t.Bytes += bytes
}

func (n names) ties() []tie {
	out := make([]tie, 0, len(n))
	for _, t := range n {
		out = append(out, *t)
	}
	slices.SortFunc(out, func(a, b tie) int {
		return cmp.Or(cmp.Compare(b.Matches, a.Matches), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// places bounds how many do something at once; the zero value has scansAtOnce of them.
type places struct {
	once sync.Once
	free chan struct{}
}

// enter waits for a place until ctx ends. The caller must leave it.
func (p *places) enter(ctx context.Context) (leave func(), err error) {
	p.once.Do(func() { p.free = make(chan struct{}, scansAtOnce) })
	select {
	case p.free <- struct{}{}:
		return func() { <-p.free }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
