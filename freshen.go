package larder

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/larder-go/larder/rfc9111"
	"github.com/larder-go/larder/store"
)

// notModified freshens the stored responses that the origin's 304 validates (RFC 9111 §4.3.4), and settles f with the
// selected one. It returns false if the 304 validates nothing that is stored.
func (c *Cache) notModified(f *flight, x *exchange, resp *http.Response, requested time.Time) bool {
	now := c.now()
	said := c.parse(x, resp, requested, now)
	which := slices.DeleteFunc(rfc9111.Freshens(&said, x.stored, x.verdict.Index), func(i int) bool { return c.policy().Forbids(x.stored[i]) != 0 })
	if len(which) == 0 {
		return false
	}
	// Of several with the same entity tag, only those that the request selects are freshened (RFC 9111 §4.3.4).
	if able := slices.DeleteFunc(slices.Clone(which), func(i int) bool { return !rfc9111.Selects(x.records[i].Selecting, x.header) }); len(able) > 0 {
		which = able
	}
	drain(resp)
	all := make([]freshened, len(which))
	chosen := &all[0]
	for n, i := range which {
		all[n] = c.freshen(x, x.records[i], resp.Header, requested, now)
		if i == x.verdict.Index {
			chosen = &all[n]
		}
	}
	if c.localStore {
		c.keepFresh(f, x, all)
	}
	f.settle(result{record: chosen.record, said: resp.Header, own: !chosen.storable, status: resp.StatusCode})
	if !c.localStore { // callers need not wait for that
		c.background.run(func() { c.keepFresh(f, x, all) })
	}
	return true
}

// keepFresh stores the freshened responses, and ends the flight. Those that must not be stored any more are removed when
// all who are answered with them have opened them.
func (c *Cache) keepFresh(f *flight, x *exchange, all []freshened) {
	var forbidden []*store.Record
	for _, fresh := range all {
		forbidden = append(forbidden, c.replace(f, x, fresh)...)
	}
	if len(forbidden) > 0 {
		f.whenLeft(func() {
			if c.localStore {
				c.removeAll(f.values, x, forbidden)
			} else {
				c.background.run(func() { c.removeAll(f.values, x, forbidden) })
			}
		})
	}
	c.land(f)
	f.cancel()
}

// replace stores what freshen has made in place of the old record. It returns the records to remove, because they forbid
// storing now. If it is the request that forbids storing, by no-store or Authorization, replace does nothing: what is
// stored came with another request (RFC 9111 §5.2.1.5, §3.5).
func (c *Cache) replace(f *flight, x *exchange, fresh freshened) (forbidden []*store.Record) {
	for _, part := range fresh.parts {
		forbidden = append(forbidden, c.replace(f, x, part)...)
	}
	switch {
	case fresh.parts != nil, x.rr.NoStore():
	case fresh.storable:
		c.renew(f, x, fresh.record)
	case !c.forOneUser(x, fresh.came):
		forbidden = append(forbidden, fresh.record)
	}
	return forbidden
}

// renew updates the stored record, unless the flight is outdated: then the record stays as old as it was. A record whose
// flight becomes outdated during the update is removed: whoever looked for it by the new header may have missed it.
func (c *Cache) renew(f *flight, x *exchange, r *store.Record) {
	if f.outdatedFor(r) {
		return
	}
	if c.update(f.ctx, x, r) == nil && f.outdatedFor(r) {
		c.remove(f.ctx, x, r.Key, r.ID)
	}
}

// forOneUser reports whether the only reason not to store r is that it is for the user who asked: the request has an
// Authorization (RFC 9111 §3.5), or r sets a cookie (§7.3).
func (c *Cache) forOneUser(x *exchange, r *rfc9111.Response) bool {
	if _, why := c.policy().Storable(&x.rr, r); why != rfc9111.Authorized && why != rfc9111.SetsCookie {
		return false
	}
	rr, other := x.rr, *r
	rr.Header, other.Header = maps.Clone(rr.Header), maps.Clone(r.Header)
	delete(rr.Header, "Authorization")
	delete(other.Header, "Set-Cookie")
	ok, _ := c.policy().Storable(&rr, rfc9111.Parse(other))
	return ok
}

