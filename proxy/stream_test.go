package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/proxy"
)

// TestBothWaysStream shows that neither the request's bytes nor the response's wait for more: each word is answered
// before the next one is said.
func TestBothWaysStream(t *testing.T) {
	origin := serve(t, func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		c.EnableFullDuplex()
		c.Flush()
		words := bufio.NewScanner(r.Body)
		for words.Scan() {
			fmt.Fprintf(w, "%s!\n", words.Text())
			c.Flush()
		}
	})
	p := run(t, origin)
	for _, two := range []bool{false, true} {
		for _, fields := range []string{"", "Incremental: ?1"} {
			for _, method := range []string{"POST", "GET"} {
				if method == "GET" && fields == "" {
					continue // its body is part of the key
				}
				t.Run(fmt.Sprint(method, fields, " HTTP/2 ", two), func(t *testing.T) {
					in, out := io.Pipe()
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					req, err := http.NewRequestWithContext(ctx, method, p.url+"/", in)
					if err != nil {
						t.Fatal(err)
					}
					if fields != "" {
						req.Header.Set("Incremental", "?1")
					}
					resp, err := p.client(two).Do(req)
					if err != nil {
						t.Fatal(err)
					}
					defer resp.Body.Close()
					answers := bufio.NewReader(resp.Body)
					for _, word := range []string{"one", "two", "three"} {
						io.WriteString(out, word+"\n")
						if got, err := answers.ReadString('\n'); got != word+"!\n" {
							t.Fatalf("%s is answered by %q, %v", word, got, err)
						}
					}
					out.Close()
					if rest, err := io.ReadAll(answers); len(rest) > 0 || err != nil {
						t.Errorf("then come %q, %v", rest, err)
					}
				})
			}
		}
	}
}

// TestEventsAreNotHeldBack shows that head and events pass at once, whether the response may be stored or not, also to
// who joins later.
func TestEventsAreNotHeldBack(t *testing.T) {
	for _, header := range []string{
		"Content-Type: text/event-stream\nCache-Control: no-store",
		"Content-Type: text/event-stream\nCache-Control: max-age=60",
		"Content-Type: text/plain\nIncremental: ?1\nCache-Control: max-age=60",
		"Content-Type: text/plain\nContent-Length: 24\nCache-Control: max-age=60",
		"Content-Type: text/plain",
	} {
		t.Run(header, func(t *testing.T) {
			next := make(chan string)
			origin := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				for line := range strings.Lines(header) {
					name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
					w.Header().Set(name, value)
				}
				w.WriteHeader(http.StatusOK)
				http.NewResponseController(w).Flush()
				for event := range next {
					io.WriteString(w, event)
					http.NewResponseController(w).Flush()
				}
			})
			p := run(t, origin)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, "GET", p.url+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := p.client(false).Do(req) // returns before there is an event
			if err != nil {
				close(next)
				t.Fatal(err)
			}
			defer resp.Body.Close()
			for _, event := range []string{"data: 1\n\n...", "data: 2\n\n..."} {
				next <- event
				got := make([]byte, len(event))
				if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != event {
					t.Errorf("comes %q, %v; want %q", got, err, event)
				}
			}
			close(next)
			if rest, err := io.ReadAll(resp.Body); len(rest) > 0 || err != nil {
				t.Errorf("then come %q, %v", rest, err)
			}
		})
	}
}

func TestTrailersPassBothWays(t *testing.T) {
	seen := make(chan http.Header, 1)
	origin := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if r.Method == "POST" {
			seen <- r.Trailer.Clone()
		}
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Trailer", "X-Announced")
		io.WriteString(w, "body")
		w.Header().Set("X-Announced", "one")
		w.Header().Set(http.TrailerPrefix+"X-Sudden", "two")
	})
	p := run(t, origin)
	for _, two := range []bool{false, true} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, "POST", p.url+"/", iotest.OneByteReader(strings.NewReader("request")))
		if err != nil {
			t.Fatal(err)
		}
		req.Trailer = http.Header{"X-Sum": {"42"}, "X-Forwarded-For": {"192.0.2.1"}, "Forwarded": {"for=192.0.2.1"}}
		resp, err := p.client(two).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(body) != "body" {
			t.Errorf("HTTP/2 %v: %q, %v", two, body, err)
		}
		if got := await(t, seen, "the request's trailer"); got.Get("X-Sum") != "42" || len(got) > 1 {
			t.Errorf("HTTP/2 %v: the origin gets the trailer %v", two, got)
		}
		if resp.Trailer.Get("X-Announced") != "one" || resp.Trailer.Get("X-Sudden") != "two" {
			t.Errorf("HTTP/2 %v: the client gets the trailer %v", two, resp.Trailer)
		}
		for _, want := range []string{"fwd", "hit"} { // from the origin, and from the store
			resp, body := p.do(p.client(two), "GET", fmt.Sprint("/", two), nil)
			if resp.Trailer.Get("X-Announced") != "one" || body != "body" || !strings.Contains(resp.Header.Get("Cache-Status"), want) {
				t.Errorf("HTTP/2 %v, %s: %q with trailer %v, header %v", two, want, body, resp.Trailer, resp.Header)
			}
		}
	}
}

