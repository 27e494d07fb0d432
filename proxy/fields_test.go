package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/larder/proxy"
)

// TestRequestFields shows what the origin gets to see of what a client says.
func TestRequestFields(t *testing.T) {
	seen := make(chan string, 1)
	origin := raw(t, func(conn net.Conn, r *bufio.Reader) {
		seen <- head(r)
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	})
	host := strings.TrimPrefix(origin, "http://")
	plain := run(t, origin)
	told := run(t, origin, func(p *running) { p.p.Forwarded, p.p.PreserveHost = true, true })
	for _, test := range []struct {
		p       *running
		fields  string // of the client
		want    string // lines that the origin sees
		wantNot string // what it does not see
	}{
		{plain, "X-One: 1\nX-One: 2", "X-One: 1\nX-One: 2\nHost: ORIGIN\nVia: 1.1 me", "User-Agent"},
		{plain, "User-Agent: mine\nAccept-Encoding: br", "User-Agent: mine\nAccept-Encoding: br", ""},
		{plain, "Via: 1.0 other (comment)", "Via: 1.0 other (comment)\nVia: 1.1 me", ""},
		{plain, "Connection: keep-alive, X-Hop ,close\nX-Hop: 1\nKeep-Alive: 5\nProxy-Connection: x\nProxy-Authorization: secret\nTE: gzip", "",
			"X-Hop|Keep-Alive|Proxy-|TE|Connection"},
		{plain, "Connection: TE\nTE: trailers, deflate", "Connection: TE\nTe: trailers", "deflate"},
		{plain, "Connection: TE, upgrade\nTE: trailers\nUpgrade: websocket", "Connection: Upgrade\nConnection: TE\nTe: trailers\nUpgrade: websocket", ""},
		{plain, "Connection: upgrade, http2-settings\nUpgrade: h2c\nHTTP2-Settings: x", "", "pgrade|ettings"},
		{plain, "Connection: upgrade\nUpgrade: websocket, h2c", "", "pgrade"},
		{plain, "Connection: upgrade\nUpgrade: TLS/1.2", "", "pgrade"},
		{plain, "Upgrade: websocket", "", "pgrade"},
		{plain, "Connection: upgrade\nUpgrade: websocket", "Connection: Upgrade\nUpgrade: websocket", ""},
		{plain, "Forwarded: for=me\nX-Forwarded-For: me\nX-Forwarded-Host: evil\nX-Forwarded-Anything: x\nX-Real-IP: me\n" +
			"X-Original-URL: /admin\nX-Rewrite-URL: /admin", "", "orwarded|X-"},
		{plain, "X_Forwarded_Host: evil\nX-forwarded_for: me\nX.Forwarded.Proto: x\nX_REAL_IP: me\nX~Original!URL: /admin", "", "X|evil|admin"},
		{plain, "X_One: 1\nForwarded_X: 2", "X_one: 1\nForwarded_x: 2", ""},
		{told, "Forwarded: for=liar\nX-Forwarded-For: liar\nX-Forwarded-Host: evil\nX-Forwarded-Proto: https",
			"Host: HERE\nForwarded: for=127.0.0.1;proto=http;host=\"HERE\"\nX-Forwarded-For: 127.0.0.1\nX-Forwarded-Host: HERE\nX-Forwarded-Proto: http", "liar|evil|https"},
		{plain, "Cookie: a=b\nAuthorization: Basic eA==\nAccept: */*\nReferer: x", "Cookie: a=b\nAuthorization: Basic eA==\nAccept: */*\nReferer: x", ""},
		{plain, "Max-Forwards: 0", "Max-Forwards: 0", ""},
	} {
		fill := strings.NewReplacer("ORIGIN", host, "HERE", test.p.addr)
		test.p.say("GET / HTTP/1.1\r\nHost: " + test.p.addr + "\r\n" + strings.ReplaceAll(test.fields, "\n", "\r\n") + "\r\nConnection: close\r\n\r\n")
		got := await(t, seen, "a request")
		rest := got
		for line := range strings.Lines(fill.Replace(test.want)) {
			if !strings.Contains(got, "\r\n"+strings.TrimSpace(line)+"\r\n") {
				t.Errorf("%q: the origin gets\n%s, want %q", test.fields, got, line)
			}
			rest = strings.Replace(rest, strings.TrimSpace(line), "", 1)
		}
		for part := range strings.SplitSeq(test.wantNot, "|") {
			if part != "" && strings.Contains(rest, part) {
				t.Errorf("%q: the origin gets\n%s, want no %q", test.fields, got, part)
			}
		}
	}
}

