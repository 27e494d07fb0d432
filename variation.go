package larder

import (
	"context"
	"maps"
	"net/http"
	"slices"

	"github.com/larder-go/larder/rfc9111"
	"github.com/larder-go/larder/store"
)

// noVarySearch is the field by which a response says that it answers other queries, too. Such a response is stored under
// a key with the canonical query and the variation itself, so that it never equals the own key of a URL. Notes say which
// variations a URL without query has, so that a request with any query finds the keys.
const noVarySearch = "No-Vary-Search"

// varies reports whether x may be answered with what is stored for another query: not if a rule or Cache.Key says which
// queries are the same, and not if a shared cache keeps spellings of the path apart.
func (c *Cache) varies(x *exchange) bool {
	return (x.rr.Method == http.MethodGet || x.rr.Method == http.MethodHead) && x.content == "" && !x.rule.readsQuery() &&
		!(c.Shared && x.target.oddPath) && c.customKey(x.req) == ""
}

// variationOf returns the queries that the response to x answers, by its stored header; nil: its own only. It is nil as
// well if the URL has so many variations that no request would look for one more.
func (c *Cache) variationOf(x *exchange, stored http.Header) *rfc9111.Variation {
	if stored[noVarySearch] == nil || !c.varies(x) {
		return nil
	}
	v, ok := rfc9111.ParseNoVarySearch(stored[noVarySearch])
	if !ok || len(v.String()) > maxVariation {
		return nil
	}
	all, _ := c.notes.known(x.target.base(), x.now)
	if len(all) >= maxNotes && !slices.ContainsFunc(all, func(n note) bool { return n.value == v.String() }) {
		return nil
	}
	return v
}

// variedKey returns the key of a response to x with the variation v.
func (c *Cache) variedKey(x *exchange, v *rfc9111.Variation) store.Key {
	t := target{url: x.target.url, keyURL: withQuery(x.target.base(), v.Canonical(x.req.URL.RawQuery), false), variation: v.String()}
	return c.key(x.req, x.rule, x.ask, t, "")
}

// variedKeys returns the keys other than its own under which a response for x may be stored, by variation.
func (c *Cache) variedKeys(ctx context.Context, x *exchange) map[string]store.Key {
	if x.troubled || !c.varies(x) {
		return nil
	}
	var keys map[string]store.Key
	for _, n := range c.notesOf(ctx, x) {
		if n.variation != nil {
			if keys == nil {
				keys = make(map[string]store.Key)
			}
			keys[n.value] = c.variedKey(x, n.variation)
		}
	}
	return keys
}

// allKeys returns the keys under which a response for x may be stored, its own first.
func (c *Cache) allKeys(ctx context.Context, x *exchange) []store.Key {
	return slices.AppendSeq([]store.Key{x.key}, maps.Values(c.variedKeys(ctx, x)))
}

// equivalents adds to records, which are stored for x's own URL, the records for other queries that answer x, too.
func (c *Cache) equivalents(ctx context.Context, x *exchange, records []*store.Record) ([]*store.Record, error) {
	keys := c.variedKeys(ctx, x)
	if len(keys) == 0 {
		return records, nil
	}
	all := slices.Clone(records)
	for variation, key := range keys {
		more, err := c.lookupUnder(ctx, x, key)
		if err != nil {
			return nil, err
		}
		for _, r := range more {
			if c.readingOf(r).variation == variation { // a 304 may have changed it
				all = append(all, r)
			}
		}
	}
	slices.SortFunc(all, func(a, b *store.Record) int { return b.ID.Compare(a.ID) })
	return all, nil
}
