package memory

import (
	"testing"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/storetest"
)

func kit() storetest.Kit {
	return storetest.Kit{
		Open:    func(string) (store.Store, error) { return new(Store), nil },
		MaxBody: defaultMaxBytes / 2,
		OpenLimited: func(_ string, limit int64) (store.Store, error) {
			return &Store{MaxBytes: limit}, nil
		},
	}
}

func TestContract(t *testing.T) { storetest.Run(t, kit()) }

func BenchmarkStore(b *testing.B) { storetest.Benchmark(b, kit()) }
