package redis

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
)

// Options are the settings of a Store. The zero value, and a nil *Options, mean the defaults.
type Options struct {
	// Prefix and a colon begin the names of all keys. Stores with different prefixes do not see each other. "": larder.
	// It must not contain { or }.
	Prefix string

	// MaxBody is the length of the longest body that is stored, in bytes: all of it is in the server's memory. 0: 32
	// MiB; negative: no limit.
	MaxBody int64

	// Chunk, Parallel and Grace are described at chunked.Options.
	Chunk    int
	Parallel int
	Grace    time.Duration

	// The rest is for Open alone.

	// Near is how many bytes of records are kept in this process, and looked up without asking the server, which
	// reports their changes; 0: none. See the package comment.
	Near int64

	// Lazy makes Open return at once, without asking the server: whatever is wrong shows at the first use, and may have
	// been put right by then. It is for programs that should start even if their cache cannot be reached.
	Lazy bool

	// Configure, if set, may change how the client is made. It is called after the URL was read.
	Configure func(*rueidis.ClientOption)
}

const (
	defaultPrefix  = "larder"
	defaultMaxBody = 32 << 20
)

// Store keeps records in Redis. Its methods are safe for concurrent use, and several stores, in one or several
// processes, may share the data.
type Store struct {
	*chunked.Store
	table   *table
	release func() // the client; nil: it is the caller's
}

var _ interface {
	store.Store
	store.Finder
	store.Sweeper
	store.Sizer
	store.Leaser
} = (*Store)(nil)

// Open connects to the server, Cluster or Sentinels that url names, as the package comment describes, and asks for a
// key. So it fails if there is no server, or a password or a permission is missing. Errors name the address, and never
// a password. ctx is for Open alone. Close the store when it is no longer needed.
//
// Connecting takes at most half a second for each address in the URL, and as much again for the handshake; a call does
// not try a server again that refused it. Close, and an Open that fails, wait until connecting has ended.
func Open(ctx context.Context, url string, o *Options) (*Store, error) {
	if o == nil {
		o = new(Options)
	}
	opts, named, err := parse(url, *o)
	if err != nil {
		return nil, err
	}
	opts = tuned(opts)
	if o.Configure != nil {
		o.Configure(&opts)
	}
	var n *near
	if named.Near > 0 {
		n = newNear(named.Near)
		n.watch(&opts)
	}
	d := newDialer(opts)
	s, err := newStore(d, &named, n)
	if err != nil {
		return nil, err
	}
	s.release = d.close
	if o.Lazy {
		return s, nil
	}
	if _, err := s.table.all(ctx, s.table.key("r/")); err != nil {
		s.Close()
		return nil, s.table.fault("open", err)
	}
	return s, nil
}

// New uses a client that the caller has made, and that Close leaves open. The client should neither repeat commands for
// long nor read from replicas: see the package comment.
func New(c rueidis.Client, o *Options) (*Store, error) { return NewStore(client{c}, o) }

// NewStore is New for another client than rueidis.
func NewStore(c Conn, o *Options) (*Store, error) {
	if o == nil {
		o = new(Options)
	}
	return newStore(c, o, nil)
}

func newStore(c Conn, o *Options, n *near) (*Store, error) {
	prefix := o.Prefix
	if prefix == "" {
		prefix = defaultPrefix
	}
	if strings.ContainsAny(prefix, "{}") {
		return nil, fmt.Errorf("redis: the prefix %q contains { or }, which decide about a key's place in a Cluster", prefix)
	}
	t := &table{conn: c, prefix: prefix + ":", near: n}
	body := o.MaxBody
	switch {
	case body == 0:
		body = defaultMaxBody
	case body < 0:
		body = 0
	}
	s := chunked.New(t, &chunked.Options{Chunk: o.Chunk, MaxBody: body, Parallel: o.Parallel, Grace: o.Grace})
	return &Store{Store: s, table: t}, nil
}

// Close removes at once what was to be removed later, and closes the client if Open made it.
func (s *Store) Close() error {
	err := s.Store.Close()
	if s.release != nil {
		s.release()
	}
	return err
}

// watch makes the client ask the server to report changes.
func (n *near) watch(opts *rueidis.ClientOption) {
	told := opts.OnInvalidations
	opts.DisableCache, opts.AlwaysRESP2 = false, false
	opts.ClientTrackingOptions = []string{"OPTOUT"}
	opts.OnInvalidations = func(keys []rueidis.RedisMessage) {
		if keys == nil {
			n.forgetAll()
		}
		for i := range keys {
			if key, err := keys[i].ToString(); err == nil {
				n.forget(key)
			}
		}
		if told != nil {
			told(keys)
		}
	}
}
