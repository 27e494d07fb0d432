package behaviour

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"sync"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

// The calls of a store at which faults can be put. read, write, readBack and commit are those of what open and create
// return.
const (
	lookup   = "lookup"
	open     = "open"
	read     = "read"
	create   = "create"
	write    = "write"
	readBack = "read back"
	commit   = "commit"
	update   = "update"
	remove   = "delete"
	find     = "find" // of a store that is finding
)

// faults is a store with trouble: the one below it does the work, where it is let.
type faults struct {
	store.Store

	mu     sync.Mutex
	failAt func(ctx context.Context, op string) error // nil: no trouble
	calls  map[string]int
	held   int // what open and create returned that is not closed
}

// at puts a fault at calls: what it returns they return, unless that is nil.
func (f *faults) at(fault func(context.Context) error, ops ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failAt = func(ctx context.Context, op string) error {
		if slices.Contains(ops, op) {
			return fault(ctx)
		}
		return nil
	}
}

// mended ends the trouble.
func (f *faults) mended() { f.at(nil) }

// count returns how often a call was made.
func (f *faults) count(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

// inUse returns how many bodies of the store are open, to be read or written.
func (f *faults) inUse() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.held
}

func (f *faults) hold(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held += n
}

func (f *faults) pass(ctx context.Context, op string) error {
	f.mu.Lock()
	fault := f.failAt
	f.calls[op]++
	f.mu.Unlock()
	if fault == nil {
		return nil
	}
	return fault(ctx, op)
}

// with returns a fault that is an error.
func with(err error) func(context.Context) error { return func(context.Context) error { return err } }

// hang is a fault that lasts as long as the caller has patience.
func hang(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

// after returns a fault that shows when the call has been made n times.
func after(n int, fault func(context.Context) error) func(context.Context) error {
	var mu sync.Mutex
	return func(ctx context.Context) error {
		mu.Lock()
		n--
		past := n < 0
		mu.Unlock()
		if past {
			return fault(ctx)
		}
		return nil
	}
}

func (f *faults) Lookup(ctx context.Context, key store.Key) ([]*store.Record, error) {
	fault := f.pass(ctx, lookup)
	if fault != nil && !errors.Is(fault, store.ErrCorrupt) { // what can be read is returned beside that
		return nil, fault
	}
	records, err := f.Store.Lookup(ctx, key)
	return records, errors.Join(err, fault)
}

func (f *faults) Open(ctx context.Context, r *store.Record) (io.ReadSeekCloser, error) {
	if err := f.pass(ctx, open); err != nil {
		return nil, err
	}
	body, err := f.Store.Open(ctx, r)
	if err != nil {
		return nil, err
	}
	f.hold(1)
	return &faultyBody{body, f, ctx, sync.Once{}}, nil
}

func (f *faults) Create(ctx context.Context, r *store.Record) (store.Writer, error) {
	if err := f.pass(ctx, create); err != nil {
		return nil, err
	}
	w, err := f.Store.Create(ctx, r)
	if err != nil {
		return nil, err
	}
	f.hold(1)
	return &faultyWriter{w, f, ctx, sync.Once{}}, nil
}

func (f *faults) Update(ctx context.Context, r *store.Record) error {
	if err := f.pass(ctx, update); err != nil {
		return err
	}
	return f.Store.Update(ctx, r)
}

func (f *faults) Delete(ctx context.Context, key store.Key, ids ...store.ID) error {
	if err := f.pass(ctx, remove); err != nil {
		return err
	}
	return f.Store.Delete(ctx, key, ids...)
}

type faultyBody struct {
	io.ReadSeekCloser
	f    *faults
	ctx  context.Context
	once sync.Once
}

func (b *faultyBody) Close() error {
	b.once.Do(func() { b.f.hold(-1) })
	return b.ReadSeekCloser.Close()
}

func (b *faultyBody) Read(p []byte) (int, error) {
	if err := b.f.pass(b.ctx, read); err != nil {
		return 0, err
	}
	return b.ReadSeekCloser.Read(p)
}

type faultyWriter struct {
	store.Writer
	f    *faults
	ctx  context.Context
	once sync.Once
}

func (w *faultyWriter) Close() error {
	w.once.Do(func() { w.f.hold(-1) })
	return w.Writer.Close()
}

func (w *faultyWriter) Write(p []byte) (int, error) {
	if err := w.f.pass(w.ctx, write); err != nil {
		return 0, err
	}
	return w.Writer.Write(p)
}

func (w *faultyWriter) ReadAt(p []byte, off int64) (int, error) {
	if err := w.f.pass(w.ctx, readBack); err != nil {
		return 0, err
	}
	return w.Writer.ReadAt(p, off)
}

func (w *faultyWriter) Commit(r *store.Record, superseded ...store.ID) error {
	if err := w.f.pass(w.ctx, commit); err != nil {
		return err
	}
	return w.Writer.Commit(r, superseded...)
}

// finding is a store with faults that can list what it holds, as the one below it can.
type finding struct{ *faults }

func (f finding) Find(ctx context.Context, q store.Query) iter.Seq2[*store.Record, error] {
	if err := f.pass(ctx, find); err != nil {
		return func(yield func(*store.Record, error) bool) { yield(nil, err) }
	}
	finder, _ := store.As[store.Finder](f.Store)
	return finder.Find(ctx, q)
}

// distant returns t with a cache whose store is t's own with faults before it, which may take its time.
func (t *T) distant() (*T, *faults) {
	f := &faults{Store: t.store, calls: make(map[string]int)}
	c := t.newCache()
	c.Store, c.Observe = f, t.journal.note
	return t.through(c), f
}

// near is distant with a store that is on this machine.
func (t *T) near() (*T, *faults) {
	u, f := t.distant()
	u.cache.Store = local{f}
	return u, f
}

type local struct{ *faults }

func (local) Local() {}

// wantFailures checks that the store's failures at op, and at nothing else, are told of.
func (t *T) wantFailures(op string, fault error) {
	t.Helper()
	failed := t.journal.of(larder.StoreFailed)
	if len(failed) == 0 {
		t.Errorf("failures at %s are not told of", op)
	}
	for _, e := range failed {
		if e.Op != op || !errors.Is(e.Err, fault) {
			t.Errorf("event of a failure at %q: %v, want %v at %s", e.Op, e.Err, fault, op)
		}
	}
}
