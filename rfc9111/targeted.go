package rfc9111

import (
	"net/http"
	"time"

	"github.com/dunglas/httpsfv"
)

// CDNCacheControl is the targeted field for caches that work on behalf of the origin (RFC 9213 §3).
const CDNCacheControl = "Cdn-Cache-Control"

// governing returns the directives that a response's header has for a cache that honours the targeted fields of these
// names: those of the first one that is valid and not empty, which stands in place of Cache-Control and of Expires, or
// else those of Cache-Control (RFC 9213 §2.2).
func governing(h http.Header, targets []string) (d directives, targeted bool) {
	for _, name := range targets {
		if lines := h[name]; len(lines) > 0 {
			if d, ok := targetedDirectives(lines); ok {
				return d, true
			}
		}
	}
	return parseDirectives(h["Cache-Control"]), false
}

// targetedDirectives reads a targeted field, a dictionary of directives (RFC 9213 §2.1). It returns false if the field
// is empty or not a dictionary: one fault makes the whole field count as absent. Names are in small letters, the last
// of several with the same name counts, and parameters mean nothing.
//
// A value of another type than the directive's says nothing: a flag is true, a list of fields a string or a token, or
// true for the whole response. A lifetime that is negative or not an integer is 0, as in Cache-Control: a response
// whose lifetime cannot be read is stale (RFC 9111 §4.2.1), rather than left to heuristics.
func targetedDirectives(lines []string) (d directives, ok bool) {
	dict, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil || len(dict.Names()) == 0 {
		return directives{}, false
	}
	for _, name := range dict.Names() {
		m, _ := dict.Get(name)
		item, _ := m.(httpsfv.Item) // zero for an inner list
		if n := d.number(name); n != nil {
			seconds, _ := item.Value.(int64)
			n.set, n.d = true, time.Duration(min(max(0, seconds), int64(maxDelta/time.Second)))*time.Second
			continue
		}
		whole, fields := d.flag(name), d.fields(name)
		switch v := item.Value.(type) {
		case bool:
			if whole != nil {
				*whole = v
			}
		case string:
			narrow(whole, fields, v)
		case httpsfv.Token:
			narrow(whole, fields, string(v))
		}
	}
	return d, true
}
