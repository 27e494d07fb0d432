package larder

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/larder-go/larder/store"
)

func keyOf(t *testing.T, c *Cache, r Rule, method, rawURL, body string, header ...string) store.Key {
	t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, rawURL, content)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	if r.Methods == nil {
		r.Methods = []string{method}
	}
	compiled, err := compile(r)
	if err != nil {
		t.Fatal(err)
	}
	x := &exchange{req: req, send: req}
	if why := c.prepare(x, []*rule{compiled}); why != "" {
		t.Fatalf("%s %s: %s", method, rawURL, why)
	}
	return x.key
}

func TestSameURLSameKey(t *testing.T) {
	for _, tc := range []struct {
		name, a, b string
		rule       Rule
	}{
		{name: "case of scheme and host", a: "HTTP://Example.COM/a", b: "http://example.com/a"},
		{name: "default port", a: "http://example.com:80/a", b: "http://example.com/a"},
		{name: "default port of https", a: "https://example.com:443/a", b: "https://example.com/a"},
		{name: "empty path", a: "http://example.com", b: "http://example.com/"},
		{name: "dot segments", a: "http://example.com/a/./b/../c", b: "http://example.com/a/c"},
		{name: "dot segment at the end", a: "http://example.com/a/b/..", b: "http://example.com/a/"},
		{name: "dot segments above the root", a: "http://example.com/../../a", b: "http://example.com/a"},
		{name: "escaped unreserved characters", a: "http://example.com/%7Euser/%61", b: "http://example.com/~user/a"},
		{name: "case of escapes", a: "http://example.com/%c3%a9", b: "http://example.com/%C3%A9"},
		{name: "unescaped UTF-8", a: "http://example.com/é?q=é", b: "http://example.com/%C3%A9?q=%C3%A9"},
		{name: "escaped unreserved characters in the query", a: "http://example.com/?q=%7e", b: "http://example.com/?q=~"},
		{name: "fragment", a: "http://example.com/a#x", b: "http://example.com/a"},
		{name: "user in the URL is not part of it", a: "http://example.com/a", b: "http://example.com/a"},
		{name: "order of the query, by rule", a: "http://example.com/?b=2&a=1", b: "http://example.com/?a=1&b=2", rule: Rule{SortQuery: true}},
		{name: "plus and %20, by rule", a: "http://example.com/?q=a+b", b: "http://example.com/?q=a%20b", rule: Rule{SortQuery: true}},
		{name: "x and x=, by rule", a: "http://example.com/?x", b: "http://example.com/?x=", rule: Rule{SortQuery: true}},
		{name: "empty parameters, by rule", a: "http://example.com/?a=1&&b=2&", b: "http://example.com/?a=1&b=2", rule: Rule{SortQuery: true}},
		{name: "an ignored parameter that is escaped", a: "http://example.com/?%C3%A9=1", b: "http://example.com/", rule: Rule{Ignore: Ignore{Query: []string{"é"}}}},
		{name: "an ignored parameter that cannot be read", a: "http://example.com/?a%zz=1&b=1", b: "http://example.com/?b=1", rule: Rule{Ignore: Ignore{Query: []string{"a%zz"}}}},
		{name: "an ignored parameter", a: "http://example.com/?a=1&t=5", b: "http://example.com/?a=1", rule: Rule{Ignore: Ignore{Query: []string{"t"}}}},
		{name: "ignored parameters by prefix", a: "http://example.com/?utm_a=1&utm_b=5", b: "http://example.com/", rule: Rule{Ignore: Ignore{Query: []string{"utm_*"}}}},
	} {
		c := new(Cache)
		if a, b := keyOf(t, c, tc.rule, "GET", tc.a, ""), keyOf(t, c, tc.rule, "GET", tc.b, ""); a != b {
			t.Errorf("%s:\n%q\n%q", tc.name, a, b)
		}
	}
}

