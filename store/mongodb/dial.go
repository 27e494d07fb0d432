package mongodb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
)

// dialer makes connections, and remembers which servers could not be reached. The driver waits for a server as long as it
// may before it says that there is none; a cache would rather hear it at once.
type dialer struct {
	net.Dialer
	mu   sync.Mutex
	last map[string]error // how the last attempt ended, by address
}

func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.Dialer.DialContext(ctx, network, address)
	if errors.Is(ctx.Err(), context.Canceled) {
		return conn, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last == nil {
		d.last = make(map[string]error)
	}
	d.last[address] = err
	return conn, err
}

// unreachable returns an error if there is no server that could be reached when that was last tried. The driver goes on trying.
func (d *dialer) unreachable() error {
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var err error
	for _, err = range d.last {
		if err == nil {
			return nil
		}
	}
	if err != nil {
		err = fmt.Errorf("no server can be reached: %w", err)
	}
	return err
}
