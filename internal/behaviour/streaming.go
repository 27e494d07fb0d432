package behaviour

import (
	"bufio"
	"context"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing/iotest"
	"time"

	"github.com/larder-go/larder"
)

// streaming are tests of bodies on their way: to the caller, into the store and out of it.
var streaming = []test{
	{name: "who does not read what cannot be stored keeps nobody else from it for long", run: func(t *T) {
		page := long("/a", 200_000)
		t.cache.MaxBody = 100_000
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			for rest := page; rest != ""; rest = rest[min(len(rest), 10_000):] {
				io.WriteString(w, rest[:min(len(rest), 10_000)])
				w.(http.Flusher).Flush()
			}
		})
		still, slow := t.begin("/a"), t.begin("/a")
		done := make(chan struct{})
		go func() { // a byte every second
			defer close(done)
			for n, err := 1, error(nil); n == 1 && err == nil; time.Sleep(time.Second) {
				n, err = slow.resp.Body.Read(make([]byte, 1))
			}
		}()
		from := time.Now()
		t.get("/a").want(larder.Miss, page)
		if d := time.Since(from); d > time.Minute {
			t.Errorf("it took %v", d)
		}
		<-done
		if a := t.read(still); a.err == nil || a.body != "" {
			t.Errorf("who did not read got %d bytes, error %v", len(a.body), a.err)
		}
		slow.resp.Body.Close()
	}},
	{name: "the head is there before the body", run: func(t *T) {
		g := t.origin.halves("/a", "12", "Cache-Control", "max-age=60")
		a := t.begin("/a")
		equal(t, "status", a.status, 200)
		b := make([]byte, 10)
		n, err := a.resp.Body.Read(b)
		if string(b[:n]) != "1" || err != nil {
			t.Errorf("got %q, error %v, want the byte that is there", b[:n], err)
		}
		g.open()
		t.read(a).want(larder.Miss, "2")
		t.get("/a").want(larder.Hit, "12")
	}},
	{name: "an event stream arrives event by event, and ends when the caller does", run: func(t *T) {
		for path, cc := range map[string]string{"/may": "max-age=60", "/must-not": "no-store"} {
			next := make(chan int)
			t.origin.handle(path, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				w.Header().Set("Cache-Control", cc)
				for {
					w.(http.Flusher).Flush()
					select {
					case n := <-next:
						fmt.Fprintf(w, "data: %d\n\n", n)
					case <-r.Context().Done():
						return
					}
				}
			})
			a := t.begin(path)
			lines := bufio.NewScanner(a.resp.Body)
			for i := range 5 {
				next <- i
				lines.Scan()
				equal(t, "event", lines.Text(), fmt.Sprint("data: ", i))
				lines.Scan()
			}
			a.resp.Body.Close()
			t.backgroundDone()
			select {
			case <-t.origin.last(path).Context().Done():
			case <-time.After(time.Second): // net/http may read on for 50 ms, for the sake of the connection
				t.Errorf("%s: the origin still sends to nobody", path)
			}
		}
		t.wantStored(0)
	}},
	{name: "two callers read one endless stream, and one of them may go", run: func(t *T) {
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, "tick\n"); err != nil {
					return
				}
			}
		})
		one, two := t.begin("/a"), t.begin("/a")
		lines := bufio.NewScanner(two.resp.Body)
		for i := range 50_000 {
			if i == 1000 {
				one.resp.Body.Close()
			}
			if !lines.Scan() || lines.Text() != "tick" {
				t.Fatalf("line %d is %q, error %v", i, lines.Text(), lines.Err())
			}
		}
		two.resp.Body.Close()
		t.wantHits("/a", 1)
		t.backgroundDone()
		t.wantStored(0)
	}},
	{name: "bodies of every size come back as they were", run: func(t *T) {
		for _, n := range []int{0, 1, 511, 512, 4095, 4096, 4097, 32<<10 - 1, 32 << 10, 32<<10 + 1, 64<<10 - 1, 64 << 10, 64<<10 + 1, 128 << 10, 1<<20 + 7} {
			for _, known := range []bool{true, false} {
				path, whole := fmt.Sprint("/", n, known), long("x", n)
				t.origin.handle(path, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Cache-Control", "max-age=60")
					if known {
						w.Header().Set("Content-Length", fmt.Sprint(n))
					} else {
						w.(http.Flusher).Flush()
					}
					io.WriteString(w, whole)
				})
				t.get(path).want(larder.Miss, whole)
				hit := t.get(path)
				hit.want(larder.Hit, whole)
				equal(t, path+": length of the hit", hit.resp.ContentLength, int64(n))
			}
		}
	}},
	{name: "a body may be read in pieces of any size", run: func(t *T) {
		for _, n := range []int{100, 200_000} {
			path, whole := fmt.Sprint("/", n), long("x", n)
			t.origin.page(path, whole, "Cache-Control", "max-age=60")
			for range 2 {
				if err := iotest.TestReader(iotest.HalfReader(t.begin(path).resp.Body), []byte(whole)); err != nil {
					t.Errorf("%s: %v", path, err)
				}
				a := t.begin(path)
				b, err := io.ReadAll(iotest.OneByteReader(a.resp.Body))
				if string(b) != whole || err != nil {
					t.Errorf("%s, byte by byte: got %d bytes, error %v", path, len(b), err)
				}
				a.resp.Body.Close()
			}
			t.wantHits(path, 1)
		}
	}},
	{name: "what a JSON decoder leaves unread is cached all the same", run: func(t *T) {
		t.origin.page("/known", `{"a":1}`+"\n", "Cache-Control", "max-age=60")
		t.origin.handle("/chunked", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			io.WriteString(w, `{"a":1}`)
			w.(http.Flusher).Flush()
			io.WriteString(w, "\n")
		})
		for _, path := range []string{"/known", "/chunked"} {
			a := t.begin(path)
			var v struct{ A int }
			if err := stdjson.NewDecoder(a.resp.Body).Decode(&v); err != nil || v.A != 1 {
				t.Errorf("%s: got %v, error %v", path, v, err)
			}
			a.resp.Body.Close()
			t.backgroundDone()
			t.get(path).want(larder.Hit, `{"a":1}`+"\n")
			t.wantHits(path, 1)
		}
	}},
	{name: "a body closed early is finished if little is left, and discarded if much is", run: func(t *T) {
		for _, c := range []struct {
			name         string
			length, read int
			want         larder.Outcome
		}{
			{"small, unread", 1000, 0, larder.Hit},
			{"small, begun", 1000, 10, larder.Hit},
			{"large, all but a rest", 1 << 20, 1<<20 - 1000, larder.Hit},
			{"large, begun", 1 << 20, 10, larder.Miss},
		} {
			path, whole := "/"+strings.ReplaceAll(c.name, " ", "-"), long(c.name, c.length)
			t.origin.page(path, whole, "Cache-Control", "max-age=60", "Content-Length", fmt.Sprint(c.length))
			a := t.begin(path)
			if _, err := io.CopyN(io.Discard, a.resp.Body, int64(c.read)); err != nil {
				t.Fatal(err)
			}
			a.resp.Body.Close()
			t.backgroundDone()
			t.get(path).want(c.want, whole)
		}
	}},
	{name: "a rest that does not come is given up", run: func(t *T) {
		t.origin.halves("/a", "12", "Cache-Control", "max-age=60", "Content-Length", "2")
		a := t.begin("/a")
		a.resp.Body.Close()
		t.backgroundDone()
		t.settle()
		if t.origin.last("/a").Context().Err() == nil {
			t.Error("the origin is still waited for")
		}
		t.wantStored(0)
	}},
	{name: "who comes while that rest is waited for reads on when it is given up", run: func(t *T) {
		g := t.origin.halves("/a", "12", "Cache-Control", "max-age=60")
		first := t.begin("/a")
		if _, err := io.ReadFull(first.resp.Body, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		first.resp.Body.Close()
		t.settle()
		second := t.begin("/a")
		<-time.After(time.Minute)
		g.open()
		t.read(second).want(larder.Miss, "12")
		t.wantHits("/a", 1)
		t.get("/a").want(larder.Hit, "12")
	}},
	{name: "half a body is never reused: cut by the origin, or left by the caller", run: func(t *T) {
		whole := long("x", 1<<20)
		for _, length := range [][]string{{"Content-Length", fmt.Sprint(1 << 20)}, nil} {
			header := append(length, "Cache-Control", "max-age=60")
			t.origin.cut("/cut", whole, header...).open()
			if a := t.try("GET", "/cut"); !errors.Is(a.err, io.ErrUnexpectedEOF) || a.body != whole[:1<<19] {
				t.Errorf("got %d bytes, error %v, want half and an unexpected EOF", len(a.body), a.err)
			}
			t.origin.page("/left", whole, header...)
			ctx, cancel := context.WithCancel(t.Context())
			a := t.begin("/left", under(ctx))
			if _, err := io.CopyN(io.Discard, a.resp.Body, 1<<19); err != nil {
				t.Fatal(err)
			}
			cancel()
			wantCancelled(t, []answer{t.read(a)})
			t.backgroundDone()
			t.wantStored(0)
		}
	}},
	{name: "half a body leaves what is stored", run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.get("/a")
		t.clock.advance(time.Hour)
		t.origin.cut("/a", long("x", 1<<20), "Cache-Control", "max-age=60").open()
		if a := t.try("GET", "/a"); a.err == nil {
			t.Errorf("got %d bytes, want an error", len(a.body))
		}
		t.get("/a", mode(larder.OfflineStale)).want(larder.Stale, "/a 1")
	}},
	{name: "a deadline amid the body is told as one, stored or not", run: func(t *T) {
		for path, cc := range map[string]string{"/may": "max-age=60", "/must-not": "no-store"} {
			t.origin.halves(path, "12", "Cache-Control", cc)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if a := t.try("GET", path, under(ctx)); a.body != "1" || !errors.Is(a.err, context.DeadlineExceeded) {
				t.Errorf("%s: got %q, error %v, want half and a deadline exceeded", path, a.body, a.err)
			}
			cancel()
		}
	}},
	{name: "a client's Timeout covers the body, and does not hide where it came from", run: func(t *T) {
		t.origin.halves("/slow", "12", "Cache-Control", "max-age=60")
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		client := &http.Client{Transport: t.cache, Timeout: time.Second}
		resp, err := client.Get(t.origin.url + "/slow")
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(resp.Body); string(b) != "1" || err == nil {
			t.Errorf("got %q, error %v, want half and a timeout", b, err)
		}
		resp.Body.Close()
		for _, want := range []larder.Outcome{larder.Miss, larder.Hit} {
			resp, err := client.Get(t.origin.url + "/a")
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(resp.Body); string(b) != "/a 1" || err != nil {
				t.Errorf("got %q, error %v", b, err)
			}
			resp.Body.Close()
			equal(t, "outcome", larder.Info(resp).Outcome, want)
		}
	}},
	{name: "a hit can be left early, and is read no more once it is closed", run: func(t *T) {
		for _, n := range []int{100, 1 << 20} {
			path, whole := fmt.Sprint("/", n), long("x", n)
			t.origin.page(path, whole, "Cache-Control", "max-age=60")
			t.get(path)
			a := t.begin(path)
			io.CopyN(io.Discard, a.resp.Body, 10)
			a.resp.Body.Close()
			if b, err := io.ReadAll(a.resp.Body); len(b) != 0 || err == nil {
				t.Errorf("%s: read %d bytes after Close, error %v", path, len(b), err)
			}
			t.get(path).want(larder.Hit, whole)
		}
	}},
	{name: "a hit may be closed while another goroutine reads it", run: func(t *T) {
		for _, n := range []int{100, 1 << 20} {
			path := fmt.Sprint("/", n)
			t.origin.page(path, long("x", n), "Cache-Control", "max-age=60")
			t.get(path)
			a, done := t.begin(path), make(chan struct{})
			go func() {
				defer close(done)
				io.Copy(io.Discard, a.resp.Body)
			}()
			a.resp.Body.Close()
			<-done
		}
	}},
	{name: "what has been read to its end need not be closed", run: func(t *T) {
		u, f := t.near()
		t.origin.page("/a", large, "Cache-Control", "max-age=60")
		for _, want := range []larder.Outcome{larder.Miss, larder.Hit} {
			a := u.begin("/a")
			if _, err := io.Copy(io.Discard, a.resp.Body); err != nil {
				t.Error(err)
			}
			t.settle()
			equal(t, "outcome", a.Outcome, want)
			equal(t, "bodies of the store that are open", f.inUse(), 0)
			a.resp.Body.Close()
		}
	}},
	{name: "what has no body need be neither read nor closed", run: func(t *T) {
		t.origin.page("/a", "", "Cache-Control", "max-age=60", "Content-Length", "12345")
		t.origin.status("/none", http.StatusNoContent, "Cache-Control", "max-age=60")
		for method, path := range map[string]string{"HEAD": "/a", "GET": "/none"} {
			t.send(method, path)
			t.settle()
			t.do(method, path).want(larder.Hit, "")
		}
	}},
	{name: "what has no body has none when it is not stored, either", run: func(t *T) {
		for i, c := range []struct {
			method string
			status int
			length string
		}{{"HEAD", 200, "12345"}, {"GET", 204, ""}, {"GET", 401, "0"}, {"POST", 200, "0"}} {
			t.origin.status("/a", c.status, "Cache-Control", "no-store", "Content-Length", c.length)
			a := t.send(c.method, "/a")
			equal(t, fmt.Sprint(c, ": no body"), a.resp.Body == http.NoBody, true)
			equal(t, fmt.Sprint(c, ": its size"), t.journal.of(larder.Answered)[i].Size, 0)
		}
	}},
	{name: "what is read to its end without being stored lets go of its caller's context", run: func(t *T) {
		t.origin.page("/a", "hello", "Cache-Control", "no-store")
		var asked context.Context
		t.cache.Base = transport(func(r *http.Request) (*http.Response, error) {
			asked = r.Context()
			return t.origin.transport.RoundTrip(r)
		})
		for _, method := range []string{"GET", "POST"} {
			a := t.send(method, "/a")
			equal(t, "the request's end before that of the body", asked.Err(), nil)
			if _, err := io.Copy(io.Discard, a.resp.Body); err != nil {
				t.Error(err)
			}
			equal(t, "the request's end", asked.Err(), context.Canceled)
			a.resp.Body.Close()
		}
	}},
	{name: "a response without a body is stored as one", run: func(t *T) {
		t.origin.status("/a", http.StatusNoContent, "Cache-Control", "max-age=60", "X-One", "1")
		t.get("/a").wantStatus(larder.Miss, 204)
		a := t.get("/a")
		a.wantStatus(larder.Hit, 204)
		equal(t, "X-One", a.header.Get("X-One"), "1")
		equal(t, "length", a.resp.ContentLength, 0)
	}},
	{name: "a response to HEAD is stored with the length that it tells", run: func(t *T) {
		t.origin.page("/a", "", "Cache-Control", "max-age=60", "Content-Length", "12345")
		for _, want := range []larder.Outcome{larder.Miss, larder.Hit} {
			a := t.do("HEAD", "/a")
			a.want(want, "")
			equal(t, "length", a.resp.ContentLength, 12345)
		}
		t.wantHits("/a", 1)
	}},
	{name: "a hundred misses read, half read and not read leave nothing going on", run: func(t *T) {
		whole := long("x", 300_000)
		t.origin.page("/a", whole, "Cache-Control", "max-age=60")
		t.start(100, func(i int) answer {
			a := t.send("GET", fmt.Sprint("/a?", i/5))
			if a.err == nil {
				_, a.err = io.CopyN(io.Discard, a.resp.Body, int64(i%3)*100_000)
				a.resp.Body.Close()
			}
			if a.err != nil {
				t.Errorf("caller %d: %v", i, a.err)
			}
			return a
		}).done()
		t.backgroundDone()
		t.settle()
		for i := range 20 {
			a := t.get(fmt.Sprint("/a?", i))
			if a.body != whole {
				t.Errorf("/a?%d: got %d bytes", i, len(a.body))
			}
		}
	}},
}

// backgroundDone returns when nothing goes on for nobody any more. From then on the test has a new cache, since one
// that is closed leaves the rest of a body alone.
func (t *T) backgroundDone() {
	t.Helper()
	old := t.cache
	if err := old.Close(t.Context()); err != nil {
		t.Fatalf("background work: %v", err)
	}
	t.cache = t.newCache()
	t.cache.Base, t.cache.Rules, t.cache.Observe = old.Base, old.Rules, old.Observe
}
