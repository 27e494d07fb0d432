package main

import (
	"context"
	"errors"
	"io"
	"testing"
)

// endless is a body that cannot be interrupted, and takes what has begun to be read of it for the moment of the interrupt.
type endless struct{ interrupt func() }

func (e endless) Read(p []byte) (int, error) {
	e.interrupt()
	return len(p), nil
}

func TestCopyBodyEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	if err := copyBody(ctx, io.Discard, endless{cancel}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that it was canceled", err)
	}
}
