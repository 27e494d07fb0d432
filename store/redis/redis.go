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

// Options are what a user may want otherwise. The zero value, and a nil *Options, mean the defaults.
type Options struct {
	// Prefix begins the names of all keys, with a colon after it; stores with different ones do not see each other. "":
	// larder. It must not contain { or }.
	Prefix string

	// MaxBody is the length in bytes of the longest body that is taken: all of it is in the server's memory. 0: 32 MiB;
	// negative: no limit.
	MaxBody int64

	// Chunk, Parallel and Grace are described at chunked.Options.
	Chunk    int
	Parallel int
	Grace    time.Duration

	// The rest is for Open alone.

	// Near is how many bytes of records are kept in this process: what is there is looked up without asking the server,
	// which tells when it changes. 0: none. See the package comment.
	Near int64

	// Lazy makes Open return at once, without asking the server: whatever is wrong is told by the first use, and may
	// have been put right by then. For programs that should start when their cache cannot be reached.
	Lazy bool

	// Configure may change how the client is made, after the URL has been read into it.
	Configure func(*rueidis.ClientOption)
}

const (
	defaultPrefix  = "larder"
	defaultMaxBody = 32 << 20
)

// Store keeps records in Redis. Its methods are safe for concurrent use, and so are the data by several stores in one
// or several processes.
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
// key, so that it fails where the store could not be used: for want of a server, a password or a permission. Errors
// name the address, and never a password. ctx is for this alone.
//
// Connecting takes half a second at most for each address that is given, twice that with the handshake; a server that
// refuses is not tried again by the same call. Close, and an Open that fails, wait for connecting to end. Close the
// store when it is no longer needed.
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

// New uses a client that the caller has made, which Close leaves open. It should not repeat commands for long, nor
// read from replicas: see the package comment.
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

// Close ends the work in the background, and the client if Open made it.
func (s *Store) Close() error {
	err := s.Store.Close()
	if s.release != nil {
		s.release()
	}
	return err
}

// watch makes the client ask to be told of changes.
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
