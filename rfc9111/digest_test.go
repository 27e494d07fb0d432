package rfc9111

import (
	"bytes"
	"encoding/base64"
	"reflect"
	"testing"
)

func TestDigests(t *testing.T) {
	content, repr := func(a, s string) Digest { return Digest{"Content-Digest", a, []byte(s)} }, func(a, s string) Digest { return Digest{"Repr-Digest", a, []byte(s)} }
	const a, b = ":YQ==:", ":Yg==:" // "a" and "b"
	for _, c := range []struct {
		name   string
		method string
		status int
		lines  []string
		want   []Digest
	}{
		{"none", "", 200, nil, nil},
		{"of the content", "", 200, []string{"Content-Digest: sha-256=" + a}, []Digest{content("sha-256", "a")}},
		{"of the representation", "GET", 200, []string{"Repr-Digest: sha-512=" + a}, []Digest{repr("sha-512", "a")}},
		{"both, by both", "GET", 200, []string{"Content-Digest: sha-512=" + b + ", sha-256=" + a, "Repr-Digest: sha-256=" + a},
			[]Digest{content("sha-256", "a"), content("sha-512", "b"), repr("sha-256", "a")}},
		{"on two lines", "", 200, []string{"Content-Digest: sha-256=" + a, "Content-Digest: sha-512=" + b}, []Digest{content("sha-256", "a"), content("sha-512", "b")}},
		{"the last of two", "", 200, []string{"Content-Digest: sha-256=" + a + ", sha-256=" + b}, []Digest{content("sha-256", "b")}},
		{"parameters", "", 200, []string{"Content-Digest: sha-256=" + a + ";x=1"}, []Digest{content("sha-256", "a")}},
		{"other algorithms", "", 200, []string{"Content-Digest: md5=" + a + ", sha=" + a + ", crc32c=" + a + ", blake3=" + a + ", sha-512=" + b}, []Digest{content("sha-512", "b")}},
		{"an algorithm in capitals", "", 200, []string{"Content-Digest: SHA-256=" + a}, nil},
		{"no byte sequence", "", 200, []string{`Content-Digest: sha-256="YQ==", sha-512=` + b}, []Digest{content("sha-512", "b")}},
		{"a list", "", 200, []string{"Content-Digest: sha-256=(" + a + ")"}, nil},
		{"no dictionary", "", 200, []string{"Content-Digest: sha-256=" + a + ", &"}, nil},
		{"broken base64", "", 200, []string{"Content-Digest: sha-256=:YQ"}, nil},
		{"the older field", "", 200, []string{"Digest: sha-256=YQ=="}, nil},

		{"of a part", "GET", 206, []string{"Content-Digest: sha-256=" + a, "Repr-Digest: sha-256=" + b}, []Digest{content("sha-256", "a")}},
		{"of an error page", "GET", 404, []string{"Content-Digest: sha-256=" + a, "Repr-Digest: sha-256=" + b}, []Digest{content("sha-256", "a")}},
		{"of a POST", "POST", 200, []string{"Content-Digest: sha-256=" + a, "Repr-Digest: sha-256=" + b}, []Digest{content("sha-256", "a")}},
		{"of a HEAD", "HEAD", 200, []string{"Content-Digest: sha-256=" + a, "Repr-Digest: sha-256=" + b}, nil},
	} {
		if got := Digests(c.method, c.status, fields(c.lines...)); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func FuzzDigests(f *testing.F) {
	f.Add("sha-256=:YQ==:, sha-512=:Yg==:", []byte("a"))
	f.Add("sha-256=:YQ", []byte{0xff})
	f.Fuzz(func(t *testing.T, s string, sum []byte) {
		for _, d := range Digests("GET", 200, fields("Content-Digest: "+s)) {
			if d.Field != "Content-Digest" || d.Algorithm != "sha-256" && d.Algorithm != "sha-512" {
				t.Errorf("%q: got %q", s, d)
			}
		}
		got := Digests("GET", 200, fields("Repr-Digest: "+written64("sha-512", sum)))
		if len(got) != 1 || !bytes.Equal(got[0].Sum, sum) {
			t.Errorf("%x: got %q", sum, got)
		}
	})
}

func written64(algorithm string, sum []byte) string {
	return algorithm + "=:" + base64.StdEncoding.EncodeToString(sum) + ":"
}
