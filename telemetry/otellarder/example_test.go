package otellarder_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/telemetry/otellarder"
)

func ExampleInstrument() {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
	}))
	defer origin.Close()
	exporter := tracetest.NewInMemoryExporter() // otlptracehttp.New(ctx) in a program
	provider := trace.NewTracerProvider(trace.WithSyncer(exporter))
	defer provider.Shutdown(context.Background())

	cache := &larder.Cache{}
	transport, err := otellarder.Instrument(cache, &otellarder.Options{TracerProvider: provider})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer transport.Close()
	client := &http.Client{Transport: transport}
	for range 2 {
		resp, err := client.Get(origin.URL)
		if err != nil {
			fmt.Println(err)
			return
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	for _, span := range exporter.GetSpans() {
		if span.Name == "larder" {
			fmt.Println(span.Attributes[0].Value.String())
		}
	}
	// Output:
	// miss
	// hit
}
