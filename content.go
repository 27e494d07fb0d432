package larder

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/larder-go/larder/rfc9111"
)

// methodQuery is like GET, with content that says what is asked for (RFC 10008).
const methodQuery = "QUERY"

func hexDigest(s string) string { return hex.EncodeToString([]byte(digest(s))) }

// content reads the request's body for the key. It returns the request to send, which still has its whole body, and the
// digest of the body's meaning. ok is false if the body could not be read whole within limit bytes: the request can
// still be sent, but has no key. The digest of a request without a body is "", unless it is a QUERY, which says by its
// type alone what it asks for.
func content(req *http.Request, r *rule, limit int64) (send *http.Request, digest string, ok bool) {
	if req.Body == nil || req.Body == http.NoBody {
		if req.Method == methodQuery {
			digest = r.bodyDigest(req.Method, req.Header, nil)
		}
		return req, digest, true
	}
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return req, "", false
		}
		defer body.Close()
		b, err := io.ReadAll(io.LimitReader(body, limit+1))
		if err != nil || int64(len(b)) > limit {
			return req, "", false
		}
		return req, r.bodyDigest(req.Method, req.Header, b), true
	}
	send = req.WithContext(req.Context())
	b, err := io.ReadAll(io.LimitReader(req.Body, limit+1))
	if err != nil || int64(len(b)) > limit {
		rest := io.Reader(req.Body)
		if err != nil {
			rest = failing{err}
		}
		send.Body = readCloser{io.MultiReader(bytes.NewReader(b), rest), req.Body}
		return send, "", false
	}
	send.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
	send.Body = readCloser{bytes.NewReader(b), req.Body}
	return send, r.bodyDigest(req.Method, req.Header, b), true
}

type readCloser struct {
	io.Reader
	io.Closer
}

// failing is a reader that returns an error.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// bodyDigest returns the SHA-256 of a body's media type and meaning: JSON without regard to white space and the order
// of keys, forms without regard to the order of different names, multipart without its boundary, anything else byte by
// byte. Ignored parts are left out.
//
// For a QUERY the order may have a meaning to the origin. So its content counts byte by byte, with its language, unless
// r ignores parts of content of that type; and if the request says no-transform, in any case (RFC 10008 §2.7).
func (r *rule) bodyDigest(method string, h http.Header, body []byte) string {
	contentType := strings.Join(h["Content-Type"], ", ")
	mediaType, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		mediaType = contentType
	}
	readJSON, readForm := true, true
	if method == methodQuery {
		exact := rfc9111.NoTransform(h)
		readJSON, readForm = !exact && len(r.Ignore.JSON) > 0, !exact && len(r.Ignore.Form) > 0
	}
	form, canonical := "raw", body
	switch {
	case readJSON && (mediaType == "application/json" || strings.HasSuffix(mediaType, "+json")):
		if b, ok := canonicalJSON(body, r.Ignore.JSON); ok {
			form, canonical = "json", b
		}
	case readForm && mediaType == "application/x-www-form-urlencoded":
		if b, ok := canonicalForm(string(body), r.Ignore.Form); ok {
			form, canonical = "form", b
		}
	case readForm && mediaType == "multipart/form-data" && params["boundary"] != "":
		if b, ok := canonicalMultipart(body, params["boundary"], r.Ignore.Form); ok {
			form, canonical = "multipart", b
			delete(params, "boundary")
		}
	}
	if full := mime.FormatMediaType(mediaType, params); full != "" {
		mediaType = full
	}
	head := appendField(appendField(nil, 't', mediaType), 'c', strings.Join(h["Content-Encoding"], ", "))
	if language := h["Content-Language"]; method == methodQuery && len(language) > 0 {
		head = appendField(head, 'l', strings.Join(language, ", "))
	}
	head = appendField(head, 'f', form)
	sum := sha256.New()
	sum.Write(head)
	sum.Write(canonical)
	return string(sum.Sum(nil))
}

// canonicalForm sorts the pairs of a form by name, and keeps the order of the values of one name.
func canonicalForm(body string, ignore []string) ([]byte, bool) {
	values, err := url.ParseQuery(body)
	if err != nil {
		return nil, false
	}
	maps.DeleteFunc(values, func(name string, _ []string) bool { return ignored(ignore, name) })
	return []byte(values.Encode()), true
}

func canonicalMultipart(body []byte, boundary string, ignore []string) ([]byte, bool) {
	var out []byte
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		p, err := parts.NextRawPart()
		if err == io.EOF { // as it is; wrapped it means that the last boundary is missing
			return out, true
		}
		if err != nil {
			return nil, false
		}
		b, err := io.ReadAll(p)
		if err != nil {
			return nil, false
		}
		if ignored(ignore, p.FormName()) {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(p.Header)) {
			for _, v := range p.Header[name] {
				out = appendField(out, 'h', name+"\x00"+v)
			}
		}
		out = appendField(out, 'b', string(b))
	}
}

// canonicalJSON writes one JSON value without white space, with its keys sorted, and without what the ignored paths
// name. It declines what could be read in two ways: duplicate keys, lone surrogates, invalid UTF-8.
func canonicalJSON(body []byte, ignore []string) ([]byte, bool) {
	if !utf8.Valid(body) || bytes.Contains(bytes.ToLower(body), []byte(`\ud`)) {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var paths [][]string
	for _, p := range ignore {
		paths = append(paths, strings.Split(p, "."))
	}
	out, ok := appendJSON(nil, d, paths, 0)
	if !ok {
		return nil, false
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, false
	}
	return out, true
}

const maxJSONDepth = 1000

func appendJSON(out []byte, d *json.Decoder, ignore [][]string, depth int) ([]byte, bool) {
	t, err := d.Token()
	if err != nil || depth > maxJSONDepth {
		return nil, false
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '{' {
			return appendObject(out, d, ignore, depth)
		}
		return appendArray(out, d, ignore, depth)
	case json.Number:
		return append(out, t...), true
	default: // a string, a bool or nil, which json.Marshal writes in one way only
		b, err := json.Marshal(t)
		return append(out, b...), err == nil
	}
}

func appendObject(out []byte, d *json.Decoder, ignore [][]string, depth int) ([]byte, bool) {
	members := make(map[string][]byte)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, false
		}
		name := t.(string) // the decoder has checked that
		if _, twice := members[name]; twice {
			return nil, false
		}
		below, leave := descend(ignore, name)
		value, ok := appendJSON(nil, d, below, depth+1)
		if !ok {
			return nil, false
		}
		if leave {
			value = nil
		}
		members[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, false
	}
	out = append(out, '{')
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if members[name] != nil {
			b, _ := json.Marshal(name) // a string never fails
			out = append(append(append(append(out, b...), ':'), members[name]...), ',')
		}
	}
	return append(out, '}'), true
}

func appendArray(out []byte, d *json.Decoder, ignore [][]string, depth int) ([]byte, bool) {
	out = append(out, '[')
	for i := 0; d.More(); i++ {
		below, leave := descend(ignore, strconv.Itoa(i))
		value, ok := appendJSON(nil, d, below, depth+1)
		if !ok {
			return nil, false
		}
		if !leave {
			out = append(append(out, value...), ',')
		}
	}
	_, err := d.Token()
	return append(out, ']'), err == nil
}

// descend returns the ignored paths below name, and whether one of them ends there.
func descend(paths [][]string, name string) (below [][]string, leave bool) {
	for _, p := range paths {
		if p[0] != name && p[0] != "*" {
			continue
		}
		if len(p) == 1 {
			leave = true
		} else {
			below = append(below, p[1:])
		}
	}
	return below, leave
}