// What each byte is written as (RFC 3986 §2 and §6.2.2).
func TestEscapes(t *testing.T) {
	const (
		letters  = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"
		reserved = ":/?#[]@!$&'()*+,;="
	)
	for c := range 256 {
		letter := string([]byte{byte(c)})
		escaped := fmt.Sprintf("%%%02X", c)
		bare, decoded := escaped, escaped
		if strings.Contains(letters, letter) {
			decoded = letter
		}
		if strings.Contains(letters+reserved+"%", letter) {
			bare = letter
		}
		if got := normalEscapes(letter); got != bare {
			t.Errorf("%q: got %q, want %q", letter, got, bare)
		}
		for _, s := range []string{escaped, strings.ToLower(escaped)} {
			if got := normalEscapes(s); got != decoded {
				t.Errorf("%q: got %q, want %q", s, got, decoded)
			}
			if got := escapes(s, false); got != escaped {
				t.Errorf("%q, without decoding: got %q, want %q", s, got, escaped)
			}
			if got := escapesUnreserved("%" + s); got != (decoded == letter) { // behind a stray one
				t.Errorf("%q: escapes an unreserved character: %v", s, got)
			}
		}
		if got := isHex(byte(c)); got != strings.Contains("0123456789abcdefABCDEF", letter) {
			t.Errorf("%q is hexadecimal: %v", letter, got)
		}
	}
	for _, stray := range []string{"%", "%4", "a%6", "%g1", "%6g", "%%"} {
		if got := normalEscapes(stray); got != stray || escapesUnreserved(stray) {
			t.Errorf("%q: got %q", stray, got)
		}
	}
}

// What of a URL an origin may tell apart though it is normalised away.
func TestOddURLs(t *testing.T) {
	for _, tc := range []struct {
		url  string
		rule Rule
		odd  bool
	}{
		{"http://a.example", Rule{}, false},
		{"HTTP://A.example:80/b/c?d", Rule{}, false},
		{"http://a.example/é/%2F", Rule{}, false},
		{"http://a.example/%c3%a9", Rule{}, false},
		{"http://a.example/%7Eb", Rule{}, true},
		{"http://a.example/b/../c", Rule{}, true},
		{"http://a.example/b/.", Rule{}, true},
		{"http://a.example/%2e%2e/b", Rule{}, true},
		{"http://a.example/.b", Rule{}, false},
		{"http://a.example/.b/é", Rule{}, false},
		{"http://a.example/.b/%c3%a9", Rule{}, false},
		{"http://a.example/.b/%61", Rule{}, true},
		{"http://a.example/?b=%61", Rule{}, true},
		{"http://a.example/?b=%26&c=%c3%a9&d=é", Rule{}, false},
		{"http://a.example/?c=1&b=%26", Rule{SortQuery: true}, false},
		{"http://a.example/?c=1&b=%61", Rule{SortQuery: true}, true},
		{"http://a.example/?b=%61&c=1", Rule{Ignore: Ignore{Query: []string{"b"}}}, false},
	} {
		u, err := url.Parse(tc.url)
		if err != nil {
			t.Fatal(err)
		}
		if got := newTarget(u, normalPath(u), &rule{Rule: tc.rule}); (got.spelling != "") != tc.odd {
			t.Errorf("%s: %+v", tc.url, got)
		}
	}
}

