package main

import (
	"context"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/compressed"
	"github.com/larder-go/larder/store/sealed"
)

// wrappers are the flags for what goes around a store.
type wrappers struct {
	keyFiles []string // the first seals, all open
	compress bool
}

// keys reads the key files.
func (w wrappers) keys() ([]sealed.Key, error) {
	var keys []sealed.Key
	for _, path := range w.keyFiles {
		key, err := sealed.KeyFromFile(path)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// around puts encryption and compression around s: compression outside, since what is sealed does not shrink.
func (w wrappers) around(s store.Store, keys []sealed.Key) (store.Store, error) {
	if len(keys) > 0 {
		around, err := sealed.New(s, keys...)
		if err != nil {
			return nil, err
		}
		s = around
	}
	return packing(s, w.compress), nil
}

// packing returns a store that reads bodies from s, compressed or not, and compresses what it stores if compress is
// set. It is needed without the flag, too: compressed bodies in s would otherwise be taken for what the origin sent.
func packing(s store.Store, compress bool) store.Store {
	packed := compressed.New(s)
	if compress {
		return packed
	}
	return unpacking{packed, s}
}

// unpacking is a compressed.Store that stores bodies as they are.
type unpacking struct {
	*compressed.Store
	plain store.Store
}

func (u unpacking) Create(ctx context.Context, r *store.Record) (store.Writer, error) {
	return u.plain.Create(ctx, r)
}
