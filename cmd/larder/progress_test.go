package main

import (
	"context"
	"testing"

	"github.com/larder-go/larder/store/memory"
)

type counted struct {
	*memory.Store
	times int
}

func (c *counted) Size(ctx context.Context) (int, int64, error) {
	c.times++
	return c.Store.Size(ctx)
}

func TestNothingIsCountedForAProgressThatNobodySees(t *testing.T) {
	s := &counted{Store: new(memory.Store)}
	p := new(progress)
	p.totalOf(t.Context(), s)
	if s.times != 0 {
		t.Errorf("all that is stored was counted %d times", s.times)
	}
}
