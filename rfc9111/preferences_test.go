package rfc9111

import (
	"math/rand/v2"
	"net/http"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestPreferences(t *testing.T) {
	const accept, coding, language = "Accept", "Accept-Encoding", "Accept-Language"
	for _, c := range []struct{ name, field, value, want string }{
		{"empty", coding, "", ""},
		{"empty members", coding, ",gzip,, br,", "br,gzip"},
		{"order, case and spaces", coding, " GZIP,\tbr ,deflate", "br,deflate,gzip"},
		{"a weight of 1", coding, "gzip;q=1, br;q=1.0, a;q=1.000", "a,br,gzip"},
		{"shorter weights", coding, "a;q=0.50, b;q=0.500, c; Q=0.123, d ;q=0.0,e;q=0., f;q=0, g;q=0.010", "a;q=0.5,b;q=0.5,c;q=0.123,g;q=0.01,d;q=0,e;q=0,f;q=0"},
		{"the heaviest first", coding, "a;q=0.1, *;q=0, b;q=0.9, c", "c,b;q=0.9,a;q=0.1,*;q=0"},
		{"equal members once", coding, "gzip, GZip;q=1, gzip", "gzip"},
		{"two weights of one", coding, "gzip;q=0, gzip", "gzip;q=0,gzip"},
		{"two weights of one, the other way", coding, "gzip, gzip;q=0", "gzip,gzip;q=0"},
		{"languages", language, "en, de;q=0.80, EN-gb", "en,en-gb,de;q=0.8"},
		{"character sets", "Accept-Charset", "utf-8, ISO-8859-1;q=0.5", "utf-8,iso-8859-1;q=0.5"},

		{"media types keep the order of equals", accept, "text/html, TEXT/plain;q=1.0 , a/b", "text/html,text/plain,a/b"},
		{"and it is another the other way", accept, "a/b, text/plain, text/html", "a/b,text/plain,text/html"},
		{"media types by weight", accept, "*/*;q=0.80, text/html, image/*;q=0.8, a/b", "text/html,a/b,*/*;q=0.8,image/*;q=0.8"},
		{"a media type once", accept, "a/b, c/d, A/B", "a/b,c/d"},
		{"parameters", accept, "text/html ; Level=1;charset=UTF-8; q=0.70", "text/html;level=1;charset=UTF-8;q=0.7"},
		{"parameters in another order are others", accept, "a/b;y=2;x=1", "a/b;y=2;x=1"},
		{"values of parameters know case", accept, "a/b;c=D, a/b;c=d", "a/b;c=D,a/b;c=d"},

		{"a quoted parameter", accept, `B/b;p="x, y;q=0.1" , A/a`, `B/b;p="x, y;q=0.1",A/a`},
		{"a quoted parameter without a comma", accept, `B/b;p="x", A/a`, `B/b;p="x",A/a`},
		{"a parameter without a name", accept, "B/b;=x, A/a", "B/b;=x,A/a"},
		{"a media type without its first half", accept, "/B, A/a", "/B,A/a"},
		{"a parameter behind the weight", accept, "B/b;q=0.50;x=1, A/a", "B/b;q=0.50;x=1,A/a"},
		{"two weights", accept, "B/b;q=0.50;q=0.1", "B/b;q=0.50;q=0.1"},
		{"a weight above 1", coding, "B;q=1.001, a", "B;q=1.001,a"},
		{"a weight of four digits", coding, "B;q=0.1234, a", "B;q=0.1234,a"},
		{"a weight that is none", coding, "B;q=.5, a", "B;q=.5,a"},
		{"a weight with a sign", coding, "B;q=-0.5, a", "B;q=-0.5,a"},
		{"a weight that is a sign", coding, "B;q=-, a", "B;q=-,a"},
		{"a weight of ten", coding, "B;q=10, a", "B;q=10,a"},
		{"a weight of letters", coding, "B;q=0.5x, a", "B;q=0.5x,a"},
		{"a weight with two points", coding, "B;q=0.., a", "B;q=0..,a"},
		{"a quoted weight", coding, `B;q="0.5", a`, `B;q="0.5",a`},
		{"space in a weight", coding, "B;q= 0.5, a", "B;q= 0.5,a"},
		{"no weight", coding, "B;q, a;", "B;q,a;"},
		{"a parameter of a coding", coding, "B;x=1, a", "B;x=1,a"},
		{"a media type among codings", coding, "B/b, a", "B/b,a"},
		{"a coding among media types", accept, "B, a/a", "B,a/a"},
		{"space inside", language, "B b, a", "B b,a"},
		{"other letters", language, "B\u212a, a", "B\u212a,a"},
	} {
		got := normal(c.field, []string{c.value})
		if got != c.want {
			t.Errorf("%s: %s: %s: got %q, want %q", c.name, c.field, c.value, got, c.want)
		}
		if again := normal(c.field, []string{got}); again != got {
			t.Errorf("%s: %q, and that again %q", c.name, got, again)
		}
	}
}

func TestALongListStaysAsItIs(t *testing.T) {
	list := slices.Repeat([]string{"b"}, maxPreferences)
	for i := range list {
		list[i] += strconv.Itoa(i)
	}
	slices.Sort(list)
	slices.Reverse(list)
	sorted, long := normal("Accept-Encoding", list), normal("Accept-Encoding", append(list, "a"))
	if want := strings.Join(slices.Sorted(slices.Values(list)), ","); sorted != want {
		t.Errorf("%d members: got %q, want %q", maxPreferences, sorted, want)
	}
	if want := strings.Join(list, ",") + ",a"; long != want {
		t.Errorf("one more: got %q, want %q", long, want)
	}
}

// What was stored when normal forms were others is found by the same words, and is at worst stored once more.
func TestSelectsByAnEarlierNormalForm(t *testing.T) {
	for _, c := range []struct {
		stored, next string
		want         bool
	}{
		{"de;q=0.50,en", "de;q=0.50,en", true},
		{"de,en", "en, de", true},
		{"de;q=0.50,en", "en, de;q=0.5", false},
	} {
		if got := Selects(http.Header{"Accept-Language": {c.stored}}, fields("Accept-Language: "+c.next)); got != c.want {
			t.Errorf("%q, then %q: got %v", c.stored, c.next, got)
		}
	}
}

const weight = `(;[ \t]*[qQ]=(0(\.\d{0,3})?|1(\.0{0,3})?))?$`

var (
	wellFormed      = regexp.MustCompile("^([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*" + weight)
	wellFormedMedia = regexp.MustCompile(`^([*a-zA-Z0-9]+/[*a-zA-Z0-9]+(?:[ \t]*;[ \t]*[a-pr-zA-PR-Z]=[0-9A-Za-z]+)*)[ \t]*` + weight)
)

// meaning is what a list of preferences says, worked out as plainly as can be: for each weight the values that have it,
// in their order where that counts. It is nil if the list is not well formed.
func meaning(field, s string) map[string][]string {
	member := wellFormed
	if field == "Accept" {
		member = wellFormedMedia
	}
	weights := map[string]string{}
	out := map[string][]string{}
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.Trim(part, " \t"); part == "" {
			continue
		}
		m := member.FindStringSubmatch(part)
		if m == nil {
			return nil
		}
		params := strings.Split(m[1], ";")
		value := strings.ToLower(strings.Trim(params[0], " \t"))
		for _, p := range params[1:] {
			name, arg, _ := strings.Cut(strings.Trim(p, " \t"), "=")
			value += ";" + strings.ToLower(name) + "=" + arg
		}
		weight := (m[3] + "." + "000")[:1]
		if _, digits, ok := strings.Cut(m[3], "."); ok {
			weight += (digits + "000")[:3]
		} else if m[3] == "" {
			weight = "1000"
		} else {
			weight += "000"
		}
		if w, known := weights[value]; known && w != weight {
			return nil
		} else if known {
			continue
		}
		weights[value] = weight
		out[weight] = append(out[weight], value)
	}
	for _, values := range out {
		if field != "Accept" {
			slices.Sort(values)
		}
	}
	return out
}