func TestOtherURLOtherKey(t *testing.T) {
	for _, tc := range []struct {
		name, a, b string
		rule       Rule
	}{
		{name: "scheme", a: "http://example.com/", b: "https://example.com/"},
		{name: "port", a: "http://example.com:8080/", b: "http://example.com/"},
		{name: "trailing slash", a: "http://example.com/a", b: "http://example.com/a/"},
		{name: "two slashes", a: "http://example.com/a//b", b: "http://example.com/a/b"},
		{name: "case of the path", a: "http://example.com/A", b: "http://example.com/a"},
		{name: "escaped slash", a: "http://example.com/a%2Fb", b: "http://example.com/a/b"},
		{name: "encodings of é", a: "http://example.com/?q=%E9", b: "http://example.com/?q=é"},
		{name: "empty query", a: "http://example.com/?", b: "http://example.com/"},
		{name: "empty query, by rule", a: "http://example.com/?", b: "http://example.com/", rule: Rule{SortQuery: true}},
		{name: "order of the query", a: "http://example.com/?a=1&b=2", b: "http://example.com/?b=2&a=1"},
		{name: "plus and %20", a: "http://example.com/?q=a+b", b: "http://example.com/?q=a%20b"},
		{name: "escaped ampersand", a: "http://example.com/?a=1%26b=2", b: "http://example.com/?a=1&b=2"},
		{name: "stray percent sign", a: "http://example.com/?q=%", b: "http://example.com/?q=%25"},
		{name: "a URL that the other begins with", a: "http://example.com/a", b: "http://example.com/ab"},
		{name: "a user in the URL", a: "http://u:p@example.com/", b: "http://example.com/"},
		{name: "a parameter that begins as an ignored one", a: "http://example.com/?ids=1", b: "http://example.com/", rule: Rule{Ignore: Ignore{Query: []string{"id"}}}},
		{name: "a redacted parameter", a: "http://example.com/?key=1", b: "http://example.com/?key=2", rule: Rule{Redact: []string{"key"}}},
		{name: "a redacted parameter and none", a: "http://example.com/?key=1", b: "http://example.com/", rule: Rule{Redact: []string{"key"}}},
	} {
		c := new(Cache)
		if a, b := keyOf(t, c, tc.rule, "GET", tc.a, ""), keyOf(t, c, tc.rule, "GET", tc.b, ""); a == b {
			t.Errorf("%s: both %q", tc.name, a)
		}
	}
}

func TestKeyOfFields(t *testing.T) {
	const u = "http://example.com/"
	for _, tc := range []struct {
		name string
		rule Rule
		a, b []string
		same bool
	}{
		{name: "Authorization keeps users apart", a: []string{"Authorization", "a"}, b: []string{"Authorization", "b"}},
		{name: "Authorization and none", a: []string{"Authorization", "a"}},
		{name: "Cookie keeps users apart", a: []string{"Cookie", "s=1"}, b: []string{"Cookie", "s=2"}},
		{name: "Cookie is not Authorization", a: []string{"Cookie", "x"}, b: []string{"Authorization", "x"}},
		{name: "an ignored Cookie", rule: Rule{Ignore: Ignore{Header: []string{"cookie"}}}, a: []string{"Cookie", "s=1"}, same: true},
		{name: "other fields make no difference", a: []string{"X-A", "1"}, b: []string{"X-A", "2"}, same: true},
		{name: "unless a rule says so", rule: Rule{KeyHeaders: []string{"x-a"}}, a: []string{"X-A", "1"}, b: []string{"X-A", "2"}},
		{name: "a key field and none", rule: Rule{KeyHeaders: []string{"X-A"}}, a: []string{"X-A", ""}},
		{name: "all fields", rule: Rule{KeyHeaders: []string{"*"}}, a: []string{"X-A", "1"}, b: []string{"X-A", "2"}},
		{name: "all fields but one", rule: Rule{KeyHeaders: []string{"*"}, Ignore: Ignore{Header: []string{"X-*"}}},
			a: []string{"X-A", "1"}, b: []string{"X-A", "2"}, same: true},
		{name: "a field that is no more than an ignored beginning", rule: Rule{KeyHeaders: []string{"*"}, Ignore: Ignore{Header: []string{"x-a*"}}}, a: []string{"X-A", "1"}, same: true},
		{name: "a field that begins otherwise", rule: Rule{KeyHeaders: []string{"*"}, Ignore: Ignore{Header: []string{"X-*"}}}, a: []string{"Y-A", "1"}},
		{name: "a field that begins as an ignored one", rule: Rule{KeyHeaders: []string{"*"}, Ignore: Ignore{Header: []string{"X-A"}}}, a: []string{"X-Ab", "1"}},
	} {
		c := new(Cache)
		if a, b := keyOf(t, c, tc.rule, "GET", u, "", tc.a...), keyOf(t, c, tc.rule, "GET", u, "", tc.b...); (a == b) != tc.same {
			t.Errorf("%s: same is %v, want %v", tc.name, a == b, tc.same)
		}
	}
	if get, head := keyOf(t, new(Cache), Rule{}, "GET", u, ""), keyOf(t, new(Cache), Rule{}, "HEAD", u, ""); get != head {
		t.Error("GET and HEAD have different keys")
	}
	for _, name := range []string{"Authorization", "Cookie", "Proxy-Authorization", "X-Token"} {
		r := Rule{KeyHeaders: []string{"*"}, Redact: []string{"x-token"}}
		if strings.Contains(string(keyOf(t, new(Cache), r, "GET", u, "", name, "hush")), "hush") {
			t.Errorf("the secret of %s is in the key", name)
		}
	}
	if key := keyOf(t, new(Cache), Rule{Redact: []string{"Token"}}, "GET", u+"?token=hush", ""); strings.Contains(string(key), "hush") {
		t.Error("a redacted parameter is in the key")
	}
}

