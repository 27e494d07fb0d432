package redis

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
	"testing"
)

// TestThrong has many ask at once: most of their commands go together.
func TestThrong(t *testing.T) {
	url := env(t, "REDIS_URL")
	opts, named, err := parse(url, Options{Prefix: newPrefix(t, url)})
	if err != nil {
		t.Fatal(err)
	}
	d := newDialer(tuned(opts))
	var writes atomic.Int64
	dial := d.opts.DialCtxFn
	d.opts.DialCtxFn = func(ctx context.Context, addr string, by *net.Dialer, secure *tls.Config) (net.Conn, error) {
		c, err := dial(ctx, addr, by, secure)
		return countedConn{c, &writes}, err
	}
	s, err := newStore(d, &named, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.release = d.close
	defer s.Close()
	r := fill(t, s, "https://example.com/", 1<<10)
	before, hits := writes.Load(), int64(0)
	if err := crowd(func() error { atomic.AddInt64(&hits, 1); return hit(s, r.Key) })(); err != nil {
		t.Fatal(err)
	}
	if n := writes.Load() - before; n > hits/3 {
		t.Errorf("%d writes for %d hits", n, hits)
	}
}

type countedConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countedConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}
