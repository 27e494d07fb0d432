package rfc9111

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRanges(t *testing.T) {
	modified := "Last-Modified: " + date(-hour)
	for _, c := range []struct {
		name   string
		req    []string
		stored []string
		size   int64
		parts  []Part
		status int
	}{
		{"no Range", nil, nil, 10, nil, 200},
		{"first and last", []string{"Range: bytes=2-5"}, nil, 10, []Part{{2, 4}}, 206},
		{"one byte", []string{"Range: bytes=0-0"}, nil, 10, []Part{{0, 1}}, 206},
		{"from a position", []string{"Range: bytes=7-"}, nil, 10, []Part{{7, 3}}, 206},
		{"the last ones", []string{"Range: bytes=-3"}, nil, 10, []Part{{7, 3}}, 206},
		{"more than the last ones", []string{"Range: bytes=-30"}, nil, 10, []Part{{0, 10}}, 206},
		{"beyond the end", []string{"Range: bytes=7-99"}, nil, 10, []Part{{7, 3}}, 206},
		{"far beyond the end", []string{"Range: bytes=7-99999999999999999999999"}, nil, 10, []Part{{7, 3}}, 206},
		{"the whole", []string{"Range: bytes=0-"}, nil, 10, []Part{{0, 10}}, 206},
		{"overlapping the last ones", []string{"Range: bytes=8-, 0-1 ,,-3"}, nil, 12, nil, 200},
		{"several in the request's order", []string{"Range: bytes=8-, 0-1 ,,4-5"}, nil, 12, []Part{{8, 4}, {0, 2}, {4, 2}}, 206},
		{"one of them is outside", []string{"Range: bytes=20-, 0-1"}, nil, 10, []Part{{0, 2}}, 206},
		{"the unit in capitals", []string{"Range: BYTES=0-0"}, nil, 10, []Part{{0, 1}}, 206},

		{"outside", []string{"Range: bytes=10-"}, nil, 10, nil, 416},
		{"far outside", []string{"Range: bytes=99999999999999999999999-"}, nil, 10, nil, 416},
		{"the last 0", []string{"Range: bytes=-0"}, nil, 10, nil, 416},
		{"all outside", []string{"Range: bytes=10-11, 20-"}, nil, 10, nil, 416},

		{"another unit", []string{"Range: lines=0-1"}, nil, 10, nil, 200},
		{"no unit", []string{"Range: 0-1"}, nil, 10, nil, 200},
		{"no ranges", []string{"Range: bytes="}, nil, 10, nil, 200},
		{"only commas", []string{"Range: bytes=, ,"}, nil, 10, nil, 200},
		{"backwards", []string{"Range: bytes=5-2"}, nil, 10, nil, 200},
		{"words", []string{"Range: bytes=a-b"}, nil, 10, nil, 200},
		{"no dash", []string{"Range: bytes=5"}, nil, 10, nil, 200},
		{"a dash alone", []string{"Range: bytes=-"}, nil, 10, nil, 200},
		{"two dashes", []string{"Range: bytes=--5"}, nil, 10, nil, 200},
		{"white space inside", []string{"Range: bytes=1 - 2"}, nil, 10, nil, 200},
		{"a sign", []string{"Range: bytes=+1-2"}, nil, 10, nil, 200},
		{"one is invalid", []string{"Range: bytes=0-1, x"}, nil, 10, nil, 200},
		{"two lines", []string{"Range: bytes=0-1", "Range: bytes=3-4"}, nil, 10, nil, 200},
		{"overlapping", []string{"Range: bytes=0-5, 5-9"}, nil, 10, nil, 200},
		{"side by side", []string{"Range: bytes=0-4, 5-9"}, nil, 10, []Part{{0, 5}, {5, 5}}, 206},
		{"side by side, backwards", []string{"Range: bytes=5-9, 0-4"}, nil, 10, []Part{{5, 5}, {0, 5}}, 206},
		{"the last byte of the largest size", []string{"Range: bytes=9223372036854775806-9223372036854775806"}, nil, math.MaxInt64, []Part{{math.MaxInt64 - 1, 1}}, 206},
		{"an empty body", []string{"Range: bytes=0-"}, nil, 0, nil, 200},
		{"an unknown size", []string{"Range: bytes=0-1"}, nil, -1, nil, 200},

		{"If-Range with the tag", []string{"Range: bytes=0-1", `If-Range: "a"`}, []string{`ETag: "a"`}, 10, []Part{{0, 2}}, 206},
		{"If-Range with another tag", []string{"Range: bytes=0-1", `If-Range: "b"`}, []string{`ETag: "a"`}, 10, nil, 200},
		{"If-Range with a weak tag", []string{"Range: bytes=0-1", `If-Range: W/"a"`}, []string{`ETag: W/"a"`}, 10, nil, 200},
		{"If-Range with the tag of a weak one", []string{"Range: bytes=0-1", `If-Range: "a"`}, []string{`ETag: W/"a"`}, 10, nil, 200},
		{"If-Range with the date of arrival for Date", []string{"Range: bytes=0-1", "If-Range: " + date(-hour)}, []string{modified}, 10, []Part{{0, 2}}, 206},
		{"If-Range with an earlier date", []string{"Range: bytes=0-1", "If-Range: " + date(-2*hour)}, []string{modified, "Date: " + date(0)}, 10, nil, 200},
		{"If-Range alone", []string{`If-Range: "a"`}, []string{`ETag: "a"`}, 10, nil, 200},
		{"If-Range with two tags", []string{"Range: bytes=0-1", `If-Range: "a", "a"`}, []string{`ETag: "a"`}, 10, nil, 200},
		{"If-Range with the date", []string{"Range: bytes=0-1", "If-Range: " + date(-hour)}, []string{modified, "Date: " + date(0)}, 10, []Part{{0, 2}}, 206},
		{"If-Range with a later date", []string{"Range: bytes=0-1", "If-Range: " + date(0)}, []string{modified, "Date: " + date(0)}, 10, nil, 200},
		{"If-Range with a date just old enough", []string{"Range: bytes=0-1", "If-Range: " + date(-hour)}, []string{modified, "Date: " + date(-hour+time.Second)}, 10, []Part{{0, 2}}, 206},
		{"If-Range with a date too near", []string{"Range: bytes=0-1", "If-Range: " + date(-hour)}, []string{modified, "Date: " + date(-hour)}, 10, nil, 200},
		{"If-Range with the date of nothing", []string{"Range: bytes=0-1", "If-Range: Mon, 01 Jan 0001 00:00:00 GMT"}, nil, 10, nil, 200},
		{"If-Range with garbage", []string{"Range: bytes=0-1", "If-Range: a"}, []string{`ETag: "a"`}, 10, nil, 200},
		{"If-Range, empty", []string{"Range: bytes=0-1", "If-Range:"}, nil, 10, nil, 200},
		{"If-Range twice", []string{"Range: bytes=0-1", `If-Range: "a"`, `If-Range: "a"`}, []string{`ETag: "a"`}, 10, nil, 200},
		{"If-Range beats a range outside", []string{"Range: bytes=99-", `If-Range: "b"`}, []string{`ETag: "a"`}, 10, nil, 200},
	} {
		parts, status := Ranges(fields(c.req...), response(200, c.stored...), c.size)
		if status != c.status || !slices.Equal(parts, c.parts) {
			t.Errorf("%s: got %v, %d, want %v, %d", c.name, parts, status, c.parts, c.status)
		}
	}
	if _, status := Ranges(fields("Range: bytes=0-1"), response(404), 10); status != 200 {
		t.Errorf("a range of a 404: got %d, want 200, for the whole", status)
	}
}

