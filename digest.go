package larder

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"net/http"

	"github.com/larder-go/larder/rfc9111"
)

// ErrDigest is the Err of a Discarded event for a response that was not stored because its content does not match its
// Content-Digest or Repr-Digest (RFC 9530). See Cache.VerifyDigests.
var ErrDigest = errors.New("the content is not what the digest says")

// digests computes the digests of a body as it passes, to compare them with the header's. nil: nothing is verified.
type digests struct {
	method string
	status int
	want   []rfc9111.Digest
	hashes map[string]hash.Hash // by algorithm
}

// digests returns the digests to verify for a response; nil if net/http has decompressed it, since digests are of the
// content that was sent.
func (c *Cache) digests(method string, resp *http.Response) *digests {
	if !c.VerifyDigests || resp.Uncompressed {
		return nil
	}
	d := &digests{method: method, status: resp.StatusCode, want: rfc9111.Digests(method, resp.StatusCode, resp.Header), hashes: make(map[string]hash.Hash)}
	for _, w := range d.want {
		d.add(w.Algorithm)
	}
	for _, name := range [...]string{"Content-Digest", "Repr-Digest"} {
		if _, announced := resp.Trailer[name]; announced { // its algorithms are not known yet
			d.add("sha-256")
			d.add("sha-512")
		}
	}
	if len(d.hashes) == 0 {
		return nil
	}
	return d
}

func (d *digests) add(algorithm string) {
	if d.hashes[algorithm] == nil {
		switch algorithm {
		case "sha-256":
			d.hashes[algorithm] = sha256.New()
		case "sha-512":
			d.hashes[algorithm] = sha512.New()
		}
	}
}

// write adds the next bytes of the body.
func (d *digests) write(p []byte) {
	if d == nil {
		return
	}
	for _, h := range d.hashes {
		h.Write(p)
	}
}

// verify returns an ErrDigest unless the body, all of which has passed, has every digest in the header and trailer.
func (d *digests) verify(trailer http.Header) error {
	if d == nil {
		return nil
	}
	for _, w := range append(d.want, rfc9111.Digests(d.method, d.status, trailer)...) {
		if h := d.hashes[w.Algorithm]; h != nil && !bytes.Equal(h.Sum(nil), w.Sum) {
			return fmt.Errorf("%w: %s, %s", ErrDigest, w.Field, w.Algorithm)
		}
	}
	return nil
}
