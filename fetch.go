package larder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/larder-go/larder/rfc9111"
	"github.com/larder-go/larder/store"
)

// fetch answers x from the origin: by the flight under way for the same, or one of its own. No response and no error
// mean that x, with what has been learnt by then, is to be looked at anew, since that brought nothing for it.
func (c *Cache) fetch(x exchange, attempt int) (*http.Response, exchange, error) {
	f, leads := c.flightFor(&x, attempt)
	if leads {
		led := &f.led
		*led = x
		if x.req.Context().Done() == nil { // the caller stays until the head is there
			led.keepHeader()
			c.lead(f, led)
		} else {
			led.detach()
			c.background.run(func() { c.lead(f, led) })
		}
	} else {
		closeBody(x.send)
	}
	ctx := x.req.Context()
	select {
	case <-f.done():
	case <-ctx.Done():
		f.leave(leads)
		return nil, x, context.Cause(ctx)
	}
	defer f.leave(leads)
	resp, err := c.conclude(&x, f, leads)
	return resp, x, err
}

// flightFor returns the flight that x may wait for, or one to lead.
func (c *Cache) flightFor(x *exchange, attempt int) (f *flight, leads bool) {
	if attempt >= maxAttempts || x.alone || !x.sociable() || !c.flights.worthWaiting(x.key) {
		return c.flights.alone(x.req.Context(), flightKey{key: x.key, method: x.rr.Method}, x.target.url), true
	}
	for _, r := range x.records {
		for name := range r.Selecting {
			x.vary = append(x.vary, name)
		}
	}
	slices.Sort(x.vary)
	x.vary = slices.Compact(x.vary)
	suits := func(r *result) bool { return c.suits(x, r) }
	return c.flights.join(x.req.Context(), flightKey{key: x.key, method: x.rr.Method, variant: x.variant()}, x.target.url, suits)
}

// suits reports whether an answer that came before x, and is not in the store yet, may be given to x.
func (c *Cache) suits(x *exchange, r *result) bool {
	var answer *store.Record
	switch {
	case r.record != nil && !r.own:
		answer = r.record
	case r.download != nil:
		answer = r.download.record
	default:
		return false
	}
	return c.policy().Reuse(&x.rr, c.asWhole(answer), x.now).Action == rfc9111.Serve
}

// sociable reports whether x may wait for an answer to somebody else's request, and others for its: not if it
// wants a new answer, or one to a condition of its own.
func (x *exchange) sociable() bool {
	if x.ask.mode == Refresh || x.ask.mode == ForceRefresh {
		return false
	}
	switch x.verdict.Reason {
	case rfc9111.RequestNoCache, rfc9111.RequestMaxAge, rfc9111.RequestMinFresh:
		return false
	}
	if x.rr.WantsNew() { // where nothing is stored, the reason is that
		return false
	}
	for _, name := range conditional {
		if x.req.Header[name] != nil {
			return false
		}
	}
	return !x.noStore()
}

// conditional are the request fields that set a condition.
var conditional = [...]string{"If-Range", "If-None-Match", "If-Modified-Since"}

// noStore reports whether the request itself forbids to store the response (RFC 9111 §5.2.1.5).
func (x *exchange) noStore() bool {
	cc := x.header["Cache-Control"]
	return len(cc) > 0 && strings.Contains(strings.ToLower(strings.Join(cc, ",")), "no-store")
}

// keepHeader gives x a header of its own, since what comes after the answer's head may go on when the caller uses its request again.
func (x *exchange) keepHeader() {
	if len(x.header) > 0 {
		x.header = maps.Clone(x.header)
	} else {
		x.header = nil
	}
	x.rr.Header = x.header
}

// detach gives x a request of its own, so that the caller may go, and change its request, before the origin has
// answered.
func (x *exchange) detach() {
	x.send = x.send.Clone(x.send.Context())
	//lint:ignore SA1019 http.Client.Timeout still sets it beside the context's deadline, for this caller alone
	x.send.Cancel = nil
	x.req = x.send
	x.header = x.rule.selectable(x.req.Header)
	x.rr.URL, x.rr.Header = x.req.URL, x.header
}

// lead asks the origin and settles f.
func (c *Cache) lead(f *flight, x *exchange) {
	if err := c.inquire(f, x); err != nil {
		c.land(f)
		f.settle(result{err: err})
		f.cancel()
	}
}