// TestResponseFields shows what a client gets to see of what an origin says, from the origin and from the store.
func TestResponseFields(t *testing.T) {
	for _, test := range []struct{ fields, want, wantNot string }{
		{"X-One: 1\r\nX-One: 2\r\nServer: x", "X-One: 1\r\nX-One: 2\r\n|Server: x\r\n|Via: 1.1 me\r\n|Content-Length: 4\r\n", "Content-Type"},
		{"Via: 1.0 other", "Via: 1.0 other\r\nVia: 1.1 me\r\n", ""},
		{"Connection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nProxy-Authenticate: Basic\r\nProxy-Connection: x\r\nAlt-Svc: h3=\":443\"", "",
			"X-Hop|Keep-Alive|Proxy-|Alt-Svc"},
		{"Content-Type: text/html", "Content-Type: text/html\r\n", ""},
		{"Set-Cookie: a=b\r\nSet-Cookie: c=d", "Set-Cookie: a=b\r\nSet-Cookie: c=d\r\n", ""},
		{"Cache-Status: origin; hit", "Cache-Status: origin; hit\r\nCache-Status: larder; ", ""},
		{"Proxy-Status: other; error=dns_error", "Proxy-Status: other; error=dns_error\r\n", ""},
		{"Age: 5\r\nDate: " + time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat), "Age: ", "Age: 0"},
		{"", "Date: " + time.Now().UTC().Format("Mon, 02 Jan 2006 15:"), ""},
	} {
		var asked atomic.Int64
		origin := raw(t, func(conn net.Conn, r *bufio.Reader) {
			head(r)
			asked.Add(1)
			fields := test.fields
			if fields != "" {
				fields += "\r\n"
			}
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nCache-Control: max-age=300\r\nContent-Length: 4\r\n"+fields+"\r\nbody")
		})
		p := run(t, origin)
		for _, from := range []string{"the origin", "the store"} {
			conn, r := p.dial()
			io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
			got := head(r)
			conn.Close()
			for part := range strings.SplitSeq(test.want, "|") {
				if !strings.Contains(got, part) {
					t.Errorf("%q, from %s: the client gets\n%s, want %q", test.fields, from, got, part)
				}
			}
			for part := range strings.SplitSeq(test.wantNot, "|") {
				if part != "" && strings.Contains(got, part) {
					t.Errorf("%q, from %s: the client gets\n%s, want no %q", test.fields, from, got, part)
				}
			}
			if strings.Count(got, "\r\nDate: ") != 1 {
				t.Errorf("%q, from %s: the client gets\n%s, want one Date", test.fields, from, got)
			}
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("%q: the origin was asked %d times", test.fields, n)
		}
	}
}

// TestSpaceBehindNames shows that a response's field with space between its name and the colon is that field (RFC 9112
// §5.1).
func TestSpaceBehindNames(t *testing.T) {
	var asked atomic.Int64
	p := run(t, raw(t, func(conn net.Conn, r *bufio.Reader) {
		head(r)
		asked.Add(1)
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-one : 1\r\nX-One: 2\r\nCache-Control: max-age=60\r\nCache-Control  : no-store\r\n"+
			"Content-Length: 4\r\nContent-Length : 5\r\nTransfer-Encoding : chunked\r\n\r\nbody")
	}))
	for range 2 {
		resp, body := p.get("/")
		if one, control := resp.Header["X-One"], resp.Header["Cache-Control"]; len(one) != 2 || len(control) != 2 || body != "body" {
			t.Errorf("%q comes with X-One %q, Cache-Control %q", body, one, control)
		}
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("the origin is asked %d times, although it says no-store", n)
	}
}

