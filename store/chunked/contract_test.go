package chunked_test

import (
	"sync"
	"testing"

	"github.com/larder-go/larder/internal/maptable"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
	"github.com/larder-go/larder/store/storetest"
)

// tables are databases named by directories.
type tables struct{ m sync.Map }

func (ts *tables) at(dir string) *maptable.Table {
	t, _ := ts.m.LoadOrStore(dir, new(maptable.Table))
	return t.(*maptable.Table)
}

func TestContract(t *testing.T) {
	for name, o := range map[string]*chunked.Options{
		"defaults":                nil,
		"many pieces, one a time": {Chunk: 32 << 10, Parallel: 1},
		"many pieces at once":     {Chunk: 32 << 10, Parallel: 8},
	} {
		t.Run(name, func(t *testing.T) {
			var ts tables
			damage := func(dir, group, item string) error {
				return ts.at(dir).Change(group, item, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
			}
			storetest.Run(t, storetest.Kit{
				Open:       func(dir string) (store.Store, error) { return chunked.New(ts.at(dir), o), nil },
				Persistent: true,
				Shared:     true,
				DamageHead: func(dir string, r *store.Record) error {
					return damage(dir, chunked.RecordGroup(r.Key), r.ID.String())
				},
				DamageBody: func(dir string, r *store.Record) error {
					return damage(dir, chunked.BodyGroup(r.Key, r.ID), "00000000")
				},
			})
		})
	}
	t.Run("with a limit", func(t *testing.T) {
		var ts tables
		storetest.Run(t, storetest.Kit{
			Open: func(dir string) (store.Store, error) {
				return chunked.New(ts.at(dir), &chunked.Options{MaxBody: 1 << 20}), nil
			},
			MaxBody: 1 << 20,
		})
	})
}
