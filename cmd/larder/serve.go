package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/config"
	"github.com/larder-go/larder/proxy"
)

type serve struct {
	teller
	origins, hosts                  []string
	listen                          string
	private, preserveHost           bool
	forwarded                       bool
	ttl                             ttlFlag
	offline, stale                  bool
	maxBody                         sizeFlag
	maxConnections                  numberFlag
	cert, key                       string
	ui, metrics                     string
	connect, response, stall, grace durationFlag
}

func newServe(a *app) *cobra.Command {
	s := new(serve)
	cmd := &cobra.Command{
		Use:   "serve --origin URL",
		Short: "Be a caching reverse proxy",
		Long: `Serve what origins have, through the cache, until interrupted. It is a shared cache unless --private
says otherwise. An origin is URL, PREFIX=URL, HOST=URL or HOST/PREFIX=URL; what follows the prefix
is appended to the URL's path. Nothing but the origins can be reached.`,
		Example: `  larder serve --origin https://api.example.com
  larder serve --origin /v1=https://api.example.com/v1 --origin /img=https://img.example.com
  larder serve --origin https://api.example.com --listen 0.0.0.0:8443 --cert cert.pem --key key.pem`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd, a) },
	}
	f := cmd.Flags()
	f.StringArrayVar(&s.origins, "origin", nil, "an `ORIGIN`; may be repeated")
	f.StringVar(&s.listen, "listen", "127.0.0.1:8080", "the `ADDRESS` to listen at")
	f.StringArrayVar(&s.hosts, "host", nil, "a `HOST` to be asked for under, * is any; may be repeated")
	f.BoolVar(&s.private, "private", false, "be a private cache: that of one user")
	f.Var(&s.ttl, "ttl", "keep everything as fresh for `DURATION`, forever or never")
	f.BoolVar(&s.offline, "offline", false, "never ask the origins")
	f.BoolVar(&s.stale, "stale", false, "take what is stored, however stale")
	f.BoolVar(&s.preserveHost, "preserve-host", false, "pass on the client's Host, and not the origin's own")
	f.BoolVar(&s.forwarded, "forwarded", false, "tell origins who asks, by Forwarded and X-Forwarded-*")
	f.StringVar(&s.cert, "cert", "", "serve https, with the certificate in `FILE`")
	f.StringVar(&s.key, "key", "", "the certificate's key in `FILE`")
	f.Var(&s.maxBody, "max-body", "the longest request body, a `SIZE` such as 10MiB (default any)")
	f.Var(&s.maxConnections, "max-connections", "how many clients may be connected, a `NUMBER` (default 1024)")
	f.Var(&s.connect, "connect-timeout", "for connecting to an origin, a `DURATION` (default 10s)")
	f.Var(&s.response, "response-timeout", "for the head of an origin's response, a `DURATION` (default 1m)")
	f.Var(&s.stall, "stall-timeout", "for a body that stands still, a `DURATION` (default 1m)")
	f.Var(&s.grace, "grace", "for what is under way at the end, a `DURATION` (default 30s)")
	f.StringVar(&s.ui, "ui", "", "serve a page that shows what is stored, and what happens, at an `ADDRESS` of its own, such as 127.0.0.1:8090")
	f.StringVar(&s.metrics, "metrics", "", "serve metrics for Prometheus at /metrics of an `ADDRESS` of their own, such as 127.0.0.1:9464")
	f.BoolVarP(&s.verbose, "verbose", "v", false, "tell on standard error how each response came about")
	f.BoolVar(&s.json, "json", false, "as --verbose, but one JSON object a line")
	complete(cmd, "ttl", oneOf("5m", "1h", "1d", "7d", "forever", "never"))
	return cmd
}

func (s *serve) run(cmd *cobra.Command, a *app) (err error) {
	s.err = cmd.ErrOrStderr()
	p, server, err := s.check(cmd, a)
	if err != nil {
		return err
	}
	c, closeStore, err := a.cache(cmd, true)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, closeServed(cmd.Context(), c, closeStore)) }()
	c.Base = proxy.NewTransport(proxy.TransportOptions{ConnectTimeout: time.Duration(s.connect), ResponseTimeout: time.Duration(s.response),
		MaxHeaderBytes: int64(a.file.Serve.MaxResponseHeader)})
	c.Shared = !s.private
	if p.Forwarded {
		c.Rules = proxy.KeyForwarded(c.Rules)
	}
	c.Observe = s.observe
	endCount, err := a.count(c, func(err error) { tell(s.err, err) })
	if err != nil {
		return err
	}
	defer endCount()
	p.Cache = c
	if err := p.Check(); err != nil {
		return usagef("%w", err)
	}
	listener, err := net.Listen("tcp", s.listen)
	if err != nil {
		return err
	}
	end, err := s.expose(cmd.Context(), cmd.ErrOrStderr(), c)
	if err != nil {
		listener.Close()
		return err
	}
	defer func() { err = cmp.Or(err, end()) }()
	if err := announce(cmd.OutOrStdout(), p.Origins, server.TLS != nil, listener.Addr()); err != nil {
		listener.Close()
		return err
	}
	defer runtime.KeepAlive(headroom())
	if err := server.Serve(s.mode(cmd.Context()), listener); err != nil {
		return &exitError{exitFailed, err} // an interrupt is how it ends, and no fault
	}
	return nil
}

