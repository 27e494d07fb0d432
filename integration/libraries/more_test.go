package libraries

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/elastic/elastic-transport-go/v8/elastictransport"
	"github.com/elastic/go-elasticsearch/v9"
	"github.com/gocolly/colly/v2"
	"github.com/imroc/req/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/larder-go/larder"
)

func TestReqAboveAndBelow(t *testing.T) {
	for _, where := range []string{"above", "below"} {
		t.Run(where, func(t *testing.T) {
			o := serve(t, fresh)
			cache := newCache(t)
			client, below := req.C(), req.C()
			defer below.CloseIdleConnections()
			client.GetClient().Transport = cache
			if where == "below" {
				cache.Base = below.GetTransport()
			}
			for i, want := range []larder.Outcome{larder.Miss, larder.Hit} {
				resp, err := client.R().Get(o.URL + "/a")
				if err != nil {
					t.Fatal(err)
				}
				if got := larder.Info(resp.Response).Outcome; resp.String() != body || got != want {
					t.Errorf("request %d: %s, %v, want %s, %v", i+1, resp.String(), got, body, want)
				}
			}
			o.want(t, 1)
		})
	}
}

func TestColly(t *testing.T) {
	o := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, `<a href="/next">next</a>`)
	})
	cache := newCache(t)
	cache.Rules = []larder.Rule{{TTL: time.Hour}}
	for range 2 { // as two runs of a scraper
		c := colly.NewCollector()
		c.WithTransport(cache)
		pages := 0
		c.OnHTML("a", func(e *colly.HTMLElement) {
			pages++
			e.Request.Visit(e.Attr("href"))
		})
		if err := c.Visit(o.URL + "/"); err != nil {
			t.Fatal(err)
		}
		if pages != 2 {
			t.Errorf("%d pages were seen", pages)
		}
	}
	o.want(t, 2)
}

// TestS3 reads an object twice. Each request is signed anew, so that the default Partition would take it for another
// user's.
func TestS3(t *testing.T) {
	o := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "the object")
	})
	cache := newCache(t)
	cache.Partition = func(*http.Request) string { return "my account" }
	client := s3.New(s3.Options{Region: "eu-central-1", BaseEndpoint: &o.URL, UsePathStyle: true, HTTPClient: cache.Client(),
		Credentials: credentials.NewStaticCredentialsProvider("AKID", "SECRET", "")})
	for range 2 {
		out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("bucket"), Key: aws.String("key")})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(out.Body)
		out.Body.Close()
		if string(got) != "the object" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	o.want(t, 1)
}

// TestElasticsearch searches by POST, which a rule keys by the body.
func TestElasticsearch(t *testing.T) {
	o := serve(t, func(w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Elastic-Product", "Elasticsearch")
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"hits":{"for":%q}}`, sent)
	})
	cache := newCache(t)
	cache.Rules = []larder.Rule{{Match: "**/*/_search", Methods: []string{"GET", "POST"}, TTL: time.Minute}}
	client, err := elasticsearch.New(elasticsearch.WithAddresses(o.URL), elasticsearch.WithTransportOptions(elastictransport.WithTransport(cache)))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		query string
		asked int64
	}{{`{"query":{"match_all":{}},"size":1}`, 1}, {`{"size":1,"query":{"match_all":{}}}`, 1}, {`{"size":2}`, 2}} {
		resp, err := client.Search(client.Search.WithIndex("things"), client.Search.WithBody(strings.NewReader(c.query)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(resp.Body); resp.StatusCode != 200 || err != nil || !bytes.Contains(got, []byte("hits")) {
			t.Errorf("%s: %d %s %v", c.query, resp.StatusCode, got, err)
		}
		resp.Body.Close()
		o.want(t, c.asked)
	}
}

// TestConnect calls a procedure that has no side effects by GET.
func TestConnect(t *testing.T) {
	const procedure = "/larder.v1.Things/Get"
	handler := connect.NewUnaryHandler(procedure, func(_ context.Context, r *connect.Request[wrapperspb.StringValue]) (*connect.Response[wrapperspb.StringValue], error) {
		resp := connect.NewResponse(wrapperspb.String("thing " + r.Msg.Value))
		resp.Header().Set("Cache-Control", "max-age=60")
		return resp, nil
	}, connect.WithIdempotency(connect.IdempotencyNoSideEffects))
	o := serve(t, handler.ServeHTTP)
	client := connect.NewClient[wrapperspb.StringValue, wrapperspb.StringValue](newCache(t).Client(), o.URL+procedure, connect.WithHTTPGet(),
		connect.WithIdempotency(connect.IdempotencyNoSideEffects))
	for _, c := range []struct {
		name  string
		asked int64
	}{{"a", 1}, {"a", 1}, {"b", 2}} {
		resp, err := client.CallUnary(t.Context(), connect.NewRequest(wrapperspb.String(c.name)))
		if err != nil {
			t.Fatal(err)
		}
		if resp.Msg.Value != "thing "+c.name {
			t.Errorf("got %q", resp.Msg.Value)
		}
		o.want(t, c.asked)
	}
}
