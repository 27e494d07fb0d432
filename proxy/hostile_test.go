package proxy_test

import (
	"bufio"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/larder/internal/errno"
	"github.com/larder-go/larder/proxy"
	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/disk"
	"github.com/larder-go/larder/store/memory"
)

const (
	honest  = "what the origin says"
	forged  = "what somebody has written into the store"
	smuggle = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
)

// TestHostileStore lets somebody write into the store whatever he likes. The worst that may come of it is a wrong
// answer to the request that it was written for: no field that he could not have written as an origin, and no answer to
// another request, though that comes over the same connection.
func TestHostileStore(t *testing.T) {
	for _, test := range []struct {
		name   string
		tamper func(*store.Record) (body string)
	}{
		{"another body", func(*store.Record) string { return forged }},
		{"a response in the body", func(r *store.Record) string { return smuggle }},
		{"a length that is too small", func(r *store.Record) string {
			r.Header.Set("Content-Length", "3")
			r.Length = 3
			return smuggle
		}},
		{"a length that is too large", func(r *store.Record) string {
			r.Header.Set("Content-Length", "99")
			r.Length = 99
			return smuggle
		}},
		{"two lengths", func(r *store.Record) string {
			r.Header["Content-Length"] = []string{"3", "40"}
			return smuggle
		}},
		{"a length that is none", func(r *store.Record) string {
			r.Header.Set("Content-Length", "-1")
			r.Length = math.MinInt64
			return smuggle
		}},
		{"a transfer coding", func(r *store.Record) string {
			r.Header.Set("Transfer-Encoding", "chunked")
			return "0\r\n\r\n" + smuggle
		}},
		{"hop-by-hop fields", func(r *store.Record) string {
			r.Header.Set("Connection", "keep-alive, X-Hop")
			r.Header.Set("Upgrade", "websocket")
			r.Header.Set("X-Hop", "forged")
			return forged
		}},
		{"a field that splits the response", func(r *store.Record) string {
			r.Header.Set("X-A", "a\r\nSet-Cookie: forged=1\r\n\r\n"+smuggle)
			return forged
		}},
		{"a name that splits it", func(r *store.Record) string {
			r.Header["X-A: a\r\nSet-Cookie"] = []string{"forged=1"}
			return forged
		}},
		{"a trailer that splits it", func(r *store.Record) string {
			r.Trailer = http.Header{"X-T": {"a\r\n\r\n" + smuggle}, "Content-Length": {"7"}, "X-U\r\nSet-Cookie": {"forged=1"}}
			return forged
		}},
		{"a protocol that splits it", func(r *store.Record) string {
			r.Proto = "HTTP/1.1 200 OK\r\nSet-Cookie: forged=1\r\n"
			return forged
		}},
		{"a status of none", func(r *store.Record) string { r.Status = 0; return forged }},
		{"a status below any", func(r *store.Record) string { r.Status = -200; return forged }},
		{"a status beyond any", func(r *store.Record) string { r.Status = 123456; return forged }},
		{"an interim status", func(r *store.Record) string { r.Status = 101; return forged }},
		{"a status without a body, with one", func(r *store.Record) string { r.Status = 204; return smuggle }},
		{"a 304 as what is stored", func(r *store.Record) string { r.Status = 304; return smuggle }},
		{"a part of more than there is", func(r *store.Record) string {
			r.Status = 206
			r.Header.Set("Content-Range", "bytes 0-99999999999999999999/9")
			return forged
		}},
		{"times without end", func(r *store.Record) string {
			r.Received, r.Requested = time.Unix(math.MaxInt64/4, 0), time.Unix(math.MinInt64/4, 0)
			r.TTL = math.MinInt64
			return forged
		}},
		{"a method that it was not", func(r *store.Record) string { r.Method = "HEAD\r\n"; return forged }},
		{"a URL of somebody else", func(r *store.Record) string { r.URL = "javascript:alert(1)"; return forged }},
		{"a thousand fields to select by", func(r *store.Record) string {
			r.Header.Set("Vary", strings.Repeat("X-A, ", 1000))
			return forged
		}},
	} {
		for kind, open := range map[string]func() (store.Store, error){
			"memory": func() (store.Store, error) { return new(memory.Store), nil },
			"disk":   func() (store.Store, error) { return disk.Open(t.TempDir(), nil) },
		} {
			t.Run(test.name+", in "+kind, func(t *testing.T) {
				s, err := open()
				if err != nil {
					t.Fatal(err)
				}
				serveTampered(t, s, test.name, test.tamper)
			})
		}
	}
}

