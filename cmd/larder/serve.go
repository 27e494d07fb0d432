package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
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
		Short: "Run a caching reverse proxy",
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
	f.StringArrayVar(&s.hosts, "host", nil, "a `HOST` that requests may name, * is any; may be repeated")
	f.BoolVar(&s.private, "private", false, "be a private cache, for one user")
	f.Var(&s.ttl, "ttl", "keep everything as fresh for `DURATION`, forever or never")
	f.BoolVar(&s.offline, "offline", false, "never ask the origins")
	f.BoolVar(&s.stale, "stale", false, "take what is stored, however stale")
	f.BoolVar(&s.preserveHost, "preserve-host", false, "pass on the client's Host, and not the origin's own")
	f.BoolVar(&s.forwarded, "forwarded", false, "tell origins who asks, by Forwarded and X-Forwarded-*")
	f.StringVar(&s.cert, "cert", "", "serve https, with the certificate in `FILE`")
	f.StringVar(&s.key, "key", "", "the certificate's key in `FILE`")
	f.Var(&s.maxBody, "max-body", "the longest request body, a `SIZE` such as 10MiB (default any)")
	f.Var(&s.maxConnections, "max-connections", "let `NUMBER` clients be connected at once (default 1024)")
	f.Var(&s.connect, "connect-timeout", "give up connecting to an origin after `DURATION` (default 10s)")
	f.Var(&s.response, "response-timeout", "give up waiting for the head of a response after `DURATION` (default 1m)")
	f.Var(&s.stall, "stall-timeout", "give up on a body that makes no progress for `DURATION` (default 1m)")
	f.Var(&s.grace, "grace", "at the end, let what is under way go on for `DURATION` (default 30s)")
	f.StringVar(&s.ui, "ui", "", "serve a page that shows what is stored, and what happens, at an `ADDRESS` of its own, such as 127.0.0.1:8090")
	f.StringVar(&s.metrics, "metrics", "", "serve metrics for Prometheus at /metrics of an `ADDRESS` of their own, such as 127.0.0.1:9464")
	f.BoolVarP(&s.verbose, "verbose", "v", false, "tell on standard error how each response came about")
	f.BoolVar(&s.json, "json", false, "as --verbose, but one JSON object a line")
	complete(cmd, "ttl", oneOf("5m", "1h", "1d", "7d", "forever", "never"))
	return cmd
}

func (s *serve) run(cmd *cobra.Command, a *app) (err error) {
	s.err = cmd.ErrOrStderr()
	if err := a.readFile(cmd.Context()); err != nil {
		return err
	}
	conf, err := s.settings(cmd, a.file)
	if err != nil {
		return err
	}
	p, server, err := s.check(conf)
	if err != nil {
		return err
	}
	c, closeStore, err := a.cache(cmd, true)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, closeServed(cmd.Context(), c, closeStore)) }()
	c.Base = conf.Transport()
	c.Shared = !conf.Serve.Private
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
	end, err := s.expose(cmd.Context(), cmd.ErrOrStderr(), p)
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
	if err := server.Serve(withMode(cmd.Context(), &conf.Serve), listener); err != nil {
		return &exitError{exitFailed, err} // an interrupt is how it ends, and no fault
	}
	return nil
}

// settings returns the configuration file's settings, overridden by the flags that are given.
func (s *serve) settings(cmd *cobra.Command, file *config.Config) (*config.Config, error) {
	c := *file
	to := &c.Serve
	if len(s.origins) > 0 {
		to.Origins = literals(s.origins)
	}
	if len(s.hosts) > 0 {
		to.Hosts = literals(s.hosts)
	}
	override(cmd, "private", &to.Private, s.private)
	override(cmd, "preserve-host", &to.PreserveHost, s.preserveHost)
	override(cmd, "forwarded", &to.Forwarded, s.forwarded)
	override(cmd, "ttl", &to.TTL, config.TTL(s.ttl))
	override(cmd, "offline", &to.Offline, s.offline)
	override(cmd, "stale", &to.Stale, s.stale)
	override(cmd, "max-body", &to.MaxBody, config.Size(max(0, s.maxBody)))
	override(cmd, "max-connections", &to.MaxConnections, int(s.maxConnections))
	override(cmd, "connect-timeout", &to.ConnectTimeout, config.Duration(s.connect))
	override(cmd, "response-timeout", &to.ResponseTimeout, config.Duration(s.response))
	override(cmd, "stall-timeout", &to.StallTimeout, config.Duration(s.stall))
	override(cmd, "grace", &to.Grace, config.Duration(s.grace))
	if (s.cert == "") != (s.key == "") {
		return nil, usagef("--cert and --key go together")
	}
	if s.cert != "" {
		cert, errCert := filepath.Abs(s.cert) // in the file, a relative path starts at the file's folder
		key, errKey := filepath.Abs(s.key)
		if err := errors.Join(errCert, errKey); err != nil {
			return nil, err
		}
		to.Cert, to.Key = config.Literal(cert), config.Literal(key)
	}
	if cmd.Flags().Changed("listen") {
		return &c, nil
	}
	var err error
	s.listen, err = to.Address()
	return &c, err
}

