package proxy

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// allowTime sets the deadline of the next write: StallTimeout from now.
func (x *exchange) allowTime() { x.c.SetWriteDeadline(time.Now().Add(x.p.stallTimeout())) }

// patientWriter gives each write to the client a deadline of its own.
type patientWriter struct {
	x     *exchange
	flush bool // after each write

	length  int64 // of the body, if its last byte is to wait for end; 0: it does not
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

// ReadFrom lets the system send a file (sendfile), with a deadline for each piece. The body must end where src does.
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

// piece is how many bytes of a file are sent within one deadline.
const piece = 256 << 10

const bufferSize = 32 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// end writes the last byte, and sets the deadline of what net/http writes after the handler: the end of a flushed body,
// or the header alone.
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

// watched is a body each of whose reads has a time limit.
type watched struct {
	rc      io.Reader
	stall   time.Duration
	timer   *time.Timer
	stalled atomic.Bool
}

// watch returns body, which it closes once a read takes longer than stall.
func watch(body io.ReadCloser, stall time.Duration) *watched {
	w := &watched{rc: body, stall: stall}
	w.timer = time.AfterFunc(stall, func() {
		w.stalled.Store(true)
		body.Close()
	})
	w.timer.Stop()
	return w
}

func (w *watched) Read(p []byte) (int, error) {
	w.timer.Reset(w.stall)
	n, err := w.rc.Read(p)
	w.timer.Stop()
	if err != nil && w.stalled.Load() {
		err = errStalled
	}
	return n, err
}

func (w *watched) stop() { w.timer.Stop() }
