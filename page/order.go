package page

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/larder-go/larder/store"
)

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

// compare compares wall clock times alone, since cursors have no others.
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

// position is the part of a record that the orders look at.
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
		return nil, faultf(http.StatusBadRequest, "after is not a cursor from a list")
	}
	r := &store.Record{ID: p.ID, Size: p.Size, FreshUntil: p.FreshUntil}
	r.URL, r.Received = p.URL, p.Received
	return r, nil
}