func TestKeyOfBodies(t *testing.T) {
	const (
		json  = "application/json"
		form  = "application/x-www-form-urlencoded"
		multi = "multipart/form-data; boundary="
	)
	part := func(boundary, value string) string {
		return "--" + boundary + "\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n" + value + "\r\n--" + boundary + "--\r\n"
	}
	broken := func(boundary, value string) string {
		return strings.TrimSuffix(part(boundary, value), "\r\n--"+boundary+"--\r\n")
	}
	deep := func(n int, value string) string { return strings.Repeat("[", n) + value + strings.Repeat("]", n) }
	for _, tc := range []struct {
		name         string
		aType, aBody string
		bType, bBody string
		ignore       Ignore
		same         bool
	}{
		{"bytes", "", "a", "", "b", Ignore{}, false},
		{"type", "text/plain", "a", "text/html", "a", Ignore{}, false},
		{"JSON's keys have no order", json, `{"a":1,"b":2}`, json, `{ "b":2, "a":1 }`, Ignore{}, true},
		{"JSON's parameters are as JSON's", "application/problem+json", `{"a":1}`, "application/problem+json", `{"a": 1}`, Ignore{}, true},
		{"JSON's arrays have an order", json, `[1,2]`, json, `[2,1]`, Ignore{}, false},
		{"JSON's numbers are kept as they are", json, `1.0`, json, `1`, Ignore{}, false},
		{"JSON string and number", json, `{"a":"1"}`, json, `{"a":1}`, Ignore{}, false},
		{"duplicate keys are not merged", json, `{"a":1,"a":2}`, json, `{"a":2}`, Ignore{}, false},
		{"lone surrogates are not merged", json, `"\ud800"`, json, `"\ud801"`, Ignore{}, false},
		{"invalid UTF-8 is not merged", json, "\"\xff\"", json, "\"\xfe\"", Ignore{}, false},
		{"two values are not one", json, `1 2`, json, `1`, Ignore{}, false},
		{"an empty array is no empty object", json, `[]`, json, `{}`, Ignore{}, false},
		{"an ignored key", json, `{"a":1,"t":5}`, json, `{"a":1,"t":6}`, Ignore{JSON: []string{"t"}}, true},
		{"an ignored key further down", json, `{"m":{"t":5}}`, json, `{"m":{"t":6}}`, Ignore{JSON: []string{"m.t"}}, true},
		{"an ignored key in every element", json, `[{"t":5}]`, json, `[{"t":6}]`, Ignore{JSON: []string{"*.t"}}, true},
		{"an ignored key of the same name elsewhere", json, `{"m":{"t":5}}`, json, `{"m":{"t":6}}`, Ignore{JSON: []string{"t"}}, false},
		{"a form's names have no order", form, "a=1&b=2", form, "b=2&a=1", Ignore{}, true},
		{"a form's values have one", form, "a=1&a=2", form, "a=2&a=1", Ignore{}, false},
		{"an ignored form field", form, "a=1&csrf=2", form, "a=1", Ignore{Form: []string{"csrf"}}, true},
		{"multipart without its boundary", multi + "x", part("x", "v"), multi + "y", part("y", "v"), Ignore{}, true},
		{"multipart's values", multi + "x", part("x", "v"), multi + "x", part("x", "w"), Ignore{}, false},
		{"an ignored multipart field", multi + "x", part("x", "v"), multi + "x", part("x", "w"), Ignore{Form: []string{"f"}}, true},
		{"multipart's names", multi + "x", part("x", "v"), multi + "x", strings.Replace(part("x", "v"), `"f"`, `"g"`, 1), Ignore{}, false},
		{"multipart that breaks off", multi + "x", broken("x", "v"), multi + "x", broken("x", "w"), Ignore{}, false},
		{"multipart without a boundary", "multipart/form-data", "a", "multipart/form-data", "b", Ignore{}, false},
		{"forms that cannot be read", form, "a=%zz", form, "b=%zz", Ignore{}, false},
		{"types that cannot be read", ";a", "v", ";b", "v", Ignore{}, false},
		{"JSON as deep as is looked at", json, deep(maxJSONDepth, "1"), json, deep(maxJSONDepth, " 1"), Ignore{}, true},
		{"JSON that is deeper", json, deep(maxJSONDepth+1, "1"), json, deep(maxJSONDepth+1, " 1"), Ignore{}, false},
		{"JSON that is none", json, `x`, json, `y`, Ignore{}, false},
		{"JSON and more behind it", json, `1 2`, json, `1 3`, Ignore{}, false},
		{"objects with duplicate keys", json, `{"a":1,"a":2}`, json, `{"a":1,"a":3}`, Ignore{}, false},
		{"objects whose keys are none", json, `{a`, json, `{b`, Ignore{}, false},
		{"objects that break off", json, `{"a":1`, json, `{"b":1`, Ignore{}, false},
		{"objects that break off before a value", json, `{"a":`, json, `{"b":`, Ignore{}, false},
		{"arrays that break off", json, `[1`, json, `[2`, Ignore{}, false},
		{"arrays that break off before a value", json, `[1,`, json, `[2,`, Ignore{}, false},
		{"an ignored element", json, `[1,2]`, json, `[1,3]`, Ignore{JSON: []string{"1"}}, true},
		{"JSON and form that say the same", json, `{"a":1}`, form, "a=1", Ignore{}, false},
	} {
		r := Rule{Ignore: tc.ignore}
		a := keyOf(t, new(Cache), r, "POST", "http://example.com/", tc.aBody, "Content-Type", tc.aType)
		b := keyOf(t, new(Cache), r, "POST", "http://example.com/", tc.bBody, "Content-Type", tc.bType)
		if (a == b) != tc.same {
			t.Errorf("%s: same is %v, want %v", tc.name, a == b, tc.same)
		}
	}
	query := keyOf(t, new(Cache), Rule{}, "POST", "http://example.com/?a=1", "x")
	body := keyOf(t, new(Cache), Rule{}, "POST", "http://example.com/", "a=1", "Content-Type", form)
	if query == body {
		t.Error("a=1 in the query is a=1 in the body")
	}
}

