package rfc9111

import (
	"net/url"
	"testing"
)

func TestAsGet(t *testing.T) {
	const own = "http://example.com/a/b?q=1"
	for _, c := range []struct {
		name   string
		method string
		status int
		lines  []string
		want   string
	}{
		{"POST", "POST", 200, []string{"Content-Location: /a/b?q=1", "Cache-Control: max-age=60"}, own},
		{"PATCH", "PATCH", 200, []string{"Content-Location: /a/b?q=1", "Cache-Control: max-age=60"}, own},
		{"an absolute URL", "POST", 200, []string{"Content-Location: " + own, "Cache-Control: max-age=60"}, own},
		{"a relative one", "POST", 200, []string{"Content-Location: b?q=1", "Cache-Control: max-age=60"}, own},
		{"an empty one, which is the URL itself", "POST", 200, []string{"Content-Location:", "Cache-Control: max-age=60"}, own},
		{"with white space", "POST", 200, []string{"Content-Location: \t" + own + " ", "Cache-Control: max-age=60"}, own},
		{"another one, which is for the caller to see", "POST", 200, []string{"Content-Location: /c", "Cache-Control: max-age=60"}, "http://example.com/c"},
		{"Expires", "POST", 200, []string{"Content-Location: " + own, "Expires: Tue, 21 Jul 2099 04:00:00 GMT"}, own},
		{"explicitly stale, for Storable to judge", "POST", 200, []string{"Content-Location: " + own, "Cache-Control: max-age=0"}, own},
		{"s-maxage in a private cache", "POST", 200, []string{"Content-Location: " + own, "Cache-Control: s-maxage=60"}, ""},
		{"no freshness", "POST", 200, []string{"Content-Location: " + own}, ""},
		{"heuristic freshness", "POST", 200, []string{"Content-Location: " + own, "Last-Modified: Tue, 21 Jul 2009 04:00:00 GMT"}, ""},
		{"no Content-Location", "POST", 200, []string{"Cache-Control: max-age=60"}, ""},
		{"Location alone", "POST", 200, []string{"Location: " + own, "Cache-Control: max-age=60"}, ""},
		{"two of them", "POST", 200, []string{"Content-Location: " + own, "Content-Location: " + own, "Cache-Control: max-age=60"}, ""},
		{"another origin", "POST", 200, []string{"Content-Location: https://example.com/a/b?q=1", "Cache-Control: max-age=60"}, ""},
		{"a fragment", "POST", 200, []string{"Content-Location: " + own + "#x", "Cache-Control: max-age=60"}, ""},
		{"what is no URL", "POST", 200, []string{"Content-Location: %zz", "Cache-Control: max-age=60"}, ""},
		{"what has no host", "POST", 200, []string{"Content-Location: http:a", "Cache-Control: max-age=60"}, ""},
		{"a status that reports on the action", "POST", 201, []string{"Content-Location: " + own, "Cache-Control: max-age=60"}, ""},
		{"a status without content", "POST", 204, []string{"Content-Location: " + own, "Cache-Control: max-age=60"}, ""},
		{"a redirect", "POST", 303, []string{"Content-Location: " + own, "Cache-Control: max-age=60"}, ""},
		{"an error", "POST", 404, []string{"Content-Location: " + own, "Cache-Control: max-age=60"}, ""},
		{"PUT", "PUT", 200, []string{"Content-Location: " + own, "Cache-Control: max-age=60"}, ""},
		{"DELETE", "DELETE", 200, []string{"Content-Location: " + own, "Cache-Control: max-age=60"}, ""},
		{"GET", "GET", 200, []string{"Content-Location: " + own, "Cache-Control: max-age=60"}, ""},
		{"a method in small letters", "post", 200, []string{"Content-Location: " + own, "Cache-Control: max-age=60"}, ""},
	} {
		u, err := url.Parse(own)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if u := (Policy{}).AsGet(&Request{Method: c.method, URL: u}, Parse(Response{Method: c.method, Status: c.status, Header: fields(c.lines...)})); u != nil {
			got = u.String()
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
