package model

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// step is one thing that happens in a sequence; exactly one of its fields is set.
type step struct {
	wait    time.Duration
	page    *page
	request *request
}

// page is how the origin answers for a path from then on. What is zero says nothing in the response.
type page struct {
	path    string
	version int
	status  int    // of GET and HEAD; 0: 200
	unsafe  int    // the status of other methods; 0: 200
	etag    string // strong, or weak and then the same for every variant
	dated   string // Last-Modified: "yes", and the version decides, or what is sent as it is
	control string // Cache-Control; a | begins another line
	cdn     string // CDN-Cache-Control
	expires string // Expires: a duration from Date, or what is sent as it is
	age     string
	date    string // Date: a duration from now, "none", or "": now
	vary    string
	unsized bool   // no Content-Length
	large   bool   // more than fits into a record, or comes at once
	layout  string // of dates: that of http.TimeFormat, if it is ""
	hop     bool   // Connection lists a field
	cookie  bool   // Set-Cookie
	also    string // Location in answers to unsafe methods
	content string // Content-Location in these
	ranges  bool   // it heeds Range
	blind   bool   // and does not look at If-Range
	delay   time.Duration
	fault   fault
}

// fault is how an origin misbehaves, or is merely unhelpful.
type fault string

const (
	unreachable fault = "unreachable"      // no answer
	cut         fault = "cut"              // the body breaks off
	never304    fault = "never 304"        // conditions are not looked at
	always304   fault = "304 to everybody" // whether asked or not
	bare304     fault = "304 to conditions, without validators"
	other304    fault = "304 to conditions, with the ETag of the version before"
	unknown304  fault = "304 to conditions, with an ETag of nothing"
)

// request is what a caller sends.
type request struct {
	method, path string
	control      string // Cache-Control; a | begins another line
	pragma       bool   // Pragma: no-cache
	user         string // Authorization
	lang, size   string // X-Lang, X-Size
	noneMatch    string // If-None-Match
	since        string // If-Modified-Since
	ranges       string // Range
	ifRange      string // If-Range
	early        bool   // the body is closed before it is read
}

func (s step) String() string {
	switch {
	case s.page != nil:
		return s.page.String()
	case s.request != nil:
		return s.request.String()
	}
	return fmt.Sprintf("wait %v", s.wait)
}

func (p *page) String() string {
	b := new(strings.Builder)
	fmt.Fprintf(b, "%s is now version %d", p.path, p.version)
	say := func(is bool, format string, a ...any) {
		if is {
			fmt.Fprintf(b, "; "+format, a...)
		}
	}
	say(p.status != 0, "%d", p.status)
	say(p.unsafe != 0, "%d to unsafe methods", p.unsafe)
	say(p.etag != "", "%s ETag", p.etag)
	say(p.dated != "", "Last-Modified: %s", p.dated)
	say(p.control != "", "Cache-Control: %s", p.control)
	say(p.cdn != "", "CDN-Cache-Control: %s", p.cdn)
	say(p.expires != "", "Expires: %s", p.expires)
	say(p.age != "", "Age: %s", p.age)
	say(p.date != "", "Date: %s", p.date)
	say(p.vary != "", "Vary: %s", p.vary)
	say(p.unsized, "without Content-Length")
	say(p.large, "large")
	say(p.layout != "", "dates as in %s", p.layout)
	say(p.hop, "Connection: X-Hop")
	say(p.cookie, "Set-Cookie")
	say(p.also != "", "Location of unsafe methods: %s", p.also)
	say(p.content != "", "Content-Location of unsafe methods: %s", p.content)
	say(p.ranges && !p.blind, "with ranges")
	say(p.ranges && p.blind, "with ranges, whatever If-Range says")
	say(p.delay != 0, "takes %v", p.delay)
	say(p.fault != "", "%s", p.fault)
	return b.String()
}

func (q *request) String() string {
	b := new(strings.Builder)
	fmt.Fprintf(b, "%s %s", q.method, q.path)
	for _, name := range requestFields {
		for _, v := range q.header()[name] {
			fmt.Fprintf(b, "  %s: %s", name, v)
		}
	}
	if q.early {
		b.WriteString("  (closed unread)")
	}
	return b.String()
}

var requestFields = []string{"Cache-Control", "Pragma", "Authorization", "X-Lang", "X-Size",
	"If-None-Match", "If-Modified-Since", "Range", "If-Range"}

func (q *request) header() http.Header {
	h := http.Header{}
	set(h, "Cache-Control", q.control)
	if q.pragma {
		h.Set("Pragma", "no-cache")
	}
	set(h, "Authorization", q.user)
	set(h, "X-Lang", q.lang)
	set(h, "X-Size", q.size)
	set(h, "If-None-Match", q.noneMatch)
	set(h, "If-Modified-Since", q.since)
	set(h, "Range", q.ranges)
	set(h, "If-Range", q.ifRange)
	return h
}

// set sets a field that is not empty; a | begins another line.
func set(h http.Header, name, value string) {
	if value != "" {
		h[http.CanonicalHeaderKey(name)] = strings.Split(value, "|")
	}
}
