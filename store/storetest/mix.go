package storetest

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-go/larder/store"
)

// mix is what many goroutines do at once.
type mix struct {
	*check
	evicts  bool // the store has a limit
	history history
	heads   atomic.Int64 // how many there were
}

var mixKeys = []store.Key{"a\x00", "b", "c"}

func (m *mix) run(a, b store.Store) {
	const goroutines, rounds = 16, 40
	var all sync.WaitGroup
	for g := range goroutines {
		s := []store.Store{a, b}[g%2]
		all.Go(func() {
			for range often(rounds) {
				m.step(s, mixKeys[rand.IntN(len(mixKeys))])
			}
		})
	}
	all.Wait()
	if m.evicts {
		m.within(a)
		return
	}
	total := 0
	for _, key := range mixKeys {
		found := m.look(a, key)
		total += len(found)
		m.wantIDs(b, key, found...)
		for _, r := range found {
			m.wantBody(a, r, int(r.Size))
			m.wantBody(b, r, int(r.Size))
		}
	}
	m.wantCount(b, "at the end", total)
	if f, ok := store.As[store.Finder](b); ok {
		if n := len(m.find(f, store.Query{})); n != total {
			m.errorf("Find: %d records, want the %d that are found by key", n, total)
		}
	}
}

// step looks key up, and does something at random while it reads what it has found.
func (m *mix) step(s store.Store, key store.Key) {
	found := m.look(s, key)
	var ids []store.ID
	var readers sync.WaitGroup
	defer readers.Wait()
	for _, r := range found {
		ids = append(ids, r.ID)
		readers.Go(func() { m.read(s, r) })
	}
	switch n := rand.IntN(16); {
	case n < 4 || len(ids) > 4:
		m.add(s, key, ids)
	case n < 6:
		m.add(s, key, nil)
	case n < 9:
		for _, r := range found {
			m.change(s, r)
		}
	case n < 11 && len(ids) > 0:
		m.remove(s, key, ids[rand.IntN(len(ids)):]...)
	case n < 12:
		m.remove(s, key)
	case n < 13:
		m.sweep(s)
	case n < 14:
		m.near(s, key)
	default:
		m.list(s, key)
	}
}

// look looks key up.
func (m *mix) look(s store.Store, key store.Key) (found []*store.Record) {
	c := &call{what: looks, key: key}
	m.history.during(c, func() { found = m.lookup(s, key) })
	c.seen = m.see(found)
	if !slices.IsSortedFunc(found, func(a, b *store.Record) int { return b.ID.Compare(a.ID) }) {
		m.errorf("Lookup: not newest first: %v", ids(found))
	}
	return found
}

// near looks key up where that can be done from memory.
func (m *mix) near(s store.Store, key store.Key) {
	if f, ok := store.As[store.Fronted](s); ok {
		var found []*store.Record
		c := &call{key: key}
		m.history.during(c, func() { found = f.Near(m.ctx, key) })
		if c.seen = m.see(found); len(found) > 0 { // else it does not know
			c.what = looks
		}
	}
}

// see returns what is shown, and verifies that.
func (m *mix) see(found []*store.Record) (seen []sight) {
	for _, r := range found {
		head, _ := strconv.Atoi(r.Header.Get("Head"))
		seen = append(seen, sight{r.ID, head, r.Size})
		if r.Header.Get("Etag") != etag(r.ID) {
			m.errorf("record %v of %s has the head of %s", r.ID, short(r.Key), r.Header.Get("Etag"))
		}
		if r.Body != nil {
			m.sameBytes("Record.Body", r.Body, bodyOf(r.Key, r.ID, int(r.Size)))
		}
	}
	return seen
}

func urlOf(key store.Key) string { return "https://example.com/" + string(key[:1]) }

