package recipes

import (
	"testing"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
	"github.com/larder-go/larder/store/storetest"
)

// contract tests a store of one's own, of a table that open makes for each dir.
func contract(t *testing.T, open func(dir string) (chunked.Table, error)) {
	storetest.Run(t, storetest.Kit{
		Open: func(dir string) (store.Store, error) {
			table, err := open(dir)
			if err != nil {
				return nil, err
			}
			return chunked.New(table, nil), nil
		},
		Persistent: true, // what was committed is there when it is opened again
		Shared:     true, // two processes may use it at once
	})
}
