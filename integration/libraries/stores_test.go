package libraries

import (
	"testing"

	"github.com/bartventer/httpcache/store/driver"
	"github.com/bartventer/httpcache/store/memcache"
	"github.com/gregjones/httpcache"
	"github.com/gregjones/httpcache/diskcache"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/bytestore"
	"github.com/larder-go/larder/store/storetest"
)

// TestStoresOfOthers shows that stores that were written for other caches keep larder's contract.
func TestStoresOfOthers(t *testing.T) {
	for name, open := range map[string]func(dir string) store.Store{
		"gregjones, memory":    func(string) store.Store { return bytestore.New(httpcache.NewMemoryCache(), nil) },
		"gregjones, disk":      func(dir string) store.Store { return bytestore.New(diskcache.New(dir), nil) },
		"bartventer, memcache": func(string) store.Store { return bytestore.NewConn(memcache.Open(), driver.ErrNotExist, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, storetest.Kit{Open: func(dir string) (store.Store, error) { return open(dir), nil }})
		})
	}
}
