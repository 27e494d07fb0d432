package rfc9111

import (
	"fmt"
	"net/http"
	"net/url"
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

// A header may be as long as a transport lets it be, 10 MB in net/http. What takes the square of that would take hours.
func TestLongHeaders(t *testing.T) {
	const many = 50_000
	var groups, locations []string
	connection := http.Header{"Connection": {strings.Repeat("A,", 4*many)}}
	for i := range many {
		groups = append(groups, fmt.Sprintf("%q", fmt.Sprint(i)))
		locations = append(locations, fmt.Sprint("/", i))
		if i < many/5 {
			connection[fmt.Sprint("B", i)] = []string{"1"}
		}
	}
	post := &Request{Method: "POST", URL: &url.URL{Scheme: "http", Host: "example.com", Path: "/"}}
	for what, read := range map[string]func(){
		"Connection, stored":    func() { Policy{}.StoredHeader(connection) },
		"Connection, freshened": func() { Policy{}.Freshen(connection, connection) },
		"Connection, withheld":  func() { Policy{}.Withheld(http.Header{}, connection) },
		"Cache-Groups":          func() { Groups([]string{strings.Join(groups, ", ")}) },
		"Location": func() {
			if urls := Invalidates(post, 201, http.Header{"Location": locations}); len(urls) != 1+maxLocations {
				t.Errorf("Location names %d URLs", len(urls)-1)
			}
		},
	} {
		begun := time.Now()
		if read(); time.Since(begun) > 5*time.Second {
			t.Errorf("%s took %v", what, time.Since(begun))
		}
	}
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
