package tiered_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/larder-go/larder/internal/behaviour"
	"github.com/larder-go/larder/internal/maptable"
	"github.com/larder-go/larder/internal/model"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
	"github.com/larder-go/larder/store/disk"
	"github.com/larder-go/larder/store/memory"
	"github.com/larder-go/larder/store/storetest"
	"github.com/larder-go/larder/store/tiered"
)

func TestContract(t *testing.T) {
	t.Run("over memory", func(t *testing.T) {
		t.Parallel()
		storetest.Run(t, storetest.Kit{
			Open: func(string) (store.Store, error) { return tiered.New(nil, new(memory.Store), nil) },
			OpenLimited: func(_ string, limit int64) (store.Store, error) {
				return tiered.New(nil, &memory.Store{MaxBytes: limit}, nil)
			},
			MaxBody: 32 << 20,
		})
	})
	t.Run("over memory, with a front that holds little", func(t *testing.T) {
		t.Parallel()
		storetest.Run(t, storetest.Kit{Open: func(string) (store.Store, error) {
			return tiered.New(&memory.Store{MaxBytes: 20_000}, new(memory.Store), nil)
		}})
	})
	t.Run("with others' turns in the midst of it all", func(t *testing.T) {
		t.Parallel()
		open := func(back *between) (store.Store, error) {
			front := inBetween()
			for _, b := range []*between{front, back} {
				b.set(func(_ string, do func() error) error {
					giveWay()
					defer giveWay()
					return do()
				})
			}
			return tiered.New(front, back, nil)
		}
		storetest.Run(t, storetest.Kit{
			Open: func(string) (store.Store, error) { return open(inBetween()) },
			OpenLimited: func(_ string, limit int64) (store.Store, error) {
				back := inBetween()
				back.MaxBytes = limit
				return open(back)
			},
		})
	})
	t.Run("over a table", func(t *testing.T) {
		t.Parallel()
		storetest.Run(t, storetest.Kit{Open: func(string) (store.Store, error) {
			return tiered.New(nil, chunked.New(new(maptable.Table), nil), nil)
		}})
	})
	t.Run("over disk", func(t *testing.T) {
		t.Parallel()
		storetest.Run(t, onDisk(nil))
	})
	t.Run("over disk, asked every time", func(t *testing.T) {
		t.Parallel()
		kit := onDisk(&tiered.Options{Lifetime: -1})
		kit.Shared = true // what others change is seen at once
		kit.DamageHead = damageHead
		storetest.Run(t, kit)
	})
}

// giveWay lets others go first, once, several times or not at all.
func giveWay() {
	for range rand.IntN(8) {
		runtime.Gosched()
	}
}

func onDisk(o *tiered.Options) storetest.Kit {
	open := func(dir string, limit int64) (store.Store, error) {
		d, err := disk.Open(dir, &disk.Options{MaxBytes: limit})
		if err != nil {
			return nil, err
		}
		return tiered.New(nil, d, o)
	}
	return storetest.Kit{
		Open:        func(dir string) (store.Store, error) { return open(dir, 0) },
		OpenLimited: open,
		Persistent:  true,
	}
}

// damageHead inverts a byte of the only head file of r.
func damageHead(dir string, r *store.Record) error {
	paths, err := filepath.Glob(filepath.Join(dir, "v1", "*", "*", r.ID.String()+"*.head"))
	if err != nil || len(paths) != 1 {
		return os.ErrNotExist
	}
	b, err := os.ReadFile(paths[0])
	if err != nil {
		return err
	}
	b[60] ^= 0xff
	return os.WriteFile(paths[0], b, 0o600)
}

func TestBehaviour(t *testing.T) {
	behaviour.Run(t, func(t *testing.T) store.Store {
		return open(t, nil, onTable{chunked.New(new(maptable.Table), nil)}, nil)
	})
}

func TestModel(t *testing.T) {
	model.Run(t, func(t *testing.T) store.Store { return open(t, nil, chunked.New(new(maptable.Table), nil), nil) })
}

// onTable is a chunked store whose table is in memory, and so Local.
type onTable struct{ *chunked.Store }

func (onTable) Local() {}

// open opens a store that is closed, with those it is made of, when the test is done.
func open(t testing.TB, front, back store.Store, o *tiered.Options) *tiered.Store {
	t.Helper()
	s, err := tiered.New(front, back, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return s
}

func openDisk(t testing.TB, dir string) *disk.Store {
	t.Helper()
	d, err := disk.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() }) // once more, where it is in a store that is closed
	return d
}
