package model

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// epoch is when every sequence begins.
var epoch = time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)

// origin is a RoundTripper that answers as its pages say, and keeps what it was asked and said.
type origin struct {
	mu    sync.Mutex
	now   time.Time
	pages map[string]*page
	said  int        // how many answers it gave
	log   []exchange // since the last request of a caller
}

// exchange is a request to the origin and its answer.
type exchange struct {
	method, url      string
	sent             http.Header
	sentAt, answered time.Time

	err    error // in place of an answer
	status int
	header http.Header
	body   []byte
	sized  bool // the length of the body is known beforehand
	cut    bool // the body breaks off, at breaksAt

	breaksAt int

	told http.Header // what of header is for the caller alone, where stored parts have gone into it
}

func (o *origin) Now() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.now
}

// takeLog returns what has happened since it was called last.
func (o *origin) takeLog() []exchange {
	o.mu.Lock()
	defer o.mu.Unlock()
	log := o.log
	o.log = nil
	return log
}

var errUnreachable = errors.New("the origin is unreachable")

func (o *origin) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		io.Copy(io.Discard, req.Body)
		req.Body.Close()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.pages[req.URL.Path]
	x := exchange{method: req.Method, url: req.URL.String(), sent: req.Header.Clone(), sentAt: o.now}
	o.now = o.now.Add(p.delay)
	x.answered = o.now
	if p.fault == unreachable {
		x.err = errUnreachable
	} else {
		o.said++
		p.answer(&x, o.said, req.Method, req.Header)
	}
	o.log = append(o.log, x)
	if x.err != nil {
		return nil, x.err
	}
	resp := &http.Response{Status: fmt.Sprint(x.status, " ", http.StatusText(x.status)), StatusCode: x.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: x.header.Clone(), ContentLength: -1, Body: http.NoBody, Request: req}
	if x.sized {
		resp.ContentLength, _ = strconv.ParseInt(x.header.Get("Content-Length"), 10, 64)
	}
	if len(x.body) > 0 {
		resp.Body = &body{rest: x.body}
		if x.cut {
			resp.Body = &body{rest: x.body[:x.breaksAt], end: io.ErrUnexpectedEOF}
		}
	}
	return resp, nil
}

// body is a body that comes a few bytes at a time.
type body struct {
	rest []byte
	end  error // nil: io.EOF
}

func (b *body) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		if b.end != nil {
			return 0, b.end
		}
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), max(16, len(b.rest)/3))], b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *body) Close() error { return nil }

// tag returns the page's entity tag for a variant.
func (p *page) tag(version int, variant string) string {
	switch p.etag {
	case "strong":
		if p.large {
			variant += "-large"
		}
		return fmt.Sprintf(`"%d%s"`, version, variant)
	case "weak":
		return fmt.Sprintf(`W/"%d"`, version)
	}
	return ""
}

func (p *page) lastModified() time.Time {
	return epoch.Add(-10*24*time.Hour + time.Duration(p.version)*time.Hour)
}

func (p *page) format(t time.Time) string {
	t = t.UTC()
	switch p.layout {
	case "":
		return t.Format(http.TimeFormat)
	case time.RFC850:
		return strings.Replace(t.Format(p.layout), "UTC", "GMT", 1)
	}
	return t.Format(p.layout)
}

// variant returns the values of the request's fields that Vary names.
func (p *page) variant(h http.Header) string {
	var b strings.Builder
	for name := range strings.SplitSeq(p.vary, ", ") {
		if v := h.Get(name); v != "" {
			b.WriteString("-" + v)
		}
	}
	return b.String()
}

