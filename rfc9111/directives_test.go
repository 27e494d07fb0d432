package rfc9111

import (
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"
)

func of(seconds time.Duration) delta { return delta{true, seconds * time.Second} }

func TestDirectives(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  directives
	}{
		{"nothing", nil, directives{}},
		{"empty", []string{"", " , ,"}, directives{}},
		{"unknown ones are ignored", []string{"nothing-to-see-here, x=1, no-storage"}, directives{}},
		{"a plain number", []string{"max-age=60"}, directives{maxAge: of(60)}},
		{"several on a line", []string{"public,max-age=60 ,\tmust-revalidate"}, directives{public: true, maxAge: of(60), mustRevalidate: true}},
		{"several lines", []string{"max-age=60", "no-store"}, directives{maxAge: of(60), noStore: true}},
		{"names in any case", []string{"No-Cache, MAX-AGE=5, Immutable"}, directives{noCache: true, maxAge: of(5), immutable: true}},
		{"a quoted number", []string{`max-age="60"`}, directives{maxAge: of(60)}},
		{"a quoted number with an escape", []string{`max-age="6\0"`}, directives{maxAge: of(60)}},
		{"leading zeros", []string{"max-age=0060"}, directives{maxAge: of(60)}},
		{"a large number", []string{"max-age=2147483648"}, directives{maxAge: of(1 << 31)}},
		{"too large a number", []string{"max-age=99999999999"}, directives{maxAge: of(1 << 31)}},
		{"a number beyond 64 bits", []string{"max-age=" + strings.Repeat("9", 40)}, directives{maxAge: of(1 << 31)}},
		{"a negative number is 0", []string{"max-age=-60"}, directives{maxAge: of(0)}},
		{"a signed number is 0", []string{"max-age=+60"}, directives{maxAge: of(0)}},
		{"a time of day is 0", []string{"max-age=6:0"}, directives{maxAge: of(0)}},
		{"a fraction is 0", []string{"max-age=60.0"}, directives{maxAge: of(0)}},
		{"words are 0", []string{"s-maxage=soon"}, directives{sMaxAge: of(0)}},
		{"no number is 0", []string{"max-age"}, directives{maxAge: of(0)}},
		{"an empty number is 0", []string{"max-age="}, directives{maxAge: of(0)}},
		{"single quotes are 0", []string{"max-age='60'"}, directives{maxAge: of(0)}},
		{"half a quoted string is 0", []string{`max-age="60`}, directives{maxAge: of(0)}},
		{"a space after = is 0", []string{"max-age= 60"}, directives{maxAge: of(0)}},
		{"a space before = is 0", []string{"max-age =60"}, directives{maxAge: of(0)}},
		{"the first of two counts", []string{"max-age=1, max-age=60"}, directives{maxAge: of(1)}},
		{"the first of two lines counts", []string{"max-age=60", "max-age=1"}, directives{maxAge: of(60)}},
		{"the first counts even if invalid", []string{"max-age=x, max-age=60"}, directives{maxAge: of(0)}},
		{"a comma in a string separates nothing", []string{`ext="no-store, max-age=5", max-age=60`}, directives{maxAge: of(60)}},
		{"an escaped quote ends nothing", []string{`ext="\", no-store", max-age=60`}, directives{maxAge: of(60)}},
		{"an open string hides nothing", []string{`ext="abc, no-store`}, directives{noStore: true}},
		{"a quote inside a word hides nothing", []string{`a"b, no-store, c"`}, directives{noStore: true}},
		{"a string does not reach the next line", []string{`ext="abc`, `no-store"`, "no-cache"}, directives{noCache: true}},
		{"arguments where there should be none", []string{"no-store=1, must-revalidate=x"}, directives{noStore: true, mustRevalidate: true}},
		{"no-cache with fields", []string{`no-cache="set-cookie, X-A"`}, directives{noCacheFields: []string{"Set-Cookie", "X-A"}}},
		{"no-cache with a comma too many", []string{`no-cache="a, ,b,"`}, directives{noCacheFields: []string{"A", "B"}}},
		{"no-cache with a token", []string{"no-cache=set-cookie"}, directives{noCacheFields: []string{"Set-Cookie"}}},
		{"no-cache with and without fields", []string{`no-cache="a", no-cache`}, directives{noCache: true, noCacheFields: []string{"A"}}},
		{"no-cache with no fields", []string{`no-cache=""`}, directives{noCache: true}},
		{"no-cache with what is no field", []string{`no-cache="a b"`}, directives{noCache: true}},
		{"no-cache with a field that can't be left out", []string{`no-cache="x, Vary"`}, directives{noCache: true}},
		{"private with fields", []string{`private="x-user"`}, directives{privateFields: []string{"X-User"}}},
		{"private", []string{"private"}, directives{private: true}},
		{"stale windows", []string{"stale-while-revalidate=5, stale-if-error=x"}, directives{staleWhileRevalidate: of(5), staleIfError: of(0)}},
		{"max-stale without a number", []string{"max-stale"}, directives{maxStale: delta{true, forever}}},
		{"max-stale with a number", []string{"max-stale=5"}, directives{maxStale: of(5)}},
		{"max-stale with garbage", []string{"max-stale=x"}, directives{maxStale: of(0)}},
		{"min-fresh with garbage is the most", []string{"min-fresh=x"}, directives{minFresh: of(1 << 31)}},
		{"the rest", []string{"only-if-cached, must-understand, proxy-revalidate"}, directives{onlyIfCached: true, mustUnderstand: true, proxyRevalidate: true}},
	} {
		if got := parseDirectives(c.lines); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %q\n got %+v\nwant %+v", c.name, c.lines, got, c.want)
		}
	}
}

