//go:build linux

package integration

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

func init() { children["fuse"] = fuseChild }

// onFuse puts the store's folder on a file system that fails when it is told to. That is served by another process: one
// that waits for a file of its own cannot stop the world for the garbage collector.
func onFuse(fault string) func(string) (begin, end func() error, err error) {
	return func(dir string) (begin, end func() error, err error) {
		self, err := os.Executable()
		if err != nil {
			return nil, nil, err
		}
		cmd := exec.Command(self, dir)
		cmd.Env = append(os.Environ(), childVar+"=fuse")
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe() // when it ends, with this process, so does the other
		if err != nil {
			return nil, nil, err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, nil, err
		}
		said := bufio.NewScanner(out)
		tell := func(fault string) error {
			_, err := fmt.Fprintln(in, fault)
			if said.Scan(); err == nil && said.Text() != "now "+fault {
				err = fmt.Errorf("the file system says %q", said.Text())
			}
			return err
		}
		return func() error { return tell(fault) }, func() error { return tell("none") }, tell("none")
	}
}

// fuseChild serves a file system until its standard input ends.
func fuseChild(args []string) (any, error) {
	dir := args[0]
	below := filepath.Join(filepath.Dir(dir), "below")
	if err := os.Mkdir(below, 0o700); err != nil {
		return nil, err
	}
	root, err := fs.NewLoopbackRoot(below)
	if err != nil {
		return nil, err
	}
	f := &faultyFS{RawFileSystem: fs.NewNodeFS(root, &fs.Options{}), mapped: make(map[uint64]bool)}
	f.fault.Store("none")
	srv, err := fuse.NewServer(f, dir, &fuse.MountOptions{
		DirectMountStrict:    true,
		DisabledCapabilities: fuse.CAP_PASSTHROUGH, // by which the kernel would read and write on its own
	})
	if err != nil {
		return nil, fmt.Errorf("mount a FUSE file system: %w", err)
	}
	go srv.Serve()
	if err := srv.WaitMount(); err != nil {
		return nil, err
	}
	for told := bufio.NewScanner(os.Stdin); told.Scan(); {
		f.fault.Store(told.Text())
		fmt.Println("now", told.Text())
	}
	return nil, nil // the mount ends with its namespace
}

// faultyFS is a file system that passes on what it is asked, to another, or fails.
type faultyFS struct {
	fuse.RawFileSystem
	fault atomic.Value // its name
	calls atomic.Int64

	mu     sync.Mutex
	mapped map[uint64]bool // nodes that SQLite maps: what it cannot read of these kills a process, whatever the program
}

// fails returns how a call is to fail, if it is.
func (f *faultyFS) fails(node uint64, changes bool) fuse.Status {
	f.mu.Lock()
	exempt := f.mapped[node]
	f.mu.Unlock()
	switch n := f.calls.Add(1); f.fault.Load() {
	case "EIO":
		if !exempt {
			return fuse.EIO
		}
	case "EIO sometimes":
		if !exempt && n%3 == 0 {
			return fuse.EIO
		}
	case "EROFS":
		if changes && !exempt {
			return fuse.EROFS
		}
	}
	return fuse.OK
}

func (f *faultyFS) found(name string, out *fuse.EntryOut) {
	if strings.HasSuffix(name, "-shm") {
		f.mu.Lock()
		f.mapped[out.NodeId] = true
		f.mu.Unlock()
	}
}

func (f *faultyFS) Lookup(cancel <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	if strings.HasSuffix(name, "-shm") {
		defer f.found(name, out)
	} else if s := f.fails(0, false); s != fuse.OK {
		return s
	}
	return f.RawFileSystem.Lookup(cancel, h, name, out)
}

func (f *faultyFS) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if s := f.fails(in.NodeId, in.Flags&uint32(os.O_WRONLY|os.O_RDWR) != 0); s != fuse.OK {
		return s
	}
	return f.RawFileSystem.Open(cancel, in, out)
}

func (f *faultyFS) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	if s := f.fails(0, true); s != fuse.OK {
		return s
	}
	defer f.found(name, &out.EntryOut)
	return f.RawFileSystem.Create(cancel, in, name, out)
}

func (f *faultyFS) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	if s := f.fails(0, true); s != fuse.OK {
		return s
	}
	return f.RawFileSystem.Mkdir(cancel, in, name, out)
}

func (f *faultyFS) Unlink(cancel <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	if s := f.fails(0, true); s != fuse.OK {
		return s
	}
	return f.RawFileSystem.Unlink(cancel, h, name)
}

func (f *faultyFS) Rename(cancel <-chan struct{}, in *fuse.RenameIn, name, to string) fuse.Status {
	if s := f.fails(0, true); s != fuse.OK {
		return s
	}
	return f.RawFileSystem.Rename(cancel, in, name, to)
}

func (f *faultyFS) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	if s := f.fails(in.NodeId, true); s != fuse.OK {
		return s
	}
	return f.RawFileSystem.SetAttr(cancel, in, out)
}

func (f *faultyFS) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	if s := f.fails(in.NodeId, true); s != fuse.OK {
		return s
	}
	return f.RawFileSystem.Fsync(cancel, in)
}

func (f *faultyFS) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if s := f.fails(0, false); s != fuse.OK {
		return s
	}
	return f.RawFileSystem.OpenDir(cancel, in, out)
}

func (f *faultyFS) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	if s := f.fails(in.NodeId, false); s != fuse.OK {
		return nil, s
	}
	return f.RawFileSystem.Read(cancel, in, buf)
}

// Writev has the data written by Write.
func (f *faultyFS) Writev(<-chan struct{}, *fuse.WriteIn, [][]byte) (uint32, fuse.Status) {
	return 0, fuse.ENOSYS
}

// Write may write half of it, as disks do that are full by then.
func (f *faultyFS) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	if s := f.fails(in.NodeId, true); s != fuse.OK {
		return 0, s
	}
	switch n := f.calls.Load(); f.fault.Load() {
	case "torn":
		if n%2 == 0 || len(data) == 1 {
			return 0, fuse.Status(syscall.ENOSPC)
		}
		data = data[:(len(data)+1)/2]
	case "short":
		data = data[:(len(data)+1)/2]
	}
	in.Size = uint32(len(data))
	return f.RawFileSystem.Write(cancel, in, data)
}
