package config

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/proxy"
)

const defaultListen = "127.0.0.1:8080"

// Address returns the address to listen at, with the variables in it expanded; by default 127.0.0.1:8080.
func (s *Serve) Address() (string, error) {
	if s.Listen == "" {
		return defaultListen, nil
	}
	return s.Listen.Expand()
}

// Proxy returns a proxy with the file's settings that answers from cache, whose Base should be what Transport returns.
func (c *Config) Proxy(cache *larder.Cache) (*proxy.Proxy, error) {
	s := &c.Serve
	p := &proxy.Proxy{Cache: cache, PreserveHost: s.PreserveHost, Forwarded: s.Forwarded, Via: s.Via, MaxBody: int64(s.MaxBody),
		StallTimeout: time.Duration(s.StallTimeout)}
	for i, text := range s.Origins {
		o, err := parseOrigin(text)
		if err != nil {
			return nil, c.fault(fmt.Sprintf("serve.origins[%d]", i), "%v", err)
		}
		p.Origins = append(p.Origins, o)
	}
	for i, text := range s.Hosts {
		host, err := text.Expand()
		if err != nil {
			return nil, c.fault(fmt.Sprintf("serve.hosts[%d]", i), "%v", err)
		}
		p.Hosts = append(p.Hosts, host)
	}
	return p, nil
}

func parseOrigin(t Text) (proxy.Origin, error) {
	s, err := t.Expand()
	if err != nil {
		return proxy.Origin{}, err
	}
	return proxy.ParseOrigin(s)
}

// Transport returns the Base for the proxy's cache, with the file's limits.
func (c *Config) Transport() *proxy.Transport {
	s := &c.Serve
	return proxy.NewTransport(proxy.TransportOptions{ConnectTimeout: time.Duration(s.ConnectTimeout),
		ResponseTimeout: time.Duration(s.ResponseTimeout), MaxHeaderBytes: int64(s.MaxResponseHeader)})
}

// Server returns a server for h, usually a proxy, with the file's limits and certificate.
func (c *Config) Server(h http.Handler) (*proxy.Server, error) {
	s := &c.Serve
	server := &proxy.Server{Handler: h, MaxConnections: s.MaxConnections, MaxHeaderBytes: int(s.MaxHeader), MaxStreams: s.MaxStreams,
		HeaderTimeout: time.Duration(s.HeaderTimeout), IdleTimeout: time.Duration(s.IdleTimeout), GraceTimeout: time.Duration(s.Grace)}
	if s.Cert == "" {
		return server, nil
	}
	cert, err := c.expandPath(s.Cert)
	if err != nil {
		return nil, c.fault("serve.cert", "%v", err)
	}
	key, err := c.expandPath(s.Key)
	if err != nil {
		return nil, c.fault("serve.key", "%v", err)
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("the certificate %s with the key %s cannot be used: %w", cert, key, err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	return server, nil
}
