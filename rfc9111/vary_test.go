package rfc9111

import (
	"net/http"
	"reflect"
	"slices"
	"testing"
)

func TestVaryNames(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  []string
	}{
		{"none", nil, nil},
		{"empty", []string{"", " , "}, nil},
		{"one", []string{"accept-encoding"}, []string{"Accept-Encoding"}},
		{"sorted, each once", []string{"b, A", "a,B"}, []string{"A", "B"}},
		{"a star", []string{"*"}, []string{"*"}},
		{"a star in a list", []string{"Accept, *"}, []string{"*"}},
		{"a star first", []string{"*, Accept"}, []string{"*"}},
		{"a star behind nothing", []string{", *"}, []string{"*"}},
		{"names on two lines", []string{"b", "a"}, []string{"A", "B"}},
		{"a star on a second line", []string{"", "*"}, []string{"*"}},
		{"two stars", []string{"*, *"}, []string{"*"}},
		{"what is no name is as a star", []string{"Accept; q=1"}, []string{"*"}},
		{"a quoted name is as a star", []string{`"Accept"`}, []string{"*"}},
	} {
		if got := varyNames(http.Header{"Vary": c.lines}); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q: got %q, want %q", c.name, c.lines, got, c.want)
		}
	}
}

func TestSelecting(t *testing.T) {
	req := fields("B: 2 , 3", "Accept-Language: en, DE", "Empty:", "Other: x")
	for _, c := range []struct {
		vary string
		want http.Header
		ok   bool
	}{
		{"", nil, true},
		{"*", nil, false},
		{"b, a", http.Header{"A": nil, "B": {"2,3"}}, true},
		{"empty", http.Header{"Empty": {""}}, true},
		{"accept-language", http.Header{"Accept-Language": {"de,en"}}, true},
	} {
		if got, ok := Selecting(fields("Vary: "+c.vary), req); !reflect.DeepEqual(got, c.want) || ok != c.ok {
			t.Errorf("Vary: %s: got %v, %v, want %v", c.vary, got, ok, c.want)
		}
	}
	if got, ok := Selecting(http.Header{}, req); got != nil || !ok {
		t.Errorf("no Vary: got %v, %v", got, ok)
	}
}

func TestIsSelecting(t *testing.T) {
	stored := fields("A: 1, 2", "C: x")
	for _, c := range []struct {
		vary, next string
		req        []string
		want       bool
	}{
		{"A", "A", []string{"A: 1,2"}, true},
		{"A, B", "b, a", []string{"A: 1, 2"}, true},
		{"A", "A", []string{"A: 1"}, false},
		{"A", "A", nil, false},
		{"A", "A, B", []string{"A: 1, 2"}, false},
		{"A, B", "A", []string{"A: 1, 2"}, false},
		{"A", "C", []string{"A: 1, 2", "C: x"}, false},
		{"A", "", []string{"A: 1, 2"}, false},
		{"A", "*", []string{"A: 1, 2"}, false},
		{"A", "A, *", []string{"A: 1, 2"}, false},
		{"", "", []string{"A: 1, 2"}, true},
		{"", "A", []string{"A: 1, 2"}, false},
	} {
		selecting, _ := Selecting(fields("Vary: "+c.vary), stored)
		if got := IsSelecting(selecting, fields("Vary: "+c.next), fields(c.req...)); got != c.want {
			t.Errorf("Vary: %s, then %s with %v: got %v, want %v", c.vary, c.next, c.req, got, c.want)
		}
	}
}

