package store

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

// Key names what is cached: the canonical bytes that larder builds from a request (docs/format.md). Two
// requests with the same Key ask for the same resource on behalf of the same user. Keys may be long and hold
// any byte. A store that needs a short name uses Digest, and still compares the Key of the record that it finds.
type Key string

// Digest returns the SHA-256 of the key.
func (k Key) Digest() [sha256.Size]byte { return sha256.Sum256([]byte(k)) }

// ID names one stored response: 48 bits of Unix milliseconds, then 80 random bits, so that ids sort by time and
// are never used again.
type ID [16]byte

// NewID returns a new ID for a response received at now.
func NewID(now time.Time) ID {
	var id ID
	binary.BigEndian.PutUint64(id[:8], uint64(now.UnixMilli())<<16)
	rand.Read(id[6:]) // never fails, see crypto/rand
	return id
}

// ParseID is the inverse of String.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != hex.EncodedLen(len(id)) {
		return id, fmt.Errorf("record id %q: want 32 hexadecimal digits", s)
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return id, fmt.Errorf("record id %q: %w", s, err)
	}
	return id, nil
}

// String returns id as 32 hexadecimal digits, which sort as ids do.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Compare orders IDs by when they were made, to the millisecond, and then by their other bytes.
func (id ID) Compare(other ID) int { return bytes.Compare(id[:], other[:]) }

// Time returns when the ID was made, to the millisecond.
func (id ID) Time() time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:8]) >> 16))
}

// Head is a stored response without its body, and the part of the request that is needed to use it again.
type Head struct {
	Method string // of the request: GET, HEAD, or another that a rule allowed
	URL    string // of the request, normalised and redacted, for people and for Query

	Status  int
	Proto   string      // "HTTP/1.1", "HTTP/2.0"
	Header  http.Header // without hop-by-hop fields
	Trailer http.Header // nil: none

	// Selecting holds the request's values of the fields that Vary names, normalised; a field that the request did not
	// have is there with nil (RFC 9111 §4.1).
	Selecting http.Header

	Uncompressed bool        // as http.Response.Uncompressed
	Length       int64       // as http.Response.ContentLength; -1: unknown
	TLS          *Connection // nil: the response came in the clear

	Requested time.Time // when the request was sent, for the age (RFC 9111 §4.2.3)
	Received  time.Time // when the response's head came

	// TTL is the freshness lifetime, from Received on, that a rule or the caller set instead of the header's; 0: the
	// header decides; the largest Duration: fresh forever.
	TTL time.Duration
	// StaleWhileRevalidate and StaleIfError are windows that a rule set instead of the header's; negative: none; 0: the
	// header decides.
	StaleWhileRevalidate, StaleIfError time.Duration
}

// Connection is the part of a TLS connection's state that is kept.
type Connection struct {
	Version      uint16
	CipherSuite  uint16
	ServerName   string
	Protocol     string   // by ALPN
	Certificates [][]byte // the peer's chain in DER, leaf first
}

// NewConnection returns what is kept of s; nil for nil.
func NewConnection(s *tls.ConnectionState) *Connection {
	if s == nil {
		return nil
	}
	c := &Connection{Version: s.Version, CipherSuite: s.CipherSuite, ServerName: s.ServerName, Protocol: s.NegotiatedProtocol}
	for _, cert := range s.PeerCertificates {
		c.Certificates = append(c.Certificates, cert.Raw)
	}
	return c
}

// Record is one stored response. Once committed it is never changed: an Update puts another Record in its place.
type Record struct {
	Key Key
	ID  ID
	Head

	Size int64  // of the body in bytes; before Commit: what is expected, -1 if that is not known
	Body []byte // the whole body, if the store keeps it beside the head; nil: Open it

	FreshUntil time.Time // when the response turns stale, as computed when it was stored, for people and for Query; zero: never
	KeepUntil  time.Time // when the response is of no more use to anybody; zero: never
	Tags       []string  // for Query

	derived any           // to be read only when state is set
	state   atomic.Uint32 // of derived
	same    *Record       // a record with the same head, which derives for this one, too; nil: none
}

// The states of Record.derived.
const (
	unset uint32 = iota
	setting
	set
)

// Derived returns what compute returned in the first call for r. It is for what is costly to work out from the head.
// The value is kept as long as the record is in memory, and not stored. Concurrent first calls may each compute.
func (r *Record) Derived(compute func(*Record) any) any {
	if r.state.Load() == set {
		return r.derived
	}
	var v any
	if r.same != nil {
		v = r.same.Derived(compute)
	} else {
		v = compute(r)
	}
	r.derive(v)
	return v
}

func (r *Record) derive(v any) {
	if r.state.CompareAndSwap(unset, setting) {
		r.derived = v
		r.state.Store(set)
	}
}

// WithBody returns a copy of r with this body and size. It shares with r what Derived returns.
func (r *Record) WithBody(body []byte, size int64) *Record {
	out := r.Clone()
	out.Body, out.Size = body, size
	if r.state.Load() == set {
		out.derive(r.derived)
	} else {
		out.same = r
	}
	return out
}

// Clone returns a shallow copy of r to make an updated record from.
func (r *Record) Clone() *Record {
	return &Record{Key: r.Key, ID: r.ID, Head: r.Head, Size: r.Size, Body: r.Body,
		FreshUntil: r.FreshUntil, KeepUntil: r.KeepUntil, Tags: r.Tags}
}
