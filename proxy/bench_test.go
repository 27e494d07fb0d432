//go:build linux || darwin

package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/proxy"
	"github.com/larder-go/larder/store/disk"
)

// onlyWriter hides that a response can take from a file by itself.
type onlyWriter struct{ http.ResponseWriter }

func (w onlyWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// BenchmarkHit serves bodies from files over loopback, sent by the system or, as where it cannot, read and written.
// cpu-µs/op is the processor time of server and client together.
func BenchmarkHit(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10, 1 << 20} {
		for _, read := range []bool{false, true} {
			how := "sent"
			if read {
				how = "read"
			}
			b.Run(fmt.Sprintf("%dKiB/%s", size>>10, how), func(b *testing.B) { benchmarkHit(b, size, read) })
		}
	}
}

func benchmarkHit(b *testing.B, size int, read bool) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=600")
		w.Write(make([]byte, size))
	}))
	defer origin.Close()
	s, err := disk.Open(b.TempDir(), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	o, err := proxy.ParseOrigin(origin.URL)
	if err != nil {
		b.Fatal(err)
	}
	p := &proxy.Proxy{Origins: []proxy.Origin{o}, Cache: &larder.Cache{Store: s, Shared: true, Name: "larder"}}
	var files atomic.Int64
	var warm atomic.Bool
	server := &proxy.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !warm.Load():
			w = &fileCounter{w, &files}
		case read:
			w = onlyWriter{w}
		}
		p.ServeHTTP(w, r)
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, l) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	r := bufio.NewReaderSize(conn, 64<<10)
	inFile := size > 32<<10
	for end := time.Now().Add(patience); inFile && files.Load() == 0; { // until it is at rest, see disk
		if time.Now().After(end) {
			b.Fatal("it is not sent from the file")
		}
		askFor(b, size, conn, r)
		<-time.After(50 * time.Millisecond)
	}
	askFor(b, size, conn, r)
	warm.Store(true)
	b.SetBytes(int64(size))
	before := processorTime()
	for b.Loop() {
		askFor(b, size, conn, r)
	}
	b.ReportMetric(float64((processorTime()-before).Microseconds())/float64(b.N), "cpu-µs/op")
	conn.Close()
}

func askFor(b *testing.B, size int, conn net.Conn, r *bufio.Reader) {
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		b.Error(err)
		return
	}
	if n, err := io.Copy(io.Discard, resp.Body); n != int64(size) || err != nil {
		b.Error(n, err)
	}
}

func processorTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