func TestPattern(t *testing.T) {
	for _, tc := range []struct {
		pattern, url string
		want         bool
	}{
		{"", "http://example.com/a", true},
		{"example.com", "http://example.com/any/path?x", true},
		{"example.com", "https://EXAMPLE.com:8443/", true},
		{"example.com", "http://example.com.evil.org/", false},
		{"example.com", "http://evil.org/?http://example.com/", false},
		{"example.com", "http://www.example.com/", false},
		{"*.example.com", "http://www.example.com/", true},
		{"*.example.com", "http://a.b.example.com/", false},
		{"**.example.com", "http://a.b.example.com/", true},
		{"**.example.com", "http://example.com/", false},
		{"**", "http://anything/", true},
		{"example.com:8080", "http://example.com:8080/", true},
		{"example.com:8080", "http://example.com/", false},
		{"example.com:443", "https://example.com/", true},
		{"https://example.com", "http://example.com/", false},
		{"https://example.com", "HTTPS://example.com/", true},
		{"example.com:80", "http://example.com/", true},
		{"example.com:443", "http://example.com/", false},
		{"*://example.com", "http://example.com/", true},
		{"example.com/v1/*", "http://example.com/v1/a", true},
		{"example.com/v1/*", "http://example.com/v1/a/b", false},
		{"example.com/v1/**", "http://example.com/v1/a/b", true},
		{"example.com/v1/**", "http://example.com/v2/", false},
		{"example.com/v1/**", "http://example.com/v1", false},
		{"example.com/v1/**/raw", "http://example.com/v1/a/b/raw", true},
		{"example.com/*.json", "http://example.com/a.json", true},
		{"example.com/*.json", "http://example.com/a.jsonp", false},
		{"example.com/", "http://example.com/", true},
		{"example.com/", "http://example.com/a", false},
		{"example.com/a/**", "http://example.com/a/../secret", false},
		{"[::1]:8080/x", "http://[::1]:8080/x", true},
		{"127.0.0.1", "http://127.0.0.1:4711/x", true},
		{"example.com/café/*", "http://example.com/caf%c3%a9/menu", true},
		{"example.com/a b", "http://example.com/a%20b", true},
		{"example.com/%7euser/*", "http://example.com/~user/x", true},
	} {
		p, err := parsePattern(tc.pattern)
		if err != nil {
			t.Errorf("%q: %v", tc.pattern, err)
			continue
		}
		u, err := url.Parse(tc.url)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.match(u, normalPath(u)); got != tc.want {
			t.Errorf("%q on %q: got %v", tc.pattern, tc.url, got)
		}
	}
	for _, broken := range []string{"ftp://example.com", "/path", "example.com:x", "example.com:", "example.com/?q", "exa mple.com", "a[b", "[::1", "a.com/***"} {
		if _, err := parsePattern(broken); err == nil || !strings.Contains(err.Error(), broken) {
			t.Errorf("%q: got %v, want an error that names it", broken, err)
		}
	}
}

