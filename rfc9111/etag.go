package rfc9111

import (
	"cmp"
	"iter"
	"net/http"
	"strings"
)

// etagField returns the entity tag of a response; "" if there is none, several, or one that cannot be a tag. One
// without quotes, which servers do send, is a weak tag (see isWeak).
func etagField(h http.Header) string {
	v := h["Etag"]
	if len(v) != 1 {
		return ""
	}
	s := trim(v[0])
	if tag, rest := cutETag(s); rest == "" || isOpaque(s) {
		return cmp.Or(tag, s)
	}
	return ""
}

// isOpaque reports whether s would be an entity tag if it had quotes, and cannot be mistaken for something else in a
// list.
func isOpaque(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == '"' || c == ',' || c == 0x7f {
			return false
		}
	}
	return s != "" && s != "*" && s != "W/" && len(s) <= maxETagBytes
}

// isUnquoted reports whether a tag of etagField lacks its quotes.
func isUnquoted(tag string) bool { return tag != "" && tag[len(tag)-1] != '"' }

// cutETag returns the entity tag that s begins with, and what follows it; "" and s if it begins with none
// (RFC 9110 §8.8.3).
func cutETag(s string) (tag, rest string) {
	start := len(s) - len(strings.TrimPrefix(s, "W/"))
	if start == len(s) || s[start] != '"' {
		return "", s
	}
	for i := start + 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return s[:i+1], s[i+1:]
		case c < '!' || c == 0x7f: // white space and controls; a backslash is a letter like any other
			return "", s
		}
	}
	return "", s
}

// etags yields the entity tags of If-None-Match. Anything else is skipped up to the next comma.
func etags(lines []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, s := range lines {
			for {
				if s = strings.TrimLeft(s, ", \t"); s == "" {
					break
				}
				tag, rest := cutETag(s)
				junk, after, _ := strings.Cut(rest, ",")
				if tag != "" && trim(junk) == "" && !yield(tag) {
					return
				}
				s = after
			}
		}
	}
}

// isWeak reports whether a tag says only that two responses are equivalent. A tag without quotes is not trusted to say
// more.
func isWeak(tag string) bool { return tag != "" && tag[0] != '"' }

// sameWeakly is the weak comparison, sameStrongly the strong one (RFC 9110 §8.8.3.2). "" equals nothing.
func sameWeakly(a, b string) bool {
	return a != "" && strings.TrimPrefix(a, "W/") == strings.TrimPrefix(b, "W/")
}

func sameStrongly(a, b string) bool { return a == b && strings.HasPrefix(a, `"`) }
