package rfc9111

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	minute = time.Minute
	hour   = time.Hour
	day    = 24 * time.Hour
	week   = 7 * day
)

func TestLifetime(t *testing.T) {
	now := "Date: " + date(0)
	for _, c := range []struct {
		name            string
		status          int
		lines           []string
		private, shared time.Duration
	}{
		{"nothing said", 200, []string{now}, 0, 0},
		{"max-age", 200, []string{"Cache-Control: max-age=60"}, minute, minute},
		{"s-maxage is for shared caches", 200, []string{"Cache-Control: max-age=60, s-maxage=3600"}, minute, hour},
		{"s-maxage=0", 200, []string{"Cache-Control: max-age=60, s-maxage=0"}, minute, 0},
		{"s-maxage alone", 200, []string{"Cache-Control: s-maxage=60"}, 0, minute},
		{"an invalid s-maxage", 200, []string{"Cache-Control: max-age=60, s-maxage=x"}, minute, 0},
		{"Expires", 200, []string{now, "Expires: " + date(hour)}, hour, hour},
		{"Expires counts from Date", 200, []string{"Date: " + date(-minute), "Expires: " + date(hour)}, hour + minute, hour + minute},
		{"Expires without Date counts from arrival", 200, []string{"Expires: " + date(hour)}, hour, hour},
		{"Expires with an invalid Date counts from arrival", 200, []string{"Date: now", "Expires: " + date(hour)}, hour, hour},
		{"Expires before a Date that is ahead", 200, []string{"Date: " + date(400*time.Second), "Expires: " + date(300*time.Second)}, 0, 0},
		{"Expires in the past", 200, []string{now, "Expires: " + date(-hour)}, 0, 0},
		{"Expires far ahead", 200, []string{now, "Expires: Fri, 31 Dec 9999 23:59:59 GMT"}, maxDelta, maxDelta},
		{"the first of two Expires", 200, []string{now, "Expires: " + date(hour), "Expires: " + date(0)}, hour, hour},
		{"max-age beats Expires", 200, []string{now, "Cache-Control: max-age=60", "Expires: " + date(-hour)}, minute, minute},
		{"max-age=0 beats Expires", 200, []string{now, "Cache-Control: max-age=0", "Expires: " + date(hour)}, 0, 0},
		{"an invalid max-age beats Expires", 200, []string{now, "Cache-Control: max-age=x", "Expires: " + date(hour)}, 0, 0},
		{"a tenth of the time since Last-Modified", 200, []string{now, "Last-Modified: " + date(-10*hour)}, hour, hour},
		{"a tenth counts from Date", 200, []string{"Date: " + date(-hour), "Last-Modified: " + date(-11*hour)}, hour, hour},
		{"a tenth in whole seconds", 200, []string{now, "Last-Modified: " + date(-39*time.Second)}, 3 * time.Second, 3 * time.Second},
		{"nothing of less than ten seconds", 200, []string{now, "Last-Modified: " + date(-9*time.Second)}, 0, 0},
		{"at most a week", 200, []string{now, "Last-Modified: " + date(-1000*day)}, week, week},
		{"Last-Modified ahead of Date", 200, []string{now, "Last-Modified: " + date(hour)}, 0, 0},
		{"an invalid Last-Modified", 200, []string{now, "Last-Modified: yesterday"}, 0, 0},
		{"no heuristic for 302", 302, []string{now, "Last-Modified: " + date(-10*hour)}, 0, 0},
		{"a heuristic for a public 302", 302, []string{now, "Last-Modified: " + date(-10*hour), "Cache-Control: public"}, hour, hour},
		{"a heuristic for 404", 404, []string{now, "Last-Modified: " + date(-10*hour)}, hour, hour},
		{"no heuristic beside max-age=0", 200, []string{now, "Last-Modified: " + date(-10*hour), "Cache-Control: max-age=0"}, 0, 0},
		{"no heuristic beside Expires: 0", 200, []string{now, "Last-Modified: " + date(-10*hour), "Expires: 0"}, 0, 0},
		{"no heuristic beside an empty Expires", 200, []string{now, "Last-Modified: " + date(-10*hour), "Expires: "}, 0, 0},
		{"no heuristic beside s-maxage in a shared cache", 200, []string{now, "Last-Modified: " + date(-10*hour), "Cache-Control: s-maxage=0"}, hour, 0},
		{"Pragma of a response says nothing", 200, []string{"Pragma: no-cache", "Cache-Control: max-age=60"}, minute, minute},
		{"fields for other caches say nothing", 200, []string{"CDN-Cache-Control: max-age=60", "Surrogate-Control: max-age=60"}, 0, 0},
	} {
		r := response(c.status, c.lines...)
		if got := (Policy{}).Lifetime(r); got != c.private {
			t.Errorf("%s: private: got %v, want %v", c.name, got, c.private)
		}
		if got := (Policy{Shared: true}).Lifetime(r); got != c.shared {
			t.Errorf("%s: shared: got %v, want %v", c.name, got, c.shared)
		}
	}
}

