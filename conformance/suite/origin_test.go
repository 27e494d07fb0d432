package suite

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"
)

// wire is a connection to an origin, byte by byte.
type wire struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, o *Origin) *wire {
	t.Helper()
	c, err := net.Dial("tcp", o.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return &wire{t, c, bufio.NewReader(c)}
}

// ask sends a request as it stands, but for its line ends.
func (w *wire) ask(lines ...string) {
	w.t.Helper()
	if _, err := io.WriteString(w, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		w.t.Fatal(err)
	}
}

// get returns the next n bytes.
func (w *wire) get(n int) string {
	w.t.Helper()
	b := make([]byte, n)
	if n, err := io.ReadFull(w.r, b); err != nil {
		w.t.Fatalf("after %q: %v", b[:n], err)
	}
	return string(b)
}

// rest returns what comes until the connection ends.
func (w *wire) rest() string {
	w.t.Helper()
	b, err := io.ReadAll(w.r)
	if err != nil {
		w.t.Fatalf("after %q: %v", b, err)
	}
	return string(b)
}

// head returns what comes until an empty line, with that.
func (w *wire) head() string {
	w.t.Helper()
	var b strings.Builder
	for !strings.HasSuffix(b.String(), "\r\n\r\n") {
		line, err := w.r.ReadString('\n')
		if err != nil {
			w.t.Fatalf("after %q: %v", b.String(), err)
		}
		b.WriteString(line)
	}
	return b.String()
}

func script(t *testing.T, text string) []Request {
	t.Helper()
	var raw []json.RawMessage
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		t.Fatal(err)
	}
	requests := make([]Request, len(raw))
	for i := range raw {
		if err := strictly(raw[i], &requests[i]); err != nil {
			t.Fatal(err)
		}
	}
	return requests
}

var (
	digits   = regexp.MustCompile(`Server-Now: \d{13}\r`)
	dateLine = regexp.MustCompile(`\r\nDate: ..., \d\d ... \d{4} \d\d:\d\d:\d\d GMT\r`)
)

// timeless replaces the times that the origin adds.
func timeless(s string) string {
	return dateLine.ReplaceAllString(digits.ReplaceAllString(s, "Server-Now: MS\r"), "\r\nDate: NOW\r")
}

