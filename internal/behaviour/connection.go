package behaviour

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/larder-go/larder"
)

// connection are tests of what a response says about the connection it came over, over HTTP/1 and HTTP/2.
var connection = []test{
	{name: "the TLS state survives", network: true, run: func(t *T) {
		t.secure()
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		miss, hit := t.get("/a"), t.get("/a")
		hit.want(larder.Hit, "/a 1")
		want, got := miss.resp.TLS, hit.resp.TLS
		if got == nil {
			t.Fatal("the hit has no TLS state")
		}
		equal(t, "version", got.Version, want.Version)
		equal(t, "cipher suite", got.CipherSuite, want.CipherSuite)
		equal(t, "server name", got.ServerName, want.ServerName)
		equal(t, "protocol", got.NegotiatedProtocol, "h2")
		equal(t, "handshake complete", got.HandshakeComplete, true)
		if len(got.PeerCertificates) != len(want.PeerCertificates) || !got.PeerCertificates[0].Equal(want.PeerCertificates[0]) {
			t.Errorf("%d certificates, want the server's %d", len(got.PeerCertificates), len(want.PeerCertificates))
		}
	}},
	{name: "the TLS state survives a validation", network: true, run: func(t *T) {
		t.secure()
		t.origin.tagged("/a", `"1"`, "one", "Cache-Control", "max-age=60")
		t.get("/a")
		a := t.get("/a", mode(larder.Refresh))
		a.want(larder.Revalidated, "one")
		if a.resp.TLS == nil || len(a.resp.TLS.PeerCertificates) == 0 {
			t.Error("the TLS state is lost")
		}
	}},
	{name: "what came in the clear has no TLS state", network: true, run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.get("/a")
		if a := t.get("/a"); a.resp.TLS != nil {
			t.Errorf("got %v", a.resp.TLS)
		}
	}},
	{name: "what one caller does to the TLS state is its own", network: true, run: func(t *T) {
		t.secure()
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		g := t.origin.hold("/a")
		p := t.start(5, func(i int) answer {
			a := t.send("GET", "/a")
			if a.err == nil {
				a.resp.TLS.ServerName = fmt.Sprint("caller ", i)
				a.resp.TLS.PeerCertificates[0] = nil
			}
			return t.read(a)
		})
		g.open()
		for i, a := range p.done() {
			if a.err != nil || a.resp.TLS.ServerName != fmt.Sprint("caller ", i) {
				t.Errorf("caller %d got error %v, %v", i, a.err, a.resp.TLS)
			}
		}
		for range 2 {
			state := t.get("/a").resp.TLS
			if strings.HasPrefix(state.ServerName, "caller") || state.PeerCertificates[0] == nil {
				t.Error("another caller's change shows")
			}
			state.ServerName, state.PeerCertificates[0] = "caller", nil
		}
	}},
	{name: "the protocol survives", network: true, run: func(t *T) {
		t.origin.numbered("/a", "Cache-Control", "max-age=60")
		t.origin.handle("/old", func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			defer conn.Close()
			io.WriteString(conn, "HTTP/1.0 200 Fine by me\r\nCache-Control: max-age=60\r\n\r\nold")
		})
		for range 2 {
			t.wantProto("/a", "HTTP/1.1", 1, 1)
			t.wantProto("/old", "HTTP/1.0", 1, 0)
		}
		t.secure()
		for range 2 {
			t.wantProto("/a", "HTTP/2.0", 2, 0)
		}
	}},
	{name: "trailers survive, over HTTP/1 and HTTP/2, announced or not", network: true, run: func(t *T) {
		for _, secure := range []bool{false, true} {
			if secure {
				t.secure()
			}
			t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=60")
				w.Header().Set("Trailer", "X-Sum, X-More")
				io.WriteString(w, "hello")
				w.(http.Flusher).Flush()
				w.Header().Set("X-Sum", "5")
				w.Header().Add("X-More", "one")
				w.Header().Add("X-More", "two")
				w.Header().Set(http.TrailerPrefix+"X-Late", "yes")
			})
			for _, want := range []larder.Outcome{larder.Miss, larder.Hit, larder.Hit} {
				a := t.begin("/a")
				if _, ok := a.resp.Trailer["X-Sum"]; !ok {
					t.Errorf("%v: X-Sum is not announced in %v", want, a.resp.Trailer)
				}
				t.read(a).want(want, "hello")
				if got := fmt.Sprint(a.resp.Trailer); got != "map[X-Late:[yes] X-More:[one two] X-Sum:[5]]" {
					t.Errorf("%v: the trailers are %s", want, got)
				}
				a.resp.Trailer.Set("X-Sum", "changed")
			}
		}
	}},
	{name: "everybody who reads one download gets the trailers", network: true, run: func(t *T) {
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("Trailer", "X-Sum")
			io.WriteString(w, "hello")
			w.Header().Set("X-Sum", "5")
		})
		g := t.origin.hold("/a")
		p := t.start(10, func(int) answer { return t.try("GET", "/a") })
		g.open()
		for i, a := range p.done() {
			if a.err != nil || a.body != "hello" || a.resp.Trailer.Get("X-Sum") != "5" {
				t.Errorf("caller %d got %q, trailers %v, error %v", i, a.body, a.resp.Trailer, a.err)
			}
		}
	}},
	{name: "what the transport unpacked stays unpacked, and says so", network: true, run: func(t *T) {
		t.origin.handle("/a", zipped)
		for _, want := range []larder.Outcome{larder.Miss, larder.Hit} {
			a := t.get("/a")
			a.want(want, "hello")
			equal(t, "Uncompressed", a.resp.Uncompressed, true)
			equal(t, "Content-Encoding", a.header.Get("Content-Encoding"), "")
		}
	}},
	{name: "a coding is for who asked for it, also if Vary does not say so", run: func(t *T) {
		t.origin.varies("/plain", "X-Mode")
		t.get("/plain")
		for path, vary := range map[string]string{"/a": "", "/b": "X-Mode"} {
			t.origin.page(path, "packed", "Cache-Control", "max-age=60", "Content-Encoding", "br", "Vary", vary)
			t.get(path, header("Accept-Encoding", "br")).want(larder.Miss, "packed")
			t.get(path, header("Accept-Encoding", "br")).want(larder.Hit, "packed")
			t.get(path, header("Accept-Encoding", "br"), header("X-Mode", "1")).wantStatus(map[string]larder.Outcome{"": larder.Hit, "X-Mode": larder.Miss}[vary], 200)
			t.get(path, header("Accept-Encoding", "gzip")).want(larder.Miss, "packed")
			t.get(path).want(larder.Miss, "packed")
		}
	}},
	{name: "who asks for a coding itself gets it, and keeps it", network: true, run: func(t *T) {
		t.origin.handle("/a", zipped)
		t.get("/a").want(larder.Miss, "hello")
		for _, want := range []larder.Outcome{larder.Miss, larder.Hit} {
			a := t.get("/a", header("Accept-Encoding", "gzip"))
			a.wantStatus(want, 200)
			equal(t, "Content-Encoding", a.header.Get("Content-Encoding"), "gzip")
			equal(t, "Uncompressed", a.resp.Uncompressed, false)
			z, err := gzip.NewReader(strings.NewReader(a.body))
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(z)
			if string(b) != "hello" || err != nil {
				t.Errorf("unpacked it is %q, error %v", b, err)
			}
		}
		t.get("/a").want(larder.Hit, "hello")
		t.wantHits("/a", 2)
	}},
	{name: "many callers over one HTTP/2 connection get what they asked for", network: true, run: func(t *T) {
		t.secure()
		var pages [10]string
		for i := range pages {
			pages[i] = long(fmt.Sprint(i), 100_000)
			t.origin.page(fmt.Sprint("/", i), pages[i], "Cache-Control", "max-age=60")
		}
		for i, a := range t.start(60, func(i int) answer { return t.try("GET", fmt.Sprint("/", i%10)) }).done() {
			if a.err != nil || a.body != pages[i%10] {
				t.Errorf("caller %d got %d bytes, error %v", i, len(a.body), a.err)
			}
		}
		for i := range pages {
			t.wantHits(fmt.Sprint("/", i), 1)
		}
	}},
	{name: "a cut HTTP/2 stream is an error and is not stored", network: true, run: func(t *T) {
		t.secure()
		t.origin.cut("/a", long("a", 100_000), "Cache-Control", "max-age=60").open()
		if a := t.try("GET", "/a"); a.err == nil {
			t.Errorf("got %d bytes, want an error", len(a.body))
		}
		t.wantStored(0)
	}},
	{name: "connections are used again, whatever becomes of the responses", network: true, run: func(t *T) {
		t.origin.tagged("/validated", `"1"`, "one", "Cache-Control", "no-cache")
		t.origin.numbered("/not-stored", "Cache-Control", "no-store")
		t.origin.numbered("/stored", "Cache-Control", "max-age=60")
		t.get("/stored")
		first := t.origin.last("/stored").RemoteAddr
		for i := range 5 {
			t.get("/validated")
			t.get("/not-stored")
			t.get(fmt.Sprint("/stored?", i))
			for _, path := range []string{"/validated", "/not-stored", "/stored"} {
				equal(t, path+": connection", t.origin.last(path).RemoteAddr, first)
			}
		}
	}},
	{name: "what the origin answers is closed, whoever has left or is answered with something else", run: func(t *T) {
		bodies := &openBodies{Base: t.cache.Base}
		t.cache.Base = bodies
		closed := func(what string) {
			t.settle()
			equal(t, what+": bodies that are open", bodies.n.Load(), 0)
		}
		t.numberedStale("/failing", ifError)
		t.origin.handle("/failing", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(503)
			io.WriteString(w, large)
		})
		t.get("/failing").want(larder.Stale, "/failing 1")
		closed("a failure for which the stale one stands in")

		t.origin.content("/part", "0123456789", "Cache-Control", "max-age=60", "ETag", `"1"`)
		t.get("/part", header("Range", "bytes=0-4"))
		t.origin.handle("/part", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") != "" {
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			}
			io.WriteString(w, large)
		})
		t.get("/part").want(larder.Miss, large)
		closed("what does not go with the stored part")

		t.origin.page("/one", large, "Cache-Control", "no-store")
		g := t.origin.hold("/one")
		ctx, cancel := context.WithCancel(t.Context())
		leader := t.start(1, func(int) answer { return t.try("GET", "/one", under(ctx)) })
		t.settle()
		follower := t.start(1, func(int) answer { return t.try("GET", "/one") })
		t.settle()
		cancel()
		leader.done()
		g.open()
		t.wantAll(follower.done(), large)
		closed("what may not be shared, when the one who asked has left")
	}},
	{name: "another protocol passes through, both ways", network: true, run: func(t *T) {
		t.rule(larder.Rule{TTL: larder.Forever})
		t.origin.handle("/a", func(w http.ResponseWriter, r *http.Request) {
			conn, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			defer conn.Close()
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			line, err := rw.ReadString('\n')
			if err == nil {
				io.WriteString(conn, "you said "+line)
			}
		})
		a := t.begin("/a", header("Connection", "Upgrade"), header("Upgrade", "echo"))
		a.wantStatus(larder.Bypassed, http.StatusSwitchingProtocols)
		both, ok := a.resp.Body.(io.ReadWriter)
		if !ok {
			t.Fatalf("the body is a %T, which cannot be written to", a.resp.Body)
		}
		io.WriteString(both, "hello\n")
		line, err := bufio.NewReader(both).ReadString('\n')
		if line != "you said hello\n" || err != nil {
			t.Errorf("got %q, error %v", line, err)
		}
		a.resp.Body.Close()
	}},
}

