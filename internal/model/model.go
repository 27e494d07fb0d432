// Package model compares a larder.Cache with a model of what RFC 9111 and larder promise, on random sequences of
// requests, changes at the origin, faults and steps of time. [Run] does it on one store.
//
// The model ([ideal]) is a second reading of the standard: a list of all that the origin ever said, looked through from
// end to end for each request. It is told what the cache asked the origin, and says whether that was right, and what
// the caller must get and the store must hold now. Where the standard leaves several responses to choose from, each is
// right.
package model

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

var (
	duration = flag.Duration("model", 3*time.Second, "how long the model test goes on, on each store")
	firstly  = flag.Uint64("model.seed", 1, "the seed of the first sequence of the model test; 0: something new")
)

// Run compares a cache on a store from open with the model, for as long as -model says. Nothing else may use the store.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	on := open(t)
	seed := *firstly
	if seed == 0 {
		seed = rand.Uint64N(1 << 40)
	}
	larderItself := func(c *larder.Cache) http.RoundTripper { return c }
	begun, n := time.Now(), 0
	for ; n == 0 || time.Since(begun) < *duration; n++ {
		if err := trial(seed+uint64(n), on, larderItself); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d sequences, from seed %d on", n, seed)
}

// maxShrink bounds how long a failure is cut down.
const maxShrink = time.Minute

// trial plays the sequence of a seed, and tells of the shortest part of it that fails, if it does.
func trial(seed uint64, on store.Store, subject subject) error {
	s := generate(seed)
	at, err := play(s, on, subject)
	if err == nil {
		return nil
	}
	if at < 0 {
		return fmt.Errorf("seed %d: %w", seed, err)
	}
	enough := time.Now().Add(maxShrink) // on a slow store
	s = shrink(s, func(s sequence) (int, bool) {
		if time.Now().After(enough) {
			return 0, false
		}
		at, err := play(s, on, subject)
		return at, err != nil && at >= 0
	})
	if at, err = play(s, on, subject); err == nil {
		return fmt.Errorf("seed %d failed, and then did not any more", seed)
	}
	return fmt.Errorf("seed %d (replay it with -model.seed=%d -model=1ns), cut down to what fails, in a %v\nstep %d: %w",
		seed, seed, s, at+1, err)
}
