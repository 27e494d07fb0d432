package behaviour

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

// large is a body that no store keeps beside the head.
var large = strings.Repeat("0123456789abcdef", 1<<14)

var errBroken = errors.New("the disk is on fire")

// trouble are tests of stores and origins that fail: a caller is never worse off than without a cache.
var trouble = append([]test{
	{name: "a store that fails at any one thing harms no caller", run: func(t *T) {
		for _, op := range []string{lookup, open, create, write, commit, update, remove} {
			u, f := t.near()
			u.journal = new(journal)
			u.cache.Observe = u.journal.note
			f.at(with(errBroken), op)
			u.workday("/"+op, under(context.Background()))
			u.wantFailures(op, errBroken)
			if n := u.cache.Stats().StoreFailures; n == 0 {
				t.Errorf("%s: the failures are not counted", op)
			}
			f.mended()
			t.clock.advance(time.Minute)
			u.workday("/then/" + op)
		}
	}},
	{name: "a store that hangs at any one thing harms no caller", run: func(t *T) {
		for _, op := range []string{lookup, open, create, write, commit, update, remove} {
			u, f := t.distant()
			u.journal = new(journal)
			u.cache.Observe = u.journal.note
			f.at(hang, op)
			u.workday("/"+op, patient)
			if err := u.cache.Close(t.Context()); err != nil { // some of it goes on in the background
				t.Error(err)
			}
			if len(u.journal.of(larder.StoreFailed)) == 0 {
				u.Errorf("that the store hangs at %s is not told of", op)
			}
			f.mended()
			t.clock.advance(time.Minute)
			u.workday("/then/"+op, patient)
		}
	}},
	{name: "a store that fails at everything harms no caller", run: func(t *T) {
		u, f := t.near()
		f.at(with(errBroken), lookup, open, read, create, write, readBack, commit, update, remove)
		u.workday("/a")
		u.wantAll(u.start(20, func(int) answer { return u.try("GET", "/a/large") }).done(), large)
		t.wantStored(0)
	}},
	{name: "a store that hangs costs StoreTimeout once, and then nothing", run: func(t *T) {
		u, f := t.distant()
		u.cache.StoreTimeout = 3 * time.Second
		f.at(hang, lookup)
		t.origin.numbered("/a", "Cache-Control", "no-store")
		for i := range 10 {
			began := time.Now()
			u.get("/a").wantStatus(larder.Miss, 200)
			want := 3 * time.Second
			if i > 0 {
				want = 0
			}
			equal(t, fmt.Sprint("time for request ", i), time.Since(began), want)
			t.clock.advance(time.Second) // it is tried again beside a request
		}
		t.settle()
		equal(t, "calls of the store", f.count(lookup), 2)
	}},
	{name: "a distant store that works again is used again, though no request tries it", run: func(t *T) {
		u, f := t.distant()
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		u.get("/a").want(larder.Miss, "/a 1")
		f.at(with(errBroken), lookup, create)
		for range 10 {
			u.get("/a").wantStatus(larder.Miss, 200)
		}
		f.mended()
		t.clock.advance(6 * time.Second)
		u.get("/a").want(larder.Miss, "/a 12")
		t.settle()
		u.get("/a").wantStatus(larder.Hit, 200)
	}},
	{name: "a store that hangs while it writes holds no reader back longer than StoreTimeout", run: func(t *T) {
		u, f := t.distant()
		f.at(hang, write)
		t.origin.page("/a", large, "Cache-Control", "max-age=60")
		began := time.Now()
		u.wantAll(u.start(10, func(int) answer { return u.try("GET", "/a") }).done(), large)
		equal(t, "time", time.Since(began), 2*time.Second)
		t.wantStored(0)
	}},
	{name: "a reader that gives up while it reads back hears of that, not of the store", run: func(t *T) {
		u, f := t.distant()
		t.origin.page("/a", large, "Cache-Control", "max-age=60")
		ctx, cancel := context.WithCancel(context.Background())
		slow := u.send("GET", "/a", under(ctx))
		u.get("/a", patient).want(larder.Miss, large)
		f.at(func(context.Context) error { cancel(); return errBroken }, readBack)
		if slow = u.read(slow); !errors.Is(slow.err, context.Canceled) || errors.Is(slow.err, errBroken) {
			t.Errorf("the reader got %v, want %v", slow.err, context.Canceled)
		}
		if failed := t.journal.of(larder.StoreFailed); len(failed) != 0 {
			t.Errorf("failures told of: %+v", failed)
		}
	}},
	{name: "a store that hangs while it is read back holds a reader no longer than StoreTimeout", run: func(t *T) {
		u, f := t.distant()
		t.origin.page("/a", large, "Cache-Control", "max-age=60")
		slow := u.send("GET", "/a", patient)
		u.get("/a", patient).want(larder.Miss, large)
		f.at(hang, readBack)
		began := time.Now()
		if slow = u.read(slow); slow.err == nil || len(slow.body) == len(large) {
			t.Errorf("got %d bytes, error %v", len(slow.body), slow.err)
		}
		equal(t, "time", time.Since(began), 2*time.Second)
		if failed := t.journal.of(larder.StoreFailed); len(failed) != 1 || failed[0].Op != readBack {
			t.Errorf("failures told of: %+v", failed)
		}
	}},
	{name: "a store that is down is left alone, tried again, and then used again", run: func(t *T) {
		u, f := t.near()
		f.at(with(errBroken), lookup, create)
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		for range 20 {
			u.get("/a").wantStatus(larder.Miss, 200)
		}
		equal(t, "calls while it was down", f.count(lookup)+f.count(create), 5)
		f.mended()
		u.get("/a").wantStatus(larder.Miss, 200)
		t.clock.advance(6 * time.Second)
		u.get("/a").wantStatus(larder.Miss, 200)
		u.get("/a").wantStatus(larder.Hit, 200)
	}},
	{name: "a store that is down still is tried by one call at a time", run: func(t *T) {
		u, f := t.near()
		f.at(with(errBroken), lookup)
		t.origin.numbered("/a", "Cache-Control", "no-store")
		for range 10 {
			u.get("/a")
		}
		before := f.count(lookup)
		t.clock.advance(6 * time.Second)
		for _, a := range u.start(20, func(int) answer { return u.try("GET", "/a") }).done() {
			a.wantStatus(larder.Miss, 200)
		}
		equal(t, "calls of the store", f.count(lookup)-before, 1)
	}},
	{name: "a store that is down is tried again when the clock is set back", run: func(t *T) {
		u, f := t.near()
		f.at(with(errBroken), lookup, create)
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		for range 10 {
			u.get("/a").wantStatus(larder.Miss, 200)
		}
		f.mended()
		t.clock.advance(-time.Hour)
		u.get("/a").wantStatus(larder.Miss, 200)
		u.get("/a").wantStatus(larder.Hit, 200)
	}},
	{name: "a clock that jumps by a day, either way, harms nobody", run: func(t *T) {
		pages := map[string]string{"/fresh": "small", "/validated": large}
		t.origin.tagged("/fresh", `"1"`, pages["/fresh"], "Cache-Control", "max-age=864000")
		t.origin.tagged("/validated", `"2"`, pages["/validated"], "Cache-Control", "no-cache")
		want := map[string]larder.Outcome{"/fresh": larder.Hit, "/validated": larder.Revalidated}
		for path, body := range pages {
			t.get(path).want(larder.Miss, body)
		}
		const day = 24 * time.Hour
		for _, jump := range []time.Duration{0, day, -day, -day, -day, day, day} {
			t.clock.advance(jump)
			if jump < 0 { // what is from the future is validated
				t.wantAll([]answer{t.get("/fresh")}, pages["/fresh"])
			}
			for path, body := range pages {
				t.get(path).want(want[path], body)
			}
			t.wantSwept(0)
			t.wantStored(len(pages))
		}
		if s := t.cache.Stats(); s.StoreFailures+s.Damaged+s.Discarded != 0 {
			t.Errorf("the counts tell of trouble: %+v", s)
		}
	}},
	{name: "callers without time are no fault of the store", run: func(t *T) {
		t.origin.page("/a", large, "Cache-Control", "max-age=60")
		for op, fault := range map[string]func(context.Context) error{lookup: context.Context.Err, open: hang} {
			u, f := t.distant()
			u.get("/a")
			f.at(fault, op)
			for i := range 10 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%2)*time.Second) // StoreTimeout is 2 s
				if a := u.try("GET", "/a", under(ctx)); !errors.Is(a.err, context.DeadlineExceeded) && a.body != large {
					t.Errorf("%s: got %v, %d bytes, error %v, want a deadline exceeded", op, a.Outcome, len(a.body), a.err)
				}
				cancel()
			}
			equal(t, op+": failures", u.cache.Stats().StoreFailures, 0)
			f.mended()
			u.get("/a").want(larder.Hit, large)
		}
	}},
	{name: "an unsafe method waits for a store that hangs no longer than StoreTimeout", run: func(t *T) {
		u, f := t.distant()
		u.cache.Store = struct {
			*faults
			hangingFinder
		}{faults: f}
		u.cache.StoreTimeout = 3 * time.Second
		u.rule(larder.Rule{KeyHeaders: []string{"X-Tenant"}})
		began := time.Now()
		u.post("/a", patient).wantStatus(larder.Bypassed, 404)
		equal(t, "time for an error", time.Since(began), 0)
		t.origin.numbered("/a")
		u.post("/a", patient).want(larder.Bypassed, "/a 2")
		equal(t, "time", time.Since(began), 3*time.Second)
	}},
	{name: "with FailClosed what cannot be looked up is an error", run: func(t *T) {
		u, f := t.near()
		u.cache.FailClosed = true
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		u.get("/a").want(larder.Miss, "/a 1")
		f.at(with(errBroken), lookup)
		for i := range 10 { // the breaker's turn included
			a := u.try("GET", "/a")
			if a.err == nil || i == 0 && !errors.Is(a.err, errBroken) {
				t.Errorf("request %d: got %v %d, error %v", i, a.Outcome, a.status, a.err)
			}
		}
		t.wantHits("/a", 1)
		equal(t, "errors", u.cache.Stats().Errors, 10)
		f.mended()
		t.clock.advance(6 * time.Second)
		u.get("/a").want(larder.Hit, "/a 1")
	}},
	{name: "with FailClosed what cannot be written is still delivered", run: func(t *T) {
		u, f := t.near()
		u.cache.FailClosed = true
		f.at(with(errBroken), create)
		t.origin.page("/a", large, "Cache-Control", "max-age=60")
		u.get("/a").want(larder.Miss, large)
	}},
	{name: "what is too large for the store passes through, and that is no trouble", run: func(t *T) {
		for _, op := range []string{create, write, commit} {
			u, f := t.near()
			u.journal = new(journal)
			u.cache.Observe = u.journal.note
			f.at(with(fmt.Errorf("no room: %w", store.ErrTooLarge)), op)
			path := "/" + op
			t.origin.page(path, large, "Cache-Control", "max-age=60")
			u.wantAll(u.start(10, func(int) answer { return u.try("GET", path) }).done(), large)
			discarded := u.journal.of(larder.Discarded)
			if len(discarded) == 0 || !errors.Is(discarded[0].Err, store.ErrTooLarge) {
				t.Errorf("%s: events of what was not stored: %+v", op, discarded)
			}
			equal(t, op+": failures", u.cache.Stats().StoreFailures, 0)
			for range 10 {
				u.get(path).want(larder.Miss, large)
			}
			f.mended()
			u.get(path).want(larder.Miss, large)
			u.get(path).want(larder.Hit, large)
		}
	}},
	{name: "what the store refuses at once is read by each at his own pace", run: func(t *T) {
		u, f := t.near()
		f.at(with(store.ErrTooLarge), create)
		t.origin.page("/a", large, "Cache-Control", "max-age=60", "Content-Length", fmt.Sprint(len(large)))
		g := t.origin.hold("/a")
		p := u.start(2, func(int) answer { return u.send("GET", "/a", patient) })
		t.settle()
		g.open()
		idle, quick := p.done()[0], p.done()[1]
		u.read(quick).want(larder.Miss, large)
		u.read(idle).want(larder.Miss, large)
	}},
	{name: "a write that fails in the middle is nothing to the readers, slow ones included", run: func(t *T) {
		u, f := t.near()
		f.at(after(5, with(errBroken)), write)
		t.origin.page("/a", large, "Cache-Control", "max-age=60")
		slow := u.begin("/a")
		fast := u.start(10, func(int) answer { return u.try("GET", "/a") })
		t.settle()
		slow = u.read(slow)
		u.wantAll(append(fast.done(), slow), large)
		t.wantStored(0)
	}},
	{name: "a stale one is not lost when its replacement cannot be stored", run: func(t *T) {
		for _, op := range []string{create, write, commit} {
			u, f := t.near()
			path := "/" + op
			u.numberedStale(path, "max-age=60")
			f.at(with(errBroken), op)
			u.get(path).want(larder.Miss, path+" 2")
			u.get(path, mode(larder.OfflineStale)).want(larder.Stale, path+" 1")
		}
	}},
	{name: "a freshened one is served though that could not be written down", run: func(t *T) {
		u, f := t.near()
		t.origin.tagged("/a", `"1"`, "one", "Cache-Control", "max-age=60")
		u.get("/a")
		t.clock.advance(time.Minute)
		f.at(with(errBroken), update)
		u.get("/a").want(larder.Revalidated, "one")
		t.settle()
		u.get("/a").want(larder.Revalidated, "one")
	}},
	{name: "a body that is gone is fetched again", run: func(t *T) {
		u, f := t.near()
		t.origin.page("/a", large, "Cache-Control", "max-age=60")
		u.get("/a")
		for _, lost := range []error{store.ErrNotFound, store.ErrCorrupt, errBroken} {
			f.at(with(lost), open)
			u.get("/a").want(larder.Miss, large)
			f.mended()
			u.get("/a").want(larder.Hit, large)
		}
		t.wantStored(1)
	}},
	{name: "a body that is gone is no answer offline", run: func(t *T) {
		u, f := t.near()
		t.origin.page("/a", large, "Cache-Control", "max-age=60")
		u.get("/a")
		f.at(with(store.ErrNotFound), open)
		u.get("/a", header("Cache-Control", "only-if-cached")).wantStatus(larder.Refused, 504)
		u.get("/a", mode(larder.Offline)).wantStatus(larder.Refused, 504)
		u.get("/a", header("Range", "bytes=0-1")).wantStatus(larder.Miss, 200)
	}},
	{name: "a body that is gone when the origin says it still holds is fetched again", run: func(t *T) {
		u, f := t.near()
		t.origin.tagged("/a", `"1"`, large, "Cache-Control", "max-age=60")
		u.get("/a")
		t.clock.advance(time.Minute)
		f.at(with(store.ErrNotFound), open)
		u.get("/a").want(larder.Miss, large)
	}},
	{name: "a body that is gone stands in for no origin that fails: its failure is the caller's to see", run: func(t *T) {
		u, f := t.near()
		t.origin.page("/a", large, "Cache-Control", ifError)
		u.get("/a")
		t.clock.advance(time.Minute)
		f.at(with(store.ErrNotFound), open)
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(503)
			io.WriteString(w, "sorry")
		})
		a := u.get("/a")
		a.want(larder.Miss, "sorry")
		equal(t, "status", a.status, 503)
		t.origin.handle("/a", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		if a := u.try("GET", "/a"); !errors.Is(a.err, io.EOF) {
			t.Errorf("got %v %d, error %v, want EOF", a.Outcome, a.status, a.err)
		}
	}},
	{name: "a record that is gone when the origin says it still holds is fetched again", run: func(t *T) {
		for path, content := range map[string]string{"/small": "one", "/large": large} {
			t.origin.tagged(path, `"1"`, content, "Cache-Control", "max-age=60")
			t.get(path)
			t.clock.advance(time.Minute)
			g := make(gate)
			t.origin.handle(path, func(w http.ResponseWriter, r *http.Request) {
				g.wait(r)
				w.Header().Set("ETag", `"1"`)
				if r.Header.Get("If-None-Match") != "" {
					w.WriteHeader(304)
					return
				}
				io.WriteString(w, content)
			})
			p := t.start(1, func(int) answer { return t.try("GET", path) })
			t.settle()
			t.wantPurged(store.Query{URL: t.origin.url + path}, 1)
			g.open()
			t.wantAll(p.done(), content)
		}
	}},
	{name: "a body that breaks off while it is read is an error, never a short body, and is not used again", run: func(t *T) {
		for _, lost := range []error{store.ErrNotFound, store.ErrCorrupt} {
			u, f := t.near()
			path := fmt.Sprint("/", lost == store.ErrCorrupt)
			t.origin.page(path, large, "Cache-Control", "max-age=60")
			u.get(path)
			f.at(after(2, with(lost)), read)
			a := u.begin(path)
			a.wantStatus(larder.Hit, 200)
			if a = u.read(a); !errors.Is(a.err, lost) {
				t.Errorf("%v: got %d bytes, error %v", lost, len(a.body), a.err)
			}
			f.mended()
			u.get(path).want(larder.Miss, large)
			u.get(path).want(larder.Hit, large)
		}
	}},
	{name: "damage is told of, and what can be read is used", run: func(t *T) {
		u, f := t.near()
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		u.get("/a")
		f.at(with(store.ErrCorrupt), lookup)
		u.get("/a").want(larder.Hit, "/a 1")
		t.origin.numbered("/b", "Cache-Control", "max-age=60")
		u.get("/b").want(larder.Miss, "/b 1")
		damaged := t.journal.of(larder.Damaged)
		if len(damaged) != 2 || damaged[0].Op != lookup || damaged[1].URL != t.origin.url+"/b" || !errors.Is(damaged[0].Err, store.ErrCorrupt) {
			t.Errorf("events: %+v", damaged)
		}
		s := u.cache.Stats()
		if s.Damaged != 2 || s.StoreFailures != 0 {
			t.Errorf("stats: %+v", s)
		}
	}},
	{name: "the unsafe method's answer comes through though nothing could be removed", run: func(t *T) {
		u, f := t.near()
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		u.get("/a")
		f.at(with(errBroken), remove)
		u.do("PUT", "/a").want(larder.Bypassed, "/a 2")
		u.wantFailures(remove, errBroken)
	}},
	{name: "notes that a broken store did not give are looked for again, before something is removed", run: func(t *T) {
		for i, known := range []bool{true, false} { // to the cache that removes
			path := fmt.Sprint("/", i)
			query := func(t *T) answer { return t.do("QUERY", path, body(text, "x")) }
			t.origin.answersQueries(path, "Cache-Control", "max-age=6000")
			query(t).wantStatus(larder.Miss, 200)
			u, f := t.distant()
			u.cache.Store = finding{f}
			if known {
				query(u).wantStatus(larder.Hit, 200)
				u.settle()
				t.clock.advance(2 * time.Minute)
				f.at(with(errBroken), lookup, create)
				query(u).wantStatus(larder.Miss, 200)
			} else {
				f.at(with(errBroken), lookup)
				u.get(path, body(text, "y")).wantStatus(larder.Miss, 200)
			}
			u.settle()
			f.mended()
			query(u).wantStatus(larder.Hit, 200)
			u.do("PUT", path)
			query(u).wantStatus(larder.Miss, 200)
		}
	}},
	{name: "what could not be removed is not used any more, nor when the store is well again", run: func(t *T) {
		faults := map[string]func(context.Context) error{"broken": with(errBroken), "hanging": hang}
		for name, fault := range faults {
			for i, ops := range [][]string{{remove}, {lookup}, {find}, {lookup, find, remove}} {
				u, f := t.distant()
				u.cache.Store = finding{f}
				pre := fmt.Sprint("/", name, i)
				u.origin.answersQueries(pre+"/a", "Cache-Control", "max-age=6000", "Cache-Groups", `"g"`)
				u.origin.numbered(pre+"/b", "Cache-Control", "max-age=6000", "Cache-Groups", `"g"`)
				u.origin.numbered(pre+"/c", "Cache-Control", "max-age=6000", "No-Vary-Search", `params=("u")`)
				u.origin.status(pre+"/do", 204, "Cache-Group-Invalidation", `"g"`)
				pages := func(outcome larder.Outcome) {
					t.Helper()
					u.get(pre+"/a").wantStatus(outcome, 200)
					u.do("QUERY", pre+"/a", body(text, "x")).wantStatus(outcome, 200)
					u.get(pre+"/b").wantStatus(outcome, 200)
					u.get(pre+"/c?u=1").wantStatus(outcome, 200)
					u.settle()
				}
				pages(larder.Miss)
				t.clock.advance(2 * time.Minute)
				pages(larder.Hit)
				t.clock.advance(2 * time.Minute)
				f.at(fault, ops...)
				u.do("PUT", pre+"/a")
				u.do("PUT", pre+"/c?u=2")
				u.post(pre + "/do")
				f.mended()
				t.clock.advance(time.Minute)
				u.settle()
				u.get(pre + "/other") // by which the store is tried again
				u.settle()
				pages(larder.Miss)
				pages(larder.Hit)
			}
		}
	}},
	{name: "nor what could not be looked for, since the store hung for somebody else", run: func(t *T) {
		u, f := t.distant()
		u.cache.Store = finding{f}
		u.rule(larder.Rule{KeyHeaders: []string{"X-User"}})
		t.origin.numbered("/a", "Cache-Control", "max-age=6000")
		u.get("/a", header("X-User", "alice")).want(larder.Miss, "/a 1")
		t.clock.advance(time.Second)
		u.cache.Observe = func(e larder.Event) {
			if e.Kind == larder.Invalidated {
				f.at(hang, lookup)
				u.get("/other")
			}
		}
		u.do("PUT", "/a")
		u.cache.Observe = nil
		f.mended()
		t.clock.advance(time.Minute)
		u.get("/other") // by which the store is tried again
		u.settle()
		u.get("/a", header("X-User", "alice")).want(larder.Miss, "/a 3")
	}},
	{name: "that is so of what has the same key, and of nothing else", run: func(t *T) {
		u, f := t.distant()
		u.cache.Store = finding{f}
		u.cache.Key = func(r *http.Request) string { return r.URL.Query().Get("key") }
		for _, path := range []string{"/a", "/b", "/c"} {
			t.origin.numbered(path, "Cache-Control", "max-age=6000")
		}
		u.get("/a?key=1").want(larder.Miss, "/a 1")
		u.get("/b").want(larder.Miss, "/b 1")
		u.get("/b?other").want(larder.Miss, "/b 2")
		t.clock.advance(time.Second)
		f.at(with(errBroken), remove)
		u.do("PUT", "/c?key=1")
		u.do("PUT", "/b")
		f.mended()
		u.get("/a?key=1").want(larder.Miss, "/a 2")
		u.get("/b").want(larder.Miss, "/b 4")
		u.get("/b?other").want(larder.Hit, "/b 2")
	}},
	{name: "what could not be removed is, when the store is well again: other processes do not know of it", run: func(t *T) {
		for _, near := range []bool{true, false} {
			u, f := t.findingStore(near)
			pre := fmt.Sprint("/", near)
			t.origin.answersQueries(pre+"/a", "Cache-Control", "max-age=6000")
			t.origin.numbered(pre+"/b", "Cache-Control", "max-age=6000", "Cache-Groups", `"g"`)
			t.origin.numbered(pre+"/c", "Cache-Control", "max-age=6000")
			t.origin.status(pre+"/do", 204, "Cache-Group-Invalidation", `"g"`)
			pages := func(outcome larder.Outcome) {
				t.Helper()
				t.get(pre+"/a").wantStatus(outcome, 200)
				t.do("QUERY", pre+"/a", body(text, "x")).wantStatus(outcome, 200)
				t.get(pre+"/b").wantStatus(outcome, 200)
				t.settle()
			}
			pages(larder.Miss)
			t.get(pre + "/c")
			t.clock.advance(2 * time.Minute)
			f.at(with(errBroken), find, remove)
			u.do("PUT", pre+"/a")
			u.post(pre + "/do")
			u.do("PUT", pre+"/c")
			pages(larder.Hit)
			if e, err := u.cache.Explain(t.Context(), t.request("GET", pre+"/c")); len(e.Records) > 0 || err != nil {
				t.Errorf("explained by %d records, error %v", len(e.Records), err)
			}
			t.clock.advance(time.Millisecond)
			u.get(pre+"/c").wantStatus(larder.Miss, 200)
			u.settle()
			tried := f.count(remove) + f.count(find)
			for range 10 {
				u.get(pre + "/other")
				u.settle()
			}
			equal(t, "attempts within a minute", f.count(remove)+f.count(find), tried)
			f.mended()
			t.clock.advance(time.Minute)
			u.get(pre + "/other")
			u.settle()
			pages(larder.Miss)
			pages(larder.Hit)
			t.get(pre+"/c").want(larder.Hit, pre+"/c 3") // what has come since stays
		}
	}},
	{name: "a store that hangs at removals alone is tried by one of them a minute", run: func(t *T) {
		u, f := t.distant()
		u.cache.Store = finding{f}
		f.at(hang, remove)
		for i := range 10 {
			page := fmt.Sprint("/", i)
			t.origin.numbered(page, "Cache-Control", "max-age=6000")
			u.get(page)
			t.clock.advance(time.Minute)
			u.do("PUT", page)
		}
		if err := u.cache.Close(t.Context()); err != nil { // waits for one that may be tried already
			t.Error(err)
		}
		before := f.count(remove)
		t.clock.advance(time.Minute)
		u.get("/other") // by which the store is tried again
		u.settle()
		u.get("/other")
		if err := u.cache.Close(t.Context()); err != nil { // waits for the one that is tried now
			t.Error(err)
		}
		equal(t, "removals tried", f.count(remove)-before, 1)
	}},
	{name: "Delete fails if the store does not tell all that answers the request", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=6000", "No-Vary-Search", `params=("u")`)
		t.get("/a?u=1").want(larder.Miss, "/a 1")
		u, f := t.distant()
		remove := func() error { return u.cache.Delete(t.Context(), t.request("GET", "/a?u=2")) }
		f.at(with(errBroken), lookup)
		if remove() == nil {
			t.Error("no error from a broken store")
		}
		f.mended()
		if err := remove(); err != nil {
			t.Error(err)
		}
		u.get("/a?u=2").want(larder.Miss, "/a 2")
	}},
}, originTrouble...)

