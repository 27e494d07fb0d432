package rfc9111

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestContentRange(t *testing.T) {
	for _, c := range []struct {
		name   string
		fields []string
		part   Part
		size   int64
	}{
		{"the first bytes", []string{"Content-Range: bytes 0-4/10"}, Part{0, 5}, 10},
		{"the last one", []string{"Content-Range: bytes 9-9/10"}, Part{9, 1}, 10},
		{"all", []string{"Content-Range: bytes 0-9/10"}, Part{0, 10}, 10},
		{"the unit in capitals, and white space", []string{"Content-Range:  BYTES  0-4 / 10 "}, Part{0, 5}, 10},
		{"the unit in capitals", []string{"Content-Range: BYTES 0-4/10"}, Part{0, 5}, 10},
		{"with the length", []string{"Content-Range: bytes 2-4/10", "Content-Length: 3"}, Part{2, 3}, 10},
		{"the first bytes, with the length", []string{"Content-Range: bytes 0-4/10", "Content-Length: 5"}, Part{0, 5}, 10},
		{"fewer bytes than up to the end", []string{"Content-Range: bytes 4-9/10", "Content-Length: 5"}, Part{4, 5}, 9},
		{"fewer bytes than all", []string{"Content-Range: bytes 0-9/10", "Content-Length: 9"}, Part{}, 0},
		{"fewer bytes than up to somewhere else", []string{"Content-Range: bytes 4-8/10", "Content-Length: 4"}, Part{}, 0},
		{"more bytes", []string{"Content-Range: bytes 4-9/10", "Content-Length: 7"}, Part{}, 0},
		{"a length that is none", []string{"Content-Range: bytes 4-9/10", "Content-Length: x"}, Part{}, 0},
		{"none", nil, Part{}, 0},
		{"two", []string{"Content-Range: bytes 0-4/10", "Content-Range: bytes 0-4/10"}, Part{}, 0},
		{"of an unknown size", []string{"Content-Range: bytes 0-4/*"}, Part{}, 0},
		{"of a 416", []string{"Content-Range: bytes */10"}, Part{}, 0},
		{"another unit", []string{"Content-Range: lines 0-4/10"}, Part{}, 0},
		{"no unit", []string{"Content-Range: 0-4/10"}, Part{}, 0},
		{"backwards", []string{"Content-Range: bytes 4-3/10"}, Part{}, 0},
		{"beyond the end", []string{"Content-Range: bytes 4-10/10"}, Part{}, 0},
		{"no end", []string{"Content-Range: bytes 0-/10"}, Part{}, 0},
		{"no beginning", []string{"Content-Range: bytes -5/10"}, Part{}, 0},
		{"one position", []string{"Content-Range: bytes 0/10"}, Part{}, 0},
		{"no size", []string{"Content-Range: bytes 0-4"}, Part{}, 0},
		{"nothing but the unit", []string{"Content-Range: bytes"}, Part{}, 0},
		{"a sign", []string{"Content-Range: bytes -4-5/10"}, Part{}, 0},
		{"the largest", []string{"Content-Range: bytes 0-9223372036854775806/9223372036854775807"}, Part{0, math.MaxInt64}, math.MaxInt64},
		{"larger than that", []string{"Content-Range: bytes 0-9/99999999999999999999"}, Part{0, 10}, math.MaxInt64},
	} {
		r := response(206, c.fields...)
		if part, size := r.Part(); part != c.part || size != c.size {
			t.Errorf("%s: got %v of %d, want %v of %d", c.name, part, size, c.part, c.size)
		}
	}
	if part, size := response(200, "Content-Range: bytes 0-4/10").Part(); part != (Part{}) || size != 0 {
		t.Errorf("a 200 is %v of %d", part, size)
	}
	if got := ContentRange(Part{20, 30}, 100); got != "bytes 20-49/100" {
		t.Errorf("got %s", got)
	}
}