// serveTampered has a response stored, tampers with it, and asks for it and for another one on one connection.
func serveTampered(t *testing.T, s store.Store, name string, tamper func(*store.Record) (body string)) {
	origin := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, honest+" of "+r.URL.Path)
	})
	p := run(t, origin, func(p *running) { p.p.Cache.Store = s })
	p.get("/a")
	tamperWith(t, s, tamper)
	conn, r := p.dial()
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /a HTTP/1.1\r\nHost: "+p.addr+"\r\n\r\nGET /b HTTP/1.1\r\nHost: "+p.addr+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/a", "/b"} {
		resp, body, err := answer(r)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, new(*net.OpError)) {
			if name == "a status without a body, with one" {
				t.Errorf("%s: %v", path, err)
			}
			break // broken off, which misleads nobody
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if resp.Header.Get("Set-Cookie") != "" || resp.Header.Get("X-Hop") != "" || resp.Trailer.Get("Set-Cookie") != "" {
			t.Errorf("%s is answered with %v", path, resp.Header)
		}
		if path == "/a" && name == "another body" && body != forged {
			t.Errorf("the store was tampered with, and /a is answered %q: nothing is shown", body)
		}
		if path == "/a" && name == "a status without a body, with one" && resp.StatusCode != http.StatusNoContent {
			t.Errorf("/a is answered %s", resp.Status)
		}
		if path == "/b" && body != honest+" of /b" {
			t.Errorf("/b is answered %q", body)
		}
	}
	if _, body := p.get("/b"); body != honest+" of /b" {
		t.Errorf("afterwards /b is answered %q", body)
	}
}

// answer reads one response.
func answer(r *bufio.Reader) (resp *http.Response, body string, err error) {
	resp, err = http.ReadResponse(r, &http.Request{Method: http.MethodGet})
	if err != nil {
		return nil, "", err
	}
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

// tamperWith changes the one record that s holds.
func tamperWith(t *testing.T, s store.Store, tamper func(*store.Record) string) {
	t.Helper()
	var found *store.Record
	for r, err := range store.Finder.Find(s.(store.Finder), t.Context(), store.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Status == http.StatusOK {
			found = r
		}
	}
	if found == nil {
		t.Fatal("nothing is stored")
	}
	r := found.Clone()
	r.ID, r.Body = store.NewID(time.Now()), nil
	body := tamper(r)
	r.Size = int64(len(body))
	w, err := s.Create(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := io.WriteString(w, body); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(r, found.ID); err != nil {
		t.Fatal(err)
	}
}

// TestBrokenBodiesHideNoRequest sends bodies that end where nobody can tell. What follows may be meant as their rest, as
// it would be to a proxy in front that reads them otherwise, and is answered by nobody.
func TestBrokenBodiesHideNoRequest(t *testing.T) {
	paths := make(chan string, 99)
	p := run(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		paths <- r.URL.Path
		if r.URL.Path != "/early" {
			io.Copy(io.Discard, r.Body)
		}
	}))
	const hidden = "GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
	for _, head := range []string{"POST /", "POST /early", "POST /refused"} {
		for _, body := range []string{"nonsense\r\n", "3\r\nabc\r\nnonsense\r\n", "3\nabc\r\n0\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n"} {
			conn, r := p.dial()
			fields := ""
			if head == "POST /refused" {
				fields = "Cache-Control: only-if-cached\r\n"
			}
			io.WriteString(conn, head+" HTTP/1.1\r\nHost: localhost\r\n"+fields+"Transfer-Encoding: chunked\r\n\r\n"+body+hidden)
			got, err := io.ReadAll(r)
			if n := strings.Count(string(got), "HTTP/1.1 "); n != 1 || err != nil && !errors.Is(err, errno.ECONNRESET) {
				t.Errorf("%s with %q: come %d answers, %v, want one and the end:\n%s", head, body, n, err, got)
			}
		}
	}
	for len(paths) > 0 {
		if path := <-paths; path == "/hidden" {
			t.Error("the origin is asked for what is hidden")
		}
	}
}

// TestDeception asks for an account under the name of a style sheet, as somebody does who wants it stored for all (RFC
// 9111 §7.1): what the response says decides, and not what the path looks like.
func TestDeception(t *testing.T) {
	origin := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if cc := r.URL.Query().Get("cc"); cc != "" {
			w.Header().Set("Cache-Control", cc)
		}
		io.WriteString(w, "account of "+r.Header.Get("Cookie")+r.Header.Get("Authorization"))
	})
	for _, path := range []string{"/account/x.css", "/account/%2e%2e/x.css", "/account;x.css", "/account%3Fx.css", "/account%0Ax.css", "/account/x.css?cc=private,max-age=60",
		"/account/x.css?cc=no-store", "/static/..%5caccount.js"} {
		for _, who := range []string{"Cookie: victim", "Authorization: victim"} {
			p := run(t, origin)
			if resp, body := p.get(path, who); resp.StatusCode == 200 && body != "account of victim" {
				t.Errorf("%s: the victim gets %q", path, body)
			}
			if _, body := p.get(path); strings.Contains(body, "victim") {
				t.Errorf("%s: somebody else gets %q", path, body)
			}
		}
	}
}