// Two values have the same normal form if and only if they mean the same; those that mean nothing, if they are the same
// but for white space around commas.
func TestPreferencesByMeaning(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
	space := func() string { return pick("", "", "", " ", "\t ") }
	for field, words := range map[string][]string{
		"Accept-Encoding": {"gzip", "GZIP", "br", "*"}, "Accept-Language": {"de", "DE", "en-GB", "*"}, "Accept-Charset": {"utf-8", "a"},
		"Accept": {"text/html", "TEXT/html", "a/b", "a/b;x=1", "a/b; X=1", "a/b;x=A", "*/*"},
	} {
		list := func() string {
			var members []string
			for range rnd.IntN(4) {
				m := space() + pick(words...) + space() + pick("", "", "", ";q=1", ";q=1.0", "; Q=0.50", ";q=0.5", ";q=0.500", ";q=0", ";q=0.0", ";q=2", ";q=x")
				members = append(members, m+space())
			}
			return strings.Join(members, pick(",", ",", ",,"))
		}
		same, different := 0, 0
		for range 20000 {
			a, b := list(), list()
			na, nb := normal(field, []string{a}), normal(field, []string{b})
			ma, mb := meaning(field, a), meaning(field, b)
			want := reflect.DeepEqual(ma, mb)
			if ma == nil || mb == nil {
				want = ma == nil && mb == nil && slices.Equal(slices.Collect(members([]string{a})), slices.Collect(members([]string{b})))
			}
			if (na == nb) != want {
				t.Fatalf("%s: %q is %q, %q is %q, and they mean %v and %v", field, a, na, b, nb, ma, mb)
			}
			if again := normal(field, []string{na}); again != na || ma != nil && !reflect.DeepEqual(meaning(field, na), ma) {
				t.Fatalf("%s: %q is %q, and that is %q", field, a, na, again)
			}
			if want {
				same++
			} else {
				different++
			}
		}
		if same < 100 || different < 100 {
			t.Errorf("%s: %d equal, %d different: the lists are too much of one kind", field, same, different)
		}
	}
}

