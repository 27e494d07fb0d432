package larder

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/larder-go/larder/rfc9111"
)

// Rule is what the user wants for some requests instead of the standard. The first rule whose Match and Methods fit a
// request applies, and no other. For the fields that it leaves zero, the standard applies.
//
// There is one order of precedence: first what the request itself asks for (its context, then its own
// Cache-Control), then the rule, then the response's headers (RFC 9111), then heuristics. The TTL of a response
// is decided when it is stored or validated, and travels with it: changing a rule changes what is stored from
// then on. Statuses and Filter are looked at when a stored response is used, too.
type Rule struct {
	// Match is a URL pattern, [scheme://]host[:port][/path]: * stands for one label of the host or any part of one path
	// segment, ** for one or more of them. Each part must match from end to end. Without a path the pattern matches
	// every path, without a port every port, and without a scheme http and https. So ** is every host, and
	// **.example.com is every host below example.com, not example.com itself. Empty: every URL.
	Match string
	// Methods are the request methods that the rule is for, and responses to which may be stored; nil: GET, HEAD and
	// QUERY. For methods other than GET and HEAD the request's body is part of the key, too, and the request
	// invalidates nothing. The body of a QUERY is compared byte by byte, unless Ignore names parts of it. Those of
	// other methods are compared by their meaning: the order in JSON objects and forms does not matter.
	Methods []string

	// TTL is how long a response is stored and reused, whatever its headers say: a positive duration, Forever, or
	// Never; 0: the headers decide. What is stored already keeps the lifetime it has.
	TTL time.Duration
	// Expires, unless zero, is TTL as a point in time; from then on it means Never.
	Expires time.Time
	// Statuses are those that may be stored; nil: those that the standard allows, and with TTL those that it allows
	// without explicit freshness (RFC 9110 §15.1), and redirects, but in a shared cache no temporary ones that set a
	// cookie. Responses with others are not stored, nor reused if they are stored already.
	Statuses []int
	// StaleWhileRevalidate and StaleIfError replace the windows in the response's Cache-Control (RFC 5861): a positive
	// duration, or Never; 0: the header decides. If nobody sets a StaleIfError, a stale response is used when the
	// origin gives no answer at all, for as long as it is kept (RFC 9111 §4.2.4), but not when the origin answers with
	// an error. must-revalidate forbids both.
	StaleWhileRevalidate, StaleIfError time.Duration
	// MaxBody replaces Cache.MaxBody for these requests; 0: it does not.
	MaxBody int64
	// Filter, if set, must return true for a response to be stored, and again for it to be reused; if it returns false
	// then, the stored response is removed. It must neither read the body nor keep the response.
	Filter func(*http.Response) bool
	// Tags are stored with the response, for Purge and Entries. A response also has a tag for each cache group that it
	// is in (RFC 9875), such as cache-group:https://example.com/NAME; no other tag may begin with cache-group:.
	Tags []string

	// SortQuery treats the query as a form whose pairs have no order, in which + is %20 and "x" is "x=". If a rule
	// sorts the query, or ignores or redacts parts of it, a response's No-Vary-Search is ignored: the rule says which
	// queries are the same.
	SortQuery bool
	// KeyHeaders names request fields whose values are part of the key, whether Vary names them or not; "*": all. Like
	// those that Vary names, their values are stored as they are unless Redact names them.
	KeyHeaders []string
	// Ignore names parts of the request that make no difference to the response.
	Ignore Ignore
	// Redact names request and response header fields and query parameters whose values are secret, whatever the case:
	// they are never stored, and only their SHA-256 is part of the key. Events and the log do not have them either,
	// even for requests to the URL with a method that no rule is for. A stored Location keeps them all the same, since
	// the redirect needs them.
	Redact []string
	// Strip names response header fields that are not stored, such as Set-Cookie.
	Strip []string
}

// Ignore names parts of a request that are not part of its key. A name that ends in * stands for all that begin so.
type Ignore struct {
	Query  []string // query parameters
	Header []string // header fields: not in the key, not in Vary, and not in the default Partition; Cache-Control and Pragma are heard all the same
	Form   []string // fields of a form in the body
	// JSON are paths into a JSON body, "a.b.c"; * stands for every key or index of one level.
	JSON []string
}

// Everything is a rule that keeps all for ttl, as aiohttp-client-cache does by default: responses to GET, HEAD and
// QUERY with status 200, and the redirects on the way to them, whatever their headers say, whatever the order of the
// query.
func Everything(ttl time.Duration) Rule {
	return Rule{
		TTL: ttl,
		Statuses: []int{http.StatusOK, http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
			http.StatusTemporaryRedirect, http.StatusPermanentRedirect},
		SortQuery: true,
	}
}

// Check returns what is wrong with r, if anything: a pattern, a TTL, a status or a method that is not valid.
func (r Rule) Check() error {
	_, err := compile(r)
	return err
}

// rule is a Rule made ready.
type rule struct {
	Rule
	pattern pattern
	redact  map[string]bool // lower case
}

