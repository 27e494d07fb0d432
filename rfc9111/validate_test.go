package rfc9111

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func responses(headers ...string) []*Response {
	var out []*Response
	for _, h := range headers {
		out = append(out, response(200, strings.Split(h, "\n")...))
	}
	return out
}

func TestConditions(t *testing.T) {
	modified := "Last-Modified: " + date(-hour)
	for _, c := range []struct {
		name     string
		stored   []*Response
		selected int
		want     []string
	}{
		{"nothing to validate by", responses("A: 1"), 0, nil},
		{"a tag", responses(`ETag: "a"`), 0, []string{`If-None-Match: "a"`}},
		{"a weak tag", responses(`ETag: W/"a"`), 0, []string{`If-None-Match: W/"a"`}},
		{"a date", responses(modified), 0, []string{"If-Modified-Since: " + date(-hour)}},
		{"a date as it was written", responses("Last-Modified: Sunday, 06-Nov-94 08:49:37 GMT"), 0, []string{"If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT"}},
		{"an invalid date", responses("Last-Modified: x"), 0, nil},
		{"both", responses(`ETag: "a"` + "\n" + modified), 0, []string{`If-None-Match: "a"`, "If-Modified-Since: " + date(-hour)}},
		{"the tags of all, the selected first", responses(`ETag: "a"`, `ETag: "b"`, `ETag: "a"`, "A: 1"), 1, []string{`If-None-Match: "b", "a"`}},
		{"a date and the tags of others", responses(modified, `ETag: "b"`), 0, []string{"If-Modified-Since: " + date(-hour)}},
		{"the tags of others alone", responses("A: 1", `ETag: "b"`), 0, []string{`If-None-Match: "b"`}},
		{"the date of another is not asked for", responses(`ETag: "a"`, modified), 0, []string{`If-None-Match: "a"`}},
		{"a tag without quotes is sent back so, alone", responses("ETag: a", `ETag: "b"`), 0, []string{"If-None-Match: a"}},
		{"a tag without quotes and a date", responses("ETag: a\n" + modified), 0, []string{"If-Modified-Since: " + date(-hour)}},
		{"a tag without quotes of another", responses(`ETag: "b"`, "ETag: a"), 0, []string{`If-None-Match: "b"`}},
		{"none selected", responses(`ETag: "a"`, `ETag: "b"`+"\n"+modified), -1, []string{`If-None-Match: "a", "b"`}},
		{"nothing stored", nil, -1, nil},
	} {
		if got := Conditions(c.stored, c.selected); !reflect.DeepEqual(got, fields(c.want...)) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestConditionsAreBounded(t *testing.T) {
	for _, pad := range []int{0, 1000} {
		var stored []*Response
		for i := range 100 {
			stored = append(stored, response(200, fmt.Sprintf(`ETag: "%d%s"`, i, strings.Repeat("x", pad))))
		}
		got := Conditions(stored, 99)["If-None-Match"][0]
		if n := strings.Count(got, ",") + 1; n > maxETags || len(got) > maxETagBytes+2*maxETags || n < 4 {
			t.Errorf("tags of %d bytes: %d of them, %d bytes", pad, n, len(got))
		}
		if !strings.HasPrefix(got, `"99`) {
			t.Errorf("the selected tag is not first: %.10s", got)
		}
	}
}

func TestFreshens(t *testing.T) {
	modified, later := "Last-Modified: "+date(-hour), "Last-Modified: "+date(0)
	for _, c := range []struct {
		name     string
		said     []string
		stored   []*Response
		selected int
		want     []int
	}{
		{"the strong tag", []string{`ETag: "a"`}, responses(`ETag: "a"`), 0, []int{0}},
		{"all with the strong tag", []string{`ETag: "a"`}, responses(`ETag: "a"`, `ETag: "b"`, `ETag: "a"`), 1, []int{0, 2}},
		{"an unknown strong tag", []string{`ETag: "c"`}, responses(`ETag: "a"`, `ETag: "b"`), 0, nil},
		{"an unknown strong tag and a known date", []string{`ETag: "c"`, modified}, responses(modified), 0, nil},
		{"the weak tag", []string{`ETag: W/"a"`}, responses(`ETag: W/"a"`), 0, []int{0}},
		{"the weak tag of the selected one, older than another", []string{`ETag: W/"a"`}, responses(`ETag: W/"a"`+"\nDate: "+date(-hour), `ETag: W/"a"`), 0, []int{0}},
		{"the weak tag of a stored strong one", []string{`ETag: W/"a"`}, responses(`ETag: "a"`), 0, []int{0}},
		{"the selected of several with the weak tag", []string{`ETag: W/"a"`}, responses(`ETag: W/"a"`, `ETag: W/"a"`, `ETag: W/"a"`), 1, []int{1}},
		{"the most recent with the weak tag", []string{`ETag: W/"a"`}, responses(`ETag: "b"`, `ETag: W/"a"`, `ETag: W/"a"`+"\nDate: "+date(hour), `ETag: W/"a"`), 0, []int{2}},
		{"an unknown weak tag", []string{`ETag: W/"c"`}, responses(`ETag: W/"a"`), 0, nil},
		{"a strong tag that is stored as weak", []string{`ETag: "a"`}, responses(`ETag: W/"b"`, `ETag: W/"a"`), 1, []int{1}},
		{"a strong tag that is stored as weak, first of two", []string{`ETag: "a"`}, responses(`ETag: W/"a"`, `ETag: W/"b"`), 0, []int{0}},
		{"the most recent comes first", []string{`ETag: W/"a"`}, responses(`ETag: W/"a"`+"\nDate: "+date(hour), `ETag: W/"a"`), -1, []int{0}},
		{"the same of another than the selected", []string{`ETag: "a"`}, responses(`ETag: W/"b"`, `ETag: W/"a"`), 0, nil},
		{"a strong match before a weak one", []string{`ETag: "a"`}, responses(`ETag: W/"a"`, `ETag: "a"`), 0, []int{1}},
		{"the date", []string{modified}, responses(modified), 0, []int{0}},
		{"the date in another form", []string{"Last-Modified: Sunday, 06-Nov-94 08:49:37 GMT"}, responses("Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"), 0, []int{0}},
		{"another date", []string{later}, responses(modified), 0, nil},
		{"the selected of several with the date", []string{modified}, responses(modified, modified, modified), 1, []int{1}},
		{"the most recent with the date", []string{modified}, responses(later, modified, modified+"\nDate: "+date(hour), modified), 0, []int{2}},
		{"a tag counts before the date", []string{`ETag: W/"a"`, modified}, responses(modified, `ETag: "a"`), 0, []int{1}},
		{"a malformed tag is none", []string{`ETag: "a`, modified}, responses(modified), 0, []int{0}},
		{"a tag without quotes", []string{"ETag: a"}, responses("ETag: b", "ETag: a"), 1, []int{1}},
		{"a tag without quotes of one validated by date", []string{"ETag: a", modified}, responses("ETag: a\n" + modified), 0, []int{0}},
		{"another tag without quotes", []string{"ETag: a"}, responses("ETag: b"), 0, nil},
		{"quotes make another tag", []string{"ETag: a"}, responses(`ETag: "a"`), 0, nil},
		{"no quotes make another tag", []string{`ETag: "a"`}, responses("ETag: a"), 0, nil},
		{"no validator, asked by a tag without quotes alone", nil, responses("ETag: a", `ETag: "b"`, "ETag: c"), 0, []int{0}},
		{"no validator, tags without quotes were not asked for", nil, responses(`ETag: "b"`, "ETag: c"), 0, []int{0}},
		{"no validator, one stored", nil, responses(`ETag: "a"`), 0, []int{0}},
		{"no validator, one stored without any", nil, responses("A: 1"), 0, []int{0}},
		{"no validator, one of equals", nil, responses(`ETag: "a"`, `ETag: "a"`, "A: 1"), 1, []int{1}},
		{"no validator, another could be meant", nil, responses(`ETag: "a"`, `ETag: "b"`), 0, nil},
		{"no validator, asked by tag and date", nil, responses(`ETag: "a"`+"\n"+modified, `ETag: "b"`), 0, nil},
		{"no validator, asked by date alone", nil, responses(modified, `ETag: "b"`), 0, []int{0}},
		{"no validator, asked by another's tag", nil, responses("A: 1", `ETag: "b"`), 0, nil},
		{"no validator, none selected", nil, responses(`ETag: "a"`), -1, nil},
		{"a tag, none selected", []string{`ETag: "a"`}, responses(`ETag: "a"`), -1, []int{0}},
		{"nothing stored", []string{`ETag: "a"`}, nil, -1, nil},
	} {
		if got := Freshens(response(304, c.said...), c.stored, c.selected); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestAHeadIsNotValidatedForAGet(t *testing.T) {
	get := response(200, `ETag: W/"a"`, "Last-Modified: "+date(-hour))
	head := Parse(Response{Method: "HEAD", Status: 200, Header: fields(`ETag: "a"`, "Last-Modified: "+date(-hour)), Received: t0.Add(minute)})
	stored := []*Response{head, get}
	for _, c := range []struct {
		name     string
		said     []string
		selected int
		tags     string
		want     []int
	}{
		{"the HEAD's tag", []string{`ETag: "a"`}, 1, `W/"a"`, []int{1}},
		{"the weak tag of both", []string{`ETag: W/"a"`}, 1, `W/"a"`, []int{1}},
		{"the date of both", []string{"Last-Modified: " + date(-hour)}, 1, `W/"a"`, []int{1}},
		{"no validator, the HEAD was not asked about", nil, 1, `W/"a"`, []int{1}},
		{"a HEAD may be answered from either", []string{`ETag: "a"`}, 0, `"a", W/"a"`, []int{0}},
		{"so it may where the weak tag is named", []string{`ETag: W/"a"`}, 0, `"a", W/"a"`, []int{0}},
	} {
		if got := Conditions(stored, c.selected).Get("If-None-Match"); got != c.tags {
			t.Errorf("%s: asked with %s, want %s", c.name, got, c.tags)
		}
		if got := Freshens(response(304, c.said...), stored, c.selected); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestByHead(t *testing.T) {
	modified, later := "Last-Modified: "+date(-hour), "Last-Modified: "+date(0)
	for _, c := range []struct {
		name         string
		stored, head []string
		status       int
		want         HeadEffect
	}{
		{"nothing to compare", nil, nil, 200, HeadFreshens},
		{"the same tag", []string{`ETag: "a"`}, []string{`ETag: "a"`}, 200, HeadFreshens},
		{"the same tag, weak", []string{`ETag: W/"a"`}, []string{`ETag: "a"`}, 200, HeadFreshens},
		{"another tag", []string{`ETag: "a"`}, []string{`ETag: "b"`}, 200, HeadInvalidates},
		{"a tag that was not stored", nil, []string{`ETag: "b"`}, 200, HeadInvalidates},
		{"a malformed tag that was not stored", nil, []string{`ETag: "a`}, 200, HeadInvalidates},
		{"a malformed tag", []string{`ETag: "a"`}, []string{`ETag: "a`}, 200, HeadInvalidates},
		{"the same tag without quotes", []string{"ETag: a"}, []string{"ETag: a"}, 200, HeadFreshens},
		{"another tag without quotes", []string{`ETag: "a"`}, []string{"ETag: a"}, 200, HeadInvalidates},
		{"a date that was not stored", nil, []string{modified}, 200, HeadInvalidates},
		{"no date now", []string{modified}, nil, 200, HeadFreshens},
		{"no tag now", []string{`ETag: "a"`}, nil, 200, HeadFreshens},
		{"the same date", []string{modified}, []string{modified}, 200, HeadFreshens},
		{"another date", []string{modified}, []string{later}, 200, HeadInvalidates},
		{"an invalid date", nil, []string{"Last-Modified: x"}, 200, HeadInvalidates},
		{"the same tag, another date", []string{`ETag: "a"`, modified}, []string{`ETag: "a"`, later}, 200, HeadInvalidates},
		{"the same length", []string{"Content-Length: 9"}, []string{"Content-Length: 9"}, 200, HeadFreshens},
		{"another length", []string{"Content-Length: 9"}, []string{"Content-Length: 8"}, 200, HeadInvalidates},
		{"the same tag, another length", []string{`ETag: "a"`, "Content-Length: 9"}, []string{`ETag: "a"`, "Content-Length: 8"}, 200, HeadInvalidates},
		{"a length that was not stored", nil, []string{"Content-Length: 8"}, 200, HeadInvalidates},
		{"the same date, a length that was not stored", []string{modified}, []string{modified, "Content-Length: 8"}, 200, HeadFreshens},
		{"no length now", []string{"Content-Length: 9"}, nil, 200, HeadFreshens},
		{"the same tag, a length that was not stored", []string{`ETag: "a"`}, []string{`ETag: "a"`, "Content-Length: 8"}, 200, HeadFreshens},
		{"gone", []string{`ETag: "a"`}, []string{`ETag: "b"`}, 410, HeadNothing},
		{"not modified", []string{`ETag: "a"`}, []string{`ETag: "a"`}, 304, HeadNothing},
	} {
		head := Parse(Response{Method: "HEAD", Status: c.status, Header: fields(c.head...), Received: t0})
		if got := ByHead(response(200, c.stored...), head); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
	head := Parse(Response{Method: "HEAD", Status: 200, Header: fields(`ETag: "b"`)})
	for _, stored := range []Response{{Method: "POST", Status: 200}, {Method: "HEAD", Status: 200}, {Status: 404}} {
		if got := ByHead(Parse(stored), head); got != HeadNothing {
			t.Errorf("a stored %q with status %d: got %v, want nothing", stored.Method, stored.Status, got)
		}
	}
	if got := ByHead(response(200), response(200, `ETag: "b"`)); got != HeadNothing {
		t.Errorf("the response to a GET: got %v, want nothing", got)
	}
}

func TestNotModified(t *testing.T) {
	modified := "Last-Modified: " + date(-hour)
	for _, c := range []struct {
		name   string
		req    []string
		status int
		stored []string
		want   bool
	}{
		{"no conditions", nil, 200, []string{`ETag: "a"`}, false},
		{"the tag", []string{`If-None-Match: "a"`}, 200, []string{`ETag: "a"`}, true},
		{"a weak tag", []string{`If-None-Match: W/"a"`}, 200, []string{`ETag: "a"`}, true},
		{"a stored weak tag", []string{`If-None-Match: "a"`}, 200, []string{`ETag: W/"a"`}, true},
		{"another tag", []string{`If-None-Match: "b"`}, 200, []string{`ETag: "a"`}, false},
		{"the second of three", []string{`If-None-Match: "x", "a", "y"`}, 200, []string{`ETag: "a"`}, true},
		{"the last of three", []string{`If-None-Match: "x","y" , "a"`}, 200, []string{`ETag: "a"`}, true},
		{"on the second line", []string{`If-None-Match: "x"`, `If-None-Match: "a"`}, 200, []string{`ETag: "a"`}, true},
		{"a tag with a comma", []string{`If-None-Match: "x, y", "a,b"`}, 200, []string{`ETag: "a,b"`}, true},
		{"a tag with a backslash", []string{`If-None-Match: "a\", "b"`}, 200, []string{`ETag: "b"`}, true},
		{"a tag beyond ASCII", []string{"If-None-Match: \"\xfc\""}, 200, []string{"ETag: \"\xfc\""}, true},
		{"the empty tag", []string{`If-None-Match: ""`}, 200, []string{`ETag: ""`}, true},
		{"the case of a tag", []string{`If-None-Match: "A"`}, 200, []string{`ETag: "a"`}, false},
		{"a tag without quotes", []string{"If-None-Match: a"}, 200, []string{`ETag: "a"`}, false},
		{"a stored tag without quotes", []string{"If-None-Match: a"}, 200, []string{"ETag: a"}, true},
		{"a stored tag without quotes, in a list", []string{`If-None-Match: "b", a`}, 200, []string{"ETag: a"}, true},
		{"quotes that the stored tag lacks", []string{`If-None-Match: "a"`}, 200, []string{"ETag: a"}, false},
		{"a part of a stored tag without quotes", []string{"If-None-Match: a b"}, 200, []string{"ETag: a"}, false},
		{"a tag behind garbage", []string{`If-None-Match: a b, "a"`}, 200, []string{`ETag: "a"`}, true},
		{"a tag that runs into garbage", []string{`If-None-Match: "a"b`}, 200, []string{`ETag: "a"`}, false},
		{"a tag that is not stored", []string{`If-None-Match: "a"`}, 200, nil, false},
		{"any", []string{"If-None-Match: *"}, 200, nil, true},
		{"any on the first of two lines", []string{"If-None-Match: *", `If-None-Match: "b"`}, 200, []string{`ETag: "a"`}, false},
		{"any, of a 404", []string{"If-None-Match: *"}, 404, nil, false},
		{"nothing", []string{"If-None-Match:"}, 200, []string{`ETag: "a"`}, false},
		{"two stored tags are none", []string{`If-None-Match: "a"`}, 200, []string{`ETag: "a"`, `ETag: "b"`}, false},

		{"not modified since", []string{"If-Modified-Since: " + date(-hour)}, 200, []string{modified}, true},
		{"not modified since a later moment", []string{"If-Modified-Since: " + date(0)}, 200, []string{modified}, true},
		{"modified since", []string{"If-Modified-Since: " + date(-2*hour)}, 200, []string{modified}, false},
		{"the date in another form", []string{"If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT"}, 200, []string{"Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"}, true},
		{"an invalid Last-Modified counts as none", []string{"If-Modified-Since: " + date(0)}, 200, []string{"Last-Modified: x", "Date: " + date(-hour)}, true},
		{"an invalid date", []string{"If-Modified-Since: x"}, 200, []string{modified}, false},
		{"two dates", []string{"If-Modified-Since: " + date(0), "If-Modified-Since: " + date(0)}, 200, []string{modified}, false},
		{"Date stands in for Last-Modified", []string{"If-Modified-Since: " + date(-hour)}, 200, []string{"Date: " + date(-hour)}, true},
		{"Date is later", []string{"If-Modified-Since: " + date(-hour)}, 200, []string{"Date: " + date(0)}, false},
		{"the arrival stands in for Date", []string{"If-Modified-Since: " + date(0)}, 200, nil, true},
		{"of a 404", []string{"If-Modified-Since: " + date(0)}, 404, []string{modified}, false},

		{"the tag beats the date", []string{`If-None-Match: "a"`, "If-Modified-Since: " + date(-2*hour)}, 200, []string{`ETag: "a"`, modified}, true},
		{"the date does not beat the tag", []string{`If-None-Match: "b"`, "If-Modified-Since: " + date(0)}, 200, []string{`ETag: "a"`, modified}, false},
		{"an empty If-None-Match beats the date too", []string{"If-None-Match:", "If-Modified-Since: " + date(0)}, 200, []string{modified}, false},
		{"any among others is no list", []string{`If-None-Match: *, "b"`}, 200, []string{`ETag: "a"`}, false},
		{"If-Unmodified-Since is not for caches", []string{"If-Unmodified-Since: " + date(-2*hour)}, 200, []string{modified}, false},
		{"If-Match is not for caches", []string{`If-Match: "b"`}, 200, []string{`ETag: "a"`}, false},
	} {
		if got := NotModified(fields(c.req...), response(c.status, c.stored...)); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}
