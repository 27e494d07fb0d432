package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"time"
)

const (
	fresh = "public, max-age=86400"
	stale = "no-cache" // stored, and validated before each use

	bufferSize = 32 << 10 // by which callers read
)

// doer is a client, or a RoundTripper alone.
type doer = func(*http.Request) (*http.Response, error)

// byClient is how programs use a cache.
func byClient(rt http.RoundTripper) doer { return (&http.Client{Transport: rt}).Do }

func byClientWithTimeout(rt http.RoundTripper) doer {
	return (&http.Client{Transport: rt, Timeout: time.Minute}).Do
}

func alone(rt http.RoundTripper) doer { return rt.RoundTrip }

// newGetter returns what sends a request and reads the response, of size bytes, to its end. It is for one goroutine.
func newGetter(do doer, size int) func(*http.Request) error {
	buf := make([]byte, bufferSize)
	return func(req *http.Request) error {
		resp, err := do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return readAll(resp.Body, buf, size)
	}
}

func readAll(r io.Reader, buf []byte, want int) error {
	for {
		n, err := r.Read(buf)
		want -= n
		switch {
		case err == io.EOF && want == 0:
			return nil
		case err == io.EOF:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
	}
}

// opened is a cache at work and the origin behind it.
type opened struct {
	origin *origin
	do     doer
	dir    string // what the cache keeps on disk, if anything
	rested bool
	close  func() error
}

// scratch is where everyone keeps its files. They are removed at the very end: ext4 without a journal remembers for
// minutes what was removed, and takes up to ten times as long to make a file meanwhile.
var scratch string

// rest sets the times of the cache's folders back, as if what is stored had been there for a minute, and waits once for
// what cannot be set back: larder trusts a file, and a folder, whose last change is 3 s ago.
func (x *opened) rest() error {
	then, files := time.Now().Add(-time.Minute), 0
	err := filepath.WalkDir(x.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() {
			files++
			return nil
		}
		return os.Chtimes(path, then, then)
	})
	if files > 0 && !x.rested {
		time.Sleep(4 * time.Second)
		x.rested = true
	}
	return err
}

func (c cache) start(o *origin, base http.RoundTripper, do func(http.RoundTripper) doer) (*opened, error) {
	dir, err := os.MkdirTemp(scratch, "")
	if err != nil {
		return nil, err
	}
	rt, closeCache, err := c.open(dir, base)
	if err != nil {
		return nil, err
	}
	if len(o.body) > 16*mb { // else they would fill the disk
		closeIt := closeCache
		closeCache = func() error { return errors.Join(closeIt(), os.RemoveAll(dir)) }
	}
	return &opened{origin: o, do: do(rt), dir: dir, close: closeCache}, nil
}

// hit takes responses of size bytes from the cache, under keys different URLs in turn.
func (c cache) hit(size, keys int, do func(http.RoundTripper) doer) (*job, error) {
	o := newOrigin(size, fresh)
	x, err := c.start(o, o, do)
	if err != nil {
		return nil, err
	}
	get := newGetter(x.do, size)
	for range 2 { // the first hit may cost more than those after it
		for i := range keys {
			if err := get(request(i)); err != nil {
				return nil, errors.Join(err, x.close())
			}
		}
		if err := x.rest(); err != nil {
			return nil, errors.Join(err, x.close())
		}
	}
	return &job{
		worker: func() func(int) error {
			get := newGetter(x.do, size)
			reqs := make([]*http.Request, keys)
			for i := range reqs {
				reqs[i] = request(i)
			}
			return func(i int) error { return get(reqs[i*7919%keys]) }
		},
		close: func() error {
			if asked := o.asked.Load(); asked != int64(keys) {
				return errors.Join(fmt.Errorf("the origin was asked %d times for %d resources", asked, keys), x.close())
			}
			return x.close()
		},
	}, nil
}

// forward asks the origin over the network each time.
func forward(size int, do func(http.RoundTripper) doer) (*job, error) {
	base, closeServer := newOrigin(size, fresh).loopback()
	return &job{
		worker: func() func(int) error {
			get, req := newGetter(do(base), size), request(0)
			return func(int) error { return get(req) }
		},
		close: func() error {
			closeServer()
			return nil
		},
	}, nil
}

