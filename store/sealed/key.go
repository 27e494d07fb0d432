package sealed

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/larder-go/larder/store"
)

const keySize = 32

// Key is made from a secret of 32 bytes, which should be random: a passphrase will not do. Printing a Key does not
// print the secret. New refuses the zero Key.
type Key struct{ *key }

// key is what is derived from a secret.
type key struct {
	id      [idSize]byte
	names   prf // keys, URLs and tags, as the inner store sees them
	secrets prf // the keys of heads and bodies
}

// KeyFromBytes returns the key whose secret is b, which must have 32 bytes. It keeps nothing of b.
func KeyFromBytes(b []byte) (Key, error) {
	if len(b) != keySize {
		return Key{}, fmt.Errorf("sealed: a key of %d bytes: want %d", len(b), keySize)
	}
	derived, err := hkdf.Key(sha256.New, b, nil, "larder sealed 1", idSize+2*sha256.Size)
	if err != nil {
		return Key{}, fmt.Errorf("sealed: derive from a key: %w", err)
	}
	k := new(key)
	copy(k.id[:], derived)
	k.names = newPRF(derived[idSize:][:sha256.Size])
	k.secrets = newPRF(derived[idSize+sha256.Size:])
	return Key{k}, nil
}

// KeyFromEnv returns the key in an environment variable, in hexadecimal or in base64.
func KeyFromEnv(name string) (Key, error) {
	text, ok := os.LookupEnv(name)
	if !ok {
		return Key{}, fmt.Errorf("sealed: environment variable %s with the key is not set", name)
	}
	key, err := parseKey(text)
	if err != nil {
		return Key{}, fmt.Errorf("sealed: environment variable %s: %w", name, err)
	}
	return key, nil
}

// KeyFromFile returns the key in a file: its 32 bytes as they are, or in hexadecimal or base64 with white space around.
//
//	openssl rand -base64 32 > larder.key
func KeyFromFile(path string) (Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return Key{}, fmt.Errorf("sealed: key file: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 1<<10)) // path may be that of a device
	if err != nil {
		return Key{}, fmt.Errorf("sealed: key file: %w", err)
	}
	if len(b) == keySize {
		return KeyFromBytes(b)
	}
	key, err := parseKey(string(b))
	if err != nil {
		return Key{}, fmt.Errorf("sealed: key file %s: %w", path, err)
	}
	return key, nil
}

// parseKey reads a key in hexadecimal, or in base64 of either alphabet. Its error says no more of the text than its
// length, since that may be nearly a key.
func parseKey(text string) (Key, error) {
	text = strings.TrimSpace(text)
	var b []byte
	var err error
	if len(text) == hex.EncodedLen(keySize) {
		b, err = hex.DecodeString(text)
	} else {
		b, err = base64.RawURLEncoding.DecodeString(strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(text))
	}
	if err != nil || len(b) != keySize {
		return Key{}, fmt.Errorf("these %d characters are not a key: want %d bytes as %d hexadecimal digits, or in base64",
			len(text), keySize, hex.EncodedLen(keySize))
	}
	return KeyFromBytes(b)
}

// ring is the keys of a Store: the first seals, all open.
type ring []*key

func newRing(keys []Key) (ring, error) {
	if len(keys) == 0 {
		return nil, errors.New("sealed: no key: want at least one")
	}
	var all ring
	for i, k := range keys {
		switch {
		case k.key == nil:
			return nil, fmt.Errorf("sealed: key %d of %d is empty", i+1, len(keys))
		case all.withID(k.id[:]) != nil:
			return nil, fmt.Errorf("sealed: key %d of %d is there twice", i+1, len(keys))
		}
		all = append(all, k.key)
	}
	return all, nil
}

// withID returns the key with this id, nil if there is none.
func (r ring) withID(id []byte) *key {
	for _, k := range r {
		if string(k.id[:]) == string(id) {
			return k
		}
	}
	return nil
}

// name returns the key under which the inner store keeps the records of key.
func (k *key) name(key store.Key) store.Key {
	sum := k.names.sum('k', string(key))
	return store.Key(sum[:])
}

// alias returns what stands for a URL or a tag in the inner store, in characters that suit every database.
func (k *key) alias(what byte, s string) string {
	if s == "" {
		return ""
	}
	sum := k.names.sum(what, s)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// prf is HMAC-SHA-256 under a key.
type prf struct{ *sync.Pool } // of *mac

// mac is reused, since it has done what HMAC does with the key: two thirds of the work.
type mac struct {
	hash.Hash
	buf []byte
}

func newPRF(key []byte) prf {
	return prf{&sync.Pool{New: func() any { return &mac{Hash: hmac.New(sha256.New, key)} }}}
}

// sum returns the HMAC of the parts, one after the other, and a last byte that says what it is for.
func (p prf) sum(what byte, parts ...string) (sum [sha256.Size]byte) {
	m := p.Get().(*mac)
	defer p.Put(m)
	m.buf = m.buf[:0]
	for _, part := range parts {
		m.buf = append(m.buf, part...)
	}
	m.buf = append(m.buf, what)
	m.Reset()
	m.Write(m.buf)
	m.buf = m.Sum(m.buf[:0])
	copy(sum[:], m.buf)
	return sum
}
