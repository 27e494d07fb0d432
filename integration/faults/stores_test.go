package faults

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	aws "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	driver "github.com/redis/go-redis/v9"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/examples/postgres"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
	"github.com/larder-go/larder/store/dynamodb"
	"github.com/larder-go/larder/store/mongodb"
	"github.com/larder-go/larder/store/redis"
	"github.com/larder-go/larder/store/redis/goredis"
)

// opened is a store that somebody has to close.
type opened interface {
	store.Store
	Close() error
}

// stores are opened through a proxy to the server that the variable names, in a part of it of the test's own that is
// removed in the end. patient says that calls may wait for the only connection that a server may allow, or try again.
var stores = []struct {
	name, env string
	open      func(t *testing.T, server, space string, patient bool) (*proxy, opened, error)
}{
	{"rueidis", "REDIS_URL", func(t *testing.T, server, space string, _ bool) (*proxy, opened, error) {
		p := newProxy(t, host(t, server))
		s, err := redis.Open(t.Context(), "redis://"+p.Listen, &redis.Options{Prefix: space})
		t.Cleanup(func() { empty(t, server, space) })
		return p, s, err
	}},
	{"go-redis", "REDIS_URL", func(t *testing.T, server, space string, patient bool) (*proxy, opened, error) {
		p := newProxy(t, host(t, server))
		o := &driver.Options{Addr: p.Listen, ContextTimeoutEnabled: true, DialTimeout: 500 * time.Millisecond, DialerRetries: 1}
		if patient {
			o.MaxRetries, o.MinRetryBackoff = 8, -1 // at once, as redis.Open has it; by default 3, and a fourth connection may break as well
		}
		c := driver.NewClient(o)
		t.Cleanup(func() { empty(t, server, space); c.Close() })
		s, err := goredis.New(c, &redis.Options{Prefix: space})
		return p, s, err
	}},
	{"MongoDB", "MONGODB_URI", func(t *testing.T, server, space string, patient bool) (*proxy, opened, error) {
		o := options.Client().ApplyURI(server)
		if o.Validate() != nil || len(o.Hosts) != 1 || !strings.HasPrefix(server, "mongodb://") {
			t.Skip("MONGODB_URI does not name a single server: there can be no proxy before it")
		}
		t.Cleanup(func() {
			ctx := context.Background()
			c, err := mongo.Connect(o)
			if err == nil {
				err = errors.Join(c.Database(space).Drop(ctx), c.Disconnect(ctx))
			}
			if err != nil {
				t.Errorf("clean up: %v", err)
			}
		})
		p := newProxy(t, o.Hosts[0])
		through := options.Client().ApplyURI(server).SetHosts([]string{p.Listen}).SetDirect(true)
		if patient {
			through.SetServerSelectionTimeout(20 * time.Second)
		}
		s, err := mongodb.Open(t.Context(), "mongodb://"+p.Listen+"/"+space, &mongodb.Options{Client: through})
		return p, s, err
	}},
	{"DynamoDB", "DYNAMODB_ENDPOINT", func(t *testing.T, server, space string, _ bool) (*proxy, opened, error) {
		t.Cleanup(func() {
			ctx := context.Background()
			cfg, err := config.LoadDefaultConfig(ctx)
			if err == nil {
				c := aws.NewFromConfig(cfg, func(o *aws.Options) { o.BaseEndpoint = &server })
				_, err = c.DeleteTable(ctx, &aws.DeleteTableInput{TableName: &space})
			}
			if err != nil {
				t.Errorf("clean up: %v", err)
			}
		})
		p := newProxy(t, host(t, server))
		s, err := dynamodb.Open(t.Context(), "dynamodb://"+space+"?create=true&endpoint=http://"+p.Listen, nil)
		return p, s, err
	}},
	{"PostgreSQL", "POSTGRES_URL", func(t *testing.T, server, space string, _ bool) (*proxy, opened, error) {
		p, through, direct := pools(t, server)
		t.Cleanup(func() {
			if err := dropTable(direct, space); err != nil {
				t.Errorf("clean up: %v", err)
			}
		})
		table, err := postgres.New(t.Context(), through, space)
		return p, chunked.New(table, nil), err
	}},
}

// pools are two to the same database: one through a proxy, and one past it.
func pools(t *testing.T, server string) (p *proxy, through, direct *pgxpool.Pool) {
	o, err := pgxpool.ParseConfig(server)
	if err != nil {
		t.Fatal("POSTGRES_URL cannot be read")
	}
	p = newProxy(t, net.JoinHostPort(o.ConnConfig.Host, strconv.Itoa(int(o.ConnConfig.Port))))
	open := func(o *pgxpool.Config) *pgxpool.Pool {
		pool, err := pgxpool.NewWithConfig(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		return pool
	}
	direct = open(o.Copy())
	o.ConnConfig.DialFunc = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, p.Listen)
	}
	return p, open(o), direct
}

func dropTable(pool *pgxpool.Pool, name string) error {
	_, err := pool.Exec(context.Background(), "DROP TABLE "+pgx.Identifier{name}.Sanitize())
	return err
}

func host(t *testing.T, server string) string {
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("%.5s… is no URL", server)
	}
	return u.Host
}

// empty removes what a test has stored in Redis, past the proxy.
func empty(t *testing.T, server, space string) {
	s, err := redis.Open(context.Background(), server, &redis.Options{Prefix: space})
	if err == nil {
		_, err = (&larder.Cache{Store: s}).Purge(context.Background(), store.Query{})
		err = errors.Join(err, s.Close())
	}
	if err != nil {
		t.Errorf("clean up: %v", err)
	}
}

// onEachStore runs run as a subtest on each store whose server is there; beside others where it is patient.
func onEachStore(t *testing.T, patient bool, run func(u *user)) {
	if patient {
		t.Parallel()
	}
	for _, x := range stores {
		t.Run(x.name, func(t *testing.T) {
			server := os.Getenv(x.env)
			if server == "" {
				t.Skipf("%s names no server, so it is not tested", x.env)
			}
			if patient {
				t.Parallel()
			}
			p, s, err := x.open(t, server, "larder-test-"+strings.ToLower(rand.Text()), patient)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			u := newUser(t, p, s)
			u.etag = x.name == "PostgreSQL" // it asks but once, and a body that breaks off can go on from the origin only by that
			run(u)
		})
	}
}
