package redis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/larder-go/larder/store/chunked"
)

// client is a Conn by rueidis.
type client struct{ rueidis.Client }

// Do is described at Conn.
func (c client) Do(ctx context.Context, cmd Command) (any, error) {
	m, err := c.ask(ctx, cmd)
	if err != nil {
		return nil, err
	}
	return answer(&m)
}

// hash is described at hasher.
func (c client) hash(ctx context.Context, key string) ([]chunked.Row, error) {
	m, err := c.ask(ctx, Command{Name: hgetall, Key: key, Read: true})
	if err != nil {
		return nil, err
	}
	if !m.IsArray() { // in RESP3 it is a map
		return hashRows(answer(&m))
	}
	fields, _ := m.ToArray()
	rows := make([]chunked.Row, len(fields)/2)
	for i := range rows {
		if rows[i].Item, err = fields[2*i].ToString(); err != nil {
			return nil, err
		}
		value, err := fields[2*i+1].AsBytes()
		if err != nil {
			return nil, err
		}
		rows[i].Value = unseal(value)
	}
	return rows, nil
}

// ask returns the server's answer, which may be nil.
func (c client) ask(ctx context.Context, cmd Command) (m rueidis.RedisMessage, err error) {
	// A connection is made under the context of the call that needs it first. If that context ends, the other calls
	// that wait for the connection fail as cancelled, too, before anything was sent.
	for range 3 {
		m, err = c.Client.Do(ctx, c.build(cmd)).ToMessage()
		if !errors.Is(err, context.Canceled) || ctx.Err() != nil {
			break
		}
	}
	if rueidis.IsRedisNil(err) {
		err = nil
	}
	return m, err
}

// build returns cmd pinned, so that the driver does not reuse its memory: when it repeats a command because a
// connection broke, the writer of that connection may still read the command after another connection has answered.
func (c client) build(cmd Command) rueidis.Completed {
	words := c.B().Arbitrary(cmd.Name...)
	if cmd.Key != "" {
		words = words.Keys(cmd.Key)
	}
	words = words.Args(cmd.Args...)
	switch {
	case cmd.Read:
		return words.ReadOnly().Pin() // so it is retryable, too
	case cmd.Once:
		return words.Build().Pin()
	}
	return words.Build().ToRetryable().Pin()
}

// answer returns m as Conn describes it.
func answer(m *rueidis.RedisMessage) (any, error) {
	switch {
	case m.IsNil():
		return nil, nil
	case m.IsString():
		return m.AsBytes()
	case m.IsArray():
		values, err := m.ToArray()
		list := make([]any, len(values))
		for i := 0; err == nil && i < len(values); i++ {
			list[i], err = answer(&values[i])
		}
		return list, err
	case m.IsMap():
		pairs, err := m.ToMap()
		list := make([]any, 0, 2*len(pairs))
		for key, value := range pairs {
			if err != nil {
				break
			}
			var v any
			v, err = answer(&value)
			list = append(list, key, v)
		}
		return list, err
	}
	return m.ToAny()
}

// Masters is described at Conn.
func (c client) Masters(ctx context.Context) ([]Conn, error) {
	if c.Mode() != rueidis.ClientModeCluster {
		return []Conn{c}, nil
	}
	nodes := c.Nodes() // only those that were up when the client last looked
	addrs, err := masters(ctx, nodes)
	if err != nil {
		return nil, err
	}
	var all []Conn
	for _, addr := range addrs {
		if nodes[addr] == nil {
			return nil, fmt.Errorf("the master at %s cannot be reached", addr)
		}
		all = append(all, client{nodes[addr]})
	}
	return all, nil
}

