package larder

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/larder-go/larder/rfc9111"
	"github.com/larder-go/larder/store"
)

// A note is a record without a response. It says that responses for a URL without query are stored under keys that
// cannot be computed from the URL alone. It is written before them and kept longer: a superfluous note costs a lookup, a
// missing one hides responses. An origin whose URLs have notes has one itself, written first, so that no notes are
// looked for at other origins. Entries does not show notes.
type note struct {
	value     string             // a variation as text, or a method whose responses are stored
	variation *rfc9111.Variation // of No-Vary-Search; nil: the value is a method
	id        store.ID
	keep      time.Time // zero: for ever
}

// notes remembers the notes of some URLs, also that there are none.
type notes struct {
	mu sync.Mutex
	of map[string]*noted // by URL without query
}

type noted struct {
	at  time.Time // when they were looked up
	all []note
}

const (
	maxNoted     = 4096        // URLs whose notes are remembered
	maxNotes     = 8           // of one URL; more only if they are taken at the same moment
	maxVariation = 1 << 10     // bytes of a variation as text
	noteAge      = time.Minute // after that they are looked up again, for notes of other processes, and to keep them in use
)

// errNoted is why a response is not stored if its URL has too many notes.
var errNoted = fmt.Errorf("its URL had too many values of No-Vary-Search: %w", store.ErrTooLarge)

func noteKey(base string) store.Key {
	return store.Key(appendField([]byte{keyVersion}, keyNote, base))
}

func isNote(key store.Key) bool { return len(key) > 1 && key[1] == keyNote }

// withoutNotes returns q without notes, which may have the same URL as responses.
func withoutNotes(q store.Query) store.Query {
	meant := q.Filter
	q.Filter = func(r *store.Record) bool { return !isNote(r.Key) && (meant == nil || meant(r)) }
	return q
}

// anyNote is the value of an origin's own note, which says that its URLs have notes.
const anyNote = "*"

// originOf returns the scheme and host with which a URL begins.
func originOf(base string) string {
	if i := strings.Index(base, "://"); i >= 0 {
		if j := strings.IndexByte(base[i+3:], '/'); j >= 0 {
			return base[:i+3+j]
		}
	}
	return base
}

// base returns the URL without its query.
func (t *target) base() string {
	base, _, _ := strings.Cut(t.url, "?")
	return base
}

func (n *notes) known(base string, now time.Time) (all []note, fresh bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	of := n.of[base]
	if of == nil {
		return nil, false
	}
	age := now.Sub(of.at)
	return of.all, 0 <= age && age < noteAge
}

// at returns what is remembered of a URL; nil: nothing.
func (n *notes) at(base string) *noted {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.of[base]
}

// found remembers the result of a lookup. It does nothing if before, which was remembered when the lookup began, no
// longer is: the lookup may have come too early for a note that was taken since.
func (n *notes) found(base string, all []note, now time.Time, before *noted) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.of[base] == before {
		n.remember(base, all, now)
	}
}

// taken remembers a new note, in place of one with the same value, beside the notes that are remembered of the URL or,
// if nothing is, beside all.
func (n *notes) taken(base string, one note, all []note, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if of := n.of[base]; of != nil {
		all = of.all
	}
	kept := slices.DeleteFunc(slices.Clone(all), func(old note) bool { return old.value == one.value })
	n.remember(base, append(kept, one), now)
}

// remember is called with n.mu held.
func (n *notes) remember(base string, all []note, now time.Time) {
	if n.of == nil {
		n.of = make(map[string]*noted)
	}
	if n.of[base] == nil && len(n.of) >= maxNoted {
		for some := range n.of {
			delete(n.of, some)
			break
		}
	}
	n.of[base] = &noted{now, all}
}

// doubt makes what is remembered of a URL so old that it is looked up again.
func (n *notes) doubt(base string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, at := range [...]string{base, originOf(base)} {
		if of := n.of[at]; of != nil {
			of.at = time.Time{}
		}
	}
}

func (n *notes) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.of = nil
}

// notesOf returns the notes of x's URL.
func (c *Cache) notesOf(ctx context.Context, x *exchange) []note {
	base := x.target.base()
	if all, fresh := c.notes.known(base, c.now()); fresh {
		return all
	}
	if len(c.notesAt(ctx, x, originOf(base))) == 0 {
		return nil
	}
	return c.notesAt(ctx, x, base)
}