// TestOriginWire holds the origin's bytes against what they should be, from first to last.
func TestOriginWire(t *testing.T) {
	for _, c := range []struct {
		name, script, request, head, body string
	}{
		{
			"nothing scripted", `[{}]`, "GET /test/ID HTTP/1.1|Host: a|Req-Num: 1",
			"HTTP/1.1 200 OK|Server-Base-Url: /test/ID|Server-Request-Count: 1|Client-Request-Count: 1|Server-Now: MS|" +
				"Content-Type: text/plain|Request-Numbers: 1|Date: NOW|Connection: keep-alive|Content-Length: 2", "ID",
		},
		{
			"no number", `[{}]`, "GET /test/ID/name?a=b HTTP/1.1|Host: a",
			"HTTP/1.1 200 OK|Server-Base-Url: /test/ID/name?a=b|Server-Request-Count: 1|Client-Request-Count: 1|Server-Now: MS|" +
				"Content-Type: text/plain|Request-Numbers: 1|Date: NOW|Connection: keep-alive|Content-Length: 2", "ID",
		},
		{
			"a full URL", `[{}]`, "GET http://a/test/ID?a=b HTTP/1.1|Host: a|Req-Num: 1",
			"HTTP/1.1 200 OK|Server-Base-Url: /test/ID?a=b|Server-Request-Count: 1|Client-Request-Count: 1|Server-Now: MS|" +
				"Content-Type: text/plain|Request-Numbers: 1|Date: NOW|Connection: keep-alive|Content-Length: 2", "ID",
		},
		{
			"lines in order, malformed ones too",
			`[{"response_status": [299, "Odd One"], "response_headers": [["vary", ""], ["Age", "-7200"], ["Connection", "a, b"], ["Age", "x"], ["content-type", "a/b"], ["X", "ü"]], "response_body": "text"}]`,
			"GET /test/ID HTTP/1.1|Host: a|Req-Num: 1",
			"HTTP/1.1 299 Odd One|Server-Base-Url: /test/ID|Server-Request-Count: 1|Client-Request-Count: 1|Server-Now: MS|" +
				"vary: |Age: -7200|Connection: a, b|Age: x|content-type: a/b|X: ü|Request-Numbers: 1|Date: NOW|Content-Length: 4", "text",
		},
		{
			"a wrong length", `[{"response_headers": [["Content-Length", "1"], ["Date", "yesterday"]], "response_body": "text"}]`, "GET /test/ID HTTP/1.1|Host: a|Req-Num: 1",
			"HTTP/1.1 200 OK|Server-Base-Url: /test/ID|Server-Request-Count: 1|Client-Request-Count: 1|Server-Now: MS|" +
				"Content-Length: 1|Date: yesterday|Content-Type: text/plain|Request-Numbers: 1|Connection: keep-alive", "text",
		},
		{
			"HEAD", `[{"response_body": "text"}]`, "HEAD /test/ID HTTP/1.1|Host: a|Req-Num: 1",
			"HTTP/1.1 200 OK|Server-Base-Url: /test/ID|Server-Request-Count: 1|Client-Request-Count: 1|Server-Now: MS|" +
				"Content-Type: text/plain|Request-Numbers: 1|Date: NOW|Connection: keep-alive", "",
		},
		{
			"204", `[{"response_status": [204, "No Content"]}]`, "GET /test/ID HTTP/1.1|Host: a|Req-Num: 1",
			"HTTP/1.1 204 No Content|Server-Base-Url: /test/ID|Server-Request-Count: 1|Client-Request-Count: 1|Server-Now: MS|" +
				"Content-Type: text/plain|Request-Numbers: 1|Date: NOW|Connection: keep-alive", "",
		},
		{
			"304 by ETag", `[{"response_headers": [["ETag", "\"a\""]]}, {"expected_type": "etag_validated", "response_headers": [["Content-Length", "7"], ["Content-Type", "a/b"]]}]`,
			"GET /test/ID HTTP/1.1|Host: a|Req-Num: 2|If-None-Match: \"a\"",
			"HTTP/1.1 304 Not Modified|Server-Base-Url: /test/ID|Server-Request-Count: 1|Client-Request-Count: 2|Server-Now: MS|" +
				"Content-Length: 7|Content-Type: a/b|Request-Numbers: 2|Date: NOW|Connection: keep-alive", "",
		},
		{
			"304 by a date as text", `[{"response_headers": [["Last-Modified", "then"]]}, {"expected_type": "lm_validated"}]`,
			"GET /test/ID HTTP/1.1|Host: a|Req-Num: 2|If-Modified-Since: then",
			"HTTP/1.1 304 Not Modified|Server-Base-Url: /test/ID|Server-Request-Count: 1|Client-Request-Count: 2|Server-Now: MS|" +
				"Content-Type: text/plain|Request-Numbers: 2|Date: NOW|Connection: keep-alive", "",
		},
		{
			"no 304 for a list", `[{"response_headers": [["ETag", "\"a\""]]}, {"expected_type": "etag_validated", "response_status": [200, "OK"]}]`,
			"GET /test/ID HTTP/1.1|Host: a|Req-Num: 2|If-None-Match: \"b\", \"a\"",
			"HTTP/1.1 999 304 Not Generated|Server-Base-Url: /test/ID|Server-Request-Count: 1|Client-Request-Count: 2|Server-Now: MS|" +
				"Content-Type: text/plain|Request-Numbers: 2|Date: NOW|Connection: keep-alive|Content-Length: 2", "ID",
		},
		{
			"no 304 that nobody expects", `[{"response_headers": [["ETag", "\"a\""]]}, {}]`, "GET /test/ID HTTP/1.1|Host: a|Req-Num: 2|If-None-Match: \"a\"",
			"HTTP/1.1 200 OK|Server-Base-Url: /test/ID|Server-Request-Count: 1|Client-Request-Count: 2|Server-Now: MS|" +
				"Content-Type: text/plain|Request-Numbers: 2|Date: NOW|Connection: keep-alive|Content-Length: 2", "ID",
		},
		{
			"places", `[{"magic_locations": true, "response_headers": [["Location", ""], ["content-location", "x"], ["Other", "x"]]}]`, "GET /test/ID?q HTTP/1.1|Host: a|Req-Num: 1",
			"HTTP/1.1 200 OK|Server-Base-Url: /test/ID?q|Server-Request-Count: 1|Client-Request-Count: 1|Server-Now: MS|Location: /test/ID?q|content-location: /test/ID?q/x|Other: x|" +
				"Content-Type: text/plain|Request-Numbers: 1|Date: NOW|Connection: keep-alive|Content-Length: 2", "ID",
		},
		{
			"interim responses", `[{"interim_responses": [[102], [103, [["link", "</a>"]]]]}]`, "GET /test/ID HTTP/1.1|Host: a|Req-Num: 1",
			"HTTP/1.1 102 Processing||HTTP/1.1 103 Early Hints|link: </a>||HTTP/1.1 200 OK|Server-Base-Url: /test/ID|Server-Request-Count: 1|Client-Request-Count: 1|Server-Now: MS|" +
				"Content-Type: text/plain|Request-Numbers: 1|Date: NOW|Connection: keep-alive|Content-Length: 2", "ID",
		},
		{
			"a request with a body", `[{}]`, "POST /test/ID HTTP/1.1|Host: a|Req-Num: 1|Transfer-Encoding: chunked||3|abc|0",
			"HTTP/1.1 200 OK|Server-Base-Url: /test/ID|Server-Request-Count: 1|Client-Request-Count: 1|Server-Now: MS|" +
				"Content-Type: text/plain|Request-Numbers: 1|Date: NOW|Connection: keep-alive|Content-Length: 2", "ID",
		},
		{
			"a request too many", `[{}]`, "GET /test/ID HTTP/1.1|Host: a|Req-Num: 2",
			"HTTP/1.1 409 Conflict|Content-Type: text/plain|Date: NOW|Connection: keep-alive|Content-Length: 35", "there is no request 2 in this test\n",
		},
		{
			"another test", `[{}]`, "GET /test/OTHER HTTP/1.1|Host: a|Req-Num: 1",
			"HTTP/1.1 404 Not Found|Content-Type: text/plain|Date: NOW|Connection: keep-alive|Content-Length: 13", "no such test\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := newOrigin(t)
			o.script("ID", script(t, c.script))
			w := dial(t, o)
			want := strings.ReplaceAll(c.head, "|", "\r\n") + "\r\n\r\n" + c.body
			for range 2 { // on the same connection, which stays open
				w.ask(strings.Split(c.request, "|")...)
				var got string
				for range 1 + strings.Count(c.head, "||") {
					got += w.head()
				}
				got = timeless(got + w.get(len(c.body)))
				if got != want {
					t.Fatalf("the origin sends\n%q, want\n%q", got, want)
				}
				if strings.Contains(c.head, "409") || strings.Contains(c.head, "404") {
					continue
				}
				number := regexp.MustCompile(`Client-Request-Count: (\d+)`).FindStringSubmatch(c.head)[1]
				want = strings.Replace(want, "Server-Request-Count: 1", "Server-Request-Count: 2", 1)
				if c.name == "no number" {
					return // the next is the second, which is not there
				}
				want = strings.Replace(want, "Request-Numbers: "+number, fmt.Sprintf("Request-Numbers: %[1]s %[1]s", number), 1)
			}
		})
	}
}

