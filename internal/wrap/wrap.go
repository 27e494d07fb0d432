// Package wrap is what stores around another store have in common.
package wrap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/larder-go/larder/store"
)

// Inner is the store inside a [store.Wrapper] that embeds Inner. It passes on the calls that the wrapper need not
// change. A call of what the inner store cannot do fails with an error that wraps errors.ErrUnsupported; store.As says
// so beforehand.
type Inner struct{ Store store.Store }

// Unwrap returns the inner store.
func (i Inner) Unwrap() []store.Store { return []store.Store{i.Store} }

// Local says, by store.As, whether the inner store is store.Local.
func (i Inner) Local() {}

// Sweep sweeps the inner store.
func (i Inner) Sweep(ctx context.Context, now time.Time) (removed int, err error) {
	s, err := As[store.Sweeper](i, "Sweeper")
	if err != nil {
		return 0, err
	}
	return s.Sweep(ctx, now)
}

// Size returns what the inner store holds.
func (i Inner) Size(ctx context.Context) (records int, bytes int64, err error) {
	s, err := As[store.Sizer](i, "Sizer")
	if err != nil {
		return 0, 0, err
	}
	return s.Size(ctx)
}

// Lease takes the lease on key in the inner store.
func (i Inner) Lease(ctx context.Context, key store.Key, holder store.ID, ttl time.Duration) (held bool, err error) {
	s, err := As[store.Leaser](i, "Leaser")
	if err != nil {
		return false, err
	}
	return s.Lease(ctx, key, holder, ttl)
}

// Release ends the lease in the inner store.
func (i Inner) Release(ctx context.Context, key store.Key, holder store.ID) error {
	s, err := As[store.Leaser](i, "Leaser")
	if err != nil {
		return err
	}
	return s.Release(ctx, key, holder)
}

// Close closes the inner store, if that can be closed.
func (i Inner) Close() error {
	if c, ok := i.Store.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// As is store.As of the inner store. If that lacks the interface, the error names it.
func As[I any](i Inner, name string) (I, error) {
	s, ok := store.As[I](i.Store)
	if !ok {
		return s, fmt.Errorf("%T is not a store.%s: %w", i.Store, name, errors.ErrUnsupported)
	}
	return s, nil
}

// Record returns the record with this key and ID in s. The error wraps store.ErrNotFound if there is none that can be
// read.
func Record(ctx context.Context, s store.Store, key store.Key, id store.ID) (*store.Record, error) {
	all, err := s.Lookup(ctx, key)
	if i := slices.IndexFunc(all, func(r *store.Record) bool { return r.ID == id }); i >= 0 {
		return all[i], nil
	}
	if err == nil || errors.Is(err, store.ErrCorrupt) { // the damaged record may be this one
		err = store.ErrNotFound
	}
	return nil, err
}

// Remove removes a record of s in which the wrapper found damage, unless under store.Inspect. It returns the error to
// report.
func Remove(ctx context.Context, s store.Store, r *store.Record, damage error) error {
	if store.Inspecting(ctx) {
		return damage
	}
	if err := s.Delete(ctx, r.Key, r.ID); err != nil {
		return fmt.Errorf("%w; removing it: %w", damage, err)
	}
	return damage
}
