package storetest_test

import (
	"errors"
	"fmt"

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