func TestFieldsThatCantBeLeftOut(t *testing.T) {
	for _, name := range []string{"Age", "Cache-Control", "CDN-Cache-Control", "Content-Encoding", "Content-Length", "Content-Range",
		"Content-Type", "Date", "Expires", "Vary"} {
		if got := parseDirectives([]string{"no-cache=" + name}); !reflect.DeepEqual(got, directives{noCache: true}) {
			t.Errorf("no-cache=%s: got %+v, want that of the whole", name, got)
		}
	}
}

// A directive that forbids is seen whatever stands before it, unless that is a string that contains it; and what is
// read, written out again, reads the same.
func FuzzDirectives(f *testing.F) {
	for _, s := range []string{"max-age=60, public", `no-cache="a, b"`, `x="y`, `x="\`, `max-stale=",`, `private=,,"`, "a =b", "max-stale, min-fresh=x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		d := parseDirectives([]string{line, "no-store"})
		if !d.noStore {
			t.Errorf("%q hides the line after it", line)
		}
		if !strings.Contains(line, `"`) && !parseDirectives([]string{line + ", no-store"}).noStore {
			t.Errorf("%q hides the member after it", line)
		}
		for _, n := range []delta{d.maxAge, d.sMaxAge, d.minFresh, d.staleIfError, d.staleWhileRevalidate} {
			if n.d < 0 || n.d > maxDelta || !n.set && n.d != 0 {
				t.Errorf("%q: %v", line, n)
			}
		}
		for _, name := range append(d.noCacheFields, d.privateFields...) {
			if !isToken(name) || essential(name) {
				t.Errorf("%q lists the field %q", line, name)
			}
		}
		d = parseDirectives([]string{line})
		if again := parseDirectives([]string{written(d)}); !reflect.DeepEqual(again, d) {
			t.Errorf("%q is %+v, written %q, which is %+v", line, d, written(d), again)
		}
	})
}

// written returns a Cache-Control line that says d.
func written(d directives) string {
	var out []string
	for name, set := range map[string]bool{"no-store": d.noStore, "no-cache": d.noCache, "only-if-cached": d.onlyIfCached, "private": d.private,
		"public": d.public, "must-revalidate": d.mustRevalidate, "proxy-revalidate": d.proxyRevalidate,
		"must-understand": d.mustUnderstand, "immutable": d.immutable, "no-transform": d.noTransform} {
		if set {
			out = append(out, name)
		}
	}
	for name, n := range map[string]delta{"max-age": d.maxAge, "s-maxage": d.sMaxAge, "max-stale": d.maxStale, "min-fresh": d.minFresh,
		"stale-while-revalidate": d.staleWhileRevalidate, "stale-if-error": d.staleIfError} {
		switch {
		case n.set && n.d == forever:
			out = append(out, name)
		case n.set:
			out = append(out, fmt.Sprintf("%s=%d", name, n.d/time.Second))
		}
	}
	for name, fields := range map[string][]string{"no-cache": d.noCacheFields, "private": d.privateFields} {
		if fields != nil {
			out = append(out, fmt.Sprintf("%s=%q", name, strings.Join(fields, ", ")))
		}
	}
	return strings.Join(out, ", ")
}

// A number of seconds is any run of digits, whatever its length, and nothing else.
func FuzzSeconds(f *testing.F) {
	for _, s := range []string{"0", "007", "2147483647", "2147483648", "99999999999999999999", "-1", "+1", "1.0", "", "١"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := seconds(s)
		want, valid := new(big.Int).SetString(s, 10)
		valid = valid && strings.Trim(s, "0123456789") == ""
		if ok != valid {
			t.Fatalf("%q: got %v, %v", s, got, ok)
		}
		if limit := big.NewInt(int64(maxDelta / time.Second)); ok && want.Cmp(limit) > 0 {
			want = limit
		}
		if ok && int64(got/time.Second) != want.Int64() {
			t.Errorf("%q: got %v, want %v s", s, got, want)
		}
	})
}
