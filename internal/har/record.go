package har

import (
	"encoding/binary"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/larder-go/larder/internal/view"
	"github.com/larder-go/larder/store"
)

// Decode undoes a single content coding of a body. A coding that it does not know is an error.
type Decode func(coding string, body io.Reader) (io.Reader, error)

// Stored is a stored response, ready to be written as an entry.
type Stored struct {
	record *store.Record
	body   io.ReadSeeker
	coding string // that is undone; "": none, or one that cannot be undone
	decode Decode
	size   int64 // of the content
	utf8   bool
}

// Prepare reads the body of r, once or twice, to find out how to write it. It fails only if the body cannot be read.
func Prepare(r *store.Record, body io.ReadSeeker, decode Decode) (*Stored, error) {
	s := &Stored{record: r, body: body, coding: coding(r), decode: decode}
	if r.Size == 0 {
		return s, nil
	}
	return s, s.measure()
}

// Record writes s, and reads its body once or twice for that. After an error the HAR is of no use.
func (w *Writer) Record(s *Stored) error {
	e := newEntry(s.record)
	content := &e.Response.Content
	content.Size = s.size
	var text, stored source
	if s.size > 0 {
		text = s.content
		if !s.utf8 {
			content.Encoding = "base64"
		}
	}
	if s.coding != "" {
		content.Compression = s.size - s.record.Size
		stored = s.raw
	}
	return w.write(e, text, stored)
}

// coding is the content coding to undo; "": there is none, or r is a part, whose coding cannot be undone.
func coding(r *store.Record) string {
	c := strings.ToLower(strings.Join(r.Header["Content-Encoding"], ", "))
	if c == "identity" || r.Size == 0 || r.Status == http.StatusPartialContent {
		return ""
	}
	return c
}

// raw reads the body as it is stored.
func (s *Stored) raw() (io.Reader, error) {
	_, err := s.body.Seek(0, io.SeekStart)
	return s.body, err
}

// content reads the body without its coding.
func (s *Stored) content() (io.Reader, error) {
	r, err := s.raw()
	if err != nil || s.coding == "" {
		return r, err
	}
	return s.decode(s.coding, r)
}

// measure finds out whether the coding can be undone, and what the content is then. An error is the stored body's.
func (s *Stored) measure() error {
	if s.coding != "" {
		raw, err := s.raw()
		if err != nil {
			return err
		}
		watched := &view.Watched{Reader: raw}
		in, err := s.decode(s.coding, watched)
		if err == nil {
			err = s.count(io.LimitReader(in, maxEntry+1))
		}
		if err == nil && s.size > maxEntry {
			err = errTooLong // for a Reader: a bomb, perhaps
		}
		if err == nil {
			_, err = io.Copy(io.Discard, watched) // to the end, for its checksum
		}
		if err == nil || watched.Err != nil {
			return watched.Err
		}
		s.coding = ""
	}
	raw, err := s.raw()
	if err != nil {
		return err
	}
	return s.count(raw)
}

func (s *Stored) count(r io.Reader) (err error) {
	c := utf8Checker{valid: true}
	s.size, err = io.Copy(&c, r)
	s.utf8 = c.valid && len(c.rest) == 0
	return err
}

// utf8Checker finds out whether what is written to it is UTF-8.
type utf8Checker struct {
	valid bool
	rest  []byte // a character that has not come whole
}

func (c *utf8Checker) Write(p []byte) (int, error) {
	if c.valid {
		c.rest = append(c.rest, p...)
		whole := wholeRunes(c.rest)
		c.valid = utf8.Valid(c.rest[:whole])
		c.rest = append(c.rest[:0], c.rest[whole:]...)
	}
	return len(p), nil
}

