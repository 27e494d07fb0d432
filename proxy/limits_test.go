package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// soon is a limit that a test runs into.
const soon = 300 * time.Millisecond

func stalls(p *running) { p.p.StallTimeout = soon }

// TestSlowHeads shows that who does not finish a head is not waited for.
func TestSlowHeads(t *testing.T) {
	p := run(t, serve(t, func(http.ResponseWriter, *http.Request) {}), func(p *running) { p.s.HeaderTimeout = soon })
	for _, part := range []string{"", "G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: localhost\r\nA: b\r\nC"} {
		conn, r := p.dial()
		io.WriteString(conn, part)
		if rest, err := io.ReadAll(r); err != nil || strings.Contains(string(rest), " 200 ") {
			t.Errorf("after %q comes %q, %v", part, rest, err)
		}
	}
}

// TestIdleConnections shows that a connection without a request is closed, and that one is not before its time.
func TestIdleConnections(t *testing.T) {
	p := run(t, serve(t, func(http.ResponseWriter, *http.Request) {}), func(p *running) { p.s.IdleTimeout = soon })
	conn, r := p.dial()
	for range 3 {
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if got := head(r); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
			t.Fatalf("comes %q", got)
		}
	}
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("then %v, want the end", err)
	}
}

func TestHugeHeads(t *testing.T) {
	var asked atomic.Int64
	p := run(t, serve(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	long := strings.Repeat("x", 80<<10)
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + long + "\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: localhost\r\n" + strings.Repeat("A: b\r\n", 20<<10) + "\r\n",
		"GET /" + long + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
	} {
		conn, r := p.dial()
		go io.WriteString(conn, request)
		if got := head(r); !strings.HasPrefix(got, "HTTP/1.1 431 ") {
			t.Errorf("%.20q is answered by %q", request, got)
		}
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("the origin was asked %d times", n)
	}
}

// TestLongBodies shows that what is longer than MaxBody does not reach the origin whole.
func TestLongBodies(t *testing.T) {
	got := make(chan string, 1)
	p := run(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		got <- fmt.Sprint(len(body), " ", err)
	}), func(p *running) { p.p.MaxBody = 10 })
	for _, two := range []bool{false, true} {
		for _, test := range []struct {
			body   io.Reader
			status int
			origin string
		}{
			{strings.NewReader("0123456789"), 200, "10 <nil>"},
			{io.MultiReader(strings.NewReader("0123456789")), 200, "10 <nil>"},
			{strings.NewReader("0123456789a"), 413, ""},
			{io.MultiReader(strings.NewReader("0123456789a")), 413, "unexpected EOF"},
			{io.MultiReader(strings.NewReader("0123456789"), strings.NewReader(strings.Repeat("x", 1<<20))), 413, "unexpected EOF"},
		} {
			resp, _ := p.do(p.client(two), "POST", "/", test.body)
			status := resp.Header.Get("Proxy-Status")
			if resp.StatusCode != test.status || (status != "") != (test.status == 413) || status != "" && !strings.HasPrefix(status, "larder; error=http_request_error;") {
				t.Errorf("HTTP/2 %v: %s, Proxy-Status %s, want %d", two, resp.Status, status, test.status)
			}
			if test.origin == "" {
				continue
			}
			if seen := await(t, got, "the origin"); !strings.HasSuffix(seen, test.origin) {
				t.Errorf("HTTP/2 %v: the origin gets %s, want %s", two, seen, test.origin)
			}
		}
	}
	if len(got) > 0 {
		t.Errorf("the origin gets %s", <-got)
	}
}

