package rfc9111

import (
	"net/http"

	"github.com/dunglas/httpsfv"
)

// Digest is the digest that a message gives for its content (RFC 9530).
type Digest struct {
	Field     string // Content-Digest or Repr-Digest
	Algorithm string // sha-256 or sha-512
	Sum       []byte
}

// Digests returns the digests that h, a header or a trailer, gives for the content of a response. The content is as it
// was sent, with its Content-Encoding. In a 200 to GET it is the whole representation, and so Repr-Digest is its
// digest, too; for other responses only Content-Digest is (RFC 9530 §2, §3). A response to HEAD has no content.
//
// Unknown and deprecated algorithms (§5) are ignored, and so are a value that is not a byte sequence and a field that
// is not a dictionary.
func Digests(method string, status int, h http.Header) []Digest {
	if method == http.MethodHead {
		return nil
	}
	out := digestsOf("Content-Digest", h)
	if orGet(method) == http.MethodGet && status == http.StatusOK {
		out = append(out, digestsOf("Repr-Digest", h)...)
	}
	return out
}

func digestsOf(field string, h http.Header) (out []Digest) {
	lines := h[field]
	if len(lines) == 0 {
		return nil
	}
	dict, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil {
		return nil
	}
	for _, algorithm := range [...]string{"sha-256", "sha-512"} {
		m, _ := dict.Get(algorithm)
		item, _ := m.(httpsfv.Item) // zero for an inner list, and for none
		if sum, ok := item.Value.([]byte); ok {
			out = append(out, Digest{field, algorithm, sum})
		}
	}
	return out
}