func (c *Cache) removeAll(ctx context.Context, x *exchange, records []*store.Record) {
	for _, r := range records {
		c.remove(ctx, x, r.Key, r.ID)
	}
}

// freshened is a stored response that the origin has validated.
type freshened struct {
	record   *store.Record
	came     *rfc9111.Response // record before the rule withheld anything
	storable bool
	parts    []freshened // of an assembly, whose whole record is; nil: a single record
}

// freshen returns old with the header fields and times of a response that validates it. It keeps the values of said.
func (c *Cache) freshen(x *exchange, old *store.Record, said http.Header, requested, now time.Time) freshened {
	if a := c.readingOf(old).assembly; a != nil {
		fresh, whole := freshened{storable: true}, new(assembly)
		for _, old := range a.parts {
			part := c.freshen(x, old, said, requested, now)
			fresh.parts, whole.parts = append(fresh.parts, part), append(whole.parts, part.record)
			fresh.storable = fresh.storable && part.storable
		}
		c.combine(whole)
		fresh.record = whole.whole
		return fresh
	}
	r := old.Clone()
	header := c.policy().Freshen(old.Header, said)
	setDate(header, now)
	if said["Vary"] != nil && rfc9111.Selects(old.Selecting, x.header) { // it may name other fields now
		r.Selecting = c.selecting(header, x.header)
	}
	r.Header = x.rule.withhold(header)
	r.Tags = x.withGroups(old.Tags, r.Header)
	r.Requested, r.Received = requested, now
	if ttl := x.rule.ttl(x.ask, r.Status, now); ttl >= 0 {
		r.TTL = ttl
	}
	c.setTimes(r)
	fresh := freshened{record: r, came: c.asReceived(x, r, header)}
	fresh.storable, _ = c.policy().Storable(&x.rr, fresh.came)
	// With the later Date a weak Last-Modified would count as strong (RFC 9110 §8.8.2.2), and the part might be
	// combined with bytes of another version.
	if was := &c.readingOf(old).parsed; isPart(old) && rfc9111.Combinable(fresh.came, fresh.came) && !rfc9111.Combinable(was, was) {
		fresh.storable = false
	}
	return fresh
}

// byHead freshens or invalidates the stored response to GET by the response to HEAD (RFC 9111 §4.3.5).
func (c *Cache) byHead(f *flight, x *exchange, resp *http.Response, requested time.Time) {
	now := c.now()
	said := c.parse(x, resp, requested, now)
	records := x.records
	if x.incomplete != nil {
		records = append(slices.Clone(records), x.incomplete.whole)
	}
	for _, r := range records {
		if !rfc9111.Selects(r.Selecting, x.header) {
			continue
		}
		switch rfc9111.ByHead(c.readingOf(r).alone[0], &said) {
		case rfc9111.HeadFreshens:
			fresh := c.freshen(x, r, resp.Header.Clone(), requested, now) // the caller owns resp
			c.removeAll(f.ctx, x, c.replace(f, x, fresh))
		case rfc9111.HeadInvalidates:
			c.remove(f.ctx, x, r.Key, c.idsOf(r)...)
		}
	}
}

// byPart freshens the stored whole that the origin's partial response is a part of (RFC 9111 §3.4).
func (c *Cache) byPart(f *flight, x *exchange, resp *http.Response, requested time.Time) {
	now := c.now()
	said := c.parse(x, resp, requested, now)
	if part, _ := said.Part(); part.Length == 0 {
		return
	}
	for _, r := range x.found {
		if r.Status == http.StatusOK && rfc9111.Selects(r.Selecting, x.header) && rfc9111.Combinable(&c.readingOf(r).parsed, &said) {
			c.removeAll(f.ctx, x, c.replace(f, x, c.freshen(x, r, resp.Header.Clone(), requested, now)))
		}
	}
}
