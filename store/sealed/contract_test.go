package sealed

import (
	"sync"
	"testing"

	"github.com/larder-go/larder/internal/behaviour"
	"github.com/larder-go/larder/internal/damage"
	"github.com/larder-go/larder/internal/maptable"
	"github.com/larder-go/larder/internal/model"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
	"github.com/larder-go/larder/store/disk"
	"github.com/larder-go/larder/store/memory"
	"github.com/larder-go/larder/store/storetest"
)

var _ interface {
	store.Store
	store.Wrapper
	store.Finder
	store.Sweeper
	store.Sizer
	store.Leaser
	store.Local
} = (*Store)(nil)

// around returns a store of what open opens, sealed.
func around(inner store.Store, err error, keys ...Key) (store.Store, error) {
	if err != nil {
		return nil, err
	}
	return New(inner, keys...)
}

var memoryKit = storetest.Kit{
	Open: func(string) (store.Store, error) { return around(new(memory.Store), nil, testKey(1)) },
	OpenLimited: func(_ string, limit int64) (store.Store, error) {
		return around(&memory.Store{MaxBytes: limit}, nil, testKey(1))
	},
	MaxBody: plainSize(32 << 20),
}

// plainSize returns the length of the longest body that fits into size bytes when it is sealed.
func plainSize(size int64) int64 {
	n := size
	for sealedSize(n) > size {
		n--
	}
	return n
}

var diskKit = storetest.Kit{
	Open: func(dir string) (store.Store, error) {
		s, err := disk.Open(dir, nil)
		return around(s, err, testKey(1))
	},
	OpenLimited: func(dir string, limit int64) (store.Store, error) {
		s, err := disk.Open(dir, &disk.Options{MaxBytes: limit})
		return around(s, err, testKey(1))
	},
	Persistent: true,
	Shared:     true,
	DamageHead: func(dir string, r *store.Record) error { return damage.Head(dir, r.ID) },
	DamageBody: func(dir string, r *store.Record) error { return damage.Body(dir, r.ID) },
}

func TestContractOnMemory(t *testing.T) {
	t.Parallel()
	storetest.Run(t, memoryKit)
}

func TestContractOnDisk(t *testing.T) {
	t.Parallel()
	storetest.Run(t, diskKit)
}

// Each handle seals with another key than the one before, and opens what that has sealed. Two of them at once are not
// tested: see the package comment. The damage is such that the inner store finds nothing wrong.
func TestContractWithTwoKeys(t *testing.T) {
	t.Parallel()
	kit := diskKit
	kit.Shared = false
	turns := make(chan []Key, 2)
	turns <- []Key{testKey(1), testKey(2)}
	turns <- []Key{testKey(2), testKey(1)}
	kit.Open = func(dir string) (store.Store, error) {
		keys := <-turns
		turns <- keys
		s, err := disk.Open(dir, nil)
		return around(s, err, keys...)
	}
	alter := func(dir string, r *store.Record, change func(*stolen)) error {
		inner, err := disk.Open(dir, nil)
		if err != nil {
			return err
		}
		defer inner.Close()
		s, err := stealFrom(inner, r.ID)
		if err != nil {
			return err
		}
		change(&s)
		return forge(inner, s)
	}
	kit.DamageHead = func(dir string, r *store.Record) error {
		return alter(dir, r, func(s *stolen) {
			s.Header[headField] = []string{flipped(s.Header[headField][0], 100)}
		})
	}
	kit.DamageBody = func(dir string, r *store.Record) error {
		return alter(dir, r, func(s *stolen) { s.body = flipped(s.body, 70_000) })
	}
	storetest.Run(t, kit)
}

// A table can do all but be local.
func TestContractOnATable(t *testing.T) {
	t.Parallel()
	var tables sync.Map
	storetest.Run(t, storetest.Kit{
		Open: func(dir string) (store.Store, error) {
			table, _ := tables.LoadOrStore(dir, new(maptable.Table))
			return New(chunked.New(table.(*maptable.Table), nil), testKey(1))
		},
		Persistent: true,
		Shared:     true,
	})
}

func TestContractTwice(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Kit{Open: func(string) (store.Store, error) {
		s, err := around(new(memory.Store), nil, testKey(1))
		return around(s, err, testKey(1))
	}})
}

func TestBehaviour(t *testing.T) {
	behaviour.Run(t, func(t *testing.T) store.Store { return seal(t, new(memory.Store), testKey(1), testKey(2)) })
}

func TestModel(t *testing.T) {
	model.Run(t, func(t *testing.T) store.Store { return seal(t, new(memory.Store), testKey(1)) })
}

func BenchmarkContract(b *testing.B) {
	b.Run("memory", func(b *testing.B) { storetest.Benchmark(b, memoryKit) })
	b.Run("disk", func(b *testing.B) { storetest.Benchmark(b, diskKit) })
}
