package sealed

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math"
	"net/http"

	"github.com/larder-go/larder/store"
)

// What is sealed, a head or a body, begins with a prefix and goes on in segments (docs/format-sealed.md):
//
//	0  version: 1
//	1  the id of the key
//	8  24 random bytes
//
// The segments are sealed with AES-256-GCM under a key that is used for nothing else: it is derived from the prefix,
// the record's key and id, and whether this is a head or a body. The nonce of a segment is its number, and whether it
// is the last.
const (
	version     = 1
	idSize      = 7
	prefixSize  = 32
	segmentSize = 32 << 10 // of plain bytes: what larder reads and writes at a time
	overhead    = 16       // the tag of GCM
	sealedSegm  = segmentSize + overhead
)

// kind keeps heads and bodies apart.
type kind string

const (
	head kind = "h"
	body kind = "b"
)

// headField is the field of the inner record's header that holds the sealed head.
const headField = "Sealed"

// prefix returns a new prefix, for one head or body.
func (k *key) prefix() (p [prefixSize]byte) {
	p[0] = version
	copy(p[1:], k.id[:])
	rand.Read(p[1+idSize:]) // never fails, see crypto/rand
	return p
}

// segments seals and opens what has this prefix. It is safe for concurrent use.
type segments struct{ cipher.AEAD }

// segments returns what seals and opens the segments of a head or body. None opens if the version or the key in the
// prefix is another than it was sealed with.
func (k *key) segments(what kind, prefix []byte, name store.Key, id store.ID) segments {
	secret := k.secrets.sum(1, string(what), string(prefix), string(id[:]), string(name)) // HKDF-Expand (RFC 5869 §2.3)
	block, err := aes.NewCipher(secret[:])
	if err != nil {
		panic(err) // the key is not of 32 bytes
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // the block is not of 16 bytes
	}
	return segments{aead}
}

func nonce(n int64, last bool) []byte {
	b := make([]byte, 12)
	binary.BigEndian.PutUint64(b[3:], uint64(n))
	if last {
		b[11] = 1
	}
	return b
}

// seal appends segment n, sealed, to dst.
func (s segments) seal(dst, plain []byte, n int64, last bool) []byte {
	return s.Seal(dst, nonce(n, last), plain, nil)
}

// open appends segment n, opened, to dst.
func (s segments) open(dst, sealed []byte, n int64, last bool) ([]byte, error) {
	plain, err := s.Open(dst, nonce(n, last), sealed, nil)
	if err != nil {
		return nil, fmt.Errorf("segment %d is not what was sealed here: %w", n, store.ErrCorrupt)
	}
	return plain, nil
}

func segmentCount(size int64) int64 { return (size + segmentSize - 1) / segmentSize }

// segmentAt returns where segment n begins in what is sealed.
func segmentAt(n int64) int64 { return prefixSize + n*sealedSegm }

// segmentLength returns the length of segment n of a body of size bytes.
func segmentLength(n, size int64) int { return int(min(segmentSize, size-n*segmentSize)) }

// sealedSize returns the length of a sealed body of size bytes: 0 of 0, and -1 (unknown) of -1.
func sealedSize(size int64) int64 {
	switch {
	case size <= 0:
		return size
	case size > math.MaxInt64/2: // a Content-Length may say anything
		return math.MaxInt64
	}
	return prefixSize + size + segmentCount(size)*overhead
}

// seal returns what the inner store keeps of r, without the body.
func (k *key) seal(r *store.Record) (*store.Record, error) {
	in := &store.Record{
		Key: k.name(r.Key), ID: r.ID, Size: sealedSize(r.Size),
		FreshUntil: r.FreshUntil, KeepUntil: r.KeepUntil,
	}
	in.URL, in.Received = k.alias('u', r.URL), r.Received
	for _, tag := range r.Tags {
		in.Tags = append(in.Tags, k.alias('t', tag))
	}
	prefix := k.prefix()
	b, err := store.EncodeHead(append(make([]byte, 0, 2<<10), prefix[:]...), r)
	if err != nil {
		return nil, err
	}
	b = k.segments(head, prefix[:], in.Key, in.ID).seal(b[:prefixSize], b[prefixSize:], 0, true)
	in.Header = http.Header{headField: {string(b)}}
	return in, nil
}

// sealedHead returns the sealed head in in; nil if in is not a sealed record.
func sealedHead(in *store.Record) []byte {
	if v := in.Header[headField]; len(v) == 1 && len(v[0]) >= prefixSize {
		return []byte(v[0])
	}
	return nil
}

// open returns the record whose head is sealed in in, without its body.
func (k *key) open(in *store.Record) (*store.Record, error) {
	b := sealedHead(in)
	if b == nil {
		return nil, fmt.Errorf("record %v is not sealed: %w", in.ID, store.ErrCorrupt)
	}
	b, err := k.segments(head, b[:prefixSize], in.Key, in.ID).open(b[prefixSize:prefixSize], b[prefixSize:], 0, true)
	var r *store.Record
	if err == nil {
		r, err = store.DecodeHead(b)
	}
	if err == nil && sealedSize(r.Size) != in.Size { // the size of a body is bound to the head
		err = fmt.Errorf("a body of %d bytes is sealed in %d: %w", r.Size, in.Size, store.ErrCorrupt)
	}
	if err != nil {
		return nil, fmt.Errorf("record %v: %w", in.ID, err)
	}
	return r, nil
}

// openBody opens a body that came with its record.
func (k *key) openBody(in *store.Record, size int64) ([]byte, error) {
	b := in.Body
	if int64(len(b)) != sealedSize(size) {
		return nil, fmt.Errorf("record %v: %d bytes of body instead of %d: %w", in.ID, len(b), sealedSize(size), store.ErrCorrupt)
	}
	s := k.segments(body, b[:prefixSize], in.Key, in.ID)
	plain := make([]byte, 0, size)
	for n, count := int64(0), segmentCount(size); n < count; n++ {
		at := segmentAt(n)
		end := at + int64(segmentLength(n, size)) + overhead
		var err error
		if plain, err = s.open(plain, b[at:end], n, n == count-1); err != nil {
			return nil, fmt.Errorf("body of record %v: %w", in.ID, err)
		}
	}
	return plain, nil
}
