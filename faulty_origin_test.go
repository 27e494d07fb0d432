package larder_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store/memory"
)

// talker is an origin that answers each request on a connection of its own, with whatever talk writes.
type talker struct {
	url   string
	talk  atomic.Pointer[func(io.Writer)]
	asked atomic.Int64
}

func newTalker(t *testing.T) *talker {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &talker{url: "http://" + l.Addr().String() + "/a"}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
					return
				}
				o.asked.Add(1)
				(*o.talk.Load())(conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return o
}

// says makes it answer with s, and then close.
func (o *talker) says(s string) { o.does(func(w io.Writer) { io.WriteString(w, s) }) }

func (o *talker) does(talk func(io.Writer)) { o.talk.Store(&talk) }

// guarded is a cache in memory whose test fails if work goes on in it afterwards.
func guarded(t *testing.T, c *larder.Cache) *http.Client {
	transport := &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: 5 * time.Second}
	c.Base = transport
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			t.Errorf("work goes on: %v", err)
		}
		transport.CloseIdleConnections()
	})
	return c.Client()
}

// fetch gets the URL, and reads the body to its end.
func fetch(client *http.Client, url string, fields ...string) (*http.Response, []byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, nil, err
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

// TestCutAtEveryByte breaks an answer off behind each of its bytes: whoever reads it is told, and nobody ever gets the
// half as the whole.
func TestCutAtEveryByte(t *testing.T) {
	body := strings.Repeat("0123456789", 20)
	const head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nETag: \"1\"\r\n"
	for name, whole := range map[string]string{
		"Content-Length": head + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body),
		"chunked":        head + "Transfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n64\r\n%s\r\n0\r\nX-T: 1\r\n\r\n", 100, body[:100], body[100:]),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newTalker(t)
			for cut := range len(whole) {
				client := guarded(t, new(larder.Cache))
				o.says(whole[:cut])
				if resp, got, err := fetch(client, o.url); err == nil {
					t.Fatalf("cut behind %d of %d bytes: status %d and %q without an error", cut, len(whole), resp.StatusCode, got)
				}
				o.says(whole)
				for range 2 {
					if _, got, err := fetch(client, o.url); err != nil || string(got) != body {
						t.Fatalf("cut behind %d of %d bytes: afterwards %q, %v", cut, len(whole), got, err)
					}
				}
			}
		})
	}
}

// TestFaultyOrigins: what is not HTTP is an error for who asked, and nothing for who asks afterwards.
func TestFaultyOrigins(t *testing.T) {
	const fresh = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n"
	for name, answer := range map[string]string{
		"less than Content-Length":      fresh + "Content-Length: 99\r\n\r\nab",
		"no number as Content-Length":   fresh + "Content-Length: two\r\n\r\nab",
		"a negative Content-Length":     fresh + "Content-Length: -2\r\n\r\nab",
		"two lengths":                   fresh + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
		"a chunk without a length":      fresh + "Transfer-Encoding: chunked\r\n\r\nab\r\n0\r\n\r\n",
		"a chunk of a negative length":  fresh + "Transfer-Encoding: chunked\r\n\r\n-2\r\nab\r\n0\r\n\r\n",
		"a chunk of an endless length":  fresh + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nab",
		"a chunk that is longer":        fresh + "Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
		"a chunk without its end":       fresh + "Transfer-Encoding: chunked\r\n\r\n2\r\nab0\r\n\r\n",
		"no last chunk":                 fresh + "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
		"a chunk extension without end": fresh + "Transfer-Encoding: chunked\r\n\r\n2;" + strings.Repeat("x", 64<<10) + "\r\nab\r\n0\r\n\r\n",
		"a coding that nobody knows":    fresh + "Transfer-Encoding: gzip\r\n\r\nab",
		"a status that is none":         "HTTP/1.1 2000 OK\r\n\r\n",
		"headers of another protocol":   "220 mail.example ESMTP\r\n",
		"a field without a name":        fresh + ": x\r\n\r\nab",
		"gzip that is none":             fresh + "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nab",
		"gzip that is cut":              fresh + "Content-Encoding: gzip\r\nContent-Length: 12\r\n\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x4b\x4c",
		"a head without end (11 MB)":    fresh + strings.Repeat("X: "+strings.Repeat("x", 1000)+"\r\n", 11_000),
		"interim responses without end": strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 10_000),
		"ten megabytes of Vary":         fresh + "Vary: " + strings.Repeat("X-A, ", 2<<20) + "\r\nContent-Length: 2\r\n\r\nab",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newTalker(t)
			client := guarded(t, new(larder.Cache))
			o.says(answer)
			if _, got, err := fetch(client, o.url); err == nil {
				t.Errorf("%q, and no error", got)
			}
			o.says(fresh + "Content-Length: 5\r\n\r\nright")
			for range 2 {
				if _, got, err := fetch(client, o.url); err != nil || string(got) != "right" {
					t.Errorf("afterwards %q, %v", got, err)
				}
			}
			if n := o.asked.Load(); n > 3 { // net/http may have asked again by itself
				t.Errorf("the origin was asked %d times", n)
			}
		})
	}
}

