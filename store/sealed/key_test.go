package sealed

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/larder-go/larder/store/memory"
)

// secret begins with the characters that the alphabets of base64 differ in.
var secret = append([]byte{0xfb, 0xff, 0xbf}, "twenty-nine bytes of a secret"...)

func TestKeyIsReadFromText(t *testing.T) {
	want, err := KeyFromBytes(secret)
	must(t, err)
	for what, text := range map[string]string{
		"hexadecimal":             hex.EncodeToString(secret),
		"capital hexadecimal":     strings.ToUpper(hex.EncodeToString(secret)),
		"base64":                  base64.StdEncoding.EncodeToString(secret),
		"base64 without padding":  base64.RawStdEncoding.EncodeToString(secret),
		"base64url":               base64.URLEncoding.EncodeToString(secret),
		"base64 with white space": " " + base64.StdEncoding.EncodeToString(secret) + "\r\n",
	} {
		path := filepath.Join(t.TempDir(), "key")
		must(t, os.WriteFile(path, []byte(text), 0o600))
		t.Setenv("SEALED_TEST_KEY", text)
		fromFile, err1 := KeyFromFile(path)
		fromEnv, err2 := KeyFromEnv("SEALED_TEST_KEY")
		if err1 != nil || err2 != nil {
			t.Errorf("%s: %v, %v", what, err1, err2)
		} else if fromFile.id != want.id || fromEnv.id != want.id {
			t.Errorf("%s: another key is read", what)
		}
	}
	path := filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(path, secret, 0o600))
	if k, err := KeyFromFile(path); err != nil || k.id != want.id {
		t.Errorf("a file of the 32 bytes as they are: %v", err)
	}
}

// An error is one sentence that says what was wanted and where, and nothing of what is there.
func TestWrongKey(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"":                              "these 0 characters are not a key: want 32 bytes as 64 hexadecimal digits, or in base64",
		"hunter2":                       "these 7 characters are not a key: want 32 bytes",
		strings.Repeat("zu", 32):        "these 64 characters are not a key: want 32 bytes",
		hex.EncodeToString(secret[:31]): "these 62 characters are not a key",
		base64.StdEncoding.EncodeToString(secret[1:]): "these 44 characters are not a key",
		strings.Repeat("k", 5000):                     "characters are not a key",
	} {
		path := filepath.Join(dir, "key")
		must(t, os.WriteFile(path, []byte(text), 0o600))
		t.Setenv("SEALED_TEST_KEY", text)
		_, inFile := KeyFromFile(path)
		_, inEnv := KeyFromEnv("SEALED_TEST_KEY")
		for where, err := range map[string]error{"key file " + path: inFile, "environment variable SEALED_TEST_KEY": inEnv} {
			if err == nil || !strings.Contains(err.Error(), "sealed: "+where+": these") || !strings.Contains(err.Error(), want) {
				t.Errorf("%.20q: %v, want %q and %q", text, err, where, want)
			} else if text != "" && strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%.20q is in the error: %v", text, err)
			}
		}
	}
	if _, err := KeyFromFile(filepath.Join(dir, "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an absent file: %v", err)
	}
	if _, err := KeyFromEnv("SEALED_TEST_ABSENT"); err == nil || !strings.Contains(err.Error(), "SEALED_TEST_ABSENT with the key is not set") {
		t.Errorf("an absent variable: %v", err)
	}
	for n := range 70 {
		if _, err := KeyFromBytes(make([]byte, n)); (err == nil) != (n == keySize) {
			t.Errorf("a key of %d bytes: %v", n, err)
		}
	}
	for what, keys := range map[string][]Key{
		"no key: want at least one": {}, "key 2 of 2 is empty": {testKey(1), {}}, "key 3 of 3 is there twice": {testKey(1), testKey(2), testKey(1)},
	} {
		if s, err := New(new(memory.Store), keys...); s != nil || err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("New: %v, want %q", err, what)
		}
	}
}

func TestKeyIsNotPrinted(t *testing.T) {
	k, err := KeyFromBytes([]byte("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))
	must(t, err)
	holder := struct {
		K    Key
		s, p any
	}{k, seal(t, new(memory.Store), k), &k}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		for _, what := range []any{k, &k, holder, &holder} {
			if got := fmt.Sprintf(verb, what); strings.Contains(got, "AAAA") || strings.Contains(got, "65 65") || strings.Contains(got, "41414141") || strings.Contains(got, "0x41, 0x41") {
				t.Errorf("%s prints the key: %s", verb, got)
			}
		}
	}
}
