// Package otellarder reports to OpenTelemetry what a larder.Cache does: spans for requests, fetches and calls of the
// store, and metrics.
//
//	cache := &larder.Cache{Store: shared}
//	transport, err := otellarder.Instrument(cache, nil)
//	…
//	defer transport.Close()
//	client := &http.Client{Transport: transport}
//
// otelhttp reports fetches, by the semantic conventions for HTTP clients. docs/telemetry.md lists names, units and
// attributes. If no provider is installed, this costs next to nothing.
package otellarder