// store asks for something new each time, which the origin, in memory, answers and the cache stores.
func (c cache) store(size int) (*job, error) {
	o := newOrigin(size, fresh)
	x, err := c.start(o, o, byClient)
	if err != nil {
		return nil, err
	}
	j := &job{worker: func() func(int) error {
		get := newGetter(x.do, size)
		return func(i int) error { return get(request(i)) }
	}}
	j.close = func() error {
		asked := o.asked.Load()
		err := newGetter(x.do, size)(request(j.done - 1))
		switch again := o.asked.Load() - asked; {
		case err != nil:
		case asked != int64(j.done):
			err = fmt.Errorf("the origin was asked %d times for %d resources", asked, j.done)
		case again > 0 && c.name != noCache.name:
			err = errors.New("what came last was not stored")
		}
		return errors.Join(err, x.close())
	}
	return j, nil
}

// validate asks for something stored that the origin, over the network, has to confirm each time; each worker for
// something else.
func (c cache) validate(size, workers int) (*job, error) {
	o := newOrigin(size, stale)
	base, closeServer := o.loopback()
	x, err := c.start(o, base, byClient)
	if err != nil {
		closeServer()
		return nil, err
	}
	var turns atomic.Int64
	j := &job{worker: func() func(int) error {
		get, req := newGetter(x.do, size), request(int(turns.Add(1))%workers)
		return func(int) error { return get(req) }
	}}
	j.close = func() error {
		err := errors.Join(x.close())
		closeServer()
		if n := o.notModified.Load(); n != int64(j.done-workers) && c.name != noCache.name { // the first of each is a miss
			err = errors.Join(err, fmt.Errorf("%d of %d requests ended in a 304", n, j.done))
		}
		return err
	}
	return j, nil
}

// contests returns what is measured, with the targets that larder sets itself.
func contests() []contest {
	var all []contest
	for _, make := range []func(size, workers int) contest{hits, stores, validations} {
		for _, size := range []int{kb, 16 * kb, mb, 256 * mb} {
			for _, workers := range []int{1, runtime.GOMAXPROCS(0)} {
				c := make(size, workers)
				c.name += " " + sizeText(size)
				if workers > 1 {
					c.name += fmt.Sprintf(", %d at once", workers)
				}
				c.workers = workers
				if size > 16*mb {
					c.most, c.rounds = workers, 2
				}
				all = append(all, c)
			}
		}
	}
	return append(all, manyKeys(), withTimeout())
}

const (
	kb = 1 << 10
	mb = 1 << 20
)

// aim is what larder wants to reach with a store, for work of one goroutine on responses of that size.
type aim struct {
	size  int
	cache string
}

func hits(size, workers int) contest {
	aims := map[aim][]target{
		{kb, "larder memory"}: {overFloor(1.3), allocations(14)},
		{kb, "larder disk"}:   {overBare(2)},
		{kb, "larder SQLite"}: {overBare(1.3)},
		{mb, "larder memory"}: {overFloor(1.1), allocated(4 * kb)},
		{mb, "larder disk"}:   {overBare(1.3), allocated(64 * kb)},
		{mb, "larder SQLite"}: {overBare(1.3), allocated(64 * kb)},
	}
	bare, file, row := map[string]string{}, "os.ReadFile", "bare SELECT"
	if size > 16*kb {
		file, row = "file streamed", "rows streamed"
	}
	if workers == 1 {
		bare["larder disk"], bare["larder SQLite"] = file, row
	} else {
		aims = nil
	}
	c := contest{name: "hit", kept: true}
	if size <= 16*kb {
		c.base = "floor"
	}
	for _, k := range slices.Concat([]cache{floorCache}, ours(size), peers) {
		c.entries = append(c.entries, &entry{name: k.name, bare: bare[k.name], targets: aims[aim{size, k.name}],
			open: func() (*job, error) { return k.hit(size, workers, byClient) }})
	}
	if size == kb && workers == 1 {
		c.entries = append(c.entries,
			&entry{name: "larder memory, RoundTrip alone", targets: []target{cpuMicros(1.8)}, open: func() (*job, error) { return larderMemory.hit(kb, 1, alone) }},
			&entry{name: "floor, RoundTrip alone", open: func() (*job, error) { return floorCache.hit(kb, 1, alone) }})
	}
	switch {
	case workers > 1:
	case size <= 16*kb:
		c.entries = append(c.entries,
			&entry{name: file, open: func() (*job, error) { return readFile(size) }},
			&entry{name: row, open: func() (*job, error) { return selectRow(size) }})
	default:
		c.entries = append(c.entries,
			&entry{name: file, open: func() (*job, error) { return streamFile(size) }},
			&entry{name: row, open: func() (*job, error) { return selectRows(size) }})
	}
	c.entries = append(c.entries, &entry{name: "no cache", open: func() (*job, error) { return forward(size, byClient) }})
	return c
}

