// Package otellarder tells OpenTelemetry what a larder.Cache does: spans for requests, fetches and calls of the store,
// and metrics.
//
//	cache := &larder.Cache{Store: shared}
//	transport, err := otellarder.Instrument(cache, nil)
//	…
//	defer transport.Close()
//	client := &http.Client{Transport: transport}
//
// The fetch is told of by otelhttp, by the semantic conventions for HTTP clients. Names, units and attributes are
// listed in docs/telemetry.md. Where no provider is installed, next to nothing is done.
package otellarder
