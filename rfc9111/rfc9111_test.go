package rfc9111

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// t0 is when the responses of these tests are received; their requests were sent at the same moment.
var t0 = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// date returns the HTTP-date so long after t0.
func date(after time.Duration) string { return t0.Add(after).Format(http.TimeFormat) }

// fields makes a header of lines such as "Age: 3".
func fields(lines ...string) http.Header {
	h := http.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		h.Add(name, strings.TrimPrefix(value, " "))
	}
	return h
}

func response(status int, lines ...string) *Response {
	return Parse(Response{Status: status, Header: fields(lines...), Requested: t0, Received: t0})
}

func request(lines ...string) *Request { return &Request{Header: fields(lines...)} }

func TestEveryReasonHasASentenceAndASection(t *testing.T) {
	same := map[string]Reason{}
	for r := Fresh; r <= NothingToReuseBy; r++ {
		if other, ok := same[r.String()]; ok {
			t.Errorf("reasons %d and %d are both %q", other, r, r)
		}
		same[r.String()] = r
		if r.String() == "" || !strings.HasPrefix(r.Section(), "RFC ") {
			t.Errorf("reason %d: %q, %q", r, r.String(), r.Section())
		}
		if s := r.String(); s != "" && (strings.HasSuffix(s, ".") || s[0] >= 'A' && s[0] <= 'Z' && !strings.HasPrefix(s, "Vary")) {
			t.Errorf("reason %d is not a lower-case phrase: %q", r, s)
		}
	}
	for _, r := range []Reason{0, NothingToReuseBy + 1, 255} {
		if r.String() != "" || r.Section() != "" {
			t.Errorf("reason %d: %q, %q, want nothing", r, r.String(), r.Section())
		}
	}
}
