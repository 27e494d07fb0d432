package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"net/http"
	"time"
)

// The encoding of a record without its body, described for other languages in docs/format.md:
//
//	magic "LRD", version 1, fields, CRC-32C of all before it (4 bytes, big-endian)
//	field = tag (1 byte), length (uvarint), value
//
// A reader skips fields whose tag it does not know; a field that holds its zero value is left out.
const (
	magic   = "LRD"
	version = 1

	maxEncoded = 16 << 20 // bytes of a head: decoding one takes many times as much
)

const (
	tagKey byte = iota + 1
	tagID
	tagMethod
	tagURL
	tagStatus
	tagProto
	tagHeader
	tagTrailer
	tagSelecting
	tagUncompressed
	tagLength
	tagTLS
	tagRequested
	tagReceived
	tagTTL
	tagStaleWhileRevalidate
	tagStaleIfError
	tagSize
	tagFreshUntil
	tagKeepUntil
	tagTag
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum returns the CRC-32C of b, continuing sum; start with 0.
func Checksum(sum uint32, b []byte) uint32 { return crc32.Update(sum, castagnoli, b) }

// EncodeHead is AppendHead for stores: if the encoding is longer than DecodeHead takes, it returns dst and an error
// that wraps ErrTooLarge.
func EncodeHead(dst []byte, r *Record) ([]byte, error) {
	b := AppendHead(dst, r)
	if n := len(b) - len(dst); n > maxEncoded {
		return dst, fmt.Errorf("a head of %d bytes, more than %d: %w", n, maxEncoded, ErrTooLarge)
	}
	return b, nil
}

// AppendHead appends the encoding of r without its body to dst.
func AppendHead(dst []byte, r *Record) []byte {
	start := len(dst)
	e := encoder{append(append(dst, magic...), version)}
	e.str(tagKey, string(r.Key))
	e.str(tagID, string(r.ID[:]))
	e.str(tagMethod, r.Method)
	e.str(tagURL, r.URL)
	e.num(tagStatus, int64(r.Status))
	e.str(tagProto, r.Proto)
	e.header(tagHeader, r.Header)
	e.header(tagTrailer, r.Trailer)
	e.header(tagSelecting, r.Selecting)
	if r.Uncompressed {
		e.num(tagUncompressed, 1)
	}
	e.num(tagLength, r.Length)
	e.tls(tagTLS, r.TLS)
	e.time(tagRequested, r.Requested)
	e.time(tagReceived, r.Received)
	e.num(tagTTL, int64(r.TTL))
	e.num(tagStaleWhileRevalidate, int64(r.StaleWhileRevalidate))
	e.num(tagStaleIfError, int64(r.StaleIfError))
	e.num(tagSize, r.Size)
	e.time(tagFreshUntil, r.FreshUntil)
	e.time(tagKeepUntil, r.KeepUntil)
	for _, t := range r.Tags {
		e.b = appendString(append(e.b, tagTag), t)
	}
	return binary.BigEndian.AppendUint32(e.b, Checksum(0, e.b[start:]))
}

// DecodeHead is the inverse of AppendHead: b must be exactly one encoded head. Its error wraps ErrCorrupt. The record
// keeps nothing of b.
func DecodeHead(b []byte) (*Record, error) {
	if err := checkFrame(b); err != nil {
		return nil, err
	}
	return decode(string(b)) // one copy, from which every string is cut
}

// checkFrame checks what stands around the fields of a head.
func checkFrame(b []byte) error {
	if len(b) < len(magic)+1+4 || string(b[:len(magic)]) != magic {
		return fmt.Errorf("record head of %d bytes does not begin with %q: %w", len(b), magic, ErrCorrupt)
	}
	if len(b) > maxEncoded {
		return fmt.Errorf("record head of %d bytes: %w", len(b), ErrCorrupt)
	}
	if b[len(magic)] != version {
		return fmt.Errorf("record head of unknown version %d: %w", b[len(magic)], ErrCorrupt)
	}
	end := len(b) - 4
	if Checksum(0, b[:end]) != binary.BigEndian.Uint32(b[end:]) {
		return fmt.Errorf("record head: checksum does not match: %w", ErrCorrupt)
	}
	return nil
}

// decode decodes a head whose frame is in order.
func decode(s string) (*Record, error) {
	r := new(Record)
	p := parser{s: s[len(magic)+1 : len(s)-4]}
	for len(p.s) > 0 {
		tag := p.byte()
		value := parser{s: p.str()}
		value.field(tag, r)
		if value.bad || len(value.s) > 0 {
			return nil, fmt.Errorf("record head: field %d is malformed: %w", tag, ErrCorrupt)
		}
	}
	if p.bad || r.Key == "" || r.Size < 0 {
		return nil, fmt.Errorf("record head is malformed: %w", ErrCorrupt)
	}
	if r.Header == nil {
		r.Header = http.Header{}
	}
	return r, nil
}

type encoder struct{ b []byte }

func (e *encoder) str(tag byte, s string) {
	if s != "" {
		e.b = appendString(append(e.b, tag), s)
	}
}

func (e *encoder) num(tag byte, n int64) {
	if n != 0 {
		var v [binary.MaxVarintLen64]byte
		e.str(tag, string(v[:binary.PutVarint(v[:], n)]))
	}
}

// time encodes t as seconds and nanoseconds since 1970; the zero time is left out.
func (e *encoder) time(tag byte, t time.Time) {
	if !t.IsZero() {
		var v [2 * binary.MaxVarintLen64]byte
		n := binary.PutVarint(v[:], t.Unix())
		n += binary.PutVarint(v[n:], int64(t.Nanosecond()))
		e.str(tag, string(v[:n]))
	}
}

// header encodes the number of values and the number of names, then for each name: the name, how many values it has,
// and these.
func (e *encoder) header(tag byte, h http.Header) {
	if h == nil {
		return
	}
	e.field(tag, func(b []byte) []byte {
		values := 0
		for _, vv := range h {
			values += len(vv)
		}
		b = binary.AppendUvarint(b, uint64(values))
		b = binary.AppendUvarint(b, uint64(len(h)))
		for name, vv := range h {
			b = appendString(b, name)
			b = binary.AppendUvarint(b, uint64(len(vv)))
			for _, v := range vv {
				b = appendString(b, v)
			}
		}
		return b
	})
}

func (e *encoder) tls(tag byte, c *Connection) {
	if c == nil {
		return
	}
	e.field(tag, func(b []byte) []byte {
		b = binary.AppendUvarint(b, uint64(c.Version))
		b = binary.AppendUvarint(b, uint64(c.CipherSuite))
		b = appendString(b, c.ServerName)
		b = appendString(b, c.Protocol)
		b = binary.AppendUvarint(b, uint64(len(c.Certificates)))
		for _, cert := range c.Certificates {
			b = appendString(b, string(cert))
		}
		return b
	})
}

// field encodes a value whose length is not known before write appends it. It leaves one byte for the length, and moves
// the value if the length takes more.
func (e *encoder) field(tag byte, write func([]byte) []byte) {
	at := len(e.b) + 2
	e.b = write(append(e.b, tag, 0))
	var n [binary.MaxVarintLen64]byte
	size := len(e.b) - at
	w := binary.PutUvarint(n[:], uint64(size))
	e.b = append(e.b, n[:w-1]...)
	copy(e.b[at+w-1:], e.b[at:at+size])
	copy(e.b[at-1:], n[:w])
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// parser cuts values off the front of s; after a fault it is bad and yields zero values.
type parser struct {
	s   string
	bad bool
}

// field sets the field of r that tag names to the whole of what is parsed. It skips what it does not know.
func (p *parser) field(tag byte, r *Record) {
	switch tag {
	case tagKey:
		r.Key = Key(p.rest())
	case tagID:
		p.bad = len(p.s) != len(r.ID)
		copy(r.ID[:], p.rest())
	case tagMethod:
		r.Method = p.rest()
	case tagURL:
		r.URL = p.rest()
	case tagStatus:
		r.Status = int(p.num())
	case tagProto:
		r.Proto = p.rest()
	case tagHeader:
		r.Header = p.header()
	case tagTrailer:
		r.Trailer = p.header()
	case tagSelecting:
		r.Selecting = p.header()
	case tagUncompressed:
		r.Uncompressed = p.num() != 0
	case tagLength:
		r.Length = p.num()
	case tagTLS:
		r.TLS = p.tls()
	case tagRequested:
		r.Requested = p.time()
	case tagReceived:
		r.Received = p.time()
	case tagTTL:
		r.TTL = time.Duration(p.num())
	case tagStaleWhileRevalidate:
		r.StaleWhileRevalidate = time.Duration(p.num())
	case tagStaleIfError:
		r.StaleIfError = time.Duration(p.num())
	case tagSize:
		r.Size = p.num()
	case tagFreshUntil:
		r.FreshUntil = p.time()
	case tagKeepUntil:
		r.KeepUntil = p.time()
	case tagTag:
		r.Tags = append(r.Tags, p.rest())
	default:
		p.rest()
	}
}

func (p *parser) fail() {
	p.bad, p.s = true, ""
}

func (p *parser) byte() byte {
	if len(p.s) == 0 {
		p.fail()
		return 0
	}
	c := p.s[0]
	p.s = p.s[1:]
	return c
}

func (p *parser) uvarint() uint64 {
	var n uint64
	for shift := 0; shift < 64; shift += 7 {
		c := p.byte()
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return n
		}
	}
	p.fail()
	return 0
}

func (p *parser) num() int64 {
	u := p.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// count reads the number of things that follow, each of which takes a byte at least.
func (p *parser) count() int {
	n := p.uvarint()
	if n > uint64(len(p.s)) {
		p.fail()
		return 0
	}
	return int(n)
}

func (p *parser) str() string {
	n := p.count()
	s := p.s[:n]
	p.s = p.s[n:]
	return s
}

func (p *parser) rest() string {
	s := p.s
	p.s = ""
	return s
}

// The years 1 to 9999, those that HTTP and JSON can write.
const (
	firstSecond = -62135596800
	lastSecond  = 253402300799
)

func (p *parser) time() time.Time {
	sec, nsec := p.num(), p.num()
	if sec < firstSecond || sec > lastSecond || nsec < 0 || nsec >= int64(time.Second) {
		p.fail()
	}
	return time.Unix(sec, nsec)
}

func (p *parser) header() http.Header {
	values, names := p.count(), p.count()
	if values+2*names > len(p.s) { // each value takes a byte at least, and each name two
		p.fail()
		return nil
	}
	h := make(http.Header, min(names, 64)) // it grows as more names come, not because more are announced
	all := make([]string, values)          // one array for the values of all fields
	for range names {
		name := p.str()
		n := p.count()
		if p.bad || n > len(all) {
			p.fail()
			return h
		}
		var vv []string
		if n > 0 {
			vv, all = all[:n:n], all[n:]
		}
		for i := range vv {
			vv[i] = p.str()
		}
		h[name] = vv
	}
	if len(all) > 0 || len(h) != names {
		p.fail()
	}
	return h
}

func (p *parser) tls() *Connection {
	version, suite := p.uvarint(), p.uvarint()
	if version > math.MaxUint16 || suite > math.MaxUint16 {
		p.fail()
	}
	c := &Connection{Version: uint16(version), CipherSuite: uint16(suite), ServerName: p.str(), Protocol: p.str()}
	if n := p.count(); n > 0 {
		c.Certificates = make([][]byte, n)
	}
	for i := range c.Certificates {
		c.Certificates[i] = []byte(p.str())
	}
	return c
}