// TestPoisoning sends what is not part of the key to an origin that answers by it, and asks again as somebody else.
func TestPoisoning(t *testing.T) {
	origin := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		sent, _ := io.ReadAll(r.Body)
		for name, values := range r.Header { // as CGI does
			if name := strings.ReplaceAll(name, "_", "-"); name != http.CanonicalHeaderKey(name) {
				r.Header[http.CanonicalHeaderKey(name)] = values
			}
		}
		for _, name := range []string{"Forwarded", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Scheme", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Server",
			"X-Original-URL", "X-Rewrite-URL", "X-Real-IP", "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
			sent = append(sent, r.Header.Get(name)...)
		}
		io.WriteString(w, r.Host+" "+r.RequestURI+" "+string(sent))
	})
	for _, test := range []struct{ target, fields, body string }{
		{"/", "X-Forwarded-Host: evil", ""},
		{"/", "Forwarded: host=evil", ""},
		{"/", "X-Forwarded-Scheme: evil\r\nX-Forwarded-Port: evil\r\nX-Forwarded-Prefix: evil\r\nX-Forwarded-Server: evil", ""},
		{"/", "x-forwarded-host: evil\r\nX_Forwarded_Host: evil", ""},
		{"/", "X-Original-URL: /evil\r\nX-Rewrite-URL: /evil\r\nX-Real-IP: evil", ""},
		{"/", "X-HTTP-Method-Override: evil\r\nX-HTTP-Method: evil\r\nX_Method_Override: evil", ""},
		{"/", "Content-Length: 4", "evil"},
		{"/", "Transfer-Encoding: chunked", "4\r\nevil\r\n0\r\n\r\n"},
		{"/?a=1;evil=1", "", ""},
		{"/?a=1&evil", "", ""},
		{"/%0d%0aevil", "", ""},
		{"http://HERE/evil", "", ""},
		{"/#evil", "", ""},
	} {
		p := run(t, origin)
		fields := test.fields
		if fields != "" {
			fields += "\r\n"
		}
		conn, r := p.dial()
		io.WriteString(conn, "GET "+strings.ReplaceAll(test.target, "HERE", p.addr)+" HTTP/1.1\r\nHost: "+p.addr+"\r\n"+fields+"Connection: close\r\n\r\n"+test.body)
		answer(r)
		conn.Close()
		for _, victim := range []string{"/", "/?a=1"} {
			if _, body := p.get(victim); strings.Contains(body, "evil") {
				t.Errorf("after %q with %q and the body %q %s is answered %q", test.target, test.fields, test.body, victim, body)
			}
		}
	}
	// By the name that it is asked under, an origin that passes it on may answer: these are two origins to the cache.
	p := run(t, origin, func(p *running) { p.p.PreserveHost, p.p.Hosts = true, []string{"one.example", "evil.example"} })
	p.get("/", "Host: evil.example")
	if _, body := p.get("/", "Host: one.example"); !strings.HasPrefix(body, "one.example ") {
		t.Errorf("one.example is answered %q", body)
	}
}

// TestPoisoningByHost asks under a name of its own an origin that is told of it, and asks again under another.
func TestPoisoningByHost(t *testing.T) {
	origin := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, r.Header.Get("X-Forwarded-Proto")+"://"+r.Header.Get("X-Forwarded-Host")+" "+r.Header.Get("Forwarded"))
	})
	p := &proxy.Proxy{Origins: []proxy.Origin{parse(t, origin)}, Hosts: []string{"*"}, Forwarded: true}
	plain, secure := httptest.NewServer(p), httptest.NewTLSServer(p)
	defer plain.Close()
	defer secure.Close()
	for _, test := range []struct{ url, host, want string }{
		{plain.URL, "evil.example", "http://evil.example"},
		{plain.URL, "one.example", "http://one.example"},
		{plain.URL, "one.example:81", "http://one.example:81"},
		{secure.URL, "one.example", "https://one.example"},
	} {
		req, err := http.NewRequest("GET", test.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = test.host
		resp, err := secure.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !strings.HasPrefix(string(body), test.want+" ") {
			t.Errorf("%s of %s is answered %q, %v", test.url, test.host, body, err)
		}
	}
}
