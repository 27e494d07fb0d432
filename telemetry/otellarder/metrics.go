package otellarder

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/internal/figures"
	"github.com/larder-go/larder/store"
)

// instruments are the metrics of docs/telemetry.md.
type instruments struct {
	meter     metric.Meter
	duration  metric.Float64Histogram
	size      metric.Int64Histogram
	events    metric.Int64Counter
	operation metric.Float64Histogram
}

var seconds = metric.WithExplicitBucketBoundaries(1e-5, 1e-4, 1e-3, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)

func newInstruments(m metric.Meter) (in *instruments, err error) {
	in = &instruments{meter: m}
	if in.duration, err = m.Float64Histogram("larder.request.duration", metric.WithUnit("s"), seconds,
		metric.WithDescription("Duration of requests to the cache, until the response's head or the error.")); err != nil {
		return nil, err
	}
	if in.size, err = m.Int64Histogram("larder.response.body.size", metric.WithUnit("By"),
		metric.WithExplicitBucketBoundaries(0, 1<<10, 10<<10, 100<<10, 1<<20, 10<<20, 100<<20, 1<<30),
		metric.WithDescription("Size of the bodies of responses from the cache, where it is known beforehand.")); err != nil {
		return nil, err
	}
	if in.events, err = m.Int64Counter("larder.events", metric.WithUnit("{event}"),
		metric.WithDescription("What happened in the cache, beside answers.")); err != nil {
		return nil, err
	}
	in.operation, err = m.Float64Histogram("larder.store.operation.duration", metric.WithUnit("s"), seconds,
		metric.WithDescription("Duration of calls of the store."))
	return in, err
}

// observe counts e.
func (in *instruments) observe(e larder.Event) {
	ctx := context.Background()
	if !in.duration.Enabled(ctx) && !in.size.Enabled(ctx) && !in.events.Enabled(ctx) {
		return
	}
	switch e.Kind {
	case larder.Answered:
		d := &e.Decision
		outcome := attribute.String("larder.outcome", d.Outcome.String())
		attrs := []attribute.KeyValue{outcome}
		if d.Forwarded != "" {
			attrs = append(attrs, attribute.String("larder.forwarded", d.Forwarded), attribute.Bool("larder.collapsed", d.Collapsed))
		}
		in.duration.Record(ctx, e.Duration.Seconds(), metric.WithAttributes(attrs...))
		if e.Size >= 0 {
			in.size.Record(ctx, e.Size, metric.WithAttributes(outcome))
		}
	case larder.Failed:
		in.duration.Record(ctx, e.Duration.Seconds(), metric.WithAttributes(attribute.String("larder.outcome", e.Decision.Outcome.String()),
			attribute.String("error.type", errorType(e.Err))))
	default:
		attrs := []attribute.KeyValue{attribute.String("larder.event", e.Kind.String())}
		if e.Op != "" {
			attrs = append(attrs, attribute.String("larder.store.operation", e.Op))
		}
		in.events.Add(ctx, 1, metric.WithAttributes(attrs...))
	}
}

// called tells how long a call of the store took.
func (in *instruments) called(ctx context.Context, op string, began time.Time, err error) {
	attrs := []attribute.KeyValue{attribute.String("larder.store.operation", op)}
	if err != nil {
		attrs = append(attrs, attribute.String("error.type", errorType(err)))
	}
	in.operation.Record(ctx, time.Since(began).Seconds(), metric.WithAttributes(attrs...))
}

// sizeTimeout is how long the store may take to say how much it holds.
const sizeTimeout = 2 * time.Second

// watch registers how much s holds, if it knows.
func (in *instruments) watch(s store.Store) (metric.Registration, error) {
	sizer, ok := store.As[store.Sizer](s)
	if !ok {
		return nil, nil
	}
	entries, err := in.meter.Int64ObservableGauge("larder.store.entries", metric.WithUnit("{entry}"),
		metric.WithDescription("Responses in the store."))
	if err != nil {
		return nil, err
	}
	usage, err := in.meter.Int64ObservableGauge("larder.store.usage", metric.WithUnit("By"), metric.WithDescription("What the store holds."))
	if err != nil {
		return nil, err
	}
	var size figures.Size
	return in.meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		records, bytes, err := size.Of(func() (int, int64, error) {
			ctx, cancel := context.WithTimeout(ctx, sizeTimeout)
			defer cancel()
			return sizer.Size(ctx)
		})
		if err != nil {
			return err
		}
		o.ObserveInt64(entries, int64(records))
		o.ObserveInt64(usage, bytes)
		return nil
	}, entries, usage)
}
