package proxy

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/larder-go/larder"
)

// Proxy is an http.Handler that answers from a Cache, which asks the origins. Its fields must not be changed once it is in
// use; it is safe for concurrent use.
type Proxy struct {
	// Origins are where requests go; see Origin for which goes where. There must be at least one.
	Origins []Origin
	// Cache answers; nil: a shared one in 64 MiB of memory, with the name larder, over NewTransport. One of the caller's
	// should have a Base that neither unpacks bodies nor follows redirects, as NewTransport's does, and a Name.
	Cache *larder.Cache
	// Hosts are names under which the proxy may be asked for, besides those of Origins: without a port, any port is meant; "*" is
	// every name. nil: every name, but for requests that come in by a loopback address, which may name localhost and
	// loopback addresses only: so a web page cannot reach the proxy of the machine it is shown on under a name of its own (DNS
	// rebinding).
	Hosts []string
	// PreserveHost passes on the client's Host. False: the origin's own. Responses are then kept by that name, too.
	PreserveHost bool
	// Forwarded tells origins who asks, by Forwarded (RFC 7239), X-Forwarded-For, X-Forwarded-Host and X-Forwarded-Proto. What
	// the client says in such fields is never passed on. False: origins are told nothing.
	Forwarded bool
	// Via is the proxy's name in the Via field (RFC 9110 §7.6.3), by which it also knows a request that it has sent
	// itself; it must be a token that no other proxy on the way has. "": larder- and random letters.
	Via string
	// MaxBody is the length of the longest request body, in bytes; 0: any.
	MaxBody int64
	// StallTimeout is how long a body may stand still, in either direction, before it is given up; 0: 60 s. Events
	// (text/event-stream), what is marked Incremental (RFC 10036), and upgraded connections may wait for their origin as long as
	// it wants.
	StallTimeout time.Duration
	// Observe is called with each Fault; nil: nobody is. It must be safe for concurrent use.
	Observe func(*http.Request, *Fault)

	once  sync.Once
	fault error // of the configuration
	cache *larder.Cache
	via   string
	via11 string   // what is added to Via as a rule: of messages in HTTP/1.1
	table []Origin // the most special first
	hosts map[string]bool
}

// Check reports what is wrong with p, if anything. A faulty Proxy answers 500.
func (p *Proxy) Check() error {
	p.once.Do(p.start)
	return p.fault
}

func (p *Proxy) start() {
	p.cache = p.Cache
	if p.cache == nil {
		p.cache = &larder.Cache{Base: NewTransport(TransportOptions{}), Shared: true, Name: defaultName}
	}
	if p.via = p.Via; p.via == "" {
		p.via = "larder-" + strings.ToLower(rand.Text()[:8])
	}
	p.via11 = "1.1 " + p.via
	p.hosts = make(map[string]bool)
	for _, host := range p.Hosts {
		p.hosts[normalHost(host)] = true
	}
	p.table, p.fault = order(p.Origins)
	switch {
	case p.fault != nil:
	case !token(p.via):
		p.fault = errors.New("proxy: Via is no token (RFC 9110 §5.6.2)")
	case p.MaxBody < 0:
		p.fault = errors.New("proxy: MaxBody is negative")
	case p.StallTimeout < 0:
		p.fault = errors.New("proxy: StallTimeout is negative")
	}
}

const defaultName = "larder"

// name is what the proxy is called in Proxy-Status.
func (p *Proxy) name() string {
	if p.cache.Name != "" {
		return p.cache.Name
	}
	return defaultName
}

func (p *Proxy) stallTimeout() time.Duration {
	if p.StallTimeout == 0 {
		return 60 * time.Second
	}
	return p.StallTimeout
}

// ServeHTTP answers r.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{p: p, w: w, c: http.NewResponseController(w), r: r}
	if err := p.Check(); err != nil {
		x.fail(&Fault{Status: http.StatusInternalServerError, Type: "proxy_configuration_error", Detail: "the proxy is not set up", Err: err})
		return
	}
	if r.ProtoMajor > 1 { // else it matters to writes alone, and each has its own
		x.c.SetWriteDeadline(time.Time{}) // of a server that bounds whole responses
	}
	origin, fault := p.admit(r)
	switch {
	case fault != nil:
		x.fail(fault)
	case local(r):
		x.options()
	default:
		x.origin = origin
		x.ask()
	}
}