func TestAge(t *testing.T) {
	for _, c := range []struct {
		name  string
		delay time.Duration // between request and response
		after time.Duration // since the response
		lines []string
		want  time.Duration
	}{
		{"on arrival", 0, 0, nil, 0},
		{"in the cache", 0, minute, nil, minute},
		{"Date in the past", 0, minute, []string{"Date: " + date(-hour)}, hour + minute},
		{"Date ahead", 0, minute, []string{"Date: " + date(hour)}, minute},
		{"Age", 0, minute, []string{"Age: 60"}, 2 * minute},
		{"the older of Date and Age", 0, 0, []string{"Date: " + date(-hour), "Age: 60"}, hour},
		{"the delay counts with Age", 5 * time.Second, 0, []string{"Age: 60"}, 65 * time.Second},
		{"the delay counts without Age", 5 * time.Second, 0, nil, 5 * time.Second},
		{"the delay does not count with Date", 5 * time.Second, 0, []string{"Date: " + date(-minute)}, minute},
		{"a delay below zero", -time.Hour, 0, nil, 0},
		{"the largest Age", 0, 0, []string{"Age: 99999999999"}, maxDelta},
		{"the largest Age and a delay", minute, 0, []string{"Age: 99999999999"}, maxDelta},
		{"a clock that was set back", 0, -hour, nil, hour},
		{"the end of time", 0, math.MaxInt64, []string{"Age: 60"}, math.MaxInt64},
	} {
		r := Parse(Response{Status: 200, Header: fields(c.lines...), Requested: t0.Add(-c.delay), Received: t0})
		if got := r.Age(t0.Add(c.after)); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
	if got := Parse(Response{Received: t0}).Age(t0); got != 0 {
		t.Errorf("the request's time is not known: got %v, want 0", got)
	}
	if got := Parse(Response{}).Age(t0); got <= 0 {
		t.Errorf("no time is known: got %v, want the oldest", got)
	}
}

func TestFreshAndUsableUntil(t *testing.T) {
	never := time.Duration(-1)
	for _, c := range []struct {
		name          string
		p             Policy
		r             Response
		fresh, usable time.Duration // after t0
	}{
		{"max-age", Policy{}, Response{Header: fields("Cache-Control: max-age=60")}, minute, minute},
		{"the age on arrival counts", Policy{}, Response{Header: fields("Cache-Control: max-age=60", "Age: 20")}, 40 * time.Second, 40 * time.Second},
		{"stale on arrival", Policy{}, Response{Header: fields("Cache-Control: max-age=60", "Age: 90")}, -30 * time.Second, -30 * time.Second},
		{"a stale window", Policy{}, Response{Header: fields("Cache-Control: max-age=60, stale-if-error=60")}, minute, 2 * minute},
		{"the longer stale window", Policy{}, Response{Header: fields("Cache-Control: max-age=60, stale-while-revalidate=3540, stale-if-error=60")}, minute, hour},
		{"no window beside must-revalidate", Policy{}, Response{Header: fields("Cache-Control: max-age=60, must-revalidate, stale-if-error=60")}, minute, minute},
		{"a window beside proxy-revalidate", Policy{}, Response{Header: fields("Cache-Control: max-age=60, proxy-revalidate, stale-if-error=60")}, minute, 2 * minute},
		{"none in a shared cache", Policy{Shared: true}, Response{Header: fields("Cache-Control: max-age=60, proxy-revalidate, stale-if-error=60")}, minute, minute},
		{"none beside s-maxage", Policy{Shared: true}, Response{Header: fields("Cache-Control: s-maxage=60, stale-if-error=60")}, minute, minute},
		{"the user's window", Policy{}, Response{Header: fields("Cache-Control: max-age=60, stale-if-error=60"), StaleIfError: 59 * minute}, minute, hour},
		{"TTL", Policy{}, Response{Header: fields("Cache-Control: no-store, must-revalidate"), TTL: hour}, hour, hour},
		{"TTL counts from arrival", Policy{}, Response{Header: fields("Age: 9999", "Date: "+date(-day)), TTL: hour}, hour, hour},
		{"TTL and a window", Policy{}, Response{Header: fields("Cache-Control: no-cache"), TTL: hour, StaleIfError: hour}, hour, 2 * hour},
		{"forever", Policy{}, Response{TTL: forever}, never, never},
		{"almost forever", Policy{}, Response{Header: fields("Age: 60"), TTL: forever - 1}, never, never},
		{"a TTL below zero", Policy{}, Response{TTL: -hour}, 0, 0},
	} {
		c.r.Status, c.r.Requested, c.r.Received = 200, t0, t0
		r := Parse(c.r)
		at := func(d time.Duration) time.Time {
			if d == never {
				return time.Time{}
			}
			return t0.Add(d)
		}
		if got := c.p.FreshUntil(r); !got.Equal(at(c.fresh)) {
			t.Errorf("%s: fresh until %v, want %v", c.name, got, at(c.fresh))
		}
		if got := c.p.UsableUntil(r); !got.Equal(at(c.usable)) {
			t.Errorf("%s: usable until %v, want %v", c.name, got, at(c.usable))
		}
	}
}

func TestAgeField(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  time.Duration
	}{
		{"none", nil, 0},
		{"a number", []string{"7200"}, 7200 * time.Second},
		{"the first member counts", []string{"7200, 0"}, 7200 * time.Second},
		{"the first member counts, also if it is less", []string{"0, 7200"}, 0},
		{"the first line counts", []string{"7200", "0"}, 7200 * time.Second},
		{"a parameter is passed over", []string{"7200;foo=bar"}, 7200 * time.Second},
		{"words are ignored", []string{"abc"}, 0},
		{"a number with a suffix is ignored", []string{"7200s"}, 0},
		{"a fraction is ignored", []string{"7200.0"}, 0},
		{"a negative number is ignored", []string{"-7200"}, 0},
		{"an empty line is ignored", []string{""}, 0},
		{"an empty member is none", []string{", 7200"}, 7200 * time.Second},
		{"nor is an empty line", []string{"", "7200"}, 7200 * time.Second},
		{"too large a number", []string{"99999999999"}, maxDelta},
	} {
		if got := age(http.Header{"Age": c.lines}); got != c.want {
			t.Errorf("%s: %q: got %v, want %v", c.name, c.lines, got, c.want)
		}
	}
}

// An Age is a number, whatever follows in the list, or nothing.
func FuzzAgeField(f *testing.F) {
	for _, s := range []string{"0", "7200", "7200;a", " 1 ,", "-1", "99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := age(http.Header{"Age": {s}})
		if got < 0 || got > maxDelta {
			t.Errorf("%q: %v", s, got)
		}
		empty := strings.Trim(s, ", \t") == ""
		if more := age(http.Header{"Age": {s + ", 1", "2"}}); more != got && !empty {
			t.Errorf("%q: got %v, and %v with more behind it", s, got, more)
		}
		if again := age(http.Header{"Age": {strconv.FormatInt(int64(got/time.Second), 10)}}); again != got {
			t.Errorf("%q: got %v, and then %v", s, got, again)
		}
	})
}
