package recipes

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/proxy"
	"github.com/larder-go/larder/store"
)

func things() error {
	client := new(larder.Cache).Client() // private, bounded, by RFC 9111; or &http.Client{Transport: &larder.Cache{…}}
	resp, err := client.Get("https://api.example.com/v1/things")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(os.Stdout, resp.Body); err != nil { // what is read to its end is stored
		return err
	}
	fmt.Println(larder.Info(resp).Outcome) // miss; the next time: hit
	return nil
}

func withRules(files store.Store) *larder.Cache { // of disk.Open(dir), sqlite.Open(path) …
	return &larder.Cache{
		Store: files,
		Rules: []larder.Rule{
			{Match: "api.example.com/v1/**", TTL: time.Hour, Ignore: larder.Ignore{Query: []string{"utm_*"}}},
			{Match: "search.example.com", Methods: []string{"POST"}, TTL: time.Minute}, // keyed by the body
			{Match: "**.example.net", StaleIfError: 24 * time.Hour},
		},
	}
}

func serveAPI(ctx context.Context, s store.Store) error {
	cache := &larder.Cache{Store: s, Shared: true, Name: "larder", Base: proxy.NewTransport(proxy.TransportOptions{})}
	origin, err := proxy.ParseOrigin("https://api.example.com")
	if err != nil {
		return err
	}
	server := &proxy.Server{Handler: &proxy.Proxy{Cache: cache, Origins: []proxy.Origin{origin}}}
	return server.ListenAndServe(ctx, "127.0.0.1:8080") // until ctx ends
}
