package har

import (
	"bytes"
	"encoding/base64"
	"io"
	"math"
	"mime"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Exchange is what an entry describes: a GET or HEAD request, its response, and their times.
type Exchange struct {
	Request             *http.Request
	Requested, Received time.Time
	Response            http.Response // without Body and Request
	Body                []byte

	// What larder had set instead of what the header says; 0: nothing.
	TTL, StaleWhileRevalidate, StaleIfError time.Duration
	Tags                                    []string
}

// refusal is why an entry cannot be stored.
type refusal string

func (r refusal) Error() string { return string(r) }

const (
	notHTTP     refusal = "its URL is not an http or https URL"
	noResponse  refusal = "there is no response to it"
	noTime      refusal = "its startedDateTime is not a time"
	wrongField  refusal = "one of its header fields is not valid"
	noContent   refusal = "its content is not in the HAR"
	notBase64   refusal = "its content is not base64"
	otherLength refusal = "its content is not as long as Content-Length says"
)

// maxWait limits the time that an entry may say its response took.
const maxWait = 24 * time.Hour

// Exchange returns what e describes, or why it cannot be stored. If an archive has content in another form than the
// header says (without content coding, or in another charset), the header is corrected.
func (e *Entry) Exchange(decode Decode) (*Exchange, error) {
	ours := e.Larder != nil
	if m := e.Request.Method; m != http.MethodGet && m != http.MethodHead {
		return nil, refusal("its method is " + strconv.Quote(m[:min(len(m), 20)]) + ", want GET or HEAD")
	}
	if ours && len(e.Larder.Bound) > 0 {
		return nil, refusal("the HAR does not tell for whom it was stored: " + strings.Join(e.Larder.Bound, ", "))
	}
	if e.Response.Status < 100 || e.Response.Status > 999 {
		return nil, noResponse
	}
	x := new(Exchange)
	for _, take := range []func(*Entry) error{x.times, x.head, x.request} {
		if err := take(e); err != nil {
			return nil, err
		}
	}
	var err error
	if ours {
		err = x.stored(e)
	} else {
		err = x.recorded(e, decode)
	}
	if e.Response.Status == http.StatusNoContent {
		x.Body, x.Response.ContentLength = nil, 0
		x.Response.Header.Del("Content-Length")
	}
	return x, err
}

// head takes the head of the response.
func (x *Exchange) head(e *Entry) error {
	header, ok := headerOf(e.Response.Headers, e.latin1())
	if !ok {
		return wrongField
	}
	x.Response = http.Response{StatusCode: e.Response.Status, Proto: proto(e.Response.HTTPVersion), Header: header}
	return nil
}

// request takes the request, without its conditions, to which a cache would answer 304.
func (x *Exchange) request(e *Entry) error {
	header, ok := headerOf(e.Request.Headers, e.latin1())
	if !ok {
		return wrongField
	}
	u, err := url.Parse(e.Request.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return notHTTP
	}
	u.Fragment, u.RawFragment = "", ""
	if x.Request, err = http.NewRequest(e.Request.Method, u.String(), nil); err != nil {
		return notHTTP
	}
	if host := header.Get("Host"); host != "" {
		x.Request.Host = host
	}
	for _, name := range []string{"Host", "Connection", "Content-Length", "If-None-Match", "If-Modified-Since", "If-Range"} {
		header.Del(name)
	}
	if e.Response.Status != http.StatusPartialContent {
		header.Del("Range")
	}
	x.Request.Header = header
	return nil
}

func (e *Entry) latin1() bool { return e.Larder != nil && e.Larder.Latin1 }

// times takes the times of the request and the response.
func (x *Exchange) times(e *Entry) error {
	started, err := time.Parse(time.RFC3339Nano, e.StartedDateTime)
	if err != nil {
		started, err = time.Parse("2006-01-02T15:04:05Z0700", e.StartedDateTime)
	}
	if err != nil || started.Year() < 1970 || started.Year() > 9999 {
		return noTime
	}
	wait := min(max(0, e.Time-max(0, e.Timings.Receive)), float64(maxWait/time.Millisecond))
	x.Requested = started.UTC()
	x.Received = x.Requested.Add(time.Duration(math.Round(wait * 1e6)))
	return nil
}

// stored takes the body as larder had it.
func (x *Exchange) stored(e *Entry) (err error) {
	content, of := &e.Response.Content, e.Larder
	x.Body = []byte(content.Text)
	if encoded := content.Stored; encoded != "" || content.Encoding != "" {
		if encoded == "" {
			encoded = content.Text
		}
		if x.Body, err = base64.StdEncoding.DecodeString(encoded); err != nil {
			return notBase64
		}
	}
	if len(x.Body) == 0 && content.Size > 0 {
		return noContent
	}
	x.Response.Uncompressed, x.Response.ContentLength = of.Uncompressed, of.Length
	if e.Request.Method == http.MethodGet && of.Length > 0 && of.Length != int64(len(x.Body)) {
		return otherLength
	}
	trailer, ok := headerOf(of.Trailers, of.Latin1)
	if !ok {
		return wrongField
	}
	if len(trailer) > 0 {
		x.Response.Trailer = trailer
	}
	x.TTL, x.StaleWhileRevalidate, x.StaleIfError = lifetime(of.TTL), lifetime(of.StaleWhileRevalidate), lifetime(of.StaleIfError)
	x.Tags = of.Tags
	return nil
}

// lifetime is the inverse of view.TTL; 0 for anything else.
func lifetime(s string) time.Duration {
	switch s {
	case "forever":
		return math.MaxInt64
	case "never":
		return -1
	}
	d, _ := time.ParseDuration(s)
	return max(0, d)
}

// recorded takes the body as another program recorded it.
func (x *Exchange) recorded(e *Entry, decode Decode) (err error) {
	h, content := x.Response.Header, &e.Response.Content
	coding, said := strings.ToLower(h.Get("Content-Encoding")), length(h)
	if e.Request.Method == http.MethodHead {
		x.Response.ContentLength = said
		return nil
	}
	x.Body = []byte(content.Text)
	if content.Encoding != "" {
		if x.Body, err = base64.StdEncoding.DecodeString(content.Text); err != nil {
			return notBase64
		}
	}
	if len(x.Body) == 0 && (content.Size > 0 || e.Response.BodySize > 0 || said > 0) {
		if h.Get("Location") == "" || e.Response.Status/100 != 3 {
			return noContent
		}
		said = -1 // browsers drop the body of a redirect
	}
	if coding != "" && coding != "identity" && e.Response.Status != http.StatusPartialContent { // a part cannot be decoded
		if wire := max(said, e.Response.BodySize); wire > 0 && wire != int64(len(x.Body)) || !decodes(decode, coding, x.Body) {
			for _, name := range []string{"Content-Encoding", "Content-Digest", "Repr-Digest"} { // the digests are of the coded content
				h.Del(name)
			}
			x.Request.Header.Del("Accept-Encoding") // else it would be stored for requests that accept the coding alone
		}
		said = -1
	}
	if content.Encoding == "" && asUTF8(h) {
		said = -1
	}
	if said > 0 && said != int64(len(x.Body)) {
		return otherLength
	}
	h.Del("Content-Length")
	h.Del("Transfer-Encoding")
	x.Response.ContentLength = int64(len(x.Body))
	return nil
}

// length is what Content-Length says; -1: nothing.
func length(h http.Header) int64 {
	n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// decodes reports whether the body really has the coding, as far as maxEntry.
func decodes(decode Decode, coding string, body []byte) bool {
	r, err := decode(coding, bytes.NewReader(body))
	if err == nil {
		_, err = io.Copy(io.Discard, io.LimitReader(r, maxEntry))
	}
	return err == nil
}

// asUTF8 sets the charset in Content-Type to UTF-8, which text in a HAR has. It returns false if no other was named.
func asUTF8(h http.Header) bool {
	mediaType, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	charset := strings.ToLower(params["charset"])
	if err != nil || slices.Contains([]string{"", "utf-8", "utf8", "us-ascii"}, charset) {
		return false
	}
	params["charset"] = "utf-8"
	h.Set("Content-Type", mime.FormatMediaType(mediaType, params))
	return true
}

// headerOf returns fields as a header, without the pseudo-header fields of HTTP/2. Browsers write several values of one
// name as one, a line each. It returns false if a field is not valid.
func headerOf(fields []Pair, latin1 bool) (http.Header, bool) {
	h := make(http.Header)
	for _, f := range fields {
		if strings.HasPrefix(f.Name, ":") {
			continue
		}
		if f.Name == "" || strings.ContainsFunc(f.Name, noToken) {
			return nil, false
		}
		name := textproto.CanonicalMIMEHeaderKey(f.Name)
		for value := range strings.SplitSeq(f.Value, "\n") {
			value = strings.Trim(value, " \t\r")
			if latin1 {
				value = toLatin1(value)
			}
			if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				return nil, false
			}
			h[name] = append(h[name], value)
		}
	}
	return h, true
}

// noToken reports whether a character is not allowed in a field's name (RFC 9110 §5.6.2).
func noToken(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
}

// proto returns a version of HTTP as net/http writes it.
func proto(version string) string {
	switch v := strings.ToUpper(version); v {
	case "H2", "HTTP/2", "HTTP/2.0":
		return "HTTP/2.0"
	case "H3", "HTTP/3", "HTTP/3.0":
		return "HTTP/3.0"
	case "HTTP/1.0":
		return v
	}
	return "HTTP/1.1"
}
