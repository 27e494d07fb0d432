package har

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/larder-go/larder/internal/view"
	"github.com/larder-go/larder/store"
)

// entries reads all of a HAR, and what ended it, unless that was its end.
func entries(r io.Reader) (all []*Entry, err error) {
	in := NewReader(r)
	for {
		e, err := in.Next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, e)
	}
}

const minimal = `{"startedDateTime":"2026-01-02T03:04:05.678Z","time":12.5,"request":{"method":"GET","url":"http://a/"},"response":{"status":200}}`

func TestReader(t *testing.T) {
	for _, test := range []struct {
		name, har string
		entries   int
		want      string // of the error; "": none
	}{
		{"minimal", `{"log":{"entries":[` + minimal + `]}}`, 1, ""},
		{"with a byte order mark", "\ufeff" + `{"log":{"entries":[]}}`, 0, ""},
		{"with all sorts of other members", `{"a":[1,{"entries":[{}]}],"log":{"pages":[{"log":{}}],"entries":[` + minimal + "\n,\n" + minimal + `],"browser":null},"b":"}"}`, 2, ""},
		{"with what import does not read", `{"log":{"entries":[{"request":{"cookies":"none","queryString":[1]},"cache":[],"response":{"cookies":{"expires":3}}}]}}`, 1, ""},
		{"with null for this and that", `{"log":{"entries":[{"time":null,"request":null,"response":{"bodySize":null,"content":null}}]}}`, 1, ""},
		{"empty", "", 0, "there is nothing in it"},
		{"white space", "\n\n", 0, "there is nothing in it"},
		{"no JSON", "<html>", 0, "about line 1: invalid character '<' looking for beginning of value"},
		{"a list", "[]", 0, "about line 1: the document is not an object"},
		{"no log", `{"a":1}`, 0, "about line 1: there is no log.entries in it"},
		{"log is a string", `{"log":"x"}`, 0, "about line 1: log is not an object"},
		{"entries is null", `{"log":{"entries":null}}`, 0, "about line 1: log.entries is not a list"},
		{"cut off in an entry", "{\"log\":{\"entries\":[\n" + minimal + ",\n" + minimal[:50], 1, "entry 2, about line 3: the document ends in the middle"},
		{"cut off between entries", "{\"log\":{\"entries\":[\n" + minimal + ",\n", 1, "the document ends in the middle"},
		{"cut off behind the entries", `{"log":{"entries":[` + minimal + `]`, 1, "about line 1: the document ends in the middle"},
		{"no comma between entries", "{\"log\":{\"entries\":[\n" + minimal + "\n" + minimal + "]}}", 1, "after array element"},
		{"an entry that is a number", `{"log":{"entries":[1]}}`, 0, "entry 1, about line 1: the entry: want an object, not number"},
		{"a status in words", `{"log":{"entries":[{"response":{"status":"OK"}}]}}`, 0, "entry 1, about line 1: response.status: want a whole number, not string"},
		{"headers as an object", `{"log":{"entries":[{"request":{"headers":{"A":"b"}}}]}}`, 0, "request.headers: want a list, not object"},
		{"something behind it", `{"log":{"entries":[]}} {`, 0, "there is something after the end of the document"},
		{"deep", `{"a":` + strings.Repeat("[", 20_000), 0, "exceeded max depth"},
	} {
		got, err := entries(strings.NewReader(test.har))
		if len(got) != test.entries || test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %d entries, %v; want %d, %s", test.name, len(got), err, test.entries, test.want)
		}
	}
}

// endless is a HAR with an entry that never ends.
type endless struct{ begun bool }

func (e *endless) Read(p []byte) (int, error) {
	if !e.begun {
		e.begun = true
		return copy(p, `{"log":{"entries":[{"comment":"`), nil
	}
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestReaderIsBounded(t *testing.T) {
	in := NewReader(new(endless))
	in.max = 1 << 20
	if _, err := in.Next(); !errors.Is(err, errTooLong) {
		t.Errorf("of an entry without end it says %v", err)
	}
	if len := cap(must(io.ReadAll(in.dec.Buffered()))); len > 4<<20 {
		t.Errorf("%d bytes of it are held", len)
	}
}

// entry returns a GET of http://a/ with its response. Fields are "Name: value" in lines.
func entry(request, response string, status int, content Content) *Entry {
	pairs := func(lines string) (all []Pair) {
		for line := range strings.Lines(lines) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			all = append(all, Pair{name, strings.ReplaceAll(value, "|", "\n")})
		}
		return all
	}
	return &Entry{StartedDateTime: "2026-01-02T03:04:05.678+01:00", Time: 30, Timings: Timings{Receive: 10},
		Request:  Request{Method: "GET", URL: "http://a/?q#f", HTTPVersion: "h2", Headers: pairs(request)},
		Response: Response{Status: status, HTTPVersion: "h2", Headers: pairs(response), BodySize: -1, Content: content}}
}

