package disk

import (
	"os"
	"runtime"
	"syscall"
	"testing"
	"unsafe"
)

// unreadable makes that path cannot be read by this goroutine, also where the tests are run by root: its thread, which
// ends with it, gives up the capabilities to read all.
func unreadable(t *testing.T, path string) {
	t.Helper()
	const version, readAll = 0x20080522, 1<<1 | 1<<2 // CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
	header := struct {
		version uint32
		pid     int32
	}{version: version}
	var sets [2]struct{ effective, permitted, inheritable uint32 }
	runtime.LockOSThread()
	_, _, err := syscall.RawSyscall(syscall.SYS_CAPGET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&sets)), 0)
	sets[0].effective &^= readAll
	if err == 0 {
		_, _, err = syscall.RawSyscall(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&sets)), 0)
	}
	if err != 0 {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
}
