package otellarder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/memory"
)

const scope = "github.com/larder-go/larder/telemetry/otellarder"

// Options are the settings of Instrument; nil or zero means the defaults.
type Options struct {
	// TracerProvider makes the spans; nil: otel.GetTracerProvider.
	TracerProvider trace.TracerProvider
	// MeterProvider makes the metrics; nil: otel.GetMeterProvider.
	MeterProvider metric.MeterProvider
	// OwnFetch leaves Base alone, for one that reports fetches itself. False: Base is wrapped in otelhttp.NewTransport,
	// unless it is one.
	OwnFetch bool
}

// Transport is an http.RoundTripper over a Cache, with a span for each request. It is safe for concurrent use.
type Transport struct {
	cache  *larder.Cache
	tracer trace.Tracer
	gauges metric.Registration
	// downloads are the spans of requests whose responses are being stored, by ID, for those who read them meanwhile.
	downloads sync.Map
}

// Instrument makes c report its fetches, the calls of its Store and its events. It returns a Transport that reports
// requests, too, and must be used instead of c. It wraps Base, Store and Observe: so call it once, after these are set
// and before c is used.
func Instrument(c *larder.Cache, o *Options) (*Transport, error) {
	if o == nil {
		o = new(Options)
	}
	tracers, meters := o.TracerProvider, o.MeterProvider
	if tracers == nil {
		tracers = otel.GetTracerProvider()
	}
	if meters == nil {
		meters = otel.GetMeterProvider()
	}
	if c.Store == nil {
		c.Store = new(memory.Store)
	}
	tracer := tracers.Tracer(scope)
	in, err := newInstruments(meters.Meter(scope))
	if err != nil {
		return nil, fmt.Errorf("otellarder: %w", err)
	}
	gauges, err := in.watch(c.Store)
	if err != nil {
		return nil, fmt.Errorf("otellarder: %w", err)
	}
	t := &Transport{cache: c, tracer: tracer, gauges: gauges}
	c.Store = newStore(c.Store, tracer, in)
	if _, told := c.Base.(*otelhttp.Transport); !told && !o.OwnFetch {
		base := c.Base
		if base == nil {
			base = http.DefaultTransport
		}
		c.Base = fetcher{otelhttp.NewTransport(base, otelhttp.WithTracerProvider(tracers), otelhttp.WithMeterProvider(meters),
			otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return r.Method })), base}
	}
	before := c.Observe
	c.Observe = func(e larder.Event) {
		in.observe(e)
		if before != nil {
			before(e)
		}
	}
	return t, nil
}

// fetcher is a Base that tells of fetches. otelhttp hides that the one below can close its connections.
type fetcher struct {
	*otelhttp.Transport
	base http.RoundTripper
}

func (f fetcher) CloseIdleConnections() {
	if c, ok := f.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// CloseIdleConnections calls that of the Cache.
func (t *Transport) CloseIdleConnections() { t.cache.CloseIdleConnections() }

// Close ends the observation of how much the store holds. It must be called before the store is closed.
func (t *Transport) Close() error {
	if t.gauges == nil {
		return nil
	}
	return t.gauges.Unregister()
}

// RoundTrip calls that of the Cache, in a span that ends with the response's body.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, span := t.tracer.Start(req.Context(), "larder")
	if !span.IsRecording() {
		if span.SpanContext().IsValid() { // a sampler has left it out, and what is below it
			req = req.WithContext(ctx)
		}
		return t.cache.RoundTrip(req)
	}
	resp, err := t.cache.RoundTrip(req.WithContext(ctx))
	if err != nil {
		fail(span, err)
		span.End()
		return nil, err
	}
	d := larder.Info(resp)
	span.SetAttributes(decision(d)...)
	if d.Collapsed {
		if of, ok := t.downloads.Load(d.ID); ok {
			span.AddLink(trace.Link{SpanContext: of.(trace.SpanContext)})
		}
	}
	if resp.Body == http.NoBody || resp.StatusCode == http.StatusSwitchingProtocols {
		span.End()
		return resp, nil
	}
	b := &body{ReadCloser: resp.Body, span: span}
	if d.Stored && !d.Collapsed {
		b.downloads, b.id = &t.downloads, d.ID
		t.downloads.Store(d.ID, span.SpanContext())
	}
	resp.Body = b
	return resp, nil
}

// decision returns d as attributes of a span.
func decision(d larder.Decision) []attribute.KeyValue {
	out := []attribute.KeyValue{attribute.String("larder.outcome", d.Outcome.String())}
	add := func(name, value string) {
		if value != "" {
			out = append(out, attribute.String(name, value))
		}
	}
	add("larder.reason", d.Reason)
	add("larder.section", d.Section)
	add("larder.rule", d.Rule)
	add("larder.forwarded", d.Forwarded)
	add("larder.not_stored", d.NotStored)
	if d.Forwarded != "" {
		out = append(out, attribute.Bool("larder.collapsed", d.Collapsed))
	}
	if d.ID != (store.ID{}) {
		out = append(out, attribute.Float64("larder.age", d.Age.Seconds()))
		if ttl := d.TTL(); ttl != larder.Forever {
			out = append(out, attribute.Float64("larder.ttl", ttl.Seconds()))
		}
	}
	return out
}

// body ends a span with the body of its response. It is read by one goroutine, and may be closed by another.
type body struct {
	io.ReadCloser
	span      trace.Span
	downloads *sync.Map // that id is to be removed from; nil: none
	id        store.ID
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == io.EOF:
		b.end()
	case err != nil:
		fail(b.span, err)
	}
	return n, err
}

// WriteTo lets io.Copy take the body as it could without a span.
func (b *body) WriteTo(w io.Writer) (int64, error) {
	from, ok := b.ReadCloser.(io.WriterTo)
	if !ok {
		return io.Copy(w, struct{ io.Reader }{b})
	}
	dst := &destination{w: w}
	n, err := from.WriteTo(dst)
	switch {
	case err == nil:
		b.end()
	case dst.err == nil:
		fail(b.span, err)
	}
	return n, err
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.end()
	return err
}

// end may be called again.
func (b *body) end() {
	if b.downloads != nil {
		b.downloads.Delete(b.id)
	}
	b.span.End()
}

// destination is a writer that knows whether it has failed.
type destination struct {
	w   io.Writer
	err error
}

func (d *destination) Write(p []byte) (n int, err error) {
	n, d.err = d.w.Write(p)
	return n, d.err
}

// ReadFrom lets the system send a file by itself. An error that comes of this may be the file's, but counts as the
// writer's.
func (d *destination) ReadFrom(r io.Reader) (n int64, err error) {
	if _, file := r.(*io.LimitedReader); !file {
		return io.Copy(struct{ io.Writer }{d}, r)
	}
	n, d.err = io.Copy(d.w, r)
	return n, d.err
}

// fail says in a span that it ended in err.
func fail(span trace.Span, err error) {
	span.SetAttributes(attribute.String("error.type", errorType(err)))
	span.SetStatus(codes.Error, err.Error())
}

// errorType is the error.type of err: one of few.
func errorType(err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, store.ErrNotFound):
		return "not_found"
	case errors.Is(err, store.ErrCorrupt):
		return "damaged"
	case errors.Is(err, store.ErrTooLarge):
		return "too_large"
	}
	return "_OTHER"
}