func TestOriginEndsConnections(t *testing.T) {
	for _, c := range []struct {
		name, script, request string
		want                  string // the end of what comes, with the end of the connection
	}{
		{"HTTP/1.0", `[{}]`, "GET /test/ID HTTP/1.0|Connection: keep-alive|Req-Num: 1", "Connection: close|Content-Length: 2||ID"},
		{"asked to close", `[{}]`, "GET /test/ID HTTP/1.1|Host: a|Connection: close|Req-Num: 1", "Connection: close|Content-Length: 2||ID"},
		{"an unknown coding", `[{"response_headers": [["Transfer-Encoding", "odd"]]}]`, "GET /test/ID HTTP/1.1|Host: a|Req-Num: 1", "Connection: keep-alive||ID"},
		{"disconnect", `[{"disconnect": true}]`, "GET /test/ID HTTP/1.1|Host: a|Req-Num: 1", ""},
		{"no HTTP", `[{}]`, "HELLO", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o, err := listen("127.0.0.1:0", 20*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			defer o.Close()
			run := o.script("ID", script(t, c.script))
			w := dial(t, o)
			w.ask(strings.Split(c.request, "|")...)
			got := w.rest()
			if want := strings.ReplaceAll(c.want, "|", "\r\n"); !strings.HasSuffix(got, want) || want == "" && got != "" {
				t.Errorf("the origin sends %q, want it to end with %q", got, want)
			}
			if n := len(run.heard()); c.name != "no HTTP" && n != 1 {
				t.Errorf("%d requests are in the log, want 1", n)
			}
		})
	}
}