// secure puts the origin behind TLS and HTTP/2. What is stored stays, under another URL.
func (t *T) secure() {
	t.Helper()
	srv := httptest.NewUnstartedServer(t.origin)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	transport := srv.Client().Transport.(*http.Transport)
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		srv.CloseClientConnections()
		srv.Close()
	})
	c := t.newCache()
	c.Base = transport
	t.cache, t.origin.url = c, srv.URL
}

func (t *T) wantProto(path, proto string, major, minor int) {
	t.Helper()
	resp := t.get(path).resp
	if resp.Proto != proto || resp.ProtoMajor != major || resp.ProtoMinor != minor {
		t.Errorf("%s: got %s, %d.%d, want %s", path, resp.Proto, resp.ProtoMajor, resp.ProtoMinor, proto)
	}
	equal(t, path+": TLS", resp.TLS != nil && resp.TLS.Version >= tls.VersionTLS12, major == 2)
}

// zipped says hello, packed for who accepts that.
func zipped(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "max-age=60")
	w.Header().Set("Vary", "Accept-Encoding")
	if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		io.WriteString(w, "hello")
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	io.WriteString(z, "hello")
	z.Close()
}

// openBodies counts the bodies that Base has returned and nobody has closed.
type openBodies struct {
	Base http.RoundTripper
	n    atomic.Int32
}

func (b *openBodies) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.Base.RoundTrip(r)
	if err == nil && resp.Body != http.NoBody {
		b.n.Add(1)
		resp.Body = &openBody{resp.Body, sync.OnceFunc(func() { b.n.Add(-1) })}
	}
	return resp, err
}

type openBody struct {
	io.ReadCloser
	closed func()
}

func (b *openBody) Close() error {
	b.closed()
	return b.ReadCloser.Close()
}
