package dynamodb_test

import (
	"context"
	"log"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	driver "github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store/chunked"
	"github.com/larder-go/larder/store/dynamodb"
)

func Example() {
	ctx := context.Background()
	s, err := dynamodb.Open(ctx, "dynamodb://larder?region=eu-west-1&create=true", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	cache := &larder.Cache{Store: s, StoreTimeout: 500 * time.Millisecond}
	resp, err := cache.Client().Get("https://example.com/")
	if err != nil {
		log.Fatal(err)
	}
	resp.Body.Close()
}

// A client that the program has, and a table that somebody else has made, with other names.
func ExampleNew() {
	cfg, err := config.LoadDefaultConfig(context.Background(), config.WithRegion("eu-west-1"))
	if err != nil {
		log.Fatal(err)
	}
	s, err := dynamodb.New(driver.NewFromConfig(cfg), "responses", &dynamodb.Options{
		Options:    chunked.Options{MaxBody: 64 << 20},
		Consistent: true,
		Attributes: dynamodb.Attributes{Partition: "group", Sort: "item", Expires: "ttl"},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
}