// TestManyNamesInVary: what varies on more than a hundred fields is not stored, whatever a rule says.
func TestManyNamesInVary(t *testing.T) {
	for _, rules := range [][]larder.Rule{nil, {{TTL: time.Hour}}} {
		o := newTalker(t)
		s := new(memory.Store)
		client := guarded(t, &larder.Cache{Store: s, Rules: rules})
		var vary strings.Builder
		for i := range 10_000 {
			fmt.Fprintf(&vary, "X-%d, ", i)
		}
		o.says("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nVary: " + vary.String() + "X\r\nContent-Length: 2\r\n\r\nab")
		for i := range 20 {
			if _, got, err := fetch(client, o.url, "X-7", fmt.Sprint(i)); err != nil || string(got) != "ab" {
				t.Fatalf("%q, %v", got, err)
			}
		}
		if n, _, err := s.Size(t.Context()); n != 0 || err != nil {
			t.Errorf("%d records are stored, %v", n, err)
		}
	}
}

// TestGzipBomb: what the caller takes as it is goes on as it is, and is stored as it is. What the transport undoes for
// the caller passes by, and is given up beyond MaxBody.
func TestGzipBomb(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for range 32 {
		if _, err := z.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	o := newTalker(t)
	o.says(fmt.Sprintf("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", bomb.Len(), bomb.String()))
	s := &memory.Store{MaxBytes: 8 << 20}
	client := guarded(t, &larder.Cache{Store: s})
	for range 2 {
		if _, got, err := fetch(client, o.url, "Accept-Encoding", "gzip"); err != nil || !bytes.Equal(got, bomb.Bytes()) {
			t.Fatalf("%d bytes, %v, want %d", len(got), err, bomb.Len())
		}
	}
	if n := o.asked.Load(); n != 1 {
		t.Errorf("the origin was asked %d times, want once", n)
	}
	if _, used, err := s.Size(t.Context()); err != nil || used > int64(bomb.Len())+1<<20 {
		t.Errorf("%d bytes are stored of a body of %d, %v", used, bomb.Len(), err)
	}
	resp, err := client.Get(o.url + "?undone")
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if _, used, sizeErr := s.Size(t.Context()); err != nil || n != 32<<20 || sizeErr != nil || used > s.MaxBytes {
		t.Errorf("%d bytes, %v; %d are stored, %v", n, err, used, sizeErr)
	}
}

// TestRedirectLoop goes round in what is stored, and ends.
func TestRedirectLoop(t *testing.T) {
	o := newTalker(t)
	client := guarded(t, new(larder.Cache))
	o.says("HTTP/1.1 301 Moved Permanently\r\nCache-Control: max-age=60\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n")
	if _, _, err := fetch(client, o.url); !errors.As(err, new(*url.Error)) || !strings.Contains(err.Error(), "10 redirects") {
		t.Errorf("got %v", err)
	}
	if n := o.asked.Load(); n != 1 {
		t.Errorf("the origin was asked %d times, want once", n)
	}
}

// TestEndlessOrigins: a head that comes byte by byte, and a body without end, hold up nobody but who asked, for as long
// as he likes.
func TestEndlessOrigins(t *testing.T) {
	for name, talk := range map[string]func(io.Writer, <-chan struct{}){
		"a head, byte by byte": func(w io.Writer, done <-chan struct{}) {
			for {
				select {
				case <-done:
					return
				case <-time.After(time.Millisecond):
					if _, err := io.WriteString(w, "X"); err != nil {
						return
					}
				}
			}
		},
		"a body": func(w io.Writer, done <-chan struct{}) {
			_, err := io.WriteString(w, "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\n")
			for piece := bytes.Repeat([]byte("x"), 32<<10); err == nil; {
				_, err = w.Write(piece)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newTalker(t)
			done := make(chan struct{})
			o.does(func(w io.Writer) { talk(w, done) })
			s := &memory.Store{MaxBytes: 1 << 20}
			client := guarded(t, &larder.Cache{Store: s})
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			resp, err := client.Do(req)
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			close(done)
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > 5*time.Second {
				t.Errorf("%v after %v, want the deadline's end", err, time.Since(begun))
			}
			if n, used, err := s.Size(t.Context()); err != nil || n != 0 || used > s.MaxBytes {
				t.Errorf("%d responses are stored, %d bytes, %v", n, used, err)
			}
		})
	}
}

// TestSpaceBehindNames shows that a field with space between its name and the colon is heeded (RFC 9112 §5.1).
func TestSpaceBehindNames(t *testing.T) {
	o := newTalker(t)
	o.says("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nCache-Control  : no-store\r\nContent-Length: 4\r\nContent-Length : 5\r\n\r\nbody")
	client := guarded(t, new(larder.Cache))
	for range 2 {
		resp, err := client.Get(o.url)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if cc := resp.Header["Cache-Control"]; string(body) != "body" || err != nil || len(cc) != 2 {
			t.Errorf("%q, %v, Cache-Control %q", body, err, cc)
		}
	}
	if n := o.asked.Load(); n != 2 {
		t.Errorf("the origin is asked %d times, although it says no-store", n)
	}
}

// TestSpaceBehindNamesOfTrailers shows that a secret in such a trailer field is not stored, either.
func TestSpaceBehindNamesOfTrailers(t *testing.T) {
	o := newTalker(t)
	o.says("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-Key : secret\r\n\r\n")
	client := guarded(t, &larder.Cache{Rules: []larder.Rule{{Redact: []string{"X-Key"}}}})
	for _, want := range []string{"secret", "REDACTED"} {
		resp, err := client.Get(o.url)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(body) != "body" || err != nil || resp.Trailer.Get("X-Key") != want {
			t.Errorf("%v: %q, %v, trailer %q, want %s", larder.Info(resp).Outcome, body, err, resp.Trailer, want)
		}
	}
}
