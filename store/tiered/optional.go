package tiered

import (
	"context"
	"time"

	"github.com/larder-go/larder/store"
)

// sweeper sweeps the back, and the front with it.
type sweeper struct {
	s    *tiers
	back store.Sweeper
}

// Sweep returns how many records it removed from the back.
func (w sweeper) Sweep(ctx context.Context, now time.Time) (int, error) {
	removed, err := w.back.Sweep(ctx, now)
	if front, ok := w.s.front.(store.Sweeper); ok {
		front.Sweep(ctx, now) // what it leaves is not relied on
	}
	w.s.forget()
	return removed, err
}

// likeBack returns s with the optional interfaces that the back has.
func (s *tiers) likeBack() store.Store {
	f, _ := s.back.(store.Finder)
	w, _ := s.back.(store.Sweeper)
	z, _ := s.back.(store.Sizer)
	_, isLocal := s.back.(store.Local)
	type all struct {
		*tiers
		store.Finder
		store.Sweeper
		store.Sizer
	}
	a := all{s, f, sweeper{s, w}, z}
	if !isLocal {
		return a
	}
	return struct {
		all
		local
	}{a, local{}}
}

type local struct{}

func (local) Local() {}
