package proxy

import (
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"

	"github.com/larder-go/larder"
)

// Proxy is an http.Handler that answers from a Cache, which asks the origins. Its fields must not be changed once it is
// in use; it is safe for concurrent use.
type Proxy struct {
	// Origins are where requests go; see Origin for which goes where. There must be at least one.
	Origins []Origin
	// Cache answers; nil: a shared one in 64 MiB of memory, with the name larder, over NewTransport. One of the
	// caller's should have a Base that neither unpacks bodies nor follows redirects, and whose bodies may be closed
	// while they are read, as NewTransport's does, and a Name.
	Cache *larder.Cache
	// Hosts are names under which the proxy may be asked for, besides those of Origins: without a port, any port is
	// meant; "*" is every name. nil: every name, but for requests that come in by a loopback address, which may name
	// localhost and loopback addresses only: so a web page cannot reach the proxy of the machine it is shown on under a
	// name of its own (DNS rebinding).
	Hosts []string
	// PreserveHost passes on the client's Host. False: the origin's own. Responses are then kept by that name, too.
	PreserveHost bool
	// Forwarded tells origins who asks, by Forwarded (RFC 7239), X-Forwarded-For, X-Forwarded-Host and
	// X-Forwarded-Proto. What the client says in such fields is never passed on. False: origins are told nothing.
	// An origin may answer by the host and the scheme that it is told, and a client may name any of Hosts: so a Cache
	// of the caller's needs Rules by KeyForwarded.
	Forwarded bool
	// Via is the proxy's name in the Via field (RFC 9110 §7.6.3), by which it also knows a request that it has sent
	// itself; it must be a token that no other proxy on the way has. "": larder- and random letters.
	Via string
	// MaxBody is the length of the longest request body, in bytes; 0: any.
	MaxBody int64
	// StallTimeout is how long a body may stand still, in either direction, before it is given up; 0: 60 s. Events
	// (text/event-stream), what is marked Incremental (RFC 10036), upgraded connections, and a request's body that the
	// origin does not read on may wait for the origin as long as it wants.
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
		if p.Forwarded {
			p.cache.Rules = KeyForwarded(nil)
		}
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
	x.body = p.requestBody(r, x.c)
	defer x.body.end()
	if x.body.rc != nil && r.ProtoMajor == 1 {
		x.c.EnableFullDuplex() // the answer may come before all of it has been read, which net/http would wait for without end
	}
	if err := p.Check(); err != nil {
		x.fail(&Fault{Status: http.StatusInternalServerError, Type: "proxy_configuration_error", Detail: "the proxy is not set up", Err: err})
		return
	}
	if r.ProtoMajor > 1 { // where a server that bounds whole responses would end this one even while nothing is written
		x.c.SetWriteDeadline(time.Time{})
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
	x.linger()
}

// linger reads what the client goes on to send behind an answer whose end it can tell, unless it waits for the answer
// first: else it might get a reset in the place of that (RFC 9112 §9.6). net/http does so for little, and only where the
// connection could have stayed open.
func (x *exchange) linger() {
	waits := x.expectsContinue() && !x.body.begun.Load()
	if x.r.ProtoMajor == 1 && x.body.lingers() && x.w.Header()["Content-Length"] != nil && !waits {
		x.body.Close()
		x.body.setDeadline(time.Now().Add(lingerTime))
		x.c.Flush()
		io.Copy(io.Discard, x.body.rc)
	}
}

// exchange is one request on its way through the proxy.
type exchange struct {
	p      *Proxy
	w      http.ResponseWriter
	c      *http.ResponseController
	r      *http.Request
	origin *Origin
	body   *requestBody
	out    *http.Request // to the origin
}

// ask passes the request on, and the answer back.
func (x *exchange) ask() {
	body := x.body
	relay := &interim{x: x}
	defer relay.end()
	ctx := x.r.Context()
	if x.r.ProtoAtLeast(1, 1) {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: relay.take})
		if x.r.ProtoMajor == 1 && x.expectsContinue() {
			body.proceed = relay.proceed
		}
	}
	x.out = x.p.outgoing(ctx, x.r, x.origin, body)
	resp, err := x.p.cache.RoundTrip(x.out)
	relay.end()
	switch {
	case err != nil && x.r.Context().Err() != nil && body.err.Load() == nil:
		panic(http.ErrAbortHandler) // nobody is there any more
	case err != nil:
		x.fail(body.classify(err))
	case resp.StatusCode == http.StatusSwitchingProtocols:
		x.tunnel(resp)
	default:
		defer resp.Body.Close()
		x.respond(resp)
	}
}

// writeHead begins the response. Behind one to a request that has not come whole the connection ends: net/http, which
// was told that the two may overlap, would take what is left of a broken body for the next request.
func (x *exchange) writeHead(status int) {
	if x.r.ProtoMajor == 1 && x.body.remains() {
		x.w.Header().Set("Connection", "close")
	}
	x.w.WriteHeader(status)
}

func (x *exchange) expectsContinue() bool { return hasToken(x.r.Header["Expect"], "100-continue") }

// local reports whether the request is for the proxy itself (RFC 9110 §7.6.2, §9.3.7).
func local(r *http.Request) bool {
	return r.Method == http.MethodOptions && (r.RequestURI == "*" || maxForwards(r) == 0)
}

func (x *exchange) options() {
	h := x.w.Header()
	h.Set("Allow", allowed)
	h.Set("Content-Length", "0")
	x.allowTime()
	x.writeHead(http.StatusOK)
}

const allowed = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, QUERY"
