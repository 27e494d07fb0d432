package disk

import (
	"context"
	"errors"
	"io/fs"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/larder-go/larder/store"
)

// What a process may be denied, as Landlock calls it.
const (
	writeFile  = 1 << 1
	readFile   = 1 << 2
	readDir    = 1 << 3
	removeFile = 1 << 5
	makeDir    = 1 << 7
	makeFile   = 1 << 8 // and to rename
)

// TestDeleteWhereNoNameCanBeMade, as on a full disk, in a folder that has no room for one more.
func TestDeleteWhereNoNameCanBeMade(t *testing.T) {
	s, other := openTwo(t)
	r := put(t, s, "key")
	denied(t, makeFile, func() {
		if err := s.Update(t.Context(), r.Clone()); err == nil {
			t.Error("a name was made")
		}
		if err := s.Delete(t.Context(), "key"); err != nil {
			t.Error(err)
		}
	})
	if got := seenBy(t, other, "key"); len(got) != 0 {
		t.Errorf("Delete left %v", got)
	}
	if n, bytes, err := s.Size(t.Context()); n != 0 || bytes != 0 || err != nil {
		t.Errorf("Size: %d records, %d bytes, %v; want none", n, bytes, err)
	}
}

// TestWhatIsDeniedIsTold, is no damage, and harms nothing that is stored.
func TestWhatIsDeniedIsTold(t *testing.T) {
	ctx := context.Background()
	holder := store.NewID(time.Now())
	find := func(s *Store, q store.Query) (err error) {
		for _, err = range s.Find(ctx, q) {
		}
		return err
	}
	for _, c := range []struct {
		name   string
		denied uint64
		do     func(s *Store, first, inFolder, large *store.Record) error
	}{
		{"Lookup of a head", readFile, func(s *Store, r, _, _ *store.Record) error { _, err := s.Lookup(ctx, r.Key); return err }},
		{"Lookup of a folder", readDir, func(s *Store, _, r, _ *store.Record) error { _, err := s.Lookup(ctx, r.Key); return err }},
		{"Open", readFile, func(s *Store, _, _, r *store.Record) error { _, err := s.Open(ctx, r); return err }},
		{"Find", readFile, func(s *Store, _, _, _ *store.Record) error { return find(s, store.Query{}) }},
		{"Find by key", readFile, func(s *Store, r, _, _ *store.Record) error { return find(s, store.Query{Key: r.Key}) }},
		{"Find by key in a folder", readDir, func(s *Store, _, r, _ *store.Record) error { return find(s, store.Query{Key: r.Key}) }},
		{"Find by URL", readFile, func(s *Store, r, _, _ *store.Record) error { return find(s, store.Query{URL: r.URL}) }},
		{"Find in fans", readDir, func(s *Store, _, _, _ *store.Record) error { return find(s, store.Query{}) }},
		{"Delete", removeFile, func(s *Store, r, _, _ *store.Record) error { return s.Delete(ctx, r.Key) }},
		{"Delete one", removeFile, func(s *Store, r, _, _ *store.Record) error { return s.Delete(ctx, r.Key, r.ID) }},
		{"Delete one of two", removeFile, func(s *Store, r, _, _ *store.Record) error {
			return s.Delete(ctx, r.Key, r.ID, store.NewID(time.Now()))
		}},
		{"Delete in a folder", removeFile, func(s *Store, _, r, _ *store.Record) error { return s.Delete(ctx, r.Key) }},
		{"Delete one in a folder", removeFile, func(s *Store, _, r, _ *store.Record) error { return s.Delete(ctx, r.Key, r.ID) }},
		{"Delete of what cannot be read", readFile, func(s *Store, r, _, _ *store.Record) error { return s.Delete(ctx, r.Key) }},
		{"Delete one of what cannot be read", readFile, func(s *Store, r, _, _ *store.Record) error { return s.Delete(ctx, r.Key, r.ID) }},
		{"Update of what cannot be read", readFile, func(s *Store, r, _, _ *store.Record) error { return s.Update(ctx, r.Clone()) }},
		{"Update without its index", writeFile, func(s *Store, _, r, _ *store.Record) error { return s.Update(ctx, r.Clone()) }},
		{"Update without a folder", makeDir, func(s *Store, r, _, _ *store.Record) error { return s.Update(ctx, r.Clone()) }},
		{"Commit without a head", makeFile, func(s *Store, _, _, _ *store.Record) error { return write(s, recordOf("new", 0), false) }},
		{"Commit without its index", writeFile, func(s *Store, _, _, _ *store.Record) error { return write(s, recordOf("new", 0), false) }},
		{"Write of a body", makeFile, func(s *Store, _, _, _ *store.Record) error { return write(s, recordOf("new", 100_000), false) }},
		{"Sweep", readDir, func(s *Store, _, _, _ *store.Record) error { _, err := s.Sweep(ctx, time.Now()); return err }},
		{"Sweep that cannot remove", removeFile, func(s *Store, r, _, _ *store.Record) error {
			_, err := s.Sweep(ctx, r.KeepUntil.Add(1))
			return err
		}},
		{"Sweep that cannot read", readFile, func(s *Store, r, _, _ *store.Record) error { _, err := s.Sweep(ctx, time.Now()); return err }},
		{"Lease", makeFile, func(s *Store, _, _, _ *store.Record) error {
			_, err := s.Lease(ctx, "new", holder, time.Minute)
			return err
		}},
		{"Lease of what cannot be read", readFile, func(s *Store, r, _, _ *store.Record) error {
			_, err := s.Lease(ctx, r.Key, store.NewID(time.Now()), time.Minute)
			return err
		}},
		{"Release", removeFile, func(s *Store, r, _, _ *store.Record) error { return s.Release(ctx, r.Key, holder) }},
		{"Release of what cannot be read", readFile, func(s *Store, r, _, _ *store.Record) error { return s.Release(ctx, r.Key, holder) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			s := openAt(t, dir, 1<<20)
			first, beside, inFolder, large := recordOf("first", 0), recordOf("folder", 0), recordOf("folder", 0), recordOf("large", 100_000)
			first.KeepUntil = time.Now().Add(time.Hour)
			all := []*store.Record{first, beside, inFolder, large}
			for _, r := range all {
				if err := write(s, r, false); err != nil {
					t.Fatal(err)
				}
			}
			p := placeOf(t, s, large.Key)
			if err := p.fan.Chtimes(p.body(large.ID), time.Time{}, time.Now().Add(-2*grace)); err != nil {
				t.Fatal(err)
			}
			if held, err := s.Lease(ctx, first.Key, holder, time.Minute); !held || err != nil {
				t.Fatal(held, err)
			}
			before, records := s.usage.total()
			took := taken(t, dir)
			denied(t, c.denied, func() {
				if err := c.do(s, first, inFolder, large); err == nil || errors.Is(err, store.ErrCorrupt) || !errors.Is(err, fs.ErrPermission) {
					t.Errorf("%v, want fs.ErrPermission", err)
				}
			})
			var got []string
			for _, key := range []store.Key{first.Key, inFolder.Key, large.Key} {
				got = append(got, seenBy(t, s, key)...)
			}
			if slices.Sort(got); !slices.Equal(got, states(all...)) {
				t.Errorf("found %v, want %v", got, states(all...))
			}
			if now, n := s.usage.total(); n != records || now != before || taken(t, dir) != took {
				t.Errorf("the ledger says %d records of %d bytes, want %d of %d; %d bytes were added", n, now, records, before, taken(t, dir)-took)
			}
		})
	}
}

// denied calls do in a goroutine that is denied something, by Landlock: its thread ends with it.
func denied(t *testing.T, what uint64, do func()) {
	t.Helper()
	const createRuleset, restrictSelf, noNewPrivileges = 444, 446, 38 // on all architectures
	done := make(chan syscall.Errno)
	go func() {
		runtime.LockOSThread()
		rules, _, err := syscall.RawSyscall(createRuleset, uintptr(unsafe.Pointer(&what)), unsafe.Sizeof(what), 0)
		if err == 0 {
			_, _, err = syscall.RawSyscall6(syscall.SYS_PRCTL, noNewPrivileges, 1, 0, 0, 0, 0)
		}
		if err == 0 {
			_, _, err = syscall.RawSyscall(restrictSelf, rules, 0, 0)
		}
		if err == 0 {
			err, _ = syscall.Close(int(rules)).(syscall.Errno)
		}
		if err == 0 {
			do()
		}
		done <- err
	}()
	switch err := <-done; {
	case err == syscall.ENOSYS || err == syscall.EOPNOTSUPP:
		t.Skip("this kernel has no Landlock")
	case err != 0:
		t.Fatal(err)
	}
}
