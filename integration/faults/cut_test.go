package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
)

// TestStoreWhoseConnectionsBreak asks the store itself, which may fail then, but must not say what is not so. All
// connections break after some bytes, by turns of an answer and of a request.
func TestStoreWhoseConnectionsBreak(t *testing.T) {
	onEachStore(t, true, func(u *user) {
		hands := make([]*hand, 8)
		for i := range hands {
			hands[i] = &hand{user: u, key: store.Key(fmt.Sprint("key", i)), rnd: rand.New(rand.NewPCG(uint64(i), 0)), kept: make(map[store.ID]bool)}
		}
		rnd := rand.New(rand.NewPCG(1, 0))
		for round := range *rounds {
			stop := u.proxy.cut([]string{"downstream", "upstream"}[round%2], int64(500<<rnd.IntN(10)+rnd.IntN(500)), 1)
			var all sync.WaitGroup
			for i, h := range hands {
				all.Go(func() { h.turn(hands[(i+1)%len(hands)].key) })
			}
			all.Wait()
			stop()
		}
		var calls, failed int32
		for _, h := range hands {
			h.settle()
			calls, failed = calls+h.calls.Load(), failed+h.failed.Load()
		}
		u.Logf("%d of %d calls failed", failed, calls)
		if failed == 0 || failed > calls*3/4 {
			u.Errorf("%d of %d calls failed: nothing broke, or the store hardly works", failed, calls)
		}
	})
}

// hand is the only one that writes under its key, and knows what must be there.
type hand struct {
	*user
	key           store.Key
	rnd           *rand.Rand
	kept          map[store.ID]bool // whether a record is there for certain, or for certain is not
	calls, failed atomic.Int32
}

// did counts a call, and reports whether it has succeeded. A connection that breaks is no damage.
func (h *hand) did(what string, err error) bool {
	h.calls.Add(1)
	if err == nil {
		return true
	}
	h.failed.Add(1)
	if errors.Is(err, store.ErrCorrupt) {
		h.Errorf("%s: %v", what, err)
	}
	return false
}

// turn changes what is under the hand's own key, and reads that and what is under another's.
func (h *hand) turn(other store.Key) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	h.look(ctx, other)
	found := h.look(ctx, h.key)
	switch h.rnd.IntN(4) {
	case 0, 1:
		h.put(ctx, found)
	case 2:
		for _, r := range found {
			changed := r.Clone()
			changed.Status = 200 + h.rnd.IntN(100)
			h.did("Update", h.store.Update(ctx, changed))
		}
	case 3:
		if len(found) == 0 {
			return
		}
		id := found[0].ID
		delete(h.kept, id)
		if h.did("Delete", h.store.Delete(ctx, h.key, id)) {
			h.kept[id] = false
		}
	}
	h.look(ctx, h.key)
}

// put stores a record in the place of others. Unless it succeeds, these stay.
func (h *hand) put(ctx context.Context, old []*store.Record) {
	now := time.Now()
	r := &store.Record{Key: h.key, ID: store.NewID(now), KeepUntil: now.Add(time.Hour)}
	r.Method, r.URL, r.Status, r.Requested, r.Received = "GET", "https://example.com/"+string(h.key), 200, now, now
	r.Header = http.Header{"Etag": {r.ID.String()}}
	r.Size = int64(sizes[h.rnd.IntN(len(sizes))])
	w, err := h.store.Create(ctx, r)
	if !h.did("Create", err) {
		return
	}
	defer w.Close()
	if _, err := w.Write(h.body(r)); !h.did("Write", err) {
		return
	}
	var ids []store.ID
	for _, r := range old {
		ids = append(ids, r.ID)
	}
	if h.did("Commit", w.Commit(r, ids...)) {
		for _, id := range ids {
			delete(h.kept, id)
		}
		h.kept[r.ID] = true
	}
}

func (h *hand) body(r *store.Record) []byte { return bodyOf(fmt.Sprintf("/%d/%s", r.Size, r.ID)) }

// look returns what is found under a key, all of which must be right as far as it is told.
func (h *hand) look(ctx context.Context, key store.Key) []*store.Record {
	found, err := h.store.Lookup(ctx, key)
	if !h.did("Lookup", err) {
		return nil
	}
	for _, r := range found {
		if r.Key != key || r.Header.Get("Etag") != r.ID.String() {
			h.Errorf("Lookup of %s: a record of %s, or with the head of %s", key, r.Key, r.Header.Get("Etag"))
		}
		h.read(ctx, r)
	}
	return found
}

// read reports whether the whole body of a record can be read.
func (h *hand) read(ctx context.Context, r *store.Record) bool {
	b, err := h.store.Open(ctx, r)
	if !h.did("Open", err) {
		return false
	}
	defer b.Close()
	got, err := io.ReadAll(b)
	if want := h.body(r); err == nil && !bytes.Equal(got, want) || !bytes.HasPrefix(want, got) {
		h.Errorf("%d bytes of a body of %d, %v, are not those that were written", len(got), r.Size, err)
	}
	return h.did("Read", err)
}

// settle looks at what is left when no connection breaks any more.
func (h *hand) settle() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var found []*store.Record
	h.eventually("all that is left can be read", func() bool {
		var err error
		found, err = h.store.Lookup(ctx, h.key)
		return err == nil && !slices.ContainsFunc(found, func(r *store.Record) bool { return !h.read(ctx, r) })
	})
	for id, want := range h.kept {
		if there := slices.ContainsFunc(found, func(r *store.Record) bool { return r.ID == id }); there != want {
			h.Errorf("record %v of %s is there: %v, want %v", id, h.key, there, want)
		}
	}
}