// override sets to to v if the flag is given.
func override[T any](cmd *cobra.Command, flag string, to *T, v T) {
	if cmd.Flags().Changed(flag) {
		*to = v
	}
}

func literals(values []string) (texts []config.Text) {
	for _, v := range values {
		texts = append(texts, config.Literal(v))
	}
	return texts
}

// check returns the proxy, without its cache, and its server.
func (s *serve) check(conf *config.Config) (*proxy.Proxy, *proxy.Server, error) {
	if len(conf.Serve.Origins) == 0 {
		return nil, nil, usagef("no origin is given, want --origin URL")
	}
	for _, o := range s.origins {
		if _, err := proxy.ParseOrigin(o); err != nil {
			return nil, nil, usagef("--origin: %w", err)
		}
	}
	p, err := conf.Proxy(nil)
	if err != nil {
		return nil, nil, err
	}
	p.Observe = s.fault
	server, err := conf.Server(p)
	if err != nil {
		return nil, nil, err
	}
	server.ErrorLog = log.New(errorLog{s.err}, "", 0)
	for _, flag := range []struct{ name, at string }{{"listen", s.listen}, {"ui", s.ui}, {"metrics", s.metrics}} {
		if err := config.CheckAddress(flag.at); err != nil && (flag.at != "" || flag.name == "listen") {
			return nil, nil, usagef("--%s %q: %w", flag.name, flag.at, err)
		}
	}
	return p, server, nil
}

// announce writes what is served, and where.
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

// headroom returns memory that is never touched, and so never taken from the system. With it, 32 MiB of garbage gather
// before a collection. Since the heap is small, that would be 4 MiB otherwise, and take a sixth of the time of a small
// hit (docs/performance.md). There is no headroom if the user has set a memory limit.
func headroom() []byte {
	if os.Getenv("GOMEMLIMIT") != "" {
		return nil
	}
	return make([]byte, 32<<20)
}

// errorLog writes what net/http logs, such as failed handshakes, as the command writes errors.
type errorLog struct{ stderr io.Writer }

func (l errorLog) Write(line []byte) (int, error) {
	tell(l.stderr, errors.New(strings.TrimSpace(string(line))))
	return len(line), nil
}

// expose serves the page and the metrics that the flags ask for, at addresses of their own, until end is called. It
// must be called before the cache of p is used.
func (s *serve) expose(ctx context.Context, out io.Writer, p *proxy.Proxy) (end func() error, err error) {
	endPage, endMetrics := func() error { return nil }, func() error { return nil }
	if s.ui != "" {
		if endPage, err = s.exposePage(ctx, out, p); err != nil {
			return nil, err
		}
	}
	if s.metrics != "" {
		if endMetrics, err = s.exposeMetrics(ctx, out, p.Cache); err != nil {
			return nil, errors.Join(err, endPage())
		}
	}
	return func() error { return errors.Join(endPage(), endMetrics()) }, nil
}

// bodyTime is how long the body of a request to the page or the metrics may take, which is small. Nothing else limits
// that: net/http waits for what a handler leaves unread.
const bodyTime = 10 * time.Second

// unreadTime is how long a client of the page or the metrics may take to read what is written to it at once.
const unreadTime = time.Minute

// asideWriter gives each write to the client a deadline of its own.
type asideWriter struct{ http.ResponseWriter }

func (w asideWriter) Write(p []byte) (int, error) {
	w.allowTime()
	return w.ResponseWriter.Write(p)
}

func (w asideWriter) allowTime() {
	http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(unreadTime))
}

// serveAside runs the server of the page or the metrics until ctx ends or end is called. end waits for it.
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

// withMode returns a context for all requests, with what the settings ask of the cache.
func withMode(ctx context.Context, s *config.Serve) context.Context {
	r := request{offline: s.Offline, stale: s.Stale}
	return larder.WithTTL(larder.WithMode(ctx, r.mode()), time.Duration(s.TTL))
}

// fault reports a response that the proxy made itself, or could not pass on whole.
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
