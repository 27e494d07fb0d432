package faults

import (
	"math/rand/v2"
	"sync/atomic"

	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"
)

// cutter is a toxic that breaks connections after some bytes, as limit_data does. But it is there from the start and is
// told when, for a toxic that comes or goes while connections end may wait for ever: for a link that can pass nothing
// on, since its end waits to be removed until the toxic has been (toxiproxy 2.5.0).
type cutter struct {
	now atomic.Pointer[cut] // nil: none break
}

// cut is what befalls those of the connections that chance selects.
type cut struct {
	bytes  int64
	chance float64
}

func init() { toxics.Register("cutter", new(cutter)) }

// Pipe is described at toxics.Toxic; it runs once for each connection.
func (c *cutter) Pipe(stub *toxics.ToxicStub) {
	var now *cut
	var left int64
	selected := false
	for {
		var chunk *stream.StreamChunk
		select {
		case <-stub.Interrupt:
			return
		case chunk = <-stub.Input:
		}
		if chunk == nil {
			stub.Close()
			return
		}
		if next := c.now.Load(); next != now {
			now, selected = next, next != nil && rand.Float64() < next.chance
			if selected {
				left = now.bytes
			}
		}
		if selected && left <= int64(len(chunk.Data)) {
			if chunk.Data = chunk.Data[:left]; left > 0 {
				stub.Output <- chunk
			}
			stub.Close()
			return
		}
		left -= int64(len(chunk.Data))
		stub.Output <- chunk
	}
}

// cut breaks, from now on until stop is called, connections after so many bytes of the stream.
func (p *proxy) cut(stream string, bytes int64, chance float64) (stop func()) {
	c := p.Toxics.GetToxic(stream).Toxic.(*cutter)
	c.now.Store(&cut{bytes, chance})
	return func() { c.now.Store(nil) }
}
