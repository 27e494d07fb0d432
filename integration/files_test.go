//go:build linux

package integration

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/store"
)

func init() { children["files"] = filesChild }

// fileFault is something that happens to the files of a store.
type fileFault struct {
	name string
	// needs is what the system must allow for it: "mounts" in a namespace of its own, or among them "FUSE".
	needs string
	// silent are the stores of which nothing fails by it, so that there is nothing to tell.
	silent []string
	// breaks: what is stored may break off while it is read, which is an error to its reader after right bytes.
	breaks bool
	// prepare makes a folder ready for the store, and returns what lets the fault begin and end.
	prepare func(dir string) (begin, end func() error, err error)
}

var fileFaults = []fileFault{
	{name: "a full disk", needs: "mounts", prepare: fullDisk},
	{name: "files that may not grow", prepare: limited(syscall.RLIMIT_FSIZE, func() (uint64, error) { return 100_000, nil })},
	{name: "no descriptors left", silent: []string{"sqlite"}, prepare: limited(syscall.RLIMIT_NOFILE, func() (uint64, error) {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return 0, err
		}
		defer f.Close()
		return uint64(f.Fd()), nil // the next that would be given out
	})},
	{name: "the folder is deleted", silent: []string{"sqlite"}, prepare: deleted},
	{name: "a read-only file system", needs: "FUSE", prepare: onFuse("EROFS")},
	{name: "EIO at everything", needs: "FUSE", breaks: true, prepare: onFuse("EIO")},
	{name: "EIO now and then", needs: "FUSE", breaks: true, prepare: onFuse("EIO sometimes")},
	{name: "writes that are cut off", needs: "FUSE", prepare: onFuse("torn")},
	{name: "writes that are short", needs: "FUSE", silent: []string{"disk", "sqlite"}, prepare: onFuse("short")},
}

// TestFileFaults lets callers go on while something is wrong with the files of the store: all get what the origin says,
// the fault is told of, and when it is over the cache works as before.
func TestFileFaults(t *testing.T) {
	for _, fault := range fileFaults {
		for _, kind := range []string{"disk", "sqlite"} {
			t.Run(fault.name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				var attr syscall.SysProcAttr
				if fault.needs != "" {
					attr = ownNamespaces(t)
				}
				if f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); err == nil {
					f.Close()
				} else if fault.needs == "FUSE" {
					t.Skipf("not tested, for there is no FUSE here: %v", err)
				}
				var r filesResult
				dir := filepath.Join(t.TempDir(), "store")
				if err := runChildWith(t, &r, &attr, nil, "files", kind, fault.name, dir); err != nil {
					t.Fatal(err)
				}
				for _, wrong := range r.Wrong {
					t.Error(wrong)
				}
				if len(r.Broken) > 0 && !fault.breaks {
					t.Errorf("%d responses broke off: %q", len(r.Broken), r.Broken)
				}
				t.Logf("before: %+v\nduring: %+v\nafter: %+v", r.Before, r.During, r.After)
				t.Logf("told: %q\nbroke off: %q", r.Told, r.Broken)
				if r.Before.Hits == 0 || r.After.Hits == 0 {
					t.Errorf("%d hits before, %d after: the cache does not work", r.Before.Hits, r.After.Hits)
				}
				if told := r.During.StoreFailures + r.During.Damaged; told == 0 && !slices.Contains(fault.silent, kind) {
					t.Error("the fault is not told of")
				}
				for when, s := range map[string]larder.Stats{"before": r.Before, "after": r.After} {
					if s.StoreFailures != 0 || s.Damaged != 0 {
						t.Errorf("%s the fault: %d failures of the store, %d damaged", when, s.StoreFailures, s.Damaged)
					}
				}
			})
		}
	}
}

// ownNamespaces are what makes a process the master of its mounts.
func ownNamespaces(t *testing.T) syscall.SysProcAttr {
	attr := syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = &attr
	if err := cmd.Run(); err != nil {
		t.Skipf("not tested, for there are no user and mount namespaces here, in which file systems could be mounted: %v", err)
	}
	return attr
}

// filesResult is what callers and observers saw.
type filesResult struct {
	Before, During, After larder.Stats
	Told                  []string // of the store's failures, each kind once
	Broken                []string // responses that ended in an error after right bytes
	Wrong                 []string // what nobody should have seen
}

