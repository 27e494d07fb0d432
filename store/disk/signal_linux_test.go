package disk

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A folder in which there is always a file is never seen empty, though each call that lists it is ended early by a
// signal while one file takes another's place. Without care that is seen several times a second on ext4.
func TestFolderIsListedWhole(t *testing.T) {
	t.Parallel()
	in, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	name := func(n int) string { return fmt.Sprintf("folder/%08x", uint32(n)*0x9e3779b1) }
	if err := errors.Join(in.Mkdir("folder", 0o700), in.WriteFile(name(0), nil, 0o600)); err != nil {
		t.Fatal(err)
	}

	const readers = 2
	var threads [readers]atomic.Int64
	var all sync.WaitGroup
	end := time.Now().Add(2 * time.Second)
	for i := range threads {
		all.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			threads[i].Store(int64(syscall.Gettid()))
			for time.Now().Before(end) {
				if _, names, err := readFolder(in, "folder"); len(names) == 0 || err != nil {
					t.Errorf("names %v, error %v", names, err)
					return
				}
			}
		})
	}
	all.Go(func() {
		for time.Now().Before(end) {
			for i := range threads { // the runtime sends itself this one, and takes any for its own
				syscall.RawSyscall(syscall.SYS_TGKILL, uintptr(os.Getpid()), uintptr(threads[i].Load()), uintptr(syscall.SIGURG))
			}
		}
	})
	for n := 1; time.Now().Before(end); n++ {
		if err := errors.Join(in.WriteFile("new", nil, 0o600), in.Rename("new", name(n)), in.Remove(name(n-1))); err != nil {
			t.Error(err)
			break
		}
	}
	all.Wait()
}
