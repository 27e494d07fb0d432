package main

import (
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/compressed"
	"github.com/larder-go/larder/store/sealed"
)

// wrappers are what goes around a store, by flags.
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

// around puts them around s: compressed outside, for what is sealed does not shrink.
func (w wrappers) around(s store.Store, keys []sealed.Key) (store.Store, error) {
	if len(keys) > 0 {
		around, err := sealed.New(s, keys...)
		if err != nil {
			return nil, err
		}
		s = around
	}
	if w.compress {
		s = compressed.New(s)
	}
	return s, nil
}
