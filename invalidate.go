package larder

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"sync"

	"github.com/larder-go/larder/rfc9111"
	"github.com/larder-go/larder/store"
)

// invalidate removes what an unsafe request has changed (RFC 9111 §4.4), and the members of the cache groups that its
// response names or that the removed responses were in (RFC 9875 §2.2.1 and §3). It leaves alone the other groups of
// those members, and the request's own flight, if it has one.
func (c *Cache) invalidate(x *exchange, resp *http.Response, own *flight) {
	if x.rule.Methods != nil && x.rule.methodAllowed(x.rr.Method) {
		return // a rule says that it changes nothing
	}
	groups := x.groupTags(rfc9111.InvalidatedGroups(&x.rr, resp.Header))
	presented := x.presented()
	for _, u := range rfc9111.Invalidates(&presented, resp.StatusCode, resp.Header) {
		get, err := c.getFor(x, u)
		if err != nil {
			continue
		}
		ctx := get.req.Context()
		c.flights.outdate(get.key, get.target.url, own)
		groups = c.removeFor(ctx, get, groups)
		if twin := c.twinOf(get); twin.key != get.key {
			groups = c.removeFor(ctx, twin, groups)
		}
		if len(get.rule.KeyHeaders) > 0 || get.target.spelling != "" { // there may be several keys
			groups = c.removeListed(ctx, get, store.Query{URL: get.target.url}, groups)
		}
	}
	c.removeGroups(x, groups, own)
}

// presented returns the request with the URL that the origin sees: with the host of the Host field (RFC 9110 §7.1).
func (x *exchange) presented() rfc9111.Request {
	rr := x.rr
	if x.req.Host != "" && x.req.Host != x.req.URL.Host {
		u := *rr.URL
		u.Host, rr.URL = x.req.Host, &u
	}
	return rr
}

// getFor returns the GET request for u, a URL of x's origin, as the sender of x would send it.
func (c *Cache) getFor(x *exchange, u string) (*exchange, error) {
	req, err := http.NewRequestWithContext(context.WithoutCancel(x.req.Context()), http.MethodGet, u, nil)
	if err != nil {
		return nil, err
	}
	req.Header, req.Host = x.req.Header, x.req.Host
	req.URL.Host, req.URL.User = x.req.URL.Host, x.req.URL.User
	path := normalPath(req.URL)
	get := &exchange{req: req, send: req, now: x.now, ask: x.ask, rule: ruleFor(c.rules.Load().rules, http.MethodGet, req.URL, path)}
	get.target = newTarget(req.URL, path, get.rule)
	get.key = c.key(req, get.rule, x.ask, get.target, "")
	get.header = get.rule.selectable(req.Header)
	get.rr = rfc9111.Request{Method: http.MethodGet, URL: req.URL, Header: get.header}
	return get, nil
}

// twinOf returns get without its TTL, or with one if it has none. In a shared cache the two may have different keys.
func (c *Cache) twinOf(get *exchange) *exchange {
	twin := *get
	if twin.ask = (ask{ttl: Forever}); get.rule.ttl(get.ask, http.StatusOK, get.now) > 0 {
		twin.ask = ask{}
	}
	twin.key = c.key(twin.req, twin.rule, twin.ask, twin.target, "")
	return &twin
}

// removeFor removes what is stored for x's URL and for the URLs that mean the same, and, for every user, what the URL's
// notes lead to. It returns groups with the cache groups of all that, except those of responses to other methods.
func (c *Cache) removeFor(ctx context.Context, x *exchange, groups []string) []string {
	for _, key := range c.allKeys(ctx, x) {
		records, _ := c.lookupUnder(ctx, x, key)
		groups = appendGroups(groups, records)
		c.remove(ctx, x, key)
	}
	var others []store.Query
	for _, n := range c.notesOf(ctx, x) {
		if n.variation == nil {
			path := normalPath(x.req.URL)
			asked := newTarget(x.req.URL, path, ruleFor(c.rules.Load().rules, n.value, x.req.URL, path))
			q := store.Query{URL: asked.url, Filter: func(r *store.Record) bool { return r.Method == n.value }}
			if n.value == http.MethodGet {
				groups = c.removeListed(ctx, x, q, groups)
			} else {
				others = append(others, q)
			}
		}
	}
	c.removeMeant(x, others...)
	if x.troubled { // the store may hold more than could be found
		c.owed.add(c.now(), debt{base: x.target.base()})
	}
	return groups
}

