package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/larder-go/larder/store"
)

// The first record of a key is a file in the fan. When another one is stored, or the first is updated, the key gets a
// folder, and as long as the folder is there, all new files go into it. Making a folder takes twice as long as making a
// file, and most keys have one record (BenchmarkStore).
//
// So a record that supersedes one in the folder never becomes the first. Reading the first, and then the folder if
// there was none, therefore never misses a record that is superseded meanwhile. Reading the folder, and then the first
// if there is one, never takes the first for the last head of a record whose update was removed meanwhile.

// reader reads a head file.
type reader func(p place, path string) (*head, error)

// records returns the records of the key, newest first, and the remains of others. read reads the first; list lists the
// folder, and does so again if there is no first.
func (p place) records(read reader, list func(place) ([]group, error)) ([]group, error) {
	all, err := list(p)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	first, err := read(p, p.first())
	if errors.Is(err, fs.ErrNotExist) {
		return list(p)
	} else if err != nil {
		return nil, err
	}
	g := group{id: first.id, first: first}
	i, updated := slices.BinarySearchFunc(all, g.id, func(g group, id store.ID) int { return id.Compare(g.id) })
	if updated {
		all = slices.Clone(all)
		all[i].first = first
		return all, nil
	}
	return slices.Insert(slices.Clip(all), i, g), nil
}

// list returns the records in the folder, newest first.
func (p place) list() ([]group, error) {
	names, err := list(p.fan, p.name)
	if err != nil {
		return nil, err
	}
	return groups(names), nil
}

// list returns the names in a directory.
func list(top *os.Root, name string) ([]string, error) {
	_, names, err := readFolder(top, name)
	return names, err
}

// find returns the files of one record; read reads the first of the key. That the record is not there is no error.
func (p place) find(id store.ID, read reader) (group, error) {
	all, err := p.records(read, place.list)
	if i := slices.IndexFunc(all, func(g group) bool { return g.id == id }); i >= 0 {
		return all[i], err
	}
	return group{id: id}, err
}

// head is a head file that was read, all of it or its prefix.
type head struct {
	state
	id     store.ID      // zero: the file is damaged
	bytes  []byte        // nil: the file is damaged, or record is set
	record *store.Record // nil: not decoded yet, see bytes
}

func (p place) readHead(path string) (*head, error)   { return p.read(path, maxHead) }
func (p place) readPrefix(path string) (*head, error) { return p.read(path, prefixSize) }

// read reads up to limit bytes of a head file.
func (p place) read(path string, limit int64) (*head, error) {
	h := &head{state: state{at: time.Now()}}
	f, info, err := openFile(p.fan, path, os.O_RDONLY)
	h.info = info
	switch {
	case errors.Is(err, store.ErrCorrupt):
		return h, nil
	case err != nil:
		return nil, err
	}
	defer f.Close()
	if h.info.Size() > maxHead {
		return h, nil
	}
	b := make([]byte, min(h.info.Size(), limit))
	if _, err := io.ReadFull(f, b); err == io.EOF || err == io.ErrUnexpectedEOF {
		return h, nil // it was cut in this moment
	} else if err != nil {
		return nil, err
	}
	h.bytes = b
	if prefix, err := decodePrefix(b); err == nil {
		h.id = prefix.id
	}
	return h, nil
}

func create(in *os.Root, name string) (*os.File, error) {
	return in.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// publish writes a head file under a temporary name. enter must move it from there, so that it appears whole.
func (p place) publish(head []byte, enter func(temp string) error) error {
	temp := p.temp()
	f, err := create(p.fan, temp)
	if err != nil {
		return err
	}
	_, err = f.Write(head)
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = enter(temp)
	}
	if err != nil {
		p.fan.Remove(temp)
	}
	return err
}

// enter makes temp the base of a record.
func (p place) enter(temp string, id store.ID) error {
	if _, err := p.fan.Lstat(p.name); errors.Is(err, fs.ErrNotExist) {
		turn := p.turn()
		turn.Lock()
		err := p.fan.Link(temp, p.first())
		turn.Unlock()
		if err == nil {
			p.fan.Remove(temp)
			return nil
		}
		// There is a first one, or the file system has no links.
	}
	return p.move(temp, p.inside(baseName(id)))
}

// move moves temp into the folder, which may be missing, or may be removed at this moment because it is empty.
func (p place) move(temp, path string) error {
	for n := 1; ; n++ {
		err := p.fan.Rename(temp, path)
		if err != nil && noFolder(p.fan, p.name) {
			p.fan.Remove(p.name)
			err = fs.ErrNotExist
		}
		if !errors.Is(err, fs.ErrNotExist) || n == attempts {
			return err
		}
		if err := p.fan.Mkdir(p.name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
}

// discard removes the folder if nothing is in it.
func (p place) discard() { p.fan.Remove(p.name) }

// holds returns an error if the base of a record is no longer there.
func (p place) holds(g *group) error {
	if g.base {
		_, err := p.fan.Lstat(p.inside(baseName(g.id)))
		return err
	}
	return p.isFirst(g.id)
}

// isFirst returns fs.ErrNotExist if the first record is not the one with this ID.
func (p place) isFirst(id store.ID) error {
	first, err := p.readPrefix(p.first())
	if err == nil && first.id != id {
		err = fs.ErrNotExist
	}
	return err
}

// drop removes a file and returns what it took on the disk.
func (p place) drop(path string) (took int64, err error) {
	info, err := p.fan.Lstat(path)
	if err == nil {
		err = remove(p.fan, path)
	}
	if err != nil {
		return 0, err
	}
	return cost(info.Size()), nil
}

// firsts has a mutex for each fan, for all Stores of the process.
var firsts [fanout]sync.Mutex

// turn is held while a first record gets its name, and while one is removed, from the check which it is. Other
// processes are not kept out: their record that gets the name in between is removed as well, as if it were evicted. If
// it were given its name back, a Delete meanwhile would have removed nothing.
func (p place) turn() *sync.Mutex { return &firsts[p.shard] }

// dropFirst is drop for the first record, if that has this ID, which its name does not say. It renames the file before
// it removes it, so that it knows what the removed file took.
func (p place) dropFirst(id store.ID) (took int64, err error) {
	turn := p.turn()
	turn.Lock()
	defer turn.Unlock()
	if err := p.isFirst(id); err != nil {
		return 0, err
	}
	path := p.temp()
	if err := p.fan.Rename(p.first(), path); errors.Is(err, fs.ErrNotExist) {
		return 0, err
	} else if err != nil {
		path = p.first() // a full disk may have no room for another name
	}
	return p.drop(path)
}

// dropAll removes files, and returns what they took, without those that somebody else removed first.
func (p place) dropAll(paths ...string) (took int64) {
	for _, path := range paths {
		n, _ := p.drop(path)
		took += n
	}
	return took
}
