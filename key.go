package larder

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"github.com/larder-go/larder/store"
)

// A Key is a version byte and fields, each with a tag, the length of its value as a uvarint, and the value. The tags,
// in the order in which they stand (docs/format.md):
const (
	keyVersion   = 1
	keyPartition = 'p' // the user, unless empty
	keyNote      = 'n' // of a note, in place of all the others: a URL without query
	keyMethod    = 'm' // GET also for HEAD
	keyVariation = 'v' // what No-Vary-Search says; the URL's query is then canonical by that
	keyURL       = 'u' // normalised, without ignored and redacted parameters
	keySpelling  = 's' // in a shared cache, where normalising changes what an origin may tell apart: SHA-256 of the URL as it is sent
	keyCustom    = 'k' // in place of u, b: what Cache.Key returned
	keyHost      = 'a' // the host that the request names, where it is not the URL's
	keyRedacted  = 'r' // a redacted parameter: name, NUL, SHA-256 of its value
	keyHeader    = 'h' // a request field of Rule.KeyHeaders: name, NUL, value
	keyBody      = 'b' // SHA-256 of the canonical body with its type
)

func appendField(b []byte, tag byte, value string) []byte {
	b = append(b, tag)
	b = binary.AppendUvarint(b, uint64(len(value)))
	return append(b, value...)
}

// target is a request's URL made comparable, and the secrets that were taken out of it.
type target struct {
	url       string // normalised; the secrets' values are REDACTED
	keyURL    string // the same without the secrets
	spelling  string // path and query as they are sent, without secrets, if they have what origins may tell apart: dot segments, escapes of unreserved characters; else ""
	oddPath   bool   // the path has such
	redacted  []string
	variation string
}

// newTarget normalises u (RFC 3986 §6.2.2 and §6.2.3) under r; path is normalPath(u).
func newTarget(u *url.URL, path string, r *rule) target {
	var array [256]byte
	b := appendBase(array[:0], u, path)
	t := target{oddPath: oddPath(u, path)}
	oddQuery := escapesUnreserved(u.RawQuery)
	if r.readsQuery() {
		base := string(b)
		shown, keyed, redacted := r.query(normalEscapes(u.RawQuery))
		t.url, t.keyURL, t.redacted = withQuery(base, shown, u.ForceQuery), withQuery(base, keyed, u.ForceQuery), redacted
		if oddQuery {
			_, sent, _ := r.query(escapes(u.RawQuery, false))
			oddQuery = sent != keyed
		}
	} else {
		t.url = string(appendQuery(b, u))
		t.keyURL = t.url
	}
	if t.oddPath || oddQuery {
		_, sent, _ := r.query(u.RawQuery)
		t.spelling = u.EscapedPath() + "?" + sent
	}
	return t
}

// oddPath reports whether path, which is normalPath(u), is without dot segments or escapes of unreserved characters
// that u has.
func oddPath(u *url.URL, path string) bool {
	switch {
	case u.RawPath == "" && (u.Path == path || u.Path == ""):
		return false
	case strings.Contains(u.Path, "/."):
		return escapes(u.EscapedPath(), false) != path
	}
	return escapesUnreserved(u.RawPath)
}

func escapesUnreserved(s string) bool {
	for {
		_, after, found := strings.Cut(s, "%")
		switch {
		case !found || len(after) < 2:
			return false
		case isHex(after[0]) && isHex(after[1]) && unreserved(unhex(after[0])<<4|unhex(after[1])):
			return true
		}
		s = after
	}
}

// readsQuery reports whether r does more with the query than to take it as it is.
func (r *rule) readsQuery() bool { return r.SortQuery || len(r.Ignore.Query) > 0 || len(r.redact) > 0 }

func appendBase(b []byte, u *url.URL, path string) []byte {
	b = append(b, strings.ToLower(u.Scheme)...)
	b = append(b, "://"...)
	b = append(b, normalHost(u)...)
	return append(b, path...)
}