// hangingFinder lists what is stored for as long as the caller has patience.
type hangingFinder struct{}

func (hangingFinder) Find(ctx context.Context, _ store.Query) iter.Seq2[*store.Record, error] {
	return func(yield func(*store.Record, error) bool) { yield(nil, hang(ctx)) }
}

// patient gives a caller a minute, which is more than any trouble with a store may cost.
func patient(r *http.Request) *http.Request {
	ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
	context.AfterFunc(ctx, cancel)
	return r.WithContext(ctx)
}

// workday is what callers do in a day: they must not notice whether the cache's store works.
func (t *T) workday(path string, how ...option) {
	t.Helper()
	pages := map[string]string{"/small": "hello", "/large": large, "/none": ""}
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		page, content := path+name, pages[name]
		t.origin.tagged(page, `"1"`, content, "Cache-Control", "max-age=60")
		for _, o := range []option{header("X", "1"), header("X", "1"), mode(larder.Refresh), mode(larder.ForceRefresh), header("Cache-Control", "max-age=0")} {
			a := t.try("GET", page, append(how, o)...)
			if a.err != nil || a.status != 200 || a.body != content {
				t.Errorf("GET %s: got %v %d with %d bytes, error %v", page, a.Outcome, a.status, len(a.body), a.err)
			}
			t.settle()
		}
		for _, m := range []string{"HEAD", "DELETE"} {
			if a := t.try(m, page, how...); a.err != nil || a.status != 200 {
				t.Errorf("%s %s: got %v %d, error %v", m, page, a.Outcome, a.status, a.err)
			}
		}
		t.clock.advance(time.Second)
	}
}

