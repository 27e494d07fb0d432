package storetest_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/memory"
	"github.com/larder-go/larder/store/storetest"
)

func ExampleCheck() {
	err := storetest.Check(storetest.Kit{
		Open:       func(string) (store.Store, error) { return &memory.Store{MaxBytes: 80 << 20}, nil },
		Persistent: true, // which is not so
	})
	var failure *storetest.Failure
	if errors.As(err, &failure) {
		fmt.Println(failure.Case)
	}
	// Output:
	// records survive closing and opening
}

// In the tests of a store of one's own, one case is run as a subtest for each promise of the contract.
func ExampleRun() {
	_ = func(t *testing.T) {
		storetest.Run(t, storetest.Kit{Open: func(dir string) (store.Store, error) { return new(memory.Store), nil }})
	}
}
