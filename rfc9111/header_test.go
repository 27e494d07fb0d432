package rfc9111

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
)

func TestStoredHeader(t *testing.T) {
	for _, c := range []struct {
		name            string
		header          http.Header
		private, shared http.Header
	}{
		{"nothing", nil, fields(), fields()},
		{"all that is end to end", fields("X-A: 1", "X-A: 2", "Set-Cookie: a", "Content-Foo: b", "Content-Range: c", "Age: 1"),
			fields("X-A: 1", "X-A: 2", "Set-Cookie: a", "Content-Foo: b", "Content-Range: c", "Age: 1"),
			fields("X-A: 1", "X-A: 2", "Set-Cookie: a", "Content-Foo: b", "Content-Range: c", "Age: 1")},
		{"hop-by-hop fields", fields("Connection: close", "Keep-Alive: timeout=5", "Proxy-Connection: x", "TE: trailers", "Trailer: X",
			"Transfer-Encoding: chunked", "Upgrade: h2c", "Proxy-Authenticate: Basic", "Proxy-Authentication-Info: x",
			"Proxy-Authorization: x", "A: 1"), fields("A: 1"), fields("A: 1")},
		{"what Connection lists", fields("Connection: x-a, close", "Connection: X-B", "X-A: 1", "X-B: 2", "X-C: 3"), fields("X-C: 3"), fields("X-C: 3")},
		{"Connection lists what is needed", fields("Connection: cache-control, Vary", "Cache-Control: no-cache", "Vary: A"),
			fields("Cache-Control: no-cache", "Vary: A"), fields("Cache-Control: no-cache", "Vary: A")},
		{"no-cache with fields", fields(`Cache-Control: no-cache="set-cookie"`, "Set-Cookie: a"),
			fields(`Cache-Control: no-cache="set-cookie"`), fields(`Cache-Control: no-cache="set-cookie"`)},
		{"no-cache with a field that can't be left out", fields(`Cache-Control: no-cache="date, x-a"`, "Date: a", "X-A: b"),
			fields(`Cache-Control: no-cache="date, x-a"`, "Date: a", "X-A: b"), fields(`Cache-Control: no-cache="date, x-a"`, "Date: a", "X-A: b")},
		{"fields on several lines", fields(`Cache-Control: no-cache="a"`, `Cache-Control: no-cache=b, private="c"`, "A: 1", "B: 2", "C: 3"),
			fields(`Cache-Control: no-cache="a"`, `Cache-Control: no-cache=b, private="c"`, "C: 3"),
			fields(`Cache-Control: no-cache="a"`, `Cache-Control: no-cache=b, private="c"`)},
		{"private with fields", fields(`Cache-Control: private="x-user"`, "X-User: a"),
			fields(`Cache-Control: private="x-user"`, "X-User: a"), fields(`Cache-Control: private="x-user"`)},
	} {
		before := c.header.Clone()
		if got := (Policy{}).StoredHeader(c.header); !reflect.DeepEqual(got, c.private) {
			t.Errorf("%s: private: got %v, want %v", c.name, got, c.private)
		}
		got := (Policy{Shared: true}).StoredHeader(c.header)
		if !reflect.DeepEqual(got, c.shared) {
			t.Errorf("%s: shared: got %v, want %v", c.name, got, c.shared)
		}
		for _, v := range got {
			v[0] = "changed"
		}
		if !reflect.DeepEqual(c.header, before) {
			t.Errorf("%s: the argument has changed: %v, was %v", c.name, c.header, before)
		}
	}
}

