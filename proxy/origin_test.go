package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/larder-go/larder/proxy"
)

func TestParseOrigin(t *testing.T) {
	for _, test := range []struct{ in, want string }{ // want: Host Prefix URL, or what the error says
		{"https://api.example.com", "[] [] https://api.example.com"},
		{"HTTPS://api.example.com:8443/base/", "[] [] https://api.example.com:8443/base/"},
		{"http://[::1]:80", "[] [] http://[::1]:80"},
		{"/v1=https://api.example.com/v1", "[] [/v1] https://api.example.com/v1"},
		{"/v1/=https://a", "[] [/v1] https://a"},
		{"/=https://a", "[] [] https://a"},
		{"api.local=https://a", "[api.local] [] https://a"},
		{"api.local:81/x=https://a/?", "it may hold no query or fragment"},
		{"api.local:81/x=https://a", "[api.local:81] [/x] https://a"},
		{"[::1]=https://a", "[[::1]] [] https://a"},
		{"http://a/x=http://b", "[] [] http://a/x=http://b"},

		{"", `origin "": want a URL that begins with http:// or https://, or PREFIX=URL, HOST=URL or HOST/PREFIX=URL`},
		{"api.example.com", "want a URL"},
		{"ftp://a", "want a URL"},
		{"/v1", "want a URL"},
		{"/v1=api.example.com", "want a URL"},
		{"=https://a", "there is neither a prefix nor a host before the ="},
		{"http://", "there is no host in it"},
		{"http:///path", "there is no host in it"},
		{"http://:80", "there is no host in it"},
		{"http://[::1", "missing ']' in host"},
		{"http://a:b", "invalid port"},
		{"http://a/%zz", `invalid URL escape "%zz"`},
		{"http://a?x=1", "it may hold no query or fragment"},
		{"http://a#x", "it may hold no query or fragment"},
		{"http://a/x/../y", "its path may hold no . or .. segments"},
		{"/v1/..=http://a", `prefix is "/v1/..", want one such as /v1`},
		{"//evil=http://a", `prefix is "//evil", want one such as /v1`},
		{"/a b=http://a", `prefix is "/a b", want it as it stands in a URL`},
		{"/a?b=http://a", `prefix is "/a?b", want it as it stands in a URL`},
		{"a b=http://a", `host is "a b", want one such as api.local or api.local:8080`},
		{"me@a=http://a", `host is "me@a"`},
		{"http://me:secret@a", `origin "http://a": it may hold no user or password`},
		{"http://me:se@cret@a:b", `origin "http://a:b": it is not a URL`},
		{"/v1=http://me:sec/ret@a", "it is not a URL"},
	} {
		o, err := proxy.ParseOrigin(test.in)
		got := fmt.Sprint(err)
		if err == nil {
			got = fmt.Sprintf("[%s] [%s] %s", o.Host, o.Prefix, o.URL)
			if again, err := proxy.ParseOrigin(o.String()); err != nil || fmt.Sprint(again) != fmt.Sprint(o) {
				t.Errorf("%q: String is %q, which is read as %v, %v", test.in, o, again, err)
			}
		}
		if err == nil && got != test.want || err != nil && !strings.Contains(got, test.want) {
			t.Errorf("%q: %s, want %s", test.in, got, test.want)
		}
		if strings.Contains(got, "secret") || strings.Contains(got, "cret@") || strings.Contains(got, "sec/") {
			t.Errorf("%q: the error tells the password: %s", test.in, got)
		}
	}
}

