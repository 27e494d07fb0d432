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

// database is a store on another machine, where an interrupt comes with the first removal.
type database struct {
	*memory.Store
	interrupt func()
}

func (d database) Delete(ctx context.Context, key store.Key, ids ...store.ID) error {
	d.interrupt()
	return d.Store.Delete(ctx, key, ids...)
}

func (d database) Close() error { return nil }

// TestInterruptedPurge shows that larder purge tells how many responses it had removed when it was interrupted.
func TestInterruptedPurge(t *testing.T) {
	for flag, want := range map[string]string{"--all": "removed %d responses\n", "--all --json": "{\"removed\":%d}\n"} {
		ctx, cancel := context.WithCancel(t.Context())
		d := database{new(memory.Store), cancel}
		const all = 1000
		for i := range all {
			r := &store.Record{Key: store.Key(fmt.Sprint(i)), ID: store.NewID(time.Now())}
			w, err := d.Create(t.Context(), r)
			if err == nil {
				err = w.Commit(r)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		usual := databases["redis"]
		databases["redis"] = func(context.Context, string) (closer, error) { return d, nil }
		t.Cleanup(func() { databases["redis"] = usual })
		var out, errs bytes.Buffer
		code := run(ctx, append([]string{"--config", "none", "--store", "redis://db", "purge"}, strings.Fields(flag)...), nil, &out, &errs)
		left, _, err := d.Size(t.Context())
		if want := fmt.Sprintf(want, all-left); out.String() != want || errs.String() != "larder: interrupted\n" || code != exitInterrupted || err != nil {
			t.Errorf("%s writes %q, %q, exit code %d; want %q (%v)", flag, &out, &errs, code, want, err)
		}
		if left == 0 || left == all {
			t.Errorf("%s: %d of %d are left, so it was not interrupted in the middle", flag, left, all)
		}
	}
}
