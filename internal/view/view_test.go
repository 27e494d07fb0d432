package view

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/larder-go/larder/rfc9111"
	"github.com/larder-go/larder/store"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func record(header ...string) *store.Record {
	r := new(store.Record)
	r.Method, r.URL, r.Status, r.Header = "GET", "https://example.com/a", 200, make(http.Header)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	r.Requested, r.Received = noon, noon
	return r
}

func packed(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, s)
	z.Close()
	return b.String()
}

func TestPreview(t *testing.T) {
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 12, 7))); err != nil {
		t.Fatal(err)
	}
	drawn := picture.String()
	for _, c := range []struct {
		name     string
		header   []string
		body     string
		kind     Kind
		data     string
		whole    bool
		unpacked bool
	}{
		{"nothing", nil, "", Empty, "", true, false},
		{"JSON", []string{"Content-Type", "application/problem+json; charset=utf-8"}, `{"a":1}`, JSON, `{"a":1}`, true, false},
		{"JSON without a type", nil, ` {"a":[1`, JSON, ` {"a":[1`, true, false},
		{"markup", []string{"Content-Type", "text/html"}, "<p>", Markup, "<p>", true, false},
		{"a drawing is markup", []string{"Content-Type", "image/svg+xml"}, "<svg/>", Markup, "<svg/>", true, false},
		{"text", []string{"Content-Type", "text/css"}, "a{}", Text, "a{}", true, false},
		{"an image", []string{"Content-Type", "image/png"}, drawn, Image, drawn, true, false},
		{"bytes", []string{"Content-Type", "application/octet-stream"}, "\x00\x01", Binary, "\x00\x01", true, false},
		{"longer than is looked at", []string{"Content-Type", "text/plain"}, strings.Repeat("x", 101), Text, strings.Repeat("x", 100), false, false},
		{"packed", []string{"Content-Type", "text/plain", "Content-Encoding", "gzip"}, packed("hello"), Text, "hello", true, true},
		{"a bomb", []string{"Content-Type", "text/plain", "Content-Encoding", "gzip"}, packed(strings.Repeat("0", 1<<20)), Text, strings.Repeat("0", 100), false, true},
		{"packed as nobody can here", []string{"Content-Type", "text/plain", "Content-Encoding", "br"}, "xyz", Binary, "xyz", true, false},
		{"not packed at all", []string{"Content-Type", "text/plain", "Content-Encoding", "gzip"}, "plain", Binary, "plain", true, false},
	} {
		r := record(c.header...)
		r.Size = int64(len(c.body))
		p, err := NewPreview(r, strings.NewReader(c.body), 100)
		if err != nil || p.Kind != c.kind || string(p.Data) != c.data || p.Whole != c.whole || p.Unpacked != c.unpacked {
			t.Errorf("%s: %+v, %v", c.name, p, err)
		}
		if c.kind == Image && (p.Format != "png" || p.Width != 12 || p.Height != 7) {
			t.Errorf("%s: %s of %d by %d", c.name, p.Format, p.Width, p.Height)
		}
	}
	part := record("Content-Type", "text/plain", "Content-Range", "bytes 5-9/100")
	part.Status = http.StatusPartialContent
	if p, err := NewPreview(part, strings.NewReader("world"), 100); p.Kind != Part || p.Range != "bytes 5-9/100" || err != nil {
		t.Errorf("a part: %+v, %v", p, err)
	}
	fault := errors.New("damaged")
	if p, err := NewPreview(record("Content-Type", "text/plain"), io.MultiReader(strings.NewReader("be"), iotest.ErrReader(fault)), 100); !errors.Is(err, fault) || string(p.Data) != "be" || p.Whole {
		t.Errorf("a fault: %+v, %v", p, err)
	}
}

