package compressed_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store/compressed"
	"github.com/larder-go/larder/store/memory"
	"github.com/larder-go/larder/store/sealed"
)

func ExampleNew() {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, strings.Repeat("pickled gherkins ", 6000))
	}))
	defer origin.Close()

	cache := &larder.Cache{Store: compressed.New(new(memory.Store))}
	for range 2 {
		resp, err := cache.Client().Get(origin.URL)
		if err != nil {
			fmt.Println(err)
			return
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		fmt.Println(larder.Info(resp).Outcome, n, err)
	}
	_, bytes, err := cache.Size(context.Background())
	fmt.Println(bytes < 10_000, err)
	// Output:
	// miss 102000 <nil>
	// hit 102000 <nil>
	// true <nil>
}

// What is sealed cannot be compressed any more: the compressed store is the outer one.
func ExampleNew_sealed() {
	key, err := sealed.KeyFromBytes([]byte("thirty-two bytes that are random"))
	if err != nil {
		fmt.Println(err)
		return
	}
	files := new(memory.Store) // disk.Open in earnest
	s, err := sealed.New(files, key)
	if err != nil {
		fmt.Println(err)
		return
	}
	cache := &larder.Cache{Store: compressed.New(s)}
	fmt.Println(cache.Size(context.Background()))
	// Output: 0 0 <nil>
}