// check reads what the flags and the configuration file say, and makes of it a proxy, which has no cache yet, and its
// server.
func (s *serve) check(cmd *cobra.Command, a *app) (*proxy.Proxy, *proxy.Server, error) {
	if err := a.readFile(cmd.Context()); err != nil {
		return nil, nil, err
	}
	if err := s.complete(cmd, &a.file.Serve); err != nil {
		return nil, nil, err
	}
	p, err := s.proxy(a.file.Serve.Via)
	if err != nil {
		return nil, nil, err
	}
	file := *a.file
	if s.cert != "" || s.key != "" {
		file.Serve.Cert = ""
	}
	server, err := file.Server(p)
	if err != nil {
		return nil, nil, err
	}
	server.MaxConnections, server.GraceTimeout = int(s.maxConnections), time.Duration(s.grace)
	server.ErrorLog = log.New(errorLog{s.err}, "", 0)
	if s.cert != "" || s.key != "" {
		if server.TLS, err = s.certificate(); err != nil {
			return nil, nil, err
		}
	}
	return p, server, s.checkAddresses()
}

// proxy returns one with the origins and the limits of the flags.
func (s *serve) proxy(via string) (*proxy.Proxy, error) {
	p := &proxy.Proxy{Hosts: s.hosts, PreserveHost: s.preserveHost, Forwarded: s.forwarded, MaxBody: max(0, int64(s.maxBody)),
		StallTimeout: time.Duration(s.stall), Via: via, Observe: s.fault}
	if len(s.origins) == 0 {
		return nil, usagef("no origin is given, want --origin URL")
	}
	for _, given := range s.origins {
		o, err := proxy.ParseOrigin(given)
		if err != nil {
			return nil, usagef("--origin: %w", err)
		}
		p.Origins = append(p.Origins, o)
	}
	return p, nil
}

