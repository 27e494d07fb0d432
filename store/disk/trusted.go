package disk

import (
	"io/fs"
	"os"
	"time"
)

// trusted remembers what this process has read from files, and verified to the last byte, so that a later hit need not
// do so again: of a body it remembers only that, and the file is handed out as it is, which takes half the time
// (BenchmarkRead1M); of a small head, the record (BenchmarkHit1K).
//
// Whoever writes to a file, in whatever process, thereby sets the time of its last change (ctime), which no program can
// set to a time of its choice. So what was verified holds as long as the file is the same one, of the same size, with
// the same modification time and ctime as just before it was read, unless a change can have left the ctime as it was:
// by falling into the same step of the clock. A file is therefore remembered only if it had been at rest for longer
// than that when it was opened; see listings, where it is the same with folders.
//
// This does not notice what changes without the file system: bytes that rot on the disk or in the page cache. They are
// found by the first hit of a process and, since a file is trusted for at most an hour by the monotonic clock, by the
// first hit of every hour. Nor does it notice changes if somebody sets the clock back so that a change falls into the
// same step as an earlier one, or writes through a shared mapping of the file made before, or if the file system keeps
// no ctime.
type trusted[V any] struct{ memo[known[V]] }

type known[V any] struct {
	state
	value V
}

// state is the state of a file at a time.
type state struct {
	info fs.FileInfo
	at   time.Time // before info was asked for
}

const (
	trustedFor = time.Hour
	// A body takes 0.5 KB, so that all of them take 2 MB.
	maxBodies = 4096
	// A head takes three times its size, so all of them take 6 MB. Most of a larger file is the body, of which the page
	// cache has a copy.
	maxHeads     = 512
	maxKnownHead = 4 << 10
)

// get returns what is remembered of the file, if its state is still the same.
func (t *trusted[V]) get(path string, now state) (v V, ok bool) {
	known, ok := t.recall(path)
	if !ok {
		return v, false
	}
	if now.at.Sub(known.at) > trustedFor || !unchanged(known.info, now.info) {
		t.forget(path)
		return v, false
	}
	return known.value, true
}

func unchanged(before, now fs.FileInfo) bool {
	c1, ok1 := changed(before)
	c2, ok2 := changed(now)
	return ok1 && ok2 && c1.Equal(c2) && os.SameFile(before, now) && before.Size() == now.Size() && before.ModTime().Equal(now.ModTime())
}

// put remembers v, which was read from the file after its state was before.
func (t *trusted[V]) put(path string, before state, v V, bound int) {
	if c, ok := changed(before.info); ok && before.at.Sub(c) > atRest {
		t.remember(path, known[V]{before, v}, bound)
	}
}
