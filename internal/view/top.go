package view

import (
	"slices"

	"github.com/larder-go/larder/store"
)

// Top keeps the records that come first in an order.
type Top struct {
	Limit int // 0: all
	Order func(a, b *store.Record) int

	kept []*store.Record // with the first among them; fewer than twice Limit
}

// Add adds r, if it may be among the first.
func (t *Top) Add(r *store.Record) {
	t.kept = append(t.kept, r)
	if t.Limit > 0 && len(t.kept) == 2*t.Limit {
		t.First()
	}
}

// First returns those that come first, in order.
func (t *Top) First() []*store.Record {
	slices.SortFunc(t.kept, t.Order)
	if t.Limit > 0 && len(t.kept) > t.Limit {
		t.kept = slices.Delete(t.kept, t.Limit, len(t.kept))
	}
	return t.kept
}
