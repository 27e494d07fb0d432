package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"path/filepath"
	"time"

	bartventer "github.com/bartventer/httpcache"
	_ "github.com/bartventer/httpcache/store/fscache"
	_ "github.com/bartventer/httpcache/store/memcache"
	gregjones "github.com/gregjones/httpcache"
	"github.com/gregjones/httpcache/diskcache"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/disk"
	"github.com/larder-go/larder/store/memory"
	"github.com/larder-go/larder/store/sqlite"
)

// cache is a cache in front of base, with its files, if it has any, in dir, as it comes: no option set.
type cache struct {
	name string
	open func(dir string, base http.RoundTripper) (rt http.RoundTripper, closeAll func() error, err error)
}

var (
	floorCache = cache{"floor", func(_ string, base http.RoundTripper) (http.RoundTripper, func() error, error) {
		return &floor{base: base, stored: make(map[string]canned)}, nothing, nil
	}}
	noCache = cache{"no cache", func(_ string, base http.RoundTripper) (http.RoundTripper, func() error, error) {
		return base, nothing, nil
	}}

	larderMemory = larderIn("memory", 0)
	larderDisk   = larderIn("disk", 0)
	larderSQLite = larderIn("SQLite", 0)

	gregjonesMemory = cache{"gregjones memory", func(_ string, base http.RoundTripper) (http.RoundTripper, func() error, error) {
		return openGregjones(gregjones.NewMemoryCache(), base)
	}}
	gregjonesDisk = cache{"gregjones diskcache", func(dir string, base http.RoundTripper) (http.RoundTripper, func() error, error) {
		return openGregjones(diskcache.New(dir), base)
	}}
	bartventerMemory = cache{"bartventer memcache", func(_ string, base http.RoundTripper) (http.RoundTripper, func() error, error) {
		return bartventer.NewTransport("memcache://", bartventer.WithUpstream(base)), nothing, nil
	}}
	bartventerDisk = cache{"bartventer fscache", func(dir string, base http.RoundTripper) (http.RoundTripper, func() error, error) {
		return bartventer.NewTransport("fscache://"+dir+"?appname=compare", bartventer.WithUpstream(base)), nothing, nil
	}}

	peers = []cache{gregjonesMemory, gregjonesDisk, bartventerMemory, bartventerDisk}
)

// larderIn is larder with a store that holds at most so many bytes; 0: as many as it does by itself.
func larderIn(kind string, most int64) cache {
	return cache{"larder " + kind, func(dir string, base http.RoundTripper) (http.RoundTripper, func() error, error) {
		switch kind {
		case "disk":
			s, err := disk.Open(dir, &disk.Options{MaxBytes: most})
			if err != nil {
				return nil, nil, err
			}
			return openLarder(s, base, s.Close)
		case "SQLite":
			s, err := sqlite.Open(filepath.Join(dir, "cache.db"), &sqlite.Options{MaxBytes: most})
			if err != nil {
				return nil, nil, err
			}
			return openLarder(s, base, s.Close)
		}
		return openLarder(&memory.Store{MaxBytes: most}, base, nothing)
	}}
}

// ours are those that take responses of size bytes.
func ours(size int) []cache {
	if size > 16*mb { // a quarter of what memory holds by itself
		return []cache{larderIn("memory", 4<<30), larderIn("disk", 4<<30), larderIn("SQLite", 4<<30)}
	}
	return []cache{larderMemory, larderDisk, larderSQLite}
}

func nothing() error { return nil }

func openLarder(s store.Store, base http.RoundTripper, closeStore func() error) (http.RoundTripper, func() error, error) {
	c := &larder.Cache{Store: s, Base: base}
	return c, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			return err
		}
		return closeStore()
	}, nil
}

func openGregjones(c gregjones.Cache, base http.RoundTripper) (http.RoundTripper, func() error, error) {
	t := gregjones.NewTransport(c)
	t.Transport = base
	return t, nothing, nil
}

// floor is the least that a hit can be: a map by URL, a copy of the header, and a reader of the stored bytes. It knows
// of nothing else, not even of time.
type floor struct {
	base   http.RoundTripper
	stored map[string]canned
}

type canned struct {
	header http.Header
	body   []byte
}

func (f *floor) RoundTrip(req *http.Request) (*http.Response, error) {
	r, ok := f.stored[req.URL.String()]
	if !ok {
		resp, err := f.base.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return nil, err
		}
		r = canned{resp.Header, body}
		f.stored[req.URL.String()] = r
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: r.header.Clone(),
		Body: io.NopCloser(bytes.NewReader(r.body)), ContentLength: int64(len(r.body)), Request: req,
	}, nil
}
