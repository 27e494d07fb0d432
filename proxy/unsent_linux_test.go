package proxy_test

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"
)

// TestSlowReaders shows that who reads steadily is not taken for one who does not read, however little that is of what
// the system buffers.
func TestSlowReaders(t *testing.T) {
	t.Parallel()
	const size = 16 << 20 // more than sockets take
	p := run(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Content-Length", strconv.Itoa(size))
		w.Write(make([]byte, size))
	}), func(p *running) { p.p.StallTimeout = 3 * time.Second })
	if _, body := p.get("/"); len(body) != size {
		t.Fatalf("%d bytes come", len(body))
	}
	conn, r := p.dial()
	conn.(*net.TCPConn).SetReadBuffer(16 << 10)
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	head(r)
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(2 * p.p.StallTimeout); time.Now().Before(end) && p.lastFault() == nil; <-tick.C {
		if _, err := io.CopyN(io.Discard, r, 8<<10); err != nil {
			t.Fatal(err)
		}
	}
	if f := p.lastFault(); f != nil {
		t.Errorf("it is cut off: %v", f)
	}
	conn.Close() // which the proxy sees at its next write
}
