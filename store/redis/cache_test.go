package redis

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

// origin answers /N/NAME with N bytes that depend on the path and on the Authorization.
type origin struct {
	*httptest.Server
	asked atomic.Int64
}

func newOrigin(t testing.TB) *origin {
	o := new(origin)
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.asked.Add(1)
		w.Header().Set("Cache-Control", "max-age=3600")
		w.Write(bodyOf(r.URL.Path, r.Header.Get("Authorization")))
	}))
	t.Cleanup(o.Close)
	return o
}

func bodyOf(path, token string) []byte {
	size, _ := strconv.Atoi(strings.Split(path, "/")[1])
	body := make([]byte, size)
	sum := sha256.Sum256([]byte(path + "\n" + token))
	rand.NewChaCha8(sum).Read(body)
	return body
}

// user is a client with a cache of its own.
type user struct {
	t      testing.TB
	cache  *larder.Cache
	origin *origin
	token  string
	mu     sync.Mutex
	faults []error
}

func newUser(t testing.TB, s store.Store, o *origin, token string) *user {
	u := &user{t: t, origin: o, token: token, cache: &larder.Cache{Store: s}}
	u.cache.Observe = func(e larder.Event) {
		if e.Kind == larder.StoreFailed || e.Kind == larder.Damaged || e.Kind == larder.Discarded {
			u.mu.Lock()
			u.faults = append(u.faults, e.Err)
			u.mu.Unlock()
		}
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := u.cache.Close(ctx); err != nil {
			t.Errorf("background work goes on: %v", err)
		}
	})
	return u
}

