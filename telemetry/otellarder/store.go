package otellarder

import (
	"context"
	"fmt"
	"io"
	"iter"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/larder-go/larder/internal/wrap"
	"github.com/larder-go/larder/store"
)

// inner passes on what is not told of: Sweep, Size, leases, Local, Unwrap and Close.
type inner = wrap.Inner

// tellingStore tells of the calls of a store. Those that read a store.Local have no spans: they return soon by
// themselves, and a trace is not the place for microseconds.
type tellingStore struct {
	inner
	near   store.Fronted // nil: it has no part that is nearer than the rest
	local  bool
	tracer trace.Tracer
	in     *instruments
}

func newStore(s store.Store, tracer trace.Tracer, in *instruments) *tellingStore {
	t := &tellingStore{inner: inner{Store: s}, tracer: tracer, in: in}
	t.near, _ = s.(store.Fronted)
	_, t.local = store.As[store.Local](s)
	return t
}

// Near tells nothing: it is memory.
func (s *tellingStore) Near(ctx context.Context, key store.Key) []*store.Record {
	if s.near == nil {
		return nil
	}
	return s.near.Near(ctx, key)
}

func (s *tellingStore) Find(ctx context.Context, q store.Query) iter.Seq2[*store.Record, error] {
	f, err := wrap.As[store.Finder](s.inner, "Finder")
	if err != nil {
		return func(yield func(*store.Record, error) bool) { yield(nil, fmt.Errorf("otellarder: find: %w", err)) }
	}
	return f.Find(ctx, q)
}

func (s *tellingStore) Lookup(ctx context.Context, key store.Key) (found []*store.Record, err error) {
	if s.local && !s.in.operation.Enabled(ctx) {
		return s.Store.Lookup(ctx, key)
	}
	c, ctx := s.begin(ctx, "lookup", !s.local)
	found, err = s.Store.Lookup(ctx, key)
	c.span.SetAttributes(attribute.Int("larder.store.found", len(found)))
	c.end(err)
	return found, err
}

func (s *tellingStore) Open(ctx context.Context, r *store.Record) (body io.ReadSeekCloser, err error) {
	c, _ := s.begin(ctx, "open", !s.local) // the body is read after the span has ended, so with the caller's context
	body, err = s.Store.Open(ctx, r)
	c.end(err)
	return body, err
}

func (s *tellingStore) Update(ctx context.Context, r *store.Record) error {
	c, ctx := s.begin(ctx, "update", true)
	err := s.Store.Update(ctx, r)
	c.end(err)
	return err
}

func (s *tellingStore) Delete(ctx context.Context, key store.Key, ids ...store.ID) error {
	c, ctx := s.begin(ctx, "delete", true)
	err := s.Store.Delete(ctx, key, ids...)
	c.end(err)
	return err
}

func (s *tellingStore) Create(ctx context.Context, r *store.Record) (store.Writer, error) {
	c, _ := s.begin(ctx, "create", true)
	w, err := s.Store.Create(ctx, r)
	c.end(err)
	if err != nil {
		return nil, err
	}
	return &writer{Writer: w, s: s, ctx: ctx}, nil
}

type writer struct {
	store.Writer
	s   *tellingStore
	ctx context.Context // of the request that is stored
}

func (w *writer) Commit(r *store.Record, superseded ...store.ID) error {
	c, _ := w.s.begin(w.ctx, "commit", true)
	err := w.Writer.Commit(r, superseded...)
	c.end(err)
	return err
}

// noSpan takes what is told of a call without a span.
var noSpan = trace.SpanFromContext(context.Background())

// call is one call of the store.
type call struct {
	ctx   context.Context
	in    *instruments
	op    string
	span  trace.Span
	began time.Time
}

func (s *tellingStore) begin(ctx context.Context, op string, span bool) (call, context.Context) {
	c := call{in: s.in, op: op, span: noSpan, began: time.Now()}
	if span {
		ctx, c.span = s.tracer.Start(ctx, "larder.store "+op)
	}
	c.ctx = ctx
	return c, ctx
}

func (c *call) end(err error) {
	c.in.called(c.ctx, c.op, c.began, err)
	if err != nil {
		fail(c.span, err)
	}
	c.span.End()
}
