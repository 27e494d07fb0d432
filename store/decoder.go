package store

import (
	"hash/maphash"
	"sync"
)

// A Decoder decodes heads for a store that keeps them as bytes, and remembers the last ones: the same bytes give the
// same Record, with what Derived has made of it. So a head is decoded, and its fields parsed, only when it is new or
// has changed, and not at every hit (docs/performance.md). The zero value is ready for use. It is safe for concurrent
// use.
type Decoder struct {
	mu    sync.Mutex
	seed  maphash.Seed
	heads map[uint64]decodedHead
}

type decodedHead struct {
	bytes string
	r     *Record
}

// A Decoder remembers up to 512 heads of up to 4 KiB: 2 MiB of bytes, and about twice as much of what they say.
const (
	maxHeads = 512
	maxHead  = 4 << 10
)

// Head is DecodeHead, but the Record is shared and read-only: Record.WithBody makes a copy with a body.
func (d *Decoder) Head(b []byte) (*Record, error) {
	if len(b) > maxHead {
		return DecodeHead(b)
	}
	d.mu.Lock()
	if d.heads == nil {
		d.heads, d.seed = make(map[uint64]decodedHead), maphash.MakeSeed()
	}
	hash := maphash.Bytes(d.seed, b)
	known, ok := d.heads[hash]
	d.mu.Unlock()
	if ok && known.bytes == string(b) {
		return known.r, nil
	}
	if err := checkFrame(b); err != nil {
		return nil, err
	}
	s := string(b)
	r, err := decode(s)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.heads) >= maxHeads {
		for some := range d.heads {
			delete(d.heads, some)
			break
		}
	}
	d.heads[hash] = decodedHead{s, r}
	return r, nil
}
