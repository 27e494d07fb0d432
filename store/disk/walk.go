package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// walk goes through all that is in the fans, in no order.
type walk struct {
	store  *Store
	batch  int      // how many names are read at a time; -1: all of a fan
	shards []byte   // not begun yet
	fan    *os.Root // the fan of dir
	shard  byte
	dir    *os.File // the directory that is being read; nil: none
	names  []string // read from dir, and not returned yet
}

// next returns the next entry; io.EOF after the last one.
func (w *walk) next() (entry, error) {
	for {
		for len(w.names) > 0 {
			name := w.names[0]
			w.names = w.names[1:]
			if e, ok := parseEntry(w.fan, w.shard, name); ok {
				return e, nil
			}
		}
		if w.dir == nil {
			if len(w.shards) == 0 {
				return entry{}, io.EOF
			}
			if err := w.open(w.shards[0]); err != nil {
				return entry{}, err
			}
			w.shards = w.shards[1:]
			continue
		}
		names, err := w.dir.Readdirnames(w.batch)
		w.names = names
		if len(names) == 0 {
			w.close()
		}
		if err != nil && err != io.EOF {
			return entry{}, err
		}
	}
}

func (w *walk) open(shard byte) (err error) {
	w.store.check(shard)
	w.shard = shard
	w.fan, err = w.store.fan(shard, false)
	if err == nil {
		w.dir, err = w.fan.Open(".")
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (w *walk) close() {
	if w.dir != nil {
		w.dir.Close()
		w.dir = nil
	}
}

// records returns the records whose base is the entry, or is in it if it is a folder, and with a folder the remains of
// others.
func (e entry) records(read reader) ([]group, error) {
	if e.suffix != "" && e.suffix != headSuffix {
		return nil, nil
	}
	all, err := e.place.records(read, place.list)
	return slices.DeleteFunc(all, func(g group) bool {
		first := g.first != nil && !g.base
		return first != (e.suffix == headSuffix)
	}), err
}

// shards returns the shards that have a fan.
func (s *Store) shards() ([]byte, error) {
	top, err := os.OpenRoot(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer top.Close()
	names, err := list(top, version)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var shards []byte
	for _, name := range names {
		if len(name) == 1 && isHex(name) {
			shards = append(shards, byte(strings.Index(hexDigits, name)))
		}
	}
	return shards, err
}
