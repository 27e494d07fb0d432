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

// scratch is where everyone keeps its files. They are removed at the very end: ext4 without a journal remembers for minutes what
// was removed, and takes up to ten times as long to make a file meanwhile.
var scratch string

// rest sets the times of the cache's folders back, as if what is stored had been there for a minute, and waits once for what
// cannot be set back: larder trusts a file, and a folder, whose last change is 3 s ago.
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

// validate asks for something stored that the origin, over the network, has to confirm each time.
func (c cache) validate(size int) (*job, error) {
	o := newOrigin(size, stale)
	base, closeServer := o.loopback()
	x, err := c.start(o, base, byClient)
	if err != nil {
		closeServer()
		return nil, err
	}
	j := &job{worker: func() func(int) error {
		get, req := newGetter(x.do, size), request(0)
		return func(int) error { return get(req) }
	}}
	j.close = func() error {
		err := errors.Join(x.close())
		closeServer()
		if n := o.notModified.Load(); n != int64(j.done)-1 && c.name != noCache.name { // the first is a miss
			err = errors.Join(err, fmt.Errorf("%d of %d requests ended in a 304", n, j.done))
		}
		return err
	}
	return j, nil
}

// contests returns what is measured, with the targets that larder sets itself.
func contests() []contest {
	return []contest{
		smallHits(),
		largeHits(),
		parallelHits(),
		timeoutHits(),
		smallStores(),
		largeStores(),
		validations(),
	}
}

const (
	kb = 1 << 10
	mb = 1 << 20
)

func smallHits() contest {
	hit := func(c cache, bare string, targets ...target) *entry {
		return &entry{name: c.name, bare: bare, targets: targets, open: func() (*job, error) { return c.hit(kb, 1, byClient) }}
	}
	entries := []*entry{
		hit(floorCache, ""),
		hit(larderMemory, "", overFloor(1.3), allocations(14)),
		{name: "larder memory, RoundTrip alone", targets: []target{cpuMicros(1.8)},
			open: func() (*job, error) { return larderMemory.hit(kb, 1, alone) }},
		{name: "floor, RoundTrip alone", open: func() (*job, error) { return floorCache.hit(kb, 1, alone) }},
		hit(larderDisk, "os.ReadFile", overBare(2)),
		hit(larderSQLite, "bare SELECT", overBare(1.3)),
	}
	for _, c := range peers {
		entries = append(entries, hit(c, ""))
	}
	return contest{name: "hit 1 KB", base: "floor", kept: true, entries: append(entries,
		&entry{name: "os.ReadFile", open: func() (*job, error) { return readFile(kb) }},
		&entry{name: "bare SELECT", open: func() (*job, error) { return selectRow(kb) }},
		&entry{name: "no cache", open: func() (*job, error) { return forward(kb, byClient) }})}
}

func largeHits() contest {
	hit := func(c cache, bare string, targets ...target) *entry {
		return &entry{name: c.name, bare: bare, targets: targets, open: func() (*job, error) { return c.hit(mb, 1, byClient) }}
	}
	entries := []*entry{
		hit(floorCache, ""),
		hit(larderMemory, "", overFloor(1.1), allocated(4*kb)),
		hit(larderDisk, "file streamed", overBare(1.3), allocated(64*kb)),
		hit(larderSQLite, "rows streamed", overBare(1.3), allocated(64*kb)),
	}
	for _, c := range peers {
		entries = append(entries, hit(c, ""))
	}
	return contest{name: "hit 1 MB", kept: true, entries: append(entries,
		&entry{name: "file streamed", open: func() (*job, error) { return streamFile(mb) }},
		&entry{name: "rows streamed", open: func() (*job, error) { return selectRows(mb) }},
		&entry{name: "no cache", open: func() (*job, error) { return forward(mb, byClient) }})}
}

func parallelHits() contest {
	const keys = 4096
	c := contest{name: fmt.Sprintf("hit 1 KB, %d keys, %d at once", keys, runtime.GOMAXPROCS(0)),
		workers: runtime.GOMAXPROCS(0), kept: true}
	for _, k := range slices.Concat([]cache{floorCache}, ours, peers) {
		c.entries = append(c.entries, &entry{name: k.name, open: func() (*job, error) { return k.hit(kb, keys, byClient) }})
	}
	c.entries = append(c.entries, &entry{name: "no cache",
		open: func() (*job, error) { return forward(kb, byClient) }})
	return c
}

func timeoutHits() contest {
	c := contest{name: "hit 1 KB, Client.Timeout set", kept: true}
	for _, k := range slices.Concat([]cache{floorCache}, ours, peers) {
		c.entries = append(c.entries, &entry{name: k.name,
			open: func() (*job, error) { return k.hit(kb, 1, byClientWithTimeout) }})
	}
	c.entries = append(c.entries, &entry{name: "no cache",
		open: func() (*job, error) { return forward(kb, byClientWithTimeout) }})
	return c
}

func smallStores() contest {
	put := func(c cache, bare string, targets ...target) *entry {
		return &entry{name: c.name, bare: bare, targets: targets, open: func() (*job, error) { return c.store(kb) }}
	}
	entries := []*entry{
		put(larderMemory, "", beyondNone(10)),
		put(larderDisk, "os.WriteFile", beyondNone(200)),
		put(larderSQLite, "bare upsert", overBare(1.3)),
	}
	for _, c := range peers {
		entries = append(entries, put(c, ""))
	}
	return contest{name: "store 1 KB", base: "no cache", most: 4096, entries: append(entries,
		&entry{name: "os.WriteFile", open: func() (*job, error) { return writeFile(kb) }},
		&entry{name: "bare upsert", open: func() (*job, error) { return upsert(kb) }},
		put(noCache, ""))}
}

func largeStores() contest {
	c := contest{name: "store 1 MB", most: 24}
	for _, k := range slices.Concat(ours, peers, []cache{noCache}) {
		e := &entry{name: k.name, open: func() (*job, error) { return k.store(mb) }}
		if k.name == larderMemory.name {
			e.targets = []target{allocated(1.3 * mb)}
		}
		c.entries = append(c.entries, e)
	}
	return c
}

func validations() contest {
	c := contest{name: "validated by 304"}
	for _, k := range slices.Concat(ours, peers, []cache{noCache}) {
		e := &entry{name: k.name, open: func() (*job, error) { return k.validate(kb) }}
		if k.name == larderMemory.name {
			e.targets = []target{overNone(1.4)}
		}
		c.entries = append(c.entries, e)
	}
	return c
}