func text(s string) Content { return Content{Size: int64(len(s)), Text: s} }

func inBase64(s string) Content {
	return Content{Size: int64(len(s)), Text: base64.StdEncoding.EncodeToString([]byte(s)), Encoding: "base64"}
}

// played is what is stored of an entry, or why nothing is.
func played(e *Entry) string {
	x, err := e.Exchange(view.Unpacker)
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	if x.Request.Host != x.Request.URL.Host {
		fmt.Fprintf(&b, "Host=%s ", x.Request.Host)
	}
	for _, name := range slices.Sorted(maps.Keys(x.Request.Header)) {
		fmt.Fprintf(&b, "%s=%s ", name, strings.Join(x.Request.Header[name], ";"))
	}
	fmt.Fprint(&b, x.Response.StatusCode)
	for _, name := range slices.Sorted(maps.Keys(x.Response.Header)) {
		fmt.Fprintf(&b, " %s=%s", name, strings.Join(x.Response.Header[name], ";"))
	}
	if int(x.Response.ContentLength) != len(x.Body) {
		fmt.Fprintf(&b, " length %d", x.Response.ContentLength)
	}
	return fmt.Sprintf("%s %q", &b, x.Body)
}

// TestExchangeOfOthers is about entries as browsers and proxies write them.
func TestExchangeOfOthers(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	io.WriteString(z, "line")
	z.Close()
	zip := packed.String()
	head := entry("", "content-length: 30\ncontent-encoding: gzip", 200, Content{})
	head.Request.Method = "HEAD"
	post := entry("", "", 200, text(""))
	post.Request.Method = "POST"
	socket := entry("", "", 101, text(""))
	socket.Request.URL = "wss://a/"
	timeless := entry("", "", 200, text(""))
	timeless.StartedDateTime = "yesterday"
	for _, test := range []struct {
		name  string
		entry *Entry
		want  string
	}{
		{"pseudo fields", entry(":authority: a\n:path: /\naccept: x", "content-length: 4", 200, text("line")), `Accept=x 200 "line"`},
		{"several values in one", entry("", "set-cookie: a=1|b=2", 200, text("")), `200 Set-Cookie=a=1;b=2 ""`},
		{"base64", entry("", "content-length: 2", 200, inBase64("\xff\x00")), `200 "\xff\x00"`},
		{"content without its coding", entry("accept-encoding: gzip", "content-encoding: gzip\ncontent-length: 28\nvary: x", 200, text("line")), `200 Vary=x "line"`},
		{"content without a coding that is not known", entry("accept-encoding: br", "content-encoding: br", 200, text("line")), `200 "line"`},
		{"content that has its coding still", entry("accept-encoding: gzip", fmt.Sprint("content-encoding: gzip\ncontent-length: ", len(zip)), 200, inBase64(zip)),
			fmt.Sprintf("Accept-Encoding=gzip 200 Content-Encoding=gzip %q", zip)},
		{"a packed file that was packed once more", entry("accept-encoding: gzip", "content-encoding: gzip\ncontent-length: 99", 200, inBase64(zip)), fmt.Sprintf("200 %q", zip)},
		{"text in another charset", entry("", "content-type: text/html; charset=ISO-8859-1\ncontent-length: 4", 200, text("café")),
			`200 Content-Type=text/html; charset=utf-8 "café"`},
		{"text in another charset that was packed", entry("", "content-type: text/html; charset=big5\ncontent-encoding: gzip\ncontent-digest: x\ncontent-length: 9", 200, text("é")),
			`200 Content-Type=text/html; charset=utf-8 "é"`},
		{"conditions and a range", entry("if-none-match: \"x\"\nif-modified-since: y\nrange: bytes=0-1\nif-range: z", "", 200, text("line")), `200 "line"`},
		{"a part", entry("range: bytes=1-2", "content-range: bytes 1-2/4", 206, text("in")), `Range=bytes=1-2 206 Content-Range=bytes 1-2/4 "in"`},
		{"a redirect, whose content browsers drop", entry("", "location: /x\ncontent-length: 154", 302, text("")), `302 Location=/x ""`},
		{"another host", entry("Host: b", "", 200, text("")), `Host=b 200 ""`},
		{"a HEAD", head, `200 Content-Encoding=gzip Content-Length=30 length 30 ""`},
		{"content that is not there", entry("", "", 200, Content{Size: 3}), string(noContent)},
		{"content that is not there, as Content-Length says", entry("", "content-length: 3", 200, Content{}), string(noContent)},
		{"content that is not whole", entry("", "content-length: 30", 200, text("line")), string(otherLength)},
		{"a part whose coding was undone", entry("", "content-encoding: gzip\ncontent-length: 30\ncontent-range: bytes 1-2/4", 206, text("line")), string(otherLength)},
		{"no base64", entry("", "", 200, Content{Size: 3, Text: "???", Encoding: "base64"}), string(notBase64)},
		{"a 204 with content", entry("", "content-length: 4", 204, text("line")), `204 ""`},
		{"a status beyond any", entry("", "", 1000, text("")), string(noResponse)},
		{"a request that was blocked", entry("", "", 0, text("")), string(noResponse)},
		{"a name with a blank", entry("a b: c", "", 200, text("")), string(wrongField)},
		{"a control character", entry("", "a: b\x00", 200, text("")), string(wrongField)},
		{"a POST", post, `its method is "POST", want GET or HEAD`},
		{"a WebSocket", socket, string(notHTTP)},
		{"no time", timeless, string(noTime)},
	} {
		if got := played(test.entry); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestTimes(t *testing.T) {
	for _, test := range []struct {
		started       string
		time, receive float64
		want          string // of the request, and how long the head took
	}{
		{"2026-01-02T03:04:05.678+01:00", 30, 10, "2026-01-02T02:04:05.678Z 20ms"},
		{"2026-01-02T03:04:05Z", 0.000001, -1, "2026-01-02T03:04:05Z 1ns"},
		{"2026-01-02T03:04:05+0100", 5, 50, "2026-01-02T02:04:05Z 0s"},
		{"2026-01-02T03:04:05.123456789Z", 1e300, 0, "2026-01-02T03:04:05.123456789Z 24h0m0s"},
		{"1969-12-31T23:59:59Z", 0, 0, string(noTime)},
		{"", 0, 0, string(noTime)},
	} {
		e := &Entry{StartedDateTime: test.started, Time: test.time, Timings: Timings{Receive: test.receive}}
		x := new(Exchange)
		got := fmt.Sprint(x.times(e))
		if got == "<nil>" {
			got = fmt.Sprint(x.Requested.Format(time.RFC3339Nano), " ", x.Received.Sub(x.Requested))
		}
		if got != test.want {
			t.Errorf("started %q in %v ms, of which %v for the body: %s, want %s", test.started, test.time, test.receive, got, test.want)
		}
	}
}

// sourceOf returns what Writer is to write of a content.
func sourceOf(text string, encoding string) source {
	if text == "" {
		return nil
	}
	return func() (io.Reader, error) {
		if encoding != "" {
			return base64.NewDecoder(base64.StdEncoding, strings.NewReader(text)), nil
		}
		return iotest.HalfReader(strings.NewReader(text)), nil
	}
}

// FuzzHAR reads anything as a HAR. What can be read can be written, and read again as the same.
func FuzzHAR(f *testing.F) {
	f.Add([]byte(`{"log":{"version":"1.2","entries":[` + minimal + `]}}`))
	var b bytes.Buffer
	w := NewWriter(&b, "larder", "1")
	for _, e := range []*Entry{entry("accept: x", "content-encoding: gzip", 200, text("line \"é\U0001f600\"\n")), entry("", "a: b|c", 404, inBase64("\xff"))} {
		e.Larder = &Larder{ID: "1", Tags: []string{"a"}, TTL: "1h0m0s", Length: -1, Trailers: []Pair{{"A", "b"}}, Latin1: true}
		if err := w.write(e, sourceOf(e.Response.Content.Text, e.Response.Content.Encoding), nil); err != nil {
			f.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		all, _ := entries(bytes.NewReader(data))
		var b bytes.Buffer
		w := NewWriter(&b, "larder", "1")
		var want []*Entry
		for _, e := range all {
			x, err := e.Exchange(view.Unpacker)
			if err == nil && (x.Received.Before(x.Requested) || x.Request.URL.Host == "" || x.Response.Header == nil) {
				t.Errorf("played is %+v", x)
			}
			content := &e.Response.Content
			if _, err := base64.StdEncoding.DecodeString(content.Text); content.Encoding != "" && err != nil {
				continue
			}
			content.Stored = ""
			if content.Encoding != "" {
				content.Text = base64.StdEncoding.EncodeToString(must(base64.StdEncoding.DecodeString(content.Text)))
			}
			want = append(want, e)
			if err := w.write(e, sourceOf(content.Text, content.Encoding), nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := entries(&b)
		if err != nil || len(got) != len(want) {
			t.Fatalf("written are %d entries, and read %d, %v", len(want), len(got), err)
		}
		for i, e := range got {
			g, w := must(json.Marshal(e)), must(json.Marshal(want[i]))
			if !bytes.Equal(g, w) {
				t.Errorf("read is\n%s\nwant\n%s", g, w)
			}
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// flaky is a body whose first reading fails in the middle.
type flaky struct {
	io.ReadSeeker
	reads int
}

var errFlaky = errors.New("the store has gone away")

func (f *flaky) Read(p []byte) (int, error) {
	if f.reads++; f.reads == 2 {
		return 0, errFlaky
	}
	return f.ReadSeeker.Read(p[:min(len(p), 10)])
}

// TestPrepareTellsOfTheBody shows that a body which cannot be read is not taken for one whose coding cannot be undone.
func TestPrepareTellsOfTheBody(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	io.WriteString(z, "line")
	z.Close()
	for _, coding := range []string{"", "gzip", "br"} {
		r := &store.Record{Size: int64(packed.Len())}
		r.Header = http.Header{"Content-Encoding": {coding}}
		if _, err := Prepare(r, &flaky{ReadSeeker: bytes.NewReader(packed.Bytes())}, view.Unpacker); !errors.Is(err, errFlaky) {
			t.Errorf("of a body in %q that cannot be read it says %v", coding, err)
		}
	}
}

// TestBombsStayPacked shows that what would be too long for the reader of an entry is not unpacked, in either direction.
func TestBombsStayPacked(t *testing.T) {
	var bomb bytes.Buffer
	z := must(gzip.NewWriterLevel(&bomb, gzip.BestSpeed))
	for range maxEntry>>20 + 2 {
		must(z.Write(make([]byte, 1<<20)))
	}
	z.Close()
	unpacked := int64(0)
	unpack := func(coding string, body io.Reader) (io.Reader, error) {
		r, err := view.Unpacker(coding, body)
		return io.TeeReader(r, counted{&unpacked}), err
	}
	r := &store.Record{Size: int64(bomb.Len())}
	r.URL, r.Method, r.Status, r.Length = "http://a/", "GET", 200, r.Size
	r.Requested, r.Received = time.Unix(1, 0), time.Unix(1, 0)
	r.Header = http.Header{"Content-Encoding": {"gzip"}}
	var out bytes.Buffer
	w := NewWriter(&out, "test", "1")
	if err := w.Record(must(Prepare(r, bytes.NewReader(bomb.Bytes()), unpack))); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if out.Len() > 2*bomb.Len()+2000 {
		t.Errorf("a body of %d bytes is written as %d", bomb.Len(), out.Len())
	}
	ours := must(entries(&out))
	theirs := entry("accept-encoding: gzip", "content-encoding: gzip", 200, inBase64(bomb.String()))
	for _, e := range append(ours, theirs) {
		x := must(e.Exchange(unpack))
		if !bytes.Equal(x.Body, bomb.Bytes()) || x.Response.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("read are %d bytes in %q, want %d in gzip", len(x.Body), x.Response.Header["Content-Encoding"], bomb.Len())
		}
	}
	if most := int64(2*maxEntry + 1<<20); unpacked > most {
		t.Errorf("%d bytes were unpacked, want %d at most", unpacked, most)
	}
}

// counted counts what is written to it.
type counted struct{ n *int64 }

func (c counted) Write(p []byte) (int, error) {
	*c.n += int64(len(p))
	return len(p), nil
}
