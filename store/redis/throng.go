package redis

import (
	"context"
	"crypto/tls"
	"net"
	"runtime"
	"sync/atomic"

	"github.com/redis/rueidis"
)

// throng counts the calls under way. If there are more than few, a connection yields to other goroutines before it
// writes, so that their commands go with it. Else each command wakes the driver's writer, which sends it alone, and
// that is half of the CPU time of a hit. The busier the program, the longer a yield takes, and the more commands are
// sent together.
type throng struct{ calls atomic.Int32 }

const few = 8

// gather makes the connections of a client do so, unless the program dials them itself, or the driver must know their
// type.
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
