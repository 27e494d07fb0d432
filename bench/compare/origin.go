package main

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"time"
)

// origin answers everything with the same response: as a RoundTripper from memory, as a Handler over the network.
type origin struct {
	header      http.Header
	body        []byte
	asked       atomic.Int64
	notModified atomic.Int64 // how often of these with a 304
}

// newOrigin returns an origin whose response has 12 fields, as those of an API do, and size bytes.
func newOrigin(size int, cacheControl string) *origin {
	body := make([]byte, size)
	for i := range body {
		body[i] = `{"name":"value", `[i%17]
	}
	return &origin{body: body, header: http.Header{
		"Date":                      {time.Now().UTC().Format(http.TimeFormat)},
		"Content-Type":              {"application/json; charset=utf-8"},
		"Content-Length":            {strconv.Itoa(size)},
		"Cache-Control":             {cacheControl},
		"Etag":                      {`"0123456789abcdef"`},
		"Vary":                      {"Accept"},
		"Server":                    {"nginx"},
		"X-Request-Id":              {"4c2f0d1e-93f7-4f0b-a3b1-5f5b8f2f8f11"},
		"X-Ratelimit-Limit":         {"5000"},
		"X-Ratelimit-Remaining":     {"4999"},
		"Strict-Transport-Security": {"max-age=31536000"},
		"X-Content-Type-Options":    {"nosniff"},
	}}
}

func (o *origin) RoundTrip(req *http.Request) (*http.Response, error) {
	o.asked.Add(1)
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: o.header.Clone(),
		Body: io.NopCloser(bytes.NewReader(o.body)), ContentLength: int64(len(o.body)), Request: req,
	}, nil
}

func (o *origin) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	o.asked.Add(1)
	h := w.Header()
	maps.Copy(h, o.header)
	if req.Header.Get("If-None-Match") == o.header.Get("Etag") {
		o.notModified.Add(1)
		delete(h, "Content-Length")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Write(o.body)
}

// loopback serves o on a socket of this machine, and returns a transport that finds it there under any name.
func (o *origin) loopback() (http.RoundTripper, func()) {
	server := httptest.NewServer(o)
	var dialer net.Dialer
	t := &http.Transport{
		MaxIdleConnsPerHost: 100,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, server.Listener.Addr().String())
		},
	}
	return t, func() {
		t.CloseIdleConnections()
		server.Close()
	}
}
