package page_test

import (
	"net/http"
	"strings"
	"testing"
)

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func host(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }

func from(addr string) func(*http.Request) { return func(r *http.Request) { r.RemoteAddr = addr } }

// TestWhoIsAnswered goes through those who ask: this machine, others, and web pages that a user of this machine looks
// at.
func TestWhoIsAnswered(t *testing.T) {
	type changes = []func(*http.Request)
	for _, c := range []struct {
		name   string
		token  string
		change changes
		status int
	}{
		{"this machine", "", nil, 200},
		{"this machine, by address", "", changes{host("127.0.0.1:8090")}, 200},
		{"this machine, by IPv6", "", changes{host("[::1]:8090"), from("[::1]:5000")}, 200},
		{"a name that leads here (DNS rebinding)", "", changes{host("evil.test:8090")}, 421},
		{"a name like localhost", "", changes{host("localhost.evil.test")}, 421},
		{"a name that was given", "", changes{host("cache.test")}, 200},
		{"that name in capitals, and with its dot", "", changes{host("Cache.Test.:8090")}, 200},
		{"this machine in capitals, and with its dot", "", changes{host("LOCALHOST.:8090")}, 200},
		{"a name below localhost", "", changes{host("larder.localhost:8090")}, 200},
		{"another machine, without a token", "", changes{from("192.0.2.1:5000"), host("192.0.2.2")}, 403},
		{"this machine, through a proxy", "", changes{header("X-Forwarded-For", "192.0.2.1")}, 403},
		{"another site's script", "", changes{header("Sec-Fetch-Site", "cross-site"), header("Origin", "https://evil.test")}, 403},
		{"a script of another port", "", changes{header("Sec-Fetch-Site", "same-site"), header("Origin", "http://localhost:8080")}, 403},
		{"another site's form, of an old browser", "", changes{header("Origin", "https://evil.test")}, 403},
		{"the page itself", "", changes{header("Sec-Fetch-Site", "same-origin"), header("Origin", "http://localhost:8090")}, 200},
		{"no token", "s3cret", nil, 401},
		{"a wrong token", "s3cret", changes{header("Authorization", "Bearer wrong")}, 401},
		{"a cookie is no token", "s3cret", changes{header("Cookie", "token=s3cret")}, 401},
		{"a query is no token", "s3cret", changes{func(r *http.Request) { r.URL.RawQuery += "&token=s3cret" }}, 401},
		{"the token, by another scheme", "s3cret", changes{header("Authorization", "Basic s3cret")}, 401},
		{"the token", "s3cret", changes{header("Authorization", "Bearer s3cret")}, 200},
		{"the token, from another machine", "s3cret", changes{header("Authorization", "bearer s3cret"), from("192.0.2.1:5000"), host("192.0.2.2")}, 200},
		{"the token, under a foreign name", "s3cret", changes{header("Authorization", "Bearer s3cret"), host("evil.test")}, 421},
	} {
		s := newSite(t).fill("/a")
		s.page.Token, s.page.Hosts = c.token, []string{"cache.test"}
		w := s.ask("POST", "/api/purge?all=1", "", c.change...)
		if w.Code != c.status {
			t.Errorf("%s: %d %s, want %d", c.name, w.Code, w.Body, c.status)
		}
		left := 1
		if c.status == 200 {
			left = 0
		}
		s.page.Token = ""
		if n := get[listing](s, "/api/entries").Matches; n != left {
			t.Errorf("%s: %d entries are left, want %d", c.name, n, left)
		}
	}
}

// TestAnotherSiteLearnsNothing, and cannot keep the store busy either, whether it is given the answer or not.
func TestAnotherSiteLearnsNothing(t *testing.T) {
	s := newSite(t).fill("/a")
	for from, status := range map[string]int{"cross-site": 403, "same-site": 403, "same-origin": 200, "none": 200} {
		if w := s.ask("GET", "/api/entries", "", header("Sec-Fetch-Site", from)); w.Code != status {
			t.Errorf("%s: %d %s, want %d", from, w.Code, w.Body, status)
		}
	}
}

// TestFilesNeedNoToken, for a browser has none yet when it asks for them.
func TestFilesNeedNoToken(t *testing.T) {
	s := newSite(t)
	s.page.Token = "s3cret"
	for target, status := range map[string]int{"/": 200, "/app.js": 200, "/api/about": 401} {
		if w := s.ask("GET", target, ""); w.Code != status || w.Body.Len() == 0 {
			t.Errorf("%s: %d, %d bytes; want %d", target, w.Code, w.Body.Len(), status)
		}
	}
}

// TestPolicy shows that every answer, faults too, forbids what the page does not need.
func TestPolicy(t *testing.T) {
	s := newSite(t).fill("/a")
	for _, target := range []string{"/", "/app.js", "/page.css", "/vendor/uplot/uPlot.esm.js", "/api/figures", "/api/entries", "/nothing", "/api/nothing"} {
		w := s.ask("GET", target, "")
		h := w.Header()
		policy := h.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; script-src 'self'; style-src 'self';") || strings.Contains(policy, "unsafe") ||
			!strings.Contains(policy, "frame-ancestors 'none'") || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" ||
			h.Get("X-Frame-Options") != "DENY" || h.Get("Cross-Origin-Resource-Policy") != "same-origin" || h.Get("Cross-Origin-Opener-Policy") != "same-origin" ||
			h.Get("Cache-Control") != "no-store" || h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %v", target, h)
		}
	}
}

// TestAssetsNameNoOtherHost shows that the page's own files load nothing from elsewhere.
func TestAssetsNameNoOtherHost(t *testing.T) {
	s := newSite(t)
	for _, name := range []string{"", "app.js", "api.js", "charts.js", "code.js", "dom.js", "entries.js", "entry.js", "figures.js", "format.js", "parts.js", "why.js", "page.css"} {
		w := s.ask("GET", "/"+name, "")
		if w.Code != 200 {
			t.Errorf("%s: %d", name, w.Code)
		}
		for _, sign := range []string{`src="http`, `import "http`, "@import", "url(", ".innerHTML", "eval(", "document.write"} {
			if strings.Contains(w.Body.String(), sign) {
				t.Errorf("%s has %s", name, sign)
			}
		}
	}
}