// inquire is lead, except where it fails.
func (c *Cache) inquire(f *flight, x *exchange) (err error) {
	defer recovered(&err)
	// If another flight has ended since the store was looked into, it was perhaps with what is wanted here.
	if f.key.alone == 0 && c.flights.landed.Load() != x.landed && c.answeredMeanwhile(f, x) {
		return nil
	}
	if c.claim(f, x) {
		return nil
	}
	resp, status, requested, err := c.consult(f, x)
	if resp == nil {
		return err
	}
	switch {
	case x.rr.Method == http.MethodHead:
		c.byHead(f, x, resp, requested)
	case status == http.StatusPartialContent:
		c.byPart(f, x, resp, requested)
	}
	r := result{resp: resp, status: status}
	if !originFailed(resp.StatusCode) || !c.staleAllowed(x, nil) {
		var d *download
		d, r.notStored = c.download(f, x, resp, requested)
		if d != nil || x.sociable() && x.req.Header["Range"] == nil && !originFailed(resp.StatusCode) { // else it says nothing of other requests
			c.flights.note(x.key, d != nil)
		}
		if d != nil {
			f.settle(result{download: d, status: status})
			return nil
		}
		if resp.StatusCode == http.StatusPartialContent {
			c.keepParts(f, x, resp, requested)
		}
	}
	c.land(f)
	f.settle(r)
	return nil
}

// recovered makes an error of a panic, in Base or in a function of the user's: others wait for what is done there, perhaps in a
// goroutine of the cache's, where the caller could not recover.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("larder: panic: %v\n\n%s", p, debug.Stack())
	}
}

// consult asks the origin whether what is stored still holds, or for what is missing of it, and if the answer does not go
// with what is stored, anew without it. The status is the origin's, where resp is put together from its answer and stored
// parts. No response and no error mean that f is settled.
func (c *Cache) consult(f *flight, x *exchange) (resp *http.Response, status int, requested time.Time, err error) {
	var conditions http.Header
	if i := x.verdict.Index; x.reads() && i >= 0 && x.ask.mode != ForceRefresh {
		conditions = rfc9111.Conditions(x.stored, i)
	}
	rest := c.completion(f.ctx, x)
	if rest != nil {
		conditions = rest.conditions
	}
	resp, requested, err = c.ask(f.ctx, x, x.send.Body, conditions)
	if err != nil {
		if rest != nil {
			rest.stored.Close()
		}
		return nil, 0, requested, err
	}
	status = resp.StatusCode
	switch {
	case rest != nil:
		if c.complete(rest, resp) {
			x.withheld = rest.withheld
			return resp, status, requested, nil
		}
	case status == http.StatusNotModified && len(conditions) > 0:
		if c.notModified(f, x, resp, requested) {
			return nil, 0, requested, nil
		}
	default:
		return resp, status, requested, nil
	}
	drain(resp)
	body := x.send.Body
	if x.send.GetBody != nil {
		if body, err = x.send.GetBody(); err != nil {
			return nil, 0, requested, err
		}
	}
	resp, requested, err = c.ask(f.ctx, x, body, nil)
	if err != nil {
		return nil, 0, requested, err
	}
	return resp, resp.StatusCode, requested, nil
}

// ask sends the request to the origin, with conditions in the place of the caller's own, if there are any.
func (c *Cache) ask(ctx context.Context, x *exchange, body io.ReadCloser, conditions http.Header) (resp *http.Response, requested time.Time, err error) {
	out := x.send.WithContext(ctx)
	out.Body = body
	if out.Header = out.Header.Clone(); out.Header == nil { // many a transport adds to it in place
		out.Header = make(http.Header)
	}
	if len(conditions) > 0 {
		out.Header.Del("If-None-Match")
		out.Header.Del("If-Modified-Since")
		maps.Copy(out.Header, conditions)
	}
	requested = c.now()
	resp, err = complete(c.base().RoundTrip(out))
	return resp, requested, err
}

// complete makes up for what a RoundTripper may have left out, as http.Client does.
func complete(resp *http.Response, err error) (*http.Response, error) {
	switch {
	case err != nil:
		return nil, err
	case resp == nil:
		return nil, errors.New("larder: Base returned neither a response nor an error")
	case resp.Body == nil:
		resp.Body = http.NoBody
	}
	if resp.Header == nil {
		resp.Header = make(http.Header)
	}
	return resp, nil
}

