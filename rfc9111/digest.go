package rfc9111

import (
	"net/http"

	"github.com/dunglas/httpsfv"
)

// Digest is what the content of a message hashes to, by what the message itself says (RFC 9530).
type Digest struct {
	Field     string // Content-Digest or Repr-Digest
	Algorithm string // sha-256 or sha-512
	Sum       []byte
}

// Digests returns the digests that the content of a response must have, as h says, its header or trailer. The content
// is as it was sent, with its Content-Encoding. That of a 200 to a GET is the whole representation, which Repr-Digest
// is of; of other responses only Content-Digest speaks (RFC 9530 §2, §3). A response to HEAD has no content.
//
// Algorithms that are not known, or deprecated (§5), are ignored, and so is a value that is no byte sequence, or a
// field that is no dictionary.
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
