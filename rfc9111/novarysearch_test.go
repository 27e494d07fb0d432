package rfc9111

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// Most cases are those of the draft, §5.2.1 and §5.3.1.
func TestParseNoVarySearch(t *testing.T) {
	for _, c := range []struct {
		lines []string
		want  string // "": each URL is only itself
	}{
		{nil, ""},
		{[]string{""}, ""},
		{[]string{"key-order"}, "key-order"},
		{[]string{`params=("a")`}, `params=("a")`},
		{[]string{`except=("x")`}, `except=("x")`},
		{[]string{"params=()"}, ""},
		{[]string{"except=()"}, "except=()"},

		{[]string{`key-order="not a boolean"`}, ""},
		{[]string{`key-order="not a boolean", params=("a")`}, ""},
		{[]string{`params="not an inner list"`}, ""},
		{[]string{"params=(not-a-string)"}, ""},
		{[]string{"params=?0"}, ""},
		{[]string{"params=?1"}, ""},
		{[]string{`params=?1, except=("x")`}, ""},
		{[]string{`params, except=("x")`}, ""}, // what earlier drafts had
		{[]string{`params=("a"), except=("x")`}, ""},
		{[]string{"params=(), except=()"}, ""},
		{[]string{`except="not an inner list"`}, ""},
		{[]string{"except=(not-a-string)"}, ""},
		{[]string{"except=?1"}, ""},
		{[]string{"unknown-key"}, ""},

		{[]string{"key-order=?1"}, "key-order"},
		{[]string{"key-order=?0"}, ""},
		{[]string{`except=("x"), key-order`}, `key-order, except=("x")`},

		{[]string{"key-order", `params=("a")`}, `key-order, params=("a")`},
		{[]string{`key-order;x=1, params=("a";y "b");z`}, `key-order, params=("a" "b")`},
		{[]string{`params=("b" "a" "b"), other=1`}, `params=("a" "b")`},
		{[]string{"params=(1)"}, ""},
		{[]string{`params=("a" b)`}, ""},
		{[]string{"key-order=(?1)"}, ""},
		{[]string{"key-order=1"}, ""},
		{[]string{`params=("a"`}, ""},
		{[]string{`params=("a"),`}, ""},
		{[]string{"Key-Order"}, ""},
		{[]string{`params=("a"), params=("b")`}, `params=("b")`}, // of a dictionary the last counts
		{[]string{`params=("%C3%A9+%E6%B0%97")`}, `params=("%C3%A9%20%E6%B0%97")`},
		{[]string{`params=("%c3%a9%20%E6%b0%97")`}, `params=("%C3%A9%20%E6%B0%97")`},
		{[]string{`params=("%f6")`}, `params=("%EF%BF%BD")`},
		{[]string{`params=("%")`}, `params=("%25")`},
		{[]string{`params=("")`}, `params=("")`},
	} {
		got := ""
		v, ok := ParseNoVarySearch(c.lines)
		if ok {
			got = v.String()
		}
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%q: got %q, %v, want %q", c.lines, got, ok, c.want)
		}
	}
}

