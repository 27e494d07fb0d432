package mongodb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/larder-go/larder/store/chunked"
)

// Options are the settings of a Store. The zero value, and a nil *Options, mean the defaults.
type Options struct {
	// MaxBody is the length of the longest body that is stored, in bytes; 0: no limit.
	MaxBody int64
	// Chunk is how many bytes of a body make a document; 0: 1 MiB. At most 15 MiB, since a document has 16 MiB at most.
	Chunk int
	// Parallel and Grace are described at chunked.Options.
	Parallel int
	Grace    time.Duration

	// The rest is for Open alone.

	// Lazy makes Open return without asking a server: whatever is wrong shows at the first use, and may have been put
	// right by then. It is for programs that should start even if their cache cannot be reached.
	Lazy bool

	// Client has settings of the driver that override the URI; nil: none.
	Client *options.ClientOptions
}

const (
	defaultChunk = 1 << 20
	maxChunk     = 15 << 20
)

// The time-outs of a client that Open makes, unless the URI or Options.Client say otherwise. A cache that waits is
// worse than none.
const (
	connectTimeout   = 500 * time.Millisecond
	selectionTimeout = 750 * time.Millisecond // finding a server, and a free connection to it
	heartbeat        = 2 * time.Second        // how often the servers are asked how they are
	closeTimeout     = 5 * time.Second
)

// Store keeps records in the collections of one database. It is safe for concurrent use, and any number of stores and
// processes may share the database.
type Store struct {
	*chunked.Store
	client *mongo.Client // nil: the user's, who closes it
	reach  *reach
}

// Open connects to the servers that uri names, mongodb://… or mongodb+srv://…, as the driver reads it. The database is
// the path of the URI, or else larder. A server must answer, and accept the user and the password; a missing permission
// shows at the first use. The lookup in DNS for mongodb+srv does not heed ctx. Close the store when it is no longer
// needed.
func Open(ctx context.Context, uri string, o *Options) (*Store, error) {
	if o == nil {
		o = new(Options)
	}
	r := newReach()
	client := options.MergeClientOptions(options.Client().
		SetAppName("larder").
		SetConnectTimeout(connectTimeout).
		SetServerSelectionTimeout(selectionTimeout).
		SetHeartbeatInterval(heartbeat).
		SetDialer(r).
		SetServerMonitor(r.monitor()),
		options.Client().ApplyURI(uri), o.Client)
	if err := client.Validate(); err != nil {
		return nil, fmt.Errorf("mongodb: open: %w", withoutSecret(err))
	}
	hosts, database, err := address(uri)
	name := hosts + "/" + database
	fault := func(err error) (*Store, error) { return nil, fmt.Errorf("mongodb %s: open: %w", name, err) }
	if err != nil {
		return fault(err)
	}
	c, err := mongo.Connect(client)
	if err != nil {
		return fault(err)
	}
	s := &Store{client: c, reach: r}
	if s.Store, err = open(c.Database(database), name, r, o); err != nil {
		s.disconnect()
		return fault(err)
	}
	if o.Lazy {
		return s, nil
	}
	if err = r.call(ctx, func(ctx context.Context) error { return c.Ping(ctx, nil) }); err != nil {
		s.Close()
		return fault(err)
	}
	return s, nil
}

// New keeps records in db, with its client, read preference and concerns. New does not ask the server, and Close leaves
// the client open.
func New(db *mongo.Database, o *Options) (*Store, error) {
	if o == nil {
		o = new(Options)
	}
	if o.Client != nil || o.Lazy {
		return nil, errors.New("mongodb: new: Options.Client and Lazy are for Open; the database has a client already")
	}
	s, err := open(db, db.Name(), nil, o)
	if err != nil {
		return nil, fmt.Errorf("mongodb %s: new: %w", db.Name(), err)
	}
	return &Store{Store: s}, nil
}

func open(db *mongo.Database, name string, r *reach, o *Options) (*chunked.Store, error) {
	c := &chunked.Options{MaxBody: o.MaxBody, Chunk: cmp.Or(o.Chunk, defaultChunk), Parallel: o.Parallel, Grace: o.Grace}
	switch {
	case len(db.Name()) == 0 || len(db.Name()) > 63 || strings.ContainsAny(db.Name(), "/\\. \"$\x00"):
		return nil, fmt.Errorf(`the database's name is %q; want 1 to 63 bytes, and none of / \ . " $ and space`, db.Name())
	case c.Chunk > maxChunk:
		return nil, fmt.Errorf("Options.Chunk is %d; want %d at most", c.Chunk, maxChunk)
	}
	return chunked.New(newTable(db, name, r), c), nil
}

// Close removes what is still to be removed, and closes the client if Open made it. The store must not be used
// afterwards.
func (s *Store) Close() error {
	err := s.Store.Close()
	if s.client != nil {
		err = errors.Join(err, s.disconnect())
	}
	return err
}

func (s *Store) disconnect() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	defer s.reach.probes.Wait()
	if err := s.client.Disconnect(ctx); err != nil && !errors.Is(err, mongo.ErrClientDisconnected) {
		return fmt.Errorf("mongodb: close: %w", err)
	}
	return nil
}

// address returns the hosts and the database of a URI that the driver accepts.
func address(uri string) (hosts, database string, err error) {
	_, rest, _ := strings.Cut(uri, "://")
	if _, after, ok := strings.Cut(rest, "@"); ok {
		rest = after
	}
	rest, _, _ = strings.Cut(rest, "?")
	hosts, database, _ = strings.Cut(rest, "/")
	if database == "" {
		return hosts, "larder", nil
	}
	database, err = url.PathUnescape(database)
	return hosts, database, err
}

// withoutSecret returns what is wrong with a URI, without quoting a piece of it that may be part of a password.
func withoutSecret(err error) error {
	if escape := url.EscapeError(""); errors.As(err, &escape) {
		return errors.New("the URI has a % that is not followed by two hexadecimal digits")
	}
	if number := (*strconv.NumError)(nil); errors.As(err, &number) {
		return errors.New("the URI has a port that is not a number")
	}
	return err
}