// TestStandingRequests shows that a request whose body stands still is given up, and its connection with it.
func TestStandingRequests(t *testing.T) {
	got := make(chan error, 1)
	p := run(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		got <- err
	}), stalls)
	for _, test := range []struct{ framing, part string }{{"Content-Length: 10", "part"}, {"Transfer-Encoding: chunked", "4\r\npart\r\n"}} {
		conn, r := p.dial()
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: localhost\r\n"+test.framing+"\r\n\r\n"+test.part)
		answer := head(r)
		if !strings.HasPrefix(answer, "HTTP/1.1 408 ") || !strings.Contains(answer, "Proxy-Status: larder; error=http_request_error;") {
			t.Errorf("%s is answered by %q", test.framing, answer)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Errorf("%s: then %v, want the end of the connection", test.framing, err)
		}
		if err := await(t, got, "the origin"); err == nil {
			t.Errorf("%s: the origin takes the part for the whole", test.framing)
		}
	}
	in, out := io.Pipe() // by HTTP/2
	go io.WriteString(out, "part")
	resp, _ := p.do(p.client(true), "POST", "/", in)
	if resp.StatusCode != 408 {
		t.Errorf("HTTP/2: %s", resp.Status)
	}
	out.Close()
	if err := await(t, got, "the origin"); err == nil {
		t.Error("HTTP/2: the origin takes the part for the whole")
	}
	conn, r := p.dial() // broken off rather than standing still
	io.WriteString(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n")
	if answer := head(r); !strings.HasPrefix(answer, "HTTP/1.1 400 ") {
		t.Errorf("nonsense is answered by %q", answer)
	}
	if err := await(t, got, "the origin"); err == nil {
		t.Error("the origin takes nonsense for the whole")
	}
}

