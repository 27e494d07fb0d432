// Package goredis lets a store of package redis use a go-redis client that a program has already: of a single server,
// of a master found by Sentinels, or of a Cluster.
//
//	client := redis.NewClient(&redis.Options{
//		Addr:                  "localhost:6379",
//		ContextTimeoutEnabled: true,
//		DialTimeout:           500 * time.Millisecond,
//		DialerRetries:         1,
//	})
//	s, err := goredis.New(client, nil)
//
// The settings matter when the server cannot be reached. Without them a request may wait for seconds before it goes to
// the origin, since go-redis then does not end a call with its context, and dials again and again. If connections break
// often, MaxRetries: 8 with MinRetryBackoff: -1, as redis.Open has it, saves bodies that break off with the 3 retries
// that are go-redis' default.
//
// The package is a module of its own, so that programs which use package redis alone do not depend on go-redis. It
// depends on rueidis itself, which adds 0.9 MB to a program.
package goredis

import (
	"context"
	"errors"
	"strings"
	"sync"

	driver "github.com/redis/go-redis/v9"

	"github.com/larder-go/larder/store/redis"
)

// New returns a store that uses c, which Close leaves open. Options.Near, Lazy and Configure do not apply. A client
// that reads from replicas may miss what it has just stored.
func New(c driver.UniversalClient, o *redis.Options) (*redis.Store, error) {
	return redis.NewStore(conn{c}, o)
}

// conn is a redis.Conn.
type conn struct{ c driver.UniversalClient }

// Do is described at redis.Conn.
func (c conn) Do(ctx context.Context, cmd redis.Command) (any, error) {
	words := make([]any, 0, len(cmd.Name)+1+len(cmd.Args))
	for _, w := range cmd.Name {
		words = append(words, w)
	}
	if cmd.Key != "" {
		words = append(words, cmd.Key)
	}
	for _, w := range cmd.Args {
		words = append(words, w)
	}
	asked := driver.NewCmd(ctx, words...)
	var sent driver.Cmder = asked
	if cmd.Once {
		sent = once{asked}
	}
	c.c.Process(ctx, sent)
	answer, err := asked.Result()
	if err != nil && !errors.Is(err, driver.Nil) {
		return nil, err
	}
	if pairs, ok := answer.(map[any]any); ok {
		list := make([]any, 0, 2*len(pairs))
		for key, value := range pairs {
			list = append(list, key, value)
		}
		return list, nil
	}
	return answer, nil
}

// once is a command that is not sent again.
type once struct{ *driver.Cmd }

func (once) NoRetry() bool { return true }

// Masters is described at redis.Conn.
func (c conn) Masters(ctx context.Context) ([]redis.Conn, error) {
	var mu sync.Mutex
	var masters []redis.Conn
	add := func(_ context.Context, one *driver.Client) error {
		mu.Lock()
		defer mu.Unlock()
		masters = append(masters, conn{one})
		return nil
	}
	var err error
	switch c := c.c.(type) {
	case *driver.ClusterClient:
		err = c.ForEachMaster(ctx, add)
	case *driver.Ring:
		err = c.ForEachShard(ctx, add)
	default:
		masters = []redis.Conn{conn{c}}
	}
	return masters, err
}

func (c conn) String() string {
	switch c := c.c.(type) {
	case *driver.Client:
		if addr := c.Options().Addr; addr != failover {
			return addr
		}
		return "a master found by Sentinels"
	case *driver.ClusterClient:
		if addrs := c.Options().Addrs; len(addrs) > 0 {
			return strings.Join(addrs, ",")
		}
	}
	return "several servers"
}

// failover is what go-redis has as the address of a master that Sentinels know.
const failover = "FailoverClient"
