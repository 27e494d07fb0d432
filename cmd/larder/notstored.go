package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/larder-go/larder"
)

// larder warm and import share this file: finding out what is not stored and why, and summing up.

// discarded finds out whether a response that was being stored was stored in the end. It is safe for concurrent use.
type discarded struct {
	mu   sync.Mutex
	urls map[string]fate // those under way
}

// fate is what became of a response.
type fate struct {
	notStored   string // why
	storeFailed bool   // which was reported at once
	expected    int    // how often, since a list may have a URL twice
}

func (d *discarded) observe(e larder.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	of, ok := d.urls[e.URL]
	if !ok {
		return
	}
	switch e.Kind {
	case larder.StoreFailed:
		of.storeFailed = true
	case larder.Discarded:
		of.notStored = e.Err.Error()
	}
	d.urls[e.URL] = of
}

func (d *discarded) expect(url string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.urls == nil {
		d.urls = make(map[string]fate)
	}
	of := d.urls[url]
	of.expected++
	d.urls[url] = of
}

func (d *discarded) fate(url string) fate {
	d.mu.Lock()
	defer d.mu.Unlock()
	of := d.urls[url]
	of.expected--
	d.urls[url] = of
	if of.expected == 0 {
		delete(d.urls, url)
	}
	return of
}

// sumUp writes a line of a summary: a name, what there is of it, and more.
func sumUp(out io.Writer, name string, n any, more string) error {
	_, err := fmt.Fprintf(out, "%-12s %7v%s\n", name, n, more)
	return err
}

// counts are numbers by name. Names beyond the first mostCounts are counted together.
type counts map[string]int

const (
	mostCounts = 100
	others     = "(others)"
)

func (c counts) add(name string) {
	if _, known := c[name]; !known && len(c) >= mostCounts {
		name = others
	}
	c[name]++
}

func (c counts) sum() (n int) {
	for _, k := range c {
		n += k
	}
	return n
}

// write writes them below a line of sumUp, the largest first.
func (c counts) write(out io.Writer) {
	for _, name := range slices.SortedFunc(maps.Keys(c), func(a, b string) int { return cmp.Or(cmp.Compare(c[b], c[a]), cmp.Compare(a, b)) }) {
		fmt.Fprintf(out, "             %7d  %s\n", c[name], printable(name))
	}
}