// newEntry returns r as an entry without content.
func newEntry(r *store.Record) *Entry {
	started, wait := r.Requested, r.Received.Sub(r.Requested)
	if started.IsZero() || wait < 0 {
		started, wait = r.Received, 0
	}
	milliseconds := float64(wait) / 1e6
	e := &Entry{
		StartedDateTime: stamp(started), Time: milliseconds, Timings: Timings{Wait: milliseconds},
		Request: Request{Method: r.Method, URL: r.URL, HTTPVersion: r.Proto, Cookies: Cookies{}, QueryString: query(r.URL), HeadersSize: -1},
		Response: Response{Status: r.Status, StatusText: http.StatusText(r.Status), HTTPVersion: r.Proto, Cookies: cookies(r.Header),
			RedirectURL: r.Header.Get("Location"), HeadersSize: -1, BodySize: r.Size,
			Content: Content{MimeType: r.Header.Get("Content-Type")}},
		Larder: &Larder{ID: r.ID.String(), Tags: r.Tags, TTL: view.TTL(r.TTL), StaleWhileRevalidate: view.TTL(r.StaleWhileRevalidate),
			StaleIfError: view.TTL(r.StaleIfError), Length: r.Length, Uncompressed: r.Uncompressed,
			Latin1: !isUTF8(r.Header) || !isUTF8(r.Trailer) || !isUTF8(r.Selecting), Bound: bound(r)},
	}
	after := &CacheEntry{LastAccess: stamp(r.Received), ETag: r.Header.Get("Etag")}
	if !r.FreshUntil.IsZero() {
		after.Expires = stamp(r.FreshUntil)
	}
	e.Cache.AfterRequest = after
	if r.Uncompressed {
		e.Response.BodySize = -1
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		e.Request.BodySize = -1
	}
	asked := r.Selecting.Clone()
	if asked == nil {
		asked = make(http.Header)
	}
	if host := keyFields(r.Key)['a']; host != "" {
		asked["Host"] = []string{host}
	}
	if part, ok := strings.CutPrefix(r.Header.Get("Content-Range"), "bytes "); ok && r.Status == http.StatusPartialContent {
		part, _, _ = strings.Cut(part, "/")
		asked["Range"] = []string{"bytes=" + part}
	}
	e.Request.Headers = pairs(asked, e.Larder.Latin1)
	e.Response.Headers = pairs(r.Header, e.Larder.Latin1)
	e.Larder.Trailers = pairs(r.Trailer, e.Larder.Latin1)
	return e
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// pairs returns the fields of h by name.
func pairs(h http.Header, latin1 bool) []Pair {
	out := []Pair{}
	for name, values := range h {
		for _, v := range values {
			if latin1 {
				v = fromLatin1(v)
			}
			out = append(out, Pair{name, v})
		}
	}
	slices.SortStableFunc(out, func(a, b Pair) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func isUTF8(h http.Header) bool {
	for _, values := range h {
		if slices.ContainsFunc(values, func(v string) bool { return !utf8.ValidString(v) }) {
			return false
		}
	}
	return true
}

func fromLatin1(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

func toLatin1(s string) string {
	var b []byte
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}

// query returns a URL's query parameters in their order.
func query(rawURL string) Query {
	out := Query{}
	_, raw, _ := strings.Cut(rawURL, "?")
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		out = append(out, Pair{unescaped(name), unescaped(value)})
	}
	return out
}

func unescaped(s string) string {
	if u, err := url.QueryUnescape(s); err == nil {
		return u
	}
	return s
}

// cookies returns those that a response sets.
func cookies(h http.Header) Cookies {
	out := Cookies{}
	for _, c := range (&http.Response{Header: h}).Cookies() {
		cookie := Cookie{Name: c.Name, Value: c.Value, Path: c.Path, Domain: c.Domain, HTTPOnly: c.HttpOnly, Secure: c.Secure}
		if !c.Expires.IsZero() {
			cookie.Expires = stamp(c.Expires)
		}
		out = append(out, cookie)
	}
	return out
}

// bound names what is in the key of a response and not in an entry, which has the URL, the host and the fields that
// Vary names.
func bound(r *store.Record) (all []string) {
	fields := keyFields(r.Key)
	for _, f := range []struct {
		tag  byte
		what string
	}{
		{'p', "credentials"}, {'k', "a key of a program's own"}, {'r', "secrets in the URL"}, {'h', "request fields that a rule names"},
		{'b', "content"},
	} {
		if _, ok := fields[f.tag]; ok {
			all = append(all, f.what)
		}
	}
	for _, values := range r.Selecting {
		if len(values) > 0 && strings.HasPrefix(values[0], "sha256:") {
			return append(all, "secret request fields")
		}
	}
	return all
}

// keyFields returns the fields of a key by their tags (docs/format.md).
func keyFields(k store.Key) map[byte]string {
	out := make(map[byte]string)
	for b := []byte(k)[min(1, len(k)):]; len(b) > 0; {
		n, size := binary.Uvarint(b[1:])
		if size <= 0 || n > uint64(len(b)-1-size) {
			break
		}
		value := b[1+size:]
		out[b[0]], b = string(value[:n]), value[n:]
	}
	return out
}
