package bytestore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/bytestore"
	"github.com/larder-go/larder/store/storetest"
)

// cache is a map with gregjones/httpcache's interface. Like the map in that module, it makes no copies: it holds the
// bytes that it is given, and gives out the bytes that it holds.
type cache struct {
	mu sync.Mutex
	m  map[string][]byte
}

func (c *cache) Get(key string) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.m[key]
	return v, ok
}

func (c *cache) Set(key string, value []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = make(map[string][]byte)
	}
	c.m[key] = value
}

func (c *cache) Delete(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.m, key)
}

// names returns the names that begin with prefix.
func (c *cache) names(prefix string) (names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range maps.Keys(c.m) {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	return names
}

var errNothing = errors.New("nothing there")

// connOf is a cache with bartventer/httpcache's interface.
type connOf struct{ *cache }

func (c connOf) Get(key string) ([]byte, error) {
	if v, ok := c.cache.Get(key); ok {
		return v, nil
	}
	return nil, fmt.Errorf("get %s: %w", key, errNothing)
}

func (c connOf) Set(key string, value []byte) error {
	c.cache.Set(key, value)
	return nil
}

func (c connOf) Delete(key string) error {
	if _, ok := c.cache.Get(key); !ok {
		return fmt.Errorf("delete %s: %w", key, errNothing)
	}
	c.cache.Delete(key)
	return nil
}

// conn is a connOf that can be put out of order: fail says what of its calls becomes, unless it is nil; hold keeps them
// until it is closed.
type conn struct {
	connOf
	fail func(call string) error
	hold chan struct{}
}

func (c *conn) ready(call, key string) error {
	if c.hold != nil {
		<-c.hold
	}
	if c.fail != nil {
		return c.fail(call + " " + key)
	}
	return nil
}

func (c *conn) Get(key string) ([]byte, error) {
	if err := c.ready("get", key); err != nil {
		return nil, err
	}
	return c.connOf.Get(key)
}

func (c *conn) Set(key string, value []byte) error {
	if err := c.ready("set", key); err != nil {
		return err
	}
	return c.connOf.Set(key, value)
}

func (c *conn) Delete(key string) error {
	if err := c.ready("delete", key); err != nil {
		return err
	}
	return c.connOf.Delete(key)
}

func TestContract(t *testing.T) {
	kit := func(open func(*cache) store.Store) storetest.Kit {
		var caches sync.Map
		at := func(dir string) *cache {
			c, _ := caches.LoadOrStore(dir, new(cache))
			return c.(*cache)
		}
		damage := func(dir, name, after string) error {
			v, ok := at(dir).Get(name)
			if !ok {
				return fmt.Errorf("%s is not there", name)
			}
			v = bytes.Clone(v)
			v[bytes.Index(v, []byte(after))+len(after)+50] ^= 1
			at(dir).Set(name, v)
			return nil
		}
		return storetest.Kit{
			Open:       func(dir string) (store.Store, error) { return open(at(dir)), nil },
			Persistent: true,
			DamageHead: func(dir string, r *store.Record) error {
				return damage(dir, fmt.Sprintf("larder/r/%x", r.Key.Digest()), r.ID.String())
			},
			DamageBody: func(dir string, r *store.Record) error {
				return damage(dir, fmt.Sprintf("larder/b/%x/%s/00000000", r.Key.Digest(), r.ID), "")
			},
		}
	}
	t.Run("a Cache", func(t *testing.T) {
		k := kit(func(c *cache) store.Store { return bytestore.New(c, nil) })
		k.MaxBody = 8 << 20
		storetest.Run(t, k)
	})
	t.Run("a Conn, bodies in pieces", func(t *testing.T) {
		storetest.Run(t, kit(func(c *cache) store.Store {
			return bytestore.NewConn(connOf{c}, errNothing, &bytestore.Options{MaxBody: 1 << 30, Chunk: 64 << 10})
		}))
	})
}

func put(t *testing.T, s store.Store, key store.Key, body string, superseded ...store.ID) *store.Record {
	t.Helper()
	r, err := tryPut(t, s, key, body, superseded...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func tryPut(t *testing.T, s store.Store, key store.Key, body string, superseded ...store.ID) (*store.Record, error) {
	r := &store.Record{Key: key, ID: store.NewID(time.Now()), Size: int64(len(body))}
	w, err := s.Create(t.Context(), r)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	if _, err := io.WriteString(w, body); err != nil {
		return nil, err
	}
	return r, w.Commit(r, superseded...)
}

func TestNothingIsLeftOfWhatWasReplaced(t *testing.T) {
	var c cache
	s := bytestore.New(&c, &bytestore.Options{MaxBody: 1 << 20, Chunk: 32 << 10})
	old := put(t, s, "k", strings.Repeat("old", 100<<10))
	last := put(t, s, "k", strings.Repeat("new", 20<<10), old.ID)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := c.names(fmt.Sprintf("larder/b/%x/%s/", old.Key.Digest(), old.ID)); len(got) > 0 {
		t.Errorf("of the body that was replaced there are still %q", got)
	}
	if got := c.names(fmt.Sprintf("larder/b/%x/%s/", last.Key.Digest(), last.ID)); len(got) != 2 {
		t.Errorf("the new body of 60 KiB is %q, want two pieces of 32 KiB or less", got)
	}
	if got := c.names(""); len(got) != 3 {
		t.Errorf("there are %q, want the record and two pieces", got)
	}
}

func TestReplacingSmallBodiesLeavesLargeOnesToTheirReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bytestore.New(new(cache), &bytestore.Options{MaxBody: 4 << 20, Chunk: 32 << 10})
		defer s.Close()
		want := strings.Repeat("body", 256<<10)
		r := put(t, s, "large", want)
		b, err := s.Open(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		s.Delete(t.Context(), "large")
		small := put(t, s, "small", "body")
		for range 9000 {
			small = put(t, s, "small", "body", small.ID)
		}
		if got, err := io.ReadAll(b); err != nil || string(got) != want {
			t.Errorf("read %d bytes, %v", len(got), err)
		}
	})
}

// A store that is bounded drops a body now and then, and the record that it belongs to is still there.
func TestABodyThatIsGoneIsNotFound(t *testing.T) {
	var c cache
	s := bytestore.New(&c, nil)
	defer s.Close()
	r := put(t, s, "k", strings.Repeat("body", 100<<10))
	c.Delete(fmt.Sprintf("larder/b/%x/%s/00000000", r.Key.Digest(), r.ID))
	if _, err := s.Open(t.Context(), r); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Open: %v, want ErrNotFound", err)
	}
}

