package larder

import (
	"context"
	"hash/maphash"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/larder-go/larder/store"
)

// flightKey identifies requests whose callers may wait for one answer.
type flightKey struct {
	key     store.Key
	method  string // GET or HEAD, or the method that a rule allowed
	variant string // the request's values of the fields known to select a variant
	alone   int64  // a unique number, for a flight that nobody may join
}

// flight is one request to the origin, and the callers who wait for the response's head.
type flight struct {
	key    flightKey
	at     flightKey       // its key in flights.under
	url    string          // the normalised URL that it asks for
	led    exchange        // the leader's exchange when the flight began
	values context.Context // the leader's context, without its end
	ctx    context.Context // values, but cancelled when nobody waits any more
	cancel context.CancelFunc

	result

	mu      sync.Mutex
	ready   chan struct{} // closed when result is there; nil: nobody has waited for it
	waiters int
	leader  bool // the leader still waits
	settled bool
	parting func() // what to do when the last waiter has left; nil: nothing

	outdated atomic.Bool // an unsafe request has changed the resource: the answer must not be stored, nor the flight joined
	alike    atomic.Bool // the URL was changed with another query: outdated as well if the answer has No-Vary-Search
	storing  bool        // the answer is being stored, since neither mark was set; guarded by mu, like stored
	stored   sync.Cond   // signals that storing has ended

	landed chan struct{} // closed when the flight has landed; nil: it has no lease
}

// result is what a flight brought. One of err, again, record, download and resp is set.
type result struct {
	err       error
	again     bool           // the store has an answer now
	record    *store.Record  // a stored response that the origin's 304 has freshened
	said      http.Header    // with record: the header of the 304
	own       bool           // record is for the leader alone, since the 304 makes it unstorable
	download  *download      // a response on its way into the store
	resp      *http.Response // a response for the leader alone; only take may use it
	status    int            // the origin's status, if it answered
	notStored string         // why resp is not stored
}

// flights are the flights under way, and the keys whose answers could not be shared.
type flights struct {
	landed atomic.Int64 // how many have ended

	mu       sync.Mutex
	under    map[flightKey]*flight
	loners   int64
	unshared map[uint64]struct{} // hashes of keys; a collision costs a request
	seed     maphash.Seed
}

// maxUnshared bounds unshared.
const maxUnshared = 4096

// begin adds a flight with a context of its own that has the values of ctx. fs.mu is held.
func (fs *flights) begin(ctx context.Context, key flightKey, url string) *flight {
	if old := fs.under[key]; old != nil { // outdate must still find it
		fs.loners++
		old.at.alone = fs.loners
		fs.under[old.at] = old
	}
	f := &flight{key: key, at: key, url: url, values: context.WithoutCancel(ctx), waiters: 1, leader: true}
	f.stored.L = &f.mu
	f.ctx, f.cancel = context.WithCancel(f.values)
	if fs.under == nil {
		fs.under = make(map[flightKey]*flight)
	}
	fs.under[key] = f
	return f
}

// alone returns a flight for the caller alone.
func (fs *flights) alone(ctx context.Context, key flightKey, url string) *flight {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.loners++
	key.alone = fs.loners
	return fs.begin(ctx, key, url)
}

// beside returns a flight for f's leader alone, which is outdated if f is.
func (fs *flights) beside(f *flight) *flight {
	b := fs.alone(f.values, f.key, f.url) // from now on, outdating f outdates b
	if f.outdated.Load() {
		b.outdated.Store(true)
	}
	if f.alike.Load() {
		b.alike.Store(true)
	}
	return b
}

// join returns the flight under way for key, or a new one for the caller to lead. A caller that comes after the answer
// joins only if the answer suits it, as a stored response would have to.
func (fs *flights) join(ctx context.Context, key flightKey, url string, suits func(*result) bool) (f *flight, leads bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := fs.under[key]; f != nil && !f.outdatedFor(f.answer()) && f.wait(suits) {
		return f, false
	}
	return fs.begin(ctx, key, url), true
}

// outdate marks the flights for key, and those for its URL under other keys, except own: their answers are neither
// stored nor given to later callers. Flights for the URL with another query are marked if their method is neither GET
// nor HEAD; the others count as outdated if their answer has No-Vary-Search.
func (fs *flights) outdate(key store.Key, url string, own *flight) {
	base, _, _ := strings.Cut(url, "?")
	fs.outdateAll(own, func(k flightKey, f *flight) *atomic.Bool {
		rest := strings.TrimPrefix(f.url, base)
		switch {
		case k.key == key, f.url == url:
			return &f.outdated
		case rest != "" && rest[0] != '?':
			return nil
		case k.method == http.MethodGet || k.method == http.MethodHead:
			return &f.alike
		}
		return &f.outdated
	})
}

// outdateGroups marks the flights, except own, whose answer has one of the tags, or may have: a request that is not
// answered yet may if its URL begins with origin.
func (fs *flights) outdateGroups(origin string, tags []string, own *flight) {
	fs.outdateAll(own, func(_ flightKey, f *flight) *atomic.Bool {
		if f.mayHave(origin, tags) {
			return &f.outdated
		}
		return nil
	})
}