func TestCombinable(t *testing.T) {
	lm := "Last-Modified: " + date(-hour)
	for _, c := range []struct {
		name string
		a, b []string
		want bool
	}{
		{"the same tag", []string{`ETag: "1"`}, []string{`ETag: "1"`}, true},
		{"another tag", []string{`ETag: "1"`}, []string{`ETag: "2"`}, false},
		{"a weak tag", []string{`ETag: W/"1"`}, []string{`ETag: W/"1"`}, false},
		{"a weak and a strong tag", []string{`ETag: W/"1"`}, []string{`ETag: "1"`}, false},
		{"a tag in one of them", []string{`ETag: "1"`}, nil, false},
		{"a tag without quotes", []string{`ETag: 1`}, []string{`ETag: 1`}, false},
		{"nothing", nil, nil, false},
		{"the same date", []string{lm}, []string{lm}, true},
		{"another date", []string{lm}, []string{"Last-Modified: " + date(-2*hour)}, false},
		{"the same date beside a tag", []string{lm, `ETag: "1"`}, []string{lm}, false},
		{"the same date beside a weak tag", []string{lm, `ETag: W/"1"`}, []string{lm, `ETag: W/"1"`}, false},
		{"a date that is just old enough", []string{"Last-Modified: " + date(-time.Second)}, []string{"Last-Modified: " + date(-time.Second)}, true},
		{"a date that is too young", []string{"Last-Modified: " + date(0)}, []string{"Last-Modified: " + date(0)}, false},
	} {
		parse := func(lines []string) *Response { return response(206, append(lines, "Date: "+date(0))...) }
		if got := Combinable(parse(c.a), parse(c.b)); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
		if got := Combinable(parse(c.b), parse(c.a)); got != c.want {
			t.Errorf("%s, the other way round: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestCompletion(t *testing.T) {
	parse := func(lines ...string) *Response { return response(200, append(lines, "Date: "+date(0))...) }
	for _, c := range []struct {
		name    string
		stored  *Response
		missing Part
		want    []string
	}{
		{"up to the end", parse(`ETag: "1"`), Part{50, 50}, []string{"Range: bytes=50-", `If-Range: "1"`}},
		{"in the middle", parse(`ETag: "1"`), Part{50, 20}, []string{"Range: bytes=50-69", `If-Range: "1"`}},
		{"by date", parse("Last-Modified: " + date(-hour)), Part{0, 2}, []string{"Range: bytes=0-1", "If-Range: " + date(-hour)}},
		{"by nothing strong", parse(`ETag: W/"1"`), Part{0, 2}, nil},
	} {
		got, want := Completion(c.stored, c.missing, 100), fields(c.want...)
		if len(got) != len(want) || got.Get("Range") != want.Get("Range") || got.Get("If-Range") != want.Get("If-Range") {
			t.Errorf("%s: got %v, want %v", c.name, got, want)
		}
	}
}

func TestMissing(t *testing.T) {
	for _, c := range []struct {
		name string
		want Part
		have []Part
		gap  Part
	}{
		{"all", Part{0, 10}, nil, Part{0, 10}},
		{"nothing", Part{0, 10}, []Part{{0, 10}}, Part{}},
		{"nothing of two side by side", Part{2, 8}, []Part{{5, 9}, {0, 5}}, Part{}},
		{"nothing of two that overlap", Part{2, 8}, []Part{{0, 7}, {3, 9}}, Part{}},
		{"the end", Part{0, 10}, []Part{{0, 4}}, Part{4, 6}},
		{"the beginning", Part{0, 10}, []Part{{4, 6}}, Part{0, 4}},
		{"the middle", Part{0, 10}, []Part{{7, 3}, {0, 4}}, Part{4, 3}},
		{"two gaps", Part{0, 10}, []Part{{0, 2}, {4, 2}, {8, 2}}, Part{2, 6}},
		{"what is stored in the middle does not help", Part{0, 10}, []Part{{4, 2}}, Part{0, 10}},
		{"no bytes", Part{3, 0}, nil, Part{}},
	} {
		if got := Missing(c.want, c.have); got != c.gap {
			t.Errorf("%s: got %v, want %v", c.name, got, c.gap)
		}
	}
}

// TestMissingByBytes compares Missing with a look at every byte.
func TestMissingByBytes(t *testing.T) {
	for range 10_000 {
		part := func() Part { start := rand.Int64N(20); return Part{start, rand.Int64N(20 - start + 1)} }
		want := part()
		have := make([]Part, rand.IntN(5))
		for i := range have {
			have[i] = part()
		}
		var first, last int64 = -1, -1
		for i := want.Start; i < want.Start+want.Length; i++ {
			there := false
			for _, p := range have {
				there = there || p.Start <= i && i < p.Start+p.Length
			}
			if !there {
				if last = i; first < 0 {
					first = i
				}
			}
		}
		slow := Part{}
		if first >= 0 {
			slow = Part{first, last - first + 1}
		}
		if got := Missing(want, have); got != slow {
			t.Fatalf("Missing(%v, %v): got %v, want %v", want, have, got, slow)
		}
	}
}

func TestPartsAreNotSelected(t *testing.T) {
	part := response(206, "Cache-Control: max-age=60", "Content-Range: bytes 0-4/10")
	if v := (Policy{}).Reuse(&Request{}, []*Response{part}, t0.Add(time.Second)); v.Action != Forward || v.Index != -1 || v.Reason != InPart {
		t.Errorf("got %v", v)
	}
}
