package rfc9111

import (
	"math"
	"net/textproto"
	"strings"
	"time"
)

// directives are those of Cache-Control that the rules know, of a request or a response (RFC 9111 §5.2).
type directives struct {
	noStore, noCache, onlyIfCached  bool
	private, public                 bool
	mustRevalidate, proxyRevalidate bool
	mustUnderstand, immutable       bool
	noTransform                     bool
	maxAge, sMaxAge                 delta
	maxStale, minFresh              delta
	staleWhileRevalidate            delta
	staleIfError                    delta
	noCacheFields, privateFields    []string // of the forms with field names, which do not set noCache and private
}

// delta is a directive's number of seconds.
type delta struct {
	set bool
	d   time.Duration
}

// maxDelta stands for every larger number (RFC 9111 §1.2.2).
const maxDelta = 1 << 31 * time.Second

const forever time.Duration = math.MaxInt64

// put sets d unless it has been set: the first occurrence counts (RFC 9111 §4.2.1).
func (d *delta) put(arg string, invalid time.Duration) {
	if d.set {
		return
	}
	n, ok := seconds(unquote(arg))
	if !ok {
		n = invalid
	}
	*d = delta{true, n}
}

// seconds reads delta-seconds (RFC 9111 §1.2.2).
func seconds(s string) (time.Duration, bool) {
	var n time.Duration
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = min(n*10+time.Duration(s[i]-'0'), maxDelta/time.Second)
	}
	return n * time.Second, s != ""
}

func parseDirectives(lines []string) directives {
	var d directives
	for m := range members(lines) {
		name, arg, hasArg := strings.Cut(m, "=")
		if n := trim(name); n != name {
			name, arg = n, "" // white space before the = makes the argument invalid
		}
		name = strings.ToLower(name)
		if fields := d.fields(name); fields != nil {
			narrow(d.flag(name), fields, unquote(arg))
		} else if flag := d.flag(name); flag != nil {
			*flag = true
		} else if n := d.number(name); n != nil {
			switch {
			case n == &d.minFresh:
				n.put(arg, maxDelta)
			case n == &d.maxStale && !hasArg:
				n.put("", forever) // any staleness (RFC 9111 §5.2.1.2)
			default:
				n.put(arg, 0)
			}
		}
	}
	return d
}

// flag returns where d keeps the directive of that name if it has no argument, or need not have one; else nil.
func (d *directives) flag(name string) *bool {
	switch name {
	case "no-store":
		return &d.noStore
	case "no-cache":
		return &d.noCache
	case "private":
		return &d.private
	case "public":
		return &d.public
	case "must-revalidate":
		return &d.mustRevalidate
	case "proxy-revalidate":
		return &d.proxyRevalidate
	case "must-understand":
		return &d.mustUnderstand
	case "immutable":
		return &d.immutable
	case "no-transform":
		return &d.noTransform
	case "only-if-cached":
		return &d.onlyIfCached
	}
	return nil
}

// number is flag for the directives that are so many seconds.
func (d *directives) number(name string) *delta {
	switch name {
	case "max-age":
		return &d.maxAge
	case "s-maxage":
		return &d.sMaxAge
	case "stale-while-revalidate":
		return &d.staleWhileRevalidate
	case "stale-if-error":
		return &d.staleIfError
	case "min-fresh":
		return &d.minFresh
	case "max-stale":
		return &d.maxStale
	}
	return nil
}

// fields is flag for the directives that may name fields.
func (d *directives) fields(name string) *[]string {
	switch name {
	case "no-cache":
		return &d.noCacheFields
	case "private":
		return &d.privateFields
	}
	return nil
}

// narrow reads a directive's argument as names of fields, if it can have any: the directive then applies to them alone.
// Otherwise it applies to the whole response.
func narrow(whole *bool, fields *[]string, arg string) {
	if fields == nil {
		return
	}
	if names := fieldNames(arg); names != nil {
		*fields = append(*fields, names...)
	} else {
		*whole = true
	}
}

// fieldNames reads the argument of no-cache or private, without quotes. It returns nil, so that the directive applies
// to the whole response, unless the argument lists names of fields that a stored response can do without.
func fieldNames(arg string) []string {
	var names []string
	for name := range strings.SplitSeq(arg, ",") {
		name = textproto.CanonicalMIMEHeaderKey(trim(name))
		if name == "" {
			continue
		}
		if !isToken(name) || essential(name) {
			return nil
		}
		names = append(names, name)
	}
	return names
}

// essential reports whether the field must not be left out, because without it the stored response would mean something
// else. All fields named like targeted fields count (RFC 9213 §2.4), since another cache on the same store may honour
// those that this one does not.
func essential(name string) bool {
	switch name {
	case "Age", "Content-Encoding", "Content-Length", "Content-Range", "Content-Type", "Date", "Expires", "Vary":
		return true
	}
	return strings.HasSuffix(name, "Cache-Control")
}
