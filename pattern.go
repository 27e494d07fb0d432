package larder

import (
	"fmt"
	"net/url"
	"strings"
)

// pattern matches URLs: [scheme://]host[:port][/path]. It is anchored at both ends. In the host * stands for
// one label and ** for any number; in the path * stands for any part of one segment and ** for any number of
// them. Without a path it matches every path, without a port every port; the empty pattern matches every URL.
// The query takes no part.
type pattern struct {
	scheme, host, port, path string
}

func parsePattern(s string) (pattern, error) {
	var p pattern
	rest := s
	if scheme, after, ok := strings.Cut(rest, "://"); ok {
		p.scheme, rest = strings.ToLower(scheme), after
		if p.scheme != "http" && p.scheme != "https" && p.scheme != "*" {
			return p, fmt.Errorf("URL pattern %q: scheme is %q, want http, https or *", s, scheme)
		}
	}
	if i := strings.IndexAny(rest, "?#"); i >= 0 {
		return p, fmt.Errorf("URL pattern %q: %q at the end: a pattern is a host and a path, the query takes no part", s, rest[i:])
	}
	host, path, hasPath := strings.Cut(rest, "/")
	if hasPath {
		p.path = normalEscapes("/" + path)
	}
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host, p.port = host[:i], host[i+1:]
		if p.port == "" || strings.Trim(p.port, "0123456789") != "" {
			return p, fmt.Errorf("URL pattern %q: port is %q, want a number", s, p.port)
		}
	}
	if strings.HasPrefix(host, "[") != strings.HasSuffix(host, "]") {
		return p, fmt.Errorf("URL pattern %q: a bracket is missing around the IPv6 address", s)
	}
	p.host = strings.ToLower(strings.Trim(host, "[]"))
	if p.host == "" && s != "" {
		return p, fmt.Errorf("URL pattern %q: no host; it has the form [scheme://]host[:port][/path], with ** for any host", s)
	}
	if strings.ContainsAny(p.host, " \t\\{}[]") || strings.Contains(s, "***") {
		return p, fmt.Errorf("URL pattern %q: only * and ** are wildcards", s)
	}
	return p, nil
}

// match reports whether p matches u, whose path is given escaped and without dot segments.
func (p *pattern) match(u *url.URL, path string) bool {
	if p.host == "" {
		return true
	}
	return (p.scheme == "" || p.scheme == "*" || strings.EqualFold(p.scheme, u.Scheme)) &&
		(p.port == "" || p.port == portOf(u)) &&
		glob(p.host, strings.ToLower(u.Hostname()), '.') &&
		(p.path == "" || glob(p.path, path, '/'))
}

func portOf(u *url.URL) string {
	switch port := u.Port(); {
	case port != "":
		return port
	case strings.EqualFold(u.Scheme, "https"):
		return "443"
	default:
		return "80"
	}
}

// glob matches s whole: * stands for any run without sep, ** for any run. A wildcard first takes nothing, and
// one byte more each time what follows does not fit; only the last of each kind need be tried again.
func glob(pattern, s string, sep byte) bool {
	i, j := 0, 0
	star, starAt := -1, 0 // where to go on in pattern and s after the last *; -1: none since the last **
	deep, deepAt := -1, 0
	for i < len(pattern) || j < len(s) {
		switch {
		case strings.HasPrefix(pattern[i:], "**"):
			i += 2
			star, deep, deepAt = -1, i, j
		case strings.HasPrefix(pattern[i:], "*"):
			i++
			star, starAt = i, j
		case i < len(pattern) && j < len(s) && pattern[i] == s[j]:
			i++
			j++
		case star >= 0 && starAt < len(s) && s[starAt] != sep:
			starAt++
			i, j = star, starAt
		case deep >= 0 && deepAt < len(s):
			deepAt++
			star, i, j = -1, deep, deepAt
		default:
			return false
		}
	}
	return true
}
