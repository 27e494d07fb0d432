package bytestore

import (
	"context"
	"errors"
	"io"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
)

// Cache is the interface of that name in github.com/gregjones/httpcache and its forks. It must be safe for concurrent
// use.
type Cache interface {
	Get(key string) (value []byte, ok bool)
	Set(key string, value []byte)
	Delete(key string)
}

// Conn is the interface of that name in github.com/bartventer/httpcache/store/driver. It must be safe for concurrent
// use.
type Conn interface {
	Get(key string) ([]byte, error)
	Set(key string, value []byte) error
	Delete(key string) error
}

// Options are a Store's settings; the zero value stands for the defaults.
type Options struct {
	// MaxBody is the length of the longest body that is stored, in bytes; 0: 8 MiB.
	MaxBody int64
	// Chunk is the length in bytes of the pieces in which a body is kept, at least 32 KiB; 0: a body is one value.
	// Pieces save memory if bodies are large, and are needed if the length of values is limited, as in memcached. They
	// are for stores that drop nothing by themselves: if one piece is gone, reading the body breaks off there.
	Chunk int
}

// Store keeps records in a Cache or a Conn. Its methods are safe for concurrent use. It must be made by New or NewConn.
type Store struct {
	chunked *chunked.Store // not embedded: without a list, only these methods of it hold
}

const defaultMaxBody = 8 << 20

// New returns a Store in c; nil options are the defaults.
func New(c Cache, o *Options) *Store { return newStore(values{cacheConn{c}, errAbsent}, o) }

// NewConn returns a Store in c. absent is the error of c if nothing is stored under a key: driver.ErrNotExist in
// bartventer/httpcache. Nil options are the defaults.
func NewConn(c Conn, absent error, o *Options) *Store { return newStore(values{c, absent}, o) }

func newStore(v values, o *Options) *Store {
	var opts Options
	if o != nil {
		opts = *o
	}
	if opts.MaxBody <= 0 {
		opts.MaxBody = defaultMaxBody
	}
	if opts.Chunk <= 0 {
		opts.Chunk = int(opts.MaxBody)
	}
	return &Store{chunked.New(newTable(v), &chunked.Options{Chunk: opts.Chunk, MaxBody: opts.MaxBody, Parallel: parallel})}
}

// Lookup is described at store.Store.
func (s *Store) Lookup(ctx context.Context, key store.Key) ([]*store.Record, error) {
	return s.chunked.Lookup(ctx, key)
}

// Open is described at store.Store.
func (s *Store) Open(ctx context.Context, r *store.Record) (io.ReadSeekCloser, error) {
	return s.chunked.Open(ctx, r)
}

// Create is described at store.Store.
func (s *Store) Create(ctx context.Context, r *store.Record) (store.Writer, error) {
	return s.chunked.Create(ctx, r)
}

// Update is described at store.Store.
func (s *Store) Update(ctx context.Context, r *store.Record) error { return s.chunked.Update(ctx, r) }

// Delete is described at store.Store.
func (s *Store) Delete(ctx context.Context, key store.Key, ids ...store.ID) error {
	return s.chunked.Delete(ctx, key, ids...)
}

// Close removes at once what was to be removed later, within 5 s at most. It does not close the Cache or Conn. The
// Store must not be used afterwards.
func (s *Store) Close() error { return s.chunked.Close() }

var errAbsent = errors.New("absent")

// cacheConn is a Cache as a Conn.
type cacheConn struct{ c Cache }

func (c cacheConn) Get(key string) ([]byte, error) {
	if v, ok := c.c.Get(key); ok {
		return v, nil
	}
	return nil, errAbsent
}

func (c cacheConn) Set(key string, value []byte) error {
	c.c.Set(key, value)
	return nil
}

func (c cacheConn) Delete(key string) error {
	c.c.Delete(key)
	return nil
}
