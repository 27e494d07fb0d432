package tiered

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/memory"
)

func newStore(o *Options) *Store {
	s, err := New(nil, new(memory.Store), o)
	if err != nil {
		panic(err)
	}
	return s
}

func (s *Store) views() (n int) {
	for i := range s.shards {
		n += len(s.shards[i].views)
	}
	return n
}

func TestViewsAreBounded(t *testing.T) {
	s := newStore(&Options{Lifetime: 1000 * time.Hour})
	for i := range 2 * shardCount * maxViews {
		if _, err := s.Lookup(context.Background(), store.Key(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.views(); n > shardCount*maxViews {
		t.Errorf("%d views are kept, want no more than %d", n, shardCount*maxViews)
	}
}

func TestViewsThatEndedAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(&Options{Alone: -1})
		for i := range 100_000 {
			s.Lookup(context.Background(), store.Key(fmt.Sprint(i)))
			time.Sleep(time.Millisecond)
		}
		if n, live := s.views(), int(s.lifetime/time.Millisecond); n > 2*live {
			t.Errorf("%d views are kept where %d can be of use", n, live)
		}
	})
}