// removeListed removes what q matches, as far as the store can list it in its time. It returns groups with the cache
// groups of that.
func (c *Cache) removeListed(ctx context.Context, x *exchange, q store.Query, groups []string) []string {
	finder, ok := store.As[store.Finder](c.store)
	if !ok {
		return groups
	}
	if !c.mayUse(x) {
		c.owe(q)
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
	c.findFailed(x, q, err)
	for _, r := range found {
		c.remove(ctx, x, r.Key, r.ID)
	}
	return appendGroups(groups, found)
}

// findFailed reports that the store failed to find what must be removed. A slow Find is no reason to leave the store
// alone: some stores read all that they hold.
func (c *Cache) findFailed(x *exchange, q store.Query, err error) {
	if err != nil {
		c.owe(q)
	}
	if errors.Is(err, errStoreSlow) {
		c.emit(Event{Kind: StoreFailed, Method: x.rr.Method, URL: x.target.url, Op: "delete", Err: err})
		return
	}
	c.failed("delete", x, err)
}

// owe notes that the store did not remove what q, which names a tag or a URL, matches.
func (c *Cache) owe(q store.Query) { c.owed.add(c.now(), debt{url: q.URL, tag: q.Tag}) }

// removeMeant removes what the queries match, since x has made it invalid. It returns when that is done, or x's caller
// has left. In a store that is no Finder it stays.
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
				enough := true
				for q := range todo {
					if !enough || !c.mayUse(x) {
						c.owe(q)
						continue
					}
					enough = c.removeFound(ctx, finder, x, q)
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

// findsAtOnce is how many Finds for an unsafe request run at once: several on a distant store, whose answers take long.
func (c *Cache) findsAtOnce() int {
	if c.localStore {
		return 1
	}
	return 8
}

// removeFound removes every record that q matches. It returns false if the store was too slow to find them.
func (c *Cache) removeFound(ctx context.Context, finder store.Finder, x *exchange, q store.Query) bool {
	removing := false
	err := c.eachFound(ctx, finder, q, func(r *store.Record) error {
		removing = true
		if err := c.within(ctx, func(ctx context.Context) error { return c.store.Delete(ctx, r.Key, r.ID) }); err != nil {
			return err
		}
		removing = false
		c.emit(Event{Kind: Invalidated, Method: x.rr.Method, URL: r.URL})
		return nil
	})
	if removing {
		c.failed("delete", x, err)
		c.owe(q)
		return true
	}
	c.findFailed(x, q, err)
	return !errors.Is(err, errStoreSlow)
}

// eachFound calls do with each response that q matches, until one fails. A distant store gets StoreTimeout for each.
func (c *Cache) eachFound(ctx context.Context, finder store.Finder, q store.Query, do func(*store.Record) error) error {
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
			return err
		}
		if err := do(r); err != nil {
			return err
		}
	}
}

// remove deletes the records with ids under key, without ids all, because an unsafe request or a filter made them
// invalid.
func (c *Cache) remove(ctx context.Context, x *exchange, key store.Key, ids ...store.ID) {
	err := errStoreRests
	if c.mayUse(x) {
		err = c.within(ctx, func(ctx context.Context) error { return c.store.Delete(ctx, key, ids...) })
		c.failed("delete", x, err)
	}
	if err != nil {
		c.owed.add(c.now(), debt{key: key})
		return
	}
	c.emit(Event{Kind: Invalidated, Method: x.rr.Method, URL: x.target.url})
}
