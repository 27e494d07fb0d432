package page

import (
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/larder-go/larder/internal/view"
	"github.com/larder-go/larder/rfc9111"
	"github.com/larder-go/larder/store"
)

const (
	previewBytes = 128 << 10
	dumpBytes    = 2 << 10 // of a body that is no text
	mostVariants = 50
)

// details are one stored response.
type details struct {
	AsOf     time.Time  `json:"as_of"`
	Row      row        `json:"row"`
	Entry    view.Entry `json:"entry"`
	Life     life       `json:"life"`
	Preview  preview    `json:"preview"`
	Variants []row      `json:"variants"` // what is stored of the URL, this one among it
}

// life is a view.Life, with where each moment is to be drawn, from 0 to 1.
type life struct {
	Moments []moment `json:"moments"`
	Spans   []span   `json:"spans"`
}

type moment struct {
	view.Moment
	At float64 `json:"at"`
}

type span struct {
	view.Span
	At   float64 `json:"at"`
	ToAt float64 `json:"to_at"`
}

func newLife(p rfc9111.Policy, r *store.Record, now time.Time) (out life) {
	l := view.Timeline(p, r, now)
	for _, m := range l.Moments {
		out.Moments = append(out.Moments, moment{m, l.Place(m.Time)})
	}
	for _, s := range l.Spans {
		out.Spans = append(out.Spans, span{s, l.Place(s.From), l.Place(s.To)})
	}
	return out
}

// preview is what is shown of a body.
type preview struct {
	Kind     view.Kind `json:"kind"`
	Type     string    `json:"type"`
	Sniffed  bool      `json:"sniffed,omitempty"`
	Coding   string    `json:"coding,omitempty"`
	Unpacked bool      `json:"unpacked,omitempty"`
	Range    string    `json:"range,omitempty"`
	Width    int       `json:"width,omitempty"`
	Height   int       `json:"height,omitempty"`
	Whole    bool      `json:"whole"`
	Image    bool      `json:"image,omitempty"`    // it can be shown as one: from its bytes, or from Text if there is any (SVG)
	Text     string    `json:"text,omitempty"`     // to be shown as text: the body, or a dump of it
	Language string    `json:"language,omitempty"` // of Text: json, xml, css, javascript
	Error    string    `json:"error,omitempty"`    // why the body cannot be read
}

func newPreview(r *store.Record, body io.Reader) preview {
	p, err := view.NewPreview(r, body, previewBytes)
	out := preview{Kind: p.Kind, Type: p.Type, Sniffed: p.Sniffed, Coding: p.Coding, Unpacked: p.Unpacked, Range: p.Range,
		Width: p.Width, Height: p.Height, Whole: p.Whole}
	if err != nil {
		out.Error = err.Error()
	}
	text := p.Data
	switch p.Kind {
	case view.Empty:
	case view.Image:
		out.Image = slices.Contains(images, p.Type)
	case view.JSON:
		text, out.Language = view.IndentJSON(text), "json"
	case view.Markup:
		out.Language = "xml"
		out.Image = p.Type == svg && p.Whole
	case view.Text:
		switch _, sub, _ := strings.Cut(p.Type, "/"); sub {
		case "css":
			out.Language = "css"
		case "javascript", "x-javascript", "ecmascript":
			out.Language = "javascript"
		}
	}
	switch {
	case out.Image && out.Language == "":
	case p.Kind == view.Text || out.Language != "" || p.Kind == view.Part && view.LooksLikeText(text):
		out.Text = strings.ToValidUTF8(string(text), "\uFFFD")
	default:
		out.Text = hex.Dump(text[:min(len(text), dumpBytes)])
		out.Whole = out.Whole && len(text) <= dumpBytes
	}
	return out
}

// entry returns one stored response, by URL and ID.
func (p *Page) entry(w http.ResponseWriter, r *http.Request) error {
	e, err := p.find(r)
	if err != nil {
		return err
	}
	now := time.Now()
	out := details{AsOf: now.UTC(), Row: newRow(e, now), Entry: view.NewEntry(e, now), Life: newLife(p.Cache.Policy(), e, now)}
	for v, err := range p.Cache.Entries(r.Context(), p.ofURL(e.URL, mostVariants)) {
		switch {
		case errors.Is(err, store.ErrCorrupt):
		case err != nil:
			return err
		default:
			out.Variants = append(out.Variants, newRow(v, now))
		}
	}
	slices.SortFunc(out.Variants, func(a, b row) int { return b.Received.Compare(a.Received) })
	body, err := p.Cache.Body(r.Context(), e)
	if err != nil {
		out.Preview = preview{Kind: view.Empty, Error: err.Error()}
	} else {
		defer body.Close()
		out.Preview = newPreview(e, body)
	}
	return writeJSON(w, out)
}

// find returns the record that a request names.
func (p *Page) find(r *http.Request) (*store.Record, error) {
	v := r.URL.Query()
	id, err := store.ParseID(v.Get("id"))
	if err != nil {
		return nil, &fault{http.StatusBadRequest, err.Error()}
	}
	q := p.ofURL(v.Get("url"), 1)
	q.ID = id
	for e, err := range p.Cache.Entries(r.Context(), q) {
		if err != nil {
			return nil, err
		}
		return e, nil
	}
	return nil, faultf(http.StatusNotFound, "this response is not stored any more")
}

// ofURL returns a query for what is stored under exactly this URL. Most stores have an index for that. But if today's
// rules would store it under another URL, the query goes through the whole store.
func (p *Page) ofURL(url string, limit int) store.Query {
	if normal, err := p.Cache.NormalURL(url); err == nil && normal == url {
		return store.Query{URL: url, Limit: limit}
	}
	return store.Query{Prefix: url, Filter: func(r *store.Record) bool { return r.URL == url }, Limit: limit}
}

const svg = "image/svg+xml"

// images are the types that are served as they are. SVG is not among them: as a document it could run scripts.
var images = []string{"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp", "image/x-icon", "image/vnd.microsoft.icon"}

// codings are the content codings that browsers undo.
var codings = []string{"gzip", "x-gzip", "deflate", "br", "zstd"}

// body serves the bytes of one stored response: as an image of a type that runs nothing, or as text.
func (p *Page) body(w http.ResponseWriter, r *http.Request) error {
	e, err := p.find(r)
	if err != nil {
		return err
	}
	body, err := p.Cache.Body(r.Context(), e)
	if err != nil {
		return err
	}
	defer body.Close()
	h := w.Header()
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'; frame-ancestors 'none'")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	if t, _, err := mime.ParseMediaType(e.Header.Get("Content-Type")); err == nil && slices.Contains(images, t) {
		h.Set("Content-Type", t)
	}
	if coding := strings.ToLower(e.Header.Get("Content-Encoding")); slices.Contains(codings, coding) {
		h.Set("Content-Encoding", coding)
	}
	http.ServeContent(w, r, "", time.Time{}, body)
	return nil
}
