package larder_test

import (
	"testing"

	"github.com/larder-go/larder/internal/behaviour"
	"github.com/larder-go/larder/internal/maptable"
	"github.com/larder-go/larder/internal/model"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
	"github.com/larder-go/larder/store/disk"
	"github.com/larder-go/larder/store/memory"
)

func TestBehaviourOnMemory(t *testing.T) { behaviour.Run(t, openMemory) }
func TestBehaviourOnDisk(t *testing.T)   { behaviour.Run(t, openDisk) }
func TestBehaviourOnATable(t *testing.T) { behaviour.Run(t, openTable) }

func TestModelOnMemory(t *testing.T) { model.Run(t, openMemory) }
func TestModelOnDisk(t *testing.T)   { model.Run(t, openDisk) }
func TestModelOnATable(t *testing.T) { model.Run(t, openTable) }

func TestModelOnADistantTable(t *testing.T) {
	model.Run(t, func(t *testing.T) store.Store { return openTable(t).(onTable).Store })
}

func openMemory(*testing.T) store.Store { return new(memory.Store) }

func openDisk(t *testing.T) store.Store {
	s, err := disk.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func openTable(t *testing.T) store.Store {
	s := onTable{chunked.New(new(maptable.Table), nil)}
	t.Cleanup(func() { s.Close() })
	return s
}

// onTable is a chunked store whose table is in memory, and so Local.
type onTable struct{ *chunked.Store }

func (onTable) Local() {}
