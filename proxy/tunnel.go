package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

// tunnel passes bytes in both directions after the origin has agreed to another protocol (RFC 9110 §7.8).
func (x *exchange) tunnel(resp *http.Response) {
	origin, ok := resp.Body.(io.ReadWriteCloser)
	asked := x.out.Header.Get("Upgrade")
	if !ok || asked == "" || !strings.EqualFold(resp.Header.Get("Upgrade"), asked) {
		resp.Body.Close()
		x.fail(gateway(http.StatusBadGateway, "http_upgrade_failed", "the origin changed to a protocol that was not asked for"))
		return
	}
	defer origin.Close()
	if x.body.remains() { // else two would read from the client
		x.fail(gateway(http.StatusBadGateway, "http_upgrade_failed", "the origin changed the protocol before it had the whole request"))
		return
	}
	conn, rw, err := x.c.Hijack()
	if err != nil {
		x.fail(&Fault{Status: http.StatusInternalServerError, Type: "proxy_internal_error", Detail: "the connection cannot be upgraded", Err: err})
		return
	}
	defer conn.Close()
	h := make(http.Header, len(resp.Header)+2)
	copyMessage(h, resp.Header)
	h.Set("Connection", "Upgrade")
	h.Set("Upgrade", resp.Header.Get("Upgrade"))
	x.p.addVia(h, resp.ProtoMajor, resp.ProtoMinor)
	conn.SetWriteDeadline(time.Now().Add(x.p.stallTimeout()))
	if err := writeHead(rw.Writer, h); err != nil {
		return
	}
	conn.SetWriteDeadline(time.Time{})
	// Only what is buffered is read from rw: through it, net/http takes a client that has closed its sending half for
	// one that has left.
	early, _ := rw.Reader.Peek(rw.Reader.Buffered())
	passBoth(x.r.Context(), conn, io.MultiReader(bytes.NewReader(early), conn), origin)
}

// passBoth copies what comes from the client to the origin, and the other way, until both have ended, one has failed,
// or ctx ends, as it does when the server is shutting down.
func passBoth(ctx context.Context, client io.WriteCloser, fromClient io.Reader, origin io.ReadWriteCloser) {
	ended := make(chan error, 2)
	go func() { ended <- pass(origin, fromClient) }()
	go func() { ended <- pass(client, origin) }()
	passing := 2
	for err := error(nil); passing > 0 && err == nil && ctx.Err() == nil; {
		select {
		case err = <-ended: // nil: the other side may still have something to say
			passing--
		case <-ctx.Done():
		}
	}
	client.Close()
	origin.Close()
	for range passing {
		<-ended
	}
}

func writeHead(w *bufio.Writer, h http.Header) error {
	io.WriteString(w, "HTTP/1.1 101 Switching Protocols\r\n")
	if err := h.Write(w); err != nil {
		return err
	}
	io.WriteString(w, "\r\n")
	return w.Flush()
}

// pass copies until src ends, and then closes the sending half of dst.
func pass(dst io.Writer, src io.Reader) error {
	if _, err := io.Copy(dst, src); err != nil {
		return err
	}
	if half, ok := dst.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.New("it cannot be half closed")
}
