package goredis_test

import (
	"fmt"
	"time"

	driver "github.com/redis/go-redis/v9"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store/redis"
	"github.com/larder-go/larder/store/redis/goredis"
)

func ExampleNew() {
	client := driver.NewClient(&driver.Options{
		Addr: "localhost:6379", ContextTimeoutEnabled: true, DialTimeout: 500 * time.Millisecond, DialerRetries: 1,
	})
	defer client.Close()
	s, err := goredis.New(client, &redis.Options{Prefix: "myprogram"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	resp, err := (&larder.Cache{Store: s}).Client().Get("https://example.com/")
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
}
