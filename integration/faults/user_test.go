package faults

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

// proxy stands between a store and its server.
type proxy struct {
	t *testing.T
	*toxiproxy.Proxy
}

func newProxy(t *testing.T, upstream string) *proxy {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	p := &proxy{t, toxiproxy.NewProxy(server, "server", "127.0.0.1:0", upstream)}
	for _, stream := range []string{"downstream", "upstream"} {
		p.addTo(stream, stream, "cutter", `"attributes":{}`)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

// add adds a toxic to what comes from the server, and returns what removes it.
func (p *proxy) add(name, kind, attributes string) (remove func()) {
	p.t.Helper()
	return p.addTo("downstream", name, kind, attributes)
}

func (p *proxy) addTo(stream, name, kind, attributes string) (remove func()) {
	p.t.Helper()
	toxic := fmt.Sprintf(`{"name":%q,"type":%q,"stream":%q,%s}`, name, kind, stream, attributes)
	if _, err := p.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		p.t.Fatal(err)
	}
	return func() { p.Toxics.RemoveToxic(context.Background(), name) }
}

// user is a client with a cache, the origin that it asks, and the proxy before the cache's store.
type user struct {
	*testing.T
	proxy  *proxy
	store  store.Store
	cache  *larder.Cache
	origin *httptest.Server
	etag   bool // the origin names one, and serves ranges
}

func newUser(t *testing.T, p *proxy, s store.Store) *user {
	u := &user{T: t, proxy: p, store: s, cache: &larder.Cache{Store: s}}
	u.origin = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		body := bodyOf(r.URL.Path)
		if u.etag {
			w.Header().Set("ETag", strconv.Quote(r.URL.Path))
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
			return
		}
		w.Write(body)
	}))
	t.Cleanup(u.origin.Close)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := u.cache.Close(ctx); err != nil {
			t.Errorf("background work goes on: %v", err)
		}
	})
	return u
}

// bodyOf returns the body of /SIZE/NAME.
func bodyOf(path string) []byte {
	size, _ := strconv.Atoi(strings.Split(path, "/")[1])
	body := make([]byte, size)
	rand.NewChaCha8(sha256.Sum256([]byte(path))).Read(body)
	return body
}

// get asks for a path; whatever happens to the store, the answer must be right.
func (u *user) get(path string) larder.Outcome {
	u.Helper()
	outcome, err := u.try(path)
	if err != nil {
		u.Errorf("%s, a %v: %v", path, outcome, err)
	}
	return outcome
}

var errWrong = errors.New("another body than the origin's")

func (u *user) try(path string) (larder.Outcome, error) {
	resp, err := u.cache.Client().Get(u.origin.URL + path)
	if err != nil {
		return larder.None, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err == nil && !bytes.Equal(got, bodyOf(path)) {
		err = errWrong
	}
	return larder.Info(resp).Outcome, err
}

// eventually waits until a condition of the real network holds, and returns how long it took.
func (u *user) eventually(what string, holds func() bool) time.Duration {
	u.Helper()
	began := time.Now()
	for !holds() {
		if time.Since(began) > 30*time.Second {
			u.Fatalf("not so after 30 s: %s", what)
		}
		<-time.After(20 * time.Millisecond)
	}
	return time.Since(began)
}