// notesAt returns the notes of a URL without query, or of an origin.
func (c *Cache) notesAt(ctx context.Context, x *exchange, base string) []note {
	now := c.now()
	all, fresh := c.notes.known(base, now)
	if fresh {
		return all
	}
	before := c.notes.at(base)
	records, err := c.lookupUnder(ctx, x, noteKey(base))
	if err != nil || ctx.Err() != nil || x.troubled && len(records) == 0 {
		return all // there may be more, so nothing is remembered
	}
	all = nil
	for _, r := range records {
		n := note{value: r.Method, id: r.ID, keep: r.KeepUntil}
		if lines := r.Header[noVarySearch]; len(lines) > 0 {
			var ok bool
			if n.variation, ok = rfc9111.ParseNoVarySearch(lines); !ok {
				continue
			}
			n.value = n.variation.String()
		}
		all = append(all, n)
	}
	c.notes.found(base, all, now, before)
	return all
}

// keepNotes keeps the notes of x's URL in use, so that a store with a limit does not drop them while the responses that
// they lead to are used.
func (c *Cache) keepNotes(x *exchange) {
	if _, fresh := c.notes.known(x.target.base(), c.now()); fresh {
		return
	}
	own := x.brief()
	own.key = noteKey(x.target.base())
	c.background.run(func() { c.notesOf(c.abandoned, own) })
}

// takeNote makes sure that the store has the note for a record that is kept until keepUntil.
func (c *Cache) takeNote(ctx context.Context, x *exchange, n note, keepUntil time.Time) error {
	base := x.target.base()
	if err := c.takeNoteAt(ctx, x, originOf(base), note{value: anyNote}, keepUntil); err != nil {
		return err
	}
	return c.takeNoteAt(ctx, x, base, n, keepUntil)
}

func (c *Cache) takeNoteAt(ctx context.Context, x *exchange, base string, n note, keepUntil time.Time) error {
	all := c.notesAt(ctx, x, base)
	i := slices.IndexFunc(all, func(old note) bool { return old.value == n.value })
	switch {
	case i >= 0 && (all[i].keep.IsZero() || !keepUntil.IsZero() && !all[i].keep.Before(keepUntil)):
		return nil
	case i < 0 && len(all) >= maxNotes:
		return errNoted
	}
	var superseded []store.ID
	if i >= 0 {
		superseded = append(superseded, all[i].id)
	}
	now := c.now()
	if n.id = store.NewID(now); !keepUntil.IsZero() {
		n.keep = keepUntil.Add(c.keepStale()) // so that it is seldom written again
	}
	r := &store.Record{Key: noteKey(base), ID: n.id, Head: store.Head{URL: base, Received: now}, KeepUntil: n.keep}
	if n.variation == nil {
		r.Method = n.value
	} else {
		r.Header = http.Header{noVarySearch: {n.value}}
	}
	if err := c.putNote(ctx, r, superseded); err != nil {
		return err
	}
	if x.troubled { // there may be more: they are looked up again
		now = time.Time{}
	}
	c.notes.taken(base, n, all, now)
	return nil
}

func (c *Cache) putNote(ctx context.Context, r *store.Record, superseded []store.ID) error {
	writing := c.bounds(ctx)
	defer writing.end()
	var w store.Writer
	err := writing.call(func() (err error) { w, err = c.store.Create(writing.ctx, r); return err })
	if err != nil {
		return err
	}
	defer w.Close()
	return writing.call(func() error { return w.Commit(r, superseded...) })
}

// noted reports whether the response to x is stored under a key that cannot be computed from the URL alone, because it
// depends on the request's content or on the spelling of the URL.
func (c *Cache) noted(x *exchange) bool {
	return x.rr.Method != http.MethodGet && x.rr.Method != http.MethodHead || x.content != "" ||
		c.Shared && x.target.spelling != "" && c.customKey(x.req) == ""
}

// noteFor returns the note that r needs, a response to x.
func (d *download) noteFor(r *store.Record) (n note, needed bool) {
	switch {
	case r.Key != d.x.key:
		v, _ := rfc9111.ParseNoVarySearch(r.Header[noVarySearch])
		return note{value: v.String(), variation: v}, true
	case d.noted:
		return note{value: d.x.rr.Method}, true
	}
	return note{}, false
}