// TestTrailersOfNothing shows that the trailers of a request whose body is empty pass, too.
func TestTrailersOfNothing(t *testing.T) {
	seen := make(chan http.Header, 1)
	p := run(t, serve(t, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		seen <- r.Trailer
	}))
	for _, method := range []string{"GET", "POST", "QUERY", "PROPFIND"} {
		p.say(method + " / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\nConnection: close\r\n\r\n0\r\nX-Sum: 42\r\n\r\n")
		if got := await(t, seen, "the request's trailer"); got.Get("X-Sum") != "42" {
			t.Errorf("%s: the origin gets the trailer %v", method, got)
		}
	}
}

// TestTrailersThatDoNotCome shows that a response ends also where a trailer that was announced does not come.
func TestTrailersThatDoNotCome(t *testing.T) {
	p := run(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Trailer", "X-Announced, X-Both")
		w.Header().Set("X-Both", "header")
		io.WriteString(w, "body")
		http.NewResponseController(w).Flush()
		w.Header().Del("X-Both")
	}))
	for _, two := range []bool{false, true} {
		for range 2 { // from the origin, and from the store
			if resp, body := p.do(p.client(two), "GET", fmt.Sprint("/", two), nil); body != "body" || len(resp.Trailer["X-Announced"])+len(resp.Trailer["X-Both"]) > 0 {
				t.Errorf("HTTP/2 %v: %q with trailer %v", two, body, resp.Trailer)
			}
		}
	}
}

// TestInterimResponses shows that 1xx responses are passed on as they come, and are no part of what is stored.
func TestInterimResponses(t *testing.T) {
	final := make(chan struct{})
	origin := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" { // of outlast
			io.Copy(io.Discard, r.Body)
			return
		}
		w.Header().Set("Link", "</style.css>; rel=preload; as=style")
		w.Header().Set("Connection", "x-hop")
		w.Header().Set("X-Hop", "1")
		w.WriteHeader(http.StatusEarlyHints)
		clear(w.Header())
		w.WriteHeader(http.StatusProcessing)
		<-final
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "final")
	})
	p := run(t, origin, stalls)
	for _, two := range []bool{false, true} {
		for _, method := range []string{"GET", "POST"} {
			codes := make(chan int, 9)
			fields := make(chan textproto.MIMEHeader, 9)
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				codes <- code
				fields <- h
				return nil
			}})
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			ask := func() *http.Response {
				req, err := http.NewRequestWithContext(ctx, method, p.url+fmt.Sprint("/", two), nil)
				if err != nil {
					t.Error(err)
					return nil
				}
				resp, err := p.client(two).Do(req)
				if err != nil {
					t.Error(err)
					return nil
				}
				defer resp.Body.Close()
				if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "final" || resp.Header.Get("Link") != "" {
					t.Errorf("%q, %v, %v", body, err, resp.Header)
				}
				return resp
			}
			answered := make(chan *http.Response)
			go func() { answered <- ask() }()
			if code := await(t, codes, "103"); code != 103 {
				t.Errorf("first comes %d", code)
			}
			if h := await(t, fields, "its header"); h.Get("Link") == "" || h.Get("X-Hop") != "" || h.Get("Connection") != "" {
				t.Errorf("with %v", h)
			}
			if code := await(t, codes, "102"); code != 102 {
				t.Errorf("then comes %d", code)
			}
			outlast(t, p) // the final one may take its time
			final <- struct{}{}
			await(t, answered, "the final response")
			if method == "GET" {
				if resp := ask(); resp != nil && !strings.Contains(resp.Header.Get("Cache-Status"), "hit") {
					t.Errorf("it is not stored: %v", resp.Header)
				}
				if len(codes) > 0 {
					t.Errorf("with the hit comes %d", <-codes)
				}
			}
		}
	}
}