func TestSelects(t *testing.T) {
	for _, c := range []struct {
		name         string
		vary         string
		stored, next []string
		want         bool
	}{
		{"nothing to compare", "", []string{"A: 1"}, []string{"A: 2"}, true},
		{"equal", "A", []string{"A: 1"}, []string{"A: 1"}, true},
		{"different", "A", []string{"A: 1"}, []string{"A: 2"}, false},
		{"a field that Vary does not name", "A", []string{"A: 1", "B: 1"}, []string{"A: 1", "B: 2"}, true},
		{"a line more", "A", []string{"A: 1"}, []string{"A: 1", "A: 2"}, false},
		{"one of two differs", "A, B", []string{"A: 1", "B: 1"}, []string{"A: 1", "B: 2"}, false},
		{"missing before", "A", nil, []string{"A: 1"}, false},
		{"missing now", "A", []string{"A: 1"}, nil, false},
		{"missing both times", "A", nil, nil, true},
		{"missing is not empty", "A", nil, []string{"A:"}, false},
		{"empty is not missing", "A", []string{"A:"}, nil, false},
		{"white space around commas", "A", []string{"A: 1,2"}, []string{"A:  1 ,\t2 "}, true},
		{"white space elsewhere", "A", []string{"A: 1 2"}, []string{"A: 12"}, false},
		{"white space in a string", "A", []string{`A: "1,2"`}, []string{`A: "1, 2"`}, false},
		{"lines and members", "A", []string{"A: 1", "A: 2"}, []string{"A: 1, 2"}, true},
		{"the order of any field", "A", []string{"A: 1, 2"}, []string{"A: 2, 1"}, false},
		{"empty members count", "A", []string{"A: 1,,2"}, []string{"A: 1,2"}, false},
		{"a name in another case", "a", []string{"A: 1"}, []string{"A: 2"}, false},
		{"names on the wire in another case", "x-a", []string{"x-a: 1"}, []string{"X-A: 1"}, true},
		{"the case of any field", "A", []string{"A: a"}, []string{"A: A"}, false},
		{"the order of languages", "Accept-Language", []string{"Accept-Language: en, de"}, []string{"Accept-Language: de, en"}, true},
		{"the case of languages", "Accept-Language", []string{"Accept-Language: en, de"}, []string{"Accept-Language: eN, De"}, true},
		{"the first and the last letter", "Accept-Language", []string{"Accept-Language: az, ZA"}, []string{"Accept-Language: za, AZ"}, true},
		{"the order of character sets", "Accept-Charset", []string{"Accept-Charset: utf-8, *"}, []string{"Accept-Charset: *, UTF-8"}, true},
		{"the order of codings", "Accept-Encoding", []string{"Accept-Encoding: gzip, br"}, []string{"Accept-Encoding: br", "Accept-Encoding: gzip"}, true},
		{"the weights of languages", "Accept-Language", []string{"Accept-Language: en, de;q=0.5"}, []string{"Accept-Language: de, en;q=0.5"}, false},
		{"white space before a weight", "Accept-Encoding", []string{"Accept-Encoding: gzip;q=0.5"}, []string{"Accept-Encoding: GZIP ; q=0.5"}, true},
		{"the order of media types", "Accept", []string{"Accept: text/html, text/plain"}, []string{"Accept: text/plain, text/html"}, false},
		{"bytes that are not UTF-8", "Accept-Language", []string{"Accept-Language: \xff"}, []string{"Accept-Language: \xfe"}, false},
		{"a letter that only Unicode folds", "Accept-Language", []string{"Accept-Language: k"}, []string{"Accept-Language: \u212a"}, false},
	} {
		selecting, ok := Selecting(fields("Vary: "+c.vary), fields(c.stored...))
		if got := Selects(selecting, fields(c.next...)); got != c.want || !ok {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

// A request is always selected by what was kept of itself, and a normal value is its own normal form.
func FuzzVary(f *testing.F) {
	f.Add("Accept-Language", "en, de;q=0.5", "x")
	f.Add("Accept-Encoding", `a="b, c" , "`, "")
	f.Add("A, B", "\"\t,\\\"", "\xff,")
	f.Fuzz(func(t *testing.T, vary, a, b string) {
		resp := http.Header{"Vary": {vary}}
		names := varyNames(resp)
		if again := varyNames(http.Header{"Vary": names}); !slices.Equal(again, names) || !slices.IsSorted(names) {
			t.Errorf("Vary: %q names %q, which name %q", vary, names, again)
		}
		req := http.Header{}
		for _, name := range names {
			req[name] = []string{a, b}
		}
		selecting, ok := Selecting(resp, req)
		if !ok {
			return
		}
		if !Selects(selecting, req) {
			t.Errorf("Vary: %q does not match the request it came from: %q, %q", vary, a, b)
		}
		for name, v := range selecting {
			if got := normal(name, v); got != v[0] {
				t.Errorf("%s: %q: normal form %q, then %q", name, []string{a, b}, v[0], got)
			}
			if delete(req, name); Selects(selecting, req) {
				t.Errorf("%s is missing, and yet matches", name)
			}
		}
	})
}