// outdateAll sets the marks that mark returns for the flights, except own; nil: no mark. When it returns, an answer that
// was being stored is in the store, so that the caller can remove it there. That holds for concurrent calls, too.
func (fs *flights) outdateAll(own *flight, mark func(flightKey, *flight) *atomic.Bool) {
	var all []*flight
	fs.mu.Lock()
	for k, f := range fs.under {
		if f == own {
			continue
		}
		if m := mark(k, f); m != nil {
			m.Store(true)
			all = append(all, f)
		}
	}
	fs.mu.Unlock()
	for _, f := range all {
		f.mu.Lock()
		for f.storing {
			f.stored.Wait()
		}
		f.mu.Unlock()
	}
}

// store calls put, which stores f's answer r, unless f is outdated.
func (f *flight) store(r *store.Record, put func() error) error {
	f.mu.Lock()
	f.storing = !f.outdatedFor(r)
	storing := f.storing
	f.mu.Unlock()
	if !storing {
		return errOutdated
	}
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.storing = false
		f.stored.Broadcast()
	}()
	return put()
}

// outdatedFor reports whether an unsafe request has changed what f asks for, given its answer r; nil: not known yet.
func (f *flight) outdatedFor(r *store.Record) bool {
	return f.outdated.Load() || f.outdatedAlike(r)
}

func (f *flight) outdatedAlike(r *store.Record) bool {
	return f.alike.Load() && r != nil && r.Key != f.key.key
}

func (f *flight) mayHave(origin string, tags []string) bool {
	if !f.isSettled() {
		return strings.HasPrefix(f.url, origin)
	}
	r := f.answer()
	return r != nil && slices.ContainsFunc(r.Tags, func(tag string) bool { return slices.Contains(tags, tag) })
}

// answer returns f's answer that is stored or being stored; nil: there is none, or not yet.
func (f *flight) answer() *store.Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.download != nil {
		return f.download.record
	}
	return f.record
}

// land forgets f, so that the next caller looks into the store again. It returns false if that was done before.
func (fs *flights) land(f *flight) bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.under[f.at] != f {
		return false
	}
	delete(fs.under, f.at)
	fs.landed.Add(1)
	return true
}

// worthWaiting reports whether, as far as is known, the last answer for key could be shared.
func (fs *flights) worthWaiting(key store.Key) bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if len(fs.unshared) == 0 {
		return true
	}
	_, no := fs.unshared[maphash.String(fs.seed, string(key))]
	return !no
}

func (fs *flights) note(key store.Key, shared bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if shared {
		if len(fs.unshared) > 0 {
			delete(fs.unshared, maphash.String(fs.seed, string(key)))
		}
		return
	}
	if len(fs.unshared) >= maxUnshared || fs.unshared == nil {
		fs.unshared, fs.seed = make(map[uint64]struct{}), maphash.MakeSeed()
	}
	fs.unshared[maphash.String(fs.seed, string(key))] = struct{}{}
}

// wait adds a waiter. It returns false if the answer is there and does not suit, or if all have left and the flight, or
// its download, is being given up.
func (f *flight) wait(suits func(*result) bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx.Err() != nil || f.settled && !suits(&f.result) {
		return false
	}
	if f.settled && f.download != nil && !f.download.hold() {
		return false
	}
	f.waiters++
	return true
}

// done returns a channel that is closed when the result is there.
func (f *flight) done() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.ready != nil:
	case f.settled:
		return closed
	default:
		f.ready = make(chan struct{})
	}
	return f.ready
}

var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// settle gives the waiters the flight's result.
func (f *flight) settle(r result) {
	f.mu.Lock()
	f.result = r
	f.settled = true
	if r.download != nil {
		r.download.holds = f.waiters
	}
	orphan := f.waiters == 0
	parting := f.takeParting()
	alone := r.resp != nil && !f.leader
	if f.ready != nil {
		close(f.ready)
	}
	f.mu.Unlock()
	if alone {
		r.resp.Body.Close()
	}
	if orphan && r.download != nil {
		r.download.left()
	}
	if parting != nil {
		parting()
	}
}

// isSettled reports whether the result is there.
func (f *flight) isSettled() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.settled
}

// whenLeft has do called when the result is there and the last waiter has left: at once, if that is so.
func (f *flight) whenLeft(do func()) {
	f.mu.Lock()
	f.parting = do
	parting := f.takeParting()
	f.mu.Unlock()
	if parting != nil {
		parting()
	}
}

// takeParting returns what whenLeft was given, if it is time for that. f.mu is held.
func (f *flight) takeParting() (parting func()) {
	if f.settled && f.waiters == 0 {
		parting, f.parting = f.parting, nil
	}
	return parting
}

// leave removes a waiter, who has what it wanted or does not want it any more.
func (f *flight) leave(leads bool) {
	f.mu.Lock()
	f.waiters--
	if leads {
		f.leader = false
	}
	none, settled := f.waiters == 0, f.settled
	var untaken *http.Response
	if leads && settled {
		untaken, f.resp = f.resp, nil
	}
	parting := f.takeParting()
	if none && !settled {
		f.cancel() // under f.mu, before anybody else begins to wait
	}
	f.mu.Unlock()
	switch {
	case untaken != nil:
		untaken.Body.Close()
		f.cancel()
	case settled && f.download != nil:
		f.download.unhold()
	}
	if parting != nil {
		parting()
	}
}

// take returns, once, the response for the leader alone.
func (f *flight) take() *http.Response {
	f.mu.Lock()
	defer f.mu.Unlock()
	resp := f.resp
	f.resp = nil
	return resp
}
