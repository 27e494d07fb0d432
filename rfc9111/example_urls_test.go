package rfc9111_test

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/larder-go/larder/rfc9111"
)

func ExampleParseNoVarySearch() {
	v, ok := rfc9111.ParseNoVarySearch([]string{`key-order, params=("utm_source")`})
	fmt.Println(ok)
	fmt.Println(v.Canonical("b=2&utm_source=mail&a=1"))
	fmt.Println(v.Canonical("a=1&b=2"))
	// Output:
	// true
	// a=1&b=2
	// a=1&b=2
}

func ExampleInvalidatedGroups() {
	says := http.Header{"Cache-Group-Invalidation": {`"results", "teams"`}}
	fmt.Println(rfc9111.InvalidatedGroups(&rfc9111.Request{Method: "POST"}, says))
	fmt.Println(rfc9111.InvalidatedGroups(&rfc9111.Request{Method: "GET"}, says))
	// Output:
	// [results teams]
	// []
}

func ExamplePolicy_AsGet() {
	u, err := url.Parse("https://example.com/cart")
	if err != nil {
		panic(err)
	}
	resp := rfc9111.Parse(rfc9111.Response{Method: "POST", Status: http.StatusOK,
		Header: http.Header{"Content-Location": {"/cart"}, "Cache-Control": {"max-age=60"}}})
	fmt.Println(rfc9111.Policy{}.AsGet(&rfc9111.Request{Method: "POST", URL: u}, resp))
	// Output: https://example.com/cart
}