func TestIndentJSON(t *testing.T) {
	for in, want := range map[string]string{
		`{}`:                    "{}",
		`{"a":[1,2],"b":"x,{"}`: "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": \"x,{\"\n}",
		`{"a":"\"`:              "{\n  \"a\": \"\\\"",
		`]]]`:                   "\n]\n]\n]",
	} {
		if got := string(IndentJSON([]byte(in))); strings.TrimPrefix(got, "\n") != strings.TrimPrefix(want, "\n") {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

// spanTexts are the spans of l, from noon.
func spanTexts(l Life) (texts []string) {
	for _, s := range l.Spans {
		end := "on"
		if !s.To.IsZero() {
			end = "to " + s.To.Sub(noon).String()
		}
		texts = append(texts, fmt.Sprint(s.Name, " ", s.From.Sub(noon), " ", end))
	}
	return texts
}

func TestTimeline(t *testing.T) {
	r := record("Cache-Control", "max-age=60, stale-while-revalidate=30, stale-if-error=600", "Age", "10")
	r.FreshUntil, r.KeepUntil = noon.Add(50*time.Second), noon.Add(time.Hour)
	l := Timeline(rfc9111.Policy{}, r, noon.Add(70*time.Second))
	var names []string
	for _, m := range l.Moments {
		names = append(names, m.Name)
	}
	if want := []string{Made, Received, FreshUntil, Now, RevalidateUntil, IfErrorUntil, KeptUntil}; !slices.Equal(names, want) {
		t.Errorf("the moments are %v, want %v", names, want)
	}
	if made := l.Moments[0].Time; !made.Equal(noon.Add(-10 * time.Second)) {
		t.Errorf("it was made at %v", made)
	}
	if got, want := spanTexts(l), []string{"fresh -10s to 50s", "stale-while-revalidate 50s to 1m20s", "stale-if-error 50s to 10m50s", "kept 0s to 1h0m0s"}; !slices.Equal(got, want) {
		t.Errorf("the spans are %v, want %v", got, want)
	}
	last := -1.0
	for _, m := range l.Moments {
		at := l.Place(m.Time)
		if at < last || at < 0 || at > 1 {
			t.Errorf("%s is at %v, behind %v", m.Name, at, last)
		}
		last = at
	}
	forever := Timeline(rfc9111.Policy{}, record(), noon)
	if got, want := spanTexts(forever), []string{"fresh 0s on", "kept 0s on"}; !slices.Equal(got, want) {
		t.Errorf("the spans of what never turns stale are %v, want %v", got, want)
	}
	if forever.Place(time.Time{}) != 1 {
		t.Error("never is not at the end")
	}
	strict := record("Cache-Control", "max-age=60, must-revalidate, stale-if-error=600")
	strict.FreshUntil = noon.Add(time.Minute)
	for _, s := range Timeline(rfc9111.Policy{}, strict, noon).Spans {
		if s.Name == SpanIfError {
			t.Error("must-revalidate has a window")
		}
	}
}

func TestEntryAndTTL(t *testing.T) {
	r := record("Age", "5")
	r.Key, r.TTL, r.FreshUntil = "key", 90*time.Minute, noon.Add(time.Hour)
	e := NewEntry(r, noon.Add(time.Minute))
	if e.Age != 65 || !e.Fresh || e.SetTTL != "1h30m" || e.KeepUntil != nil || len(e.Key) != 64 {
		t.Errorf("%+v", e)
	}
	for ttl, want := range map[time.Duration]string{0: "", -1: "never", 1<<63 - 1: "forever", time.Hour: "1h", 90 * time.Second: "1m30s"} {
		if got := TTL(ttl); got != want {
			t.Errorf("%v: %q, want %q", ttl, got, want)
		}
	}
}

func TestTop(t *testing.T) {
	bySize := func(a, b *store.Record) int { return cmp.Compare(a.Size, b.Size) }
	for _, limit := range []int{0, 1, 2, 7, 100, 200} {
		top, want := Top{Limit: limit, Order: bySize}, 100
		for i := range 100 {
			top.Add(&store.Record{Size: int64(i * 37 % 100)})
			if limit > 0 {
				want = min(100, limit)
				if len(top.kept) > 2*limit {
					t.Fatalf("limit %d: %d are kept", limit, len(top.kept))
				}
			}
		}
		first := top.First()
		if len(first) != want {
			t.Errorf("limit %d: %d, want %d", limit, len(first), want)
		}
		for i, r := range first {
			if r.Size != int64(i) {
				t.Errorf("limit %d: number %d is %d", limit, i, r.Size)
			}
		}
	}
}

// TestTopOfMany took a minute when each record was put in its place at once.
func TestTopOfMany(t *testing.T) {
	many := Top{Order: func(a, b *store.Record) int { return cmp.Compare(a.Size, b.Size) }}
	const n = 300_000
	records := make([]store.Record, n)
	for i := range records {
		records[i].Size = int64(i * 7919 % n)
		many.Add(&records[i])
	}
	if first := many.First(); first[n-1].Size != n-1 {
		t.Errorf("the last one is %d", first[n-1].Size)
	}
}
