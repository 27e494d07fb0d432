package rfc9111

import (
	"slices"
	"strings"
)

// preference is a member of Accept, Accept-Charset, Accept-Encoding or Accept-Language.
type preference struct {
	value  string // in small letters, but for the values of parameters
	weight int    // in thousandths
}

const maxPreferences = 64 // or parameters of one, beyond which a field is left as it is, to bound the work

// preferences returns a list of preferences in its normal form (RFC 9110 §12.5): without white space, empty members and
// repetitions, in small letters, the weights as short as can be, the heaviest first. Those of one weight are sorted,
// except in Accept: there the standard, too, gives order no meaning, yet servers that can send several equal types send
// the first that is named. Languages are sorted though some servers do the same with them, since that cannot be relied
// upon (§12.5.4). It returns false if the list is not well formed: that is so if a value has two weights, or a
// parameter is quoted or comes after the weight.
func preferences(name string, lines []string) (string, bool) {
	media := name == "Accept"
	var array [16]preference
	list, size := array[:0], 0
	for _, line := range lines {
		for more := true; more; {
			var m string
			m, line, more = cut(line, ',') // a quoted string, which may hide a comma, is not taken anyway
			if m = trim(m); m == "" {
				continue
			}
			p, ok := parsePreference(m, media)
			if !ok {
				return "", false
			}
			if i := slices.IndexFunc(list, func(q preference) bool { return q.value == p.value }); i >= 0 {
				if list[i].weight != p.weight {
					return "", false
				}
				continue
			}
			if len(list) == maxPreferences {
				return "", false
			}
			list = append(list, p)
			size += len(p.value) + len(";q=0.000,")
		}
	}
	slices.SortStableFunc(list, func(a, b preference) int {
		switch {
		case a.weight != b.weight:
			return b.weight - a.weight
		case media:
			return 0
		}
		return strings.Compare(a.value, b.value)
	})
	out := make([]byte, 0, size)
	for i, p := range list {
		if i > 0 {
			out = append(out, ',')
		}
		out = p.append(out)
	}
	return string(out), true
}

// cut is strings.Cut at a byte, which is found faster.
func cut(s string, at byte) (before, after string, found bool) {
	if i := strings.IndexByte(s, at); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// parsePreference reads a member; media says that it is a range of media types, with their parameters.
func parsePreference(m string, media bool) (p preference, ok bool) {
	value, rest, more := cut(m, ';')
	value = trim(value)
	name := value
	if media {
		main, sub, _ := cut(value, '/')
		if name = sub; !isToken(main) {
			return p, false
		}
	}
	if !isToken(name) {
		return p, false
	}
	p = preference{strings.ToLower(value), 1000}
	for n := 0; more; n++ {
		if n == maxPreferences {
			return p, false
		}
		var param string
		param, rest, more = cut(rest, ';')
		name, arg, _ := cut(trim(param), '=')
		switch {
		case !isToken(name) || !isToken(arg):
			return p, false
		case name == "q" || name == "Q":
			p.weight, ok = qvalue(arg)
			return p, ok && !more
		case !media:
			return p, false
		}
		p.value += ";" + strings.ToLower(name) + "=" + arg
	}
	return p, true
}

// qvalue reads a token as a weight, in thousandths (RFC 9110 §12.4.2).
func qvalue(s string) (int, bool) {
	if len(s) > len("0.000") || s[0] != '0' && s[0] != '1' || len(s) > 1 && s[1] != '.' {
		return 0, false
	}
	n, unit := int(s[0]-'0')*1000, 100
	for i := 2; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n += int(s[i]-'0') * unit
		unit /= 10
	}
	return n, n <= 1000
}

func (p preference) append(b []byte) []byte {
	b = append(b, p.value...)
	if p.weight == 1000 {
		return b
	}
	b = append(b, ";q=0"...)
	for rest, unit := p.weight, 100; rest > 0; rest, unit = rest%unit, unit/10 {
		if unit == 100 {
			b = append(b, '.')
		}
		b = append(b, byte('0'+rest/unit))
	}
	return b
}
