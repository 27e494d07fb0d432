package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
	"github.com/larder-go/larder/store/memory"
)

// endless is a body that cannot be interrupted, and takes what has begun to be read of it for the moment of the
// interrupt.
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

// database is a store on another machine, where something may happen with each body that is read, and each removal.
type database struct {
	*memory.Store
	happens func()
}

func (d database) Open(ctx context.Context, r *store.Record) (io.ReadSeekCloser, error) {
	d.happens()
	return d.Store.Open(ctx, r)
}

func (d database) Delete(ctx context.Context, key store.Key, ids ...store.ID) error {
	d.happens()
	return d.Store.Delete(ctx, key, ids...)
}

func (d database) Close() error { return nil }

// run runs larder with d, in which so many responses are stored before.
func (d database) run(ctx context.Context, t *testing.T, stored int, args ...string) (out, errs string, code int) {
	for i := range stored {
		r := &store.Record{Key: store.Key(fmt.Sprint(i)), ID: store.NewID(time.Now()), Size: 1}
		w, err := d.Create(t.Context(), r)
		if err == nil {
			_, err = w.Write([]byte("x"))
		}
		if err == nil {
			err = w.Commit(r)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	usual := databases["redis"]
	databases["redis"] = func(context.Context, string) (store.Store, error) { return d, nil }
	defer func() { databases["redis"] = usual }()
	var o, e bytes.Buffer
	code = run(ctx, append([]string{"--config", "none", "--store", "redis://db"}, args...), nil, &o, &e)
	return o.String(), e.String(), code
}

// TestInterruptedPurge shows that larder purge tells how many responses it had removed when it was interrupted.
func TestInterruptedPurge(t *testing.T) {
	for flag, want := range map[string]string{"--all": "removed %d responses\n", "--all --json": "{\"removed\":%d}\n"} {
		ctx, cancel := context.WithCancel(t.Context())
		d := database{new(memory.Store), cancel}
		const all = 1000
		out, errs, code := d.run(ctx, t, all, append([]string{"purge"}, strings.Fields(flag)...)...)
		left, _, err := d.Size(t.Context())
		if want := fmt.Sprintf(want, all-left); out != want || errs != "larder: interrupted\n" || code != exitInterrupted || err != nil {
			t.Errorf("%s writes %q, %q, exit code %d; want %q (%v)", flag, out, errs, code, want, err)
		}
		if left == 0 || left == all {
			t.Errorf("%s: %d of %d are left, so it was not interrupted in the middle", flag, left, all)
		}
	}
}

// TestInterruptedVerify shows that larder verify tells what it had found when it was interrupted.
func TestInterruptedVerify(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	read := 0
	d := database{new(memory.Store), func() {
		if read++; read == 5 {
			cancel()
		}
	}}
	out, errs, code := d.run(ctx, t, 10, "verify")
	if want := "whole      4 responses, 4 B in "; !strings.HasPrefix(out, want) || errs != "larder: interrupted\n" || code != exitInterrupted {
		t.Errorf("it writes %q, %q, exit code %d; want %q", out, errs, code, want)
	}
}
