package behaviour

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
)

// long returns n bytes of text in which no two places are alike.
func long(seed string, n int) string {
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "%s %d\n", seed, b.Len())
	}
	return b.String()[:n]
}

// failing is a reader that has only an error to give.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// closing is a body that knows whether it has been closed, and is not read from then on.
type closing struct {
	io.Reader
	closed atomic.Bool
}

func newBody(s string) *closing { return &closing{Reader: strings.NewReader(s)} }

func (c *closing) Read(p []byte) (int, error) {
	if c.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	return c.Reader.Read(p)
}

func (c *closing) Close() error {
	c.closed.Store(true)
	return nil
}