// notModified freshens what the origin's 304 says still holds (RFC 9111 §4.3.4), and settles f with it. It
// returns false if that is nothing stored.
func (c *Cache) notModified(f *flight, x *exchange, resp *http.Response, requested time.Time) bool {
	now := c.now()
	said := x.parse(resp, requested, now)
	which := slices.DeleteFunc(rfc9111.Freshens(&said, x.stored, x.verdict.Index), func(i int) bool { return c.policy().Forbids(x.stored[i]) != 0 })
	if len(which) == 0 {
		return false
	}
	// Of several with the same tag it renews those that the request could have selected (RFC 9111 §4.3.4).
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
	if !c.localStore { // the callers need not wait for that
		c.background.run(func() { c.keepFresh(f, x, all) })
	}
	return true
}

// keepFresh stores what a 304 has freshened, and ends the flight. What must not be stored any more goes when those who are answered
// with it have opened it.
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

// replace puts what freshen has made in the place of what is stored. It returns what has to be removed since it says that it
// must not be stored. If the request says so, or has an Authorization that makes it so, it does nothing: what is stored is not
// of this request (RFC 9111 §5.2.1.5, §3.5).
func (c *Cache) replace(f *flight, x *exchange, fresh freshened) (forbidden []*store.Record) {
	for _, part := range fresh.parts {
		forbidden = append(forbidden, c.replace(f, x, part)...)
	}
	switch {
	case fresh.parts != nil, x.noStore():
	case fresh.storable:
		c.update(f.ctx, x, fresh.record)
	case fresh.why != rfc9111.Authorized || !c.storableForOthers(x, fresh.came):
		forbidden = append(forbidden, fresh.record)
	}
	return forbidden
}

// storableForOthers reports whether r could be stored if the request had no Authorization.
func (c *Cache) storableForOthers(x *exchange, r *rfc9111.Response) bool {
	rr := x.rr
	rr.Header = rr.Header.Clone()
	rr.Header.Del("Authorization")
	ok, _ := c.policy().Storable(&rr, r)
	return ok
}

func (c *Cache) removeAll(ctx context.Context, x *exchange, records []*store.Record) {
	for _, r := range records {
		c.remove(ctx, x, r.Key, r.ID)
	}
}

// parse returns what the origin answered to x as the standard sees it.
func (x *exchange) parse(resp *http.Response, requested, received time.Time) rfc9111.Response {
	return *rfc9111.Parse(rfc9111.Response{Method: x.rr.Method, Status: resp.StatusCode, Header: resp.Header, Requested: requested, Received: received})
}

// freshened is a stored response that the origin says still holds.
type freshened struct {
	record   *store.Record
	came     *rfc9111.Response // the same before the rule withheld something of it
	storable bool
	why      rfc9111.Reason // so, or not
	parts    []freshened    // of what is put together, the others being of the whole; nil: it is one record
}

// freshen gives old the header fields and times of a response that says it still holds, whose values it keeps.
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
	if said["Vary"] != nil && rfc9111.Selects(old.Selecting, x.header) { // which may name other fields now
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
	fresh.storable, fresh.why = c.policy().Storable(&x.rr, fresh.came)
	return fresh
}

// byHead lets the response to a HEAD freshen or invalidate the stored GET (RFC 9111 §4.3.5).
func (c *Cache) byHead(f *flight, x *exchange, resp *http.Response, requested time.Time) {
	now := c.now()
	said := x.parse(resp, requested, now)
	records := x.records
	if x.incomplete != nil {
		records = append(slices.Clone(records), x.incomplete.whole)
	}
	for _, r := range records {
		if r.Method == http.MethodHead || !rfc9111.Selects(r.Selecting, x.header) {
			continue
		}
		switch rfc9111.ByHead(c.readingOf(r).alone[0], &said) {
		case rfc9111.HeadFreshens:
			fresh := c.freshen(x, r, resp.Header.Clone(), requested, now) // resp is the caller's
			c.removeAll(f.ctx, x, c.replace(f, x, fresh))
		case rfc9111.HeadInvalidates:
			c.remove(f.ctx, x, r.Key, c.idsOf(r)...)
		}
	}
}