func TestCheck(t *testing.T) {
	one := parse(t, "http://a")
	for _, test := range []struct {
		p    *proxy.Proxy
		want string
	}{
		{&proxy.Proxy{Origins: []proxy.Origin{one}}, ""},
		{&proxy.Proxy{}, "proxy: no origin is given"},
		{&proxy.Proxy{Origins: []proxy.Origin{{}}}, "proxy: origin : it has no URL"},
		{&proxy.Proxy{Origins: []proxy.Origin{{Prefix: "v1", URL: one.URL}}}, `proxy: origin v1: prefix is "v1", want one such as /v1`},
		{&proxy.Proxy{Origins: []proxy.Origin{one, one}}, `proxy: two origins for ""`},
		{&proxy.Proxy{Origins: []proxy.Origin{{Host: "A", URL: one.URL}, {Host: "a.", URL: one.URL}}}, `proxy: two origins for "a"`},
		{&proxy.Proxy{Origins: []proxy.Origin{one}, Via: "two words"}, "proxy: Via is not a token (RFC 9110 §5.6.2)"},
		{&proxy.Proxy{Origins: []proxy.Origin{one}, MaxBody: -1}, "proxy: MaxBody is negative"},
		{&proxy.Proxy{Origins: []proxy.Origin{one}, StallTimeout: -1}, "proxy: StallTimeout is negative"},
	} {
		got := ""
		if err := test.p.Check(); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
	p := run(t, "")
	resp, _ := p.get("/")
	if resp.StatusCode != 500 || !strings.HasPrefix(resp.Header.Get("Proxy-Status"), "larder; error=proxy_configuration_error;") {
		t.Errorf("a faulty proxy answers %s, %v", resp.Status, resp.Header)
	}
}

// TestOriginsByHostAndPath shows which origin a request reaches, and by which target.
func TestOriginsByHostAndPath(t *testing.T) {
	echo := func(name string) string {
		return serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, name, " ", r.RequestURI) })
	}
	a, b := echo("a"), echo("b")
	all := run(t, "", func(p *running) {
		for _, o := range []string{a, "/v1=" + b, "/v1/deep=" + a + "/base/", "api.local=" + b + "/api", "api.local/v1=" + a,
			"api.local:81=" + a + "/81", "/e%2Ff=" + b + "/x%2Fy"} {
			p.p.Origins = append(p.p.Origins, parse(t, o))
		}
	})
	byHost := run(t, "", func(p *running) { p.p.Origins = []proxy.Origin{parse(t, "api.local/v1="+a)} })
	for _, test := range []struct {
		p          *running
		host, path string
		want       string
	}{
		{all, "", "/", "a /"},
		{all, "", "/x/y?z=1&z=2;3", "a /x/y?z=1&z=2;3"},
		{all, "", "/x?", "a /x?"},
		{all, "", "/v1", "b /"},
		{all, "", "/v1?q", "b /?q"},
		{all, "", "/v1/", "b /"},
		{all, "", "/v1/x%2fy%20z", "b /x%2fy%20z"},
		{all, "", "/v10", "a /v10"},
		{all, "", "/V1/x", "a /V1/x"},
		{all, "", "/v1%2Fx", "a /v1%2Fx"},
		{all, "", "/v1/deep", "a /base"},
		{all, "", "/v1/deep/x", "a /base/x"},
		{all, "", "/v1/deeper", "b /deeper"},
		{all, "", "/e%2Ff/g", "b /x%2Fy/g"},
		{all, "", "//x//y", "a //x//y"},
		{all, "", "/.hidden/a..b/...", "a /.hidden/a..b/..."},
		{all, "API.local", "/x", "b /api/x"},
		{all, "api.local.", "/x", "b /api/x"},
		{all, "api.local:8080", "/v1/x", "a /x"},
		{all, "api.local:81", "/v1/x", "a /81/v1/x"},
		{all, "other.local", "/x", "421"},
		{byHost, "api.local", "/v1/x", "a /x"},
		{byHost, "api.local", "/v2/x", "404"},
		{byHost, "", "/v1/x", "421"},
	} {
		fields := []string{}
		if test.host != "" {
			fields = append(fields, "Host: "+test.host)
		}
		resp, got := test.p.get(test.path, fields...)
		if resp.StatusCode != 200 {
			got = fmt.Sprint(resp.StatusCode)
		}
		if got != test.want {
			t.Errorf("%s%s reaches %s, want %s", test.host, test.path, got, test.want)
		}
	}
}

