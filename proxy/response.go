package proxy

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/larder-go/larder"
)

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

// announce puts the trailers that the origin announced into the header.
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

// framing reports whether a trailer would say where the response ends. net/http takes none from an origin; a store may hold one that
// somebody else has written there.
func framing(name string) bool {
	return name == "Content-Length" || ofConnection(name)
}

// patient reports whether the response may stand still: it is made of events.
func patient(r *http.Request, resp *http.Response) bool {
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return mediaType == "text/event-stream" || incremental(resp.Header) || incremental(r.Header)
}

const bufferSize = 32 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// patientWriter gives each write to the client its own time.
type patientWriter struct {
	x     *exchange
	flush bool // after each write

	length  int64 // of the whole, whose last byte waits for end; 0: it does not
	written int64
	last    []byte
}

func (w *patientWriter) Write(p []byte) (int, error) {
	n := len(p)
	if w.written += int64(n); n > 0 && w.written == w.length {
		w.last = []byte{p[n-1]}
		p = p[:n-1]
	}
	return n, w.write(p)
}

func (w *patientWriter) write(p []byte) error {
	w.x.allowTime()
	_, err := w.x.w.Write(p)
	if err != nil || !w.flush {
		return err
	}
	err = w.x.c.Flush()
	w.x.c.SetWriteDeadline(time.Time{}) // what comes next may take its time
	return err
}

// ReadFrom lets the system send a file by itself, and gives each piece of it its own time. It is for bodies that end where src does.
func (w *patientWriter) ReadFrom(src io.Reader) (n int64, err error) {
	to, ok := w.x.w.(io.ReaderFrom)
	file, limited := src.(*io.LimitedReader)
	if !ok || !limited || w.flush {
		buf := buffers.Get().(*[bufferSize]byte)
		defer buffers.Put(buf)
		return io.CopyBuffer(struct{ io.Writer }{w}, src, buf[:])
	}
	for file.N > 0 {
		part := io.LimitedReader{R: file.R, N: min(file.N, piece)}
		w.x.allowTime()
		k, err := to.ReadFrom(&part)
		n += k
		file.N -= k
		if err != nil || part.N > 0 {
			return n, err
		}
	}
	return n, nil
}

// piece is how much of a file is sent in the time of one write.
const piece = 256 << 10

// end writes the last byte, and gives what net/http has to write yet its time: the end of what was flushed, or all.
func (w *patientWriter) end() error {
	if w.last != nil {
		if err := w.write(w.last); err != nil {
			return err
		}
	}
	if w.flush || w.written == 0 {
		w.x.allowTime()
	}
	return nil
}

var errStalled = errors.New("the origin's body stands still")

// watched is a body whose reads must not take too long.
type watched struct {
	rc    io.Reader
	stall time.Duration
	timer *time.Timer
}

// watch returns body, the request of which it cancels once a read takes longer than stall.
func watch(body io.Reader, stall time.Duration, cancel context.CancelCauseFunc) *watched {
	w := &watched{rc: body, stall: stall, timer: time.AfterFunc(stall, func() { cancel(errStalled) })}
	w.timer.Stop()
	return w
}

func (w *watched) Read(p []byte) (int, error) {
	w.timer.Reset(w.stall)
	n, err := w.rc.Read(p)
	w.timer.Stop()
	return n, err
}

func (w *watched) stop() { w.timer.Stop() }