// exchange is one request on its way through the proxy.
type exchange struct {
	p      *Proxy
	w      http.ResponseWriter
	c      *http.ResponseController
	r      *http.Request
	origin *Origin
	out    *http.Request // to the origin
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// ask passes the request on, and the answer back.
func (x *exchange) ask() {
	x.ctx, x.cancel = context.WithCancelCause(x.r.Context())
	defer x.cancel(nil)
	body := x.p.requestBody(x.r, x.c)
	defer body.Close()
	relay := &interim{x: x}
	defer relay.end()
	ctx := x.ctx
	if x.r.ProtoAtLeast(1, 1) {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: relay.take})
		if x.r.ProtoMajor == 1 && x.expectsContinue() {
			body.proceed = relay.proceed
		}
	}
	x.out = x.p.outgoing(ctx, x.r, x.origin, body)
	if body.rc != nil && x.r.ProtoMajor == 1 {
		x.c.EnableFullDuplex() // the origin may answer before it has read all
	}
	resp, err := x.p.cache.RoundTrip(x.out)
	relay.end()
	switch {
	case err != nil && x.r.Context().Err() != nil && body.err.Load() == nil:
		panic(http.ErrAbortHandler) // nobody is there any more
	case err != nil:
		x.fail(body.classify(err))
	case resp.StatusCode == http.StatusSwitchingProtocols:
		x.tunnel(resp, body)
	default:
		defer resp.Body.Close()
		x.respond(resp)
	}
}

// interim passes 1xx responses on, until the final one is there. They come by the connection to the origin, which does not wait for the
// client to read them: others may be waiting for what comes next.
type interim struct {
	x *exchange

	mu      sync.Mutex
	ended   bool
	waiting []message
	passing sync.WaitGroup
}

type message struct {
	code    int
	header  http.Header
	written chan struct{} // closed then; nil: nobody waits for it
}

// mostWaiting is how many may wait for the client to read the one before; it does without further ones.
const mostWaiting = 16

// take is told by the origin.
func (i *interim) take(code int, header textproto.MIMEHeader) error {
	switch {
	case code == http.StatusContinue && i.x.expectsContinue(): // it is told that when its body is read
	case code == http.StatusSwitchingProtocols: // by HTTP/2, which has none (RFC 9113 §8.6)
	default:
		i.add(message{code: code, header: http.Header(header)})
	}
	return nil
}

func (i *interim) add(m message) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ended || len(i.waiting) >= mostWaiting && m.written == nil { // ended: the caller has gone, and the request goes on for others
		return false
	}
	if i.waiting = append(i.waiting, m); len(i.waiting) == 1 {
		i.passing.Go(i.pass)
	}
	return true
}

// pass passes on what waits, and what comes meanwhile.
func (i *interim) pass() {
	h := i.x.w.Header()
	for more := true; more; {
		i.mu.Lock()
		m := i.waiting[0]
		i.mu.Unlock()
		copyMessage(h, m.header)
		i.x.allowTime()
		i.x.w.WriteHeader(m.code)
		i.x.c.SetWriteDeadline(time.Time{}) // the next one may take its time
		clear(h)
		if m.written != nil {
			close(m.written)
		}
		i.mu.Lock()
		i.waiting = i.waiting[1:]
		more = len(i.waiting) > 0
		i.mu.Unlock()
	}
}

// proceed asks the client for its body. By HTTP/1.1 net/http would do so amid what is being passed on.
func (i *interim) proceed() {
	written := make(chan struct{})
	if i.add(message{code: http.StatusContinue, written: written}) {
		<-written
	}
}

// end waits until what has come is passed on; from then on nothing is.
func (i *interim) end() {
	i.mu.Lock()
	i.ended = true
	i.mu.Unlock()
	i.passing.Wait()
}

// allowTime gives what is written next its own time.
func (x *exchange) allowTime() { x.c.SetWriteDeadline(time.Now().Add(x.p.stallTimeout())) }

