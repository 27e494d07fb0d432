package view

import (
	"slices"

	"github.com/larder-go/larder/store"
)

// Top keeps the records that come first in an order.
type Top struct {
	Limit   int // 0: all
	Order   func(a, b *store.Record) int
	Records []*store.Record // in order
}

// Add takes r in, if it is among the first.
func (t *Top) Add(r *store.Record) {
	i, _ := slices.BinarySearchFunc(t.Records, r, t.Order)
	if t.Limit > 0 && len(t.Records) == t.Limit {
		if i == t.Limit {
			return
		}
		t.Records = t.Records[:t.Limit-1]
	}
	t.Records = slices.Insert(t.Records, i, r)
}
