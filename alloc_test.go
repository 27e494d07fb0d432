//go:build !race

package larder

import (
	"io"
	"net/http"
	"testing"
)

// What a response is judged by is read when it comes, so that a hit costs the same whatever that is.
func TestHitAllocatesAsLittleByATargetedField(t *testing.T) {
	allocs := func(c *Cache, name, value string) float64 {
		h := apiHeader()
		delete(h, "Cache-Control")
		delete(h, "Last-Modified")
		h[name] = []string{value}
		c.Base = oneOrigin{h, make([]byte, 1024)}
		req, err := http.NewRequest("GET", "http://api.example.com/v1/things?page=2&size=50", nil)
		if err != nil {
			t.Fatal(err)
		}
		get := func() {
			resp, err := c.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		get()
		n := testing.AllocsPerRun(100, get)
		if s := c.Stats(); s.Misses != 1 {
			t.Fatalf("%s: %s: %d misses", name, value, s.Misses)
		}
		return n
	}
	const most = 8
	want := allocs(new(Cache), "Cache-Control", "max-age=3600, stale-if-error=60")
	if want > most {
		t.Errorf("a hit allocates %v times, want %v at most", want, most)
	}
	for name, c := range map[string]*Cache{"Cache-Control": {Shared: true}, "Cdn-Cache-Control": {Shared: true}, "Mine-Cache-Control": {Targeted: []string{"a", "mine-cache-control"}}} {
		if got := allocs(c, name, "max-age=3600, stale-if-error=60"); got > want {
			t.Errorf("%s: %v allocations, want no more than %v", name, got, want)
		}
	}
}
