package larder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"

	"github.com/larder-go/larder/rfc9111"
	"github.com/larder-go/larder/store"
)

// ErrUnsupported says that the store does not have the optional interface that a call needs.
var ErrUnsupported = errors.New("the store can't do that")

// Entries yields the stored responses that q matches, without their bodies, in no particular order. The records are
// read-only. A damaged one is yielded as an error that wraps store.ErrCorrupt, and the listing goes on; any other error
// ends it. q.URL is normalised as the URL of a GET request is.
func (c *Cache) Entries(ctx context.Context, q store.Query) iter.Seq2[*store.Record, error] {
	c.start()
	return c.find(ctx, withoutNotes(q))
}

// find is Entries, and yields notes as well.
func (c *Cache) find(ctx context.Context, q store.Query) iter.Seq2[*store.Record, error] {
	finder, ok := store.As[store.Finder](c.store)
	if !ok {
		return func(yield func(*store.Record, error) bool) {
			yield(nil, fmt.Errorf("larder: list %T, which is not a store.Finder: %w", c.store, ErrUnsupported))
		}
	}
	if q.URL != "" {
		u, err := c.NormalURL(q.URL)
		if err != nil {
			return func(yield func(*store.Record, error) bool) { yield(nil, err) }
		}
		q.URL = u
	}
	return finder.Find(ctx, q)
}

// Purge removes the stored responses that q matches, and returns how many. The zero Query empties the cache. A response
// that is on its way from the origin may be stored afterwards. For a minute after the cache was emptied, another
// process may store responses that unsafe requests do not find, such as those to requests with content.
func (c *Cache) Purge(ctx context.Context, q store.Query) (removed int, err error) {
	c.start()
	if !meansAll(&q) {
		return c.purge(ctx, c.Entries(ctx, q))
	}
	removed, err = c.purge(ctx, c.find(ctx, q))
	c.notes.forget()
	if err != nil {
		return removed, err
	}
	more, err := c.purge(ctx, c.Entries(ctx, q)) // what was stored meanwhile may have lost its note
	return removed + more, err
}

// purge removes what is found, and returns how many responses that were.
func (c *Cache) purge(ctx context.Context, found iter.Seq2[*store.Record, error]) (removed int, err error) {
	const batch = 256
	ids := make(map[store.Key][]store.ID)
	n := 0
	flush := func() error {
		for key, of := range ids {
			if err := c.store.Delete(ctx, key, of...); err != nil {
				return fmt.Errorf("larder: purge: %w", err)
			}
			if !isNote(key) {
				removed += len(of)
			}
		}
		clear(ids)
		n = 0
		return nil
	}
	for r, err := range found {
		if errors.Is(err, store.ErrCorrupt) {
			continue // the store removes it by itself
		}
		if err != nil {
			return removed, err
		}
		ids[r.Key] = append(ids[r.Key], r.ID)
		if n++; n == batch {
			if err := flush(); err != nil {
				return removed, err
			}
		}
	}
	return removed, flush()
}

func meansAll(q *store.Query) bool {
	return q.Key == "" && q.ID == store.ID{} && q.URL == "" && q.Prefix == "" && q.Host == "" && q.Tag == "" && q.Stale.IsZero() &&
		q.Ended.IsZero() && q.Before.IsZero() && q.Filter == nil && q.Limit == 0
}

// Delete removes all responses to requests like req for the same user, in every variant; GET and HEAD count as one. A
// response that is on its way from the origin is not stored.
func (c *Cache) Delete(ctx context.Context, req *http.Request) error {
	x, err := c.exchangeFor(req)
	if err != nil {
		return err
	}
	c.flights.outdate(x.key, x.target.url, nil)
	for _, key := range c.allKeys(ctx, x) {
		if err := c.store.Delete(ctx, key); err != nil {
			return fmt.Errorf("larder: delete %s: %w", x.target.url, err)
		}
	}
	if x.troubled {
		return fmt.Errorf("larder: delete %s: the store failed to tell under which keys there is more", x.target.url)
	}
	return nil
}

// Lookup returns the stored responses to requests like req for the same user, fresh or not, every variant,
// newest first.
func (c *Cache) Lookup(ctx context.Context, req *http.Request) ([]*store.Record, error) {
	x, err := c.exchangeFor(req)
	if err != nil {
		return nil, err
	}
	return c.storedFor(ctx, x)
}

