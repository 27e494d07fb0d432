package disk

import (
	"runtime"
	"syscall"
	"testing"
	"unsafe"
)

// TestDeleteWhereNoNameCanBeMade, as on a full disk, in a folder that has no room for one more.
func TestDeleteWhereNoNameCanBeMade(t *testing.T) {
	s, other := openTwo(t)
	r := put(t, s, "key")
	noNames(t)
	if err := s.Update(t.Context(), r.Clone()); err == nil {
		t.Error("a name was made")
	}
	if err := s.Delete(t.Context(), "key"); err != nil {
		t.Error(err)
	}
	if got := seenBy(t, other, "key"); len(got) != 0 {
		t.Errorf("Delete left %v", got)
	}
	if n, bytes, err := s.Size(t.Context()); n != 0 || bytes != 0 || err != nil {
		t.Errorf("Size: %d records, %d bytes, %v; want none", n, bytes, err)
	}
}

// noNames makes that this goroutine can neither make nor rename files, by Landlock: its thread ends with it.
func noNames(t *testing.T) {
	t.Helper()
	const (
		createRuleset, restrictSelf = 444, 446 // on all architectures
		makeFiles                   = 1 << 8
		noNewPrivileges             = 38
	)
	runtime.LockOSThread()
	denied := uint64(makeFiles)
	rules, _, err := syscall.RawSyscall(createRuleset, uintptr(unsafe.Pointer(&denied)), unsafe.Sizeof(denied), 0)
	if err == syscall.ENOSYS || err == syscall.EOPNOTSUPP {
		t.Skip("this kernel has no Landlock")
	}
	if err == 0 {
		_, _, err = syscall.RawSyscall6(syscall.SYS_PRCTL, noNewPrivileges, 1, 0, 0, 0, 0)
	}
	if err == 0 {
		_, _, err = syscall.RawSyscall(restrictSelf, rules, 0, 0)
	}
	if err != 0 {
		t.Fatal(err)
	}
	if err := syscall.Close(int(rules)); err != nil {
		t.Fatal(err)
	}
}