func (x *exchange) expectsContinue() bool { return hasToken(x.r.Header["Expect"], "100-continue") }

// respond passes resp on.
func (x *exchange) respond(resp *http.Response) {
	if resp.StatusCode < 200 || resp.StatusCode > 999 {
		x.fail(gateway(http.StatusBadGateway, "http_protocol_error", "the origin's status is none"))
		return
	}
	info := larder.Info(resp)
	h := x.w.Header()
	x.p.setHeader(h, x.out, resp, x.origin, info)
	announced := announce(h, resp)
	x.w.WriteHeader(resp.StatusCode)
	if err := x.copy(resp, info); err != nil {
		x.brokenOff(resp.StatusCode, err)
		if !x.r.ProtoAtLeast(1, 1) && h["Content-Length"] == nil {
			x.reset()
		}
		panic(http.ErrAbortHandler) // so that the client sees that it is not whole
	}
	if len(resp.Trailer) == 0 {
		return
	}
	x.c.Flush() // else net/http would find out the length of a short body, and leave no room for trailers
	for name, values := range resp.Trailer {
		if framing(name) {
			continue
		}
		if !announced[name] {
			name = http.TrailerPrefix + name
		}
		h[name] = values
	}
}

// reset ends a connection whose end, were it a proper one, would be that of the response (RFC 9112 §6.3).
func (x *exchange) reset() {
	conn, _, err := x.c.Hijack()
	if err != nil {
		return
	}
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn() // a proper end of TLS would be one, too
	}
	if tcp, ok := conn.(interface{ SetLinger(int) error }); ok {
		tcp.SetLinger(0)
	}
	conn.Close()
}

// brokenOff tells of a response that could not be passed on whole, unless that is because the client has left.
func (x *exchange) brokenOff(status int, err error) {
	f := &Fault{Status: status, Type: "http_response_incomplete", Detail: "the response broke off", Err: err}
	switch {
	case x.p.Observe == nil:
		return
	case errors.Is(err, os.ErrDeadlineExceeded):
		f.Type, f.Detail = "connection_write_timeout", "the client did not read the response in time"
	case x.r.Context().Err() != nil:
		return
	case context.Cause(x.ctx) != nil:
		f.Err = context.Cause(x.ctx)
	}
	x.p.Observe(x.r, f)
}

// copy passes the response's body on, and with it the header, which net/http holds back until there is a body, a flush, or the end.
func (x *exchange) copy(resp *http.Response, info larder.Decision) error {
	if resp.Body == http.NoBody || bodiless(resp.StatusCode) { // a store, or HTTP/2, may bring one where none may be
		x.allowTime()
		return nil
	}
	dst := &patientWriter{x: x}
	src := io.Reader(resp.Body)
	if fromOrigin(info) { // which may take its time, so that nothing is to wait for more
		dst.flush = true
		dst.write(nil)
		if info.Stored && resp.ContentLength > 0 && len(resp.Trailer) == 0 {
			dst.length = resp.ContentLength // who has it all, and asks again at once, finds it in the store
		}
		if !patient(x.r, resp) {
			watched := watch(resp.Body, x.p.stallTimeout(), x.cancel)
			defer watched.stop()
			src = watched
		}
	}
	if _, err := io.Copy(dst, src); err != nil {
		return err
	}
	return dst.end()
}

// fromOrigin reports whether the response's body comes from the origin, as far as it has come.
func fromOrigin(d larder.Decision) bool {
	switch d.Outcome {
	case larder.Hit, larder.Stale, larder.Revalidated, larder.Refused:
		return false
	}
	return true
}

// local reports whether the request is for the proxy itself (RFC 9110 §7.6.2, §9.3.7).
func local(r *http.Request) bool {
	return r.Method == http.MethodOptions && (r.RequestURI == "*" || maxForwards(r) == 0)
}

func (x *exchange) options() {
	h := x.w.Header()
	h.Set("Allow", allowed)
	h.Set("Content-Length", "0")
	x.allowTime()
	x.w.WriteHeader(http.StatusOK)
}

const allowed = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, QUERY"
