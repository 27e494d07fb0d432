package view

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	_ "image/gif" // for their sizes
	_ "image/jpeg"
	_ "image/png"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/larder-go/larder/store"
)

// Kind is how a body is to be shown.
type Kind string

// Kinds of bodies.
const (
	Empty  Kind = "empty"
	JSON   Kind = "json"
	Markup Kind = "markup" // HTML, XML, SVG
	Text   Kind = "text"   // any other
	Image  Kind = "image"  // one that browsers show; SVG is Markup
	Part   Kind = "part"   // of a body that is not stored whole (206): bytes from somewhere
	Binary Kind = "binary" // all else, and what cannot be unpacked
)

// Preview is the beginning of a stored body.
type Preview struct {
	Kind Kind
	// Type is the media type, without parameters: of Content-Type, or what the bytes look like if Sniffed.
	Type    string
	Sniffed bool
	// Coding is what Content-Encoding says; it has been undone if Unpacked.
	Coding   string
	Unpacked bool
	// Range is the Content-Range of a Part.
	Range string
	// Format, Width and Height are of an Image; Format is "" if it cannot be measured.
	Format        string
	Width, Height int
	// Data is the beginning of the body, unpacked if Unpacked; Whole: it is all of it.
	Data  []byte
	Whole bool
}

// imageHead is how far into an image its size is looked for: a JPEG may have a lot before it.
const imageHead = 1 << 20

// NewPreview returns a preview of at most limit bytes from body, the body of r as it is stored. It reads no more than
// about twice that, or 1 MiB of an image. An error is the body's; the preview then has what was read before.
func NewPreview(r *store.Record, body io.Reader, limit int) (Preview, error) {
	p := Preview{Coding: strings.ToLower(strings.Join(r.Header["Content-Encoding"], ", ")), Range: r.Header.Get("Content-Range")}
	if p.Coding == "identity" {
		p.Coding = ""
	}
	read, err := io.ReadAll(io.LimitReader(body, int64(limit)+1))
	p.Data, p.Whole = read[:min(len(read), limit)], len(read) <= limit && err == nil
	rest := &Watched{Reader: body, Err: err}
	if p.Coding != "" && r.Status != http.StatusPartialContent && err == nil {
		in := io.LimitReader(io.MultiReader(bytes.NewReader(read), rest), 2*int64(limit)+4096)
		if data, whole, ok := unpack(p.Coding, in, limit); ok {
			p.Data, p.Whole, p.Unpacked = data, whole && rest.Err == nil, true
		}
	}
	p.judge(r)
	if p.Kind == Image {
		in := io.MultiReader(bytes.NewReader(read), rest)
		if p.Unpacked {
			in = bytes.NewReader(p.Data)
		}
		if c, format, e := image.DecodeConfig(io.LimitReader(in, imageHead)); e == nil {
			p.Format, p.Width, p.Height = format, c.Width, c.Height
		}
	}
	return p, rest.Err
}

// judge decides what kind of body it is.
func (p *Preview) judge(r *store.Record) {
	declared, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if errors.Is(err, mime.ErrInvalidMediaParameter) {
		err = nil // the type itself is good
	}
	p.Type = declared
	readable := p.Coding == "" || p.Unpacked
	if readable && (err != nil || declared == "" || declared == "application/octet-stream") && r.Status != http.StatusPartialContent && len(p.Data) > 0 {
		p.Type, p.Sniffed = sniff(p.Data), true
	}
	switch {
	case len(p.Data) == 0:
		p.Kind = Empty
	case r.Status == http.StatusPartialContent:
		p.Kind = Part
	case !readable:
		p.Kind = Binary
	default:
		p.Kind = kindOf(p.Type)
	}
}

// sniff returns the media type that data looks like to a browser, or that of JSON.
func sniff(data []byte) string {
	t, _, _ := strings.Cut(http.DetectContentType(data), ";")
	if t == "text/plain" && looksLikeJSON(data) {
		return "application/json"
	}
	return t
}

// looksLikeJSON reports whether data is the beginning of an object or an array.
func looksLikeJSON(data []byte) bool {
	d := json.NewDecoder(bytes.NewReader(data))
	for n := 0; ; n++ {
		t, err := d.Token()
		if n == 0 && t != json.Delim('{') && t != json.Delim('[') {
			return false
		}
		if err != nil {
			return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		}
	}
}

func kindOf(mediaType string) Kind {
	main, sub, _ := strings.Cut(mediaType, "/")
	suffix := sub[strings.LastIndexByte(sub, '+')+1:]
	switch {
	case suffix == "json" || sub == "x-ndjson" || sub == "jsonl" || sub == "json5":
		return JSON
	case sub == "html" || suffix == "xml":
		return Markup
	case main == "image":
		return Image
	case main == "text":
		return Text
	}
	switch sub {
	case "javascript", "ecmascript", "x-javascript", "yaml", "x-yaml", "toml", "sql", "graphql", "x-www-form-urlencoded", "x-sh", "x-pem-file":
		return Text
	}
	return Binary
}

// LooksLikeText reports whether data can be shown as text: UTF-8, cut off anywhere, without control characters that
// text does not have.
func LooksLikeText(data []byte) bool {
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		if r == utf8.RuneError && size == 1 && utf8.FullRune(data) || r < ' ' && r != '\t' && r != '\n' && r != '\r' && r != '\f' && r != 0x1b {
			return false
		}
		data = data[size:]
	}
	return true
}

// unpack undoes a single content coding. It returns at most limit bytes, and whether that is all; ok is false if it
// cannot undo the coding.
func unpack(coding string, in io.Reader, limit int) (data []byte, whole, ok bool) {
	out, err := Unpacker(coding, in)
	if err != nil {
		return nil, false, false
	}
	data, err = io.ReadAll(io.LimitReader(out, int64(limit)+1))
	whole = err == nil && len(data) <= limit
	return data[:min(len(data), limit)], whole, whole || len(data) > 0
}

// Unpacker returns in without a single content coding, which must be gzip or deflate.
func Unpacker(coding string, in io.Reader) (io.Reader, error) {
	switch coding {
	case "gzip", "x-gzip":
		return gzip.NewReader(in)
	case "deflate":
		b := bufio.NewReader(in)
		if isZlib(b) {
			return zlib.NewReader(b)
		}
		return flate.NewReader(b), nil
	}
	return nil, fmt.Errorf("content coding %q: want gzip or deflate", coding)
}

// isZlib reports whether the bytes begin as the zlib format does (RFC 1950 §2.2), which deflate is by RFC 9110
// §8.4.1.2. Some servers send the raw data without it.
func isZlib(b *bufio.Reader) bool {
	head, err := b.Peek(2)
	return err == nil && head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0
}

// Watched is a reader that keeps its error, which whoever reads from it may hide.
type Watched struct {
	io.Reader
	Err error // the last one other than io.EOF
}

func (w *Watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if err != nil && err != io.EOF {
		w.Err = err
	}
	return n, err
}
