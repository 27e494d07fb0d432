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

// takenBody is a body that ends with its connection.
type takenBody struct {
	io.ReadCloser
	conn net.Conn
	ctx  context.Context
	stop func() bool
}

func (b *takenBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && b.ctx.Err() != nil {
		err = b.ctx.Err() // rather than that the connection is closed
	}
	return n, err
}

func (b *takenBody) Close() error {
	b.stop()
	return b.conn.Close()
}

// readable returns what came from the head of the final response on, without the coding that nobody has heard of, and
// without a Content-Length, which does not count beside it; nil if it has no such coding, or is not whole.
func readable(came []byte) []byte {
	head, rest, whole := final(came)
	if !whole {
		return nil
	}
	return without(head, rest)
}

// final returns the head of the final response, behind those of interim ones, and what follows it.
func final(came []byte) (head, rest []byte, whole bool) {
	for {
		head, rest, whole = bytes.Cut(came, []byte("\r\n\r\n"))
		if _, status, _ := strings.Cut(string(head[:min(len(head), 16)]), " "); !whole || !strings.HasPrefix(status, "1") {
			return head, rest, whole
		}
		came = rest
	}
}

func without(head, rest []byte) []byte {
	var out []byte
	unheard := false
	for i, line := range bytes.Split(head, []byte("\r\n")) {
		name, value, _ := strings.Cut(string(line), ":")
		if strings.HasPrefix(name, " ") || strings.HasPrefix(name, "\t") { // the line before goes on
			return nil
		}
		switch textproto.CanonicalMIMEHeaderKey(name) {
		case "Transfer-Encoding":
			if unheard || !unheardOf(value) { // one is enough
				return nil
			}
			unheard = true
			continue
		case "Content-Length":
			continue
		}
		if i > 0 {
			out = append(out, "\r\n"...)
		}
		out = append(out, line...)
	}
	if !unheard {
		return nil
	}
	return append(append(out, "\r\n\r\n"...), rest...)
}

// unheardOf reports whether the value of Transfer-Encoding is one word that is no coding anybody could undo: none of
// those registered (RFC 9112 §7).
func unheardOf(value string) bool {
	value = strings.ToLower(strings.Trim(value, " \t"))
	switch value {
	case "chunked", "compress", "x-compress", "deflate", "gzip", "x-gzip", "trailers":
		return false
	}
	return token(value)
}
