package sealed

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/memory"
)

// opener opens what is sealed as docs/format-sealed.md says, with nothing of this package.
type opener struct {
	t                  *testing.T
	id, names, secrets []byte
}

func newOpener(t *testing.T, key []byte) opener {
	derived, err := hkdf.Key(sha256.New, key, nil, "larder sealed 1", 71)
	must(t, err)
	return opener{t, derived[:7], derived[7:39], derived[39:]}
}

func (o opener) name(value string, what byte) []byte {
	h := hmac.New(sha256.New, o.names)
	h.Write(append([]byte(value), what))
	return h.Sum(nil)
}

func (o opener) open(sealed []byte, what byte, id store.ID, name []byte) (plain []byte) {
	o.t.Helper()
	if sealed[0] != 1 || !bytes.Equal(sealed[1:8], o.id) {
		o.t.Fatalf("prefix %x, want version 1 and key %x", sealed[:32], o.id)
	}
	info := bytes.Join([][]byte{{what}, sealed[:32], id[:], name}, nil)
	secret, err := hkdf.Expand(sha256.New, o.secrets, string(info), 32)
	must(o.t, err)
	block, err := aes.NewCipher(secret)
	must(o.t, err)
	gcm, err := cipher.NewGCM(block)
	must(o.t, err)
	nonce := make([]byte, 12)
	for sealed = sealed[32:]; len(sealed) > 0; nonce[10]++ {
		segment := sealed[:min(32<<10+16, len(sealed))]
		sealed = sealed[len(segment):]
		if len(sealed) == 0 {
			nonce[11] = 1
		}
		plain, err = gcm.Open(plain, nonce, segment, nil)
		must(o.t, err)
	}
	return plain
}

func TestFormatIsAsDocumented(t *testing.T) {
	const size = 2*segmentSize + 1
	key := bytes.Repeat([]byte{1}, 32)
	inner := new(memory.Store)
	s := seal(t, inner, testKey(1))
	r := keep(t, s, "key", size)
	o := newOpener(t, key)
	name := o.name("key", 'k')
	found, err := inner.Lookup(ctx, store.Key(name))
	if len(found) != 1 || err != nil {
		t.Fatalf("%d records under the digest of the key, %v", len(found), err)
	}
	in := found[0]
	alias := func(value string, what byte) string {
		return base64.RawURLEncoding.EncodeToString(o.name(value, what)[:16])
	}
	if in.URL != alias(r.URL, 'u') || len(in.Tags) != 1 || in.Tags[0] != alias("secret tag", 't') {
		t.Errorf("URL %q, tags %q", in.URL, in.Tags)
	}
	body := steal(t, inner, r.ID).body
	if in.Size != int64(len(body)) || in.Size != 32+size+3*16 {
		t.Errorf("%d bytes of body, Size %d", len(body), in.Size)
	}
	if !bytes.Equal(o.open(body, 'b', r.ID, name), bodyOf(r.ID, size)) {
		t.Error("another body")
	}
	head, err := store.DecodeHead(o.open([]byte(in.Header["Sealed"][0]), 'h', r.ID, name))
	if err != nil || !same(head, r) {
		t.Errorf("another head: %+v, %v", head, err)
	}
	if !in.Received.Equal(r.Received) || !in.FreshUntil.Equal(r.FreshUntil) || !in.KeepUntil.Equal(r.KeepUntil) {
		t.Error("other times")
	}
	in = in.Clone()
	in.Received, in.FreshUntil, in.KeepUntil = time.Time{}, time.Time{}, time.Time{}
	if want := (&store.Record{Key: in.Key, ID: in.ID, Size: in.Size, Tags: in.Tags, Head: store.Head{URL: in.URL, Header: in.Header}}); !same(in, want) {
		t.Errorf("there is more than documented: %+v", in)
	}
}

// sampleID and samplePrefix are of the example in the documentation.
var sampleID = store.ID{0x01, 0x90, 15: 0x07}

func TestExampleInTheDocumentation(t *testing.T) {
	doc, err := os.ReadFile("../../docs/format-sealed.md")
	must(t, err)
	var digits strings.Builder
	for _, line := range regexp.MustCompile(`(?m)^    ((?:[0-9a-f]{2} )+) *\|`).FindAllSubmatch(doc, -1) {
		digits.WriteString(strings.ReplaceAll(string(line[1]), " ", ""))
	}
	b, err := hex.DecodeString(digits.String())
	must(t, err)
	key := make([]byte, 32)
	for i := range key {
		key[i] = byte(i)
	}
	o := newOpener(t, key)
	if got := o.open(b, 'b', sampleID, o.name("k", 'k')); string(got) != "hello" {
		t.Errorf("the example says %q", got)
	}
	k, err := KeyFromBytes(key)
	must(t, err)
	in := &store.Record{Key: k.name("k"), ID: sampleID, Size: int64(len(b)), Body: b}
	if got, err := k.openBody(in, 5); string(got) != "hello" || err != nil {
		t.Errorf("the example says %q, %v", got, err)
	}
}

// The sample was written by the release that brought in its version. It is never written again.
func TestSamplesOpenForEver(t *testing.T) {
	b, err := os.ReadFile("testdata/head-v1")
	must(t, err)
	k := testKey(1)
	in := &store.Record{Key: k.name("key"), ID: sampleID, Size: sealedSize(5), Head: store.Head{Header: http.Header{headField: {string(b)}}}}
	r, err := k.open(in)
	if err != nil || r.Key != "key" || r.URL != "https://example.com/" || r.Size != 5 || r.Header.Get("Etag") != `"1"` {
		t.Errorf("version 1: %+v, %v", r, err)
	}
}
