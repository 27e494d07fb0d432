package larder

import (
	"crypto/rand"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/larder-go/larder/rfc9111"
	"github.com/larder-go/larder/store"
)

// fillRange makes resp the answer to a request for parts of a stored body (RFC 9110 §14, §15.3.7, §15.5.17).
func (c *Cache) fillRange(x *exchange, r *store.Record, resp *http.Response, parts []rfc9111.Part, status int) bool {
	resp.StatusCode, resp.Status = status, statusText(status)
	resp.Trailer = nil
	delete(resp.Header, "Content-Digest") // it is of the whole; Repr-Digest still holds (RFC 9530 §2, §3)
	if status == http.StatusRequestedRangeNotSatisfiable {
		// The whole's freshness is left out: a cache that stores this response would apply it to the whole (RFC 9111 §3).
		maps.DeleteFunc(resp.Header, func(name string, _ []string) bool {
			return name == "Expires" || strings.HasSuffix(name, "Cache-Control") // targeted fields among them
		})
		resp.Header.Set("Content-Range", "bytes */"+strconv.FormatInt(r.Size, 10))
		setLength(resp, 0)
		return true
	}
	body, err := c.seekable(x, r)
	if err != nil {
		return false
	}
	if len(parts) == 1 {
		resp.Header.Set("Content-Range", rfc9111.ContentRange(parts[0], r.Size))
		setLength(resp, parts[0].Length)
		resp.Body = &storedBody{c: c, x: x.brief(), r: r, rc: readCloser{&section{rs: body, part: parts[0]}, body}, left: parts[0]}
		return true
	}
	boundary := strings.ToLower(rand.Text())
	contentType := resp.Header.Get("Content-Type")
	var pieces []io.Reader
	var length int64
	var frame strings.Builder
	w := multipart.NewWriter(&frame)
	w.SetBoundary(boundary) // valid, since it has only letters and digits
	flush := func() {
		length += int64(frame.Len())
		pieces = append(pieces, strings.NewReader(frame.String()))
		frame.Reset()
	}
	for _, p := range parts {
		head := textproto.MIMEHeader{"Content-Range": {rfc9111.ContentRange(p, r.Size)}}
		if contentType != "" {
			head.Set("Content-Type", contentType)
		}
		w.CreatePart(head) // a strings.Builder takes everything
		flush()
		pieces = append(pieces, &section{rs: body, part: p})
		length += p.Length
	}
	w.Close()
	flush()
	delete(resp.Header, "Content-Range") // an origin may have sent one with the whole; each part has its own (RFC 9110 §15.3.7.2)
	resp.Header.Set("Content-Type", "multipart/byteranges; boundary="+boundary)
	setLength(resp, length)
	resp.Body = &storedBody{c: c, x: x.brief(), r: r, rc: readCloser{io.MultiReader(pieces...), body}}
	return true
}

func setLength(resp *http.Response, n int64) {
	resp.ContentLength = n
	resp.Header.Set("Content-Length", strconv.FormatInt(n, 10))
}

// section reads one part of a body. It seeks on its first Read.
type section struct {
	rs     io.ReadSeeker
	part   rfc9111.Part
	sought bool
}

func (s *section) Read(p []byte) (int, error) {
	if !s.sought {
		if _, err := s.rs.Seek(s.part.Start, io.SeekStart); err != nil {
			return 0, err
		}
		s.sought = true
	}
	if s.part.Length == 0 {
		return 0, io.EOF
	}
	n, err := s.rs.Read(p[:min(int64(len(p)), s.part.Length)])
	s.part.Length -= int64(n)
	if err == io.EOF && s.part.Length > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
