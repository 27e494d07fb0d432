package disk

import (
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/larder-go/larder/store"
)

const (
	version = "v1" // the folder that everything is in
	fanout  = 256
	// blockSize is what one checksum covers: no more than io.Copy and net/http read at a time, so that blocks go into the
	// reader's buffer directly.
	blockSize = 32 << 10
	// inlineMax is the largest body that travels in the head file. A larger one is read faster from a file of its own,
	// through a buffer that is used again (BenchmarkInline).
	inlineMax = 32 << 10
	// maxHead bounds the size of a head file: a larger one was not written by this package.
	maxHead = 16<<20 + inlineMax
)

type fan struct {
	open atomic.Pointer[os.Root]
	info fs.FileInfo // of open, guarded by Store.mu
}

func fanName(shard byte) string { return fmt.Sprintf("%s/%02x", version, shard) }

func folderName(digest [32]byte) string { return hex.EncodeToString(digest[:]) }

func isFolderName(name string, shard byte) bool {
	const digits = "0123456789abcdef"
	if len(name) != 64 || name[0] != digits[shard>>4] || name[1] != digits[shard&15] {
		return false
	}
	for i := range len(name) {
		if c := name[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// folder is the folder of one key. Nothing is held open for it.
type folder struct {
	fan   *os.Root
	shard byte
	name  string
}

// root opens the folder, which saves a path component at every access where there are several.
func (d folder) root() (*os.Root, error) { return d.fan.OpenRoot(d.name) }

func (d folder) path(name string) string { return d.name + "/" + name }

func (d folder) open(name string) (*os.File, error) { return d.fan.Open(d.path(name)) }

func (d folder) create(name string) (*os.File, error) { return create(d.fan, d.path(name)) }

func create(in *os.Root, name string) (*os.File, error) {
	return in.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

func (d folder) remove(name string) error { return d.fan.Remove(d.path(name)) }

func (d folder) stat(name string) (fs.FileInfo, error) { return d.fan.Lstat(d.path(name)) }

// list returns the records of the folder, newest first, and what is left of others.
func (d folder) list() ([]group, error) {
	names, err := list(d.fan, d.name)
	if err != nil {
		return nil, err
	}
	return groups(names), nil
}

// list returns the names in a directory.
func list(top *os.Root, name string) ([]string, error) {
	f, err := top.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

// find returns the files of one record; its base is false if it is not there.
func (d folder) find(id store.ID) (group, error) {
	all, err := d.list()
	if i := slices.IndexFunc(all, func(g group) bool { return g.id == id }); i >= 0 {
		return all[i], err
	}
	return group{id: id}, err
}

// discard removes the folder if nothing is in it.
func (d folder) discard() { d.fan.Remove(d.name) }

// The files of a record. The base is its head as it was committed; the record is there exactly as long as the base
// is. An update holds a later head; the one whose name sorts last counts. All names begin with the ID.
const (
	headSuffix = ".head"
	bodySuffix = ".body"
	tempSuffix = ".temp"
	sequence   = 17 // length of "-" and 16 hexadecimal digits
)

func baseName(id store.ID) string { return id.String() + headSuffix }
func bodyName(id store.ID) string { return id.String() + bodySuffix }
func tempName(id store.ID) string { return fmt.Sprintf("%s-%016x%s", id, rand.Uint64(), tempSuffix) }

// updateName returns a name that sorts after that of the update before it, if there is one. The random half keeps two
// processes apart that update at the same time.
func updateName(id store.ID, before string) string {
	var n uint32
	if before != "" {
		fmt.Sscanf(before[32:], "-%08x", &n)
	}
	return fmt.Sprintf("%s-%08x%08x%s", id, n+1, rand.Uint32(), headSuffix)
}

// group is the files of one record.
type group struct {
	id      store.ID
	base    bool
	body    bool
	updates []string // oldest first
	temps   []string
}

// head returns the name of the head file that counts.
func (g *group) head() string {
	if n := len(g.updates); n > 0 {
		return g.updates[n-1]
	}
	return baseName(g.id)
}

// files returns the names of the files of the record, without those that were not finished.
func (g *group) files() []string {
	var names []string
	if g.base {
		names = append(names, baseName(g.id))
	}
	names = append(names, g.updates...)
	if g.body {
		names = append(names, bodyName(g.id))
	}
	return names
}

// groups sorts the names of a folder's files by record, newest first. It leaves out what is not of this package.
func groups(names []string) []group {
	slices.Sort(names)
	var all []group
	for _, name := range slices.Backward(names) {
		if len(name) < 32+len(headSuffix) {
			continue
		}
		id, err := store.ParseID(name[:32])
		if err != nil {
			continue
		}
		rest := name[32:]
		suffix := rest[max(0, len(rest)-len(headSuffix)):]
		numbered := len(rest) == sequence+len(suffix) && rest[0] == '-'
		if len(rest) != len(suffix) && !numbered {
			continue
		}
		g := group{id: id}
		n := len(all)
		if n > 0 && all[n-1].id == id {
			n--
			g = all[n]
		}
		switch {
		case suffix == headSuffix && numbered:
			g.updates = append(g.updates, name)
		case suffix == headSuffix:
			g.base = true
		case suffix == bodySuffix && !numbered:
			g.body = true
		case suffix == tempSuffix && numbered:
			g.temps = append(g.temps, name)
		default:
			continue
		}
		all = append(all[:n], g)
	}
	for i := range all {
		slices.Reverse(all[i].updates)
	}
	return all
}

// cost returns what a file of so many bytes takes on the disk.
func cost(size int64) int64 { return (size + 4095) &^ 4095 }

// folderCost is counted with every record for the folder it is in.
const folderCost = 4096

// readFile reads a whole head file, and says when it was last used.
func (d folder) readFile(name string) (b []byte, used time.Time, err error) {
	f, err := d.open(name)
	if err != nil {
		return nil, used, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, used, err
	}
	if info.Size() > maxHead {
		return nil, used, fmt.Errorf("%d bytes: %w", info.Size(), store.ErrCorrupt)
	}
	b = make([]byte, info.Size())
	if _, err := io.ReadFull(f, b); err != nil {
		if err == io.ErrUnexpectedEOF || err == io.EOF {
			err = fmt.Errorf("shorter than its size: %w", store.ErrCorrupt)
		}
		return nil, used, err
	}
	return b, info.ModTime(), nil
}
