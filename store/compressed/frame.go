package compressed

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net/http"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/larder-go/larder/store"
)

// A packed body is a sequence of independent zstd frames (RFC 8878), one for each 256 KiB. The inner record says where
// they are, in a field of its header that no HTTP message can have (docs/format-compressed.md).
const (
	frameSize = 256 << 10 // of plain bytes, and of the window: level 1 gains little by a larger one
	maxPacked = frameSize + 1<<10
	minSize   = 1 << 10  // of a body that is worth packing
	inlineMax = 64 << 10 // the largest plain body that Lookup unpacks

	indexField   = ":zstd"
	indexVersion = 1
)

// buffer has room for a frame, plain or packed.
type buffer [maxPacked]byte

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// coder packs and unpacks frames. It is safe for concurrent use, and works on no more frames at once than there are
// processors.
type coder struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newCoder() coder {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(frameSize))
	if err != nil {
		panic(err) // an option is wrong
	}
	enc.EncodeAll(nil, nil) // makes it ready now, in the synctest bubble of the Store, if there is one
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(frameSize), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(err) // an option is wrong
	}
	return coder{enc, dec}
}

// pack appends a frame of plain to dst.
func (c coder) pack(dst, plain []byte) []byte { return c.enc.EncodeAll(plain, dst) }

// unpack unpacks a frame to dst, which it must fill. It writes no more than that, whatever the frame says.
func (c coder) unpack(dst, packed []byte) error {
	plain, err := c.dec.DecodeAll(packed, dst[:0:len(dst)])
	if err == nil && len(plain) != len(dst) {
		err = fmt.Errorf("%d bytes instead of %d", len(plain), len(dst))
	}
	if err != nil {
		return fmt.Errorf("a frame cannot be unpacked: %w: %w", err, store.ErrCorrupt)
	}
	return nil
}

// index tells where the frames of a body are.
type index struct {
	size int64   // of the plain body
	ends []int64 // of the frames
}

func frameCount(size int64) int64 { return (size + frameSize - 1) / frameSize }

func (x *index) start(n int64) int64 {
	if n == 0 {
		return 0
	}
	return x.ends[n-1]
}

// packed and plain return the length of frame n.
func (x *index) packed(n int64) int { return int(x.ends[n] - x.start(n)) }
func (x *index) plain(n int64) int  { return int(min(frameSize, x.size-n*frameSize)) }

// add appends a frame with a packed length.
func (x *index) add(packed int) {
	x.ends = append(x.ends, x.start(int64(len(x.ends)))+int64(packed))
}

// encode returns version, plain size, and the packed length of each frame.
func (x *index) encode() string {
	b := binary.AppendUvarint([]byte{indexVersion}, uint64(x.size))
	for n := range x.ends {
		b = binary.AppendUvarint(b, uint64(x.packed(int64(n))))
	}
	return string(b)
}

// decodeIndex returns the index of a body that is packed in size bytes.
func decodeIndex(s string, size int64) (*index, error) {
	b := []byte(s)
	if len(b) == 0 || b[0] != indexVersion {
		return nil, fmt.Errorf("index of an unknown version: %w", store.ErrCorrupt)
	}
	plain, n := binary.Uvarint(b[1:])
	b = b[1+max(n, 0):]
	// Each frame takes a byte at least, so that a wrong size costs no memory.
	if plain == 0 || plain > uint64(len(b))*frameSize {
		return nil, fmt.Errorf("index of %d frames for %d bytes: %w", len(b), plain, store.ErrCorrupt)
	}
	x := &index{size: int64(plain)}
	x.ends = make([]int64, 0, frameCount(x.size))
	for range frameCount(x.size) {
		packed, n := binary.Uvarint(b)
		if packed == 0 || packed > maxPacked { // Uvarint returns 0 as well if there is no number
			return nil, fmt.Errorf("index ends or is wrong at frame %d: %w", len(x.ends), store.ErrCorrupt)
		}
		b = b[n:]
		x.add(int(packed))
	}
	if len(b) > 0 || x.ends[len(x.ends)-1] != size {
		return nil, fmt.Errorf("index does not fit a body of %d bytes: %w", size, store.ErrCorrupt)
	}
	return x, nil
}

// addIndex returns a copy of the header with an index, "" for a plain body. Values that h has already in that field
// come after it.
func addIndex(h http.Header, index string) http.Header {
	out := make(http.Header, len(h)+1)
	maps.Copy(out, h)
	out[indexField] = append([]string{index}, h[indexField]...)
	return out
}

// cutIndex is the inverse of addIndex.
func cutIndex(h http.Header) (index string, rest http.Header) {
	v := h[indexField]
	rest = maps.Clone(h)
	if rest[indexField] = v[1:]; len(v) == 1 {
		delete(rest, indexField)
	}
	return v[0], rest
}
