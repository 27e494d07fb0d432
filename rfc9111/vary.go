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

// variesOnUnknown reports whether Vary has a *, or a member that is not a field name, so that nobody knows what the
// response varies on (RFC 9110 §12.5.5).
func variesOnUnknown(respHeader http.Header) bool {
	for m := range members(respHeader["Vary"]) {
		if m == "*" || m != "" && !isToken(m) {
			return true
		}
	}
	return false
}

// varyNames returns the names in Vary, canonical, sorted, each once; "*" alone if the response varies on something
// unknown.
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

// Selecting returns the part of a request that is stored with its response, to match later requests against it: the
// fields that Vary names, each with one normalised value, or with nil if the request does not have it (RFC 9111 §4.1).
// It returns nil if there is no Vary, and false if no request can match (Vary: *).
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

// IsSelecting reports whether Selecting would return what selecting holds, so that many responses may share it. It may
// wrongly return false if Vary names a field twice.
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

// Selects reports whether a request has the same values as the one whose Selecting is given. If only one of them has a
// field, they differ, even if it is empty.
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
