// Package faults tests what users of a cache see when the network to MongoDB is slow, breaks or is gone. It is a module of
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
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store/mongodb"
)

// proxy stands between a store and the server.
type proxy struct {
	t *testing.T
	*toxiproxy.Proxy
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
	store  *mongodb.Store
	cache  *larder.Cache
	origin *httptest.Server
}

// newUser returns the user of a cache in a database of the test's own, behind a proxy. more are settings of the driver.
func newUser(t *testing.T, more ...*options.ClientOptions) (*user, *proxy) {
	t.Helper()
	uri := os.Getenv("MONGODB_URI")
	if uri == "" {
		t.Skip("MONGODB_URI is not set: MongoDB is not tested")
	}
	o := options.Client().ApplyURI(uri)
	if o.Validate() != nil || len(o.Hosts) != 1 || !strings.HasPrefix(uri, "mongodb://") {
		t.Skip("MONGODB_URI does not name a single server: there can be no proxy before it")
	}
	database := "larder_test_" + strings.ToLower(rand.Text()[:16])
	t.Cleanup(func() { remove(t, o, database) })
	p := &proxy{t, toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop()),
		"mongodb", "127.0.0.1:0", o.Hosts[0])}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)

	through := append(more, options.Client().ApplyURI(uri).SetHosts([]string{p.Listen}).SetDirect(true))
	s, err := mongodb.Open(t.Context(), "mongodb://"+p.Listen+"/"+database, &mongodb.Options{Client: options.MergeClientOptions(through...)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	u := &user{T: t, store: s, cache: &larder.Cache{Store: s}}
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

func remove(t *testing.T, o *options.ClientOptions, database string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, err := mongo.Connect(o)
	if err == nil {
		err = errors.Join(client.Database(database).Drop(ctx), client.Disconnect(ctx))
	}
	if err != nil {
		t.Errorf("clean up: %v", err)
	}
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

// eventually waits until a condition of the real network holds, and returns how long it took.
func (u *user) eventually(what string, holds func() bool) time.Duration {
	u.Helper()
	from := time.Now()
	for !holds() {
		if time.Since(from) > 30*time.Second {
			u.Fatalf("not so after 30 s: %s", what)
		}
		<-time.After(20 * time.Millisecond)
	}
	return time.Since(from)
}
