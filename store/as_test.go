package store_test

import (
	"testing"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/memory"
)

// plain is a store with the five methods and no more.
type plain struct{ store.Store }

// sweeping is a store with one of the optional interfaces.
type sweeping struct {
	store.Store
	store.Sweeper
}

// pair is a wrapper with all methods of a memory store.
type pair struct {
	*memory.Store
	inner []store.Store
}

func (p pair) Unwrap() []store.Store { return p.inner }

func TestAs(t *testing.T) {
	full := new(memory.Store)
	sweeps := sweeping{full, full}
	wrap := func(inner ...store.Store) store.Store { return pair{full, inner} }
	for what, c := range map[string]struct {
		s              store.Store
		finder, sweeps bool
	}{
		"a store with all":                {full, true, true},
		"a store with one":                {sweeps, false, true},
		"a store with none":               {plain{full}, false, false},
		"around one with all":             {wrap(full), true, true},
		"around one with one":             {wrap(sweeps), false, true},
		"around one with none":            {wrap(plain{full}), false, false},
		"around two with all":             {wrap(full, full), true, true},
		"around two, one with one":        {wrap(full, sweeps), false, true},
		"around two, one with none":       {wrap(full, plain{full}), false, false},
		"around a wrapper with all":       {wrap(wrap(full)), true, true},
		"around a wrapper around one":     {wrap(wrap(sweeps)), false, true},
		"around a wrapper, and another":   {wrap(wrap(full), plain{full}), false, false},
		"with none, around one with all":  {plain{wrap(full)}, false, false},
		"with all, around what has fewer": {wrap(plain{wrap(full)}), false, false},
	} {
		f, finder := store.As[store.Finder](c.s)
		w, sweeper := store.As[store.Sweeper](c.s)
		if finder != c.finder || sweeper != c.sweeps {
			t.Errorf("a store %s: Finder %v, Sweeper %v; want %v, %v", what, finder, sweeper, c.finder, c.sweeps)
		}
		if finder != (f != nil) || sweeper != (w != nil) {
			t.Errorf("a store %s: %v, %v; want nil for what it is not", what, f, w)
		}
	}
}
