package page_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/page"
)

func ExamplePage() {
	cache := &larder.Cache{}
	p := &page.Page{Cache: cache}
	cache.Observe = p.Observe // for the charts
	mux := http.NewServeMux()
	mux.Handle("/_larder/", http.StripPrefix("/_larder", p))
	server := httptest.NewServer(mux) // http.ListenAndServe("127.0.0.1:8090", mux) in a program
	defer server.Close()

	resp, err := http.Get(server.URL + "/_larder/")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status, resp.Header.Get("Content-Type"))
	// Output: 200 OK text/html; charset=utf-8
}