// TestForeignCharacters shows that what may stand in no URL is escaped in a path, and nothing else is written anew.
func TestForeignCharacters(t *testing.T) {
	echo := func(name string) string {
		return serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, name, " ", r.RequestURI) })
	}
	p := run(t, "", func(p *running) {
		p.p.Origins = []proxy.Origin{parse(t, echo("a")), parse(t, "/v1="+echo("b")+"/x%2Fy")}
	})
	for _, test := range []struct{ target, want string }{
		{"/a%2Fb|c", "a /a%2Fb%7Cc"},
		{"/%41!'()*[]^?|^", "a /%41!'()*[]%5E?|^"},
		{"/\xc3\xa9%2f\"", "a /%C3%A9%2f%22"},
		{"/v1%2Fx|", "a /v1%2Fx%7C"},
		{"/v1/%2F|", "b /x%2Fy/%2F%7C"},
	} {
		if _, got := p.say("GET " + test.target + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); got != test.want {
			t.Errorf("%q reaches %q, want %q", test.target, got, test.want)
		}
	}
}

// TestPathOfAHandlerBefore shows that what a handler around the proxy makes of the path counts, whatever the client
// wrote.
func TestPathOfAHandlerBefore(t *testing.T) {
	p := &proxy.Proxy{Origins: []proxy.Origin{parse(t, serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RequestURI) }))}}
	req := httptest.NewRequest("GET", "/secret%2Fa", nil)
	req.URL.Path = "/public/a"
	w := httptest.NewRecorder()
	p.ServeHTTP(w, req)
	if got := w.Body.String(); got != "/public/a" {
		t.Errorf("the origin is asked for %s", got)
	}
}

