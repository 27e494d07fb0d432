package behaviour

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

// isolation are tests of callers who do with their response what they like, while others use the same.
var isolation = []test{
	{name: "a request is the caller's again when its answer is read", run: func(t *T) { // the race detector sees to it
		t.cache.Store = struct{ store.Store }{t.store} // which is not known to be near, and so stores behind the caller
		t.origin.tagged("/a", `"1"`, "one", "Cache-Control", "no-cache")
		req := t.request("GET", "/a", under(context.Background()))
		for i := range 50 {
			req.Header.Set("X-Request-Id", strconv.Itoa(i))
			resp, err := t.cache.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}},
	{name: "what a caller does to its header is seen by no other", run: func(t *T) {
		t.origin.page("/a", "hello", "Cache-Control", "max-age=60", "X-List", "one", "X-List", "two", "X-Other", "1")
		miss := t.begin("/a")
		before := miss.header.Clone()
		spoil(miss.header)
		t.read(miss).want(larder.Miss, "hello")
		for range 3 {
			hit := t.get("/a")
			hit.want(larder.Hit, "hello")
			delete(hit.header, "Age")
			if !reflect.DeepEqual(hit.header, before) {
				t.Errorf("got %v, want %v", hit.header, before)
			}
			spoil(hit.header)
		}
	}},
	{name: "one value appended to a field does not write over the next field", run: func(t *T) {
		t.origin.page("/a", "hello", "Cache-Control", "max-age=60", "X-One", "1", "X-Two", "2", "X-Three", "3")
		t.get("/a")
		a := t.get("/a")
		before := a.header.Clone()
		for name, values := range a.header {
			a.header[name] = append(values, "more")
		}
		for name := range before {
			if got, want := a.header[name], append(before[name], "more"); !slices.Equal(got, want) {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
	}},
	{name: "neither is it among callers of one flight", run: func(t *T) {
		t.origin.page("/a", "hello", "Cache-Control", "max-age=60", "X-List", "one", "X-List", "two")
		g := t.origin.hold("/a")
		p := t.start(50, func(i int) answer {
			a := t.send("GET", "/a")
			if a.err == nil {
				if got := a.header["X-List"]; !slices.Equal(got, []string{"one", "two"}) {
					t.Errorf("caller %d got %q", i, got)
				}
				spoil(a.header)
				a.resp.Status = fmt.Sprint(i)
			}
			return t.read(a)
		})
		t.settle()
		g.open()
		t.wantAll(p.done(), "hello")
		equal(t, "values", len(t.get("/a").header["X-List"]), 2)
	}},
	{name: "nor among callers of one validation", run: func(t *T) {
		t.origin.tagged("/a", `"1"`, "hello", "Cache-Control", "max-age=60", "X-List", "one", "X-List", "two")
		t.get("/a")
		t.clock.advance(time.Hour)
		g := t.origin.hold("/a")
		p := t.start(50, func(i int) answer {
			a := t.send("GET", "/a")
			if a.err == nil {
				spoil(a.header)
			}
			return t.read(a)
		})
		t.settle()
		g.open()
		t.wantAll(p.done(), "hello")
		equal(t, "values", len(t.get("/a").header["X-List"]), 2)
	}},
	{name: "nor of who gets the rest of what is stored in part", run: func(t *T) {
		whole := long("x", 300_000)
		t.origin.content("/a", whole, "Cache-Control", "max-age=60", "ETag", `"1"`, "X-List", "one")
		t.get("/a", header("Range", "bytes=0-9"))
		t.origin.content("/a", whole, "ETag", `"1"`) // to If-Range it need not say all of that again
		a := t.begin("/a")
		equal(t, "field", a.header.Get("X-List"), "one")
		spoil(a.header)
		a.resp.Body.Close()
		t.backgroundDone()
		a = t.get("/a", header("Range", "bytes=0-9"))
		a.want(larder.Hit, whole[:10])
		equal(t, "field", a.header.Get("X-List"), "one")
	}},
	{name: "what a reader is handed is not the stored bytes", run: func(t *T) {
		for _, n := range []int{10, 5000, 300_000} {
			path, whole := fmt.Sprint("/", n), long("x", n)
			t.origin.page(path, whole, "Cache-Control", "max-age=60")
			for range 3 {
				a := t.begin(path)
				if _, err := io.Copy(scribbler{}, a.resp.Body); err != nil {
					t.Fatal(err)
				}
				a.resp.Body.Close()
				a = t.begin(path, header("Range", "bytes=0-"))
				if _, err := io.Copy(scribbler{}, a.resp.Body); err != nil {
					t.Fatal(err)
				}
				a.resp.Body.Close()
			}
			t.get(path).want(larder.Hit, whole)
		}
	}},
	{name: "nor is it another reader's of the same download", run: func(t *T) {
		whole := long("x", 300_000)
		t.origin.page("/a", whole, "Cache-Control", "max-age=60")
		g := t.origin.hold("/a")
		p := t.start(20, func(i int) answer {
			if i%2 == 1 {
				return t.try("GET", "/a")
			}
			a := t.send("GET", "/a")
			if a.err == nil {
				_, a.err = io.Copy(scribbler{}, a.resp.Body)
				a.resp.Body.Close()
				a.body = whole
			}
			return a
		})
		t.settle()
		g.open()
		t.wantAll(p.done(), whole)
		t.get("/a").want(larder.Hit, whole)
	}},
	{name: "a request may be changed once its response is there", run: func(t *T) {
		t.origin.varies("/a", "X-Mode")
		g := t.origin.halves("/b", "12", "Cache-Control", "max-age=60", "Vary", "X-Mode")
		for path, want := range map[string]string{"/a": `for "one"`, "/b": "12"} {
			req := t.request("GET", path, header("X-Mode", "one"))
			resp, err := t.cache.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			req.Header["X-Mode"][0] = "two"
			req.Header.Set("X-Mode", "three")
			if path == "/b" {
				g.open()
			}
			t.read(answer{t: t, resp: resp})
			t.get(path, header("X-Mode", "one")).want(larder.Hit, want)
		}
	}},
	{name: "a request may be changed once its caller has left", run: func(t *T) {
		ctx, cancel := context.WithCancel(t.Context())
		req := t.request("GET", "/a", header("X-Mode", "one"), under(ctx))
		changed, got := make(chan struct{}), make(chan string, 1)
		t.cache.Base = transport(func(r *http.Request) (*http.Response, error) {
			cancel()
			<-changed
			got <- r.URL.Path + " " + r.Header.Get("X-Mode")
			return nil, r.Context().Err()
		})
		if _, err := t.cache.RoundTrip(req); !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v, want the context's", err)
		}
		req.URL.Path = "/b"
		req.Header["X-Mode"][0] = "two"
		close(changed)
		equal(t, "what the origin is asked", <-got, "/a one")
	}},
	{name: "a transport that adds to the request in place spoils neither request nor Vary", run: func(t *T) {
		t.cache.Base = transport(func(r *http.Request) (*http.Response, error) {
			r.Header.Set("X-Mode", "set below")
			return t.origin.transport.RoundTrip(r)
		})
		t.origin.varies("/a", "X-Mode")
		for _, ctx := range []context.Context{t.Context(), context.Background()} {
			path := "/a?" + fmt.Sprint(ctx == t.Context())
			for _, want := range []larder.Outcome{larder.Miss, larder.Hit} {
				req := t.request("GET", path, under(ctx))
				resp, err := t.cache.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				a := t.read(answer{t: t, resp: resp, Decision: larder.Info(resp)})
				a.want(want, `for "set below"`)
				equal(t, "fields in the caller's request", len(req.Header), 0)
			}
		}
	}},
	{name: "the response names the caller's own request", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		g := t.origin.hold("/a")
		p := t.start(10, func(i int) answer { return t.try("GET", "/a", header("X-Caller", fmt.Sprint(i))) })
		t.settle()
		g.open()
		for i, a := range append(p.done(), t.get("/a", header("X-Caller", "10"))) {
			equal(t, "request", a.resp.Request.Header.Get("X-Caller"), fmt.Sprint(i))
		}
	}},
	{name: "Info is each response's own, and may be asked for by many at once", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		miss := t.get("/a")
		t.clock.advance(20 * time.Second)
		hit := t.get("/a")
		for _, a := range t.start(20, func(i int) answer {
			return []answer{miss, hit}[i%2]
		}).done() {
			d := larder.Info(a.resp)
			d.Outcome, d.Key = larder.Refused, "" // a copy
		}
		equal(t, "first", larder.Info(miss.resp).Outcome, larder.Miss)
		equal(t, "second", larder.Info(hit.resp).Outcome, larder.Hit)
		equal(t, "age then", larder.Info(miss.resp).Age, 0)
		equal(t, "age now", larder.Info(hit.resp).Age, 20*time.Second)
		equal(t, "no response", larder.Info(nil).Outcome, larder.None)
		equal(t, "another's response", larder.Info(&http.Response{Request: t.request("GET", "/a")}).Outcome, larder.None)
	}},
	{name: "a response that is the request of another cache tells of each", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		outer := t.newCache()
		outer.Base, outer.Store = t.cache, nil
		t.get("/a")
		x := t.through(outer)
		x.get("/a").want(larder.Miss, "/a 1")
		x.get("/a").want(larder.Hit, "/a 1")
		equal(t, "hits below", t.cache.Stats().Hits, 1)
	}},
	{name: "sixteen readers of eight pages get the right bytes, always", run: func(t *T) {
		var pages [8]string
		for i := range pages {
			pages[i] = long(fmt.Sprint("page ", i), []int{100, 4096, 40_000, 200_000}[i%4]+i)
			t.origin.page(fmt.Sprint("/", i), pages[i], "Cache-Control", "max-age=60")
			t.get(fmt.Sprint("/", i))
		}
		t.start(16, func(i int) answer {
			for n := range 30 {
				k := (i + n) % 8
				a := t.try("GET", fmt.Sprint("/", k))
				if a.err != nil || a.Outcome != larder.Hit || a.body != pages[k] {
					t.Errorf("reader %d of page %d got %v, %d bytes, error %v", i, k, a.Outcome, len(a.body), a.err)
				}
			}
			return answer{}
		}).done()
	}},
	{name: "a page that is rewritten all the time is read whole, in one version", run: func(t *T) {
		versions := make([]string, 12)
		for i := range versions {
			versions[i] = long(fmt.Sprint("version ", i), 150_000)
		}
		var n atomic.Int64
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			io.WriteString(w, versions[n.Add(1)%int64(len(versions))])
		})
		t.get("/a")
		t.start(8, func(i int) answer {
			for range 12 {
				var a answer
				if i < 2 {
					a = t.try("GET", "/a", mode(larder.ForceRefresh))
				} else {
					a = t.try("GET", "/a")
				}
				if a.err != nil || !slices.Contains(versions, a.body) {
					t.Errorf("caller %d got %d bytes, error %v", i, len(a.body), a.err)
				}
			}
			return answer{}
		}).done()
		t.get("/a", mode(larder.ForceRefresh)) // two at once may have left one each
		t.wantStored(1)
	}},
	{name: "a body being read is read to its end while its page is validated, replaced or removed", run: func(t *T) {
		whole := long("x", 1<<20)
		for name, meanwhile := range map[string]func(path string){
			"validated": func(path string) {
				t.get(path, mode(larder.Refresh)).want(larder.Revalidated, whole)
			},
			"validated in the background": func(path string) {
				t.clock.advance(90 * time.Second)
				t.get(path).want(larder.Stale, whole)
				t.backgroundDone()
				t.get(path).want(larder.Hit, whole)
			},
			"replaced": func(path string) {
				t.origin.page(path, long("y", 1<<20), "Cache-Control", "max-age=60")
				t.get(path, mode(larder.ForceRefresh)).want(larder.Miss, long("y", 1<<20))
			},
			"removed": func(path string) {
				if err := t.cache.Delete(t.Context(), t.request("GET", path)); err != nil {
					t.Fatal(err)
				}
			},
		} {
			path := "/" + name[:4] + fmt.Sprint(len(name))
			t.origin.tagged(path, `"1"`, whole, "Cache-Control", "max-age=60, stale-while-revalidate=60")
			t.get(path)
			a := t.begin(path)
			a.wantStatus(larder.Hit, 200)
			half := make([]byte, 1<<19)
			if _, err := io.ReadFull(a.resp.Body, half); err != nil {
				t.Fatal(err)
			}
			meanwhile(path)
			if a = t.read(a); a.err != nil || string(half)+a.body != whole {
				t.Errorf("%s: got another %d bytes, error %v", name, len(a.body), a.err)
			}
		}
	}},
	{name: "a hit writes nothing to the store", run: func(t *T) {
		counted := &writes{Store: t.store}
		t.cache.Store = counted
		t.origin.page("/small", "hello", "Cache-Control", "max-age=60")
		t.origin.page("/large", long("x", 300_000), "Cache-Control", "max-age=60")
		t.get("/small")
		t.get("/large")
		before := counted.n.Load()
		for range 5 {
			t.clock.advance(2 * time.Second)
			t.get("/small").want(larder.Hit, "hello")
			t.get("/large").wantStatus(larder.Hit, 200)
		}
		equal(t, "writes for ten hits", counted.n.Load()-before, 0)
		equal(t, "writes before", before > 0, true)
	}},
}

// spoil does to a header what callers do, and worse.
func spoil(h http.Header) {
	for name, values := range maps.Clone(h) {
		for i := range values {
			values[i] = "spoilt"
		}
		h[name] = append(values, "and more")
	}
	h.Set("X-New", "1")
	h.Del("X-Other")
	delete(h, "Cache-Control")
}

// scribbler is a writer that writes over what it is given.
type scribbler struct{}

func (scribbler) Write(p []byte) (int, error) {
	for i := range p {
		//lint:ignore SA1023 such writers are what the stored bytes must be safe from
		p[i] = '#'
	}
	return len(p), nil
}

// writes counts the calls that change a store.
type writes struct {
	store.Store
	n atomic.Int64
}

func (w *writes) Create(ctx context.Context, r *store.Record) (store.Writer, error) {
	w.n.Add(1)
	return w.Store.Create(ctx, r)
}

func (w *writes) Update(ctx context.Context, r *store.Record) error {
	w.n.Add(1)
	return w.Store.Update(ctx, r)
}

func (w *writes) Delete(ctx context.Context, key store.Key, ids ...store.ID) error {
	w.n.Add(1)
	return w.Store.Delete(ctx, key, ids...)
}
