package chunked_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-go/larder/internal/maptable"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
)

// watched is a table whose calls are counted, and fail or are held up where the test wants.
type watched struct {
	*maptable.Table

	mu     sync.Mutex
	calls  map[string]int // by method and first byte of the group
	before func(method, group, item string) error
	now    int // Gets under way
	most   int
}

func (w *watched) call(method, group, item string) error {
	w.mu.Lock()
	if w.calls == nil {
		w.calls = make(map[string]int)
	}
	w.calls[method+" "+group[:1]]++
	before := w.before
	w.mu.Unlock()
	if before != nil {
		return before(method, group, item)
	}
	return nil
}

// first sets what each call does first.
func (w *watched) first(do func(method, group, item string) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.before = do
}

func (w *watched) count(call string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls[call]
}

func (w *watched) Put(ctx context.Context, r chunked.Row, when chunked.When) error {
	if err := w.call("Put", r.Group, r.Item); err != nil {
		return err
	}
	return w.Table.Put(ctx, r, when)
}

func (w *watched) Get(ctx context.Context, group string, items ...string) ([]chunked.Row, error) {
	w.mu.Lock()
	w.now++
	w.most = max(w.most, w.now)
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.now--
		w.mu.Unlock()
	}()
	if err := w.call("Get", group, strings.Join(items, " ")); err != nil {
		return nil, err
	}
	return w.Table.Get(ctx, group, items...)
}

func (w *watched) Delete(ctx context.Context, group string, items ...string) error {
	if err := w.call("Delete", group, strings.Join(items, " ")); err != nil {
		return err
	}
	return w.Table.Delete(ctx, group, items...)
}

// record makes a record of key with a body of size bytes to store.
func record(key string, size int) (*store.Record, []byte) {
	r := &store.Record{Key: store.Key(key), ID: store.NewID(time.Now()), Size: int64(size)}
	r.Method, r.URL, r.Status, r.Received = "GET", "https://example.com/"+key, 200, time.Now()
	return r, bytes.Repeat([]byte(key+"\n"), size)[:size]
}

// write begins to store r, and writes its body; the Writer is to be closed.
func write(t *testing.T, s *chunked.Store, r *store.Record, body []byte) store.Writer {
	t.Helper()
	w, err := s.Create(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	return w
}

func put(t *testing.T, s *chunked.Store, r *store.Record, body []byte, superseded ...store.ID) {
	t.Helper()
	w := write(t, s, r, body)
	defer w.Close()
	if err := w.Commit(r, superseded...); err != nil {
		t.Fatal(err)
	}
}

func find(t *testing.T, s *chunked.Store, q store.Query) []*store.Record {
	t.Helper()
	var found []*store.Record
	for r, err := range s.Find(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, r)
	}
	return found
}

func equal[V comparable](t *testing.T, what string, got, want V) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