// TestUnreadInterimResponses shows that a client that does not read its 1xx responses is not waited for, neither by
// others who want the same, nor for long.
func TestUnreadInterimResponses(t *testing.T) {
	asked := make(chan struct{}, 9)
	origin := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		for range 1000 { // more than sockets take
			w.Header().Set("Link", "<"+strings.Repeat("a", 20000)+">")
			w.WriteHeader(http.StatusEarlyHints)
		}
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "final")
	})
	for name, set := range map[string]setup{"others": func(*running) {}, "itself": stalls} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan struct{}, 9)
			p := run(t, origin, set, func(p *running) {
				p.s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer func() { ended <- struct{}{} }()
					p.p.ServeHTTP(w, r)
				})
			})
			conn, _ := p.dial()
			io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
			await(t, asked, "the request")
			if name == "itself" {
				await(t, ended, "its end")
				return
			}
			if _, body := p.get("/"); body != "final" {
				t.Errorf("another one gets %q", body)
			}
			if len(asked) > 0 {
				t.Error("the origin was asked more than once")
			}
		})
	}
}

// TestInterimForOldClients shows that who speaks HTTP/1.0 gets none.
func TestInterimForOldClients(t *testing.T) {
	p := run(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, "final")
	}))
	resp, body := p.say("GET / HTTP/1.0\r\n\r\n")
	if resp.StatusCode != 200 || body != "final" {
		t.Errorf("%s: %q", resp.Status, body)
	}
}

// TestExpectContinue shows that the origin decides whether a client that asks first is to send its body.
func TestExpectContinue(t *testing.T) {
	p := run(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Expect") != "100-continue" {
			t.Errorf("the origin gets %v", r.Header)
		}
		if r.URL.Path == "/no" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if r.URL.Path == "/hints" {
			w.WriteHeader(http.StatusContinue)
			w.WriteHeader(http.StatusEarlyHints)
		}
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	}))
	const request = "POST %s HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
	conn, r := p.dial()
	fmt.Fprintf(conn, request, "/yes")
	if line := head(r); !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatalf("comes %q", line)
	}
	io.WriteString(conn, "body")
	if got := head(r); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("then %q", got)
	}
	conn, r = p.dial()
	fmt.Fprintf(conn, request+"body", "/hints")
	if got := head(r) + head(r) + head(r); strings.Count(got, "HTTP/1.1 100 ") != 1 || strings.Count(got, "HTTP/1.1 103 ") != 1 || !strings.Contains(got, "HTTP/1.1 200 ") {
		t.Errorf("with a hint comes %q", got)
	}
	conn, r = p.dial()
	fmt.Fprintf(conn, request, "/no")
	if line := head(r); !strings.HasPrefix(line, "HTTP/1.1 403 ") {
		t.Errorf("comes %q", line)
	}
}

// TestExpectOfNothing shows that who may not ask first, or has nothing to ask for, is not taken for one who does.
func TestExpectOfNothing(t *testing.T) {
	p := run(t, raw(t, func(conn net.Conn, r *bufio.Reader) {
		if got := head(r); strings.Contains(got, "Expect") {
			t.Errorf("the origin gets %q", got)
		}
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	}))
	const expect = "Expect: 100-continue\r\n\r\n"
	for _, request := range []string{"POST / HTTP/1.0\r\nContent-Length: 4\r\n" + expect + "body", "GET / HTTP/1.1\r\nHost: localhost\r\n" + expect} {
		if resp, _ := p.say(request); resp.StatusCode != 200 {
			t.Errorf("%q: %s", request, resp.Status)
		}
	}
}

// TestClientLeaves shows that the origin is not kept busy for nobody.
func TestClientLeaves(t *testing.T) {
	came, left := make(chan struct{}), make(chan struct{})
	p := run(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			http.NewResponseController(w).Flush()
		}
		came <- struct{}{}
		<-r.Context().Done()
		left <- struct{}{}
	}))
	for _, test := range []string{"GET /head", "GET /body", "POST /head", "POST /body"} {
		conn, _ := p.dial()
		io.WriteString(conn, test+" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
		await(t, came, test)
		conn.Close()
		await(t, left, test+": that the client has left")
	}
	if f := p.lastFault(); f != nil {
		t.Errorf("it tells of %v", f)
	}
}

// TestEarlyAnswer shows that an answer which does not wait for the request's body arrives.
func TestEarlyAnswer(t *testing.T) {
	p := run(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusUnauthorized)
	}))
	conn, r := p.dial()
	io.WriteString(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nsome of it")
	if got := head(r); !strings.HasPrefix(got, "HTTP/1.1 401 ") {
		t.Errorf("comes %q", got)
	}
}