// Most cases are those of the draft, §6.1.
func TestVariationCanonical(t *testing.T) {
	for _, c := range []struct {
		field string
		query string
		want  string
	}{
		{"key-order", "", ""},
		{"key-order", "a=x", "a=x"},
		{"key-order", "%61=%78", "a=x"},
		{"key-order", "a=é", "a=%C3%A9"},
		{"key-order", "a=%c3%a9", "a=%C3%A9"},
		{"key-order", "a=%f6", "a=%EF%BF%BD"},
		{"key-order", "a=%ef%bf%bd", "a=%EF%BF%BD"},
		{"key-order", "a=x&&&&", "a=x"},
		{"key-order", "a=", "a="},
		{"key-order", "a", "a="},
		{"key-order", "a=%20", "a=%20"},
		{"key-order", "a=+", "a=%20"},
		{"key-order", "a= &", "a=%20"},
		{"key-order", "a=e%CC%81", "a=e%CC%81"}, // no Unicode normalisation
		{"key-order", "b=1&a=2&b=0&a=1", "a=2&a=1&b=1&b=0"},
		{"key-order", "=&a", "=&a="},
		{"key-order", "a=1=2", "a=1%3D2"},
		{"key-order", "a=%&b=%2&c=%zz", "a=%25&b=%252&c=%25zz"},
		{"key-order", "a=%2z&b=%z2&c=%20z20", "a=%252z&b=%25z2&c=%20z20"},
		{"key-order", "a=%2/%2:%2@%2G%2`%2g", "a=%252%2F%252%3A%252%40%252G%252%60%252g"},
		{"key-order", "a=AZaz09-._~&b=/:@[`{", "a=AZaz09-._~&b=%2F%3A%40%5B%60%7B"},
		{"key-order", "a=%26b=1", "a=%26b%3D1"},
		{"key-order", "a=%00", "a=%00"},
		{"key-order", "a=1;b=2", "a=1%3Bb%3D2"},
		{"key-order", "A=1&a=1", "A=1&a=1"},
		{"key-order", "%E2%82=1", "%EF%BF%BD=1"},                                  // one beginning of a character
		{"key-order", "%E2%82%E2=1", "%EF%BF%BD%EF%BF%BD=1"},                      // two of them
		{"key-order", "%E0%80=1", "%EF%BF%BD%EF%BF%BD=1"},                         // two bytes that begin none
		{"key-order", "%ED%A0%80=1", "%EF%BF%BD%EF%BF%BD%EF%BF%BD=1"},             // a surrogate
		{"key-order", "%F0%9F%98=1", "%EF%BF%BD=1"},                               // three bytes of one
		{"key-order", "%F4%90%80%80=1", "%EF%BF%BD%EF%BF%BD%EF%BF%BD%EF%BF%BD=1"}, // beyond the last
		{"key-order", "%EF%BB%BFa=1", "%EF%BB%BFa=1"},                             // a byte order mark stays
		{`params=("a")`, "a=1&b=2&a=3", "b=2"},
		{`params=("a")`, "b=2&c&%61=1", "b=2&c="},
		{`params=("a")`, "c=1&b=2", "c=1&b=2"},
		{`params=("a")`, "aa=1&A=2", "aa=1&A=2"},
		{`params=("%C3%A9+%E6%B0%97")`, "é 気=1", ""},
		{`params=("%C3%A9+%E6%B0%97")`, "é+気=2", ""},
		{`params=("%C3%A9+%E6%B0%97")`, "%C3%A9%20気=3", ""},
		{`params=("%C3%A9+%E6%B0%97")`, "%C3%A9+%E6%B0%97=4", ""},
		{`params=("")`, "=1&a=2", "a=2"},
		{`except=("x")`, "a=1&x=2&b=3&x=1", "x=2&x=1"},
		{`except=()`, "a=1&x=2", ""},
		{`key-order, except=("x" "a")`, "x=2&b=3&a=1&x=1", "a=1&x=2&x=1"},
	} {
		v, ok := ParseNoVarySearch([]string{c.field})
		if !ok {
			t.Fatalf("%s says nothing", c.field)
		}
		if got := v.Canonical(c.query); got != c.want {
			t.Errorf("%s of %q: got %q, want %q", c.field, c.query, got, c.want)
		}
	}
}

// The longest beginnings of characters, and what is just none (Unicode, table 3-7).
func TestBrokenCharacters(t *testing.T) {
	for _, c := range []struct {
		bytes string
		n     int // how many U+FFFD it is
	}{
		{"\xC2", 1}, {"\xC3\xC3", 2},
		{"\xE0\xA0", 1}, {"\xE0\x9F", 2}, {"\xE1\x80", 1}, {"\xE1\xBF", 1}, {"\xED\x9F", 1}, {"\xED\xA0", 2}, {"\xEF\x80", 1},
		{"\xF0\x90", 1}, {"\xF0\x8F", 2}, {"\xF0\x90\x80", 1}, {"\xF0\x90\xBF", 1}, {"\xF1\x80\x80", 1}, {"\xF3\xBF\xBF", 1},
		{"\xF4\x8F", 1}, {"\xF4\x8F\xBF", 1}, {"\xF4\x90", 2}, {"\xF5\x80", 2},
	} {
		if got, want := formDecode(c.bytes+"a"), strings.Repeat("\uFFFD", c.n)+"a"; got != want {
			t.Errorf("%X: got %+q, want %+q", c.bytes, got, want)
		}
	}
}

