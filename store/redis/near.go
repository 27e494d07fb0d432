package redis

import (
	"container/list"
	"slices"
	"sync"

	"github.com/larder-go/larder/store/chunked"
)

// near keeps in memory what was read from the server, which reports when it changes. forget of a nil *near does
// nothing.
type near struct {
	max int64

	mu      sync.Mutex
	size    int64
	entries map[string]*list.Element // of *entry, by key
	used    list.List                // the last used first
	reads   map[*reading]struct{}    // under way
}

type entry struct {
	key  string
	rows []chunked.Row
	size int64
}

// reading is a read that is under way; if the key changes meanwhile, what it finds must not be kept.
type reading struct {
	key     string
	changed bool
}

func newNear(max int64) *near {
	return &near{max: max, entries: make(map[string]*list.Element), reads: make(map[*reading]struct{})}
}

// get returns what is kept under key, or what read returns. The values are shared; chunked only reads them.
func (n *near) get(key string, read func() ([]chunked.Row, error)) ([]chunked.Row, error) {
	n.mu.Lock()
	if at := n.entries[key]; at != nil {
		n.used.MoveToFront(at)
		rows := slices.Clone(at.Value.(*entry).rows)
		n.mu.Unlock()
		return rows, nil
	}
	r := &reading{key: key}
	n.reads[r] = struct{}{}
	n.mu.Unlock()

	rows, err := read()
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.reads, r)
	if err == nil && len(rows) > 0 && !r.changed {
		n.keep(&entry{key: key, rows: slices.Clone(rows)})
	}
	return rows, err
}

// keep is called with the mutex held.
func (n *near) keep(e *entry) {
	e.size = int64(256 + 2*len(e.key))
	for _, r := range e.rows {
		e.size += int64(64 + len(r.Item) + cap(r.Value))
	}
	if old := n.entries[e.key]; old != nil {
		n.drop(old)
	}
	if e.size > n.max/4 {
		return // it would drive out all others
	}
	n.entries[e.key] = n.used.PushFront(e)
	for n.size += e.size; n.size > n.max; {
		n.drop(n.used.Back())
	}
}

func (n *near) drop(at *list.Element) {
	e := n.used.Remove(at).(*entry)
	delete(n.entries, e.key)
	n.size -= e.size
}

// forget drops what is kept under key, since it has changed.
func (n *near) forget(key string) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if at := n.entries[key]; at != nil {
		n.drop(at)
	}
	for r := range n.reads {
		r.changed = r.changed || r.key == key
	}
}

// forgetAll drops all, since changes may have been missed.
func (n *near) forgetAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.entries)
	n.used.Init()
	n.size = 0
	for r := range n.reads {
		r.changed = true
	}
}
