package rfc9111

import (
	"slices"
	"strings"
	"testing"
)

func TestMembers(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  []string
	}{
		{"no line", nil, nil},
		{"an empty line", []string{""}, []string{""}},
		{"one", []string{"a"}, []string{"a"}},
		{"white space around them", []string{" a ,\tb\t"}, []string{"a", "b"}},
		{"empty ones", []string{",a,,"}, []string{"", "a", "", ""}},
		{"lines", []string{"a, b", "c"}, []string{"a", "b", "c"}},
		{"a comma in a string", []string{`a="b, c", d`}, []string{`a="b, c"`, "d"}},
		{"a string alone", []string{`"a, b"`}, []string{`"a, b"`}},
		{"an escaped quote", []string{`a="\", b", c`}, []string{`a="\", b"`, "c"}},
		{"an escaped backslash", []string{`a="\\", b`}, []string{`a="\\"`, "b"}},
		{"a string that is not closed", []string{`a="b, c`}, []string{`a="b`, "c"}},
		{"a string that ends in a backslash", []string{`a="b, c\`}, []string{`a="b`, `c\`}},
		{"a string that is not closed before a comma", []string{`a=",b`}, []string{`a="`, "b"}},
		{"an empty string before another", []string{`a="", b="c,d"`}, []string{`a=""`, `b="c,d"`}},
		{"a quote inside a word", []string{`a"b, c"`}, []string{`a"b`, `c"`}},
		{"a second string in a member", []string{`a="b" "c, d"`}, []string{`a="b" "c`, `d"`}},
		{"a string over two lines", []string{`a="b`, `c"`}, []string{`a="b`, `c"`}},
	} {
		if got := slices.Collect(members(c.lines)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q: got %q, want %q", c.name, c.lines, got, c.want)
		}
	}
	for m := range members([]string{"a, b", "c"}) {
		if m != "a" {
			t.Errorf("%q after the end", m)
		}
		break
	}
}

func TestUnquote(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{``, ``},
		{`a`, `a`},
		{`"`, `"`},
		{`""`, ``},
		{`"a`, `"a`},
		{`"a"`, `a`},
		{`"a\"b\\"`, `a"b\`},
		{`"a\"`, `"a\"`},
		{`"a"b`, `"a"b`},
		{`"a"b"`, `"a"b"`},
		{`a"b"`, `a"b"`},
		{`ab"`, `ab"`},
	} {
		if got := unquote(c.in); got != c.want {
			t.Errorf("%s: got %s, want %s", c.in, got, c.want)
		}
	}
}

func TestIsToken(t *testing.T) {
	const others = "!#$%&'*+-.^_`|~"
	for c := range 256 {
		letter := string([]byte{byte(c)})
		want := c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || strings.Contains(others, letter)
		if isToken(letter) != want || isToken("a"+letter) != want {
			t.Errorf("%q: want %v", letter, want)
		}
	}
	if isToken("") {
		t.Error("nothing is a token")
	}
}

// The members of a line, put together again, have the same members.
func FuzzMembers(f *testing.F) {
	for _, s := range []string{"a, b", `a="b, c" ,d`, `"a`, `x="\"`, "\t,", `a"b,c"`, `="`, ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		first := slices.Collect(members([]string{line}))
		again := slices.Collect(members([]string{strings.Join(first, ",")}))
		if !slices.Equal(first, again) {
			t.Errorf("%q: %q, then %q", line, first, again)
		}
		if n := strings.Count(line, ",") + 1; len(first) > n {
			t.Errorf("%q has %d members, want at most %d", line, len(first), n)
		}
	})
}

// A text in quotes is itself without them.
func FuzzUnquote(f *testing.F) {
	for _, s := range []string{"", `"`, `\`, `a"b\`, `\"`} {
		f.Add(s)
	}
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	f.Fuzz(func(t *testing.T, s string) {
		quoted := `"` + quote.Replace(s) + `"`
		if got := unquote(quoted); got != s {
			t.Errorf("%q: %s became %q", s, quoted, got)
		}
		if got := unquote(s); len(got) > len(s) {
			t.Errorf("%q has grown to %q", s, got)
		}
		if got := slices.Collect(members([]string{"a=" + quoted + ",b"})); len(got) != 2 {
			t.Errorf("%s has the members %q", quoted, got)
		}
	})
}