// TestAge shows that a stored response grows older, and that one without a Date gets the time of its arrival.
func TestAge(t *testing.T) {
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	p := run(t, raw(t, func(conn net.Conn, r *bufio.Reader) {
		head(r)
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nCache-Control: max-age=300\r\nAge: 7\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	}), func(p *running) { p.p.Cache.Now = now })
	first, _ := p.get("/")
	ahead.Store(int64(100 * time.Second))
	hit, _ := p.get("/")
	if got := hit.Header.Get("Age"); got != "107" && got != "108" {
		t.Errorf("its age is %s, want 107", got)
	}
	arrived, err1 := http.ParseTime(first.Header.Get("Date"))
	then, err2 := http.ParseTime(hit.Header.Get("Date"))
	if d := arrived.Sub(then); err1 != nil || err2 != nil || d.Abs() > 2*time.Second {
		t.Errorf("dates are %v and %v", first.Header["Date"], hit.Header["Date"])
	}
}

// TestAnswersOfTheCache shows the answers that are the cache's, and not an origin's.
func TestAnswersOfTheCache(t *testing.T) {
	var asked atomic.Int64
	p := run(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Cache-Control", "max-age=300")
		w.Header().Set("ETag", `"x"`)
		w.Header().Set("Vary", "Accept-Language")
		io.WriteString(w, "0123456789")
	}))
	p.get("/")
	for _, test := range []struct {
		method, fields string
		status         int
		body, want     string
	}{
		{"GET", "", 200, "0123456789", "Content-Length: 10"},
		{"HEAD", "", 200, "", "Content-Length: 10"},
		{"GET", `If-None-Match: "x"`, 304, "", `Etag: "x"`},
		{"GET", "Range: bytes=2-4", 206, "234", "Content-Range: bytes 2-4/10"},
		{"GET", "Range: bytes=20-", 416, "", "Content-Range: bytes */10"},
		{"GET", "Cache-Control: only-if-cached", 200, "0123456789", "Cache-Status: larder; hit"},
	} {
		var fields []string
		if test.fields != "" {
			fields = append(fields, test.fields)
		}
		resp, body := p.do(p.client(false), test.method, "/", nil, fields...)
		name, value, _ := strings.Cut(test.want, ": ")
		if resp.StatusCode != test.status || body != test.body || !strings.HasPrefix(resp.Header.Get(name), value) {
			t.Errorf("%s %s: %s %q %v", test.method, test.fields, resp.Status, body, resp.Header)
		}
		if test.status == 304 && (resp.Header["Content-Length"] != nil || resp.Header["Content-Type"] != nil) {
			t.Errorf("a 304 has %v", resp.Header)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the origin was asked %d times", n)
	}
	resp, _ := p.get("/else", "Cache-Control: only-if-cached")
	if got := resp.Header.Get("Proxy-Status"); resp.StatusCode != 504 || !strings.HasPrefix(got, "larder; error=proxy_internal_response; ") {
		t.Errorf("only-if-cached with nothing stored: %s, Proxy-Status %s", resp.Status, got)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the origin was asked %d times", n)
	}
}

// TestPrivateAndShared shows who gets what was stored for whom.
func TestPrivateAndShared(t *testing.T) {
	for _, shared := range []bool{false, true} {
		var asked atomic.Int64
		p := run(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			w.Header().Set("Cache-Control", r.URL.Query().Get("cc"))
			io.WriteString(w, r.Header.Get("Authorization"))
		}), func(p *running) { p.p.Cache.Shared = shared })
		for _, test := range []struct {
			cc                  string
			shared, private     int64 // how often the origin is asked by two users, each of whom asks twice
			sharedBody, ownBody string
		}{
			{"max-age=60", 4, 2, "two", "two"},
			{"private,max-age=60", 4, 2, "two", "two"},
			{"public,max-age=60", 1, 2, "one", "two"},
			{"max-age=0,s-maxage=60", 1, 4, "one", "two"},
		} {
			before, body := asked.Load(), ""
			for range 2 {
				for _, user := range []string{"one", "two"} {
					_, body = p.get("/?cc="+test.cc, "Authorization: "+user)
				}
			}
			n, want, wantBody := asked.Load()-before, test.private, test.ownBody
			if shared {
				want, wantBody = test.shared, test.sharedBody
			}
			if n != want || body != wantBody {
				t.Errorf("shared %v, %s: the origin is asked %d times, and two gets %q; want %d, %q", shared, test.cc, n, body, want, wantBody)
			}
		}
	}
}

