package tiered_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store/disk"
	"github.com/larder-go/larder/store/memory"
	"github.com/larder-go/larder/store/tiered"
)

func ExampleNew() {
	dir, err := os.MkdirTemp("", "larder-example-") // os.UserCacheDir is the place in earnest
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "pickled gherkins")
	}))
	defer origin.Close()

	files, err := disk.Open(dir, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := tiered.New(&memory.Store{MaxBytes: 256 << 20}, files, &tiered.Options{Lifetime: 5 * time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close() // and the files
	client := (&larder.Cache{Store: s}).Client()
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
