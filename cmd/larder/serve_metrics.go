package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/proxy"
	"github.com/larder-go/larder/telemetry/otellarder"
)

// exposeMetrics serves /metrics at the address s.metrics until end is called. It must be called before c is used.
func (s *serve) exposeMetrics(ctx context.Context, out io.Writer, c *larder.Cache) (end func() error, err error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry), otelprometheus.WithoutScopeInfo(), otelprometheus.WithoutTargetInfo())
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	instrumented, err := otellarder.Instrument(c, &otellarder.Options{MeterProvider: metric.NewMeterProvider(metric.WithReader(exporter)),
		TracerProvider: noop.NewTracerProvider(), OwnFetch: true}) // otelhttp must not wrap the Transport's tunnels and the responses that it takes over
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	listener, err := net.Listen("tcp", s.metrics)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("--metrics: %w", err), instrumented.Close())
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorLog: log.New(errorLog{s.err}, "", 0)}))
	endServer := serveAside(ctx, listener, &proxy.Server{Handler: mux, MaxConnections: 16, ErrorLog: log.New(errorLog{s.err}, "", 0)})
	end = func() error { return errors.Join(endServer(), instrumented.Close()) }
	if _, err := fmt.Fprintf(out, "larder: metrics at http://%s/metrics\n", listener.Addr()); err != nil {
		return nil, errors.Join(err, end())
	}
	return end, nil
}
