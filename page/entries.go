package page

import (
	"cmp"
	"context"
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
	// patience bounds one look through the store, and longPatience one for a user who asks for all.
	patience, longPatience = 2 * time.Second, time.Minute
	mostNames              = 100 // hosts and tags that are counted by themselves
	scansAtOnce            = 2
)

// row is a stored response in a list.
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
	e := view.NewEntry(r, now)
	out := row{ID: e.ID, Method: e.Method, URL: e.URL, Status: e.Status, Type: strings.ToLower(strings.TrimSpace(kind)), Size: e.Size,
		Age: e.Age, Received: e.Received, Fresh: e.Fresh, FreshUntil: e.FreshUntil,
		Tags: append([]string{}, r.Tags...), Vary: slices.AppendSeq([]string{}, maps.Keys(r.Selecting))}
	slices.Sort(out.Vary)
	return out
}

// listing is a page of a list, with the figures of all that matches.
type listing struct {
	AsOf    time.Time `json:"as_of"` // what came later is left out
	Entries []row     `json:"entries"`
	Next    string    `json:"next"` // the cursor of the next page; "": this is the last one
	Matches int       `json:"matches"`
	Bytes   int64     `json:"bytes"`
	Stale   int       `json:"stale"`
	Damaged int       `json:"damaged"`
	// Whole is false if not all of the store was looked at: there may be more, even before those that are listed.
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

// entries lists what matches a filter: the rows that follow a cursor, in an order.
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
	out, err := p.scan(r.Context(), f, l)
	if err != nil {
		return err
	}
	return writeJSON(w, out)
}

// scan looks through the store for a page of a list, within l.patience. A store yields in no order, so each page takes
// a scan of its own. It holds no more than the rows of two pages.
func (p *Page) scan(ctx context.Context, f filter, l list) (*listing, error) {
	patient, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	out := &listing{AsOf: l.asOf, Whole: true, Entries: []row{}}
	hosts, tags := make(names), make(names)
	top := view.Top{Limit: l.rows + 1, Order: l.order}
	for e, err := range p.Cache.Entries(patient, f.query(l.asOf)) {
		switch {
		case errors.Is(err, store.ErrCorrupt):
			out.Damaged++
			continue
		case err != nil && patient.Err() != nil && ctx.Err() == nil:
			out.Whole = false
			continue // the listing ends
		case err != nil:
			return nil, err
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
	for _, e := range first {
		out.Entries = append(out.Entries, newRow(e, l.asOf))
	}
	out.Hosts, out.Tags = hosts.ties(), tags.ties()
	return out, nil
}

// list is which part of a list is wanted.
type list struct {
	asOf     time.Time
	order    func(a, b *store.Record) int
	after    *store.Record // the last one of the page before; nil: this is the first
	rows     int
	patience time.Duration
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
		return t, faultf(http.StatusBadRequest, "as_of is %q, want the time from a list", s)
	}
	return t, nil
}

// names counts matches by name, for the first mostNames names.
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

// places limits how many scan at once: scansAtOnce. The zero value is ready.
type places struct {
	once sync.Once
	free chan struct{}
}

// enter waits for a place until ctx ends. The caller must call leave.
func (p *places) enter(ctx context.Context) (leave func(), err error) {
	p.once.Do(func() { p.free = make(chan struct{}, scansAtOnce) })
	select {
	case p.free <- struct{}{}:
		return func() { <-p.free }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
