package larder

import (
	"fmt"
	"net/url"
	"strings"
)

// pattern matches URLs: [scheme://]host[:port][/path]. It is anchored at both ends. In the host * stands for one
// label and ** for any number; in the path * stands for any part of one segment and ** for any number of them. Without a
// path it means all of the host, without a port every port; the empty pattern means every URL. The query takes no part.
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
		p.path = "/" + path
	}
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host, p.port = host[:i], host[i+1:]
		if p.port == "" || strings.Trim(p.port, "0123456789") != "" {
			return p, fmt.Errorf("URL pattern %q: port is %q, want a number", s, p.port)
		}
	}
	p.host = strings.ToLower(strings.Trim(host, "[]"))
	if p.host == "" && s != "" {
		return p, fmt.Errorf("URL pattern %q: no host; it has the form [scheme://]host[:port][/path], with ** for any host", s)
	}
	if strings.ContainsAny(p.host, " \t\\{}") || strings.Contains(s, "***") {
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

// glob matches s whole: * stands for any run without sep, ** for any run.
func glob(pattern, s string, sep byte) bool {
	for {
		star := strings.IndexByte(pattern, '*')
		if star < 0 {
			return pattern == s
		}
		if !strings.HasPrefix(s, pattern[:star]) {
			return false
		}
		pattern, s = pattern[star+1:], s[star:]
		across := strings.HasPrefix(pattern, "*")
		if across {
			pattern = pattern[1:]
		}
		if pattern == "" {
			return across || strings.IndexByte(s, sep) < 0
		}
		for i := 0; ; i++ {
			if glob(pattern, s[i:], sep) {
				return true
			}
			if i == len(s) || !across && s[i] == sep {
				return false
			}
		}
	}
}
