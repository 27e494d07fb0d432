package rfc9111

import (
	"iter"
	"strings"
)

// trim removes optional white space (RFC 9110 §5.6.3).
func trim(s string) string {
	for s != "" && isSpace(s[0]) {
		s = s[1:]
	}
	for s != "" && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// members yields the members of a list-based field, without the white space around them, empty ones too (RFC
// 9110 §5.6.1). A comma inside a quoted string does not separate. A quote that is never closed does not begin
// a string, and so hides nothing after it.
func members(lines []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range lines {
			if !eachMember(line, yield) {
				return
			}
		}
	}
}

func eachMember(line string, yield func(string) bool) bool {
	start, value := 0, true // value: a quoted string may begin here
	for i := 0; i < len(line); i++ {
		switch c := line[i]; c {
		case ',':
			if !yield(trim(line[start:i])) {
				return false
			}
			start, value = i+1, true
		case '=':
			value = true
		case ' ', '\t':
		case '"':
			if value {
				i += 1 + closingQuote(line[i+1:]) // nothing if it is open to the end: what could begin later would close it
			}
			value = false
		default:
			value = false
		}
	}
	return yield(trim(line[start:]))
}

// closingQuote returns the index of the quote that ends the quoted string whose inside s begins with; -1 if
// there is none.
func closingQuote(s string) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}

// unquote returns the text of a quoted string (RFC 9110 §5.6.4), and anything else as it is.
func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || closingQuote(s[1:]) != len(s)-2 {
		return s
	}
	s = s[1 : len(s)-1]
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			i++ // closingQuote saw that there is one more
		}
		b = append(b, s[i])
	}
	return string(b)
}

// isToken reports whether s is a token (RFC 9110 §5.6.2), as every field name is.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}