// TestNobodysWayIn shows that no request reaches anything but the origins, or a path there that its prefix does not
// allow.
func TestNobodysWayIn(t *testing.T) {
	var strayed atomic.Int64
	evil := strings.TrimPrefix(serve(t, func(http.ResponseWriter, *http.Request) { strayed.Add(1) }), "http://")
	seen := make(chan string, 1)
	origin := serve(t, func(w http.ResponseWriter, r *http.Request) { seen <- r.RequestURI; io.WriteString(w, r.Host) })
	p := run(t, "", func(p *running) { p.p.Origins = []proxy.Origin{parse(t, origin), parse(t, "/v1="+origin+"/v1")} })
	for _, test := range []struct {
		request string // EVIL is another server, HERE the proxy
		status  int
		reaches string // the target that the origin sees; "": it is not asked
	}{
		{"GET http://EVIL/ HTTP/1.1\r\nHost: HERE", 421, ""},
		{"GET http://EVIL/ HTTP/1.1\r\nHost: EVIL", 421, ""},
		{"GET http://example.com/ HTTP/1.0", 421, ""},
		{"GET http://localhost:1/ HTTP/1.1\r\nHost: HERE", 421, ""},
		{"GET http://localhost/ HTTP/1.1\r\nHost: HERE", 421, ""},
		{"GET https://EVIL/ HTTP/1.1\r\nHost: HERE", 421, ""},
		{"GET ftp://HERE/ HTTP/1.1\r\nHost: HERE", 400, ""},
		{"GET http://me:secret@HERE/ HTTP/1.1\r\nHost: HERE", 400, ""},
		{"GET http://HERE@EVIL/ HTTP/1.1\r\nHost: HERE", 400, ""},
		{"GET http://HERE/x HTTP/1.1\r\nHost: EVIL", 200, "/x"}, // RFC 9112 §3.2.2
		{"CONNECT EVIL HTTP/1.1\r\nHost: EVIL", 405, ""},
		{"CONNECT HERE HTTP/1.1\r\nHost: HERE", 405, ""},
		{"GET EVIL HTTP/1.1\r\nHost: HERE", 400, ""},
		{"GET * HTTP/1.1\r\nHost: HERE", 400, ""},
		{"GET  HTTP/1.1\r\nHost: HERE", 400, ""},
		{"GET @EVIL/ HTTP/1.1\r\nHost: HERE", 400, ""},
		{"GET :@EVIL/ HTTP/1.1\r\nHost: HERE", 400, ""},
		{`GET \\EVIL/ HTTP/1.1` + "\r\nHost: HERE", 400, ""},
		{"GET //EVIL/ HTTP/1.1\r\nHost: HERE", 200, "//EVIL/"},
		{"GET ///EVIL/ HTTP/1.1\r\nHost: HERE", 200, "///EVIL/"},
		{`GET /\EVIL/ HTTP/1.1` + "\r\nHost: HERE", 200, "/%5CEVIL/"},
		{"GET /@EVIL/ HTTP/1.1\r\nHost: HERE", 200, "/@EVIL/"},
		{"GET /http://EVIL/ HTTP/1.1\r\nHost: HERE", 200, "/http://EVIL/"},
		{"GET /v1/http://EVIL/ HTTP/1.1\r\nHost: HERE", 200, "/v1/http://EVIL/"},
		{"GET /v1//EVIL/ HTTP/1.1\r\nHost: HERE", 200, "/v1//EVIL/"},
		{"GET /v1@EVIL/ HTTP/1.1\r\nHost: HERE", 200, "/v1@EVIL/"},
		{"GET /v1%2f..%2fx HTTP/1.1\r\nHost: HERE", 400, ""},
		{"GET /v1/../x HTTP/1.1\r\nHost: HERE", 400, ""},
		{"GET /v1/.. HTTP/1.1\r\nHost: HERE", 400, ""},
		{"GET /v1/./x HTTP/1.1\r\nHost: HERE", 400, ""},
		{"GET /v1/%2e%2e/x HTTP/1.1\r\nHost: HERE", 400, ""},
		{"GET /v1/.%2E/x HTTP/1.1\r\nHost: HERE", 400, ""},
		{"GET /v1/%252e%252e/x HTTP/1.1\r\nHost: HERE", 400, ""},
		{"GET /v1/%252E%252e%253bx%252Fy%25 HTTP/1.1\r\nHost: HERE", 400, ""},
		{"GET /v1/..%2fx HTTP/1.1\r\nHost: HERE", 400, ""},
		{"GET /v1/..%5cx HTTP/1.1\r\nHost: HERE", 400, ""},
		{`GET /v1/..\x HTTP/1.1` + "\r\nHost: HERE", 400, ""},
		{"GET /v1/..;a=b/x HTTP/1.1\r\nHost: HERE", 400, ""},
		{"GET /x%00y HTTP/1.1\r\nHost: HERE", 200, "/x%00y"},
		{"GET /x%0d%0aHost:%20EVIL HTTP/1.1\r\nHost: HERE", 200, "/x%0d%0aHost:%20EVIL"},
		{"GET / HTTP/1.1\r\nHost: evil.example", 421, ""}, // as a page does that has its name point at the proxy
		{"GET / HTTP/1.1\r\nHost: localhost.evil.example", 421, ""},
		{"GET / HTTP/1.1\r\nHost: 127.0.0.1.evil.example", 421, ""},
		{"GET / HTTP/1.1\r\nHost: HERE\r\nHost: EVIL", 400, ""},
		{"GET / HTTP/1.1\r\nHost: HERE/\r\nX: EVIL", 400, ""},
		{"GET / HTTP/1.1", 400, ""},
		{"GET / HTTP/1.1\r\nHost: LOCALHOST:99", 200, "/"},
		{"GET / HTTP/1.1\r\nHost: app.localhost", 200, "/"},
		{"GET / HTTP/1.1\r\nHost: [::1]:1", 200, "/"},
		{"GET / HTTP/1.0", 200, "/"},
		{"GET / HTTP/1.1\r\nHost: HERE\r\nX-Forwarded-Host: EVIL\r\nForwarded: host=EVIL\r\nX-Original-URL: http://EVIL/", 200, "/"},
		{"GET / HTTP/1.1\r\nHost: HERE\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\nX: \r\n\r\n0\r\n\r\nG", 200, "/"},
		{"GET / HTTP/1.1\r\nHost: HERE\r\nTransfer-Encoding: gzip, chunked", 501, ""},
		{"GET / HTTP/1.1\r\nHost: HERE\r\nContent-Length: 1\r\nContent-Length: 2", 400, ""},
		{"G@T / HTTP/1.1\r\nHost: HERE", 400, ""},
		{"TRACE / HTTP/1.1\r\nHost: HERE\r\nMax-Forwards: 5", 405, ""},
	} {
		fill := strings.NewReplacer("EVIL", evil, "HERE", p.addr)
		request := fill.Replace(test.request)
		resp, body := p.say(request + "\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n")
		if resp.StatusCode != test.status {
			t.Errorf("%q: %s %q, want %d", request, resp.Status, body, test.status)
		}
		reaches := ""
		select {
		case reaches = <-seen:
		default:
		}
		if want := fill.Replace(test.reaches); reaches != want {
			t.Errorf("%q: the origin sees %q, want %q", request, reaches, want)
		}
		if resp.StatusCode == 200 && body != strings.TrimPrefix(origin, "http://") {
			t.Errorf("%q: the origin is asked for the host %q", request, body)
		}
		byServer := strings.HasPrefix(body, "400 Bad Request") || resp.StatusCode == 501 // net/http's own
		if resp.StatusCode >= 400 && !byServer && !strings.HasPrefix(resp.Header.Get("Proxy-Status"), "larder; error=http_request_error; ") {
			t.Errorf("%q: %s with Proxy-Status %q", request, resp.Status, resp.Header.Get("Proxy-Status"))
		}
	}
	if n := strayed.Load(); n > 0 {
		t.Errorf("%d requests reached another server", n)
	}
}