// withHead gives r another head, and returns its number.
func (m *mix) withHead(r *store.Record) int {
	head := int(m.heads.Add(1))
	r.URL = urlOf(r.Key)
	r.Header = http.Header{"Etag": {etag(r.ID)}, "Head": {strconv.Itoa(head)}}
	r.Tags = []string{"all"}
	if odd(head) {
		r.Tags = append(r.Tags, "odd")
	}
	r.KeepUntil = base.Add(24 * time.Hour)
	if ended(head) { // not so long ago that a database has removed the body of one that an Update keeps
		r.KeepUntil = base.Add(-time.Minute)
	}
	return head
}

// add stores a record in the place of others, or gives that up before Commit.
func (m *mix) add(s store.Store, key store.Key, superseded []store.ID) {
	r := m.record(key)
	c := &call{what: commits, key: key, id: r.ID, head: m.withHead(r), ids: superseded}
	c.size = []int{0, 10, 10, 1000, 40_000, 150_000}[rand.IntN(6)]
	r.Size = []int64{-1, int64(c.size)}[rand.IntN(2)]
	w, err := s.Create(m.ctx, r)
	if err == nil {
		defer m.close(w)
		_, err = w.Write(bodyOf(key, r.ID, c.size))
	}
	if err == nil && rand.IntN(8) > 0 {
		r.Size = int64(c.size)
		m.history.during(c, func() { err = w.Commit(r, superseded...) })
		if err != nil {
			c.what, c.head = "", 0
		}
	}
	m.wantDone("store a record", err)
}

// wantDone fails if err is there, and not because of a limit.
func (m *mix) wantDone(what string, err error) {
	if err != nil && !(m.evicts && errors.Is(err, store.ErrTooLarge)) {
		m.errorf("%s: %v", what, err)
	}
}

// change gives r another head.
func (m *mix) change(s store.Store, r *store.Record) {
	r = r.Clone()
	head := m.withHead(r)
	for ended(head) { // two of these at once may leave an index that ends before the record
		head = m.withHead(r)
	}
	var err error
	c := &call{what: updates, key: r.Key, id: r.ID, head: head}
	m.history.during(c, func() { err = s.Update(m.ctx, r) })
	if c.gone = errors.Is(err, store.ErrNotFound); !c.gone && err != nil {
		c.what, c.head = "", 0
		m.wantDone("Update", err)
	}
}

// remove removes these records of key; none named: all.
func (m *mix) remove(s store.Store, key store.Key, ids ...store.ID) {
	m.history.during(&call{what: deletes, key: key, ids: ids}, func() { m.delete(s, key, ids...) })
}

func (m *mix) sweep(s store.Store) {
	if w, ok := store.As[store.Sweeper](s); ok {
		m.history.during(&call{what: sweeps}, func() {
			if _, err := w.Sweep(m.ctx, base); err != nil {
				m.errorf("Sweep: %v", err)
			}
		})
	}
}

// list finds records in one of several ways.
func (m *mix) list(s store.Store, key store.Key) {
	f, ok := store.As[store.Finder](s)
	if !ok {
		return
	}
	c, q := &call{what: finds}, store.Query{}
	switch rand.IntN(5) {
	case 0:
		c.key, q.Key = key, key
	case 1:
		c.key, q.URL = key, urlOf(key)
	case 2:
		c.tag, q.Tag = "all", "all"
	case 3:
		c.tag, q.Tag = "odd", "odd"
	}
	var found []*store.Record
	m.history.during(c, func() {
		for r, err := range f.Find(m.ctx, q) {
			if err != nil {
				m.fatalf("Find: %v", err)
			}
			if !q.Match(r) {
				m.errorf("Find yields %v, which does not match", r.ID)
			}
			found = append(found, r)
		}
	})
	c.seen = m.see(found)
}

// read reads the body of r, which may be gone.
func (m *mix) read(s store.Store, r *store.Record) {
	var body []byte
	var err error
	c := &call{what: reads, key: r.Key, id: r.ID}
	m.history.during(c, func() { body, err = m.readAll(s, r) })
	switch {
	case err == nil:
		m.sameBytes("the body", body, bodyOf(r.Key, r.ID, int(r.Size)))
	case gone(err):
		c.gone = true
	default:
		m.errorf("read the body: %v", err)
	}
}
