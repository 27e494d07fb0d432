package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/larder/proxy"
)

// TestAnswersThatNobodyReads shows that a client who reads no more of an answer does not keep a server aside for ever,
// and that one who reads slowly gets it all.
func TestAnswersThatNobodyReads(t *testing.T) {
	const length = 1 << 20
	for _, pause := range []time.Duration{unreadTime / 2, 2 * unreadTime} {
		synctest.Test(t, func(t *testing.T) {
			client := askAside(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", strconv.Itoa(length))
				io.Copy(w, io.LimitReader(zeros{}, length))
			})
			resp, err := http.ReadResponse(bufio.NewReader(client), nil)
			if err != nil {
				t.Fatal(err)
			}
			read := int64(0)
			for err == nil && read < length {
				var n int64
				n, err = io.CopyN(io.Discard, resp.Body, 32<<10)
				read += n
				time.Sleep(pause)
			}
			if slow := pause < unreadTime; slow != (err == nil) {
				t.Errorf("who reads nothing for %v at a time gets %d bytes, %v", pause, read, err)
			}
		})
	}
}

// askAside sends a GET to a server aside with that handler.
func askAside(t *testing.T, h http.HandlerFunc) (client net.Conn) {
	client, conn := net.Pipe()
	listener := &pipeListener{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
	listener.conns <- conn
	end := serveAside(context.Background(), listener, &proxy.Server{Handler: h})
	t.Cleanup(func() {
		client.Close()
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return client
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// pipeListener accepts what is in conns.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { close(l.closed); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }
