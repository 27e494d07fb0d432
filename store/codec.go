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

	maxEncoded = 16 << 20 // longer ones are not stored, and not decoded, which takes many times their size
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

// EncodeHead is AppendHead for a store: the error wraps ErrTooLarge if the encoding is longer than DecodeHead takes. It then returns dst.
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
	if c := r.TLS; c != nil {
		e.field(tagTLS, func(b []byte) []byte {
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

// DecodeHead is the inverse of AppendHead; b must be exactly one encoded head. The error wraps ErrCorrupt. The record
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
	d := decoder{s: s[len(magic)+1 : len(s)-4]}
	for len(d.s) > 0 && !d.bad {
		tag := d.byte()
		v := decoder{s: d.str()}
		switch tag {
		case tagKey:
			r.Key = Key(v.rest())
		case tagID:
			v.bad = len(v.s) != len(r.ID)
			copy(r.ID[:], v.rest())
		case tagMethod:
			r.Method = v.rest()
		case tagURL:
			r.URL = v.rest()
		case tagStatus:
			r.Status = int(v.num())
		case tagProto:
			r.Proto = v.rest()
		case tagHeader:
			r.Header = v.header()
		case tagTrailer:
			r.Trailer = v.header()
		case tagSelecting:
			r.Selecting = v.header()
		case tagUncompressed:
			r.Uncompressed = v.num() != 0
		case tagLength:
			r.Length = v.num()
		case tagTLS:
			r.TLS = v.tls()
		case tagRequested:
			r.Requested = v.time()
		case tagReceived:
			r.Received = v.time()
		case tagTTL:
			r.TTL = time.Duration(v.num())
		case tagStaleWhileRevalidate:
			r.StaleWhileRevalidate = time.Duration(v.num())
		case tagStaleIfError:
			r.StaleIfError = time.Duration(v.num())
		case tagSize:
			r.Size = v.num()
		case tagFreshUntil:
			r.FreshUntil = v.time()
		case tagKeepUntil:
			r.KeepUntil = v.time()
		case tagTag:
			r.Tags = append(r.Tags, v.rest())
		default:
			v.s = ""
		}
		if v.bad || len(v.s) > 0 {
			return nil, fmt.Errorf("record head: field %d is malformed: %w", tag, ErrCorrupt)
		}
	}
	if d.bad || r.Key == "" || r.Size < 0 {
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

// header encodes the number of values and of names, then each name with the number of its values and these.
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

// field writes a value of unknown length: write appends it where it would be after a length of one byte, and it
// is moved if the length takes more.
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

// decoder cuts values off the front of s; after a fault it is bad and yields zero values.
type decoder struct {
	s   string
	bad bool
}

func (d *decoder) fail() {
	d.bad, d.s = true, ""
}

func (d *decoder) byte() byte {
	if len(d.s) == 0 {
		d.fail()
		return 0
	}
	c := d.s[0]
	d.s = d.s[1:]
	return c
}

func (d *decoder) uvarint() uint64 {
	var n uint64
	for shift := 0; shift < 64; shift += 7 {
		c := d.byte()
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return n
		}
	}
	d.fail()
	return 0
}

func (d *decoder) num() int64 {
	u := d.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// count reads the number of things that follow, each of which takes a byte at least.
func (d *decoder) count() int {
	n := d.uvarint()
	if n > uint64(len(d.s)) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) str() string {
	n := d.count()
	s := d.s[:n]
	d.s = d.s[n:]
	return s
}

func (d *decoder) rest() string {
	s := d.s
	d.s = ""
	return s
}

func (d *decoder) time() time.Time {
	sec, nsec := d.num(), d.num()
	if nsec < 0 || nsec >= int64(time.Second) {
		d.fail()
	}
	return time.Unix(sec, nsec)
}

func (d *decoder) header() http.Header {
	values, names := d.count(), d.count()
	if values+2*names > len(d.s) { // each value takes a byte at least, and each name two
		d.fail()
		return nil
	}
	h := make(http.Header, min(names, 64)) // what says that there are more has to show them
	all := make([]string, values)          // one array for the values of all fields
	for range names {
		name := d.str()
		n := d.count()
		if d.bad || n > len(all) {
			d.fail()
			return h
		}
		var vv []string
		if n > 0 {
			vv, all = all[:n:n], all[n:]
		}
		for i := range vv {
			vv[i] = d.str()
		}
		h[name] = vv
	}
	if len(all) > 0 || len(h) != names {
		d.fail()
	}
	return h
}

func (d *decoder) tls() *Connection {
	version, suite := d.uvarint(), d.uvarint()
	if version > math.MaxUint16 || suite > math.MaxUint16 {
		d.fail()
	}
	c := &Connection{Version: uint16(version), CipherSuite: uint16(suite), ServerName: d.str(), Protocol: d.str()}
	if n := d.count(); n > 0 {
		c.Certificates = make([][]byte, n)
	}
	for i := range c.Certificates {
		c.Certificates[i] = []byte(d.str())
	}
	return c
}
