package disk

import (
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/larder-go/larder/store"
)

const (
	version = "v1" // the folder that everything is in
	fanout  = 16
	// blockSize is what one checksum covers: no more than io.Copy and net/http read at a time, so that blocks go into
	// the reader's buffer directly.
	blockSize = 32 << 10
	// inlineMax is the length of the largest body that is in the head file. A larger one is read faster from a file of
	// its own, through a reused buffer (BenchmarkInline).
	inlineMax = 32 << 10
	// maxHead is the size of the largest head file. A larger one was not written by this package, since no head is
	// longer than 16 MiB.
	maxHead = prefixSize + 16<<20 + inlineMax
)

type fan struct {
	open atomic.Pointer[os.Root]
	info fs.FileInfo // of open, guarded by Store.mu
}

const hexDigits = "0123456789abcdef"

func fanName(shard byte) string { return version + "/" + hexDigits[shard:shard+1] }

func isHex(s string) bool { return strings.Trim(s, hexDigits) == "" }

const (
	headSuffix = ".head"
	bodySuffix = ".body"
	tempSuffix = ".temp"
)

// place is where the records of one key are; see place.go.
type place struct {
	fan   *os.Root
	shard byte
	name  string // the SHA-256 of the key, hexadecimal: the name of the folder, with which the names beside it begin
}

func placeIn(fan *os.Root, digest [32]byte) place {
	return place{fan: fan, shard: shardOf(digest), name: hex.EncodeToString(digest[:])}
}

func shardOf(digest [32]byte) byte { return digest[0] >> 4 }

func (p place) first() string             { return p.name + headSuffix }
func (p place) body(id store.ID) string   { return p.name + "-" + id.String() + bodySuffix }
func (p place) temp() string              { return fmt.Sprintf("%s-%016x%s", p.name, rand.Uint64(), tempSuffix) }
func (p place) inside(name string) string { return p.name + "/" + name }

func (p place) insides(names []string) (paths []string) {
	for _, name := range names {
		paths = append(paths, p.inside(name))
	}
	return paths
}

// entry describes a name in a fan.
type entry struct {
	place
	path   string   // the name
	suffix string   // of the name; "": it is the folder of a key
	id     store.ID // of a body
}

// parseEntry returns the entry of a name; ok is false if the name is not of this package.
func parseEntry(fan *os.Root, shard byte, name string) (e entry, ok bool) {
	const digest = 64
	if len(name) < digest || !isHex(name[:digest]) || name[0] != hexDigits[shard] {
		return e, false
	}
	e.place, e.path = place{fan: fan, shard: shard, name: name[:digest]}, name
	rest := name[digest:]
	if len(rest) >= len(headSuffix) {
		e.suffix = rest[len(rest)-len(headSuffix):]
	}
	switch e.suffix {
	case "", headSuffix:
		return e, rest == e.suffix
	case bodySuffix:
		var err error
		e.id, err = store.ParseID(strings.TrimPrefix(strings.TrimSuffix(rest, bodySuffix), "-"))
		return e, err == nil && name == e.body(e.id)
	case tempSuffix:
		return e, len(rest) == sequence+len(tempSuffix) && rest[0] == '-' && isHex(rest[1:sequence])
	}
	return e, false
}

// The files of a record. The base is its head as it was committed: the first of the key, or in the folder. The record
// is there exactly as long as the base is. An update has a later head, which is in the folder; the one whose name sorts
// last counts. All names in the folder begin with the ID.
const sequence = 17 // length of "-" and 16 hexadecimal digits

func baseName(id store.ID) string { return id.String() + headSuffix }

// updateName returns a name that sorts after that of the update before, if there is one. The random half tells apart
// the names of two processes that update at the same time.
func updateName(id store.ID, before string) string {
	var n uint32
	if before != "" {
		fmt.Sscanf(before[32:], "-%08x", &n)
	}
	return fmt.Sprintf("%s-%08x%08x%s", id, n+1, rand.Uint32(), headSuffix)
}

// group has the files of one record, except its body.
type group struct {
	id      store.ID // zero: that of a damaged first, which is not known
	first   *head    // the base, if it is the first of the key; else nil
	base    bool     // the base is in the folder
	updates []string // oldest first
}

func (g *group) there() bool { return g.first != nil || g.base }

// head returns the path of the head file that counts.
func (p place) head(g *group) string {
	if n := len(g.updates); n > 0 {
		return p.inside(g.updates[n-1])
	}
	if g.base {
		return p.inside(baseName(g.id))
	}
	return p.first()
}

// heads returns the paths of all head files.
func (p place) heads(g *group) []string {
	var paths []string
	if g.first != nil {
		paths = append(paths, p.first())
	}
	if g.base {
		paths = append(paths, p.inside(baseName(g.id)))
	}
	return append(paths, p.insides(g.updates)...)
}

// groups groups the names of a folder's files by record, newest first. It leaves out names that are not of this
// package.
func groups(names []string) []group {
	slices.Sort(names)
	var all []group
	for _, name := range slices.Backward(names) {
		if len(name) < 32+len(headSuffix) {
			continue
		}
		id, err := store.ParseID(name[:32])
		number, isHead := strings.CutSuffix(name[32:], headSuffix)
		isUpdate := len(number) == sequence && number[0] == '-'
		if err != nil || !isHead || number != "" && !isUpdate {
			continue
		}
		if n := len(all); n == 0 || all[n-1].id != id {
			all = append(all, group{id: id})
		}
		if g := &all[len(all)-1]; isUpdate {
			g.updates = append(g.updates, name)
		} else {
			g.base = true
		}
	}
	for i := range all {
		slices.Reverse(all[i].updates)
	}
	return all
}

// cost returns how much a file of so many bytes takes on the disk.
func cost(size int64) int64 { return (size + 4095) &^ 4095 }

// folderCost is counted with every record for the folder that it may be in.
const folderCost = 4096