func appendQuery(b []byte, u *url.URL) []byte {
	if u.RawQuery != "" || u.ForceQuery {
		b = append(append(b, '?'), normalEscapes(u.RawQuery)...)
	}
	return b
}

func withQuery(base, query string, force bool) string {
	if query == "" && !force {
		return base
	}
	return base + "?" + query
}

// query returns a query as it is shown and as it is keyed, and the secrets left out of the latter.
func (r *rule) query(raw string) (shown, keyed string, redacted []string) {
	pairs := strings.Split(raw, "&")
	if r.SortQuery {
		for i, p := range pairs {
			name, value, _ := strings.Cut(strings.ReplaceAll(p, "+", "%20"), "=")
			pairs[i] = name + "=" + value
		}
		pairs = slices.DeleteFunc(pairs, func(p string) bool { return p == "=" })
		slices.Sort(pairs)
	}
	var show, key []string
	for _, p := range pairs {
		rawName, value, _ := strings.Cut(p, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil {
			name = rawName
		}
		switch {
		case ignored(r.Ignore.Query, name):
		case r.redacts(name):
			show = append(show, rawName+"=REDACTED")
			redacted = append(redacted, name+"\x00"+digest(value))
		default:
			show, key = append(show, p), append(key, p)
		}
	}
	return strings.Join(show, "&"), strings.Join(key, "&"), redacted
}

// normalHost returns the host in lower case, without the scheme's default port.
func normalHost(u *url.URL) string {
	host := strings.ToLower(u.Host)
	switch strings.ToLower(u.Scheme) {
	case "http":
		host = strings.TrimSuffix(host, ":80")
	case "https":
		host = strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":")
}

// normalPath returns u's path with / for an empty one, or an opaque URL, without dot segments, its escapes normalised.
func normalPath(u *url.URL) string {
	path := u.Path
	if path == "" {
		return "/"
	}
	if u.RawPath != "" || !plain(path) {
		path = normalEscapes(u.EscapedPath())
	}
	if strings.Contains(path, "/.") {
		path = removeDotSegments(path)
	}
	return path
}

// plain reports whether s holds unreserved characters and slashes only, so that normalising would not change it.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '/' && !unreserved(c) {
			return false
		}
	}
	return true
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// normalEscapes decodes escaped unreserved characters, writes the other escapes with capital letters, and
// escapes what may not stand in a URL as it is. A stray percent sign goes out as it is.
func normalEscapes(s string) string { return escapes(s, true) }

// escapes is normalEscapes, or leaves unreserved characters escaped.
func escapes(s string, decode bool) string {
	clean := true
	for i := range len(s) {
		if c := s[i]; c == '%' || foreign(c) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+16)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			c = unhex(s[i+1])<<4 | unhex(s[i+2])
			if decode && unreserved(c) {
				b = append(b, c)
			} else {
				b = append(b, '%', hex[c>>4], hex[c&15])
			}
			i += 2
		case foreign(c):
			b = append(b, '%', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

// foreign reports whether c may stand nowhere in a URL (RFC 3986 §2), but for square brackets, which many a client
// sends in a query.
func foreign(c byte) bool {
	switch c {
	case '"', '<', '>', '\\', '^', '`', '{', '|', '}':
		return true
	}
	return c <= ' ' || c >= 0x7f
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	default:
		return c - '0'
	}
}

// removeDotSegments is RFC 3986 §5.2.4 for a path that begins with a slash.
func removeDotSegments(path string) string {
	segments := strings.Split(path, "/")
	var out []string
	for i, s := range segments {
		last := i == len(segments)-1
		switch {
		case s == ".." && len(out) > 1:
			out = out[:len(out)-1]
		case s == "." || s == "..":
		default:
			out = append(out, s)
			continue
		}
		if last {
			out = append(out, "")
		}
	}
	return strings.Join(out, "/")
}

// digest returns the SHA-256 of s as it is, 32 bytes.
func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return string(sum[:])
}

// Credentials is the default Cache.Partition: a digest of the Authorization and Cookie fields and of a user in the URL;
// "" if there are none.
func Credentials(req *http.Request) string { return credentials(req, standard) }

