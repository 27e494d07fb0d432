package rfc9111

import (
	"net/url"
	"slices"
	"testing"
)

func TestInvalidates(t *testing.T) {
	const own = "http://example.com/a/b?q=1"
	for _, c := range []struct {
		name   string
		method string
		status int
		lines  []string
		want   []string
	}{
		{"POST", "POST", 200, nil, []string{own}},
		{"PUT", "PUT", 204, nil, []string{own}},
		{"DELETE", "DELETE", 200, nil, []string{own}},
		{"PATCH", "PATCH", 200, nil, []string{own}},
		{"an unknown method", "M-SEARCH", 200, nil, []string{own}},
		{"a method that only looks safe", "get", 200, nil, []string{own}},
		{"the last status of success", "POST", 299, nil, []string{own}},
		{"the last status of a redirect", "POST", 399, nil, []string{own}},
		{"the first error", "POST", 400, nil, nil},
		{"TRACE", "TRACE", 200, nil, nil},
		{"REPORT", "REPORT", 200, nil, nil},
		{"SEARCH", "SEARCH", 200, nil, nil},
		{"a redirect", "POST", 303, nil, []string{own}},
		{"GET", "GET", 200, []string{"Location: /x"}, nil},
		{"no method", "", 200, nil, nil},
		{"HEAD", "HEAD", 200, nil, nil},
		{"OPTIONS", "OPTIONS", 200, nil, nil},
		{"QUERY", "QUERY", 200, []string{"Location: /x"}, nil},
		{"PROPFIND", "PROPFIND", 207, nil, nil},
		{"a failed POST", "POST", 500, []string{"Location: /x"}, nil},
		{"a refused POST", "POST", 404, nil, nil},
		{"an interim response", "POST", 103, nil, nil},
		{"Location", "POST", 201, []string{"Location: http://example.com/x"}, []string{own, "http://example.com/x"}},
		{"a relative Location", "POST", 201, []string{"Location: c"}, []string{own, "http://example.com/a/c"}},
		{"Content-Location", "PUT", 200, []string{"Content-Location: /y"}, []string{own, "http://example.com/y"}},
		{"both", "PUT", 200, []string{"Content-Location: /y", "Location: /x#f"}, []string{own, "http://example.com/x", "http://example.com/y"}},
		{"the same again", "PUT", 200, []string{"Content-Location: b?q=1", "Location:"}, []string{own}},
		{"the default port", "POST", 201, []string{"Location: HTTP://EXAMPLE.com:80/x"}, []string{own, "http://EXAMPLE.com:80/x"}},
		{"both of another origin", "POST", 201, []string{"Location: //a.example", "Content-Location: //b.example"}, []string{own}},
		{"two Locations, the first of another origin", "POST", 201, []string{"Location: //a.example", "Location: /y"}, []string{own, "http://example.com/y"}},
		{"two Locations", "POST", 201, []string{"Location: /x", "Location: /y"}, []string{own, "http://example.com/x", "http://example.com/y"}},
		{"a query alone", "POST", 201, []string{"Location: ?p=2"}, []string{own, "http://example.com/a/b?p=2"}},
		{"another host", "POST", 201, []string{"Location: http://example.org/x"}, []string{own}},
		{"another port", "POST", 201, []string{"Location: http://example.com:8080/x"}, []string{own}},
		{"another scheme", "POST", 201, []string{"Location: https://example.com/x"}, []string{own}},
		{"another host without scheme", "POST", 201, []string{"Location: //example.org/x"}, []string{own}},
		{"what is no URL", "POST", 201, []string{"Location: http://[::1", "Content-Location: %zz"}, []string{own}},
		{"what has no host", "POST", 201, []string{"Location: mailto:a@example.com"}, []string{own}},
	} {
		u, err := url.Parse("http://me:secret@example.com/a/b?q=1#part")
		if err != nil {
			t.Fatal(err)
		}
		got := Invalidates(&Request{Method: c.method, URL: u}, c.status, fields(c.lines...))
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// The methods of the IANA registry, and whether they are registered as safe.
func TestSafe(t *testing.T) {
	for method, want := range map[string]bool{
		"": true, "GET": true, "HEAD": true, "OPTIONS": true, "PRI": true, "PROPFIND": true, "QUERY": true, "REPORT": true,
		"SEARCH": true, "TRACE": true,
		"*": false, "ACL": false, "BASELINE-CONTROL": false, "BIND": false, "CHECKIN": false, "CHECKOUT": false, "CONNECT": false,
		"COPY": false, "DELETE": false, "LABEL": false, "LINK": false, "LOCK": false, "MERGE": false, "MKACTIVITY": false,
		"MKCALENDAR": false, "MKCOL": false, "MKREDIRECTREF": false, "MKWORKSPACE": false, "MOVE": false, "ORDERPATCH": false,
		"PATCH": false, "POST": false, "PROPPATCH": false, "PUT": false, "REBIND": false, "UNBIND": false, "UNCHECKOUT": false,
		"UNLINK": false, "UNLOCK": false, "UPDATE": false, "UPDATEREDIRECTREF": false, "VERSION-CONTROL": false,
		"query": false, "FROBNICATE": false,
	} {
		if safe(method) != want {
			t.Errorf("%s: want %v", method, want)
		}
	}
}

func TestSameOrigin(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"http://h/a", "http://h/b?c", true},
		{"http://h", "HTTP://H:80/", true},
		{"https://h", "https://h:443/", true},
		{"https://h:443", "http://h:443", false},
		{"http://h:443", "https://h", false},
		{"http://h", "http://h.", false},
		{"http://h", "http://h:8080", false},
		{"http://h", "http://h:", true},
		{"http://[::1]", "http://[::1]:80", true},
		{"http://[::1]", "http://[::2]", false},
		{"http://u@h", "http://v@h", true},
		{"ftp://h", "ftp://h", true},
		{"ftp://h", "ftp://h:21", false}, // whose default port is not known here
	} {
		a, err := url.Parse(c.a)
		if err != nil {
			t.Fatal(err)
		}
		b, err := url.Parse(c.b)
		if err != nil {
			t.Fatal(err)
		}
		if sameOrigin(a, b) != c.want || sameOrigin(b, a) != c.want {
			t.Errorf("%s and %s: want %v", a, b, c.want)
		}
	}
}

// FuzzInvalidates: whatever the response says, nothing of another origin is invalidated.
func FuzzInvalidates(f *testing.F) {
	for _, s := range []string{"/x", "//example.org", "http://example.com:80/", "http://example.com@example.org/", "\\\\example.org", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, location string) {
		own, err := url.Parse("http://example.com/a")
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range Invalidates(&Request{Method: "POST", URL: own}, 200, fields("Location: "+location)) {
			u, err := url.Parse(s)
			if err != nil || !sameOrigin(own, u) || u.Fragment != "" || u.User != nil {
				t.Errorf("%q: %q, %v", location, s, err)
			}
		}
	})
}
