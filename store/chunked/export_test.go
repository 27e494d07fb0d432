package chunked

import "github.com/larder-go/larder/store"

// RecordGroup and BodyGroup tell tests of damage where things are.
func RecordGroup(key store.Key) string            { return recordGroup(digest(key)) }
func BodyGroup(key store.Key, id store.ID) string { return bodyGroup(digest(key), id) }

// Held returns how many pieces a Writer holds in memory.
func Held(w store.Writer) int {
	c := w.(*writer)
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.held.pieces)
}

// Bound bounds what s does later, which is bounded by thousands else.
func Bound(s *Store, running, waiting int) { s.later.maxRunning, s.later.maxWaiting = running, waiting }
