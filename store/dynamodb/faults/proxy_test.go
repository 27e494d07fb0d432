// Package faults tests what users of a cache see when the network to DynamoDB is slow, breaks or is gone. It is a module of
// its own for the sake of its proxy's dependencies.
package faults

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	random "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/aws/aws-sdk-go-v2/config"
	driver "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store/dynamodb"
)

// proxy stands between a store and the server.
type proxy struct {
	t *testing.T
	*toxiproxy.Proxy
}

// newUser returns the user of a cache in a table of the test's own, behind a proxy.
func newUser(t *testing.T) (*user, *proxy) {
	t.Helper()
	at := os.Getenv("DYNAMODB_ENDPOINT")
	if at == "" {
		t.Skip("DYNAMODB_ENDPOINT is not set: want the address of DynamoDB, or of a server like it")
	}
	server, err := url.Parse(at)
	if err != nil || server.Scheme != "http" || server.Port() == "" {
		t.Fatalf("DYNAMODB_ENDPOINT is %q, want http://HOST:PORT", at)
	}
	cfg, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	table := "larder-test-" + rand.Text()
	t.Cleanup(func() {
		c := driver.NewFromConfig(cfg, func(o *driver.Options) { o.BaseEndpoint = &at })
		if _, err := c.DeleteTable(context.Background(), &driver.DeleteTableInput{TableName: &table}); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	p := &proxy{t, toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop()),
		"dynamodb", "127.0.0.1:0", server.Host)}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	s, err := dynamodb.Open(t.Context(), "dynamodb://"+table+"?create=true&endpoint=http://"+p.Listen, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })

	u := &user{T: t, cache: &larder.Cache{Store: s}}
	u.origin = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		w.Write(bodyOf(r.URL.Path))
	}))
	t.Cleanup(u.origin.Close)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := u.cache.Close(ctx); err != nil {
			t.Errorf("background work goes on: %v", err)
		}
	})
	return u, p
}

// add adds a toxic, and returns what removes it.
func (p *proxy) add(name, kind, stream, attributes string) (remove func()) {
	p.t.Helper()
	toxic := fmt.Sprintf(`{"name":%q,"type":%q,"stream":%q,%s}`, name, kind, stream, attributes)
	if _, err := p.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		p.t.Fatal(err)
	}
	return func() { p.Toxics.RemoveToxic(context.Background(), name) }
}

// user is a client with a cache, and the origin that it asks.
type user struct {
	*testing.T
	cache  *larder.Cache
	origin *httptest.Server
}

// bodyOf returns the body of /SIZE/NAME.
func bodyOf(path string) []byte {
	size, _ := strconv.Atoi(strings.Split(path, "/")[1])
	body := make([]byte, size)
	random.NewChaCha8(sha256.Sum256([]byte(path))).Read(body)
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

// eventually waits until a condition of the real network holds.
func (u *user) eventually(what string, holds func() bool) {
	u.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(); {
		if time.Now().After(end) {
			u.Fatalf("not so after 30 s: %s", what)
		}
		<-time.After(20 * time.Millisecond)
	}
}
