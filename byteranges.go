package larder

import (
	"context"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"time"

	"github.com/larder-go/larder/rfc9111"
	"github.com/larder-go/larder/store"
)

// keepParts stores each part of a multipart/byteranges response as the caller reads it (RFC 9110 §15.3.7.2). The caller
// reads the body as it came.
func (c *Cache) keepParts(f *flight, x *exchange, resp *http.Response, requested time.Time) {
	kind, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/byteranges" || params["boundary"] == "" || x.rr.Method != http.MethodGet {
		return
	}
	all := c.flights.beside(f) // f lands now
	x.detach()                 // the caller may reuse its request before all are stored
	head := *resp
	head.Header = resp.Header.Clone()
	passing, parts := io.Pipe()
	stop := context.AfterFunc(f.ctx, func() { parts.CloseWithError(context.Canceled) }) // the caller has left
	resp.Body = &split{resp.Body, parts}
	c.background.run(func() {
		defer stop()
		if err := c.storeParts(all, x, &head, multipart.NewReader(passing, params["boundary"]), requested); err != nil {
			c.discarded(x, err)
		}
		passing.Close()
		c.land(all)
		all.cancel()
	})
}

// split is a body that also gives its bytes to another reader, until that has enough.
type split struct {
	io.ReadCloser
	other *io.PipeWriter
}

func (s *split) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if n > 0 {
		s.other.Write(p[:n])
	}
	if err != nil { // not every caller closes a body after its end
		s.other.CloseWithError(err)
	}
	return n, err
}

func (s *split) Close() error {
	s.other.Close()
	return s.ReadCloser.Close()
}

// storeParts stores the parts of a response as they come. An error means that no more are stored.
func (c *Cache) storeParts(all *flight, x *exchange, head *http.Response, parts *multipart.Reader, requested time.Time) error {
	for range maxParts {
		p, err := parts.NextRawPart()
		if err != nil {
			return nil
		}
		one := *head
		one.Header, one.Body, one.Trailer = head.Header.Clone(), p, nil
		for _, name := range [...]string{"Content-Type", "Content-Range", "Content-Length", "Content-Digest"} {
			one.Header.Del(name)
			if v := p.Header.Values(name); len(v) > 0 {
				one.Header[name] = v
			}
		}
		brings, _ := rfc9111.Parse(rfc9111.Response{Status: one.StatusCode, Header: one.Header}).Part()
		one.Header["Content-Length"] = []string{strconv.FormatInt(brings.Length, 10)}
		one.ContentLength = brings.Length
		if err := c.storePart(all, x, &one, requested); err != nil {
			return err
		}
	}
	return nil
}

// storePart stores a part as if the caller had asked for it alone.
func (c *Cache) storePart(all *flight, x *exchange, one *http.Response, requested time.Time) (err error) {
	f := c.flights.beside(all)
	var d *download
	defer func() {
		if d == nil {
			c.land(f)
			f.cancel()
		}
	}()
	defer recovered(&err)
	if d, _ = c.download(f, x, one, requested); d == nil {
		return nil
	}
	f.settle(result{download: d, status: one.StatusCode})
	f.await(f.ctx, true)
	if parsed := &c.readingOf(d.record).parsed; rfc9111.Combinable(parsed, parsed) { // so that the next parts count it
		x.found = append([]*store.Record{d.record}, x.found...)
	}
	return nil
}
