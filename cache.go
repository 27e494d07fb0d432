package larder

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/textproto"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-go/larder/rfc9111"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/memory"
)

// Cache is an http.RoundTripper that keeps responses and reuses them as RFC 9111 and the user's rules allow.
// The zero value is a private cache in 64 MiB of memory over http.DefaultTransport. Its fields must not be
// changed once it is in use, except by SetRules; its methods are safe for concurrent use. A Cache must not be
// copied.
type Cache struct {
	// Base asks the origin; nil: http.DefaultTransport. It must honour the request's context.
	Base http.RoundTripper
	// Store keeps the responses; nil: a memory.Store of its own. Whoever opened the Store closes it, after Close.
	Store store.Store
	// Rules are what the user wants instead of the standard; the first that matches applies. With a faulty rule every
	// request fails; Rule.Check and SetRules report it beforehand.
	Rules []Rule
	// Shared makes it a shared cache: it honours s-maxage and private, and keeps users apart by RFC 9111 §3.5
	// rather than by Partition. False: a private cache.
	Shared bool
	// Targeted names the targeted fields that replace Cache-Control and Expires in a response (RFC 9213), the most
	// applicable first. nil: CDN-Cache-Control in a shared cache, none in a private one; empty: none.
	Targeted []string
	// Name is the cache's name in the Cache-Status field (RFC 9211) of its responses, after those of caches nearer to
	// the origin; "": no such field. Info says the same either way. The 504 that the cache makes itself has no such
	// field.
	Name string
	// ShowKey adds the key to Cache-Status, as its SHA-256 in hexadecimal. False: it is left out, since whoever sees
	// which requests have the same key learns what the key is made of, which helps to poison a cache (RFC 9211 §6).
	ShowKey bool
	// Partition returns a name for the user of a request: requests with different names never share a response. "" is a
	// name, too. nil: Credentials in a private cache; in a shared one "", but Credentials where a TTL overrides what
	// the response's header says about users.
	Partition func(*http.Request) string
	// Key, if set, returns what replaces the URL and the body in the key; "": nothing does.
	Key func(*http.Request) string
	// VerifyDigests makes the cache compare a response's content with its Content-Digest and Repr-Digest (RFC 9530), by
	// SHA-256 and SHA-512, as it passes. A response that differs is not stored, and what it would have replaced stays,
	// except for stored parts that went into it; a Discarded event reports it, with an ErrDigest. The callers get the
	// response as they would without a cache, since by then they have read nearly all of it. Responses without these
	// fields, or that net/http decompresses, are not verified. False: none are.
	VerifyDigests bool
	// MaxBody is the length of the longest body that is stored, in bytes; 0: whatever the store takes. Longer bodies
	// pass through.
	MaxBody int64
	// MaxKeyBody is the length of the longest request body that is read for a key, in bytes; 0: 1 MiB. Requests
	// with longer ones are not cached.
	MaxKeyBody int64
	// MaxVariants is how many variants of one key are kept (RFC 9111 §4.1); 0: 32. The oldest go first.
	MaxVariants int
	// KeepStale is how long a response is kept after it turned stale, to be validated, or used when the origin
	// is down or the caller offline; 0: 7 days. A store with a limit may drop it before.
	KeepStale time.Duration
	// RefreshTimeout bounds a validation in the background; 0: 30 s.
	RefreshTimeout time.Duration
	// StoreTimeout bounds each call of a store that is not store.Local; 0: 2 s.
	StoreTimeout time.Duration
	// LeaseTime, if it is set and the Store is a store.Leaser, makes the processes that share the Store agree on which
	// of them asks the origin, so that one asks for all. It is how long a lease lasts that is not renewed, for example
	// because its holder was killed; holders renew leases every third of that time. 0: each process asks for itself,
	// which costs the origin more requests and nobody a wait.
	LeaseTime time.Duration
	// LeaseWait is the longest that a request waits for another process to get the answer, before it asks the origin
	// itself; 0: 5 s.
	LeaseWait time.Duration
	// FailClosed makes a request fail if the store cannot be read. False: that is a miss.
	FailClosed bool
	// Observe, if set, is called with each Event, in the goroutine in which that happened. It must be safe for
	// concurrent use, and return quickly.
	Observe func(Event)
	// Logger, if set, gets each Event as a line: trouble at level Warn, the rest at level Debug.
	Logger *slog.Logger
	// Now returns the time; nil: time.Now.
	Now func() time.Time

	once       sync.Once
	store      store.Store
	localStore bool
	targeted   []string                // Targeted in canonical form
	read       func(*store.Record) any // the function read, with targeted
	near       store.Fronted           // nil: the store has no fast front
	rules      atomic.Pointer[ruleSet]
	breaker    breaker
	counters   counters
	selected   atomic.Pointer[http.Header] // the last result of selecting, shared by the records with an equal one

	flights    flights
	notes      notes
	owed       owed
	leases     atomic.Pointer[leases]
	background tasks           // work without a caller
	behindNow  atomic.Int64    // how much of that goes on after callers have left
	refreshes  chan struct{}   // one element for each refresh under way
	abandoned  context.Context // cancelled when Close gives up
	abandon    context.CancelFunc
}

