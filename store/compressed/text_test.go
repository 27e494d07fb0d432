package compressed

import (
	"context"
	"io"
	"iter"
	"math"
	"strings"

	"github.com/larder-go/larder/internal/wrap"
	"github.com/larder-go/larder/store"
)

// texts keeps every body as a list of hexadecimal numbers, which can be compressed. (Their digits alone cannot: at its
// fastest, zstd packs nothing in which nothing is repeated.) So the cases of package storetest, whose bodies are noise,
// are about packed bodies.
type texts struct{ wrap.Inner }

const each = 4

const digits = "0123456789abcdef"

func textOf(b []byte) []byte {
	text := make([]byte, 0, len(b)*each)
	for _, c := range b {
		text = append(text, digits[c>>4], digits[c&15], ',', ' ')
	}
	return text
}

// bytesOf decodes text to b.
func bytesOf(b, text []byte) {
	for i := range b {
		b[i] = byte(strings.IndexByte(digits, text[each*i])<<4 | strings.IndexByte(digits, text[each*i+1]))
	}
}

// times returns a length of text.
func times(n int64) int64 {
	if n > math.MaxInt64/each {
		return math.MaxInt64
	}
	return n * each
}

func (t texts) Lookup(ctx context.Context, key store.Key) (found []*store.Record, err error) {
	all, err := t.Store.Lookup(ctx, key)
	for _, r := range all {
		found = append(found, t.record(r))
	}
	return found, err
}

func (t texts) record(r *store.Record) *store.Record {
	var body []byte
	if r.Body != nil {
		body = make([]byte, len(r.Body)/each)
		bytesOf(body, r.Body)
	}
	return r.WithBody(body, r.Size/each)
}

// sized returns a copy of r with the length of its text.
func sized(r *store.Record) *store.Record {
	r = r.Clone()
	r.Size = times(r.Size)
	return r
}

func (t texts) Open(ctx context.Context, r *store.Record) (io.ReadSeekCloser, error) {
	b, err := t.Store.Open(ctx, sized(r))
	if err != nil {
		return nil, err
	}
	return textReader{b}, nil
}

type textReader struct{ io.ReadSeekCloser }

func (t textReader) Read(p []byte) (int, error) {
	text := make([]byte, each*len(p))
	n, err := io.ReadFull(t.ReadSeekCloser, text)
	if err == io.ErrUnexpectedEOF {
		err = nil
	}
	bytesOf(p[:n/each], text)
	return n / each, err
}

func (t textReader) Seek(off int64, whence int) (int64, error) {
	at, err := t.ReadSeekCloser.Seek(off*each, whence)
	return at / each, err
}

func (t texts) Create(ctx context.Context, r *store.Record) (store.Writer, error) {
	w, err := t.Store.Create(ctx, sized(r))
	if err != nil {
		return nil, err
	}
	return textWriter{w}, nil
}

type textWriter struct{ store.Writer }

func (t textWriter) Write(p []byte) (int, error) {
	n, err := t.Writer.Write(textOf(p))
	return n / each, err
}

func (t textWriter) ReadAt(p []byte, off int64) (int, error) {
	text := make([]byte, each*len(p))
	n, err := t.Writer.ReadAt(text, times(off))
	bytesOf(p[:n/each], text)
	return n / each, err
}

func (t textWriter) Commit(r *store.Record, superseded ...store.ID) error {
	return t.Writer.Commit(sized(r), superseded...)
}

func (t texts) Update(ctx context.Context, r *store.Record) error {
	return t.Store.Update(ctx, sized(r))
}

func (t texts) Delete(ctx context.Context, key store.Key, ids ...store.ID) error {
	return t.Store.Delete(ctx, key, ids...)
}

func (t texts) Find(ctx context.Context, q store.Query) iter.Seq2[*store.Record, error] {
	return func(yield func(*store.Record, error) bool) {
		finder, err := wrap.As[store.Finder](t.Inner, "Finder")
		if err != nil {
			yield(nil, err)
			return
		}
		for r, err := range finder.Find(ctx, q) {
			if r != nil {
				r = t.record(r)
			}
			if !yield(r, err) {
				return
			}
		}
	}
}
