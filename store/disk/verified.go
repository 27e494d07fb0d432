package disk

import (
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/larder-go/larder/store"
)

// verified remembers which bodies this process has read and verified to the last byte, so that a later hit can hand out the
// file as it is: that takes half the time (BenchmarkRead1M).
//
// Whoever writes to a file, in whatever process, thereby sets the time of its last change (ctime), which no program can set
// to a time of its choice. So what was verified holds as long as the file is the same one, of the same size, with the same
// modification time and ctime as just before it was verified, unless a change can have left the ctime as it was: by falling
// into the same step of the clock. A body is therefore remembered only if its file had been at rest for longer than that
// when it was opened; see listings, where it is the same with folders.
//
// That leaves what comes about without the file system: bytes that rot on the platter or in the page cache. They are found by
// the first hit of a process, and because a body is trusted for an hour at most, by the monotonic clock, by the first of
// every hour. It leaves as well who puts the clock back so that a change falls into the very step of an earlier one, who
// writes through a shared mapping of the file made before, and file systems that keep no ctime.
type verified struct {
	mu sync.Mutex
	of map[store.ID]verification
}

type verification struct {
	file fs.FileInfo // as it was before it was read,
	at   time.Time   // which was then
}

const (
	trusted = time.Hour
	// One takes 0.4 KB, so that all of them take 1.6 MB.
	maxVerified = 4096
)

// holds reports whether the body was verified when its file was what it is now.
func (v *verified) holds(id store.ID, file fs.FileInfo, now time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	known, ok := v.of[id]
	if !ok {
		return false
	}
	if now.Sub(known.at) > trusted || !unchanged(known.file, file) {
		delete(v.of, id)
		return false
	}
	return true
}

func unchanged(before, now fs.FileInfo) bool {
	c1, ok1 := changed(before)
	c2, ok2 := changed(now)
	return ok1 && ok2 && c1.Equal(c2) && os.SameFile(before, now) && before.Size() == now.Size() && before.ModTime().Equal(now.ModTime())
}

// remember makes room, if it has to, by forgetting whichever body the map yields first.
func (v *verified) remember(id store.ID, as verification) {
	c, ok := changed(as.file)
	if !ok || as.at.Sub(c) <= atRest {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.of == nil {
		v.of = make(map[store.ID]verification)
	}
	if _, ok := v.of[id]; !ok && len(v.of) >= maxVerified {
		for id := range v.of {
			delete(v.of, id)
			break
		}
	}
	v.of[id] = as
}

func (v *verified) forget(id store.ID) {
	v.mu.Lock()
	delete(v.of, id)
	v.mu.Unlock()
}
