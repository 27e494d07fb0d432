package larder

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// unheeding is a Base that answers even when nobody waits any more.
type unheeding struct{}

func (unheeding) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Cache-Control": {"max-age=60"}}, ContentLength: -1,
		Body: http.NoBody}, nil
}

// TestPanicAfterTheEnd shows that a panic after a flight has been settled is told of as it is, and settles nothing once more.
func TestPanicAfterTheEnd(t *testing.T) {
	c := &Cache{Base: unheeding{}, Observe: func(e Event) {
		if e.Kind == Discarded {
			panic("a bug")
		}
	}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://example.com/", nil)
	if err != nil {
		t.Fatal(err)
	}
	x, err := c.exchangeFor(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.look(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	f := c.flights.alone(t.Context(), flightKey{key: x.key, method: http.MethodGet}, x.target.url)
	f.done()
	f.leave(true)
	defer func() {
		if p := fmt.Sprint(recover()); !strings.Contains(p, "a bug") {
			t.Errorf("the panic is %q", p)
		}
	}()
	c.lead(f, x)
}
