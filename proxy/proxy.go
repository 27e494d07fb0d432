package proxy

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
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
	fault := p.Check()
	c := http.NewResponseController(w)
	c.SetWriteDeadline(time.Time{}) // of the connection's last response
	if fault != nil {
		p.fail(w, r, &Fault{Status: http.StatusInternalServerError, Type: "proxy_configuration_error",
			Detail: "the proxy is not set up", Err: fault})
		return
	}
	origin, f := p.admit(r)
	if f != nil {
		p.fail(w, r, f)
		return
	}
	if local(r) {
		options(w)
		return
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	body := p.requestBody(r, c)
	defer body.Close()
	out := p.outgoing(ctx, r, origin, body)
	relay := &interim{w: w, c: c}
	if r.ProtoAtLeast(1, 1) {
		out = out.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: relay.write}))
	}
	if body.rc != nil && r.ProtoMajor == 1 {
		c.EnableFullDuplex() // the origin may answer before it has read all
	}

	resp, err := p.cache.RoundTrip(out)
	relay.end()
	if err != nil {
		p.fail(w, r, body.classify(ctx, err))
		return
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		p.tunnel(w, c, r, out, resp)
		return
	}
	defer resp.Body.Close()
	if f := p.respond(w, c, r, out, resp, origin, cancel); f != nil {
		p.fail(w, r, f)
	}
}

// interim passes 1xx responses on, until the final one is there.
type interim struct {
	w http.ResponseWriter
	c *http.ResponseController

	mu    sync.Mutex
	ended bool
}

func (i *interim) write(code int, header textproto.MIMEHeader) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ended { // the caller has gone, and the request goes on for others
		return nil
	}
	h := i.w.Header()
	for name, values := range header {
		h[name] = values
	}
	removeConnection(h)
	i.w.WriteHeader(code)
	clear(h)
	return nil
}

func (i *interim) end() {
	i.mu.Lock()
	i.ended = true
	i.mu.Unlock()
}

// respond passes resp on. It returns a fault as long as nothing has been written.
func (p *Proxy) respond(w http.ResponseWriter, c *http.ResponseController, r, out *http.Request, resp *http.Response, o *Origin,
	cancel context.CancelCauseFunc) *Fault {
	status := resp.StatusCode
	if status < 200 || status > 999 {
		return &Fault{Status: http.StatusBadGateway, Type: "http_protocol_error", Detail: "the origin's status is none"}
	}
	info := larder.Info(resp)
	p.setHeader(w.Header(), out, resp, o, info)
	trailers := announce(w.Header(), resp)
	c.SetWriteDeadline(time.Now().Add(p.stallTimeout()))
	w.WriteHeader(status)

	var err error
	if resp.Body != http.NoBody {
		dst := &patientWriter{w: w, c: c, stall: p.stallTimeout()}
		src := io.Reader(resp.Body)
		if fromOrigin(info) {
			dst.flush = true // the origin may take its time
			c.Flush()
			if !patient(r, resp) {
				watched := watch(resp.Body, p.stallTimeout(), cancel)
				defer watched.stop()
				src = watched
			}
		}
		buf := buffers.Get().(*[bufferSize]byte)
		_, err = io.CopyBuffer(dst, src, buf[:])
		buffers.Put(buf)
	}
	if err != nil {
		if p.Observe != nil && r.Context().Err() == nil {
			p.Observe(r, &Fault{Status: status, Type: "http_response_incomplete", Detail: "the response broke off", Err: err})
		}
		panic(http.ErrAbortHandler) // so that the client sees that it is not whole
	}
	if len(resp.Trailer) > 0 {
		c.Flush() // else net/http would find out the length of a short body, and leave no room for trailers
		for name, values := range resp.Trailer {
			if !trailers[name] {
				name = http.TrailerPrefix + name
			}
			w.Header()[name] = values
		}
	}
	return nil
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

func options(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Allow", allowed)
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
}

const allowed = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, QUERY"
