package otellarder_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store/memory"
)

// slow is a store that reads all that it has to count it.
type slow struct {
	*memory.Store
	counts int
}

func (s *slow) Size(ctx context.Context) (int, int64, error) {
	s.counts++
	time.Sleep(time.Second)
	return s.Store.Size(ctx)
}

// TestASlowStoreIsNotCountedForEachScrape shows that the store has a hundred times as long to itself.
func TestASlowStoreIsNotCountedForEachScrape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{Store: new(memory.Store)}
		x := instrument(t, &larder.Cache{Store: s})
		for range 20 { // in five minutes
			if _, told := x.metrics()["larder.store.usage{}"]; !told {
				t.Error("what the store holds is not told")
			}
			time.Sleep(15 * time.Second)
		}
		if s.counts != 3 {
			t.Errorf("the store was counted %d times, want 3", s.counts)
		}
	})
}