func filesChild(args []string) (any, error) {
	kind, dir := args[0], args[2]
	fault := fileFaults[slices.IndexFunc(fileFaults, func(f fileFault) bool { return f.name == args[1] })]
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	begin, end, err := fault.prepare(dir)
	if err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(end) // and with it the file system's server
	s, err := openStore(kind, dir)
	if err != nil {
		return nil, err
	}
	var late, asked atomic.Int64
	var mu sync.Mutex
	var r filesResult
	note := func(list *[]string, what string) {
		mu.Lock()
		defer mu.Unlock()
		if !slices.Contains(*list, what) && len(*list) < 20 {
			*list = append(*list, what)
		}
	}
	cache := &larder.Cache{
		Store: s,
		Rules: []larder.Rule{{TTL: time.Hour}},
		Base:  inProcess(func(w http.ResponseWriter, r *http.Request) { changing(w, r, asked.Add(1)) }),
		Now:   func() time.Time { return time.Now().Add(time.Duration(late.Load())) },
		Observe: func(e larder.Event) {
			if e.Kind == larder.StoreFailed || e.Kind == larder.Damaged {
				note(&r.Told, fmt.Sprintf("%v at %s: %v", e.Kind, e.Op, root(e.Err)))
			}
		},
	}
	work := func(seed uint64, callers int) larder.Stats {
		before := cache.Stats()
		var all sync.WaitGroup
		for i := range callers {
			all.Go(func() {
				random := rand.New(rand.NewPCG(seed, uint64(i)))
				for range 160 / callers {
					late.Add(int64(100 * time.Millisecond)) // a store that fails is left alone for 5 s
					switch err := requestSomething(cache, killedOrigin, random); {
					case errors.As(err, new(brokenOff)):
						note(&r.Broken, err.Error())
					case err != nil:
						note(&r.Wrong, err.Error())
					}
				}
			})
		}
		all.Wait()
		return since(cache.Stats(), before)
	}
	r.Before = work(1, 1) // so that what is made when many call is made during the fault
	if err := begin(); err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	r.During = work(2, writers)
	if err := end(); err != nil {
		return nil, fmt.Errorf("end: %w", err)
	}
	late.Add(int64(time.Minute))
	r.After = work(3, writers)
	check := func() {
		for rec, err := range cache.Entries(context.Background(), store.Query{}) {
			if err == nil {
				err = wholeRecord(cache, rec)
			}
			if err != nil {
				note(&r.Wrong, err.Error())
			}
		}
	}
	check()
	if _, err := cache.Sweep(context.Background()); err != nil {
		note(&r.Wrong, err.Error())
	}
	if err := errors.Join(cache.Close(context.Background()), s.Close()); err != nil {
		note(&r.Wrong, err.Error())
	}
	if s, err = openStore(kind, dir); err != nil {
		return nil, err
	}
	cache = &larder.Cache{Store: s}
	check()
	return r, s.Close()
}

// since returns what was counted after the first.
func since(now, first larder.Stats) larder.Stats {
	return larder.Stats{
		Requests: now.Requests - first.Requests, Hits: now.Hits - first.Hits, Misses: now.Misses - first.Misses,
		Revalidated: now.Revalidated - first.Revalidated, Errors: now.Errors - first.Errors, Stored: now.Stored - first.Stored,
		Updated: now.Updated - first.Updated, Discarded: now.Discarded - first.Discarded,
		StoreFailures: now.StoreFailures - first.StoreFailures, Damaged: now.Damaged - first.Damaged,
	}
}

// root returns the innermost cause.
func root(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// limited sets a limit of the process.
func limited(resource int, to func() (uint64, error)) func(string) (begin, end func() error, err error) {
	return func(string) (begin, end func() error, err error) {
		signal.Ignore(syscall.SIGXFSZ)
		var was syscall.Rlimit
		err = syscall.Getrlimit(resource, &was)
		begin = func() error {
			n, err := to()
			if err != nil {
				return err
			}
			return syscall.Setrlimit(resource, &syscall.Rlimit{Cur: n, Max: was.Max})
		}
		return begin, func() error { return syscall.Setrlimit(resource, &was) }, err
	}
}

func deleted(dir string) (begin, end func() error, err error) {
	return func() error { return os.RemoveAll(dir) }, func() error { return nil }, nil
}

// fullDisk mounts a small file system, and fills it.
func fullDisk(dir string) (begin, end func() error, err error) {
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=128m"); err != nil {
		return nil, nil, fmt.Errorf("mount a tmpfs: %w", err)
	}
	filler := filepath.Join(dir, "filler")
	begin = func() error {
		f, err := os.Create(filler)
		if err != nil {
			return err
		}
		defer f.Close()
		for size := 1 << 20; size > 0; size /= 2 {
			for err = nil; err == nil; _, err = f.Write(make([]byte, size)) {
			}
			if !errors.Is(err, syscall.ENOSPC) {
				return err
			}
		}
		return nil
	}
	return begin, func() error { return os.Remove(filler) }, nil
}

func init() { children["readOnly"] = readOnlyChild }

// TestReadOnlyFromTheStart opens stores on a file system that can only be read.
func TestReadOnlyFromTheStart(t *testing.T) {
	for _, kind := range []string{"disk", "sqlite"} {
		for _, made := range []string{"there is a store", "there is none"} {
			t.Run(kind+"/"+made, func(t *testing.T) {
				attr, dir := ownNamespaces(t), t.TempDir()
				var said string
				if err := runChildWith(t, &said, &attr, nil, "readOnly", kind, dir, made); err != nil {
					t.Fatal(err)
				}
				t.Log(said)
				if !strings.Contains(said, dir) || strings.Contains(said, "\n") {
					t.Errorf("opening it says %q, want one sentence with the path", said)
				}
			})
		}
	}
}

// readOnlyChild returns what opening a store says.
func readOnlyChild(args []string) (any, error) {
	kind, dir := args[0], args[1]
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=8m"); err != nil {
		return nil, err
	}
	if args[2] == "there is a store" {
		s, err := openStore(kind, dir)
		if err == nil {
			err = s.Close()
		}
		if err != nil {
			return nil, err
		}
	}
	if err := syscall.Mount("none", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		return nil, err
	}
	s, err := openStore(kind, dir)
	if err == nil {
		return "", errors.Join(errors.New("it was opened"), s.Close())
	}
	return err.Error(), nil
}

func init() { children["newOnFull"] = newOnFullChild }

// TestNewOnAFullDisk opens a store of files, which has not been there, where there is no room for any.
func TestNewOnAFullDisk(t *testing.T) {
	attr, dir := ownNamespaces(t), t.TempDir()
	var none struct{}
	if err := runChildWith(t, &none, &attr, nil, "newOnFull", dir); err != nil {
		t.Fatal(err)
	}
}

func newOnFullChild(args []string) (any, error) {
	fill, _, err := fullDisk(args[0])
	if err == nil {
		err = fill()
	}
	if err != nil {
		return nil, err
	}
	s, err := openStore("disk", args[0])
	if err != nil {
		return nil, err
	}
	return struct{}{}, s.Close()
}