// originTrouble are tests of responses that do not come to their end.
var originTrouble = []test{
	{name: "a body cut short leaves the stale one", run: func(t *T) {
		t.numberedStale("/a", "max-age=60")
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "half")
		})
		if a := t.try("GET", "/a"); !errors.Is(a.err, io.ErrUnexpectedEOF) {
			t.Errorf("got %q, error %v", a.body, a.err)
		}
		t.get("/a", mode(larder.OfflineStale)).want(larder.Stale, "/a 1")
	}},
	{name: "an origin that cannot be reached is an error to everybody who waits", run: func(t *T) {
		down := t.down()
		for _, a := range down.start(10, func(int) answer { return down.try("GET", "/a") }).done() {
			if a.err == nil {
				t.Errorf("got %v %d", a.Outcome, a.status)
			}
		}
		equal(t, "errors", down.cache.Stats().Errors, 10)
	}},
	{name: "a panic below, before the head or amid the body, is an error to everybody who waits, and stands in nobody's way", run: func(t *T) {
		for path, ctx := range map[string]context.Context{"/leaves": t.Context(), "/stays": context.Background()} {
			t.origin.page(path+"/head", "whole", "Cache-Control", "max-age=60")
			t.origin.page(path+"/body", "whole", "Cache-Control", "max-age=60")
			g := make(gate)
			t.cache.Base = transport(func(r *http.Request) (*http.Response, error) {
				g.wait(r)
				if r.URL.Path == path+"/head" {
					panic("a bug")
				}
				resp, err := t.origin.transport.RoundTrip(r)
				if err == nil {
					resp.Body.Close()
					resp.Body = &closing{Reader: panicking{}}
				}
				return resp, err
			})
			for _, path := range []string{path + "/head", path + "/body"} {
				p := t.start(5, func(int) answer { return t.try("GET", path, under(ctx)) })
				t.settle()
				g.open()
				for i, a := range p.done() {
					if a.err == nil || !strings.Contains(a.err.Error(), "a bug") {
						t.Errorf("%s: caller %d got %d %q, error %v", path, i, a.status, a.body, a.err)
					}
				}
				g = make(gate)
			}
			t.cache.Base = t.origin.transport
			t.get(path+"/head").want(larder.Miss, "whole")
			t.get(path+"/body").want(larder.Miss, "whole")
		}
	}},
}

// panicking is a reader that has a bug.
type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("a bug") }