// ruleSet is the rules in force, or why they are faulty.
type ruleSet struct {
	rules []*rule
	err   error
}

const maxRefreshes = 64

func (c *Cache) start() {
	c.once.Do(func() {
		if c.store = c.Store; c.store == nil {
			c.store = new(memory.Store)
		}
		_, c.localStore = store.As[store.Local](c.store)
		c.near, _ = c.store.(store.Fronted)
		c.targeted = c.targets()
		c.read = func(r *store.Record) any { return read(r, c.targeted) }
		if c.rules.Load() == nil {
			rules, err := compileAll(c.Rules)
			c.rules.Store(&ruleSet{rules, err})
		}
		c.refreshes = make(chan struct{}, maxRefreshes)
		c.abandoned, c.abandon = context.WithCancel(context.Background())
		c.leases.Store(newLeases())
	})
}

// SetRules replaces the rules in force, for requests that begin from then on. If one of the rules is faulty, it changes
// nothing and returns what is wrong.
func (c *Cache) SetRules(rules ...Rule) error {
	compiled, err := compileAll(rules)
	if err != nil {
		return err
	}
	c.rules.Store(&ruleSet{rules: compiled})
	return nil
}

// Client returns a new http.Client whose requests go through c.
func (c *Cache) Client() *http.Client { return &http.Client{Transport: c} }

// CloseIdleConnections closes the idle connections of Base, if that can. http.Client.CloseIdleConnections calls it.
func (c *Cache) CloseIdleConnections() {
	if b, ok := c.base().(interface{ CloseIdleConnections() }); ok {
		b.CloseIdleConnections()
	}
}

// Close waits for the work in the background, and for requests to the origin that callers still wait for. If ctx ends
// first, it abandons the work in the background (what is stored or refreshed without a caller), and returns ctx's
// error. It releases all leases. The Cache can still be used, but once work was abandoned does none in the background.
// Close does not close the Store.
func (c *Cache) Close(ctx context.Context) error {
	c.start()
	err := c.background.wait(ctx)
	if err != nil {
		c.abandon()
	}
	return cmp.Or(err, c.leases.Swap(newLeases()).end(ctx))
}

func (c *Cache) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

func (c *Cache) base() http.RoundTripper {
	if c.Base != nil {
		return c.Base
	}
	return http.DefaultTransport
}

// Policy returns the settings with which c applies the standard: whether it is shared, and which targeted fields it
// honours.
func (c *Cache) Policy() rfc9111.Policy {
	c.start()
	return c.policy()
}

func (c *Cache) policy() rfc9111.Policy {
	return rfc9111.Policy{Shared: c.Shared, Targeted: c.targeted}
}

var forCDNs = []string{rfc9111.CDNCacheControl}

func (c *Cache) targets() (names []string) {
	if c.Targeted == nil && c.Shared {
		return forCDNs
	}
	for _, name := range c.Targeted {
		names = append(names, textproto.CanonicalMIMEHeaderKey(name))
	}
	return names
}

func (c *Cache) maxKeyBody() int64             { return cmp.Or(c.MaxKeyBody, 1<<20) }
func (c *Cache) maxVariants() int              { return cmp.Or(c.MaxVariants, 32) }
func (c *Cache) keepStale() time.Duration      { return cmp.Or(c.KeepStale, 7*24*time.Hour) }
func (c *Cache) refreshTimeout() time.Duration { return cmp.Or(c.RefreshTimeout, 30*time.Second) }
func (c *Cache) leaseWait() time.Duration      { return cmp.Or(c.LeaseWait, 5*time.Second) }
func (c *Cache) storeTimeout() time.Duration   { return cmp.Or(c.StoreTimeout, 2*time.Second) }
