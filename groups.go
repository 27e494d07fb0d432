package larder

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/larder-go/larder/rfc9111"
	"github.com/larder-go/larder/store"
)

// groupTag begins the tags of the members of a cache group (RFC 9875), behind which stand the origin, a slash and the
// group's name; no rule may use such a tag.
const groupTag = "cache-group:"

// What of the groups that a response names is heeded; RFC 9875 §2 wants 32 of 32 characters at least.
const (
	maxGroups    = 128
	maxGroupName = 256
)

// groupTags returns the tags of groups of the origin that x asks.
func (x *exchange) groupTags(names []string) []string {
	if len(names) == 0 {
		return nil
	}
	u := &url.URL{Scheme: x.req.URL.Scheme, Host: cmp.Or(x.req.Host, x.req.URL.Host)}
	origin := groupTag + strings.ToLower(u.Scheme) + "://" + normalHost(u) + "/"
	tags := make([]string, 0, min(len(names), maxGroups))
	for _, name := range names {
		if len(name) <= maxGroupName && len(tags) < maxGroups {
			tags = append(tags, origin+name)
		}
	}
	return tags
}

func isGroupTag(tag string) bool { return strings.HasPrefix(tag, groupTag) }

// withGroups returns tags with those of the groups that the stored header names in the place of any they have.
func (x *exchange) withGroups(tags []string, stored http.Header) []string {
	had := slices.ContainsFunc(tags, isGroupTag)
	names := rfc9111.Groups(stored["Cache-Groups"])
	if !had && len(names) == 0 {
		return tags
	}
	return append(slices.DeleteFunc(slices.Clone(tags), isGroupTag), x.groupTags(names)...)
}

// appendGroups adds the tags of the groups that the records are in.
func appendGroups(tags []string, records []*store.Record) []string {
	for _, r := range records {
		for _, tag := range r.Tags {
			if isGroupTag(tag) && !slices.Contains(tags, tag) {
				tags = append(tags, tag)
			}
		}
	}
	return tags
}

// removeGroups removes what is stored with one of these tags, of every user, since x has made the groups invalid; its
// own flight is left alone.
func (c *Cache) removeGroups(x *exchange, tags []string, own *flight) {
	if len(tags) == 0 {
		return
	}
	c.flights.outdateGroups(string(appendBase(nil, x.req.URL, "/")), tags, own)
	queries := make([]store.Query, len(tags))
	for i, tag := range tags {
		queries[i].Tag = tag
	}
	c.removeMeant(x, queries...)
}

// removeListed removes what q means, as far as the store can tell within its time, and returns the cache groups that it
// was in, added to groups.
func (c *Cache) removeListed(ctx context.Context, x *exchange, q store.Query, groups []string) []string {
	finder, ok := store.As[store.Finder](c.store)
	if !ok || !c.mayUse(x) {
		return groups
	}
	var found []*store.Record
	err := c.within(ctx, func(ctx context.Context) error {
		for r, err := range finder.Find(ctx, withoutNotes(q)) {
			if err == nil {
				found = append(found, r)
			} else if !errors.Is(err, store.ErrCorrupt) {
				return err
			}
		}
		return nil
	})
	c.notFound(x, err)
	for _, r := range found {
		c.remove(ctx, x, r.Key, r.ID)
	}
	return appendGroups(groups, found)
}

// notFound tells that the store failed to find what is to be removed. To be slow at that is no reason to leave it
// alone: some have to read all that they hold.
func (c *Cache) notFound(x *exchange, err error) {
	if errors.Is(err, errStoreSlow) {
		c.emit(Event{Kind: StoreFailed, Method: x.rr.Method, URL: x.target.url, Op: "delete", Err: err})
		return
	}
	c.failed("delete", x, err)
}

// removeMeant removes what the queries mean, since x has made it invalid. It returns when that is done, or x's caller
// has gone. A store that cannot list what it holds keeps it.
func (c *Cache) removeMeant(x *exchange, queries ...store.Query) {
	finder, ok := store.As[store.Finder](c.store)
	if !ok || len(queries) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.req.Context()), c.refreshTimeout())
	stop := context.AfterFunc(c.abandoned, cancel)
	done := make(chan struct{})
	c.background.run(func() {
		defer close(done)
		defer cancel()
		defer stop()
		todo := make(chan store.Query, len(queries))
		for _, q := range queries {
			todo <- q
		}
		close(todo)
		var all sync.WaitGroup
		for range min(c.findsAtOnce(), len(queries)) {
			all.Go(func() {
				for q := range todo {
					if !c.mayUse(x) || !c.removeFound(ctx, finder, x, q) {
						return
					}
				}
			})
		}
		all.Wait()
	})
	select {
	case <-done:
	case <-x.req.Context().Done():
	}
}

// findsAtOnce is how many of the queries of an unsafe request the store is asked at once: a distant one several, since
// its answers are long in coming.
func (c *Cache) findsAtOnce() int {
	if c.localStore {
		return 1
	}
	return 8
}

// removeFound removes every record that q means. A distant store gets its time for each, not for all together. It
// returns false if that was not enough.
func (c *Cache) removeFound(ctx context.Context, finder store.Finder, x *exchange, q store.Query) bool {
	within := c.bounds(ctx)
	defer within.end()
	next, stop := iter.Pull2(finder.Find(within.ctx, withoutNotes(q)))
	defer stop()
	for {
		var r *store.Record
		var more bool
		err := within.call(func() (err error) { r, err, more = next(); return err })
		switch {
		case errors.Is(err, store.ErrCorrupt) && more:
			continue
		case err != nil || !more:
			c.notFound(x, err)
			return !errors.Is(err, errStoreSlow)
		}
		if err := c.within(ctx, func(ctx context.Context) error { return c.store.Delete(ctx, r.Key, r.ID) }); err != nil {
			c.failed("delete", x, err)
			return true
		}
		c.emit(Event{Kind: Invalidated, Method: x.rr.Method, URL: r.URL})
	}
}
