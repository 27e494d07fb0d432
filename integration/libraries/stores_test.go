package libraries

import (
	"crypto/rand"
	"errors"
	"os"
	"testing"

	"github.com/bartventer/httpcache/store/driver"
	"github.com/bartventer/httpcache/store/fscache"
	"github.com/bartventer/httpcache/store/memcache"
	"github.com/gomodule/redigo/redis"
	"github.com/gregjones/httpcache"
	"github.com/gregjones/httpcache/diskcache"
	"github.com/gregjones/httpcache/leveldbcache"
	rediscache "github.com/gregjones/httpcache/redis"
	"github.com/syndtr/goleveldb/leveldb"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/bytestore"
	"github.com/larder-go/larder/store/storetest"
)

// pooled is a redis.Conn that may be used by many at once, which a connection may not, with keys of its own.
type pooled struct {
	redis.Conn
	pool   *redis.Pool
	prefix string
}

func (p pooled) Do(command string, args ...any) (any, error) {
	c := p.pool.Get()
	defer c.Close()
	args[0] = p.prefix + args[0].(string)
	return c.Do(command, args...)
}

// levelDB closes its database with itself.
type levelDB struct {
	*bytestore.Store
	db *leveldb.DB
}

func (s levelDB) Close() error { return errors.Join(s.Store.Close(), s.db.Close()) }

// TestStoresOfOthers shows that stores that were written for other caches keep larder's contract.
func TestStoresOfOthers(t *testing.T) {
	for name, open := range map[string]func(t *testing.T, dir string) (store.Store, error){
		"gregjones, memory": func(*testing.T, string) (store.Store, error) {
			return bytestore.New(httpcache.NewMemoryCache(), nil), nil
		},
		"gregjones, disk": func(_ *testing.T, dir string) (store.Store, error) {
			return bytestore.New(diskcache.New(dir), nil), nil
		},
		"gregjones, leveldb": func(_ *testing.T, dir string) (store.Store, error) {
			db, err := leveldb.OpenFile(dir, nil)
			return levelDB{bytestore.New(leveldbcache.NewWithDB(db), nil), db}, err
		},
		"gregjones, redis": func(t *testing.T, _ string) (store.Store, error) {
			url := os.Getenv("REDIS_URL")
			if url == "" {
				t.Skip("REDIS_URL is not set: this store was not tested")
			}
			pool := &redis.Pool{MaxActive: 50, Wait: true, Dial: func() (redis.Conn, error) { return redis.DialURL(url) }}
			t.Cleanup(func() { pool.Close() })
			return bytestore.New(rediscache.NewWithClient(pooled{pool: pool, prefix: rand.Text()}), nil), nil
		},
		"bartventer, memcache": func(*testing.T, string) (store.Store, error) {
			return bytestore.NewConn(memcache.Open(), driver.ErrNotExist, nil), nil
		},
		"bartventer, fscache": func(_ *testing.T, dir string) (store.Store, error) {
			c, err := fscache.Open("larder", fscache.WithBaseDir(dir))
			return bytestore.NewConn(c, driver.ErrNotExist, nil), err
		},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, storetest.Kit{Open: func(dir string) (store.Store, error) { return open(t, dir) }})
		})
	}
}