func TestManyParametersAreLeftAsTheyAre(t *testing.T) {
	field := "a/b" + strings.Repeat(";X=1", maxPreferences)
	if got, ok := preferences("Accept", []string{field}); got != strings.ToLower(field) || !ok {
		t.Errorf("%q, %v", got, ok)
	}
	field = "a/b" + strings.Repeat(";X=1", 15_000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got := normal("Accept", []string{field})
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; got != field || n > uint64(2*len(field)) {
		t.Errorf("%d bytes; %d bytes were allocated for %d", len(got), n, len(field))
	}
}

func FuzzPreferences(f *testing.F) {
	f.Add("gzip, br;q=0.50", "br;q=0.5,gzip")
	f.Add("a/b;x=1;q=0., */*", "a;q=1.0")
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, field := range []string{"Accept", "Accept-Language"} {
			na, nb := normal(field, []string{a}), normal(field, []string{b})
			if again := normal(field, []string{na}); again != na {
				t.Errorf("%q is %q, and that is %q", a, na, again)
			}
			ma, mb := meaning(field, a), meaning(field, b)
			if na == nb && (ma == nil) != (mb == nil) || na == nb && !reflect.DeepEqual(ma, mb) {
				t.Errorf("%s: %q and %q are both %q, and mean %v and %v", field, a, b, na, ma, mb)
			}
		}
	})
}

func BenchmarkSelects(b *testing.B) {
	req := fields("Accept-Encoding: gzip, deflate, br")
	selecting, _ := Selecting(fields("Vary: Accept-Encoding"), req)
	b.ReportAllocs()
	for b.Loop() {
		if !Selects(selecting, req) {
			b.Fatal("does not match")
		}
	}
}
