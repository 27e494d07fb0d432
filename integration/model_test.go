package integration

import (
	"testing"

	"github.com/larder-go/larder/internal/model"
	"github.com/larder-go/larder/store"
)

func TestModelOnSQLite(t *testing.T) { model.Run(t, openSQLite) }

func TestModelOnServers(t *testing.T) {
	for kind := range servers {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			needServer(t, kind, dir)
			model.Run(t, func(t *testing.T) store.Store {
				s, err := openStore(kind, dir)
				if err != nil {
					t.Fatal(err)
				}
				closeAtEnd(t, s)
				return s
			})
		})
	}
}