func TestRuleCheck(t *testing.T) {
	for _, tc := range []struct {
		rule Rule
		want string // in the error; "": none
	}{
		{Rule{}, ""},
		{Everything(Forever), ""},
		{Rule{TTL: Never}, ""},
		{Rule{TTL: -5}, "want a positive duration"},
		{Rule{Expires: time.Now()}, ""},
		{Rule{Expires: time.Now(), TTL: 1}, "both TTL and Expires"},
		{Rule{Match: "http://"}, "no host"},
		{Rule{Statuses: []int{42}}, "status 42"},
		{Rule{Statuses: []int{206}}, "status 206"},
		{Rule{Statuses: []int{304}}, "status 304"},
		{Rule{Statuses: []int{200, 999}}, ""},
		{Rule{Statuses: []int{1000}}, "status 1000"},
		{Rule{Methods: []string{""}}, "can't be stored"},
		{Rule{Methods: []string{"TRACE"}}, "can't be stored"},
		{Rule{Methods: []string{"get"}}, "capitals"},
		{Rule{Methods: []string{"CONNECT"}}, "can't be stored"},
		{Rule{MaxBody: -1}, "must not be negative"},
		{Rule{Tags: []string{"a", "cache-group:x"}}, "cache groups"},
		{Rule{Tags: []string{"cache-groups"}}, ""},
		{Rule{StaleIfError: -2}, "StaleIfError is -2ns, want a positive duration or Never"},
		{Rule{StaleWhileRevalidate: -2}, "StaleWhileRevalidate is -2ns, want a positive duration or Never"},
	} {
		err := tc.rule.Check()
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%+v: got %v, want %q", tc.rule, err, tc.want)
		}
	}
}

// The body that content has read is given back to the byte, with GetBody.
func TestContentGivesTheBodyBack(t *testing.T) {
	const limit = 16
	for _, tc := range []struct {
		name string
		body string
		ok   bool
	}{
		{"within the limit", "0123456789abcdef", true},
		{"over the limit", "0123456789abcdefg", false},
	} {
		req, _ := http.NewRequest("POST", "http://example.com/", io.NopCloser(strings.NewReader(tc.body)))
		send, digest, ok := content(req, standard, limit)
		if ok != tc.ok || (digest != "") != tc.ok {
			t.Errorf("%s: got %v, digest %x", tc.name, ok, digest)
		}
		got, err := io.ReadAll(send.Body)
		if string(got) != tc.body || err != nil {
			t.Errorf("%s: body is %q, %v", tc.name, got, err)
		}
		if !tc.ok {
			continue
		}
		again, err := send.GetBody()
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(again); !bytes.Equal(got, []byte(tc.body)) {
			t.Errorf("%s: GetBody gives %q", tc.name, got)
		}
	}
}

