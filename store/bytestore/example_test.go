package bytestore_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store/bytestore"
)

func Example() {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "pickled gherkins")
	}))
	defer origin.Close()

	var mine cache // or diskcache.New(dir), leveldbcache.New(dir) …
	s := bytestore.New(&mine, nil)
	defer s.Close()
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