// TestOriginDates has dates, which are counted from Server-Now, sent, and one of them come back.
func TestOriginDates(t *testing.T) {
	o := newOrigin(t)
	o.script("ID", script(t, `[{"rfc850date": ["expires"], "response_headers": [["Last-Modified", -3600], ["Expires", 60], ["Other", 5]]}, {"expected_type": "lm_validated"}]`))
	w := dial(t, o)
	w.ask("GET /test/ID HTTP/1.1", "Host: a", "Req-Num: 1")
	head := w.head()
	w.get(2)
	now := lineOf(t, head, "Server-Now")
	var ms int64
	fmt.Sscan(now, &ms)
	modified := time.UnixMilli(ms).UTC().Add(-time.Hour).Format("Mon, 02 Jan 2006 15:04:05 GMT")
	if got := lineOf(t, head, "Last-Modified"); got != modified {
		t.Errorf("Last-Modified is %q, want %q", got, modified)
	}
	if got, want := lineOf(t, head, "Expires"), time.UnixMilli(ms).UTC().Add(time.Minute).Format("Monday, 02-Jan-06 15:04:05 GMT"); got != want {
		t.Errorf("Expires is %q, want %q", got, want)
	}
	if got := lineOf(t, head, "Other"); got != "5" {
		t.Errorf("a number that is no date is sent as %q, want 5", got)
	}
	w.ask("GET /test/ID HTTP/1.1", "Host: a", "Req-Num: 2", "If-Modified-Since: "+modified)
	if got := w.head(); !strings.HasPrefix(got, "HTTP/1.1 304 Not Modified\r\n") {
		t.Errorf("with the date that was sent the answer is %q", got)
	}
}

func lineOf(t *testing.T, head, name string) string {
	t.Helper()
	_, rest, ok := strings.Cut(head, "\r\n"+name+": ")
	if !ok {
		t.Fatalf("there is no %s in %q", name, head)
	}
	v, _, _ := strings.Cut(rest, "\r\n")
	return v
}

// TestOriginCloses ends an origin while a connection waits for a request, and another for its answer.
func TestOriginCloses(t *testing.T) {
	o, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.script("ID", script(t, `[{}, {"response_pause": 1000, "interim_responses": [[102]]}]`))
	idle, busy := dial(t, o), dial(t, o)
	idle.ask("GET /test/ID HTTP/1.1", "Host: a", "Req-Num: 1")
	idle.head()
	busy.ask("GET /test/ID HTTP/1.1", "Host: a", "Req-Num: 2")
	done := make(chan error, 1)
	go func() { done <- o.Close() }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("Close does not return")
	}
	if got := idle.get(2); got != "ID" {
		t.Errorf("the body is %q", got)
	}
	if _, err := Listen("127.0.0.1:none"); err == nil || !strings.HasPrefix(err.Error(), "origin: ") {
		t.Errorf("for a port that is none the error is %v", err)
	}
}