// TestLocation shows where redirects lead.
func TestLocation(t *testing.T) {
	origin := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", strings.ReplaceAll(r.URL.Query().Get("to"), "ORIGIN", r.Host))
		w.WriteHeader(http.StatusFound)
	})
	p := run(t, "", func(p *running) {
		p.p.Origins = []proxy.Origin{parse(t, origin), parse(t, "/v1="+origin+"/base"), parse(t, "/same="+origin+"/same")}
	})
	for _, test := range []struct{ path, to, want string }{
		{"/a/b", "c", "c"},
		{"/a/b", "../c?d", "../c?d"},
		{"/a/b", "/c", "/c"},
		{"/a/b", "?c", "?c"},
		{"/a/b", "http://ORIGIN/c?d=e", "/c?d=e"},
		{"/a/b", "http://ORIGIN", "/"},
		{"/a/b", "//ORIGIN/c", "/c"},
		{"/a/b", "http://ORIGIN//evil.example/", "/.//evil.example/"},
		{"/a/b", "https://ORIGIN/c", "https://ORIGIN/c"},
		{"/a/b", "http://other.example/c", "http://other.example/c"},
		{"/a/b", "http://me@ORIGIN/c", "http://me@ORIGIN/c"},
		{"/a/b", "mailto:x@y", "mailto:x@y"},
		{"/v1/b", "/base/c", "/v1/c"},
		{"/v1/b", "/base", "/v1"},
		{"/v1/b", "http://ORIGIN/base/c%2Fd", "/v1/c%2Fd"},
		{"/v1/b", "http://ORIGIN/base/c%2Fd|e", "/v1/c%2Fd%7Ce"},
		{"/v1/b", "/elsewhere", "/elsewhere"},
		{"/v1/b", "http://ORIGIN/elsewhere", "http://ORIGIN/elsewhere"},
		{"/v1/b", "c", "c"},
		{"/same/b", "/same/c", "/same/c"},
		{"/same/b", "http://ORIGIN/same/c", "/same/c"},
	} {
		host := strings.TrimPrefix(origin, "http://")
		resp, _ := p.get(test.path + "?to=" + strings.NewReplacer("?", "%3F", "%", "%25").Replace(test.to))
		if got, want := resp.Header.Get("Location"), strings.ReplaceAll(test.want, "ORIGIN", host); got != want {
			t.Errorf("%s to %s: %s, want %s", test.path, test.to, got, want)
		}
	}
}

func TestOptions(t *testing.T) {
	seen := make(chan string, 1)
	p := run(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Method + " " + r.RequestURI + " " + r.Header.Get("Max-Forwards")
		w.Header().Set("Allow", "origin's")
	}))
	for _, test := range []struct{ request, allow, seen string }{
		{"OPTIONS * HTTP/1.1\r\n", "GET, HEAD", ""},
		{"OPTIONS * HTTP/1.1\r\nMax-Forwards: 3\r\n", "GET, HEAD", ""},
		{"OPTIONS /x HTTP/1.1\r\nMax-Forwards: 0\r\n", "GET, HEAD", ""},
		{"OPTIONS /x HTTP/1.1\r\nMax-Forwards: 1\r\n", "origin's", "OPTIONS /x 0"},
		{"OPTIONS /x HTTP/1.1\r\nMax-Forwards: 10\r\n", "origin's", "OPTIONS /x 9"},
		{"OPTIONS /x HTTP/1.1\r\nMax-Forwards: many\r\n", "origin's", "OPTIONS /x many"},
		{"OPTIONS /x HTTP/1.1\r\n", "origin's", "OPTIONS /x "},
		{"GET /x HTTP/1.1\r\nMax-Forwards: 0\r\n", "origin's", "GET /x 0"},
	} {
		resp, _ := p.say(test.request + "Host: localhost\r\nConnection: close\r\n\r\n")
		got := ""
		select {
		case got = <-seen:
		default:
		}
		if resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Allow"), test.allow) || got != test.seen {
			t.Errorf("%q: %s, Allow %s; the origin sees %q, want %q", test.request, resp.Status, resp.Header.Get("Allow"), got, test.seen)
		}
	}
	if resp, _ := p.say("OPTIONS * HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"); resp.StatusCode != 421 {
		t.Errorf("OPTIONS * for another host: %s", resp.Status)
	}
}