// standard applies where no rule of the user's does.
var standard = &rule{}

func compile(r Rule) (*rule, error) {
	p, err := parsePattern(r.Match)
	if err != nil {
		return nil, err
	}
	fault := func(format string, a ...any) (*rule, error) {
		return nil, fmt.Errorf("rule %q: %s", r.Match, fmt.Sprintf(format, a...))
	}
	if r.TTL < 0 && r.TTL != Never {
		return fault("TTL is %v, want a positive duration, Forever or Never", r.TTL)
	}
	if r.TTL != 0 && !r.Expires.IsZero() {
		return fault("both TTL and Expires are set, want one of them")
	}
	for name, window := range map[string]time.Duration{"StaleWhileRevalidate": r.StaleWhileRevalidate, "StaleIfError": r.StaleIfError} {
		if window < 0 && window != Never {
			return fault("%s is %v, want a positive duration or Never", name, window)
		}
	}
	if r.MaxBody < 0 {
		return fault("MaxBody must not be negative")
	}
	for _, s := range r.Statuses {
		if s < 200 || s > 999 || s == http.StatusNotModified || s == http.StatusPartialContent {
			return fault("status %d can't be stored", s)
		}
	}
	for _, m := range r.Methods {
		if m == "" || m != strings.ToUpper(m) || m == http.MethodConnect || m == http.MethodTrace {
			return fault("method %q can't be stored; methods are in capitals", m)
		}
	}
	for _, tag := range r.Tags {
		if isGroupTag(tag) {
			return fault("tag %q begins as those of cache groups do", tag)
		}
	}
	c := &rule{Rule: r, pattern: p, redact: make(map[string]bool)}
	for _, name := range r.Redact {
		c.redact[strings.ToLower(name)] = true
	}
	return c, nil
}

func compileAll(rules []Rule) ([]*rule, error) {
	out := make([]*rule, len(rules))
	for i, r := range rules {
		c, err := compile(r)
		if err != nil {
			return nil, err
		}
		out[i] = c
	}
	return out, nil
}

// methodAllowed reports whether responses to the method may be stored under r.
func (r *rule) methodAllowed(method string) bool {
	if r.Methods == nil {
		return method == http.MethodGet || method == http.MethodHead || method == methodQuery
	}
	return slices.Contains(r.Methods, method)
}

func ruleFor(rules []*rule, method string, u *url.URL, path string) *rule {
	for _, r := range rules {
		if r.methodAllowed(method) && r.pattern.match(u, path) {
			return r
		}
	}
	return standard
}

// telling returns the rule by which events redact a request to which r applies. If no rule is for its method, as with
// DELETE in most cases, that has the secrets of all rules for its URL: they are secret all the same.
func (r *rule) telling(rules []*rule, method string, u *url.URL, path string) *rule {
	if r.methodAllowed(method) {
		return r
	}
	told := &rule{redact: make(map[string]bool)}
	for _, other := range rules {
		if len(other.redact) > 0 && other.pattern.match(u, path) {
			maps.Copy(told.redact, other.redact)
		}
	}
	return told
}

// statusAllowed reports whether r lets a response with this status be stored and reused. The standard has its
// own say.
func (r *rule) statusAllowed(status int) bool {
	if status == http.StatusPartialContent { // a part of a 200
		status = http.StatusOK
	}
	return r.Statuses == nil || slices.Contains(r.Statuses, status)
}

// ttl returns the lifetime that the request or r sets for a response with this status received at now; 0: its
// headers decide.
func (r *rule) ttl(a ask, status int, now time.Time) time.Duration {
	pick := func(ttl time.Duration, expires time.Time) time.Duration {
		if expires.IsZero() {
			return ttl
		}
		if d := expires.Sub(now); d > 0 {
			return d
		}
		return Never
	}
	ttl := pick(a.ttl, a.expires)
	if ttl == 0 {
		ttl = pick(r.TTL, r.Expires)
	}
	if ttl > 0 && r.Statuses == nil && !rfc9111.HeuristicallyCacheable(status) && !temporaryRedirect(status) {
		return 0 // an error page is not kept for so long unless the rule lists its status
	}
	return ttl
}

func temporaryRedirect(status int) bool {
	return status == http.StatusFound || status == http.StatusSeeOther || status == http.StatusTemporaryRedirect
}

// ignored reports whether one of names means name.
func ignored(names []string, name string) bool {
	for _, n := range names {
		prefix, open := strings.CutSuffix(n, "*")
		if n == name || open && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// ignoresHeader is ignored for header fields, whose case does not matter.
func (r *rule) ignoresHeader(name string) bool {
	for _, n := range r.Ignore.Header {
		prefix, open := strings.CutSuffix(n, "*")
		if strings.EqualFold(n, name) || open && len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
			return true
		}
	}
	return false
}

// redacts reports whether the value of the field or parameter is secret.
func (r *rule) redacts(name string) bool {
	return len(r.redact) > 0 && r.redact[strings.ToLower(name)]
}
