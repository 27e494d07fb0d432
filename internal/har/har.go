// Package har reads and writes HTTP archives (HAR 1.2), entry by entry. It makes entries from stored responses, and
// exchanges from entries.
package har

// Entry is one request and its response. Response must be its last field, Content that of Response, and Text and Stored
// those of Content, since Writer appends them to the rest.
type Entry struct {
	StartedDateTime string   `json:"startedDateTime"`
	Time            float64  `json:"time"` // in milliseconds, as are Timings
	Request         Request  `json:"request"`
	Cache           Cache    `json:"cache"`
	Timings         Timings  `json:"timings"`
	Larder          *Larder  `json:"_larder,omitempty"`
	Response        Response `json:"response"`
}

type Request struct {
	Method      string  `json:"method"`
	URL         string  `json:"url"`
	HTTPVersion string  `json:"httpVersion"`
	Cookies     Cookies `json:"cookies"`
	Headers     []Pair  `json:"headers"`
	QueryString Query   `json:"queryString"`
	HeadersSize int64   `json:"headersSize"` // -1: not known, as of all sizes
	BodySize    int64   `json:"bodySize"`
}

type Response struct {
	Status      int     `json:"status"`
	StatusText  string  `json:"statusText"`
	HTTPVersion string  `json:"httpVersion"`
	Cookies     Cookies `json:"cookies"`
	Headers     []Pair  `json:"headers"`
	RedirectURL string  `json:"redirectURL"`
	HeadersSize int64   `json:"headersSize"`
	BodySize    int64   `json:"bodySize"` // as it was on the wire
	Content     Content `json:"content"`
}

// Content is a body without its content coding, where that could be undone.
type Content struct {
	Size        int64  `json:"size"`
	Compression int64  `json:"compression,omitempty"` // how much smaller it was on the wire
	MimeType    string `json:"mimeType"`
	Encoding    string `json:"encoding,omitempty"` // of Text: base64, or none
	Text        string `json:"text,omitempty"`
	Stored      string `json:"_stored,omitempty"` // base64 of the body with its content coding, if Text is without
}

// Pair is a header field or a query parameter.
type Pair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type Cookie struct {
	Name     string `json:"name"`
	Value    string `json:"value"`
	Path     string `json:"path,omitempty"`
	Domain   string `json:"domain,omitempty"`
	Expires  string `json:"expires,omitempty"`
	HTTPOnly bool   `json:"httpOnly,omitempty"`
	Secure   bool   `json:"secure,omitempty"`
}

// Cache says what a cache held of the response after the request.
type Cache struct {
	AfterRequest *CacheEntry `json:"afterRequest,omitempty"`
}

type CacheEntry struct {
	Expires    string `json:"expires,omitempty"`
	LastAccess string `json:"lastAccess"`
	ETag       string `json:"eTag"`
	HitCount   int    `json:"hitCount"`
}

type Timings struct {
	Send    float64 `json:"send"`
	Wait    float64 `json:"wait"`
	Receive float64 `json:"receive"`
}

// Larder has what an import needs to store the same again, and HAR has no field for.
type Larder struct {
	ID                   string   `json:"id"`
	Tags                 []string `json:"tags,omitempty"`
	TTL                  string   `json:"ttl,omitempty"` // set by a rule or the caller, as are the next two: 1h0m0s, forever, never
	StaleWhileRevalidate string   `json:"staleWhileRevalidate,omitempty"`
	StaleIfError         string   `json:"staleIfError,omitempty"`
	Length               int64    `json:"length"` // as http.Response.ContentLength
	Uncompressed         bool     `json:"uncompressed,omitempty"`
	Trailers             []Pair   `json:"trailers,omitempty"`
	// Latin1 says that header values are not UTF-8, and are written byte by byte as characters of ISO-8859-1.
	Latin1 bool `json:"latin1,omitempty"`
	// Bound names what else is in the response's key, and not in the entry.
	Bound []string `json:"bound,omitempty"`
}

// Fields that an import does not need are read as nothing, whatever is in them: hardly a program writes all of them
// right.
type (
	Cookies []Cookie
	Query   []Pair
)

func (*Cookies) UnmarshalJSON([]byte) error { return nil }
func (*Query) UnmarshalJSON([]byte) error   { return nil }
func (*Cache) UnmarshalJSON([]byte) error   { return nil }
