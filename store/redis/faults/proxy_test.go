// Package faults tests what users of a cache see when the network to Redis is slow, breaks or is gone. It is a module of
// its own for the sake of its proxy's dependencies.
package faults

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	random "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	driver "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store/redis"
	"github.com/larder-go/larder/store/redis/goredis"
)

// proxy stands between a store and the server.
type proxy struct {
	t *testing.T
	*toxiproxy.Proxy
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	at := os.Getenv("REDIS_URL")
	if at == "" {
		t.Skip("REDIS_URL is not set: nothing was tested on this server")
	}
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal("REDIS_URL cannot be read")
	}
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	p := &proxy{t, toxiproxy.NewProxy(server, "redis", "127.0.0.1:0", u.Host)}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

// add adds a toxic, and returns what removes it.
func (p *proxy) add(name, kind, stream string, attributes string) (remove func()) {
	p.t.Helper()
	toxic := fmt.Sprintf(`{"name":%q,"type":%q,"stream":%q,"attributes":{%s}}`, name, kind, stream, attributes)
	if _, err := p.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		p.t.Fatal(err)
	}
	return func() { p.Toxics.RemoveToxic(context.Background(), name) }
}

// onEachClient runs run with a store by rueidis, and one by go-redis, behind a proxy each.
func onEachClient(t *testing.T, run func(t *testing.T, p *proxy, s *redis.Store)) {
	t.Run("rueidis", func(t *testing.T) {
		p := newProxy(t)
		s, err := redis.Open(context.Background(), "redis://"+p.Listen, &redis.Options{Prefix: prefix(t)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		run(t, p, s)
	})
	t.Run("go-redis", func(t *testing.T) {
		p := newProxy(t)
		c := driver.NewClient(&driver.Options{
			Addr: p.Listen, ContextTimeoutEnabled: true, DialTimeout: 500 * time.Millisecond, DialerRetries: 1,
		})
		t.Cleanup(func() { c.Close() })
		s, err := goredis.New(c, &redis.Options{Prefix: prefix(t)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		run(t, p, s)
	})
}

// prefix returns a prefix of the test's own, below which all is removed at the end.
func prefix(t *testing.T) string {
	name := "larder:test-" + strings.ToLower(rand.Text())
	opts, err := driver.ParseURL(os.Getenv("REDIS_URL"))
	if err != nil {
		t.Fatal("REDIS_URL cannot be read")
	}
	t.Cleanup(func() {
		c := driver.NewClient(opts)
		defer c.Close()
		ctx := context.Background()
		keys := c.Scan(ctx, 0, name+":*", 1000).Iterator()
		for keys.Next(ctx) {
			c.Unlink(ctx, keys.Val())
		}
		if err := keys.Err(); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return name
}

// user is a client with a cache, and the origin that it asks.
type user struct {
	*testing.T
	cache  *larder.Cache
	origin *httptest.Server
}

func newUser(t *testing.T, s *redis.Store) *user {
	u := &user{T: t, cache: &larder.Cache{Store: s}}
	u.origin = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		w.Write(bodyOf(r.URL.Path))
	}))
	t.Cleanup(u.origin.Close)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := u.cache.Close(ctx); err != nil {
			t.Errorf("background work goes on: %v", err)
		}
	})
	return u
}

// bodyOf returns the body of /SIZE/NAME.
func bodyOf(path string) []byte {
	size, _ := strconv.Atoi(strings.Split(path, "/")[1])
	body := make([]byte, size)
	random.NewChaCha8(sha256.Sum256([]byte(path))).Read(body)
	return body
}

// get asks for a path; whatever happens to the store, the answer must be right.
func (u *user) get(path string) larder.Outcome {
	u.Helper()
	outcome, err := u.try(path)
	if err != nil {
		u.Errorf("%s, a %v: %v", path, outcome, err)
	}
	return outcome
}

var errWrong = errors.New("another body than the origin's")

func (u *user) try(path string) (larder.Outcome, error) {
	resp, err := u.cache.Client().Get(u.origin.URL + path)
	if err != nil {
		return larder.None, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err == nil && !bytes.Equal(got, bodyOf(path)) {
		err = errWrong
	}
	return larder.Info(resp).Outcome, err
}

// eventually waits until a condition of the real network holds.
func (u *user) eventually(what string, holds func() bool) {
	u.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(); {
		if time.Now().After(end) {
			u.Fatalf("not so after 30 s: %s", what)
		}
		<-time.After(20 * time.Millisecond)
	}
}
