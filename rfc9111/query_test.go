package rfc9111

import "testing"

func TestNoTransform(t *testing.T) {
	for _, c := range []struct {
		lines []string
		want  bool
	}{
		{nil, false},
		{[]string{"Cache-Control: no-transform"}, true},
		{[]string{"Cache-Control: max-age=0, No-Transform"}, true},
		{[]string{"Cache-Control: max-age=0", "Cache-Control: no-transform"}, true},
		{[]string{"Cache-Control: no-transform=1"}, true},
		{[]string{`Cache-Control: x="no-transform"`}, false},
		{[]string{"Cache-Control: no-transforms"}, false},
		{[]string{"Pragma: no-transform"}, false},
	} {
		if got := NoTransform(fields(c.lines...)); got != c.want {
			t.Errorf("%q: got %v", c.lines, got)
		}
	}
}
