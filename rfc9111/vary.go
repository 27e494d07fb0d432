package rfc9111

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// maxVary is how many names there may be in Vary. Each is kept, and compared by every request, for each variant.
const maxVary = 100

// variesTooMuch reports whether Vary has more names than that.
func variesTooMuch(respHeader http.Header) bool {
	n := 0
	for range members(respHeader["Vary"]) {
		if n++; n > maxVary {
			return true
		}
	}
	return false
}

// variesOnUnknown reports whether Vary has a *, or a member that is no field name: nobody can tell what that varies on
// (RFC 9110 §12.5.5).
func variesOnUnknown(respHeader http.Header) bool {
	for m := range members(respHeader["Vary"]) {
		if m == "*" || m != "" && !isToken(m) {
			return true
		}
	}
	return false
}

// varyNames returns the names in Vary, canonical, sorted, each once; "*" alone if it varies on what is not known.
func varyNames(respHeader http.Header) []string {
	if variesOnUnknown(respHeader) {
		return []string{"*"}
	}
	var names []string
	for m := range members(respHeader["Vary"]) {
		if m != "" {
			names = append(names, textproto.CanonicalMIMEHeaderKey(m))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Selecting returns what of a request is stored with its response, to match later requests against it: the
// fields that Vary names, each with one normalised value, or nil if the request does not have it (RFC 9111
// §4.1). It is nil if there is no Vary. The result is false if no request can match (Vary: *).
func Selecting(respHeader, reqHeader http.Header) (http.Header, bool) {
	names := varyNames(respHeader)
	if len(names) == 0 {
		return nil, true
	}
	if names[0] == "*" {
		return nil, false
	}
	selecting := make(http.Header, len(names))
	for _, name := range names {
		if lines := reqHeader[name]; len(lines) > 0 {
			selecting[name] = []string{normal(name, lines)}
		} else {
			selecting[name] = nil
		}
	}
	return selecting, true
}

// IsSelecting reports whether Selecting returns what selecting holds, for it to be shared by the many responses of
// which that is so. It may say no where it does, if Vary names a field twice.
func IsSelecting(selecting, respHeader, reqHeader http.Header) bool {
	names := 0
	for m := range members(respHeader["Vary"]) {
		if m == "" {
			continue
		}
		if _, ok := selecting[textproto.CanonicalMIMEHeaderKey(m)]; !ok {
			return false
		}
		names++
	}
	return names == len(selecting) && Selects(selecting, reqHeader)
}

// Selects reports whether a request has the same values as the one whose Selecting is given. A field that one
// has and the other has not is a difference, even if it is empty.
func Selects(selecting, reqHeader http.Header) bool {
	for name, want := range selecting {
		got := reqHeader[name]
		if (len(want) > 0) != (len(got) > 0) {
			return false
		}
		if len(want) == 0 || len(got) == 1 && got[0] == want[0] {
			continue
		}
		if normal(name, got) != want[0] {
			return false
		}
	}
	return true
}

// normal returns a request field's value in the form in which values that mean the same are the same, as far
// as the field's specification lets any cache know (RFC 9111 §4.1): lines are combined and optional white
// space around commas goes; fields of preferences are written as preferences has it. What of those is not well formed
// means whatever its reader thinks, and stays as it is.
func normal(name string, lines []string) string {
	switch name {
	case "Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language":
		if s, ok := preferences(name, lines); ok {
			return s
		}
	}
	return strings.Join(slices.Collect(members(lines)), ",")
}
