package larder

import (
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// Normalising a URL that is normal changes nothing, and what it makes is a URL of the same host.
func FuzzNormalURL(f *testing.F) {
	for _, s := range []string{"http://Example.com:80/a/../b%7e?x=%c3#f", "https://u:p@h/%2e%2e//?%", "http://[::1]:8080/é?é&a+b=c;d", "http://h?"} {
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, raw string, sorted bool) {
		u, err := url.Parse(raw)
		if err != nil || u.Host == "" || u.Opaque != "" || u.Scheme != "http" && u.Scheme != "https" {
			return
		}
		r := &rule{Rule: Rule{SortQuery: sorted}}
		once := newTarget(u, normalPath(u), r).url
		v, err := url.Parse(once)
		if err != nil {
			t.Fatalf("%q became %q: %v", raw, once, err)
		}
		if twice := newTarget(v, normalPath(v), r).url; twice != once {
			t.Errorf("%q became %q, and that %q", raw, once, twice)
		}
		if v.User != nil || v.Fragment != "" {
			t.Errorf("%q became %q", raw, once)
		}
	})
}

// Canonical JSON is JSON that says the same as the original.
func FuzzCanonicalJSON(f *testing.F) {
	for _, s := range []string{`{"b":[1,2.50,"x\n"],"a":null}`, `[]`, `{"a":{}}`, `1e400`, `"\u00e9"`, `{"a":1,"a":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		canonical, ok := canonicalJSON(body, nil)
		if !ok {
			return
		}
		var want any
		if json.Unmarshal(body, &want) != nil {
			return // a number that no float64 holds
		}
		again, ok := canonicalJSON(stripCommas(canonical), nil)
		if !ok || string(again) != string(canonical) {
			t.Errorf("%q became %q, and that %q", body, canonical, again)
		}
		var got any
		if err := json.Unmarshal(stripCommas(canonical), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q became %q: %v", body, canonical, err)
		}
	})
}

// stripCommas makes the canonical form, in which every element is followed by a comma, JSON.
func stripCommas(b []byte) []byte {
	var out []byte
	inString, escaped := false, false
	for _, c := range b {
		if !inString && (c == ']' || c == '}') && len(out) > 0 && out[len(out)-1] == ',' {
			out = out[:len(out)-1]
		}
		out = append(out, c)
		switch {
		case escaped:
			escaped = false
		case inString && c == '\\':
			escaped = true
		case c == '"':
			inString = !inString
		}
	}
	return out
}

// glob agrees with the regular expression that says the same.
func FuzzGlob(f *testing.F) {
	f.Add("**/v1/*.json", "a/b/v1/x.json")
	f.Add("*a**a*", "aa/a/aba")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if strings.Contains(pattern, "***") || !utf8.ValidString(pattern) || !utf8.ValidString(s) {
			return
		}
		expr := regexp.QuoteMeta(pattern)
		expr = strings.ReplaceAll(expr, `\*\*`, `(?s:.*)`)
		expr = strings.ReplaceAll(expr, `\*`, `[^/]*`)
		if want := regexp.MustCompile(`\A` + expr + `\z`).MatchString(s); glob(pattern, s, '/') != want {
			t.Errorf("%q on %q: got %v", pattern, s, !want)
		}
	})
}

func FuzzContentNeverLosesABody(f *testing.F) {
	f.Add("application/json", []byte(`{"a":1}`), int64(4))
	f.Add("multipart/form-data; boundary=x", []byte("--x\r\n\r\nv\r\n--x--"), int64(1<<20))
	f.Fuzz(func(t *testing.T, contentType string, body []byte, limit int64) {
		if limit < 0 || limit > 1<<20 {
			return
		}
		req := &http.Request{Method: "POST", URL: &url.URL{}, Header: http.Header{"Content-Type": {contentType}}, Body: bodyOf(body)}
		send, _, _ := content(req, standard, limit)
		got := make([]byte, 0, len(body))
		buf := make([]byte, 7)
		for {
			n, err := send.Body.Read(buf)
			got = append(got, buf[:n]...)
			if err != nil {
				break
			}
		}
		if string(got) != string(body) {
			t.Errorf("%q became %q", body, got)
		}
	})
}
