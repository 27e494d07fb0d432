package redis

import (
	"context"
	"crypto/tls"
	"net"
	"runtime"
	"sync/atomic"

	"github.com/redis/rueidis"
)

// throng is how many calls are under way. Where they are more than few, a connection lets all who can run do so before
// it writes: else each command wakes the driver's writer, which sends it by itself, and that is half of the CPU that a
// hit takes. What a connection waits for is longer where the program has no CPU to spare, so that fewer calls are sent
// as they come.
type throng struct{ calls atomic.Int32 }

const few = 8

// gather makes the connections of a client do so, unless somebody else makes them, or they must be what the driver
// knows.
func (t *throng) gather(opts *rueidis.ClientOption) {
	if opts.DialCtxFn != nil || opts.DialFn != nil || opts.DisableTCPNoDelay {
		return
	}
	opts.DialCtxFn = func(ctx context.Context, addr string, d *net.Dialer, secure *tls.Config) (net.Conn, error) {
		dial := d.DialContext
		if secure != nil {
			dial = (&tls.Dialer{NetDialer: d, Config: secure}).DialContext
		}
		conn, err := dial(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		return throngedConn{conn, t}, nil
	}
}

type throngedConn struct {
	net.Conn
	throng *throng
}

func (c throngedConn) Write(p []byte) (int, error) {
	if c.throng.calls.Load() > few {
		runtime.Gosched()
	}
	return c.Conn.Write(p)
}