func TestWhatOthersStoredIsLeftAlone(t *testing.T) {
	var c cache
	c.Set("https://example.com/", []byte("HTTP/1.1 200 OK\r\n\r\n"))
	s := bytestore.New(&c, nil)
	put(t, s, "https://example.com/", "ours")
	if err := s.Delete(t.Context(), "https://example.com/"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if got := c.names(""); len(got) != 1 || got[0] != "https://example.com/" {
		t.Errorf("there are %q, want what was there before, alone", got)
	}
}

func TestAFaultIsTold(t *testing.T) {
	fault := errors.New("the disk is full")
	large := strings.Repeat("body", 100<<10)
	for _, c := range []struct {
		at   string // what fails
		what string
		do   func(s *bytestore.Store, one, two, large *store.Record) error
	}{
		{"get larder/r/", "Lookup", func(s *bytestore.Store, one, _, _ *store.Record) error {
			_, err := s.Lookup(t.Context(), one.Key)
			return err
		}},
		{"get larder/b/", "Open", func(s *bytestore.Store, _, _, large *store.Record) error {
			_, err := s.Open(t.Context(), large)
			return err
		}},
		{"get larder/r/", "Commit", func(s *bytestore.Store, _, _, _ *store.Record) error { _, err := tryPut(t, s, "k", "body"); return err }},
		{"set larder/r/", "Commit", func(s *bytestore.Store, _, _, _ *store.Record) error { _, err := tryPut(t, s, "k", "body"); return err }},
		{"set larder/b/", "Commit", func(s *bytestore.Store, _, _, _ *store.Record) error { _, err := tryPut(t, s, "k", large); return err }},
		{"set larder/r/", "Update", func(s *bytestore.Store, one, _, _ *store.Record) error { return s.Update(t.Context(), one) }},
		{"set larder/r/", "Delete of one of two", func(s *bytestore.Store, one, _, _ *store.Record) error {
			return s.Delete(t.Context(), one.Key, one.ID)
		}},
		{"delete larder/r/", "Delete of both", func(s *bytestore.Store, one, two, _ *store.Record) error {
			return s.Delete(t.Context(), one.Key, one.ID, two.ID)
		}},
		{"delete larder/r/", "Delete of all", func(s *bytestore.Store, one, _, _ *store.Record) error { return s.Delete(t.Context(), one.Key) }},
	} {
		inner := &conn{connOf: connOf{new(cache)}}
		s := bytestore.NewConn(inner, errNothing, nil)
		one, two, large := put(t, s, "k", "body"), put(t, s, "k", "body"), put(t, s, "large", large)
		inner.fail = func(call string) error {
			if strings.HasPrefix(call, c.at) {
				return fault
			}
			return nil
		}
		if err := c.do(s, one, two, large); !errors.Is(err, fault) {
			t.Errorf("%s fails: %s: %v, want %v", c.at, c.what, err, fault)
		}
		inner.fail = nil
		for key, want := range map[store.Key]int{"k": 2, "large": 1} {
			if found, err := s.Lookup(t.Context(), key); len(found) != want || err != nil {
				t.Errorf("%s fails: %s: then there are %d records of %q, %v; want %d", c.at, c.what, len(found), key, err, want)
			}
		}
		s.Close()
	}
}

// TestAValueThatIsCutIsDamage, and in nobody's way.
func TestAValueThatIsCutIsDamage(t *testing.T) {
	var c cache
	s := bytestore.New(&c, nil)
	defer s.Close()
	r := put(t, s, "k", "body")
	name := fmt.Sprintf("larder/r/%x", r.Key.Digest())
	whole, _ := c.Get(name)
	for n := 1; n < len(whole); n++ {
		c.Set(name, whole[:n])
		if found, err := s.Lookup(t.Context(), "k"); len(found) > 0 || !errors.Is(err, store.ErrCorrupt) {
			t.Fatalf("%d bytes of %d: %d records, %v", n, len(whole), len(found), err)
		}
		if len(c.names("larder/r/")) > 0 {
			t.Fatalf("%d bytes of %d: they are not removed", n, len(whole))
		}
	}
	c.Set(name, whole[:len(whole)/2])
	put(t, s, "k", "body")
	if found, err := s.Lookup(t.Context(), "k"); len(found) != 1 || err != nil {
		t.Errorf("what is stored in its place: %d records, %v", len(found), err)
	}
}

func TestMaxBody(t *testing.T) {
	for _, c := range []struct {
		o    *bytestore.Options
		want int64
	}{{nil, 8 << 20}, {&bytestore.Options{MaxBody: 1 << 20}, 1 << 20}} {
		var in cache
		s := bytestore.New(&in, c.o)
		defer s.Close()
		r := put(t, s, "k", strings.Repeat("b", int(c.want)))
		if got := in.names("larder/b/"); len(got) != 1 {
			t.Errorf("a body of %d bytes is %d values, want 1", r.Size, len(got))
		}
		if _, err := s.Create(t.Context(), &store.Record{Key: "k", ID: store.NewID(time.Now()), Size: c.want + 1}); !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("a body of %d bytes: %v, want ErrTooLarge", c.want+1, err)
		}
	}
}

// The other store's calls have no context; whoever waits for them has one.
func TestACallThatHangsIsLeftBehind(t *testing.T) {
	c := &conn{connOf: connOf{new(cache)}, hold: make(chan struct{})}
	s := bytestore.NewConn(c, errNothing, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 { // more than may be under way
		if _, err := s.Lookup(ctx, "k"); !errors.Is(err, context.Canceled) {
			t.Fatalf("Lookup: %v, want %v", err, context.Canceled)
		}
	}
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	for range 70 {
		if _, err := s.Lookup(short, "k"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Lookup: %v, want %v", err, context.DeadlineExceeded)
		}
	}
	close(c.hold)
	if found, err := s.Lookup(t.Context(), "k"); err != nil || len(found) > 0 {
		t.Errorf("when it goes on: %d records, %v", len(found), err)
	}
	s.Close()
}
