package proxy_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/proxy"
)

func ExampleProxy() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, "the origin is asked for ", r.URL)
	}))
	defer api.Close()

	origin, err := proxy.ParseOrigin("/v1=" + api.URL + "/things")
	if err != nil {
		log.Fatal(err)
	}
	p := httptest.NewServer(&proxy.Proxy{Origins: []proxy.Origin{origin}})
	defer p.Close()
	for range 2 {
		resp, err := http.Get(p.URL + "/v1/1")
		if err != nil {
			log.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Println(resp.StatusCode, string(body), "| age", resp.Header["Age"])
	}
	// Output:
	// 200 the origin is asked for /things/1 | age []
	// 200 the origin is asked for /things/1 | age [0]
}

func ExampleServer() {
	api := httptest.NewServer(http.NotFoundHandler())
	defer api.Close()
	origin, err := proxy.ParseOrigin(api.URL)
	if err != nil {
		log.Fatal(err)
	}
	cache := &larder.Cache{Shared: true, Name: "larder", Base: proxy.NewTransport(proxy.TransportOptions{})}
	server := &proxy.Server{Handler: &proxy.Proxy{Cache: cache, Origins: []proxy.Origin{origin}}}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- server.Serve(ctx, l) }()
	resp, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	resp.Body.Close()
	fmt.Println(resp.Status)
	stop() // what is under way comes to its end
	fmt.Println(<-ended)
	// Output:
	// 404 Not Found
	// <nil>
}

func ExampleParseOrigin() {
	for _, s := range []string{"https://api.example.com", "api.local/v1=https://api.example.com/v1", "api.example.com"} {
		o, err := proxy.ParseOrigin(s)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Printf("host %q, prefix %q: %s\n", o.Host, o.Prefix, o.URL)
	}
	// Output:
	// host "", prefix "": https://api.example.com
	// host "api.local", prefix "/v1": https://api.example.com/v1
	// origin "api.example.com": want a URL that begins with http:// or https://, or PREFIX=URL, HOST=URL or HOST/PREFIX=URL
}
