package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/textproto"
	"strings"
)

// takenBody is the body of a response that was taken over. It ends with its connection.
type takenBody struct {
	io.ReadCloser
	conn net.Conn
	ctx  context.Context
	stop func() bool
}

func (b *takenBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && b.ctx.Err() != nil {
		err = b.ctx.Err() // by which the connection was closed
	}
	return n, err
}

func (b *takenBody) Close() error {
	b.stop()
	return b.conn.Close()
}

// readable returns the final response in came, from its head on, without its unknown transfer coding, and without the
// Content-Length that does not count beside one (RFC 9112 §6.3). It is nil if the head is not whole, or has no such
// coding.
func readable(came []byte) []byte {
	head, rest, whole := final(came)
	if !whole {
		return nil
	}
	var out []byte
	unknown := false
	for i, line := range bytes.Split(head, []byte("\r\n")) {
		name, value, _ := strings.Cut(string(line), ":")
		if strings.HasPrefix(name, " ") || strings.HasPrefix(name, "\t") { // the line before goes on
			return nil
		}
		switch textproto.CanonicalMIMEHeaderKey(name) {
		case "Transfer-Encoding":
			if unknown || !unknownCoding(value) { // a second one, or a known one
				return nil
			}
			unknown = true
			continue
		case "Content-Length":
			continue
		}
		if i > 0 {
			out = append(out, "\r\n"...)
		}
		out = append(out, line...)
	}
	if !unknown {
		return nil
	}
	return append(append(out, "\r\n\r\n"...), rest...)
}

// final returns the head of the final response, after those of interim ones, and what follows it.
func final(came []byte) (head, rest []byte, whole bool) {
	for {
		head, rest, whole = bytes.Cut(came, []byte("\r\n\r\n"))
		if _, status, _ := strings.Cut(string(head[:min(len(head), 16)]), " "); !whole || !strings.HasPrefix(status, "1") {
			return head, rest, whole
		}
		came = rest
	}
}

// unknownCoding reports whether the value of Transfer-Encoding is a single token that is no registered coding (RFC 9112
// §7), so that nobody could undo it.
func unknownCoding(value string) bool {
	value = strings.ToLower(strings.Trim(value, " \t"))
	switch value {
	case "chunked", "compress", "x-compress", "deflate", "gzip", "x-gzip", "trailers":
		return false
	}
	return token(value)
}