// equivalent is the comparison of the draft (§6), step by step.
func equivalent(v *Variation, a, b string) bool {
	params := func(query string) (pairs [][2]string) {
		for _, s := range strings.Split(query, "&") {
			if s == "" {
				continue
			}
			name, value, _ := strings.Cut(s, "=")
			p := [2]string{decoded(name), decoded(value)}
			if slices.Contains(v.names, p[0]) == v.only {
				pairs = append(pairs, p)
			}
		}
		if v.anyOrder {
			slices.SortStableFunc(pairs, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
		}
		return pairs
	}
	return slices.Equal(params(a), params(b))
}

// decoded decodes by another way than formDecode: unescape what the URL package takes, and count the bytes of each
// fault.
func decoded(s string) string {
	var b strings.Builder
	for s = strings.ReplaceAll(s, "+", " "); s != ""; {
		if len(s) >= 3 && s[0] == '%' {
			if c, err := url.PathUnescape(s[:3]); err == nil {
				b.WriteString(c)
				s = s[3:]
				continue
			}
		}
		b.WriteByte(s[0])
		s = s[1:]
	}
	var out strings.Builder
	for rest := b.String(); rest != ""; {
		if r, n := utf8.DecodeRuneInString(rest); r != utf8.RuneError || n > 1 {
			out.WriteRune(r)
			rest = rest[n:]
			continue
		}
		n := 1
		for n < len(rest) && beginsACharacter(rest[:n+1]) {
			n++
		}
		out.WriteRune(utf8.RuneError)
		rest = rest[n:]
	}
	return out.String()
}

// beginsACharacter tries whether s can be made a character by what is added to it.
func beginsACharacter(s string) bool {
	for _, more := range []string{"\x80", "\xBF", "\x80\x80", "\xBF\xBF", "\x80\x80\x80", "\xBF\xBF\xBF"} {
		if r, n := utf8.DecodeRuneInString(s + more); r != utf8.RuneError && n == len(s+more) {
			return true
		}
	}
	return false
}

// FuzzNoVarySearch: nothing panics; a canonical query is its own; and two are the same exactly where the draft's
// comparison says so.
func FuzzNoVarySearch(f *testing.F) {
	f.Add("key-order", "a=1&b=2", "b=2&a=1")
	f.Add(`params=("a" "%C3%A9+")`, "a=%E2%82", "é+=%EF%BF%BD&&")
	f.Add(`key-order, except=("x")`, "%F0%9F%98x=%2", "x=+&=")
	f.Add("params=(", "", "?")
	f.Fuzz(func(t *testing.T, field, one, two string) {
		v, ok := ParseNoVarySearch([]string{field})
		if !ok {
			return
		}
		again, ok := ParseNoVarySearch([]string{v.String()})
		if !ok || again.String() != v.String() || !slices.Equal(again.names, v.names) {
			t.Fatalf("%q became %q, and that %v", field, v, again)
		}
		a, b := v.Canonical(one), v.Canonical(two)
		if v.Canonical(a) != a {
			t.Errorf("%q of %q is %q, and of that %q", v, one, a, v.Canonical(a))
		}
		if !equivalent(v, one, a) {
			t.Errorf("%q: %q and its canonical %q are not equivalent", v, one, a)
		}
		if (a == b) != equivalent(v, one, two) {
			t.Errorf("%q: %q is %q, and %q is %q", v, one, a, two, b)
		}
	})
}
