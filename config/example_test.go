package config_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/config"
	"github.com/larder-go/larder/proxy"
)

// A program's cache, as a file says. Stores that need a driver come from config.Drivers.
func Example() {
	ctx := context.Background()
	c, err := config.Parse("larder.yaml", []byte("store: {location: 'memory:'}\nrules: [{match: api.example.com, ttl: 1h}]\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	cache, end, err := c.OpenCache(ctx, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer end(ctx)
	fmt.Println(cache.Rules[0].Match, cache.Rules[0].TTL)
	// Output: api.example.com 1h0m0s
}

func ExampleParse() {
	_, err := config.Parse("larder.yaml", []byte("rules:\n  - match: api.example.com\n    ttl: 1 hour\n"))
	fmt.Println(err)
	// Output: larder.yaml:3:10: rules[0].ttl: "1 hour": want a positive duration such as 90s, 15m, 2h or 7d, or forever or never
}

func ExampleLoad() {
	c, err := config.Load("testdata/small.yaml")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.File(), len(c.Rules))
	// Output: testdata/small.yaml 1
}

func ExampleConfig_Proxy() {
	c, err := config.Parse("larder.yaml", []byte("serve: {origins: ['https://api.example.com']}"))
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := c.Proxy(&larder.Cache{Base: c.Transport(), Shared: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	var server *proxy.Server
	if server, err = c.Server(p); err != nil {
		fmt.Println(err)
		return
	}
	address, err := c.Serve.Address()
	fmt.Println(server.Handler == p, p.Origins[0], address, err) // server.ListenAndServe(ctx, address) in a program
	// Output: true https://api.example.com 127.0.0.1:8080 <nil>
}

func ExampleConfig_YAML() {
	c, err := config.Parse("larder.yaml", []byte("store: {location: 'redis://me:s3cret@host/0'}"))
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := c.YAML()
	fmt.Print(strings.TrimSpace(string(text)), err, "\n")
	// Output:
	// store:
	//   location: redis://me:REDACTED@host/0<nil>
}

func ExampleParseLocation() {
	at, err := config.ParseLocation("sqlite:/var/cache/x.sqlite?max-bytes=2GiB")
	fmt.Println(at, at.MaxBytes, err)
	// Output: sqlite:/var/cache/x.sqlite 2147483648 <nil>
}