// masters returns the addresses of the servers that have slots, as told by the first of nodes that answers.
func masters(ctx context.Context, nodes map[string]rueidis.Client) (addrs []string, err error) {
	var ranges []any
	var asked string
	for addr, node := range nodes {
		asked = addr
		ranges, err = elements(client{node}.Do(ctx, Command{Name: []string{"CLUSTER", "SLOTS"}, Read: true}))
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	for _, r := range ranges { // first slot, last slot, master, its replicas; each begins with host and port
		slots, _ := elements(r, nil)
		if len(slots) < 3 {
			return nil, fmt.Errorf("the server answered with %v instead of a range of slots", r)
		}
		master, _ := elements(slots[2], nil)
		if len(master) < 2 {
			return nil, fmt.Errorf("the server answered with %v instead of a master", slots[2])
		}
		host := text(master[0])
		if host == "" {
			host, _, _ = net.SplitHostPort(asked)
		}
		addrs = append(addrs, net.JoinHostPort(host, fmt.Sprint(master[1])))
	}
	if len(addrs) == 0 && err == nil {
		err = errors.New("no server of the Cluster has slots")
	}
	slices.Sort(addrs)
	return slices.Compact(addrs), err
}

func (c client) String() string {
	return strings.Join(slices.Sorted(maps.Keys(c.Nodes())), ",")
}

// dialer is a Conn by a rueidis client that is made when it is first needed, and tried again if that fails: rueidis
// makes one for a Cluster or for Sentinels only when it has reached them, one after the other.
type dialer struct {
	opts   rueidis.ClientOption
	client atomic.Pointer[client] // nil: not yet
	closed atomic.Bool
	throng throng

	turn   chan struct{} // to make the client
	err    error         // why the last attempt failed, and when
	failed time.Time
}

func newDialer(opts rueidis.ClientOption) *dialer {
	d := &dialer{opts: opts, turn: make(chan struct{}, 1)}
	d.throng.gather(&d.opts)
	return d
}

func (d *dialer) get(ctx context.Context) (*client, error) {
	if c := d.client.Load(); c != nil && !d.closed.Load() {
		return c, nil
	}
	asked := time.Now()
	select {
	case d.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	made := make(chan error, 1)
	go func() { // since rueidis takes no context; close waits for the turn, and so for this
		err := d.make(asked)
		<-d.turn
		made <- err
	}()
	select {
	case err := <-made:
		return d.client.Load(), err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// make makes the client, unless one was made, or the last attempt failed after asked. The caller has the turn.
func (d *dialer) make(asked time.Time) error {
	switch {
	case d.closed.Load():
		return rueidis.ErrClosing
	case d.client.Load() != nil:
		return nil
	case d.failed.After(asked): // while this call waited
		return d.err
	}
	made, err := rueidis.NewClient(d.opts)
	if err != nil {
		if made != nil {
			made.Close()
		}
		d.err, d.failed = err, time.Now()
		return err
	}
	d.client.Store(&client{made})
	return nil
}

// close ends the client, if there is one, and keeps others from making one.
func (d *dialer) close() {
	d.closed.Store(true)
	d.turn <- struct{}{}
	defer func() { <-d.turn }()
	if c := d.client.Load(); c != nil {
		c.Close()
	}
}

// Do is described at Conn.
func (d *dialer) Do(ctx context.Context, cmd Command) (any, error) {
	c, err := d.get(ctx)
	if err != nil {
		return nil, err
	}
	d.throng.calls.Add(1)
	defer d.throng.calls.Add(-1)
	return c.Do(ctx, cmd)
}

// hash is described at hasher.
func (d *dialer) hash(ctx context.Context, key string) ([]chunked.Row, error) {
	c, err := d.get(ctx)
	if err != nil {
		return nil, err
	}
	d.throng.calls.Add(1)
	defer d.throng.calls.Add(-1)
	return c.hash(ctx, key)
}

// Masters is described at Conn.
func (d *dialer) Masters(ctx context.Context) ([]Conn, error) {
	c, err := d.get(ctx)
	if err != nil {
		return nil, err
	}
	return c.Masters(ctx)
}

func (d *dialer) String() string { return strings.Join(d.opts.InitAddress, ",") }

// Settings of the clients that Open makes. A cache that keeps others waiting is worse than none.
const (
	dialTimeout  = 500 * time.Millisecond // to connect, and again for the handshake
	pingAfter    = 2 * time.Second        // of silence; also TCP's keep-alive
	writeTimeout = 3 * time.Second        // for the answer to that; a call's own is its context's
	bufferBytes  = 64 << 10               // of each connection, twice
	retries      = 8                      // without a wait, after a connection broke; none if no new one can be made
)

// tuned returns opts with the settings in which Open differs from rueidis.
func tuned(opts rueidis.ClientOption) rueidis.ClientOption {
	opts.Dialer = net.Dialer{Timeout: dialTimeout, KeepAlive: pingAfter}
	opts.Sentinel.Dialer = opts.Dialer
	opts.Sentinel.TopologyRefreshInterval = 5 * time.Second
	opts.ConnWriteTimeout = writeTimeout
	opts.ReadBufferEachConn, opts.WriteBufferEachConn = bufferBytes, bufferBytes
	opts.ClusterOption.MaxMovedRedirections = 5
	opts.DisableCache, opts.AlwaysRESP2 = true, true // whose lists are cheaper to read than maps
	opts.RetryDelay = func(attempts int, _ rueidis.Completed, err error) time.Duration {
		if op := (*net.OpError)(nil); attempts > retries || errors.As(err, &op) && op.Op == "dial" {
			return -1
		}
		return 0
	}
	return opts
}
