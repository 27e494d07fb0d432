package rfc9111

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestGroups(t *testing.T) {
	var many []string
	for i := range 32 {
		many = append(many, fmt.Sprintf("%032d", i))
	}
	for _, c := range []struct {
		name  string
		lines []string
		want  []string
	}{
		{"none", nil, nil},
		{"an empty line", []string{""}, nil},
		{"one", []string{`"scripts"`}, []string{"scripts"}},
		{"two", []string{`"a", "b"`}, []string{"a", "b"}},
		{"on two lines", []string{`"a"`, `"b"`}, []string{"a", "b"}},
		{"the same again", []string{`"a", "b", "a"`}, []string{"a", "b"}},
		{"case counts", []string{`"a", "A"`}, []string{"a", "A"}},
		{"an empty string", []string{`""`}, []string{""}},
		{"what has to be escaped", []string{`"a\"\\, b"`}, []string{`a"\, b`}},
		{"parameters are ignored", []string{`"a";x=1;y, "b";revalidate`}, []string{"a", "b"}},
		{"32 of 32 characters", []string{`"` + strings.Join(many, `", "`) + `"`}, many},
		{"a token", []string{"scripts"}, nil},
		{"a token among strings", []string{`"a", b`}, nil},
		{"an inner list", []string{`("a" "b")`}, nil},
		{"a number", []string{"1"}, nil},
		{"a byte sequence", []string{":YQ==:"}, nil},
		{"a string for display", []string{`%"a"`}, nil},
		{"a comma at the end", []string{`"a",`}, nil},
		{"an empty member", []string{`"a",,"b"`}, nil},
		{"an open string", []string{`"a`}, nil},
		{"beyond ASCII", []string{`"ä"`}, nil},
		{"a fault on another line", []string{`"a"`, "!"}, nil},
	} {
		if got := Groups(c.lines); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestInvalidatedGroups(t *testing.T) {
	for _, c := range []struct {
		method string
		lines  []string
		want   []string
	}{
		{"POST", []string{`Cache-Group-Invalidation: "a", "b"`}, []string{"a", "b"}},
		{"DELETE", []string{`Cache-Group-Invalidation: "a"`}, []string{"a"}},
		{"FROBNICATE", []string{`Cache-Group-Invalidation: "a"`}, []string{"a"}},
		{"POST", []string{`Cache-Groups: "a"`}, nil},
		{"POST", []string{"Cache-Group-Invalidation: a"}, nil},
		{"", []string{`Cache-Group-Invalidation: "a"`}, nil},
		{"GET", []string{`Cache-Group-Invalidation: "a"`}, nil},
		{"HEAD", []string{`Cache-Group-Invalidation: "a"`}, nil},
		{"OPTIONS", []string{`Cache-Group-Invalidation: "a"`}, nil},
		{"QUERY", []string{`Cache-Group-Invalidation: "a"`}, nil},
	} {
		if got := InvalidatedGroups(&Request{Method: c.method}, fields(c.lines...)); !slices.Equal(got, c.want) {
			t.Errorf("%s, %q: got %q, want %q", c.method, c.lines, got, c.want)
		}
	}
}

// FuzzGroups: a field never makes it panic, and the same field gives the same groups, none twice.
func FuzzGroups(f *testing.F) {
	for _, s := range []string{`"a", "b"`, `"a";x`, "(", `"\`, ""} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		got := Groups([]string{a, b})
		if again := Groups([]string{a + ", " + b}); !slices.Equal(got, again) {
			t.Errorf("on two lines %q, on one %q", got, again)
		}
		if once := slices.Compact(slices.Sorted(slices.Values(got))); len(once) != len(got) {
			t.Errorf("twice in %q", got)
		}
	})
}