// TestStandingRequestsThatGoNowhere shows that the proxy does not wait for the body of a request that it answers by
// itself, nor keeps its connection.
func TestStandingRequestsThatGoNowhere(t *testing.T) {
	p := run(t, serve(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the origin gets %s", r.Method) }))
	for _, request := range []string{"POST / HTTP/1.1\r\nHost: evil.example", "TRACE / HTTP/1.1\r\nHost: localhost", "OPTIONS * HTTP/1.1\r\nHost: localhost"} {
		t.Run(request, func(t *testing.T) {
			t.Parallel()
			conn, r := p.dial()
			io.WriteString(conn, request+"\r\nContent-Length: 10\r\n\r\npart")
			if answer := head(r); !strings.HasPrefix(answer, "HTTP/1.1 ") {
				t.Errorf("comes %q", answer)
			}
			if _, err := io.Copy(io.Discard, r); err != nil {
				t.Errorf("then %v, want the end of the connection", err)
			}
		})
	}
}

// TestAnswersBeforeTheEndOfBodies shows that a client who sends all of its body before it reads, and whose connection ends
// then, gets the answer that came meanwhile, and no reset in its place (RFC 9112 §9.6).
func TestAnswersBeforeTheEndOfBodies(t *testing.T) {
	p := run(t, raw(t, func(conn net.Conn, r *bufio.Reader) {
		head(r)
		io.WriteString(conn, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody")
		conn.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, r)
	}), func(p *running) { p.p.MaxBody = 10_000_000 })
	for _, version := range []string{"HTTP/1.0", "HTTP/1.1\r\nConnection: close"} {
		for _, size := range []int{100_000, 5_000_000, 20_000_000} { // the last one is refused
			conn, r := p.dial()
			fmt.Fprintf(conn, "POST / %s\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", version, size)
			_, err := conn.Write(make([]byte, size))
			resp, err2 := http.ReadResponse(r, nil)
			if err := errors.Join(err, err2); err != nil {
				t.Errorf("%q, %d bytes: %v", version, size, err)
				continue
			}
			body, err := io.ReadAll(resp.Body)
			if want := map[bool]int{false: 401, true: 413}[size > 10_000_000]; resp.StatusCode != want || err != nil {
				t.Errorf("%q, %d bytes: %s, %q, %v", version, size, resp.Status, body, err)
			}
			if _, err := r.ReadByte(); resp.Close && err != io.EOF {
				t.Errorf("%q, %d bytes: then %v, want the end of the connection", version, size, err)
			}
		}
	}
}

// TestAnswersAfterContinue shows the same of a client who has waited for 100 Continue.
func TestAnswersAfterContinue(t *testing.T) {
	p := run(t, raw(t, func(conn net.Conn, r *bufio.Reader) {
		head(r)
		io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
		r.ReadByte()
		io.WriteString(conn, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody")
		conn.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, r)
	}))
	for range 5 {
		const size = 12_000_000
		conn, r := p.dial()
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", size)
		for _, want := range []int{100, 401} {
			resp, err := http.ReadResponse(r, nil)
			if err != nil || resp.StatusCode != want {
				t.Fatalf("got %v, %v, want %d", resp, err, want)
			}
			if want == 100 {
				if _, err := conn.Write(make([]byte, size)); err != nil {
					t.Fatalf("the client cannot send its body: %v", err)
				}
			}
		}
		conn.Close()
	}
}

// TestLongBodiesThatStand shows that the rest of a body that is too long is waited for no longer than that of another
// which goes nowhere.
func TestLongBodiesThatStand(t *testing.T) {
	t.Parallel()
	p := run(t, serve(t, func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }), func(p *running) { p.p.MaxBody = 3 })
	conn, r := p.dial()
	io.WriteString(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nlong\r\n")
	if answer := head(r); !strings.HasPrefix(answer, "HTTP/1.1 413 ") {
		t.Errorf("comes %q", answer)
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Errorf("then %v, want the end of the connection", err)
	}
}

// TestBusyOrigins shows that an origin which takes its time before it reads on does not make a request one whose body
// stands still.
func TestBusyOrigins(t *testing.T) {
	const size = 64 << 20 // more than sockets take
	began, read := make(chan struct{}), make(chan struct{})
	p := run(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			began <- struct{}{}
			<-read
		}
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	}), stalls)
	for _, two := range []bool{false, true} {
		var after sync.WaitGroup
		after.Go(func() {
			<-began
			outlast(t, p) // in which what sockets take is sent
			outlast(t, p)
			read <- struct{}{}
		})
		resp, body := p.do(p.client(two), "POST", "/large", io.LimitReader(zeros{}, size))
		after.Wait()
		if resp.StatusCode != 200 || body != fmt.Sprint(size, nil) {
			t.Errorf("HTTP/2 %v: %s, %q", two, resp.Status, body)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestStandingResponses shows that a response which stands still is given up, but not one that is made of events, nor
// the connection on which one was not read.
func TestStandingResponses(t *testing.T) {
	left := make(chan struct{}, 1)
	p := run(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/quick") {
			return
		}
		if kind := r.URL.Query().Get("type"); kind != "" {
			w.Header().Set("Content-Type", kind)
		}
		if r.URL.Query().Has("incremental") {
			w.Header().Set("Incremental", "?1")
		}
		io.WriteString(w, "part")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
		left <- struct{}{}
	}), stalls)
	reused, r := p.dial()
	quick := func() {
		io.WriteString(reused, "GET /quick HTTP/1.1\r\nHost: localhost\r\nCache-Control: no-store\r\n\r\n")
		if got := head(r); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
			t.Fatalf("a connection that was idle brings %q", got)
		}
	}
	quick()
	ask := func(path string) (io.ReadCloser, context.CancelFunc) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		req, err := http.NewRequestWithContext(ctx, "GET", p.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := p.client(false).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		return resp.Body, cancel
	}
	var events []func()
	for _, path := range []string{"/?type=text/event-stream%3Bx=y", "/?incremental"} {
		_, cancel := ask(path)
		events = append(events, cancel)
	}
	body, cancel := ask("/")
	defer cancel()
	if rest, err := io.ReadAll(body); err == nil || len(rest) > 0 {
		t.Errorf("after the part come %q, %v", rest, err)
	}
	await(t, left, "that the origin is left")
	if f := p.lastFault(); f == nil || !strings.Contains(f.Error(), "stands still") {
		t.Errorf("Observe is told %v", f)
	}
	if len(left) > 0 {
		t.Error("events are not waited for")
	}
	for _, cancel := range events {
		cancel()
		await(t, left, "that events are left when the client leaves")
	}
	quick() // its last deadline is over by now
}

// TestStandingResponsesOfAllKinds shows that a response which stands still is given up, and the origin left, whatever the
// cache makes of it and however it comes.
func TestStandingResponsesOfAllKinds(t *testing.T) {
	left := make(chan struct{}, 1)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Cache-Control", r.URL.Query().Get("cc"))
		io.WriteString(w, "part")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
		left <- struct{}{}
	})
	secure := httptest.NewUnstartedServer(h)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	t.Cleanup(secure.Close)
	for _, origin := range []string{serve(t, h), secure.URL} {
		p := run(t, origin, stalls, func(p *running) { p.base.TLSClientConfig = secure.Client().Transport.(*http.Transport).TLSClientConfig })
		for _, request := range []string{"GET /?cc=max-age%3D60", "GET /?cc=no-store", "POST /?cc=no-store"} {
			conn, r := p.dial()
			io.WriteString(conn, request+" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
			if got := head(r); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
				t.Errorf("%s of %s is answered by %q", request, origin, got)
			}
			if rest, err := io.ReadAll(r); err != nil || strings.HasSuffix(string(rest), "0\r\n\r\n") {
				t.Errorf("%s of %s: comes %q, %v, want that it breaks off", request, origin, rest, err)
			}
			await(t, left, request+": that the origin is left")
		}
	}
}

