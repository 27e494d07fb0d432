package rfc9111

import (
	"net/http"

	"github.com/dunglas/httpsfv"
)

// Groups returns the members of a Cache-Groups field, each once: the groups of its origin that a response belongs to
// (RFC 9875 §2). There are none in a field that is not a list of strings.
func Groups(lines []string) []string {
	if len(lines) == 0 {
		return nil
	}
	list, err := httpsfv.UnmarshalList(lines)
	if err != nil {
		return nil
	}
	var names []string
	seen := make(map[string]bool, len(list))
	for _, m := range list {
		item, _ := m.(httpsfv.Item) // zero for an inner list
		name, ok := item.Value.(string)
		if !ok {
			return nil
		}
		if !seen[name] {
			seen[name], names = true, append(names, name)
		}
	}
	return names
}

// InvalidatedGroups returns the groups whose members the response to req makes invalid, of the same origin: those that
// Cache-Group-Invalidation lists, whatever the status, unless the method is safe (RFC 9875 §3).
func InvalidatedGroups(req *Request, respHeader http.Header) []string {
	if safe(req.Method) {
		return nil
	}
	return Groups(respHeader["Cache-Group-Invalidation"])
}
