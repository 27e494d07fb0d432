package main

import (
	"context"
	"io"
	"os"
	"time"
)

// unlessInterrupted returns what f returns. When ctx ends, f has grace to return. After that it is not waited for: the
// program ends.
func unlessInterrupted[T any](ctx context.Context, grace time.Duration, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	ended := make(chan result, 1)
	go func() {
		value, err := f()
		ended <- result{value, err}
	}()
	select {
	case r := <-ended:
		return r.value, r.err
	case <-ctx.Done():
	}
	select {
	case r := <-ended:
		return r.value, r.err
	case <-time.After(grace):
		var none T
		return none, ctx.Err()
	}
}

// interruptible is a reader whose Read ends with ctx.
type interruptible struct {
	ctx  context.Context
	r    io.Reader
	rest []byte
	err  error
}

func (i *interruptible) Read(p []byte) (int, error) {
	for len(i.rest) == 0 && i.err == nil {
		i.rest, i.err = unlessInterrupted(i.ctx, 0, func() ([]byte, error) {
			buf := make([]byte, 32<<10)
			n, err := i.r.Read(buf)
			return buf[:n], err
		})
	}
	if len(i.rest) == 0 {
		return 0, i.err
	}
	n := copy(p, i.rest)
	i.rest = i.rest[n:]
	return n, nil
}

// openInterruptible opens a file for reading. It may be a pipe to which nobody writes: opening it and Read end with
// ctx.
func openInterruptible(ctx context.Context, path string) (io.ReadCloser, error) {
	f, err := unlessInterrupted(ctx, 0, func() (*os.File, error) { return os.Open(path) })
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{&interruptible{ctx: ctx, r: f}, f}, nil
}

// patient is a writer whose Write returns interruptTime after ctx at the latest, even if nobody reads what is written.
// The caller must not change b after that, since it may still be being written.
type patient struct {
	ctx context.Context
	w   io.Writer
}

func (p patient) Write(b []byte) (int, error) {
	return unlessInterrupted(p.ctx, interruptTime, func() (int, error) { return p.w.Write(b) })
}

// copyBody is io.Copy that ends with ctx. The body of a store on this machine does not end with ctx by itself.
func copyBody(ctx context.Context, w io.Writer, body io.Reader) error {
	_, err := io.Copy(w, untilEnd{ctx, body})
	return err
}

type untilEnd struct {
	ctx context.Context
	io.Reader
}

func (u untilEnd) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.Reader.Read(p)
}
