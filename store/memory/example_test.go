package memory_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/memory"
)

func Example() {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "pickled gherkins")
	}))
	defer origin.Close()

	client := (&larder.Cache{Store: &memory.Store{MaxBytes: 256 << 20}}).Client()
	for range 2 {
		resp, err := client.Get(origin.URL)
		if err != nil {
			fmt.Println(err)
			return
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Println(larder.Info(resp).Outcome, string(body), err)
	}
	// Output:
	// miss pickled gherkins <nil>
	// hit pickled gherkins <nil>
}

// A store can be used without a Cache, too.
func ExampleStore() {
	var s memory.Store
	ctx := context.Background()
	r := &store.Record{Key: "key", ID: store.NewID(time.Now()), Size: -1}

	w, err := s.Create(ctx, r)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer w.Close()
	if r.Size, err = io.Copy(w, strings.NewReader("pickled gherkins")); err != nil {
		fmt.Println(err)
		return
	}
	if err := w.Commit(r); err != nil {
		fmt.Println(err)
		return
	}

	found, err := s.Lookup(ctx, "key")
	fmt.Printf("%d: %s %v\n", len(found), found[0].Body, err)
	// Output: 1: pickled gherkins <nil>
}