// TestEarlyAnswerByHTTP2 shows that a request's body that is still being read when the answer has gone out harms nobody,
// nor keeps the end of the answer back.
func TestEarlyAnswerByHTTP2(t *testing.T) {
	for _, originTwo := range []bool{false, true} {
		origin := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "PUT" {
				r.Body.Read(make([]byte, 4)) // so that the proxy waits for more
			}
			if r.ProtoMajor == 1 {
				w.Header().Set("Connection", "close")
			}
			w.Header().Set("Content-Length", "0")
			w.Header().Set("Trailer", "X-None") // so that HTTP/2 has an empty body, and not none
			w.WriteHeader(http.StatusUnauthorized)
			http.NewResponseController(w).Flush()
		}))
		origin.EnableHTTP2 = originTwo
		origin.StartTLS()
		t.Cleanup(origin.Close)
		p := run(t, origin.URL, func(p *running) {
			p.base.TLSClientConfig = origin.Client().Transport.(*http.Transport).TLSClientConfig
		})
		client := p.client(true)
		for range 20 {
			in, out := io.Pipe()
			go io.WriteString(out, "some of it")
			begun := time.Now()
			if resp, _ := p.do(client, "PUT", "/", in); resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("origin by HTTP/2 %v: %s", originTwo, resp.Status)
			}
			out.Close()
			if took := time.Since(begun); took > 4*time.Second {
				t.Fatalf("origin by HTTP/2 %v: it takes %v", originTwo, took)
			}
		}
		if resp, _ := p.do(client, "GET", "/", nil); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("then, origin by HTTP/2 %v: %s", originTwo, resp.Status)
		}
	}
}

// TestBodyBehindTheAnswer has a transport go on to read a request's body when the request has been answered, as it may:
// by HTTP/2 whoever sets a deadline then ends the process.
func TestBodyBehindTheAnswer(t *testing.T) {
	in, out := io.Pipe()
	body := &startingBody{ReadCloser: in, started: make(chan struct{})}
	read := make(chan error, 1)
	base := roundTripper(func(r *http.Request) (*http.Response, error) {
		go func() {
			_, err := r.Body.Read(make([]byte, 1))
			read <- err
		}()
		<-body.started
		return &http.Response{StatusCode: http.StatusUnauthorized, ProtoMajor: 2, Body: http.NoBody}, nil
	})
	p := &proxy.Proxy{Origins: []proxy.Origin{parse(t, "http://localhost")}, Cache: &larder.Cache{Base: base, Shared: true}}
	r := httptest.NewRequest("PUT", "/", body)
	r.ProtoMajor, r.ProtoMinor = 2, 0
	w := &deadlineWriter{ResponseRecorder: httptest.NewRecorder()}
	p.ServeHTTP(w, r)
	if w.Code != http.StatusUnauthorized || w.deadlines.Load() == 0 {
		t.Fatalf("the answer is %d, after %d deadlines", w.Code, w.deadlines.Load())
	}
	before := w.deadlines.Load()
	io.WriteString(out, "x")
	await(t, read, "the end of reading")
	if n := w.deadlines.Load() - before; n > 0 {
		t.Errorf("%d deadlines are set behind the answer", n)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// startingBody tells when it is first read.
type startingBody struct {
	io.ReadCloser
	started chan struct{}
	once    sync.Once
}

func (b *startingBody) Read(p []byte) (int, error) {
	b.once.Do(func() { close(b.started) })
	return b.ReadCloser.Read(p)
}

// deadlineWriter counts the deadlines for reading.
type deadlineWriter struct {
	*httptest.ResponseRecorder
	deadlines atomic.Int32
}

func (w *deadlineWriter) SetReadDeadline(time.Time) error {
	w.deadlines.Add(1)
	return nil
}

// TestOneDownloadForMany shows that those who ask while a response is under way get it by one request to the origin.
func TestOneDownloadForMany(t *testing.T) {
	asked, next := make(chan struct{}, 9), make(chan struct{})
	p := run(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "one ")
		http.NewResponseController(w).Flush()
		<-next
		io.WriteString(w, "two")
	}))
	bodies := make(chan string)
	for range 3 {
		go func() {
			_, body := p.get("/")
			bodies <- body
		}()
	}
	await(t, asked, "a request")
	eventually(t, "three readers", func() bool { s := p.p.Cache.Stats(); return s.Misses == 3 })
	close(next)
	for range 3 {
		if got := await(t, bodies, "a body"); got != "one two" {
			t.Errorf("comes %q", got)
		}
	}
	if len(asked) > 0 {
		t.Errorf("the origin was asked more than once")
	}
	if s := p.p.Cache.Stats(); s.Collapsed != 2 {
		t.Errorf("%+v", s)
	}
}
