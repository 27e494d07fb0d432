package libraries

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/larder-go/larder"
)

// cluster is an API server with one kind of things, of which a watch tells whenever it is to go on.
func cluster(t *testing.T, goOn <-chan struct{}, ended chan<- struct{}) *origin {
	thing := map[string]any{"apiVersion": "larder.example/v1", "kind": "Thing", "metadata": map[string]any{"name": "a", "resourceVersion": "7"}}
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		send := func(v any) {
			if err := json.NewEncoder(w).Encode(v); err != nil {
				t.Error(err)
			}
			http.NewResponseController(w).Flush()
		}
		switch {
		case r.URL.Path == "/version":
			send(map[string]any{"major": "1", "minor": "37"})
		case r.URL.Query().Get("watch") != "":
			http.NewResponseController(w).Flush()
			for {
				select {
				case <-goOn:
					send(map[string]any{"type": "ADDED", "object": thing})
				case <-r.Context().Done():
					ended <- struct{}{}
					return
				}
			}
		case strings.HasSuffix(r.URL.Path, "/things"):
			send(map[string]any{"apiVersion": "larder.example/v1", "kind": "ThingList", "metadata": map[string]any{"resourceVersion": "7"}, "items": []any{thing}})
		default:
			http.NotFound(w, r)
		}
	})
}

// withoutWatches sends what watches past the cache: it goes on for ever, and each one is to begin anew.
type withoutWatches struct{ *larder.Cache }

func (c withoutWatches) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Query().Has("watch") {
		r = r.WithContext(larder.WithMode(r.Context(), larder.Bypass))
	}
	return c.Cache.RoundTrip(r)
}

// TestClientGo discovers, lists and watches through a cache with a rule for all.
func TestClientGo(t *testing.T) {
	goOn, ended := make(chan struct{}), make(chan struct{}, 2)
	o := cluster(t, goOn, ended)
	cache := newCache(t)
	cache.Rules = []larder.Rule{{TTL: time.Minute}}
	config := &rest.Config{Host: o.URL, BearerToken: "a user's"}
	config.Wrap(func(rt http.RoundTripper) http.RoundTripper {
		cache.Base = rt
		return withoutWatches{cache}
	})

	d, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	things := client.Resource(schema.GroupVersionResource{Group: "larder.example", Version: "v1", Resource: "things"})
	for range 2 {
		if v, err := d.ServerVersion(); err != nil || v.Minor != "37" {
			t.Errorf("discovery: %v, %v", v, err)
		}
		if list, err := things.List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) != 1 || list.Items[0].GetName() != "a" {
			t.Errorf("list: %v, %v", list, err)
		}
	}
	o.want(t, 2)

	for i := range 2 { // each watch is the origin's, and tells what happens when it happens
		w, err := things.Watch(t.Context(), metav1.ListOptions{ResourceVersion: "7"})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			select {
			case goOn <- struct{}{}:
			case <-time.After(10 * time.Second):
				t.Fatal("nobody watches")
			}
			select {
			case e := <-w.ResultChan():
				if u, ok := e.Object.(*unstructured.Unstructured); !ok || u.GetName() != "a" {
					t.Errorf("watch %d tells %v", i+1, e)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("what is watched is held back")
			}
		}
		w.Stop()
		<-ended
	}
	o.want(t, 4)
}
