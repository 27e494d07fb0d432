package tiered_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/memory"
)

const (
	lookup = "lookup"
	opened = "open"
	reads  = "read"
	create = "create"
	write  = "write"
	commit = "commit"
	update = "update"
	remove = "delete"
	sweep  = "sweep"
)

var errBroken = errors.New("the cable is cut")

// between is a store in memory whose calls are counted, and go through a function of the test's.
type between struct {
	*memory.Store

	mu    sync.Mutex
	calls map[string]int
	how   func(op string, do func() error) error // nil: do
}

func inBetween() *between { return &between{Store: new(memory.Store), calls: make(map[string]int)} }

func (b *between) set(how func(op string, do func() error) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.how = how
}

// breakAt makes these calls fail and no others.
func (b *between) breakAt(ops ...string) {
	b.set(func(op string, do func() error) error {
		if slices.Contains(ops, op) {
			return errBroken
		}
		return do()
	})
}

func (b *between) mend() { b.set(nil) }

// hold makes the next call of op wait, before it does its work or after it: reached is closed when it waits, and let
// lets it go. What was set before goes on.
func (b *between) hold(op string, before bool) (reached chan struct{}, let func()) {
	reached = make(chan struct{})
	wait := make(chan struct{})
	var held atomic.Bool
	b.mu.Lock()
	defer b.mu.Unlock()
	inner := b.how
	b.how = func(is string, do func() error) (err error) {
		work := do
		if inner != nil {
			work = func() error { return inner(is, do) }
		}
		if is != op || !held.CompareAndSwap(false, true) {
			return work()
		}
		if !before {
			err = work()
		}
		close(reached)
		<-wait
		if before {
			err = work()
		}
		return err
	}
	return reached, func() { close(wait) }
}

// count returns how often op was called since it was asked last.
func (b *between) count(op string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.calls[op]
	b.calls[op] = 0
	return n
}

func (b *between) call(op string, do func() error) error {
	b.mu.Lock()
	b.calls[op]++
	how := b.how
	b.mu.Unlock()
	if how == nil {
		return do()
	}
	return how(op, do)
}

func (b *between) Lookup(ctx context.Context, key store.Key) (found []*store.Record, err error) {
	err = b.call(lookup, func() (err error) { found, err = b.Store.Lookup(ctx, key); return err })
	return found, err
}

func (b *between) Open(ctx context.Context, r *store.Record) (body io.ReadSeekCloser, err error) {
	err = b.call(opened, func() (err error) { body, err = b.Store.Open(ctx, r); return err })
	return betweenBody{body, b}, err
}

type betweenBody struct {
	io.ReadSeekCloser
	b *between
}

func (r betweenBody) Read(p []byte) (n int, err error) {
	err = r.b.call(reads, func() (err error) { n, err = r.ReadSeekCloser.Read(p); return err })
	return n, err
}

func (b *between) Create(ctx context.Context, r *store.Record) (w store.Writer, err error) {
	err = b.call(create, func() (err error) { w, err = b.Store.Create(ctx, r); return err })
	if err != nil {
		return nil, err
	}
	return betweenWriter{w, b}, nil
}

func (b *between) Update(ctx context.Context, r *store.Record) error {
	return b.call(update, func() error { return b.Store.Update(ctx, r) })
}

func (b *between) Delete(ctx context.Context, key store.Key, ids ...store.ID) error {
	return b.call(remove, func() error { return b.Store.Delete(ctx, key, ids...) })
}

func (b *between) Sweep(ctx context.Context, now time.Time) (n int, err error) {
	err = b.call(sweep, func() (err error) { n, err = b.Store.Sweep(ctx, now); return err })
	return n, err
}

type betweenWriter struct {
	store.Writer
	b *between
}

func (w betweenWriter) Write(p []byte) (n int, err error) {
	err = w.b.call(write, func() (err error) { n, err = w.Writer.Write(p); return err })
	return n, err
}

func (w betweenWriter) Commit(r *store.Record, superseded ...store.ID) error {
	return w.b.call(commit, func() error { return w.Writer.Commit(r, superseded...) })
}

// record makes a record of key, newer than those made before.
func record(key store.Key) *store.Record {
	made.Lock()
	defer made.Unlock()
	made.n++
	r := &store.Record{Key: key, ID: store.NewID(time.Unix(0, 0).Add(time.Duration(made.n) * time.Millisecond))}
	r.Method, r.URL, r.Status = "GET", "https://example.com/"+string(key), 200
	r.Header = http.Header{"Content-Type": {"text/plain"}}
	return r
}

var made struct {
	sync.Mutex
	n int
}

// put stores a new record of key with this body, whose size is not known before, and returns it.
func put(t testing.TB, s store.Store, key store.Key, body string, superseded ...store.ID) *store.Record {
	t.Helper()
	r := record(key)
	if err := tryPut(s, r, body, superseded...); err != nil {
		t.Fatal(err)
	}
	return r
}

func tryPut(s store.Store, r *store.Record, body string, superseded ...store.ID) error {
	r.Size = -1
	w, err := s.Create(context.Background(), r)
	if err != nil {
		return err
	}
	defer w.Close()
	for p := []byte(body); len(p) > 0; p = p[min(len(p), 999):] {
		if _, err := w.Write(p[:min(len(p), 999)]); err != nil {
			return err
		}
	}
	r.Size = int64(len(body))
	return w.Commit(r, superseded...)
}

// withStatus returns r with another head.
func withStatus(r *store.Record, status int) *store.Record {
	r = r.Clone()
	r.Status = status
	return r
}

// found returns what s has under key, as status and body of each.
func found(t testing.TB, s store.Store, key store.Key) []answer {
	t.Helper()
	records, err := s.Lookup(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return answers(t, s, records)
}

type answer struct {
	status int
	body   string
}

func answers(t testing.TB, s store.Store, records []*store.Record) []answer {
	t.Helper()
	var all []answer
	for _, r := range records {
		body := string(r.Body)
		if r.Body == nil && r.Size > 0 {
			body = read(t, s, r)
		}
		all = append(all, answer{r.Status, body})
	}
	return all
}

func read(t testing.TB, s store.Store, r *store.Record) string {
	t.Helper()
	b, err := s.Open(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	body, err := io.ReadAll(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func want(t testing.TB, what string, got []answer, want ...answer) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, short(got), short(want))
	}
}

func short(all []answer) []answer {
	all = slices.Clone(all)
	for i := range all {
		all[i].body = all[i].body[:min(len(all[i].body), 20)]
	}
	return all
}

func wantCalls(t testing.TB, what string, got, want int) {
	t.Helper()
	if got != want {
		t.Errorf("%s: the back was asked %d times, want %d", what, got, want)
	}
}