// byPart lets a part from the origin freshen the stored whole that it is a part of (RFC 9111 §3.4).
func (c *Cache) byPart(f *flight, x *exchange, resp *http.Response, requested time.Time) {
	now := c.now()
	said := x.parse(resp, requested, now)
	if part, _ := said.Part(); part.Length == 0 {
		return
	}
	for _, r := range x.found {
		if r.Status == http.StatusOK && rfc9111.Selects(r.Selecting, x.header) && rfc9111.Combinable(&c.readingOf(r).parsed, &said) {
			c.removeAll(f.ctx, x, c.replace(f, x, c.freshen(x, r, resp.Header.Clone(), requested, now)))
		}
	}
}

// originFailed reports whether the status is one that stale-if-error covers (RFC 5861 §4).
func originFailed(status int) bool {
	switch status {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// staleAllowed reports whether the selected response may stand in for an origin that answered with a failure, or not at all,
// which is err.
func (c *Cache) staleAllowed(x *exchange, err error) bool {
	i := x.verdict.Index
	switch {
	case i < 0:
		return false
	case err != nil:
		return c.policy().StaleIfDisconnected(&x.rr, x.stored[i], c.now())
	}
	return c.policy().StaleIfError(&x.rr, x.stored[i], c.now())
}

// conclude makes x's response of what the flight brought; none, if that is nothing for x.
func (c *Cache) conclude(x *exchange, f *flight, leads bool) (*http.Response, error) {
	d := Decision{Outcome: Miss, Reason: x.verdict.Reason.String(), Section: x.verdict.Reason.Section(),
		Forwarded: forwarded(x), ForwardStatus: f.status, Collapsed: !leads, NotShared: x.alone}
	switch {
	case f.err != nil && !leads && !f.failedFor(x):
	case (f.err != nil || originFailed(f.status)) && c.staleAllowed(x, f.err):
		if resp := c.standIn(x, f, d); resp != nil {
			return resp, nil
		}
		if f.err != nil {
			return nil, f.err
		}
	case f.err != nil:
		return nil, f.err
	case f.again:
		return nil, nil
	case f.record != nil:
		if !leads && !rfc9111.Selects(f.record.Selecting, x.header) {
			return nil, nil
		}
		if !leads && (f.own || !c.mayShare(x, f.record)) {
			break
		}
		d.Outcome = Revalidated
		resp := c.serve(x, f.record, c.now(), d)
		x.unusable = resp == nil
		if resp != nil && leads {
			maps.Copy(resp.Header, c.policy().Withheld(f.record.Header, f.said))
		}
		return resp, nil
	case f.download != nil:
		if !leads && !rfc9111.Selects(f.download.record.Selecting, x.header) {
			for name := range f.download.record.Selecting {
				x.vary = append(x.vary, name)
			}
			return nil, nil
		}
		if !leads && !c.mayShare(x, f.download.record) {
			break
		}
		return c.join(x, f.download, d, leads), nil
	}
	if !leads {
		x.alone = true
		return nil, nil
	}
	if resp := f.take(); resp != nil {
		d.NotStored = f.notStored
		resp.Body = &soloBody{resp.Body, x.req.Context(), context.AfterFunc(x.req.Context(), f.cancel), f.cancel}
		return c.answer(x, resp, d), nil
	}
	return nil, nil
}

// failedFor reports whether f's error may be x's as well: nobody answered in time, or x asks in the same words. Else it may be the
// fault of what the leader asked.
func (f *flight) failedFor(x *exchange) bool {
	var timed interface{ Timeout() bool }
	return errors.As(f.err, &timed) && timed.Timeout() || x.content == "" && maps.EqualFunc(f.led.header, x.header, slices.Equal)
}

// standIn returns the stale response in the place of what the origin failed to give; nil if its body is gone.
func (c *Cache) standIn(x *exchange, f *flight, d Decision) *http.Response {
	d.Outcome, d.Err = Stale, f.err
	d.Reason, d.Section = "stale, since the origin failed", "RFC 5861 §4"
	if f.err != nil {
		d.Reason, d.Section = "stale, since the origin gave no answer", "RFC 9111 §4.2.4"
	}
	return c.serve(x, x.records[x.verdict.Index], c.now(), d)
}

// mayShare reports whether the answer to one request may be given to another that waited for it: in a shared cache
// only if it could be reused without asking (RFC 9111 §4), since nothing else keeps users apart.
func (c *Cache) mayShare(x *exchange, r *store.Record) bool {
	if !c.Shared {
		return true
	}
	switch c.policy().Reuse(&x.rr, c.asWhole(r), r.Received).Action {
	case rfc9111.Serve, rfc9111.ServeAndRefresh:
		return true
	}
	return false
}

// forwarded says why the origin was asked, as RFC 9211 §2.2 has it.
func forwarded(x *exchange) string {
	v := &x.verdict
	switch {
	case x.incomplete != nil && v.Index < 0 && x.ask.mode != ForceRefresh:
		return "partial"
	case len(x.found) == 0:
		return "uri-miss"
	case x.ask.mode == ForceRefresh:
		return "request"
	case v.Index < 0 && v.Reason == rfc9111.NoVariant:
		return "vary-miss"
	case v.Index < 0:
		return "miss"
	case v.Age >= v.Lifetime:
		return "stale"
	}
	switch v.Reason {
	case rfc9111.RequestNoCache, rfc9111.RequestMaxAge, rfc9111.RequestMinFresh:
		return "request"
	}
	if x.records[v.Index].Status == http.StatusPartialContent {
		return "partial"
	}
	return "stale" // as what is to be validated each time
}

// soloBody is a body that is read by one caller and not stored; its fetch ends with it.
type soloBody struct {
	io.ReadCloser
	ctx    context.Context // the caller's
	stop   func() bool
	cancel context.CancelFunc
}

func (b *soloBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF && b.ctx.Err() != nil {
		err = b.ctx.Err() // rather than that the fetch was cancelled
	}
	return n, err
}

func (b *soloBody) Close() error {
	b.stop()
	err := b.ReadCloser.Close()
	b.cancel()
	return err
}

// drain reads the little that a response without a body of interest may hold, so that its connection can be
// used again.
func drain(resp *http.Response) {
	if resp.Body == http.NoBody {
		return
	}
	io.CopyN(io.Discard, resp.Body, 4<<10)
	resp.Body.Close()
}

// refresh validates what was just served stale, in the background (RFC 5861 §3), unless that is under way or
// too much else is.
func (c *Cache) refresh(x exchange) {
	select {
	case c.refreshes <- struct{}{}:
	default:
		return
	}
	x, err := x.rewound()
	if err != nil {
		<-c.refreshes
		c.emit(Event{Kind: RefreshFailed, Method: x.rr.Method, URL: x.target.url, Err: err})
		return
	}
	x.now = c.now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.req.Context()), c.refreshTimeout())
	stop := context.AfterFunc(c.abandoned, cancel)
	x.send = x.send.WithContext(ctx)
	x.detach()
	for _, name := range append([]string{"Range"}, conditional[:]...) { // the whole is what is wanted anew
		x.req.Header.Del(name)
		x.header.Del(name)
	}
	f, leads := c.flightFor(&x, 0)
	if leads {
		f.led = x
		c.background.run(func() { c.lead(f, &f.led) })
	} else {
		closeBody(x.send)
	}
	c.background.run(func() {
		defer func() { <-c.refreshes }()
		defer cancel()
		defer stop()
		if err := f.await(ctx, leads); err != nil {
			c.emit(Event{Kind: RefreshFailed, Method: x.rr.Method, URL: x.target.url, Err: err})
		}
	})
}

// await reads what f brings to its end, for nobody.
func (f *flight) await(ctx context.Context, leads bool) error {
	select {
	case <-f.done():
	case <-ctx.Done():
		f.leave(leads)
		return ctx.Err()
	}
	r, attached := new(reader), false
	if f.err == nil && f.download != nil && !originFailed(f.status) {
		attached = f.download.attach(ctx, r, nil)
	}
	f.leave(leads) // at once: readers in lockstep wait for whoever may still become one
	switch {
	case f.err != nil:
		return f.err
	case originFailed(f.status):
		return fmt.Errorf("the origin answered %d", f.status)
	case !attached:
		return nil
	}
	defer r.Close()
	_, err := io.Copy(io.Discard, r)
	return err
}
