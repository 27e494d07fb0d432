package tiered_test

import (
	"errors"
	"testing"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/internal/maptable"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/chunked"
	"github.com/larder-go/larder/store/memory"
	"github.com/larder-go/larder/store/tiered"
)

// plain is a store with the five methods and no more.
type plain struct{ store.Store }

func TestIsNoMoreThanTheBack(t *testing.T) {
	s := open(t, nil, plain{new(memory.Store)}, nil)
	if _, ok := store.As[store.Local](s); ok {
		t.Error("it is store.Local before a store that is not")
	}
	c := &larder.Cache{Store: s}
	if _, _, err := c.Size(t.Context()); !errors.Is(err, larder.ErrUnsupported) {
		t.Errorf("Cache.Size: %v", err)
	}
	// Who does not use store.As is told, too.
	if _, _, err := s.Size(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Size: %v", err)
	}
	if _, err := s.Sweep(t.Context(), time.Now()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Sweep: %v", err)
	}
	var last error
	for _, err := range s.Find(t.Context(), store.Query{}) {
		last = err
	}
	if !errors.Is(last, errors.ErrUnsupported) {
		t.Errorf("Find: %v", last)
	}
	if _, err := s.Lease(t.Context(), "key", store.NewID(time.Now()), time.Minute); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Lease: %v", err)
	}
	if err := s.Release(t.Context(), "key", store.NewID(time.Now())); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Release: %v", err)
	}
}

// closing is a store that is closed, and has something to say of it.
type closing struct {
	*memory.Store
	err    error
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return c.err
}

func TestCloseClosesBoth(t *testing.T) {
	front := &closing{Store: new(memory.Store), err: errors.New("the front")}
	back := &closing{Store: new(memory.Store), err: errors.New("the back")}
	s, err := tiered.New(front, back, nil)
	must(t, err)
	if err := s.Close(); !errors.Is(err, front.err) || !errors.Is(err, back.err) || !front.closed || !back.closed {
		t.Errorf("Close: %v; the front is closed: %v, the back: %v", err, front.closed, back.closed)
	}
}

func TestLeasesAreThoseOfTheBack(t *testing.T) {
	table := new(maptable.Table)
	ours, theirs := open(t, nil, chunked.New(table, nil), nil), open(t, nil, chunked.New(table, nil), nil)
	a, b := store.NewID(time.Now()), store.NewID(time.Now())
	lease := func(s store.Leaser, holder store.ID, want bool) {
		t.Helper()
		if held, err := s.Lease(t.Context(), "key", holder, time.Hour); held != want || err != nil {
			t.Errorf("Lease: %v, %v, want %v", held, err, want)
		}
	}
	lease(ours, a, true)
	lease(theirs, b, false)
	must(t, ours.Release(t.Context(), "key", a))
	lease(theirs, b, true)
}