// A body that fails amid the reading fails in the same place for who sends it.
func TestContentOfABodyThatFails(t *testing.T) {
	body := iotest.TimeoutReader(strings.NewReader("0123")) // which fails once
	req, _ := http.NewRequest("POST", "http://example.com/", io.NopCloser(body))
	send, _, ok := content(req, standard, 1<<10)
	if got, err := io.ReadAll(send.Body); ok || string(got) != "0123" || !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("got %v, body is %q, %v", ok, got, err)
	}
}

func bodyOf(b []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(b)) }

// What of the content of a QUERY is in its key, beside that of a POST.
func TestQueryDigest(t *testing.T) {
	ignoring := &rule{Rule: Rule{Ignore: Ignore{JSON: []string{"id"}, Form: []string{"id"}}}}
	of := func(r *rule, method, body string, header ...string) string {
		req, err := http.NewRequest(method, "http://example.com/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Add(header[i], header[i+1])
		}
		_, digest, ok := content(req, r, 1<<10)
		if !ok {
			t.Fatalf("%q has no digest", body)
		}
		return digest
	}
	const json, form = "application/json", "application/x-www-form-urlencoded"
	for _, tc := range []struct {
		name     string
		rule     *rule
		method   string
		one, two [3]string // content, type, and a field with its value
		same     bool
	}{
		{"the same", standard, "QUERY", [3]string{"a", json}, [3]string{"a", json}, true},
		{"other content", standard, "QUERY", [3]string{"a", json}, [3]string{"b", json}, false},
		{"another type", standard, "QUERY", [3]string{"a=1", form}, [3]string{"a=1", json}, false},
		{"another type without content", standard, "QUERY", [3]string{"", form}, [3]string{"", json}, false},
		{"the type in capitals", standard, "QUERY", [3]string{"a", "text/plain; charset=x"}, [3]string{"a", "Text/Plain;charset=x"}, true},
		{"another charset", standard, "QUERY", [3]string{"a", "text/plain; charset=x"}, [3]string{"a", "text/plain; charset=y"}, false},
		{"another coding", standard, "QUERY", [3]string{"a", json, "Content-Encoding: gzip"}, [3]string{"a", json}, false},
		{"another language", standard, "QUERY", [3]string{"a", json, "Content-Language: de"}, [3]string{"a", json, "Content-Language: fr"}, false},
		{"the language of a POST", standard, "POST", [3]string{"a", json, "Content-Language: de"}, [3]string{"a", json}, true},
		{"JSON in another order", standard, "QUERY", [3]string{`{"a":1,"b":2}`, json}, [3]string{`{"b":2,"a":1}`, json}, false},
		{"JSON with white space", standard, "QUERY", [3]string{`{"a":1}`, json}, [3]string{`{"a": 1}`, json}, false},
		{"a form in another order", standard, "QUERY", [3]string{"a=1&b=2", form}, [3]string{"b=2&a=1", form}, false},
		{"JSON of a POST in another order", standard, "POST", [3]string{`{"a":1,"b":2}`, json}, [3]string{`{"b":2,"a":1}`, json}, true},
		{"JSON of which a rule ignores something", ignoring, "QUERY", [3]string{`{"a":1,"id":2}`, json}, [3]string{`{"id":1,"a":1}`, json}, true},
		{"a form of which a rule ignores something", ignoring, "QUERY", [3]string{"a=1&id=2", form}, [3]string{"a=1", form}, true},
		{"text, whatever a rule ignores", ignoring, "QUERY", [3]string{"a=1&id=2", "text/plain"}, [3]string{"a=1", "text/plain"}, false},
		{"no-transform", ignoring, "QUERY", [3]string{"a=1&id=2", form, "Cache-Control: no-transform"}, [3]string{"a=1", form, "Cache-Control: no-transform"}, false},
	} {
		digest := func(c [3]string) string {
			header := []string{"Content-Type", c[1]}
			if name, value, ok := strings.Cut(c[2], ": "); ok {
				header = append(header, name, value)
			}
			return of(tc.rule, tc.method, c[0], header...)
		}
		if got := digest(tc.one) == digest(tc.two); got != tc.same {
			t.Errorf("%s: got %v", tc.name, got)
		}
	}
	if of(standard, "QUERY", "") == "" || of(standard, "POST", "") != "" {
		t.Error("a QUERY has a digest also without content, a POST has not")
	}
}