func TestTooManyRangesGetTheWhole(t *testing.T) {
	for n, want := range map[int]int{maxRanges: 206, maxRanges + 1: 200, 10000: 200} {
		set := make([]string, n)
		for i := range set {
			set[i] = fmt.Sprintf("%d-%d", 2*i, 2*i)
		}
		if _, status := Ranges(fields("Range: bytes="+strings.Join(set, ",")), response(200), 1<<20); status != want {
			t.Errorf("%d ranges: got %d, want %d", n, status, want)
		}
	}
}

// Whatever is asked for, the parts lie inside the body, hold a byte at least, do not overlap, and are what one gets who
// asks for just them.
func FuzzRanges(f *testing.F) {
	f.Add("bytes=0-1, 3-", int64(10))
	f.Add("bytes=-5,-9223372036854775808", int64(1))
	f.Add("bytes=9223372036854775807-, 0-9223372036854775807", int64(9223372036854775807))
	f.Fuzz(func(t *testing.T, s string, size int64) {
		parts, status := Ranges(fields("Range: "+s), response(200), size)
		if (status == 206) != (len(parts) > 0) || status != 206 && status != 200 && status != 416 || len(parts) > maxRanges {
			t.Errorf("%q of %d: %v, %d", s, size, parts, status)
		}
		set := make([]string, len(parts))
		for i, p := range parts {
			set[i] = fmt.Sprintf("%d-%d", p.Start, p.Start+(p.Length-1))
		}
		if again, _ := Ranges(fields("Range: bytes="+strings.Join(set, ",")), response(200), size); !slices.Equal(again, parts) {
			t.Errorf("%q of %d: %v, written out and read again %v", s, size, parts, again)
		}
		for i, p := range parts {
			if p.Start < 0 || p.Length < 1 || p.Start > size-p.Length {
				t.Errorf("%q of %d: %v is outside", s, size, p)
			}
			for _, q := range parts[:i] {
				if p.Start <= q.Start+(q.Length-1) && q.Start <= p.Start+(p.Length-1) {
					t.Errorf("%q of %d: %v and %v overlap", s, size, p, q)
				}
			}
		}
	})
}
