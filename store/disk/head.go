package disk

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/larder-go/larder/store"
)

// A head file: the prefix, the record as store.AppendHead encodes it, the body if it is inline. All numbers are
// big-endian.
//
//	0   "LDH1"
//	4   uint32  length of the encoded record
//	8   uint32  length of the inline body; 0xffffffff: the body is in a file of its own
//	12  uint32  CRC-32C of the inline body
//	16  int64   KeepUntil in Unix nanoseconds; 0: none
//	24  the ID. Sweep reads no further than this
//	40  uint32  CRC-32C of the 40 bytes before
const (
	headMagic  = "LDH1"
	prefixSize = 44
	prefixSum  = prefixSize - sumSize
	separate   = math.MaxUint32
)

// encodeHead returns the head file of r; inline: with body in it.
func encodeHead(r *store.Record, body []byte, inline bool) ([]byte, error) {
	b, err := store.EncodeHead(make([]byte, prefixSize, prefixSize+1024+len(body)), r)
	if err != nil {
		return nil, err
	}
	head := len(b) - prefixSize
	copy(b, headMagic)
	binary.BigEndian.PutUint32(b[4:], uint32(head))
	if inline {
		binary.BigEndian.PutUint32(b[8:], uint32(len(body)))
		binary.BigEndian.PutUint32(b[12:], store.Checksum(0, body))
		b = append(b, body...)
	} else {
		binary.BigEndian.PutUint32(b[8:], separate)
	}
	binary.BigEndian.PutUint64(b[16:], uint64(nanos(r.KeepUntil)))
	copy(b[24:], r.ID[:])
	binary.BigEndian.PutUint32(b[prefixSum:], store.Checksum(0, b[:prefixSum]))
	return b, nil
}

// decodeHead returns the record in a head file, with its body if that is inline. It verifies that it is the record with
// this key and ID. The body is part of b.
func decodeHead(b []byte, key store.Key, id store.ID, decode func([]byte) (*store.Record, error)) (*store.Record, error) {
	p, err := decodePrefix(b)
	if err != nil {
		return nil, err
	}
	if int64(len(b)) != prefixSize+p.head+p.body() {
		return nil, fmt.Errorf("%d bytes long instead of %d: %w", len(b), prefixSize+p.head+p.body(), store.ErrCorrupt)
	}
	r, err := decode(b[prefixSize : prefixSize+p.head])
	if err != nil {
		return nil, err
	}
	if r.ID != id || key != "" && r.Key != key {
		return nil, fmt.Errorf("holds another record, %s: %w", r.ID, store.ErrCorrupt)
	}
	if p.inline == separate {
		return r, nil
	}
	body := b[prefixSize+p.head:]
	if store.Checksum(0, body) != p.sum || int64(len(body)) != r.Size {
		return nil, fmt.Errorf("the inline body does not match its checksum: %w", store.ErrCorrupt)
	}
	return r.WithBody(body[:len(body):len(body)], r.Size), nil
}

type prefix struct {
	head   int64
	inline uint32
	sum    uint32
	keep   int64
	id     store.ID
}

// body returns the length of the inline body.
func (p prefix) body() int64 {
	if p.inline == separate {
		return 0
	}
	return int64(p.inline)
}

func (p prefix) ended(now time.Time) bool { return p.keep != 0 && p.keep < nanos(now) }

func decodePrefix(b []byte) (prefix, error) {
	if len(b) < prefixSize || string(b[:4]) != headMagic || store.Checksum(0, b[:prefixSum]) != binary.BigEndian.Uint32(b[prefixSum:]) {
		return prefix{}, fmt.Errorf("does not begin as a head file: %w", store.ErrCorrupt)
	}
	return prefix{
		head:   int64(binary.BigEndian.Uint32(b[4:])),
		inline: binary.BigEndian.Uint32(b[8:]),
		sum:    binary.BigEndian.Uint32(b[12:]),
		keep:   int64(binary.BigEndian.Uint64(b[16:])),
		id:     store.ID(b[24:prefixSum]),
	}, nil
}

// nanos returns t in Unix nanoseconds, within the range of an int64; 0 for the zero time alone.
func nanos(t time.Time) int64 {
	switch {
	case t.IsZero():
		return 0
	case t.Unix() >= math.MaxInt64/int64(time.Second):
		return math.MaxInt64
	case t.Unix() < 0:
		return 1
	}
	return max(1, t.UnixNano())
}
