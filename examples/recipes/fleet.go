package recipes

import (
	"context"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store/redis"
	"github.com/larder-go/larder/store/tiered"
)

// fleet returns a cache that many machines share: in Redis, with memory in front that is at most two seconds behind,
// and one of them asking the origin for all. A Redis that is down when the program starts, or later, costs hits and no
// request.
func fleet(ctx context.Context, url string) (cache *larder.Cache, end func(context.Context) error, err error) {
	shared, err := redis.Open(ctx, url, &redis.Options{Lazy: true})
	if err != nil {
		return nil, nil, err
	}
	both, err := tiered.New(nil, shared, nil)
	if err != nil {
		shared.Close()
		return nil, nil, err
	}
	cache = &larder.Cache{Store: both, LeaseTime: 10 * time.Second}
	end = func(ctx context.Context) error {
		cache.Close(ctx)
		return shared.Close()
	}
	return cache, end, nil
}
