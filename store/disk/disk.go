package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/larder-go/larder/store"
)

// DefaultMaxBytes is the limit of a Store opened without one: 1 GiB.
const DefaultMaxBytes = 1 << 30

// Options are the settings of a Store; nil or zero means the defaults.
type Options struct {
	// MaxBytes is how many bytes the records may take on the disk at any moment, those being written included, counted
	// in blocks of 4 KiB with one block more for each record; 0: DefaultMaxBytes; negative: no limit. The least
	// recently used records make way for new ones. What finds no room even so is refused with store.ErrTooLarge, and so
	// is a body of unknown length that turns out to be larger than half of the limit. Processes that share a directory
	// should have the same limit.
	MaxBytes int64
}

// Store keeps records in a directory. Its methods are safe for concurrent use, and any number of Stores, in any
// number of processes, may be open on one directory.
type Store struct {
	dir     string // absolute
	max     int64
	usage   ledger
	fans    [fanout]fan
	decoder store.Decoder
	seen    listings
	heads   trusted[*store.Record]
	bodies  trusted[struct{}]
	turns   turns
	writing sync.Map     // the place of each body that is being written, by its path in that
	room    sync.RWMutex // held by the one who makes room, and for reading by who finds some; guards
	hand    *walk        // where to go on with that; nil: from the start,
	counted time.Time    // and when a count for it last found the ledger right
	mu      sync.Mutex   // guards the opening of fans, and closed
	closed  bool
}

// Open opens the store in dir. If dir is missing, it is made, with access for its owner alone. Open does not read what
// the store holds, so it takes no longer for a large one.
func Open(dir string, o *Options) (*Store, error) {
	if o == nil {
		o = &Options{}
	}
	if dir == "" {
		return nil, errors.New("disk: the cache directory has no name")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("disk: the cache directory %s cannot be used: %w", dir, err)
	}
	s := &Store{dir: abs, max: o.MaxBytes}
	if s.max == 0 {
		s.max = DefaultMaxBytes
	}
	if err := s.openUsage(); err != nil {
		s.Close()
		return nil, fmt.Errorf("disk: the cache directory %s cannot be used: %w", abs, err)
	}
	return s, nil
}

// Close releases the directory. Open bodies can be read on; writers fail to commit.
func (s *Store) Close() error {
	s.room.Lock()
	if s.hand != nil {
		s.hand.close()
		s.hand = nil
	}
	s.room.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for i := range s.fans {
		if f := s.fans[i].open.Swap(nil); f != nil {
			f.Close()
		}
	}
	s.usage.close()
	return nil
}

// Local marks the Store as a store.Local: each call takes a few file operations.
func (s *Store) Local() {}

// Dir returns the absolute path of the directory.
func (s *Store) Dir() string { return s.dir }

// place returns the place of key. The fan that it is in need not exist, unless make is set.
func (s *Store) place(key store.Key, make bool) (place, error) {
	digest := key.Digest()
	f, err := s.fan(shardOf(digest), make)
	return placeIn(f, digest), err
}

// fan returns the directory of one shard. It is opened once and then held, which saves two path components at
// every access.
func (s *Store) fan(shard byte, make bool) (*os.Root, error) {
	if f := s.fans[shard].open.Load(); f != nil {
		return f, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, os.ErrClosed
	}
	if f := s.fans[shard].open.Load(); f != nil {
		return f, nil
	}
	if make {
		if err := os.MkdirAll(s.dir, 0o700); err != nil {
			return nil, err
		}
	}
	top, err := os.OpenRoot(s.dir)
	if err != nil {
		return nil, err
	}
	defer top.Close()
	if make {
		if err := makeFan(top, fanName(shard)); err != nil {
			return nil, err
		}
	}
	f, info, err := openFan(top, fanName(shard))
	if err != nil {
		return nil, err
	}
	s.fans[shard].info = info
	s.fans[shard].open.Store(f)
	s.usage.follow(top) // the tree may have been deleted, and made anew by another process
	return f, nil
}

func openFan(top *os.Root, name string) (*os.Root, fs.FileInfo, error) {
	f, err := top.OpenRoot(name + "/.") // the dot, for a named pipe is no folder then, and not waited for
	if err != nil && !errors.Is(err, fs.ErrNotExist) && noFolder(top, name) {
		err = fmt.Errorf("%s is not a folder: %w", name, fs.ErrNotExist)
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat(".")
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// check forgets the directory held for a shard if another one, or none, is at its path, so that the store heals after
// somebody deleted the tree. It then returns an error that says so. It is called on a miss, and before work that must
// also see what other processes have stored in the new directory.
func (s *Store) check(shard byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := &s.fans[shard]
	if held.open.Load() == nil {
		return nil
	}
	now, err := os.Lstat(filepath.Join(s.dir, fanName(shard)))
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(held.info, now) {
		held.open.Store(nil) // others may be using it: the garbage collector closes it
		return fmt.Errorf("%s has been deleted, and is made anew: %w", filepath.Join(s.dir, fanName(shard)), store.ErrCorrupt)
	}
	return nil
}
