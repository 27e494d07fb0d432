package integration

import (
	"path/filepath"
	"testing"

	"github.com/larder-go/larder/internal/behaviour"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/sqlite"
)

func TestBehaviourOnSQLite(t *testing.T) {
	behaviour.Run(t, func(t *testing.T) store.Store {
		s, err := sqlite.Open(filepath.Join(t.TempDir(), "cache.db"), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Errorf("close the store: %v", err)
			}
		})
		return s
	})
}