func credentials(req *http.Request, r *rule) string {
	var b []byte
	for _, name := range [...]string{"Authorization", "Cookie"} {
		for _, v := range req.Header[name] {
			if !r.ignoresHeader(name) {
				b = appendField(b, name[0], v)
			}
		}
	}
	if u := req.URL.User; u != nil {
		b = appendField(b, '@', u.String())
	}
	if b == nil {
		return ""
	}
	return digest(string(b))
}

func (c *Cache) customKey(req *http.Request) string {
	if c.Key == nil {
		return ""
	}
	return c.Key(req)
}

// key returns the key of a request whose content, if it has any, is digested in body.
func (c *Cache) key(req *http.Request, r *rule, a ask, t target, body string) store.Key {
	var array [512]byte
	b := append(array[:0], keyVersion)
	partition := ""
	switch {
	case c.Partition != nil:
		partition = c.Partition(req)
	case !c.Shared, r.ttl(a, http.StatusOK, c.now()) > 0: // else RFC 9111 §3.5 keeps users apart
		partition = credentials(req, r)
	}
	if partition != "" {
		b = appendField(b, keyPartition, partition)
	}
	method := req.Method
	if method == "" || method == http.MethodHead {
		method = http.MethodGet
	}
	b = appendField(b, keyMethod, method)
	custom := c.customKey(req)
	if custom != "" {
		b = appendField(b, keyCustom, custom)
	} else {
		if t.variation != "" {
			b = appendField(b, keyVariation, t.variation)
		}
		b = appendField(b, keyURL, t.keyURL)
		if c.Shared && t.spelling != "" { // else one user could have others given what an origin answers to it
			b = appendField(b, keySpelling, digest(t.spelling))
		}
		if req.Host != "" && req.Host != req.URL.Host {
			if host := normalHost(&url.URL{Scheme: req.URL.Scheme, Host: req.Host}); host != normalHost(req.URL) {
				b = appendField(b, keyHost, host)
			}
		}
	}
	for _, s := range t.redacted {
		b = appendField(b, keyRedacted, s)
	}
	if len(r.KeyHeaders) > 0 {
		b = r.appendHeaders(b, req.Header)
	}
	if body != "" && custom == "" {
		b = appendField(b, keyBody, body)
	}
	return store.Key(b)
}

// appendHeaders appends the request fields that r wants in the key, by name.
func (r *rule) appendHeaders(b []byte, h http.Header) []byte {
	var names []string
	if slices.Contains(r.KeyHeaders, "*") {
		for name := range h {
			names = append(names, name)
		}
	} else {
		for _, name := range r.KeyHeaders {
			names = append(names, textproto.CanonicalMIMEHeaderKey(name))
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if vv, ok := h[name]; ok && !r.ignoresHeader(name) {
			value := strings.Join(vv, ", ")
			if r.redacts(name) || secret(name) {
				value = digest(value)
			}
			b = appendField(b, keyHeader, name+"\x00"+value)
		}
	}
	return b
}

// secret reports whether a request field holds credentials whatever the rules say; they are never stored.
func secret(name string) bool {
	return name == "Authorization" || name == "Cookie" || name == "Proxy-Authorization"
}

// selectable returns the request's fields as Vary sees them: without those that r ignores, secrets as digests.
// It is h itself where nothing of that is to be done.
func (r *rule) selectable(h http.Header) http.Header {
	var out http.Header
	for name, vv := range h {
		hide := len(r.Ignore.Header) > 0 && r.ignoresHeader(name) && name != "Cache-Control" && name != "Pragma"
		if !hide && !secret(name) && !r.redacts(name) {
			continue
		}
		if out == nil {
			out = make(http.Header, len(h))
			maps.Copy(out, h)
		}
		if hide {
			delete(out, name)
		} else {
			out[name] = []string{"sha256:" + hexDigest(strings.Join(vv, ", "))}
		}
	}
	if out == nil {
		return h
	}
	return out
}
