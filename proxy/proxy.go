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
	// Cache answers the requests; nil: a shared cache in 64 MiB of memory, named larder, over NewTransport. A Cache
	// should have a Name, and a Base like NewTransport's: one that neither decompresses bodies nor follows redirects,
	// and whose bodies may be closed while they are read.
	Cache *larder.Cache
	// Hosts are the hosts that requests may name, besides those of Origins. Without a port, one means any port; "*" is
	// every host. nil: every host, except that requests to a loopback address may name only localhost and loopback
	// addresses: so no web page reaches a proxy on its reader's machine by a name of its own (DNS rebinding).
	Hosts []string
	// PreserveHost passes on the client's Host, by which responses are then kept, too. False: origins get their own.
	PreserveHost bool
	// Forwarded tells origins who asks, by Forwarded (RFC 7239), X-Forwarded-For, X-Forwarded-Host and
	// X-Forwarded-Proto. What the client says in such fields is never passed on. False: origins are told nothing. What
	// an origin answers may depend on the host and the scheme that it is told, and a client may name any of Hosts: so
	// a Cache that is set needs Rules from KeyForwarded.
	Forwarded bool
	// Via is the proxy's name in the Via field (RFC 9110 §7.6.3), by which it also recognises a request that comes back
	// to it. It must be a token, and no other proxy on the way may have it. "": larder- and random letters.
	Via string
	// MaxBody is the length of the longest request body, in bytes; 0: any.
	MaxBody int64
	// StallTimeout is how long a body may make no progress, in either direction, before it is given up; 0: 60 s. There
	// is no limit on waiting for the origin with event streams (text/event-stream), messages marked Incremental (RFC
	// 10036), upgraded connections, and request bodies that the origin has stopped reading.
	StallTimeout time.Duration
	// Observe, if set, is called with each Fault. It must be safe for concurrent use.
	Observe func(*http.Request, *Fault)

	once  sync.Once
	fault error // of the configuration
	cache *larder.Cache
	via   string
	via11 string   // the member of Via for HTTP/1.1
	table []Origin // the most specific first
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
		p.fault = errors.New("proxy: Via is not a token (RFC 9110 §5.6.2)")
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
		x.c.EnableFullDuplex() // else net/http reads it to its end before a response, however long that takes
	}
	if err := p.Check(); err != nil {
		x.fail(&Fault{Status: http.StatusInternalServerError, Type: "proxy_configuration_error", Detail: "the proxy is not set up", Err: err})
		return
	}
	if r.ProtoMajor > 1 { // else a WriteTimeout of the server ends the stream even while nothing is written
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

// linger reads the rest of the request's body after a response with a Content-Length, unless the client waits for 100
// (Continue). Closing the connection at once could reset it before the client has read the response (RFC 9112 §9.6).
// net/http reads no more than a little, and only where the connection could have stayed open.
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
		panic(http.ErrAbortHandler) // the client has left
	case err != nil:
		x.fail(body.fault(err))
	case resp.StatusCode == http.StatusSwitchingProtocols:
		x.tunnel(resp)
	default:
		defer resp.Body.Close()
		x.respond(resp)
	}
}

// writeHead begins the response. If the request has not come whole, the connection ends after it: net/http, told that
// request and response may overlap, would take the rest of a broken body for the next request.
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
