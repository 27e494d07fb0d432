// Package maptable is a chunked.Table in a map, as plain as can be, for tests of what is built on tables.
package maptable

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
)

// Table keeps rows in memory. The zero value is empty and ready for use.
type Table struct {
	mu     sync.Mutex
	groups map[string]map[string]chunked.Row
}

var _ chunked.Expirer = (*Table)(nil)

// Put is described at chunked.Table.
func (t *Table) Put(ctx context.Context, r chunked.Row, when chunked.When) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	old, present := t.groups[r.Group][r.Item]
	switch {
	case when == chunked.IfPresent && !present:
		return fmt.Errorf("put %s %s: %w", r.Group, r.Item, store.ErrNotFound)
	case when == chunked.IfAbsent && present && (old.Expires.IsZero() || time.Now().Before(old.Expires)):
		return fmt.Errorf("put %s %s: %w", r.Group, r.Item, chunked.ErrPresent)
	}
	if t.groups == nil {
		t.groups = make(map[string]map[string]chunked.Row)
	}
	if t.groups[r.Group] == nil {
		t.groups[r.Group] = make(map[string]chunked.Row)
	}
	r.Value = bytes.Clone(r.Value)
	t.groups[r.Group][r.Item] = r
	return nil
}

// Get is described at chunked.Table.
func (t *Table) Get(ctx context.Context, group string, items ...string) ([]chunked.Row, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var rows []chunked.Row
	if len(items) == 0 {
		for item, r := range t.groups[group] {
			rows = append(rows, chunked.Row{Item: item, Value: bytes.Clone(r.Value)})
		}
	}
	for _, item := range items {
		if r, ok := t.groups[group][item]; ok {
			rows = append(rows, chunked.Row{Item: item, Value: bytes.Clone(r.Value)})
		}
	}
	return rows, nil
}

// Delete is described at chunked.Table.
func (t *Table) Delete(ctx context.Context, group string, items ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, item := range items {
		delete(t.groups[group], item)
	}
	if len(items) == 0 || len(t.groups[group]) == 0 {
		delete(t.groups, group)
	}
	return nil
}

// Groups is described at chunked.Table.
func (t *Table) Groups(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		t.mu.Lock()
		names := make([]string, 0, len(t.groups))
		for name := range maps.Keys(t.groups) {
			if strings.HasPrefix(name, prefix) {
				names = append(names, name)
			}
		}
		t.mu.Unlock()
		for _, name := range names {
			if err := ctx.Err(); err != nil {
				yield("", err)
				return
			}
			if !yield(name, nil) {
				return
			}
		}
	}
}

// Expire is described at chunked.Expirer.
func (t *Table) Expire(_ context.Context, now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for group, rows := range t.groups {
		maps.DeleteFunc(rows, func(_ string, r chunked.Row) bool { return !r.Expires.IsZero() && r.Expires.Before(now) })
		if len(rows) == 0 {
			delete(t.groups, group)
		}
	}
	return nil
}

// Change replaces the value of a row by what change makes of it, as an accident to a database may.
func (t *Table) Change(group, item string, change func([]byte) []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, ok := t.groups[group][item]
	if !ok {
		return fmt.Errorf("change %s %s: %w", group, item, store.ErrNotFound)
	}
	r.Value = change(bytes.Clone(r.Value))
	t.groups[group][item] = r
	return nil
}

// Len returns the number of rows in the groups that begin with prefix.
func (t *Table) Len(prefix string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for group, rows := range t.groups {
		if strings.HasPrefix(group, prefix) {
			n += len(rows)
		}
	}
	return n
}

// Row returns a row as it was put.
func (t *Table) Row(group, item string) (r chunked.Row, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, ok = t.groups[group][item]
	return r, ok
}
