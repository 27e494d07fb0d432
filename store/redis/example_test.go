package redis_test

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store/redis"
)

func ExampleOpen() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s, err := redis.Open(ctx, "redis://localhost:6379/0", &redis.Options{Prefix: "myprogram"})
	if err != nil {
		fmt.Println(err) // redis at localhost:6379: open: nothing listens at 127.0.0.1:6379 (connection refused)
		return
	}
	defer s.Close()
	resp, err := (&larder.Cache{Store: s}).Client().Get("https://example.com/")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(larder.Info(resp).Outcome)
}

// Whatever rueidis can do is set by Configure.
func ExampleOptions_configure() {
	s, err := redis.Open(context.Background(), "redis+cluster://10.0.0.1:6379,10.0.0.2:6379", &redis.Options{
		Near: 16 << 20,
		Configure: func(o *rueidis.ClientOption) {
			o.ClientName = "myprogram"
			o.Dialer.Timeout = time.Second
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
}

func ExampleNew() {
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{"localhost:6379"}, DisableRetry: true, DisableCache: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	s, err := redis.New(c, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
}
