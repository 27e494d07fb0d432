package mongodb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"

	"go.mongodb.org/mongo-driver/v2/event"
)

// reach knows whether any server can be reached. If none can, the driver waits for its whole time-out before it says
// so, where a cache needs to know at once. A nil *reach knows nothing: calls wait.
type reach struct {
	net.Dialer

	mu      sync.Mutex
	dialled map[server]error // how the last attempt ended
	unknown bool             // the driver has no server that it could use
	out     context.Context  // ended, with the cause, while no server can be reached
	end     context.CancelCauseFunc
	probes  sync.WaitGroup
}

type server struct{ network, address string }

func newReach() *reach {
	r := &reach{dialled: make(map[server]error)}
	r.out, r.end = context.WithCancelCause(context.Background())
	return r
}

// DialContext makes a connection for the driver.
func (r *reach) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := r.Dialer.DialContext(ctx, network, address)
	if !errors.Is(ctx.Err(), context.Canceled) {
		r.mu.Lock()
		r.dialled[server{network, address}] = err
		r.learn()
		r.mu.Unlock()
	}
	return conn, err
}

// probe dials a server to find out whether it can be reached. The driver would do so itself, but up to a second later.
func (r *reach) probe(at server) {
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	if conn, err := r.DialContext(ctx, at.network, at.address); err == nil {
		conn.Close()
	}
}

// monitor returns what the driver calls when the servers change that it knows.
func (r *reach) monitor() *event.ServerMonitor {
	return &event.ServerMonitor{TopologyDescriptionChanged: func(e *event.TopologyDescriptionChangedEvent) {
		servers := e.NewDescription.Servers
		unknown := len(servers) > 0 && !slices.ContainsFunc(servers, func(s event.ServerDescription) bool { return s.Kind != "Unknown" })
		r.mu.Lock()
		defer r.mu.Unlock()
		if unknown && !r.unknown {
			for at := range r.dialled {
				r.probes.Go(func() { r.probe(at) })
			}
		}
		r.unknown = unknown
		r.learn()
	}}
}

// learn ends out if no server can be reached any more, and makes a new one once one can. The mutex is held.
func (r *reach) learn() {
	var fault error
	lost := r.unknown && len(r.dialled) > 0
	for _, err := range r.dialled {
		lost = lost && err != nil
		fault = err
	}
	switch {
	case lost:
		r.end(fmt.Errorf("no server can be reached: %w", fault))
	case r.out.Err() != nil:
		r.out, r.end = context.WithCancelCause(context.Background())
	}
}

// call calls do, whose context ends when no server can be reached any more.
func (r *reach) call(ctx context.Context, do func(context.Context) error) error {
	if r == nil {
		return do(ctx)
	}
	r.mu.Lock()
	out := r.out
	r.mu.Unlock()
	if out.Err() != nil {
		return context.Cause(out)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(out, func() { cancel(context.Cause(out)) })()
	err := do(ctx)
	if lost := context.Cause(out); err != nil && lost != nil && context.Cause(ctx) == lost {
		return lost
	}
	return err
}
