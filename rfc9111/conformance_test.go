package rfc9111

import (
	"testing"
	"time"
)

func TestTheLocalTimeZoneDoesNotMatter(t *testing.T) {
	local := time.Local
	defer func() { time.Local = local }()
	for _, hours := range []int{-11, 0, 14} {
		time.Local = time.FixedZone("GMT", hours*3600)
		for _, expires := range []string{"Sun, 01 Mar 2026 13:00:00 GMT", "Sunday, 01-Mar-26 13:00:00 GMT", "Sun Mar  1 13:00:00 2026"} {
			r := Parse(Response{Status: 200, Header: fields("Date: "+date(0), "Expires: "+expires), Requested: t0.Local(), Received: t0.Local()})
			if life, age := (Policy{}).Lifetime(r), r.Age(t0.Add(minute).Local()); life != hour || age != minute {
				t.Errorf("%d hours from Greenwich, %s: lifetime %v, age %v", hours, expires, life, age)
			}
		}
	}
}

func TestImmutableTakesNoArgument(t *testing.T) {
	for _, cc := range []string{"immutable", "immutable=0", `immutable="no"`, "immutable, immutable", "IMMUTABLE"} {
		r := response(200, "Cache-Control: max-age=60, "+cc)
		if v := (Policy{}).Reuse(request("Cache-Control: max-age=0"), []*Response{r}, t0.Add(time.Second)); v.Action != Serve {
			t.Errorf("%s: got %v: %v, want that it is served to a reload", cc, v.Action, v.Reason)
		}
	}
	r := response(200, "Cache-Control: max-age=60")
	if v := (Policy{}).Reuse(request("Cache-Control: immutable, max-age=0"), []*Response{r}, t0.Add(time.Second)); v.Action == Serve {
		t.Errorf("immutable in a request: got %v: %v", v.Action, v.Reason)
	}
}