// TestHostsThatAreNone names a host that is served, and something behind it: an origin that is told of such a host may
// take it for another one, as it may stand in a link.
func TestHostsThatAreNone(t *testing.T) {
	origin := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the origin is asked for %q", r.Header["X-Forwarded-Host"])
	})
	for _, hosts := range [][]string{nil, {"localhost"}, {"*"}} {
		p := run(t, origin, func(p *running) { p.p.Hosts, p.p.PreserveHost, p.p.Forwarded = hosts, true, true })
		for _, host := range []string{"localhost:,evil.example", "localhost:80%2fevil", "localhost:x"} {
			resp, _ := p.say("GET / HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n")
			if got := resp.Header.Get("Proxy-Status"); resp.StatusCode != 400 || !strings.HasPrefix(got, "larder; error=http_request_error; ") {
				t.Errorf("%v, asked for %q: %s, Proxy-Status %q", hosts, host, resp.Status, got)
			}
		}
	}
}

// TestHosts shows under which names the proxy may be asked for.
func TestHosts(t *testing.T) {
	origin := serve(t, func(http.ResponseWriter, *http.Request) {})
	for _, test := range []struct {
		hosts  []string
		host   string
		status int
	}{
		{nil, "localhost", 200},
		{nil, "larder.example", 421},
		{[]string{"Larder.Example"}, "larder.example", 200},
		{[]string{"larder.example"}, "larder.example:8080", 200},
		{[]string{"larder.example"}, "localhost", 421},
		{[]string{"larder.example:80"}, "larder.example:81", 421},
		{[]string{"larder.example:80"}, "larder.example:80", 200},
		{[]string{"*"}, "anything", 200},
		{[]string{}, "localhost", 421},
	} {
		p := run(t, origin, func(p *running) { p.p.Hosts = test.hosts })
		if resp, _ := p.get("/", "Host: "+test.host); resp.StatusCode != test.status {
			t.Errorf("%v, asked for %s: %s, want %d", test.hosts, test.host, resp.Status, test.status)
		}
	}
	for _, test := range []struct {
		hosts  []string
		target string
		status int
	}{
		{[]string{"larder.example"}, "http://larder.example/", 200},
		{[]string{"larder.example"}, "http://evil.example/", 421},
		{[]string{"*"}, "http://evil.example/", 421}, // nobody's forward proxy
	} {
		p := run(t, origin, func(p *running) { p.p.Hosts = test.hosts })
		if resp, _ := p.say("GET " + test.target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); resp.StatusCode != test.status {
			t.Errorf("%v, asked for %s: %s, want %d", test.hosts, test.target, resp.Status, test.status)
		}
	}
}
