//go:build !race

package rfc9111

import "testing"

func TestReuseAllocatesNothing(t *testing.T) {
	plain, stored, now := hit()
	german := request("Accept-Language: de")
	h := fields("Cache-Control: max-age=60", "Vary: Accept-Language")
	selecting, _ := Selecting(h, german.Header)
	variant := Parse(Response{Status: 200, Header: h, Requested: t0, Received: t0, Selecting: selecting})
	targeted := Parse(Response{Status: 200, Header: fields("CDN-Cache-Control: max-age=60, stale-if-error=60", "Cache-Control: no-store"),
		Requested: t0, Received: t0, Targeted: cdn.Targeted})
	for _, c := range []struct {
		name   string
		p      Policy
		req    *Request
		stored []*Response
		action Action
	}{
		{"a hit", Policy{}, plain, stored, Serve},
		{"a hit of a shared cache", Policy{Shared: true}, plain, stored, Serve},
		{"a hit with Vary", Policy{}, german, []*Response{variant}, Serve},
		{"a hit among variants", Policy{}, german, []*Response{variant, variant, variant}, Serve},
		{"a hit by a targeted field", cdn, plain, []*Response{targeted}, Serve},
		{"a miss", Policy{}, plain, nil, Forward},
		{"a miss by Vary", Policy{}, plain, []*Response{variant}, Forward},
	} {
		if n := testing.AllocsPerRun(100, func() {
			if v := c.p.Reuse(c.req, c.stored, now); v.Action != c.action {
				t.Fatalf("%s: got %v", c.name, v)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

func TestNotModifiedAllocatesNothing(t *testing.T) {
	resp := response(200, `ETag: "a"`, "Last-Modified: "+date(-hour))
	for _, c := range []struct {
		lines []string
		want  bool
	}{{nil, false}, {[]string{"If-Modified-Since: " + date(0)}, true}} {
		h := fields(c.lines...)
		if n := testing.AllocsPerRun(100, func() {
			if NotModified(h, resp) != c.want {
				t.Fatalf("%v: want %v", c.lines, c.want)
			}
		}); n != 0 {
			t.Errorf("%v: %v allocations", c.lines, n)
		}
	}
}