func (s *serve) certificate() (*tls.Config, error) {
	if s.cert == "" || s.key == "" {
		return nil, usagef("--cert and --key go together")
	}
	pair, err := tls.LoadX509KeyPair(s.cert, s.key)
	if err != nil {
		return nil, fmt.Errorf("the certificate %s with the key %s cannot be used: %w", s.cert, s.key, err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

func (s *serve) checkAddresses() error {
	for _, flag := range []struct{ name, at string }{{"listen", s.listen}, {"ui", s.ui}, {"metrics", s.metrics}} {
		if err := config.CheckAddress(flag.at); err != nil && (flag.at != "" || flag.name == "listen") {
			return usagef("--%s %q: %w", flag.name, flag.at, err)
		}
	}
	return nil
}

// announce tells what is served, and where.
func announce(out io.Writer, origins []proxy.Origin, secure bool, at net.Addr) error {
	scheme := "http"
	if secure {
		scheme = "https"
	}
	names := make([]string, len(origins))
	for i, o := range origins {
		names[i] = o.String()
	}
	_, err := fmt.Fprintf(out, "larder: serving %s at %s://%s\n", printable(strings.Join(names, ", ")), scheme, at)
	return err
}

// headroom is memory that is never touched, and so never taken from the system: with it, the garbage of 32 MiB gathers
// before it is collected, where the little that is kept would have it collected every 4 MiB: a sixth of what a small
// hit takes (docs/performance.md). It is none where the user has set a bound of memory.
func headroom() []byte {
	if os.Getenv("GOMEMLIMIT") != "" {
		return nil
	}
	return make([]byte, 32<<20)
}

// complete takes from the configuration file what the flags do not say.
func (s *serve) complete(cmd *cobra.Command, file *config.Serve) error {
	text := func(to *string, flag string, from config.Text) error {
		if from == "" || cmd.Flags().Changed(flag) {
			return nil
		}
		v, err := from.Expand()
		*to = v
		return err
	}
	list := func(to *[]string, from []config.Text) error {
		if len(*to) > 0 {
			return nil
		}
		for _, t := range from {
			v, err := t.Expand()
			if err != nil {
				return err
			}
			*to = append(*to, v)
		}
		return nil
	}
	if err := errors.Join(text(&s.listen, "listen", file.Listen), list(&s.origins, file.Origins), list(&s.hosts, file.Hosts)); err != nil {
		return usagef("%w", err)
	}
	truth := func(to *bool, flag string, from bool) {
		if !cmd.Flags().Changed(flag) {
			*to = from
		}
	}
	truth(&s.private, "private", file.Private)
	truth(&s.preserveHost, "preserve-host", file.PreserveHost)
	truth(&s.forwarded, "forwarded", file.Forwarded)
	truth(&s.offline, "offline", file.Offline)
	truth(&s.stale, "stale", file.Stale)
	s.ttl = cmp.Or(s.ttl, ttlFlag(file.TTL))
	s.maxBody = cmp.Or(s.maxBody, sizeFlag(file.MaxBody))
	s.maxConnections = cmp.Or(s.maxConnections, numberFlag(file.MaxConnections))
	s.connect = cmp.Or(s.connect, durationFlag(file.ConnectTimeout))
	s.response = cmp.Or(s.response, durationFlag(file.ResponseTimeout))
	s.stall = cmp.Or(s.stall, durationFlag(file.StallTimeout))
	s.grace = cmp.Or(s.grace, durationFlag(file.Grace))
	return nil
}

// errorLog tells of what net/http logs: of handshakes that fail, for example.
type errorLog struct{ stderr io.Writer }

func (l errorLog) Write(line []byte) (int, error) {
	tell(l.stderr, errors.New(strings.TrimSpace(string(line))))
	return len(line), nil
}

// expose serves what looks at c, at addresses of their own, until end is called. It is called before c is used.
func (s *serve) expose(ctx context.Context, out io.Writer, c *larder.Cache) (end func() error, err error) {
	endPage, endMetrics := func() error { return nil }, func() error { return nil }
	if s.ui != "" {
		if endPage, err = s.exposePage(ctx, out, c); err != nil {
			return nil, err
		}
	}
	if s.metrics != "" {
		if endMetrics, err = s.exposeMetrics(ctx, out, c); err != nil {
			return nil, errors.Join(err, endPage())
		}
	}
	return func() error { return errors.Join(endPage(), endMetrics()) }, nil
}

// bodyTime bounds the time in which the body of a request to a server aside has to come, which is small. There is no
// other bound: net/http waits for what a handler leaves unread.
const bodyTime = 10 * time.Second

// unreadTime bounds the time in which a client of a server aside has to take what is written to it at once.
const unreadTime = time.Minute

// asideWriter gives each write to the client its own time.
type asideWriter struct{ http.ResponseWriter }

func (w asideWriter) Write(p []byte) (int, error) {
	w.allowTime()
	return w.ResponseWriter.Write(p)
}

func (w asideWriter) allowTime() {
	http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(unreadTime))
}

// serveAside lets a server serve, until ctx ends or end is called, which waits for it.
func serveAside(ctx context.Context, listener net.Listener, server *proxy.Server) (end func() error) {
	server.GraceTimeout = interruptTime
	h := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
		}
		h.ServeHTTP(asideWriter{w}, r)
		asideWriter{w}.allowTime() // for what net/http writes then
	})
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, listener) }()
	return func() error {
		stop()
		return <-ended
	}
}

// mode returns a context for all requests, which asks of the cache what the flags say.
func (s *serve) mode(ctx context.Context) context.Context {
	r := request{ttl: s.ttl, offline: s.offline, stale: s.stale}
	return larder.WithTTL(larder.WithMode(ctx, r.mode()), time.Duration(r.ttl))
}

// fault tells of what the proxy had to answer by itself.
func (s *serve) fault(r *http.Request, f *proxy.Fault) {
	if s.json {
		writeJSON(s.err, struct {
			Method string `json:"method"`
			Host   string `json:"host"`
			Target string `json:"target"`
			Status int    `json:"status"`
			Type   string `json:"type"`
			Error  string `json:"error"`
		}{r.Method, r.Host, r.RequestURI, f.Status, f.Type, f.Error()})
	} else if s.verbose {
		tell(s.err, fmt.Errorf("%s %s %d: %s: %w", r.Method, r.RequestURI, f.Status, f.Type, f))
	}
}