func TestFreshen(t *testing.T) {
	for _, c := range []struct {
		name                string
		stored, fresh, want []string
	}{
		{"what is not repeated stays", []string{"Test: a", `ETag: "a"`}, []string{`ETag: "a"`}, []string{"Test: a", `ETag: "a"`}},
		{"what is repeated is replaced", []string{"Test: a", "Test: b"}, []string{"Test: c"}, []string{"Test: c"}},
		{"what is new is added", []string{"A: 1"}, []string{"B: 2", "B: 3"}, []string{"A: 1", "B: 2", "B: 3"}},
		{"freshness", []string{"Cache-Control: max-age=1", "Date: old", "Expires: old"}, []string{"Cache-Control: max-age=2", "Date: new", "Expires: new"},
			[]string{"Cache-Control: max-age=2", "Date: new", "Expires: new"}},
		{"Age and Date of the old message go", []string{"Age: 50", "Date: old", "A: 1"}, nil, []string{"A: 1"}},
		{"Age and Date of the new one come", []string{"Age: 50", "Date: old"}, []string{"Age: 3", "Date: new"}, []string{"Age: 3", "Date: new"}},
		{"what describes the content stays", []string{"Content-Length: 9", "Content-Encoding: gzip", "Content-Range: a", "Content-Digest: a"},
			[]string{"Content-Length: 0", "Content-Encoding: br", "Content-Range: b", "Content-Digest: b"},
			[]string{"Content-Length: 9", "Content-Encoding: gzip", "Content-Range: a", "Content-Digest: a"}},
		{"what describes the content is not added", nil, []string{"Content-Length: 0", "Content-Encoding: gzip"}, nil},
		{"other Content- fields are replaced", []string{"Content-Type: text/plain", "Content-Foo: a"}, []string{"Content-Type: text/html", "Content-Foo: b"},
			[]string{"Content-Type: text/html", "Content-Foo: b"}},
		{"cookies", []string{"Set-Cookie: a=1", "Set-Cookie: b=1"}, []string{"Set-Cookie: c=1"}, []string{"Set-Cookie: c=1"}},
		{"hop-by-hop fields", []string{"A: 1"}, []string{"Connection: x", "X: 1", "Keep-Alive: 1", "Transfer-Encoding: a"}, []string{"A: 1"}},
		{"validators and Vary", []string{`ETag: "a"`, "Last-Modified: a", "Vary: a"}, []string{`ETag: "b"`, "Last-Modified: b", "Vary: b"},
			[]string{`ETag: "b"`, "Last-Modified: b", "Vary: b"}},
		{"what Connection lists and the answer needs", []string{"Cache-Control: max-age=1"}, []string{"Connection: cache-control", "Cache-Control: max-age=2"},
			[]string{"Cache-Control: max-age=2"}},
		{"a weak tag stays weak", []string{`ETag: W/"a"`}, []string{`ETag: "a"`}, []string{`ETag: W/"a"`}},
		{"a strong tag may become weak", []string{`ETag: "a"`}, []string{`ETag: W/"a"`}, []string{`ETag: W/"a"`}},
		{"another tag", []string{`ETag: W/"a"`}, []string{`ETag: "b"`}, []string{`ETag: "b"`}},
		{"what the new Cache-Control lists is not stored", []string{"X-A: 1"}, []string{`Cache-Control: no-cache="x-a, x-b"`, "X-B: 1"},
			[]string{`Cache-Control: no-cache="x-a, x-b"`}},
		{"what the stored Cache-Control lists is not stored", []string{`Cache-Control: no-cache="x-a"`}, []string{"X-A: 1"},
			[]string{`Cache-Control: no-cache="x-a"`}},
		{"what is private stays in a private cache", []string{"X-A: 1"}, []string{`Cache-Control: private="x-a"`}, []string{"X-A: 1", `Cache-Control: private="x-a"`}},
	} {
		stored, fresh, want := fields(c.stored...), fields(c.fresh...), fields(c.want...)
		got := Policy{}.Freshen(stored, fresh)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", c.name, got, want)
		}
		if !reflect.DeepEqual(stored, fields(c.stored...)) || !reflect.DeepEqual(fresh, fields(c.fresh...)) {
			t.Errorf("%s: an argument has changed: %v, %v", c.name, stored, fresh)
		}
	}
	if got, want := (Policy{Shared: true}).Freshen(fields("X-A: 1"), fields(`Cache-Control: private="x-a"`)), fields(`Cache-Control: private="x-a"`); !reflect.DeepEqual(got, want) {
		t.Errorf("what is private, in a shared cache: got %v, want %v", got, want)
	}
	if got, want := (Policy{}).Freshen(nil, fields("A: 1")), fields("A: 1"); !reflect.DeepEqual(got, want) {
		t.Errorf("nothing stored: got %v, want %v", got, want)
	}
}

// What has been done to a header once changes nothing the second time, and the length of the content stays.
func FuzzHeader(f *testing.F) {
	f.Add("Connection: a, b\nA: 1\nCache-Control: no-cache=\"c\", private=d\nC: 2\nContent-Length: 9", "Content-Length: 0\nConnection: x\nX: 1\nETag: \"a\"")
	f.Add("ETag: W/\"a\"\nAge: 3", "ETag: \"a\"\nAge: 4\nDate: x")
	f.Add("Connection: connection, content-length\nContent-Length: 1", "")
	f.Fuzz(func(t *testing.T, a, b string) {
		stored, fresh := fields(strings.Split(a, "\n")...), fields(strings.Split(b, "\n")...)
		for _, p := range []Policy{{}, {Shared: true}} {
			once := p.StoredHeader(stored)
			if twice := p.StoredHeader(once); !reflect.DeepEqual(twice, once) {
				t.Errorf("%q is stored as %q, and that as %q", stored, once, twice)
			}
		}
		once := Policy{}.Freshen(stored, fresh)
		if twice := (Policy{}).Freshen(once, fresh); !reflect.DeepEqual(twice, once) {
			t.Errorf("%q freshened by %q is %q, and again %q", stored, fresh, once, twice)
		}
		for _, name := range describesContent {
			if !reflect.DeepEqual(once[name], stored[name]) && !strings.Contains(strings.ToLower(a), "connection") {
				t.Errorf("%s was %q and is %q", name, stored[name], once[name])
			}
		}
		for name := range once {
			if hopByHop(name) {
				t.Errorf("%s: %q is left", name, once[name])
			}
		}
	})
}