// Has reports whether req could be answered from the store now, without asking the origin.
func (c *Cache) Has(ctx context.Context, req *http.Request) (bool, error) {
	e, err := c.Explain(ctx, req)
	return err == nil && (e.Verdict.Action == rfc9111.Serve || e.Verdict.Action == rfc9111.ServeAndRefresh), err
}

// Body opens the body of a record that Lookup or Entries returned.
func (c *Cache) Body(ctx context.Context, r *store.Record) (io.ReadSeekCloser, error) {
	c.start()
	if r.Body != nil || r.Size == 0 {
		return nopSeekCloser{bytes.NewReader(r.Body)}, nil
	}
	body, err := c.store.Open(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("larder: open the body of %s: %w", r.URL, err)
	}
	return body, nil
}

// prepared prepares a request that is not going to be sent. It returns why, if the cache takes no part in it.
func (c *Cache) prepared(req *http.Request) (x *exchange, why string, err error) {
	c.start()
	set := c.rules.Load()
	if set.err != nil {
		return nil, "", set.err
	}
	x = &exchange{req: req, send: req, now: c.now(), ask: asked(req.Context())}
	why = c.prepare(x, set.rules)
	if x.send != req {
		req.Body, req.GetBody = x.send.Body, x.send.GetBody
	}
	return x, why, nil
}

// exchangeFor is prepared for a request that the cache has to take part in.
func (c *Cache) exchangeFor(req *http.Request) (*exchange, error) {
	x, why, err := c.prepared(req)
	if err == nil && why != "" {
		err = fmt.Errorf("larder: %s %s is not cached: %s", x.rr.Method, x.target.url, why)
	}
	return x, err
}

// storedFor returns what is stored for x, also for other queries that it says are the same.
func (c *Cache) storedFor(ctx context.Context, x *exchange) ([]*store.Record, error) {
	records, err := c.store.Lookup(ctx, x.key)
	if err == nil {
		records, err = c.equivalents(ctx, x, records)
	}
	if err != nil {
		err = fmt.Errorf("larder: look up %s: %w", x.target.url, err)
	}
	return records, err
}

// NormalURL returns a URL as it is stored for a GET request: normalised, by the rule that applies to it.
func (c *Cache) NormalURL(rawURL string) (string, error) {
	c.start()
	u, err := url.Parse(rawURL)
	if err != nil {
		return "", fmt.Errorf("larder: %w", err)
	}
	if u.Host == "" {
		return "", fmt.Errorf("larder: URL %q: want http://host/path or https://host/path", rawURL)
	}
	path := normalPath(u)
	return newTarget(u, path, ruleFor(c.rules.Load().rules, http.MethodGet, u, path)).url, nil
}

// MatchURL returns a filter for Query.Filter that is true for records whose URL the pattern matches; see Rule.Match.
func MatchURL(match string) (func(*store.Record) bool, error) {
	p, err := parsePattern(match)
	if err != nil {
		return nil, err
	}
	return func(r *store.Record) bool {
		u, err := url.Parse(r.URL)
		return err == nil && p.match(u, normalPath(u))
	}, nil
}

// Sweep removes responses past their KeepUntil and what exceeds the store's limit, and returns how many responses it
// removed. It does nothing with a store that needs no sweeping (no store.Sweeper).
func (c *Cache) Sweep(ctx context.Context) (removed int, err error) {
	c.start()
	sweeper, ok := store.As[store.Sweeper](c.store)
	if !ok {
		return 0, nil
	}
	removed, err = sweeper.Sweep(ctx, c.now())
	if err != nil {
		err = fmt.Errorf("larder: sweep: %w", err)
	}
	return removed, err
}

// Size returns how many records are stored, and how many bytes they take: responses, and the small notes that lead to
// some of them.
func (c *Cache) Size(ctx context.Context) (records int, bytes int64, err error) {
	c.start()
	sizer, ok := store.As[store.Sizer](c.store)
	if !ok {
		return 0, 0, fmt.Errorf("larder: size of %T: %w", c.store, ErrUnsupported)
	}
	if records, bytes, err = sizer.Size(ctx); err != nil {
		err = fmt.Errorf("larder: size: %w", err)
	}
	return records, bytes, err
}