// try gets a path, and returns how it was answered. A wrong or short body without an error is a fault of the test.
func (u *user) try(path string) (larder.Outcome, error) {
	u.t.Helper()
	req, err := http.NewRequest("GET", u.origin.URL+path, nil)
	if err != nil {
		u.t.Fatal(err)
	}
	if u.token != "" {
		req.Header.Set("Authorization", u.token)
	}
	resp, err := u.cache.Client().Do(req)
	if err != nil {
		return larder.None, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	want := bodyOf(path, u.token)
	if err == nil && !bytes.Equal(got, want) || !bytes.HasPrefix(want, got) {
		u.t.Errorf("%s: the body of %d bytes is not that of %d which the origin has for %q", path, len(got), len(want), u.token)
	}
	return larder.Info(resp).Outcome, err
}

// get is try for what must not fail.
func (u *user) get(path string) larder.Outcome {
	u.t.Helper()
	outcome, err := u.try(path)
	if err != nil {
		u.t.Errorf("%s: %v", path, err)
	}
	return outcome
}

func (u *user) want(path string, want larder.Outcome) {
	u.t.Helper()
	if got := u.get(path); got != want {
		u.t.Errorf("%s was answered by a %v, want a %v", path, got, want)
	}
}

// saw reports whether one of the store's faults has these words.
func (u *user) saw(words string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, err := range u.faults {
		if err != nil && strings.Contains(err.Error(), words) {
			return true
		}
	}
	return false
}

// openStore opens a store that is closed, and emptied, at the end.
func openStore(t testing.TB, url string, o *Options) *Store {
	t.Helper()
	if o == nil {
		o = new(Options)
	}
	o.Prefix = newPrefix(t, url)
	s, err := Open(context.Background(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestNobodyGetsSomebodyElsesAnswer(t *testing.T) {
	onEachSite(t, func(t *testing.T, url string) {
		for _, near := range []int64{0, 1 << 20} {
			o := newOrigin(t)
			prefix := newPrefix(t, url)
			var users []*user
			for _, token := range []string{"Bearer a", "Bearer b"} {
				s, err := Open(context.Background(), url, &Options{Prefix: prefix, Near: near})
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				users = append(users, newUser(t, s, o, token))
			}
			for _, path := range []string{"/100/x", "/300000/y"} {
				users[0].want(path, larder.Miss)
				users[1].want(path, larder.Miss)
				users[0].want(path, larder.Hit)
				users[1].want(path, larder.Hit)
			}
		}
	})
}

func TestAlteredValuesAreNotServed(t *testing.T) {
	url := env(t, "REDIS_URL")
	s, o, c := openStore(t, url, nil), newOrigin(t), raw(t, url)
	u := newUser(t, s, o, "")
	alter := func(group, item string) {
		t.Helper()
		key := s.table.key(group)
		b := do(t, c, "HGET", key, item).([]byte)
		b[len(b)-10] ^= 0x10
		do(t, c, "HSET", key, item, string(b))
	}
	only := func(path string) *store.Record {
		t.Helper()
		for r, err := range s.Find(background, store.Query{URL: o.URL + path}) {
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		t.Fatalf("%s is not stored", path)
		return nil
	}
	u.want("/1000/small", larder.Miss)
	r := only("/1000/small")
	alter(fmt.Sprintf("r/%x", r.Key.Digest()), r.ID.String())
	u.want("/1000/small", larder.Miss)
	u.want("/1000/small", larder.Hit)

	u.want("/2000000/large", larder.Miss)
	r = only("/2000000/large")
	body := fmt.Sprintf("b/%x/%s", r.Key.Digest(), r.ID)
	alter(body, "00000000")
	u.want("/2000000/large", larder.Miss)
	u.want("/2000000/large", larder.Hit)
	r = only("/2000000/large")
	alter(fmt.Sprintf("b/%x/%s", r.Key.Digest(), r.ID), "00000005")
	if outcome, err := u.try("/2000000/large"); err == nil {
		t.Errorf("a body with an altered piece was read to its end, from a %v", outcome)
	}
	u.get("/2000000/large")
	u.want("/2000000/large", larder.Hit)

	// A row that is cut, and a key of another type, are damage as well.
	r = only("/1000/small")
	key := s.table.key(fmt.Sprintf("r/%x", r.Key.Digest()))
	do(t, c, "HSET", key, r.ID.String(), "x")
	u.want("/1000/small", larder.Miss)
	do(t, c, "SET", key, "x")
	u.want("/1000/small", larder.Miss)
	do(t, c, "UNLINK", key)
	u.want("/1000/small", larder.Miss)
	u.want("/1000/small", larder.Hit)
}

func TestFullServer(t *testing.T) {
	s := serve(t, "--maxmemory", "24mb", "--maxmemory-policy", "noeviction")
	st, o := openStore(t, s.url(), nil), newOrigin(t)
	u := newUser(t, st, o, "")
	stored := 0
	for i := range 40 {
		u.want(fmt.Sprintf("/1000000/%d", i), larder.Miss)
	}
	if !u.saw("OOM") {
		t.Error("the store never told that the server is full")
	}
	for i := range 40 {
		if u.get(fmt.Sprintf("/1000000/%d", i)) == larder.Hit {
			stored++
		}
	}
	if stored == 0 || stored == 40 {
		t.Errorf("%d of 40 bodies were stored, want some", stored)
	}
	if n, err := u.cache.Purge(background, store.Query{}); n < stored || err != nil {
		t.Errorf("a full server: Purge removes %d of %d, %v", n, stored, err)
	}
	command(t, s.admin(), "CONFIG", "SET", "maxmemory", "0")
	eventually(t, "what there is room for is stored again", func() bool {
		u.get("/1000000/again")
		return u.get("/1000000/again") == larder.Hit
	})
}

func TestServerThatEvicts(t *testing.T) {
	s := serve(t, "--maxmemory", "24mb", "--maxmemory-policy", "allkeys-lru")
	st, o := openStore(t, s.url(), nil), newOrigin(t)
	u := newUser(t, st, o, "")
	for range 2 {
		for i := range 60 {
			if _, err := u.try(fmt.Sprintf("/1000000/%d", i)); err != nil && !errors.Is(err, store.ErrNotFound) {
				t.Errorf("a body of which pieces are gone fails with %v", err)
			}
		}
	}
	if u.saw("OOM") {
		t.Error("the server refused to store")
	}
	// Pieces that go while the body is read.
	command(t, s.admin(), "CONFIG", "SET", "maxmemory", "0")
	r := fill(t, st, "https://example.com/", 8<<20)
	body, err := st.Open(background, r)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if _, err := io.CopyN(io.Discard, body, 1000); err != nil {
		t.Fatal(err)
	}
	do(t, s.admin(), "UNLINK", st.table.key(fmt.Sprintf("b/%x/%s", r.Key.Digest(), r.ID)))
	if n, err := io.Copy(io.Discard, body); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("read %d bytes more, then %v, want ErrNotFound", n, err)
	}
	if found, err := st.Lookup(background, r.Key); err != nil {
		t.Error(err)
	} else if len(found) > 0 {
		eventually(t, "the record of a body that is gone goes as well", func() bool {
			found, _ := st.Lookup(background, r.Key)
			return len(found) == 0
		})
	}
}

func TestServerStopsAndComesBack(t *testing.T) {
	for name, o := range map[string]Options{"near": {Near: 1 << 20}, "plain": {}} {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			st, err := Open(context.Background(), s.url(), &o)
			if err != nil {
				t.Fatal(err)
			}
			defer st.Close()
			u := newUser(t, st, newOrigin(t), "")
			u.want("/1000/a", larder.Miss)
			u.want("/1000/a", larder.Hit)
			s.stop()
			for i := range 20 {
				from := time.Now()
				u.get("/1000/a")
				u.get("/300000/a")
				if took := time.Since(from); took > time.Second && i > 0 {
					t.Errorf("with a stopped server two requests took %v", took)
				}
			}
			s.start()
			eventually(t, "the cache is back", func() bool {
				u.get("/1000/b")
				return u.get("/1000/b") == larder.Hit
			})
		})
	}
}

// A connection is made under the context of one caller, whose end must not be the others' fault.
func TestCancelledCallerHarmsNobody(t *testing.T) {
	url := env(t, "REDIS_URL")
	for round := range 20 {
		tab := newTable(t, url)
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				ctx, cancel := context.WithCancel(background)
				defer cancel()
				if i%2 == 0 {
					go cancel()
				}
				group := make([]byte, 8)
				binary.BigEndian.PutUint64(group, rand.Uint64())
				if _, err := tab.Get(ctx, fmt.Sprintf("r/%x", group)); err != nil && i%2 == 1 {
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		all.Wait()
	}
}
