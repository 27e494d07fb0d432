package main

import (
	"context"
	"io"
	"time"
)

// unlessInterrupted returns what f does. If ctx ends, f has grace to end as well; then nobody waits for it: the program ends.
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
