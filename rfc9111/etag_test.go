package rfc9111

import (
	"slices"
	"strings"
	"testing"
)

func TestValidators(t *testing.T) {
	for _, c := range []struct {
		lines []string
		tag   string
		has   bool
	}{
		{nil, "", false},
		{[]string{`ETag: "a"`}, `"a"`, true},
		{[]string{`ETag:  W/"a" `}, `W/"a"`, true},
		{[]string{`ETag: "!~"`}, `"!~"`, true},
		{[]string{"ETag: \"\x7f\""}, "", false},
		{[]string{`ETag: ""`}, `""`, true},
		{[]string{"ETag: a"}, "a", true},
		{[]string{"ETag:  W/a-ü "}, "W/a-ü", true},
		{[]string{"ETag: a b"}, "", false},
		{[]string{"ETag: a\x7f"}, "", false},
		{[]string{"ETag: " + strings.Repeat("a", maxETagBytes)}, strings.Repeat("a", maxETagBytes), true},
		{[]string{"ETag: a,b"}, "", false},
		{[]string{"ETag: *"}, "", false},
		{[]string{"ETag: a", "ETag: a"}, "", false},
		{[]string{"ETag: " + strings.Repeat("a", maxETagBytes+1)}, "", false},
		{[]string{`ETag: w/"a"`}, "", false},
		{[]string{`ETag: "a`}, "", false},
		{[]string{`ETag: "a b"`}, "", false},
		{[]string{`ETag: "a", "b"`}, "", false},
		{[]string{`ETag: "a"`, `ETag: "b"`}, "", false},
		{[]string{"ETag: W/"}, "", false},
		{[]string{`ETag: a"`, "Last-Modified: " + date(0)}, "", true},
		{[]string{"Last-Modified: x"}, "", false},
	} {
		if r := response(200, c.lines...); r.etag != c.tag || r.hasValidator() != c.has {
			t.Errorf("%q: got %q, %v", c.lines, r.etag, r.hasValidator())
		}
	}
}

// The tags of a list are well formed, and are the tags of the list made of them; what stands before a tag does not
// hide it. A response is found unchanged by the condition made from it.
func FuzzETags(f *testing.F) {
	for _, s := range []string{`"a", W/"b"`, `*`, `"a"b, "c"`, `"`, `W/`, `,,"",`, "\"\xff\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tags := slices.Collect(etags([]string{s}))
		for _, tag := range tags {
			if whole, rest := cutETag(tag); whole != tag || rest != "" {
				t.Errorf("%q: %q is no entity tag", s, tag)
			}
		}
		if again := slices.Collect(etags([]string{strings.Join(tags, ", ")})); !slices.Equal(again, tags) {
			t.Errorf("%q: %q, then %q", s, tags, again)
		}
		if more := slices.Collect(etags([]string{s + `, "t"`})); !slices.Equal(more, append(tags, `"t"`)) {
			t.Errorf("%q: %q, with a tag behind it %q", s, tags, more)
		}
		if tag, rest := cutETag(s); tag+rest != s {
			t.Errorf("%q is cut into %q and %q", s, tag, rest)
		}
		r := response(200, "ETag: "+s)
		if r.etag != "" && len(s) < maxETagBytes && !NotModified(Conditions([]*Response{r}, 0), r) {
			t.Errorf("%q has changed", r.etag)
		}
		if isUnquoted(r.etag) && (!isWeak(r.etag) || sameStrongly(r.etag, r.etag) || slices.Contains(tags, r.etag)) {
			t.Errorf("%q is as good as a quoted tag", r.etag)
		}
	})
}
