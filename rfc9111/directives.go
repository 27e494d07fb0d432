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
		switch strings.ToLower(name) {
		case "no-store":
			d.noStore = true
		case "no-cache":
			if names := fieldNames(arg); names != nil {
				d.noCacheFields = append(d.noCacheFields, names...)
			} else {
				d.noCache = true
			}
		case "private":
			if names := fieldNames(arg); names != nil {
				d.privateFields = append(d.privateFields, names...)
			} else {
				d.private = true
			}
		case "public":
			d.public = true
		case "must-revalidate":
			d.mustRevalidate = true
		case "proxy-revalidate":
			d.proxyRevalidate = true
		case "must-understand":
			d.mustUnderstand = true
		case "immutable":
			d.immutable = true
		case "only-if-cached":
			d.onlyIfCached = true
		case "max-age":
			d.maxAge.put(arg, 0)
		case "s-maxage":
			d.sMaxAge.put(arg, 0)
		case "stale-while-revalidate":
			d.staleWhileRevalidate.put(arg, 0)
		case "stale-if-error":
			d.staleIfError.put(arg, 0)
		case "min-fresh":
			d.minFresh.put(arg, maxDelta)
		case "max-stale":
			if hasArg {
				d.maxStale.put(arg, 0)
			} else {
				d.maxStale.put("", forever) // any staleness (RFC 9111 §5.2.1.2)
			}
		}
	}
	return d
}

// fieldNames reads the argument of no-cache or private. It returns nil, which leaves the directive without
// one and so at its strictest, unless the argument is names of fields that a stored response can do without.
func fieldNames(arg string) []string {
	var names []string
	for name := range strings.SplitSeq(unquote(arg), ",") {
		name = textproto.CanonicalMIMEHeaderKey(trim(name))
		if name == "" {
			continue
		}
		if !isToken(name) || essential[name] {
			return nil
		}
		names = append(names, name)
	}
	return names
}

// essential are the fields without which a stored response would mean something else: they can't be left out
// of it.
var essential = map[string]bool{
	"Age": true, "Cache-Control": true, "Content-Encoding": true, "Content-Length": true, "Content-Range": true,
	"Content-Type": true, "Date": true, "Expires": true, "Vary": true,
}
