package rfc9111

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/dunglas/httpsfv"
)

// Variation is what a No-Vary-Search field says about the query of a response's URL: in which parts of it another URL
// may differ and still have the same response (draft-ietf-httpbis-no-vary-search, a "URL variation config"). A query is
// read as application/x-www-form-urlencoded, as the URL standard does.
type Variation struct {
	anyOrder bool
	only     bool     // names are the only parameters that count; else those that do not
	names    []string // decoded, sorted, each once
}

// ParseNoVarySearch reads a No-Vary-Search field. It returns false if that says nothing about the query, or is not
// valid: then no two queries are the same.
func ParseNoVarySearch(lines []string) (*Variation, bool) {
	if len(lines) == 0 {
		return nil, false
	}
	d, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil {
		return nil, false
	}
	v := new(Variation)
	if m, ok := d.Get("key-order"); ok {
		item, _ := m.(httpsfv.Item)
		if v.anyOrder, ok = item.Value.(bool); !ok {
			return nil, false
		}
	}
	names, some := d.Get("params")
	if except, ok := d.Get("except"); ok {
		if some {
			return nil, false
		}
		names, some, v.only = except, true, true
	}
	if some {
		list, ok := names.(httpsfv.InnerList)
		if !ok {
			return nil, false
		}
		for _, item := range list.Items {
			name, ok := item.Value.(string)
			if !ok {
				return nil, false
			}
			v.names = append(v.names, formDecode(name))
		}
		slices.Sort(v.names)
		v.names = slices.Compact(v.names)
	}
	if !v.anyOrder && !v.only && len(v.names) == 0 {
		return nil, false
	}
	return v, true
}

// String returns v as a field value. Two Variations that say the same return the same value.
func (v *Variation) String() string {
	var parts []string
	if v.anyOrder {
		parts = append(parts, "key-order")
	}
	if v.only || len(v.names) > 0 {
		b := []byte("params=(")
		if v.only {
			b = []byte("except=(")
		}
		for i, name := range v.names {
			if i > 0 {
				b = append(b, ' ')
			}
			b = append(appendForm(append(b, '"'), name), '"')
		}
		parts = append(parts, string(b)+")")
	}
	return strings.Join(parts, ", ")
}

// Canonical returns a query, without its question mark, in a form that is equal for queries that v takes for the same,
// and for no others.
func (v *Variation) Canonical(query string) string {
	var pairs [][2]string
	for part := range strings.SplitSeq(query, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name = formDecode(name)
		if _, named := slices.BinarySearch(v.names, name); named == v.only {
			pairs = append(pairs, [2]string{name, formDecode(value)})
		}
	}
	if v.anyOrder {
		slices.SortStableFunc(pairs, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	}
	var b []byte
	for i, p := range pairs {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(appendForm(b, p[0]), '=')
		b = appendForm(b, p[1])
	}
	return string(b)
}

// formDecode decodes a name or value: + is a space, a % that begins no escape stands for itself, and invalid UTF-8
// becomes U+FFFD.
func formDecode(s string) string {
	if strings.IndexByte(s, '+') < 0 && strings.IndexByte(s, '%') < 0 && utf8.ValidString(s) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+':
			b = append(b, ' ')
		case c == '%' && i+2 < len(s) && hexDigit(s[i+1]) >= 0 && hexDigit(s[i+2]) >= 0:
			b = append(b, byte(hexDigit(s[i+1])<<4|hexDigit(s[i+2])))
			i += 2
		default:
			b = append(b, c)
		}
	}
	return validUTF8(b)
}

// validUTF8 replaces each longest beginning of a character that does not go on by U+FFFD, as the encoding standard
// does.
func validUTF8(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	out := make([]byte, 0, len(b)+8)
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError {
			n = begun(b)
		}
		out = utf8.AppendRune(out, r)
		b = b[n:]
	}
	return string(out)
}

// begun returns how many bytes of b could be the beginning of one character of more than two bytes; at least 1.
func begun(b []byte) int {
	var low, high byte = 0x80, 0xBF // of the second byte
	var more int
	switch c := b[0]; {
	case 0xE0 <= c && c <= 0xEF:
		more = 2
		switch c {
		case 0xE0:
			low = 0xA0
		case 0xED:
			high = 0x9F
		}
	case 0xF0 <= c && c <= 0xF4:
		more = 3
		switch c {
		case 0xF0:
			low = 0x90
		case 0xF4:
			high = 0x8F
		}
	}
	n := 1
	for ; n <= more && n < len(b) && low <= b[n] && b[n] <= high; n++ {
		low, high = 0x80, 0xBF
	}
	return n
}

func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// appendForm escapes all of s but unreserved characters.
func appendForm(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~' {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return b
}
