package goredis_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	driver "github.com/redis/go-redis/v9"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/redis"
	"github.com/larder-go/larder/store/redis/goredis"
)

// TestReleaseIsNotSentAgain loses the answer to it: what is there afterwards is another's.
func TestReleaseIsNotSentAgain(t *testing.T) {
	opts, err := driver.ParseURL(env(t, "REDIS_URL"))
	if err != nil {
		t.Fatal(err)
	}
	prefix := "larder:test-" + strings.ToLower(rand.Text())
	open := func() *redis.Store {
		c := driver.NewClient(opts)
		s, err := goredis.New(c, &redis.Options{Prefix: prefix})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			s.Close()
			c.Close()
		})
		return s
	}
	lease := func(s *redis.Store, holder store.ID, want bool) {
		t.Helper()
		held, err := s.Lease(t.Context(), "key", holder, time.Minute)
		if err != nil || held != want {
			t.Errorf("lease for %v: %v, %v, want %v", holder[0], held, err, want)
		}
	}
	next := open()
	var lose atomic.Bool
	opts.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		return &lossy{Conn: c, lose: &lose, do: func() { lease(next, store.ID{2}, true) }}, err
	}
	first := open()
	lease(first, store.ID{2}, true)
	if err := first.Release(t.Context(), "key", store.ID{2}); err != nil { // the server knows the script from now on
		t.Fatal(err)
	}
	lease(first, store.ID{1}, true)
	lose.Store(true)
	if err := first.Release(t.Context(), "key", store.ID{1}); err == nil {
		t.Error("Release does not tell that its answer was lost")
	}
	lease(next, store.ID{3}, false)
	if err := next.Release(t.Context(), "key", store.ID{2}); err != nil {
		t.Error(err)
	}
}

// lossy is a connection that breaks, once lose is set, in place of the answer to a script, after do.
type lossy struct {
	net.Conn
	lose  *atomic.Bool
	do    func()
	asked bool
	lost  bool
}

func (l *lossy) Write(b []byte) (int, error) {
	l.asked = bytes.Contains(b, []byte("EVALSHA")) || bytes.Contains(b, []byte("evalsha"))
	return l.Conn.Write(b)
}

func (l *lossy) Read(b []byte) (int, error) {
	if l.lost {
		return 0, io.EOF
	}
	n, err := l.Conn.Read(b)
	if l.asked && l.lose.CompareAndSwap(true, false) {
		l.lost = true
		l.do()
		return 0, io.EOF
	}
	return n, err
}