// manyKeys are hits of 1 KB on more responses than a store remembers the heads of.
func manyKeys() contest {
	const keys = 4096
	c := contest{name: fmt.Sprintf("hit 1 KB, %d keys, %d at once", keys, runtime.GOMAXPROCS(0)), workers: runtime.GOMAXPROCS(0), kept: true}
	for _, k := range slices.Concat([]cache{floorCache}, ours(kb), peers) {
		c.entries = append(c.entries, &entry{name: k.name, open: func() (*job, error) { return k.hit(kb, keys, byClient) }})
	}
	c.entries = append(c.entries, &entry{name: "no cache", open: func() (*job, error) { return forward(kb, byClient) }})
	return c
}

func withTimeout() contest {
	c := contest{name: "hit 1 KB, Client.Timeout set", kept: true}
	for _, k := range slices.Concat([]cache{floorCache}, ours(kb), peers) {
		c.entries = append(c.entries, &entry{name: k.name, open: func() (*job, error) { return k.hit(kb, 1, byClientWithTimeout) }})
	}
	c.entries = append(c.entries, &entry{name: "no cache", open: func() (*job, error) { return forward(kb, byClientWithTimeout) }})
	return c
}

func stores(size, workers int) contest {
	aims := map[aim][]target{
		{kb, "larder memory"}: {beyondNone(10)},
		{kb, "larder disk"}:   {beyondNone(200)},
		{kb, "larder SQLite"}: {overBare(1.3)},
		{mb, "larder memory"}: {allocated(1.3 * mb)},
	}
	bare, row := map[string]string{}, "bare upsert"
	if size > 16*kb {
		row = "rows inserted"
	}
	if workers == 1 {
		bare["larder disk"], bare["larder SQLite"] = "os.WriteFile", row
	} else {
		aims = nil
	}
	c := contest{name: "store", base: noCache.name, most: max(24, 4096*kb/size)}
	for _, k := range slices.Concat(ours(size), peers) {
		c.entries = append(c.entries, &entry{name: k.name, bare: bare[k.name], targets: aims[aim{size, k.name}],
			open: func() (*job, error) { return k.store(size) }})
	}
	if workers == 1 {
		c.entries = append(c.entries,
			&entry{name: "os.WriteFile", open: func() (*job, error) { return writeFile(size) }},
			&entry{name: row, open: func() (*job, error) {
				if size > 16*kb {
					return insertRows(size)
				}
				return upsert(size)
			}})
	}
	c.entries = append(c.entries, &entry{name: noCache.name, open: func() (*job, error) { return noCache.store(size) }})
	return c
}

func validations(size, workers int) contest {
	c := contest{name: "validate"}
	for _, k := range slices.Concat(ours(size), peers, []cache{noCache}) {
		e := &entry{name: k.name, open: func() (*job, error) { return k.validate(size, workers) }}
		if k.name == larderMemory.name && size == kb && workers == 1 {
			e.targets = []target{overNone(1.4)}
		}
		c.entries = append(c.entries, e)
	}
	return c
}
