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

// flightKey names what several callers may wait for together.
type flightKey struct {
	key     store.Key
	method  string // GET or HEAD, or the method that a rule allowed
	variant string // the request's values of the fields that are known to select a variant
	alone   int64  // a number of its own, for one that nobody may join
}

// flight is one request to the origin and those who wait for its head.
type flight struct {
	key    flightKey
	at     flightKey       // where it is among those under way
	url    string          // that it asks for, normalised
	led    exchange        // the leader's, as it was when the flight began
	values context.Context // the leader's, without its end
	ctx    context.Context // the same, but it ends when nobody waits any more
	cancel context.CancelFunc

	result

	mu      sync.Mutex
	ready   chan struct{} // closed when result is there; nil: nobody has had to wait for it
	waiters int
	leader  bool // the caller whose request it is still waits
	settled bool
	parting func() // to be done when the last of the waiters has gone; nil: nothing

	outdated atomic.Bool // an unsafe request has changed what it asks for: neither to be stored nor joined
	alike    atomic.Bool // what its URL gives with another query was changed: it is outdated, too, if its answer has No-Vary-Search
	storing  bool        // the answer is being stored, since these were not set; guarded by mu, as stored is
	stored   sync.Cond   // tells that storing has ended

	landed chan struct{} // closed when it has landed; nil: it has no lease
}

// result is what came of a flight; err, again, or one of the pointers is set.
type result struct {
	err       error
	again     bool           // the store has an answer by now
	record    *store.Record  // a stored response that the origin's 304 made fresh
	said      http.Header    // with record: that of the 304
	own       bool           // record is for the leader alone, since what the 304 says may not be stored
	download  *download      // a response on its way into the store
	resp      *http.Response // a response for the leader alone; only take may touch it
	status    int            // the origin's, if it answered
	notStored string         // why resp is not stored
}

// flights are those under way, and what is known of keys whose answers cannot be shared.
type flights struct {
	landed atomic.Int64 // how many have ended

	mu       sync.Mutex
	under    map[flightKey]*flight
	loners   int64
	unshared map[uint64]struct{} // hashes of keys; to be wrong costs a request
	seed     maphash.Seed
}

// maxUnshared bounds the memory of keys that are not worth waiting for.
const maxUnshared = 4096

// begin adds a flight, on a context of its own with the values of ctx. The mutex is held.
func (fs *flights) begin(ctx context.Context, key flightKey, url string) *flight {
	if old := fs.under[key]; old != nil { // which has still to be found by outdate
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

// beside returns a flight for the same caller alone, that is outdated as f is.
func (fs *flights) beside(f *flight) *flight {
	b := fs.alone(f.values, f.key, f.url) // from now on who outdates f outdates it, too
	if f.outdated.Load() {
		b.outdated.Store(true)
	}
	if f.alike.Load() {
		b.alike.Store(true)
	}
	return b
}

// join returns the flight under way for key, or a new one that the caller leads. A caller that comes after the answer
// joins only if that suits it, as a stored response would have to.
func (fs *flights) join(ctx context.Context, key flightKey, url string, suits func(*result) bool) (f *flight, leads bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := fs.under[key]; f != nil && !f.outdatedFor(f.answer()) && f.wait(suits) {
		return f, false
	}
	return fs.begin(ctx, key, url), true
}

// outdate sees to it that what is under way, own excepted, for key, or for its URL under whatever key, is neither stored
// nor given to those who come later; and so for the URL with another query by other methods than GET and HEAD, or if the
// answer has No-Vary-Search.
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

// outdateGroups outdates what is under way, own excepted, that has one of the tags, or may turn out to: of a request
// that is not answered yet nobody knows, if its URL begins with origin.
func (fs *flights) outdateGroups(origin string, tags []string, own *flight) {
	fs.outdateAll(own, func(_ flightKey, f *flight) *atomic.Bool {
		if f.mayHave(origin, tags) {
			return &f.outdated
		}
		return nil
	})
}

// outdateAll sets the marks of what is under way, own excepted, that mark returns; nil: none. What is being stored is in
// the store when it returns, to be removed from there; so it is for whoever else outdates it meanwhile.
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

// store calls put, by which r, f's answer, is stored, unless that is outdated.
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

// outdatedFor reports whether an unsafe request has changed what f asks for, if r is its answer; nil: that is not known.
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

// answer returns what is stored, or on its way into the store, as the answer; nil: nothing is, or it has not come yet.
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

// worthWaiting reports whether the last answer for key could be shared, as far as is known.
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

// wait adds a waiter, unless the answer is there and does not suit, or all have left and the flight is being
// given up.
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

// done returns what is closed when the result is there.
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

// settle tells the waiters what came of the flight.
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

// whenLeft sees to it that do is called when all who wait have what they wanted: now, if that is so.
func (f *flight) whenLeft(do func()) {
	f.mu.Lock()
	f.parting = do
	parting := f.takeParting()
	f.mu.Unlock()
	if parting != nil {
		parting()
	}
}

// takeParting returns what is to be done now, if it is time; f.mu is held.
func (f *flight) takeParting() (parting func()) {
	if f.settled && f.waiters == 0 {
		parting, f.parting = f.parting, nil
	}
	return parting
}

// leave takes a waiter back: it has what it wanted, or does not want it any more.
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
		f.cancel() // before anybody else begins to wait
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

// take gives the leader the response that is for it alone.
func (f *flight) take() *http.Response {
	f.mu.Lock()
	defer f.mu.Unlock()
	resp := f.resp
	f.resp = nil
	return resp
}
