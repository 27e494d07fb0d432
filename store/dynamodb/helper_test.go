package dynamodb

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	driver "github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/larder-go/larder/store"
)

var ctx = context.Background()

// endpoint returns the address of the server to test with.
func endpoint(t testing.TB) string {
	t.Helper()
	at := os.Getenv("DYNAMODB_ENDPOINT")
	if at == "" {
		t.Skip("DYNAMODB_ENDPOINT is not set: want the address of DynamoDB, or of a server like it")
	}
	return at
}

// tableName returns the name of a table that is removed when the test ends.
func tableName(t testing.TB) string {
	t.Helper()
	var b [8]byte
	rand.Read(b[:])
	name := "larder-test-" + hex.EncodeToString(b[:])
	at := endpoint(t)
	t.Cleanup(func() { dropTable(t, at, name) })
	return name
}

func dropTable(t testing.TB, at, name string) {
	client, closeIdle, err := connect(ctx, &Options{Endpoint: at})
	if err != nil {
		t.Error(err)
		return
	}
	defer closeIdle()
	client.DeleteTable(ctx, &driver.DeleteTableInput{TableName: &name})
}

// open opens a table of the test's own, made with these options, at the server or where at says.
func open(t testing.TB, o *Options) *Store {
	t.Helper()
	opts := Options{}
	if o != nil {
		opts = *o
	}
	if opts.Endpoint == "" {
		opts.Endpoint = endpoint(t)
	}
	opts.Create = true
	s, err := Open(ctx, "dynamodb://"+tableName(t), &opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// tables gives each directory a table.
type tables struct {
	t  testing.TB
	mu sync.Mutex
	of map[string]string
}

func (ts *tables) at(dir string) string {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.of == nil {
		ts.of = make(map[string]string)
	}
	dir = filepath.Clean(dir)
	if ts.of[dir] == "" {
		ts.of[dir] = tableName(ts.t)
	}
	return ts.of[dir]
}

// A call is what reached a front.
type call struct {
	op   string // GetItem …
	body []byte
}

// front is an HTTP proxy before the real server.
type front struct {
	URL         string
	connections atomic.Int32
	mu          sync.Mutex
	got         []call
	by          answerer
}

// An answerer may answer in the place of the server, and reports whether it has.
type answerer func(w http.ResponseWriter, c call) bool

func (f *front) answer(by answerer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.by = by
}

func newFront(t testing.TB) *front {
	t.Helper()
	at, err := url.Parse(endpoint(t))
	if err != nil {
		t.Fatal(err)
	}
	f := new(front)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(at); r.Out.Host = r.In.Host }}
	proxy.ErrorLog = log.New(io.Discard, "", 0) // some go away before they have their answer
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		c := call{op, body}
		f.mu.Lock()
		f.got = append(f.got, c)
		by := f.by
		f.mu.Unlock()
		if by != nil && by(w, c) {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
	}))
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			f.connections.Add(1)
		case http.StateClosed, http.StateHijacked:
			f.connections.Add(-1)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	f.URL = srv.URL
	return f
}

// calls returns what came since the last time it was asked.
func (f *front) calls() []call {
	f.mu.Lock()
	defer f.mu.Unlock()
	got := f.got
	f.got = nil
	return got
}

// fail answers as DynamoDB answers a request that it refuses.
func fail(w http.ResponseWriter, status int, code, message string) {
	send(w, status, map[string]string{"__type": "com.amazonaws.dynamodb.v20120810#" + code, "message": message})
}

// clientOf returns a client as Open makes it, and how often it has sent something.
func clientOf(t testing.TB, at string) (*driver.Client, *atomic.Int32) {
	t.Helper()
	var sent counted
	client, closeIdle, err := connect(ctx, &Options{Endpoint: at, Config: static("a", "b"), Configure: func(o *driver.Options) {
		sent.HTTPClient, o.HTTPClient = o.HTTPClient, &sent
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeIdle)
	return client, &sent.n
}

type counted struct {
	driver.HTTPClient
	n atomic.Int32
}

func (c *counted) Do(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return c.HTTPClient.Do(r)
}

func record(key string) *store.Record {
	now := time.Now()
	return &store.Record{
		Key: store.Key(key), ID: store.NewID(now),
		Head: store.Head{
			Method: "GET", URL: "https://example.com/" + key, Status: 200, Proto: "HTTP/1.1",
			Header: http.Header{"Content-Type": {"text/plain"}, "Cache-Control": {"max-age=3600"}},
			Length: -1, Requested: now, Received: now,
		},
		FreshUntil: now.Add(time.Hour), KeepUntil: now.Add(2 * time.Hour),
	}
}

// send answers as DynamoDB does.
func send(w http.ResponseWriter, status int, answer any) {
	body, err := json.Marshal(answer)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.Header().Set("X-Amz-Crc32", fmt.Sprint(crc32.ChecksumIEEE(body)))
	w.WriteHeader(status)
	w.Write(body)
}

func digest(r *store.Record) string {
	d := sha256.Sum256([]byte(r.Key))
	return hex.EncodeToString(d[:])
}
