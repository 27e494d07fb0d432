//go:build !race

package tiered_test

import (
	"context"
	"testing"

	"github.com/larder-go/larder/store/memory"
)

func TestHitAllocatesNothing(t *testing.T) {
	s := open(t, nil, new(memory.Store), nil)
	put(t, s, "key", "one")
	ctx := context.Background()
	if n := testing.AllocsPerRun(1000, func() { s.Lookup(ctx, "key") }); n != 0 {
		t.Errorf("a hit makes %v allocations, want none", n)
	}
}