// TestLoop shows that a proxy that is its own origin says so.
func TestLoop(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := run(t, "http://"+l.Addr().String())
	go http.Serve(l, p.p)
	t.Cleanup(func() { l.Close() })
	resp, _ := p.get("/")
	if got := resp.Header.Get("Proxy-Status"); resp.StatusCode != 502 || !strings.HasPrefix(got, "larder; error=proxy_loop_detected;") {
		t.Errorf("%s, Proxy-Status %q", resp.Status, got)
	}
}

// TestMethods shows that every method passes, and that an unsafe one invalidates what is stored.
func TestMethods(t *testing.T) {
	p := run(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.Method, body)
	}))
	outcome := func() string {
		resp, _ := p.get("/")
		return resp.Header.Get("Cache-Status")
	}
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "PROPFIND", "QUERY", "X-OWN"} {
		outcome()
		if got := outcome(); !strings.Contains(got, "; hit") {
			t.Errorf("before %s: %s", method, got)
		}
		if _, got := p.do(p.client(false), method, "/", strings.NewReader("body")); got != method+" body" {
			t.Errorf("%s is answered by %q", method, got)
		}
	}
	p.do(p.client(false), "PUT", "/", strings.NewReader("x"))
	if got := outcome(); !strings.Contains(got, "fwd=uri-miss") {
		t.Errorf("after PUT: %s", got)
	}
}

// TestMethodsThatAreNone shows that what HTTP/2 lets stand in the place of a method is refused.
func TestMethodsThatAreNone(t *testing.T) {
	p := run(t, serve(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the origin gets %s", r.Method) }))
	for _, method := range []string{"GET /x HTTP/1.1", "G(T)", "G\u00e9T"} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
		r.Method = method
		p.p.ServeHTTP(w, r)
		if got := w.Header().Get("Proxy-Status"); w.Code != 400 || !strings.HasPrefix(got, "larder; error=http_request_error; ") {
			t.Errorf("%q: %d, Proxy-Status %q", method, w.Code, got)
		}
	}
}

// TestTargetsThatAreNone shows that a query which HTTP/2 can say, and HTTP/1.1 cannot, is refused: the origin might take
// it for another one, whose answer would be stored under this one's key.
func TestTargetsThatAreNone(t *testing.T) {
	p := run(t, raw(t, func(_ net.Conn, r *bufio.Reader) {
		if line, _ := r.ReadString('\n'); line != "" {
			t.Errorf("the origin gets %q", line)
		}
	}))
	for _, query := range []string{"a b", "a HTTP/1.0"} {
		resp, _ := p.do(p.client(true), "GET", "/?"+query, nil)
		if got := resp.Header.Get("Proxy-Status"); resp.StatusCode != 400 || !strings.HasPrefix(got, "larder; error=http_request_error; ") {
			t.Errorf("%q: %s, Proxy-Status %q", query, resp.Status, got)
		}
	}
}

// TestTEByHTTP2 shows that TE gets to an http origin that is asked by HTTP/2 as well, which knows no Connection.
func TestTEByHTTP2(t *testing.T) {
	origin := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Proto+" "+r.Header.Get("TE"))
	}))
	var two http.Protocols
	two.SetUnencryptedHTTP2(true)
	origin.Config.Protocols = &two
	origin.Start()
	defer origin.Close()
	p := run(t, origin.URL, func(p *running) { p.base.Protocols = &two })
	if resp, body := p.get("/", "TE: trailers"); body != "HTTP/2.0 trailers" {
		t.Errorf("got %d, %q", resp.StatusCode, body)
	}
}
