// Package storetest proves that a store keeps the contract in package store: each sentence of the contract has a case
// here. The author of a store calls [Run] from a test:
//
//	func TestContract(t *testing.T) {
//		storetest.Run(t, storetest.Kit{
//			Open:       func(dir string) (store.Store, error) { return mystore.Open(dir) },
//			Persistent: true,
//		})
//	}
//
// [Check] is the same without a *testing.T, and [Benchmark] measures what larder asks of a store most often. The cases
// in which goroutines do everything at once end when each has done 40 things; with the flag -storetest.stress=1m
// they go on for a minute.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/larder-go/larder/store"
)

// Kit gives access to the store under test. Only Open is required; what a zero field is about is not tested. The
// optional interfaces of package store are tested if the store has them.
type Kit struct {
	// Open opens the store in dir. Each case has an existing directory of its own, which is empty at first; a store
	// that is not made of files may use dir as a unique name. A store that is an io.Closer is closed at the end. The
	// store must have room for 40 MiB.
	Open func(dir string) (store.Store, error)

	// Persistent says that what was committed is still there after the store was closed and opened again.
	Persistent bool
	// Shared says that two stores may have the same dir open at the same time.
	Shared bool
	// MaxBody is the size in bytes of the largest body that the store takes, at most 64 MiB; 0: there is no such limit.
	MaxBody int64

	// OpenLimited opens a store, as Open does, that holds no more than limit bytes: always, or after a Sweep if it is a
	// store.Sweeper. limit is 1 MiB.
	OpenLimited func(dir string, limit int64) (store.Store, error)

	// DamageHead changes a stored byte of the head of a committed record, and DamageBody one of its body of 100 KB,
	// without the store that has dir open.
	DamageHead func(dir string, r *store.Record) error
	DamageBody func(dir string, r *store.Record) error
}

// Failure is a broken promise.
type Failure struct {
	Case string // its name
	Why  string // what the promise is
	Err  error  // how it was broken
}

func (f *Failure) Error() string { return fmt.Sprintf("%s: %v\n\t(%s)", f.Case, f.Err, f.Why) }
func (f *Failure) Unwrap() error { return f.Err }

// Run runs each case as a subtest. Cases that need what kit or the store does not have are skipped, with the reason.
func Run(t *testing.T, kit Kit) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := c.run(kit, t.TempDir(), patience)
			switch f := (*Failure)(nil); {
			case errors.As(err, &f):
				t.Errorf("%v\n(%s)", f.Err, f.Why)
			case err != nil:
				t.Skip(err)
			}
		})
	}
}

// Check runs every case and returns the failures joined, each a *[Failure].
func Check(kit Kit) error {
	dir, err := os.MkdirTemp("", "storetest")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var failures []error
	for _, c := range cases {
		sub, err := os.MkdirTemp(dir, "")
		if err != nil {
			return err
		}
		if f := (*Failure)(nil); errors.As(c.run(kit, sub, patience), &f) {
			failures = append(failures, f)
		}
	}
	return errors.Join(failures...)
}

// A test is one case.
type test struct {
	name string
	why  string // what the promise is, and what a program that relies on it would see broken
	do   func(*check)
}

// patience is how long a case may take before it counts as hung.
const patience = 3 * time.Minute

// enough is how long a case repeats a thing at most: a slow store does it less often.
const enough = 15 * time.Second

// often counts from 0 to n-1. It stops when that has taken enough, but not before two fifths of n.
func often(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		end := time.Now().Add(enough)
		for i := 0; i < n && (5*i < 2*n || time.Now().Before(end)) && yield(i); i++ {
		}
	}
}

var errNotApplicable = errors.New("not applicable")

// run returns nil, a *Failure, or an error that wraps errNotApplicable.
func (c test) run(kit Kit, dir string, patience time.Duration) error {
	t := &check{kit: kit, dir: dir}
	ctx, cancel := context.WithCancel(context.Background())
	t.ctx = ctx
	done := make(chan struct{})
	go func() { // so that fatalf can end the case, and run can leave one that hangs
		defer close(done)
		defer t.cleanup()
		defer cancel()
		defer func() {
			if p := recover(); p != nil {
				t.errorf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		c.do(t)
	}()
	timer := time.NewTimer(patience + *stressTime)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		t.errorf("hung: not done after %v", patience)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case len(t.errs) > 0:
		return &Failure{c.name, c.why, errors.Join(t.errs...)}
	case t.skipped != "":
		return fmt.Errorf("%w: %s", errNotApplicable, t.skipped)
	}
	return nil
}

// check is the run of one case. Its methods may be called from every goroutine. Those that end the case end the
// goroutine that calls them.
type check struct {
	kit Kit
	dir string
	ctx context.Context

	mu      sync.Mutex
	errs    []error
	skipped string
	closers []io.Closer
	serial  int // how many records were made
}

func (t *check) errorf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.errs) < 10 {
		t.errs = append(t.errs, fmt.Errorf(format, args...))
	}
}

func (t *check) failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.errs) > 0
}

func (t *check) fatalf(format string, args ...any) {
	t.errorf(format, args...)
	runtime.Goexit()
}

func (t *check) skip(why string) {
	t.mu.Lock()
	t.skipped = why
	t.mu.Unlock()
	runtime.Goexit()
}

// store opens the store of this case. The next call opens another on the same data.
func (t *check) store() store.Store {
	s, err := t.kit.Open(t.dir)
	if err != nil {
		t.fatalf("open the store: %v", err)
	}
	t.closeLater(s)
	return s
}

func (t *check) closeLater(s store.Store) {
	if c, ok := s.(io.Closer); ok {
		t.mu.Lock()
		t.closers = append(t.closers, c)
		t.mu.Unlock()
	}
}

// reopen closes s and opens its data anew.
func (t *check) reopen(s store.Store) store.Store {
	if c, ok := s.(io.Closer); ok {
		if err := c.Close(); err != nil {
			t.fatalf("close the store: %v", err)
		}
		t.forget(c)
	}
	return t.store()
}

// forget takes c, which is closed, off the list of what is to be closed. If c cannot be compared, it takes the last on
// the list.
func (t *check) forget(c io.Closer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := len(t.closers) - 1; i >= 0; i-- {
		if !reflect.TypeOf(c).Comparable() || t.closers[i] == c {
			t.closers = slices.Delete(t.closers, i, i+1)
			return
		}
	}
}

func (t *check) cleanup() {
	for i := len(t.closers) - 1; i >= 0; i-- {
		if err := t.closers[i].Close(); err != nil {
			t.errorf("close the store: %v", err)
		}
	}
}

// want ends the case if the store lacks the optional interface.
func want[I any](t *check, s store.Store, name string) I {
	i, ok := store.As[I](s)
	if !ok {
		t.skip("the store is no store." + name)
	}
	return i
}

var cases = concat(writing, reading, naming, changing, finding, sweeping, limiting, surviving, racing, leasing)

func concat(groups ...[]test) []test {
	var all []test
	for _, g := range groups {
		all = append(all, g...)
	}
	return all
}