// TestEndAfterSilence shows that a response that may stand still comes whole, also where nothing but its end comes
// after a silence that is longer than the time of a write.
func TestEndAfterSilence(t *testing.T) {
	const event = "data: one\n\n"
	end := make(chan struct{})
	p := run(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			io.Copy(io.Discard, r.Body)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, event)
		http.NewResponseController(w).Flush()
		<-end
	}), stalls)
	for _, two := range []bool{false, true} {
		resp, err := p.client(two).Get(p.url)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.ReadFull(resp.Body, make([]byte, len(event))); err != nil {
			t.Fatal(err)
		}
		outlast(t, p)
		end <- struct{}{}
		if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
			t.Errorf("HTTP/2 %v: then come %q, %v", two, rest, err)
		}
	}
}

// TestServerWithWriteTimeout shows that the bound of somebody else's server on whole responses does not end those that
// take longer.
func TestServerWithWriteTimeout(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	p := run(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			io.Copy(io.Discard, r.Body)
			return
		}
		asked <- struct{}{}
		<-answer
	}), stalls)
	server := httptest.NewUnstartedServer(p.p)
	server.Config.WriteTimeout = soon / 2
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	defer server.Close()
	for _, two := range []bool{false, true} {
		var after sync.WaitGroup
		after.Go(func() {
			<-asked
			outlast(t, p)
			answer <- struct{}{}
		})
		resp, err := p.client(two).Get(server.URL)
		after.Wait()
		if err != nil {
			t.Errorf("HTTP/2 %v: %v", two, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("HTTP/2 %v: %s", two, resp.Status)
		}
	}
}

// TestStandingReaders shows that who does not read what he asked for is not waited for, whether it comes from the
// origin or the store.
func TestStandingReaders(t *testing.T) {
	const size = 64 << 20 // more than sockets take
	left := make(chan struct{}, 9)
	p := run(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		defer func() { left <- struct{}{} }()
		if r.URL.Path == "/stored" {
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("Content-Length", fmt.Sprint(20<<20))
		}
		chunk := make([]byte, 1<<20)
		for sent := 0; sent < size && (r.URL.Path != "/stored" || sent < 20<<20); sent += len(chunk) {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}), stalls)
	for stored := false; !stored; { // a busy machine may take longer than a body may stand still
		resp, err := http.Get(p.url + "/stored")
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		stored = err == nil
		await(t, left, "the origin's end")
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", p.url+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := p.client(true).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	await(t, left, "that the origin is left by HTTP/2")
	for _, path := range []string{"/", "/stored"} {
		conn, err := net.Dial("tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		conn.SetDeadline(time.Now().Add(patience))
		io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if path == "/" {
			await(t, left, "that the origin is left")
		}
		eventually(t, "the end of "+path, func() bool {
			f := p.lastFault()
			return f != nil && strings.Contains(f.Error(), "did not read")
		})
		p.mu.Lock()
		p.faults = nil
		p.mu.Unlock()
		conn.Close()
	}
}

// TestConnections shows that who comes when there is no place waits for one.
func TestConnections(t *testing.T) {
	p := run(t, serve(t, func(http.ResponseWriter, *http.Request) {}), func(p *running) { p.s.MaxConnections = 2 })
	const request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
	first, r1 := p.dial()
	second, r2 := p.dial()
	for _, c := range []struct {
		net.Conn
		*bufio.Reader
	}{{first, r1}, {second, r2}} {
		io.WriteString(c.Conn, request)
		if got := head(c.Reader); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
			t.Fatalf("comes %q", got)
		}
	}
	third, r3 := p.dial()
	io.WriteString(third, request)
	third.SetReadDeadline(time.Now().Add(soon))
	if b, err := r3.ReadByte(); err == nil {
		t.Fatalf("a third connection brings %q", b)
	}
	first.Close()
	third.SetReadDeadline(time.Now().Add(patience))
	if got := head(r3); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("then %q", got)
	}
}
