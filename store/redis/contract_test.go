package redis_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/redis/rueidis"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/redis"
	"github.com/larder-go/larder/store/storetest"
)

func TestContract(t *testing.T) {
	url := os.Getenv("REDIS_URL")
	if url == "" { t.Skip("REDIS_URL") }
	storetest.Run(t, storetest.Kit{
		Open: func(dir string) (store.Store, error) {
			return redis.Open(context.Background(), url, &redis.Options{Prefix: dir, MaxBody: -1})
		},
		Persistent: true,
		Shared: true,
	})
	_ = rueidis.ErrClosing
	fmt.Sprint()
}