// answer fills x in with the answer of that number to a request.
func (p *page) answer(x *exchange, number int, method string, sent http.Header) {
	h := http.Header{"X-Answer": {strconv.Itoa(number)}, "X-Secret": {strconv.Itoa(number)}}
	x.header = h
	date := x.answered
	if d, err := time.ParseDuration(p.date); err == nil {
		date = date.Add(d)
	}
	if p.date != "none" {
		h.Set("Date", p.format(date))
	}
	set(h, "Cache-Control", p.control)
	set(h, "Cdn-Cache-Control", p.cdn)
	set(h, "Vary", p.vary)
	set(h, "Age", p.age)
	set(h, "Expires", p.expires)
	if d, err := time.ParseDuration(p.expires); err == nil && p.expires != "0" {
		h.Set("Expires", p.format(date.Add(d)))
	}
	if p.hop {
		h.Set("Connection", "X-Hop, close")
		h.Set("X-Hop", "1")
	}
	if p.cookie {
		h.Set("Set-Cookie", "session="+strconv.Itoa(number))
	}
	variant := p.variant(sent)
	if method != http.MethodGet && method != http.MethodHead {
		x.status = orStatus(p.unsafe)
		set(h, "Location", p.also)
		set(h, "Content-Location", p.content)
		p.fill(x, method, fmt.Sprintf("%s of %s done, answer %d", method, p.path, number))
		return
	}
	x.status = orStatus(p.status)
	set(h, "Etag", p.tag(p.version, variant))
	set(h, "Last-Modified", p.dated)
	if p.dated == "yes" {
		h.Set("Last-Modified", p.format(p.lastModified()))
	}
	asked := sent.Get("If-None-Match") != "" || sent.Get("If-Modified-Since") != ""
	switch {
	case p.fault == always304:
	case p.status != 0 || p.fault == never304 || !asked:
		asked = false
	case p.fault == bare304:
		h.Del("Etag")
		h.Del("Last-Modified")
	case p.fault == other304:
		h.Del("Last-Modified")
		set(h, "Etag", p.tag(p.version-1, variant))
	case p.fault == unknown304:
		h.Set("Etag", `"nothing"`)
	case sent.Get("If-None-Match") != "":
		opaque := func(tag string) string { return strings.TrimPrefix(tag, "W/") }
		asked = false
		for tag := range strings.SplitSeq(sent.Get("If-None-Match"), ", ") {
			asked = asked || opaque(tag) == opaque(h.Get("Etag")) || tag == "*"
		}
	default:
		since, err := http.ParseTime(sent.Get("If-Modified-Since"))
		asked = err == nil && p.dated == "yes" && !p.lastModified().After(since)
	}
	if asked || p.fault == always304 {
		x.status = http.StatusNotModified
		return
	}
	h.Set("Content-Type", "text/plain")
	text := fmt.Sprintf("%s, version %d%s", p.path, p.version, variant)
	if p.etag == "weak" || p.etag == "" && p.dated != "yes" {
		text += fmt.Sprintf(", answer %d", number)
	}
	if x.status != http.StatusOK {
		text += fmt.Sprint(", status ", x.status)
	}
	p.fill(x, method, text)
	if p.ranges && x.status == http.StatusOK && method == http.MethodGet {
		x.partly(p.blind)
	}
}

// partly makes x the part of the body that was asked for; blind: whether If-Range holds or not.
func (x *exchange) partly(blind bool) {
	valid, size := x.sent.Get("If-Range"), len(x.body)
	if blind {
		valid = ""
	}
	if valid != "" && valid != x.header.Get("Last-Modified") && !(isStrong(valid) && valid == x.header.Get("Etag")) {
		return
	}
	switch s, status := spanOf(x.sent.Get("Range"), size); status {
	case http.StatusPartialContent:
		x.status, x.body = status, x.body[s.start:s.end]
		x.header.Set("Content-Range", s.of(size))
		x.breaksAt = len(x.body) / 2
	case http.StatusRequestedRangeNotSatisfiable:
		x.status, x.body, x.sized, x.cut = status, nil, true, false
		x.header.Set("Content-Range", fmt.Sprintf("bytes */%d", size))
	}
	if x.sized {
		x.header.Set("Content-Length", strconv.Itoa(len(x.body)))
	}
}

func (p *page) fill(x *exchange, method, text string) {
	x.body = bytes.Repeat([]byte(text+"\n"), 3)
	if p.large {
		x.body = bytes.Repeat(x.body, 66_000/len(x.body)+1)
	}
	if x.status == http.StatusNoContent {
		x.body, x.sized = nil, true
		return
	}
	x.cut = p.fault == cut && method != http.MethodHead
	x.breaksAt = len(x.body) / 2
	if x.sized = !p.unsized; x.sized {
		x.header.Set("Content-Length", strconv.Itoa(len(x.body)))
	}
	if method == http.MethodHead {
		x.body = nil
	}
}

func orStatus(status int) int {
	if status == 0 {
		return http.StatusOK
	}
	return status
}
