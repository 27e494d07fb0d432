package proxy

import (
	"crypto/tls"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/larder-go/larder"
)

// respond passes resp on.
func (x *exchange) respond(resp *http.Response) {
	if resp.StatusCode < 200 || resp.StatusCode > 999 {
		x.fail(gateway(http.StatusBadGateway, "http_protocol_error", "the origin's status is not valid"))
		return
	}
	info := larder.Info(resp)
	h := x.w.Header()
	x.p.setHeader(h, x.out, resp, x.origin, info)
	announced := announce(h, resp)
	x.writeHead(resp.StatusCode)
	if err := x.copy(resp, info); err != nil {
		x.brokenOff(resp.StatusCode, err)
		if !x.r.ProtoAtLeast(1, 1) && h["Content-Length"] == nil {
			x.reset()
		}
		panic(http.ErrAbortHandler) // so that the client sees that it is not whole
	}
	if len(resp.Trailer) == 0 {
		return
	}
	x.c.Flush() // else net/http sends a short body with a Content-Length, which leaves no room for trailers
	for name, values := range resp.Trailer {
		switch {
		case framing(name):
		case len(values) == 0: // it did not come: net/http would send the header's field of that name, or leave an HTTP/2 stream open
			delete(h, name)
		case announced[name]:
			h[name] = values
		default:
			h[http.TrailerPrefix+name] = values
		}
	}
}

// copy passes on the response's body, and with it the header, which net/http holds back until the first byte, a flush
// or the end.
func (x *exchange) copy(resp *http.Response, info larder.Decision) error {
	if resp.Body == http.NoBody || bodiless(resp.StatusCode) { // a store or an HTTP/2 origin may have one where none is allowed
		x.allowTime()
		return nil
	}
	dst := &patientWriter{x: x}
	src := io.Reader(resp.Body)
	if fromOrigin(info) { // which may be slow, so each piece is passed on at once
		dst.flush = true
		dst.write(nil)
		if info.Stored && resp.ContentLength > 0 && len(resp.Trailer) == 0 {
			dst.length = resp.ContentLength // so that a client that has it whole, and asks again at once, gets a hit
		}
		if !patient(x.r, resp) {
			watched := watch(resp.Body, x.p.stallTimeout())
			defer watched.stop()
			src = watched
		}
	}
	if _, err := io.Copy(dst, src); err != nil {
		return err
	}
	return dst.end()
}

// fromOrigin reports whether the response's body is being read from the origin.
func fromOrigin(d larder.Decision) bool {
	switch d.Outcome {
	case larder.Hit, larder.Stale, larder.Revalidated, larder.Refused:
		return false
	}
	return true
}

// reset breaks off the connection, where an orderly end would be the end of the response (RFC 9112 §6.3).
func (x *exchange) reset() {
	conn, _, err := x.c.Hijack()
	if err != nil {
		return
	}
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn() // the end of TLS would be orderly, too
	}
	if tcp, ok := conn.(interface{ SetLinger(int) error }); ok {
		tcp.SetLinger(0)
	}
	conn.Close()
}

// brokenOff reports a response that could not be passed on whole, unless the client has left.
func (x *exchange) brokenOff(status int, err error) {
	f := &Fault{Status: status, Type: "http_response_incomplete", Detail: "the response broke off", Err: err}
	switch {
	case x.p.Observe == nil:
		return
	case errors.Is(err, os.ErrDeadlineExceeded):
		f.Type, f.Detail = "connection_write_timeout", "the client did not read the response in time"
	case x.r.Context().Err() != nil:
		return
	}
	x.p.Observe(x.r, f)
}

// setHeader makes h the header of the response to the client.
func (p *Proxy) setHeader(h http.Header, out *http.Request, resp *http.Response, o *Origin, info larder.Decision) {
	copyMessage(h, resp.Header)
	delete(h, "Alt-Svc") // it speaks of the origin's authority
	p.addVia(h, resp.ProtoMajor, resp.ProtoMinor)
	if h["Date"] == nil { // the time of its arrival (RFC 9110 §6.6.1)
		arrived := time.Now()
		if !fromOrigin(info) {
			arrived = arrived.Add(-info.Age)
		}
		h.Set("Date", arrived.UTC().Format(http.TimeFormat))
	}
	if h["Content-Type"] == nil {
		h["Content-Type"] = nil // else net/http would guess
	}
	if location := h["Location"]; len(location) == 1 {
		h["Location"] = []string{o.back(location[0], out.URL)}
	}
	if info.Outcome == larder.Refused {
		f := &Fault{Type: "proxy_internal_response", Detail: info.Reason}
		h["Proxy-Status"] = append(h["Proxy-Status"], f.status(p.name()))
	}
	if h["Content-Length"] == nil && resp.ContentLength >= 0 && len(resp.Trailer) == 0 && !bodiless(resp.StatusCode) && !resp.Uncompressed {
		h.Set("Content-Length", strconv.FormatInt(resp.ContentLength, 10))
	}
	if resp.StatusCode == http.StatusNoContent {
		delete(h, "Content-Length") // (RFC 9110 §8.6)
	}
}

func bodiless(status int) bool {
	return status == http.StatusNoContent || status == http.StatusNotModified
}

// announce lists in the header the trailers that the origin announced, and returns their names.
func announce(h http.Header, resp *http.Response) map[string]bool {
	if len(resp.Trailer) == 0 {
		return nil
	}
	delete(h, "Content-Length")
	announced := make(map[string]bool, len(resp.Trailer))
	names := make([]string, 0, len(resp.Trailer))
	for name := range resp.Trailer {
		if framing(name) {
			continue
		}
		announced[name] = true
		names = append(names, name)
	}
	if len(names) > 0 {
		h["Trailer"] = []string{strings.Join(names, ", ")}
	}
	return announced
}

// framing reports whether a field frames the message or concerns the connection, and so cannot be a trailer. net/http
// takes none from an origin, but a store may hold one that somebody else has written there.
func framing(name string) bool {
	return name == "Content-Length" || ofConnection(name)
}

// patient reports whether the response may pause without limit: whether it is a stream of events, or it or the request
// is marked Incremental (RFC 10036).
func patient(r *http.Request, resp *http.Response) bool {
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return mediaType == "text/event-stream" || incremental(resp.Header) || incremental(r.Header)
}
